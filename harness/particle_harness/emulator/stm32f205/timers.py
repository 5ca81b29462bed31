"""TIM1 to TIM14 as far as firmware counts, waits and dims with them: up-counting, update and compare events."""

from __future__ import annotations

from collections.abc import Mapping

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap

_CEN, _UDIS, _URS, _OPM = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_UIF, _UG = 1 << 0, 1 << 0
_COMPARE = range(1, 5)


class Timer(RegisterBlock):
    """One timer on a clock of ``clock_hz``. ``lines`` by event: ``update`` and ``compare``; often the same line.

    Capture, down-counting and slave modes are not there.
    """

    registers = RegisterMap(
        "TIM",
        "ST RM0033, General-purpose timers (TIM2 to TIM5), TIMx registers",
        Register("CR1", 0x00),
        Register("CR2", 0x04),
        Register("SMCR", 0x08),
        Register("DIER", 0x0C),
        Register("SR", 0x10),
        Register("EGR", 0x14, access="w"),
        Register("CCMR", 0x18, count=2),
        Register("CCER", 0x20),
        Register("CNT", 0x24),
        Register("PSC", 0x28),
        Register("ARR", 0x2C),
        Register("RCR", 0x30),
        Register("CCR", 0x34, count=4),
        Register("BDTR", 0x44),
        Register("DCR", 0x48),
        Register("DMAR", 0x4C),
        Register("OR", 0x50),
    )

    def __init__(
        self, name: str, timeline: Timeline, clock_hz: int, lines: Mapping[str, InterruptLine], *, bits: int = 16
    ) -> None:
        self._timeline = timeline
        self._clock_hz = clock_hz
        self._lines = dict(lines)
        self._top = (1 << bits) - 1
        self.alarm: Alarm | None = None
        super().__init__(name)

    def reset(self) -> None:
        """Stopped."""
        super().reset()
        self._seen = 0
        """Counts up to which events have been noted."""
        self.stored[0x2C] = self._top
        self.start_cycle = 0
        self.count = 0
        self.status = 0
        self._set_alarm(None)
        self._update()

    @property
    def running(self) -> bool:
        """Whether it counts."""
        return bool(self.stored[0x00] & _CEN)

    @property
    def _tick(self) -> float:
        """Cycles of the core per count."""
        return (self.stored[0x28] + 1) * self._timeline.frequency_hz / self._clock_hz

    @property
    def _period(self) -> int:
        return self.stored[0x2C] + 1

    def _counts(self) -> int:
        """Counts since the last time it stood at 0, not wrapped."""
        if not self.running:
            return self.count
        return self.count + int((self._timeline.cycles - self.start_cycle) / self._tick)

    def read_cnt(self) -> int:
        """The counter."""
        return self._counts() % self._period

    def write_cnt(self, value: int) -> None:
        """Set the counter."""
        self._catch_up()
        self._go_on_from(value)

    def write_cr1(self, value: int) -> None:
        """Start and stop."""
        count = self._caught_up()
        self.stored[0x00] = value
        self._go_on_from(count)

    def write_psc(self, value: int) -> None:
        """Prescaler, from now on."""
        count = self._caught_up()
        self.stored[0x28] = value & 0xFFFF
        self._go_on_from(count)

    def write_arr(self, value: int) -> None:
        """Highest count."""
        count = self._caught_up()
        self.stored[0x2C] = value & self._top
        self._go_on_from(count % self._period)

    def write_ccr(self, index: int, value: int) -> None:
        """Compare value of a channel."""
        self._catch_up()
        self.stored[0x34 + 4 * index] = value & self._top
        self._plan()

    def write_dier(self, value: int) -> None:
        """Which events interrupt."""
        self._catch_up()
        self.stored[0x0C] = value
        self._plan()
        self._update()

    def read_sr(self) -> int:
        """Events that have happened."""
        self._catch_up()
        return self.status

    def write_sr(self, value: int) -> None:
        """Zeros clear."""
        self._catch_up()
        self.status &= value
        self._update()

    def write_egr(self, value: int) -> None:
        """UG starts again from 0 with an update event; with URS, none that is flagged."""
        if value & _UG:
            self._catch_up()
            self._go_on_from(0)
            if not self.stored[0x00] & (_UDIS | _URS):
                self.status |= _UIF
            self._update()

    def _caught_up(self) -> int:
        """The counter, with all events until now noted: as long as the registers are those it has counted by."""
        self._catch_up()
        return self._counts() % self._period

    def _go_on_from(self, count: int) -> None:
        self.count, self.start_cycle = count, self._timeline.cycles
        self._seen = count
        self._plan()

    def _catch_up(self) -> None:
        if not self.running:
            return
        counts = self._counts()
        if counts <= self._seen:
            return
        period = self._period
        if counts // period > self._seen // period and not self.stored[0x00] & _UDIS:
            self.status |= _UIF
            if self.stored[0x00] & _OPM:
                self.stored[0x00] &= ~_CEN
                self.count = 0
        for channel in _COMPARE:
            compare = self.stored[0x30 + 4 * channel]
            if compare < period and (counts - compare) // period > (self._seen - compare) // period:
                self.status |= 1 << channel
        self._seen = counts
        self._update()

    def _plan(self) -> None:
        """Wake up at the next event that interrupts."""
        enabled = self.stored[0x0C]
        if not self.running or not enabled & 0x1F:
            self._set_alarm(None)
            return
        counts, period = self._counts(), self._period
        points = [0] if enabled & _UIF else []
        points += [self.stored[0x30 + 4 * channel] for channel in _COMPARE if enabled >> channel & 1]
        waits = [(point - counts - 1) % period + 1 for point in points if point < period]
        if not waits:
            self._set_alarm(None)
            return
        due = self.start_cycle + (counts - self.count + min(waits)) * self._tick
        self._set_alarm(max(1, int(due) + 1 - self._timeline.cycles))

    def _set_alarm(self, cycles: int | None) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
        self.alarm = None if cycles is None else self._timeline.after(cycles, self._due)

    def _due(self) -> None:
        self.alarm = None
        self._catch_up()
        self._plan()

    def _update(self) -> None:
        wanted = self.status & self.stored[0x0C]
        levels: dict[InterruptLine, bool] = {}
        for event, line in self._lines.items():
            mask = _UIF if event == "update" else 0x1E
            levels[line] = levels.get(line, False) or bool(wanted & mask)
        for line, level in levels.items():
            line.set(level)
