"""A Cortex-M core whose firmware is a model and whose flash algorithms are executed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from particle_harness.swd.bus import Bus
from particle_harness.swd.coresight import CLASS_GENERIC, ComponentPage
from particle_harness.swd.cpu import Cpu, Stop
from particle_harness.swd.debug_unit import C_DEBUGEN, C_HALT, DFSR_BKPT, DFSR_HALTED, DFSR_VCATCH, DebugUnit

CPUID = {3: 0x412FC230, 4: 0x410FC241, 23: 0x411CD200, 33: 0x410FD213}
"""Cortex-M3 r2p0, Cortex-M4 r0p1, Cortex-M23 r1p0, Cortex-M33 r0p3."""
_AIRCR, _ICSR, _VTOR, _CPUID = 0xD0C, 0xD04, 0xD08, 0xD00
_MVFR0, _MVFR1 = 0xF40, 0xF44
_VECTKEY = 0x5FA
_SLICE_INSTRUCTIONS = 4_000
_POLL_SLICES = 25
"""How much a core may run while the debugger asks whether it has halted, where no time is modelled."""
_RAM = range(0x20000000, 0x40000000)


class Firmware(Protocol):
    """What runs from flash when nobody halts it: the virtual board."""

    def run(self) -> None:
        """The core leaves reset, or goes on, with flash as it is now."""
        ...

    def halt(self) -> None:
        """The core stands still; timers and radio may go on."""
        ...


class Idle:
    """Firmware that does nothing that anybody sees: what lies in flash is not executed."""

    def run(self) -> None:
        """It runs."""

    def halt(self) -> None:
        """It stands."""


class CoreTime(Protocol):
    """Lets the core run as long as the wire has taken. Without one, cores run as fast as they are asked."""

    def budget_instructions(self) -> int:
        """Instructions that the core may still execute to catch up with the wire; 0 when it has."""
        ...

    def spend(self, instructions: int) -> None:
        """The core has executed that many."""
        ...

    def core_starts(self) -> None:
        """The core stood still until now."""
        ...


class Core(DebugUnit):
    """One core with its debug registers on ``bus``.

    Code that a debugger starts in RAM is executed. From flash runs ``firmware``, where there is one, as a model;
    without one, flash is executed too. ``on_reset`` is called at each reset before the core fetches its vectors.
    ``lockup_resets``: the chip resets a core that locks up while nobody debugs it. A core that locks up at its first
    instruction stays there, as it would reset for ever.
    """

    def __init__(self, bus: Bus, cortex: int, on_reset: Callable[[], None], *, lockup_resets: bool = False) -> None:
        self.cpu = Cpu(bus, cortex)
        super().__init__(bus, cortex, self.cpu)
        self.firmware: Firmware | None = None
        self.time: CoreTime | None = None
        self.after_reset: Callable[[], None] | None = None
        """Told at each reset, before the firmware runs or the core halts."""
        self.hangs: Callable[[], bool] | None = None
        """Whether the code in RAM that starts now never ends: a fault put in."""
        self._on_reset = on_reset
        self._lockup_resets = lockup_resets
        self.lockup = False
        self._sleeping = self._hung = False
        self._firmware_runs = False
        self._running_slice = False
        self._reset_wanted = False
        self._entry = 0
        self._vtor = 0
        bus.add_peripheral(0xE000E000, DebuggedControlSpace(self))
        bus.add_peripheral(0xE0001000, ComponentPage(0x002, CLASS_GENERIC))

    @property
    def is_locked_up(self) -> bool:
        """S_LOCKUP."""
        return self.lockup

    @property
    def is_sleeping(self) -> bool:
        """S_SLEEP."""
        return self._sleeping

    def set_breakpoints(self, addresses: set[int]) -> None:
        """Halt before the instructions at these addresses."""
        self.cpu.set_breakpoints(addresses)

    # ---- resets and running -----------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Power was off: debug registers are lost."""
        self.power_off()
        self.reset()

    def power_off(self) -> None:
        """Nothing runs, and nobody is told."""
        self._lose_debug_registers()
        self._firmware_runs = self.halted = False

    def adopt(self, firmware: Firmware, *, runs: bool, halted: bool) -> None:
        """Take over a board whose firmware is at work already, or that a debugger left halted."""
        self.firmware, self._firmware_runs, self.halted = firmware, runs and not halted, halted
        self.dhcsr = C_DEBUGEN | C_HALT if halted else 0
        if halted:
            self.lockup = False

    def lock_up(self) -> None:
        """What it ran has gone from under it."""
        self._stop_firmware()
        if not self.halted:
            self.lockup = True

    def reset(self) -> None:
        """Reset the core; it halts at its first instruction when the debugger asked for that (VC_CORERESET)."""
        self._firmware_runs = False
        self._on_reset()
        if self.after_reset is not None:
            self.after_reset()
        self._was_reset, self._sleeping, self._hung, self._vtor = True, False, False, 0
        stack_pointer, entry = struct.unpack("<II", self.bus.read(0, 8))
        self.cpu.reset_registers(stack_pointer, entry)
        self._entry = self.cpu.program_counter
        # An erased chip has no Thumb entry point: the first fetch faults, and so does its handler's.
        self.lockup = not entry & 1 or entry >= 0xF0000000
        self.halted = False
        if self._catches_reset:
            self._halt(DFSR_VCATCH)
        else:
            self._resume()

    def _halt(self, reason: int) -> None:
        self._stop_firmware()
        self.halted, self.lockup, self._sleeping, self._hung = True, False, False, False
        self._dfsr |= reason

    def _resume(self) -> None:
        self.halted = False
        if self.time is not None:
            self.time.core_starts()
        in_ram = self.cpu.program_counter in _RAM and self.cpu.program_counter != self._entry
        runs_model = self.firmware is not None and not in_ram
        if self.firmware is not None and runs_model and not self._firmware_runs:
            self._firmware_runs = True
            self.firmware.run()
        elif self.hangs is not None and in_ram:
            self._hung = self.hangs()

    def _stop_firmware(self) -> None:
        if self.firmware is not None and self._firmware_runs:
            self._firmware_runs = False
            self.firmware.halt()

    def step(self) -> None:
        """One instruction, then halt."""
        self._after(self.cpu.run(1))
        self._halt(DFSR_HALTED)

    def catch_up(self, *, polled: bool) -> None:
        """Let the core run as long as the debugger's last access took. ``polled``: it asked whether the core halted."""
        if self._running_slice or not self._executes():
            return
        if self.time is not None:
            while self._executes() and (budget := self.time.budget_instructions()) > 0:
                self._slice(min(budget, _SLICE_INSTRUCTIONS))
            return
        for _ in range(_POLL_SLICES if polled else 1):
            if not self._executes():
                return
            self._slice(_SLICE_INSTRUCTIONS)

    def _executes(self) -> bool:
        return not (self.halted or self.lockup or self._sleeping or self._hung or self._firmware_runs)

    def _slice(self, instructions: int) -> None:
        self._running_slice = True
        try:
            stop = self.cpu.run(instructions)
        finally:
            self._running_slice = False
        if self.time is not None:
            self.time.spend(instructions)
        self._after(stop)

    def _after(self, stop: Stop) -> None:
        if self._reset_wanted:
            self._reset_wanted = False
            self.reset()
        elif stop is Stop.BREAKPOINT and self.dhcsr & C_DEBUGEN:
            self._halt(DFSR_BKPT)
        elif stop is Stop.SLEEP:
            self._sleeping = True
        elif stop in (Stop.FAULT, Stop.BREAKPOINT):
            # Faults are not modelled: a debugger that catches them sees a halted core, anybody else a locked one.
            if self.dhcsr & C_DEBUGEN and self._demcr & 0x7F0:
                self._halt(DFSR_VCATCH)
            elif self._lockup_resets and not self.dhcsr & C_DEBUGEN:
                self.reset()
            else:
                self.lockup = True

    # ---- registers --------------------------------------------------------------------------------------------------

    def read_control(self, offset: int) -> int | None:
        """A register of the system control space that lives here, None for another."""
        debug = self.read_debug(offset)
        if debug is not None:
            return debug
        return {
            _CPUID: CPUID[self.cortex],
            _VTOR: self._vtor,
            _AIRCR: 0xFA050000,
            _ICSR: 0,
            _MVFR0: 0x10110021 if self.cortex == 4 else 0,
            _MVFR1: 0x11000011 if self.cortex == 4 else 0,
        }.get(offset)

    def write_control(self, offset: int, value: int) -> bool:
        """Write such a register; False for another."""
        if self.write_debug(offset, value):
            return True
        if offset == _VTOR:
            self._vtor = value & ~0x7F
        elif offset == _AIRCR:
            if value >> 16 == _VECTKEY and value & 5:
                self._request_reset()
        else:
            return False
        return True

    def _request_reset(self) -> None:
        if self._running_slice:
            self._reset_wanted = True
        else:
            self.reset()


class DebuggedControlSpace(ComponentPage):
    """0xE000E000: debug registers act, the others read back what was written."""

    def __init__(self, core: Core) -> None:
        super().__init__(0x00C if core.cortex == 4 else 0x000, CLASS_GENERIC)
        self._core = core

    def read_word(self, offset: int) -> int:
        """A register of the core, or what was stored."""
        value = self._core.read_control(offset)
        return super().read_word(offset) if value is None else value

    def write_word(self, offset: int, value: int) -> None:
        """To the core, or stored."""
        if not self._core.write_control(offset, value):
            super().write_word(offset, value)
