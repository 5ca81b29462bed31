"""The debug registers of a Cortex-M core: halting, stepping, core registers, breakpoints.

What runs when nobody halts the core is up to the classes that extend :class:`DebugUnit`.

Source: Armv7-M Architecture Reference Manual, C1.6 (debug registers), C1.11 (flash patch and breakpoint unit).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from particle_harness.swd.bus import Bus
from particle_harness.swd.coresight import CLASS_DEBUG, CLASS_GENERIC, ROM_TABLE_ADDRESS, ComponentPage, rom_table
from particle_harness.swd.engine import Engine

C_DEBUGEN, C_HALT, C_MASKINTS = 1, 2, 8
VC_CORERESET = 1
DFSR_HALTED, DFSR_BKPT, DFSR_VCATCH = 1, 2, 8
_DFSR = 0xD30
_DHCSR, _DCRSR, _DCRDR, _DEMCR = 0xDF0, 0xDF4, 0xDF8, 0xDFC
_C_STEP = 4
_DBGKEY = 0xA05F
_BREAKPOINTS = 6


class DebugUnit(ABC):
    """Debug registers of one core on ``bus``, whose registers are those of ``engine``.

    ``halted``: a debugger holds the core. ``lockup``: it stopped for good until a reset or a debugger's halt.
    """

    def __init__(self, bus: Bus, cortex: int, engine: Engine) -> None:
        self.bus = bus
        self.cortex = cortex
        self._engine = engine
        self.rom_table = rom_table(0x43B, 0x4C4 if cortex == 4 else 0x4C3)
        self.halted = False
        self._was_reset = True
        self.dhcsr = 0
        self._demcr = self._dfsr = self._dcrdr = 0
        bus.add_peripheral(0xE0002000, BreakpointUnit(self))
        bus.add_peripheral(0xE0000000, ComponentPage(0x001, CLASS_GENERIC))
        bus.add_peripheral(0xE0040000, ComponentPage(0x9A1 if cortex == 4 else 0x923, CLASS_DEBUG, device_type=0x11))
        bus.add_peripheral(0xE0041000, ComponentPage(0x925 if cortex == 4 else 0x924, CLASS_DEBUG, device_type=0x13))
        bus.add_peripheral(ROM_TABLE_ADDRESS, self.rom_table)

    # ---- what runs --------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def is_locked_up(self) -> bool:
        """S_LOCKUP."""

    @property
    @abstractmethod
    def is_sleeping(self) -> bool:
        """S_SLEEP."""

    @abstractmethod
    def catch_up(self, *, polled: bool) -> None:
        """Let the core run as long as the debugger's last access took. ``polled``: it asked whether the core halted."""

    @abstractmethod
    def step(self) -> None:
        """One instruction, then halt."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the core; it halts at its first instruction when the debugger asked for that (VC_CORERESET)."""

    @abstractmethod
    def set_breakpoints(self, addresses: set[int]) -> None:
        """Halt before the instructions at these addresses."""

    @abstractmethod
    def _halt(self, reason: int) -> None:
        """Stand still. ``reason``: bits of DFSR."""

    @abstractmethod
    def _resume(self) -> None:
        """Go on."""

    def _lose_debug_registers(self) -> None:
        self.dhcsr = self._demcr = self._dfsr = self._dcrdr = 0

    @property
    def _catches_reset(self) -> bool:
        return bool(self.dhcsr & C_DEBUGEN and self._demcr & VC_CORERESET)

    # ---- registers --------------------------------------------------------------------------------------------------

    def read_dhcsr(self) -> int:
        """Debug halting control and status; reading it lets the core run and clears S_RESET_ST."""
        self.catch_up(polled=True)
        value = self.dhcsr & (C_DEBUGEN | _C_STEP | C_MASKINTS) | (C_HALT if self.halted else 0) | 1 << 16
        value |= self.halted << 17 | self.is_sleeping << 18 | self.is_locked_up << 19
        value |= (not self.halted) << 24 | self._was_reset << 25
        self._was_reset = False
        return value

    def write_dhcsr(self, value: int) -> None:
        """As the debugger orders; without the key nothing happens."""
        if value >> 16 != _DBGKEY:
            return
        self.dhcsr = value & 0x2F
        if not value & C_DEBUGEN:
            self.dhcsr = 0
            if self.halted:
                self._resume()
        elif value & C_HALT:
            if not self.halted:
                self._halt(DFSR_HALTED)
        elif self.halted:
            if value & _C_STEP:
                self.halted = False
                self.step()
            else:
                self._resume()

    def read_debug(self, offset: int) -> int | None:
        """A debug register of the system control space, None for another."""
        if offset == _DHCSR:
            return self.read_dhcsr()
        return {_DCRDR: self._dcrdr, _DEMCR: self._demcr, _DFSR: self._dfsr}.get(offset)

    def write_debug(self, offset: int, value: int) -> bool:
        """Write such a register; False for another."""
        if offset == _DHCSR:
            self.write_dhcsr(value)
        elif offset == _DCRSR:
            number = value & 0x7F
            if value & 0x10000:
                self._engine.set_register(number, self._dcrdr)
            else:
                self._dcrdr = self._engine.register(number)
        elif offset == _DCRDR:
            self._dcrdr = value
        elif offset == _DEMCR:
            self._demcr = value
        elif offset == _DFSR:
            self._dfsr &= ~value
        else:
            return False
        return True


class BreakpointUnit(ComponentPage):
    """Flash patch and breakpoint unit, version 1: six comparators for code below 0x20000000."""

    def __init__(self, core: DebugUnit) -> None:
        super().__init__(0x003, CLASS_GENERIC)
        self._core = core
        self._enabled = False

    def read_word(self, offset: int) -> int:
        """FP_CTRL tells the number of comparators."""
        return 0x200 | _BREAKPOINTS << 4 | self._enabled if offset == 0 else super().read_word(offset)

    def write_word(self, offset: int, value: int) -> None:
        """Arm or disarm; FP_CTRL needs its key bit."""
        if offset == 0:
            if value & 2:
                self._enabled = bool(value & 1)
        else:
            super().write_word(offset, value)
        addresses: set[int] = set()
        for n in range(_BREAKPOINTS if self._enabled else 0):
            comparator = super().read_word(8 + 4 * n)
            if comparator & 1:
                word = comparator & 0x1FFFFFFC
                addresses |= {word} if comparator >> 30 & 1 else set()
                addresses |= {word + 2} if comparator >> 31 & 1 else set()
        self._core.set_breakpoints(addresses)
