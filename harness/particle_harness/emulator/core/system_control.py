"""System control space: NVIC, SysTick, system control block, as firmware sees them at 0xE000E000.

Where a chip has a debug port, the debug registers of the same page are those of
:class:`particle_harness.emulator.core.debug_unit.ProcessorDebug`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from particle_harness.emulator.core.exceptions import (
    BUS_FAULT,
    FIRST_EXTERNAL,
    MEM_MANAGE,
    NMI,
    PEND_SV,
    SV_CALL,
    SYS_TICK,
    USAGE_FAULT,
)
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.swd.coresight import CLASS_GENERIC, ComponentPage

if TYPE_CHECKING:
    from particle_harness.emulator.core.processor import Processor

SYSTEM_CONTROL_SPACE = 0xE000E000
CPUID = {3: 0x412FC230, 4: 0x410FC241}
"""Cortex-M3 r2p0, Cortex-M4 r0p1."""
_VECTKEY = 0x05FA
_SLEEPONEXIT, _SEVONPEND = 1 << 1, 1 << 4
_STKALIGN, _NONBASETHRDENA = 1 << 9, 1
_ASPEN, _LSPEN = 1 << 31, 1 << 30
_FPU_ON = 0xF << 20
_FAULTS = ((16, MEM_MANAGE), (17, BUS_FAULT), (18, USAGE_FAULT))
_ACTIVE_BITS = ((0, 4), (1, 5), (3, 6), (7, 11), (8, 12), (10, 14), (11, 15))
_PENDING_BITS = ((12, USAGE_FAULT), (13, MEM_MANAGE), (14, BUS_FAULT), (15, SV_CALL))
_BYTE_ADDRESSED = (range(0x400, 0x4F0), range(0xD18, 0xD24))
"""NVIC_IPR and SHPR: a byte store changes one byte."""


class DebugRegisters(Protocol):
    """Who knows the debug registers of the page."""

    def read_debug(self, offset: int) -> int | None:
        """Value of one of them; None for another register."""
        ...

    def write_debug(self, offset: int, value: int) -> bool:
        """Write one of them; False for another register."""
        ...


class SystemControlSpace(RegisterBlock):
    """Registers of one :class:`Processor`."""

    registers = RegisterMap(
        "SCS",
        "Armv7-M ARM, B3.2 (system control space), B3.3 (SysTick), B3.4 (NVIC)",
        Register("ICTR", 0x004, access="r"),
        Register("ACTLR", 0x008),
        Register("SYST_CSR", 0x010),
        Register("SYST_RVR", 0x014),
        Register("SYST_CVR", 0x018),
        Register("SYST_CALIB", 0x01C, access="r"),
        Register("NVIC_ISER", 0x100, count=8),
        Register("NVIC_ICER", 0x180, count=8),
        Register("NVIC_ISPR", 0x200, count=8),
        Register("NVIC_ICPR", 0x280, count=8),
        Register("NVIC_IABR", 0x300, count=8, access="r"),
        Register("NVIC_IPR", 0x400, count=60),
        Register("CPUID", 0xD00, access="r"),
        Register("ICSR", 0xD04),
        Register("VTOR", 0xD08),
        Register("AIRCR", 0xD0C),
        Register("SCR", 0xD10),
        Register("CCR", 0xD14, reset=_STKALIGN),
        Register("SHPR", 0xD18, count=3),
        Register("SHCSR", 0xD24),
        Register("CFSR", 0xD28),
        Register("HFSR", 0xD2C),
        Register("DFSR", 0xD30),
        Register("MMFAR", 0xD34),
        Register("BFAR", 0xD38),
        Register("AFSR", 0xD3C),
        Register("CPACR", 0xD88),
        Register("MPU_TYPE", 0xD90, access="r"),
        Register("MPU_CTRL", 0xD94),
        Register("MPU_RNR", 0xD98),
        Register("MPU_RBAR", 0xD9C),
        Register("MPU_RASR", 0xDA0),
        Register("DHCSR", 0xDF0),
        Register("DCRSR", 0xDF4),
        Register("DCRDR", 0xDF8),
        Register("DEMCR", 0xDFC),
        Register("STIR", 0xF00, access="w"),
        Register("FPCCR", 0xF34, reset=_ASPEN | _LSPEN),
        Register("FPCAR", 0xF38),
        Register("FPDSCR", 0xF3C),
        Register("MVFR0", 0xF40, access="r"),
        Register("MVFR1", 0xF44, access="r"),
    )

    unsaved = RegisterBlock.unsaved | {"debug", "_identification"}

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._exceptions = processor.exceptions
        self.debug: DebugRegisters | None = None
        self._identification = ComponentPage(0x00C if processor.cortex == 4 else 0x000, CLASS_GENERIC)
        super().__init__()

    def read(self, offset: int, size_bytes: int) -> int:
        """As the bus asks."""
        word = offset & ~3
        if self.debug is not None and (value := self.debug.read_debug(word)) is not None:
            return value >> 8 * (offset & 3)
        if word >= 0xFD0:
            return self._identification.read(offset, size_bytes)
        return super().read(offset, size_bytes)

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """As the bus asks."""
        word = offset & ~3
        if size_bytes < 4 and any(word in places for places in _BYTE_ADDRESSED):
            shift = 8 * (offset & 3)
            mask = (1 << 8 * size_bytes) - 1 << shift
            value = super().read(word, 4) & ~mask | value << shift & mask
            offset, size_bytes = word, 4
        if self.debug is not None and self.debug.write_debug(word, value):
            return
        super().write(offset, size_bytes, value)
        self._processor.reconsider()

    # ---- SysTick ----------------------------------------------------------------------------------------------------

    def read_ictr(self) -> int:
        return (self._exceptions.external - 1) // 32

    def read_syst_csr(self) -> int:
        return self._processor.systick.read_control()

    def write_syst_csr(self, value: int) -> None:
        self._processor.systick.write_control(value)

    def read_syst_rvr(self) -> int:
        return self._processor.systick.reload

    def write_syst_rvr(self, value: int) -> None:
        self._processor.systick.write_reload(value)

    def read_syst_cvr(self) -> int:
        return self._processor.systick.value

    def write_syst_cvr(self, _value: int) -> None:
        self._processor.systick.clear()

    # ---- NVIC -------------------------------------------------------------------------------------------------------

    def _numbers(self, index: int, value: int) -> list[int]:
        first = FIRST_EXTERNAL + 32 * index
        return [first + bit for bit in range(32) if value >> bit & 1 and self._exceptions.exists(first + bit)]

    @staticmethod
    def _bits(index: int, numbers: set[int] | list[int]) -> int:
        first = FIRST_EXTERNAL + 32 * index
        return sum(1 << number - first for number in set(numbers) if first <= number < first + 32)

    def read_nvic_iser(self, index: int) -> int:
        return self._bits(index, self._exceptions.enabled)

    read_nvic_icer = read_nvic_iser

    def write_nvic_iser(self, index: int, value: int) -> None:
        self._exceptions.enabled.update(self._numbers(index, value))

    def write_nvic_icer(self, index: int, value: int) -> None:
        self._exceptions.enabled.difference_update(self._numbers(index, value))

    def read_nvic_ispr(self, index: int) -> int:
        return self._bits(index, self._exceptions.pending)

    read_nvic_icpr = read_nvic_ispr

    def write_nvic_ispr(self, index: int, value: int) -> None:
        for number in self._numbers(index, value):
            self._exceptions.pend(number)

    def write_nvic_icpr(self, index: int, value: int) -> None:
        for number in self._numbers(index, value):
            self._exceptions.unpend(number)

    def read_nvic_iabr(self, index: int) -> int:
        return self._bits(index, self._exceptions.active)

    def _priorities(self, first: int) -> int:
        return sum(self._exceptions.priorities.get(first + n, 0) << 8 * n for n in range(4))

    def _set_priorities(self, first: int, value: int) -> None:
        for n in range(4):
            if self._exceptions.exists(first + n):
                self._exceptions.set_priority(first + n, value >> 8 * n & 0xFF)

    def read_nvic_ipr(self, index: int) -> int:
        return self._priorities(FIRST_EXTERNAL + 4 * index)

    def write_nvic_ipr(self, index: int, value: int) -> None:
        self._set_priorities(FIRST_EXTERNAL + 4 * index, value)

    def read_shpr(self, index: int) -> int:
        return self._priorities(4 + 4 * index)

    def write_shpr(self, index: int, value: int) -> None:
        self._set_priorities(4 + 4 * index, value)

    def write_stir(self, value: int) -> None:
        number = FIRST_EXTERNAL + (value & 0x1FF)
        if self._exceptions.exists(number):
            self._exceptions.pend(number)

    # ---- system control block ---------------------------------------------------------------------------------------

    def read_cpuid(self) -> int:
        return CPUID[self._processor.cortex]

    def read_icsr(self) -> int:
        exceptions = self._exceptions
        pending = exceptions.candidate() or 0
        value = exceptions.active[-1] if exceptions.active else 0
        value |= pending << 12 | (len(set(exceptions.active)) <= 1) << 11
        value |= any(number >= FIRST_EXTERNAL for number in exceptions.pending) << 22
        value |= (SYS_TICK in exceptions.pending) << 26 | (PEND_SV in exceptions.pending) << 28
        return value | (NMI in exceptions.pending) << 31

    def write_icsr(self, value: int) -> None:
        exceptions = self._exceptions
        for bit, act, number in (
            (31, exceptions.pend, NMI), (28, exceptions.pend, PEND_SV), (27, exceptions.unpend, PEND_SV),
            (26, exceptions.pend, SYS_TICK), (25, exceptions.unpend, SYS_TICK),
        ):  # fmt: skip
            if value >> bit & 1:
                act(number)

    def read_vtor(self) -> int:
        return self._processor.unit.vector_table

    def write_vtor(self, value: int) -> None:
        self._processor.unit.vector_table = value & 0xFFFFFF80

    def read_aircr(self) -> int:
        return 0xFA050000 | self._exceptions.priority_grouping << 8

    def write_aircr(self, value: int) -> None:
        if value >> 16 != _VECTKEY:
            return
        self._exceptions.priority_grouping = value >> 8 & 7
        if value & 5:
            self._processor.request_reset()

    def write_scr(self, value: int) -> None:
        self.stored[0xD10] = value & 0x16
        self._exceptions.send_event_on_pend = bool(value & _SEVONPEND)
        self._processor.sleep_on_exit = bool(value & _SLEEPONEXIT)

    def write_ccr(self, value: int) -> None:
        self.stored[0xD14] = value & 0x31B
        self._processor.native.shared.align_to_8 = bool(value & _STKALIGN)
        self._processor.unit.thread_from_any_level = bool(value & _NONBASETHRDENA)

    def read_shcsr(self) -> int:
        exceptions = self._exceptions
        value = sum(1 << bit for bit, number in _FAULTS if number in exceptions.faults_enabled)
        value |= sum(1 << bit for bit, number in _ACTIVE_BITS if number in exceptions.active)
        return value | sum(1 << bit for bit, number in _PENDING_BITS if number in exceptions.pending)

    def write_shcsr(self, value: int) -> None:
        self._exceptions.faults_enabled = {number for bit, number in _FAULTS if value >> bit & 1}

    def read_cfsr(self) -> int:
        return self._processor.unit.status.configurable

    def write_cfsr(self, value: int) -> None:
        self._processor.unit.status.configurable &= ~value

    def read_hfsr(self) -> int:
        return self._processor.unit.status.hard

    def write_hfsr(self, value: int) -> None:
        self._processor.unit.status.hard &= ~value

    def read_mmfar(self) -> int:
        return self._processor.unit.status.memory_address

    def read_bfar(self) -> int:
        return self._processor.unit.status.bus_address

    def read_mpu_type(self) -> int:
        return 8 << 8

    # ---- floating point ---------------------------------------------------------------------------------------------

    def write_cpacr(self, value: int) -> None:
        has_fpu = self._processor.cortex == 4
        self.stored[0xD88] = value & _FPU_ON if has_fpu else 0
        self._processor.floating_point_on = has_fpu and value & _FPU_ON == _FPU_ON
        self._processor.attend()

    def write_fpccr(self, value: int) -> None:
        self.stored[0xF34] = value & (_ASPEN | _LSPEN)
        self._processor.native.shared.automatic_state = bool(value & _ASPEN)

    def read_mvfr0(self) -> int:
        return 0x10110021 if self._processor.cortex == 4 else 0

    def read_mvfr1(self) -> int:
        return 0x11000011 if self._processor.cortex == 4 else 0
