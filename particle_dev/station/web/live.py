"""The run that the page shows: its events go in from the engine's threads, states come out for any number of browsers.

An event that goes in costs the engine one entry in a list: it is understood in the thread of the page. Of the progress
of a slot only the latest is kept until then, so that a page that is slow misses frames and holds nobody up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from particle_dev.station.events import EventType, StationEvent
from particle_dev.station.slot_states import RunStates, SlotState

ResultT = TypeVar("ResultT")
KEEP_UP_S = 1.0


class LiveRun:
    """States of a run, with a number for each change. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._inbox_lock = threading.Lock()
        self._inbox: list[StationEvent] = []
        self._progress_at: dict[str | None, int] = {}
        self._states_lock = threading.Lock()
        self._states = RunStates()
        self._version = 0
        self._slot_versions: dict[str, int] = {}
        self._closed = threading.Event()

    def take(self, event: StationEvent) -> None:
        """Learn of one event; returns at once."""
        with self._inbox_lock:
            if event.type == EventType.STEP_PROGRESS:
                position = self._progress_at.setdefault(event.slot, len(self._inbox))
                if position < len(self._inbox):
                    self._inbox[position] = event
                    return
            else:
                self._progress_at.pop(event.slot, None)
            self._inbox.append(event)

    def look(self, read: Callable[[RunStates], ResultT]) -> ResultT:
        """What ``read`` makes of the present states; it must keep none of them, they change."""
        with self._states_lock:
            self._understand()
            return read(self._states)

    def version(self) -> int:
        """Grows with each change."""
        with self._states_lock:
            self._understand()
            return self._version

    def changed(self, since: int, read: Callable[[SlotState], ResultT]) -> tuple[int, list[ResultT]]:
        """The present version, and what ``read`` makes of each slot that changed after version ``since``, in the order
        of the bench. 0 gives all slots."""
        with self._states_lock:
            self._understand()
            slots = [s for s in self._states.slots.values() if self._slot_versions.get(s.name, 1) > since]
            return self._version, [read(slot) for slot in slots]

    def keep_up(self) -> None:
        """Until it is closed, understand what has come in whether anybody looks or not: a shift has more events than
        should wait. For a thread of its own."""
        while not self._closed.wait(KEEP_UP_S):
            self.version()

    def cut_short(self) -> None:
        """The events are over, and not because the run has ended: what was being done was cut short."""
        with self._states_lock:
            self._understand()
            self._version += 1
            self._states.end_work()
            self._slot_versions = dict.fromkeys(self._states.slots, self._version)

    def close(self) -> None:
        """Nothing more will come: whoever follows may stop."""
        self._closed.set()

    @property
    def closed(self) -> bool:
        """Whether the page is being closed."""
        return self._closed.is_set()

    def _understand(self) -> None:
        with self._inbox_lock:
            events, self._inbox = self._inbox, []
            self._progress_at.clear()
        for event in events:
            self._version += 1
            slot = self._states.take(event)
            if slot is not None:
                self._slot_versions[slot.name] = self._version
            elif event.type in (EventType.RUN_STARTED, EventType.RUN_RESUMED):
                # All slots may be other ones now.
                self._slot_versions = dict.fromkeys(self._states.slots, self._version)
