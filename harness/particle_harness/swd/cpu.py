"""A Cortex-M CPU that runs code: Unicorn on the chip's bus.

Only what flash algorithms and small test programs need: no interrupts, no exceptions except that one stops it. What
Particle's firmware does is modelled by the virtual board, not executed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import unicorn
from unicorn import arm_const as arm

from particle_harness.swd.bus import PAGE_SIZE_BYTES, Bus, Memory

_WAIT_INSTRUCTIONS = (b"\x20\xbf", b"\x30\xbf")
"""WFE, WFI: Unicorn stops behind them, WFE with an "invalid instruction"."""
_MODELS = {
    3: arm.UC_CPU_ARM_CORTEX_M3,
    4: arm.UC_CPU_ARM_CORTEX_M4,
    # Unicorn has no M23; what is executed of it here is a loop.
    23: arm.UC_CPU_ARM_CORTEX_M33,
    33: arm.UC_CPU_ARM_CORTEX_M33,
}
_REGISTERS = {
    **{n: arm.UC_ARM_REG_R0 + n for n in range(13)},
    **{13: arm.UC_ARM_REG_SP, 14: arm.UC_ARM_REG_LR, 15: arm.UC_ARM_REG_PC, 16: arm.UC_ARM_REG_XPSR},
    **{17: arm.UC_ARM_REG_MSP, 18: arm.UC_ARM_REG_PSP, 33: arm.UC_ARM_REG_FPSCR},
    **{64 + n: arm.UC_ARM_REG_S0 + n for n in range(32)},
}
"""Register numbers of DCRSR. Source: Armv7-M Architecture Reference Manual, C1.6.3."""
_SPECIAL = 20
_THUMB = 0x01000000


class Stop(Enum):
    """Why a slice of execution ended."""

    SLICE_OVER = auto()
    BREAKPOINT = auto()
    """A BKPT instruction, or an address in ``breakpoints``."""
    SLEEP = auto()
    FAULT = auto()


_EXCEPTION_BKPT = 7
"""Source: unicorn 2.1 qemu/target/arm/cpu.h EXCP_BKPT."""


class Cpu:
    """Executes from ``bus``. ``cortex`` is 3, 4, 23 or 33.

    ``count=`` bounds every run: with Unicorn 2.1 it is the only bound that leaves the program counter exact.
    """

    def __init__(self, bus: Bus, cortex: int) -> None:
        self._bus = bus
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(_MODELS[cortex])
        self._mapped_memories = 0
        self._mapped_peripherals: set[int] = set()
        self._stop: Stop | None = None
        self._raw_stores: list[tuple[Memory, int, bytes]] = []
        self._breakpoints: dict[int, Any] = {}
        self._passing: int | None = None
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_WRITE_PROT, self._on_guarded_store)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, self._on_unmapped)

    def map_bus(self) -> None:
        """Make everything on the bus visible to the code. Once, when the bus is complete."""
        for memory in self._bus.memories:
            writable = unicorn.UC_PROT_WRITE if memory.store is None else 0
            for start in (memory.start_address, *memory.aliases):
                self._uc.mem_map_ptr(
                    start, memory.size_bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC | writable, memory.buffer
                )
        for page, (start, peripheral) in self._bus.peripherals.items():
            shift = page * PAGE_SIZE_BYTES - start
            self._uc.mmio_map(
                page * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES, self._reader(peripheral, shift), None,
                self._writer(peripheral, shift), None,
            )  # fmt: skip

    # ---- registers --------------------------------------------------------------------------------------------------

    def reset(self, stack_pointer: int, program_counter: int) -> None:
        """Registers as after a reset with that vector table."""
        for number in range(13):
            self.set_register(number, 0)
        for register in (arm.UC_ARM_REG_PRIMASK, arm.UC_ARM_REG_BASEPRI, arm.UC_ARM_REG_FAULTMASK):
            self._uc.reg_write(register, 0)
        self._uc.reg_write(arm.UC_ARM_REG_CONTROL, 0)
        self.set_register(14, 0xFFFFFFFF)
        self.set_register(16, _THUMB)
        self.set_register(17, stack_pointer & ~3)
        self.set_register(13, stack_pointer & ~3)
        self.set_register(15, program_counter & ~1)

    @property
    def program_counter(self) -> int:
        """Address of the next instruction."""
        return self.register(15)

    def register(self, number: int) -> int:
        """A register by its number in DCRSR; 0 for one that this core lacks."""
        read = self._uc.reg_read
        if number == _SPECIAL:
            return int(
                read(arm.UC_ARM_REG_CONTROL) << 24
                | read(arm.UC_ARM_REG_FAULTMASK) << 16
                | read(arm.UC_ARM_REG_BASEPRI) << 8
                | read(arm.UC_ARM_REG_PRIMASK)
            )
        value = int(read(_REGISTERS[number])) if number in _REGISTERS else 0
        return value & ~1 if number == 15 else value & 0xFFFFFFFF

    def set_register(self, number: int, value: int) -> None:
        """Set a register by its number in DCRSR."""
        write = self._uc.reg_write
        if number == _SPECIAL:
            write(arm.UC_ARM_REG_CONTROL, value >> 24)
            write(arm.UC_ARM_REG_FAULTMASK, value >> 16 & 1)
            write(arm.UC_ARM_REG_BASEPRI, value >> 8 & 0xFF)
            write(arm.UC_ARM_REG_PRIMASK, value & 1)
        elif number in _REGISTERS:
            # Bit 0 of the program counter selects Thumb.
            write(_REGISTERS[number], value | 1 if number == 15 else value)

    # ---- running ----------------------------------------------------------------------------------------------------

    def run(self, instructions: int) -> Stop:
        """Execute up to that many instructions."""
        if self._bus.code_changed:
            self._uc.ctl_flush_tb()
            self._bus.code_changed = False
        self._stop = None
        start = self.program_counter
        self._passing = start if start in self._breakpoints else None
        invalid = False
        try:
            self._uc.emu_start(start | 1, 0xFFFFFFFE, count=instructions)
        except unicorn.UcError:
            invalid = True
        self._settle_stores()
        if self._stop is None and self._behind_a_wait():
            return Stop.SLEEP
        return self._stop or (Stop.FAULT if invalid else Stop.SLICE_OVER)

    def _behind_a_wait(self) -> bool:
        before = self._bus.memory_at(self.program_counter - 2)
        return before is not None and bytes(before[0].view[before[1] : before[1] + 2]) in _WAIT_INSTRUCTIONS

    def set_breakpoints(self, addresses: set[int]) -> None:
        """Stop before the instructions at these addresses."""
        for address in self._breakpoints.keys() - addresses:
            self._uc.hook_del(self._breakpoints.pop(address))
        for address in addresses - self._breakpoints.keys():
            self._breakpoints[address] = self._uc.hook_add(
                unicorn.UC_HOOK_CODE, self._on_breakpoint, None, address, address
            )
        self._uc.ctl_flush_tb()

    def _end(self, stop: Stop) -> None:
        if self._stop is None:
            self._stop = stop
        self._uc.emu_stop()

    def _on_breakpoint(self, _uc: Any, address: int, _size: int, _user: Any) -> None:
        if self._passing == address:
            self._passing = None
        else:
            self._end(Stop.BREAKPOINT)

    def _on_exception(self, _uc: Any, number: int, _user: Any) -> None:
        self._end(Stop.BREAKPOINT if number == _EXCEPTION_BKPT else Stop.FAULT)

    def _on_unmapped(self, _uc: Any, _access: int, _address: int, _size: int, _value: int, _user: Any) -> bool:
        self._end(Stop.FAULT)
        return False

    def _on_guarded_store(self, _uc: Any, _access: int, address: int, size: int, value: int, _user: Any) -> bool:
        """Unicorn goes on to store the raw value, so what the memory made of it is put back afterwards."""
        found = self._bus.memory_at(address)
        if found is None:
            return False
        self._settle_stores()
        memory, offset = found
        memory.write(offset, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))
        self._raw_stores.append((memory, offset, bytes(memory.view[offset : offset + size])))
        return True

    def _settle_stores(self) -> None:
        while self._raw_stores:
            memory, offset, data = self._raw_stores.pop()
            memory.view[offset : offset + len(data)] = data

    def _reader(self, peripheral: Any, shift: int) -> Callable[[Any, int, int, Any], int]:
        def read(_uc: Any, offset: int, size: int, _user: Any) -> int:
            self._settle_stores()
            return int(peripheral.read(offset + shift, size)) & ((1 << 8 * size) - 1)

        return read

    def _writer(self, peripheral: Any, shift: int) -> Callable[[Any, int, int, int, Any], None]:
        def write(_uc: Any, offset: int, size: int, value: int, _user: Any) -> None:
            self._settle_stores()
            peripheral.write(offset + shift, size, value & ((1 << 8 * size) - 1))

        return write
