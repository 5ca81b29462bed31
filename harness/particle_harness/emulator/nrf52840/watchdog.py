"""WDT: once started it cannot be stopped, and it resets the chip when nobody feeds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterMap

_CRV, _RREN = 0x504, 0x508
_FEED = 0x6E524635
_SLOW_HZ = 32768


class Watchdog(NrfPeripheral):
    """``bite``: what happens when it runs out. It and what is set in it survive resets of the core alone."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "WDT",
        "nRF52840 PS v1.7, 6.36 WDT",
        task("START", 0x000),
        event("TIMEOUT", 0x100),
        *INTERRUPTS,
        Register("RUNSTATUS", 0x400, access="r"),
        Register("REQSTATUS", 0x404, access="r"),
        Register("CRV", _CRV, reset=0xFFFFFFFF),
        Register("RREN", _RREN, reset=1),
        Register("CONFIG", 0x50C, reset=1),
        Register("RR", 0x600, access="w", count=8),
    )

    def __init__(self, timeline: Timeline, line: InterruptLine, wires: Wires, bite: Callable[[], None]) -> None:
        self.running = False
        self.wanted = 0
        self.alarm: Alarm | None = None
        self.bite = bite
        super().__init__(0x40010000, timeline, line, wires, "WDT")

    def reset(self) -> None:
        """Stopped."""
        super().reset()
        self.running = False
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def task_start(self) -> None:
        """It runs."""
        if not self.running:
            self.running = True
            self._reload()

    def _reload(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
        self.wanted = self.word(_RREN) & 0xFF
        duration_s = (self.word(_CRV) + 1) / _SLOW_HZ
        self.alarm = self.timeline.after(self.timeline.cycles_of(duration_s), self._run_out)

    def _run_out(self) -> None:
        self.alarm = None
        self.raise_event(0x100)
        self.bite()

    def read_runstatus(self) -> int:
        """Whether it runs."""
        return int(self.running)

    def read_reqstatus(self) -> int:
        """Reload registers that have not been written since the last reload."""
        return self.wanted

    def write_crv(self, value: int) -> None:
        """Fixed once it runs."""
        if not self.running:
            self.stored[_CRV] = value

    def write_rren(self, value: int) -> None:
        """Fixed once it runs."""
        if not self.running:
            self.stored[_RREN] = value

    def write_rr(self, index: int, value: int) -> None:
        """Feeds."""
        if value != _FEED:
            return
        self.wanted &= ~(1 << index)
        if self.running and not self.wanted:
            self._reload()
