"""Virtual time of one chip: cycles of its core clock, and what happens at a later one."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

_FEW = 64


@dataclass(slots=True, eq=False)
class Alarm:
    """Something that is due at ``cycle``."""

    cycle: int
    call: Callable[[], None] | None

    def cancel(self) -> None:
        """Nothing happens then."""
        self.call = None


class Timeline:
    """``cycles`` only grows. Nothing here knows the host's clock: the same firmware and the same inputs give the same
    cycles."""

    def __init__(self, frequency_hz: int) -> None:
        self.frequency_hz = frequency_hz
        self.cycles = 0
        self.on_nearer: Callable[[int], None] | None = None
        """Told the cycle of each alarm as it is set, by a core that has been let run until a later one."""
        self._alarms: list[tuple[int, int, Alarm]] = []
        """A heap; of two alarms at the same cycle, the one that was set first comes first."""
        self._order = 0
        self._room = _FEW

    @property
    def now_s(self) -> float:
        """Seconds since the chip was made."""
        return self.cycles / self.frequency_hz

    def cycles_of(self, duration_s: float) -> int:
        """That long, in whole cycles."""
        return round(duration_s * self.frequency_hz)

    def after(self, cycles: int, call: Callable[[], None]) -> Alarm:
        """Have ``call`` called when so many cycles have passed; at once is the next time the core is between slices."""
        alarm = Alarm(self.cycles + max(0, cycles), call)
        self._order += 1
        if len(self._alarms) >= self._room:
            self._forget_cancelled()
        heapq.heappush(self._alarms, (alarm.cycle, self._order, alarm))
        if self.on_nearer is not None:
            self.on_nearer(alarm.cycle)
        return alarm

    def _forget_cancelled(self) -> None:
        """Firmware that sets a far time-out and cancels it, again and again, must not fill the heap."""
        self._alarms = [entry for entry in self._alarms if entry[2].call is not None]
        heapq.heapify(self._alarms)
        self._room = max(_FEW, 2 * len(self._alarms))

    @property
    def next_due(self) -> int | None:
        """Cycle of the next alarm."""
        alarms = self._alarms
        while alarms and alarms[0][2].call is None:
            heapq.heappop(alarms)
        return alarms[0][0] if alarms else None

    def run_due(self) -> None:
        """Call what is due by now. What that sets for now is called, too."""
        while (due := self.next_due) is not None and due <= self.cycles:
            call = heapq.heappop(self._alarms)[2].call
            if call is not None:
                call()

    def pass_until(self, cycle: int) -> None:
        """Let time pass without a core that runs; what is due by then is called at its time."""
        while (due := self.next_due) is not None and due <= cycle:
            self.cycles = max(self.cycles, due)
            self.run_due()
        self.cycles = max(self.cycles, cycle)

    def clear(self) -> None:
        """Power is off: nothing that was set happens."""
        self._alarms.clear()
