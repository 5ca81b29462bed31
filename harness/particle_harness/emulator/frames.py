"""Exception entry and return on the registers of an engine: stack frames, modes, stack pointers.

Source: Armv7-M Architecture Reference Manual, B1.5.6 (exception entry), B1.5.7 (stack alignment), B1.5.8 (exception
return). The floating-point frame is written at once where hardware may only reserve it (lazy preservation, B1.5.7).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from unicorn import arm_const as arm

from particle_harness.swd.bus import Bus, BusFaultError

THUMB = 1 << 24
_ALIGNED = 1 << 9
_EXCEPTION_NUMBER = 0x1FF
_KEPT_ON_ENTRY = 0xF80F0000
"""Flags and GE: the IT state and the exception number are replaced."""
N_PRIV, SPSEL, FPCA = 1, 2, 4
_CORE_FRAME = (
    arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12, arm.UC_ARM_REG_LR,
)  # fmt: skip
_FLOAT_FRAME = (*(arm.UC_ARM_REG_S0 + n for n in range(16)), arm.UC_ARM_REG_FPSCR)
BASIC_FRAME_BYTES, EXTENDED_FRAME_BYTES = 0x20, 0x68
_FLOATS_AT = BASIC_FRAME_BYTES
EXC_RETURN_PREFIX = 0xFFFFFFE1


@dataclass(frozen=True, slots=True)
class ExceptionReturn:
    """An EXC_RETURN value, taken apart."""

    value: int

    @property
    def to_thread(self) -> bool:
        """Else to another handler."""
        return bool(self.value & 8)

    @property
    def process_stack(self) -> bool:
        """Whether the frame lies on PSP."""
        return bool(self.value & 4)

    @property
    def floating_point(self) -> bool:
        """Whether the frame holds floating-point registers."""
        return not self.value & 0x10

    @property
    def is_valid(self) -> bool:
        """Whether the architecture knows it."""
        return self.value & EXC_RETURN_PREFIX == EXC_RETURN_PREFIX and self.value & 0xF in (1, 9, 0xD)


class Frames:
    """Entry and return. Stack frames that cannot be read raise BusFaultError of the bus."""

    def __init__(self, engine: Any, bus: Bus) -> None:
        self._uc = engine
        self._bus = bus
        self.align_to_8 = True
        """CCR.STKALIGN."""
        self.automatic_state = True
        """FPCCR.ASPEN: floating-point registers go onto the stack with the others."""

    def push(self, return_address: int, *, thread: bool) -> tuple[int, bool]:
        """Stack what the interrupted code needs. Gives the EXC_RETURN for it, and whether the memory took the frame;
        the stack pointer moves in any case."""
        uc = self._uc
        control, xpsr = uc.reg_read(arm.UC_ARM_REG_CONTROL), uc.reg_read(arm.UC_ARM_REG_XPSR)
        floating_point = bool(control & FPCA) and self.automatic_state
        stack_pointer = uc.reg_read(arm.UC_ARM_REG_SP)
        size_bytes = EXTENDED_FRAME_BYTES if floating_point else BASIC_FRAME_BYTES
        align = bool(stack_pointer & 4) and (self.align_to_8 or floating_point)
        frame_at = stack_pointer - size_bytes - (4 if align else 0) & 0xFFFFFFFF
        uc.reg_write(arm.UC_ARM_REG_SP, frame_at)
        value = 0xFFFFFFE1 | (0 if floating_point else 0x10)
        if thread:
            value |= 0xC if control & SPSEL else 8
        status = xpsr & ~_ALIGNED | (_ALIGNED if align else 0)
        registers = uc.reg_read_batch(_CORE_FRAME)
        frame = struct.pack("<8I", *registers, return_address & ~1, status)
        if floating_point:
            frame += struct.pack("<18I", *uc.reg_read_batch(_FLOAT_FRAME), 0)
        try:
            self._bus.write(frame_at, frame)
        except BusFaultError:
            return value, False
        return value, True

    def enter_handler(self, number: int, exception_return: int, handler: int) -> None:
        """Handler mode on the main stack, at the handler's first instruction."""
        uc = self._uc
        xpsr = uc.reg_read(arm.UC_ARM_REG_XPSR) & _KEPT_ON_ENTRY | THUMB
        privilege = uc.reg_read(arm.UC_ARM_REG_CONTROL) & N_PRIV
        # CONTROL can only be written by privileged code, and SPSEL only in Thread mode.
        uc.reg_write(arm.UC_ARM_REG_XPSR, xpsr | number)
        uc.reg_write(arm.UC_ARM_REG_CONTROL, 0)
        uc.reg_write(arm.UC_ARM_REG_XPSR, xpsr)
        uc.reg_write(arm.UC_ARM_REG_CONTROL, 0)
        uc.reg_write(arm.UC_ARM_REG_XPSR, xpsr | number)
        if privilege:
            uc.reg_write(arm.UC_ARM_REG_CONTROL, privilege)
        uc.reg_write(arm.UC_ARM_REG_LR, exception_return)
        uc.reg_write(arm.UC_ARM_REG_PC, handler | 1)

    def read(self, how: ExceptionReturn) -> tuple[int, ...]:
        """The frame's eight core words, and 17 more where it is extended."""
        at = self._uc.reg_read(arm.UC_ARM_REG_PSP if how.process_stack else arm.UC_ARM_REG_MSP)
        size_bytes = EXTENDED_FRAME_BYTES - 4 if how.floating_point else BASIC_FRAME_BYTES
        return struct.unpack(f"<{size_bytes // 4}I", self._bus.read(at, size_bytes))

    def pop(self, how: ExceptionReturn, frame: tuple[int, ...]) -> int:
        """Registers as the interrupted code had them; gives its address."""
        uc = self._uc
        stack = arm.UC_ARM_REG_PSP if how.process_stack else arm.UC_ARM_REG_MSP
        address, status = frame[6], frame[7]
        size_bytes = EXTENDED_FRAME_BYTES if how.floating_point else BASIC_FRAME_BYTES
        uc.reg_write_batch(list(zip(_CORE_FRAME, frame, strict=False)))
        if how.floating_point:
            uc.reg_write_batch(list(zip(_FLOAT_FRAME, frame[8:], strict=True)))
        uc.reg_write(stack, uc.reg_read(stack) + size_bytes + (4 if status & _ALIGNED else 0) & 0xFFFFFFFF)
        status = status & ~_ALIGNED | THUMB
        state = FPCA if how.floating_point else 0
        if how.to_thread:
            privilege = uc.reg_read(arm.UC_ARM_REG_CONTROL) & N_PRIV
            uc.reg_write(arm.UC_ARM_REG_CONTROL, 0)
            uc.reg_write(arm.UC_ARM_REG_XPSR, status & ~_EXCEPTION_NUMBER)
            uc.reg_write(arm.UC_ARM_REG_CONTROL, privilege | (SPSEL if how.process_stack else 0) | state)
        else:
            uc.reg_write(arm.UC_ARM_REG_CONTROL, uc.reg_read(arm.UC_ARM_REG_CONTROL) & N_PRIV | state)
            uc.reg_write(arm.UC_ARM_REG_XPSR, status)
        uc.reg_write(arm.UC_ARM_REG_PC, address | 1)
        return address
