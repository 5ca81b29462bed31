"""What went wrong in firmware, in the architecture's own words and registers.

Source: Armv7-M Architecture Reference Manual, B1.5.14 (fault behaviour), B3.2.15 to B3.2.18 (CFSR, HFSR, MMFAR, BFAR).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from particle_harness.emulator.core.exceptions import BUS_FAULT, HARD_FAULT, MEM_MANAGE, USAGE_FAULT

_NEVER_EXECUTED = (range(0x40000000, 0x60000000), range(0xA0000000, 1 << 32))
"""Source: Armv7-M Architecture Reference Manual, B3.1, table B3-1 (XN)."""
_MMARVALID, _BFARVALID = 1 << 7, 1 << 15
HFSR_VECTTBL, HFSR_FORCED, HFSR_DEBUGEVT = 1 << 1, 1 << 30, 1 << 31


class Cause(Enum):
    """(exception, bit of CFSR, what it means). Those of HardFault stand in HFSR."""

    IACCVIOL = (MEM_MANAGE, 0, "instruction fetched where code may not run")
    MUNSTKERR = (MEM_MANAGE, 3, "exception return could not read its stack: access not allowed")
    MSTKERR = (MEM_MANAGE, 4, "exception entry could not write its stack: access not allowed")
    IBUSERR = (BUS_FAULT, 8, "instruction fetched where nothing answers")
    PRECISERR = (BUS_FAULT, 9, "access to an address where nothing answers")
    UNSTKERR = (BUS_FAULT, 11, "exception return could not read its stack")
    STKERR = (BUS_FAULT, 12, "exception entry could not write its stack")
    UNDEFINSTR = (USAGE_FAULT, 16, "undefined instruction")
    INVSTATE = (USAGE_FAULT, 17, "branch to an address without the Thumb bit")
    INVPC = (USAGE_FAULT, 18, "exception return with a wrong EXC_RETURN or stack frame")
    NOCP = (USAGE_FAULT, 19, "instruction of a coprocessor or FPU that is off")
    UNALIGNED = (USAGE_FAULT, 24, "unaligned access by an instruction that does not allow it")
    VECTTBL = (HARD_FAULT, 1, "vector could not be read")
    DEBUGEVT = (HARD_FAULT, 31, "BKPT without a debugger")
    SVC = (HARD_FAULT, 30, "SVC where its priority does not allow it")

    def __init__(self, exception: int, bit: int, meaning: str) -> None:
        self.exception = exception
        self.bit = bit
        self.meaning = meaning


@dataclass(frozen=True, slots=True)
class CoreFault:
    """``address``: what was accessed, where the architecture keeps it (MMFAR, BFAR). ``return_address``: what exception
    entry stacks as the place of the fault."""

    cause: Cause
    return_address: int
    address: int | None = None


def fault_of_access(accessed: int, by: int | None) -> CoreFault:
    """Nothing answers there. ``by``: the instruction, None where the access is its fetch."""
    if by is not None:
        return CoreFault(Cause.PRECISERR, by, accessed)
    never = any(accessed in region for region in _NEVER_EXECUTED)
    return CoreFault(Cause.IACCVIOL if never else Cause.IBUSERR, accessed)


class FaultStatus:
    """CFSR, HFSR, MMFAR, BFAR."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As after a reset."""
        self.configurable = 0
        self.hard = 0
        self.memory_address = 0
        self.bus_address = 0

    def note(self, fault: CoreFault, *, escalated: bool) -> None:
        """Set what the fault sets."""
        if fault.cause.exception == HARD_FAULT:
            self.hard |= 1 << fault.cause.bit
        else:
            self.configurable |= 1 << fault.cause.bit
            if escalated:
                self.hard |= HFSR_FORCED
        if fault.address is not None:
            if fault.cause.exception == MEM_MANAGE:
                self.configurable |= _MMARVALID
                self.memory_address = fault.address
            else:
                self.configurable |= _BFARVALID
                self.bus_address = fault.address

    def words(self) -> list[str]:
        """Names of the bits that are set."""
        names = [cause.name for cause in Cause if cause.exception != HARD_FAULT and self.configurable >> cause.bit & 1]
        names += ["MMARVALID"] if self.configurable & _MMARVALID else []
        names += ["BFARVALID"] if self.configurable & _BFARVALID else []
        hard = ((HFSR_FORCED, "FORCED"), (HFSR_VECTTBL, "VECTTBL"), (HFSR_DEBUGEVT, "DEBUGEVT"))
        return names + [name for bit, name in hard if self.hard & bit]
