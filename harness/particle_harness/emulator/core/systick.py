"""SysTick: a 24-bit counter of core cycles that counts down, reloads and asks for its exception.

Source: Armv7-M Architecture Reference Manual, B3.3.
"""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.emulator.core.timeline import Alarm, Timeline

ENABLE, TICKINT, CLKSOURCE, COUNTFLAG = 1, 2, 4, 1 << 16
_COUNTER = 0xFFFFFF


class SysTick:
    """``on_wrap`` is called each time the counter reaches 0 with TICKINT set. The external clock, where CLKSOURCE is 0,
    is ``external_divider`` times slower than the core."""

    def __init__(self, timeline: Timeline, on_wrap: Callable[[], None], external_divider: int = 8) -> None:
        self._timeline = timeline
        self._on_wrap = on_wrap
        self._external_divider = external_divider
        self._alarm: Alarm | None = None
        self._alarm_cycle = 0
        self.control = self.reload = 0
        self._value = 0
        self._since = 0

    def reset(self) -> None:
        """As after a reset."""
        self._cancel()
        self.control = self.reload = self._value = 0

    @property
    def _cycles_per_count(self) -> int:
        return 1 if self.control & CLKSOURCE else self._external_divider

    @property
    def value(self) -> int:
        """SYST_CVR."""
        if not self.control & ENABLE:
            return self._value
        if self._timeline.cycles < self._since:
            # The count at 0, before it is loaded.
            return 0
        counts = (self._timeline.cycles - self._since) // self._cycles_per_count
        return max(0, self._value - counts)

    def read_control(self) -> int:
        """SYST_CSR; reading clears COUNTFLAG."""
        value = self.control
        self.control &= ~COUNTFLAG
        return value

    def write_control(self, value: int) -> None:
        """SYST_CSR."""
        self._value = self.value
        self.control = self.control & COUNTFLAG | value & 7
        self._count_on()

    def write_reload(self, value: int) -> None:
        """SYST_RVR: what the counter starts from the next time; 0 stops it there."""
        self.reload = value & _COUNTER
        if self.control & ENABLE and self._alarm is None:
            self._count_on()

    def clear(self) -> None:
        """Any write to SYST_CVR: 0, without an exception; it reloads at the next count."""
        self._value = 0
        self.control &= ~COUNTFLAG
        self._count_on()

    def _count_on(self) -> None:
        """From ``_value``, now."""
        self._cancel()
        self._since = self._timeline.cycles
        if not self.control & ENABLE:
            return
        if self._value == 0:
            if self.reload == 0:
                return
            # The count after 0 loads the counter.
            self._value = self.reload
            self._since += self._cycles_per_count
        self._set_alarm(self._since + self._value * self._cycles_per_count)

    def _set_alarm(self, cycle: int) -> None:
        self._alarm_cycle = cycle
        self._alarm = self._timeline.after(cycle - self._timeline.cycles, self._wrap)

    def _wrap(self) -> None:
        self._alarm = None
        self.control |= COUNTFLAG
        self._since = self._alarm_cycle + self._cycles_per_count
        self._value = self.reload
        if self.reload:
            self._set_alarm(self._since + self._value * self._cycles_per_count)
        if self.control & TICKINT:
            self._on_wrap()

    def _cancel(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
