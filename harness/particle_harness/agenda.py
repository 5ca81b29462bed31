"""What is to come on a board: it has no threads or timers, only a list of times that somebody looks at."""

from __future__ import annotations

Event = tuple[float, str, str]
"""Time on the board's clock, name, argument."""


class Agenda:
    """Sorts events by time, in the list that is kept with the board's state."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def add(self, at_s: float, name: str, argument: str = "") -> None:
        """Let something happen at ``at_s``."""
        self._events.append((at_s, name, argument))
        self._events.sort(key=lambda event: event[0])

    def cancel(self, names: tuple[str, ...]) -> None:
        """Forget every event of these names."""
        self._events[:] = [event for event in self._events if event[1] not in names]

    def shift(self, by_s: float) -> None:
        """Everything that is to come comes later by that."""
        self._events[:] = [(at_s + by_s, name, argument) for at_s, name, argument in self._events]

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()

    def next_due(self, now_s: float) -> Event | None:
        """Take out the first event whose time has come, or None."""
        return self._events.pop(0) if self._events and self._events[0][0] <= now_s else None
