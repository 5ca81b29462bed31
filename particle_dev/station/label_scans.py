"""Scans of labels, on their way from whoever reads them to the unit whose label is asked for.

One slot is asked at a time, the one that waits longest, so that a scan cannot go to another unit than people think; an
operator may name another first. Whether the scan is right is not decided here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from particle_dev.errors import StepTimeoutError
from particle_dev.protocol.secret import Secret

LOOK_EVERY_S = 0.2
"""Between two looks whether the station is to stop."""


class LabelScans:
    """Slots that wait for the scan of their unit's label. Threads of slots wait in :meth:`wait`, any other thread may
    call the rest. Time is real time, whatever the boards' clocks do: a person scans."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._changed = threading.Condition()
        self._queue: list[str] = []
        self._scanned: dict[str, Secret[str]] = {}

    def wait(
        self,
        slot: str,
        limit_s: float,
        asked: Callable[[], None],
        check: Callable[[], None],
        *,
        again: bool = False,
    ) -> Secret[str]:
        """What was scanned for this slot. ``asked`` is called when it is its turn, which may happen again; ``check``
        raises when the station stops; with ``again`` no other slot comes before it. Raises StepTimeoutError ``limit_s``
        after its turn has begun."""
        with self._changed:
            self._queue.insert(0 if again else len(self._queue), slot)
        try:
            began_s: float | None = None
            while True:
                check()
                with self._changed:
                    if slot in self._scanned:
                        return self._scanned.pop(slot)
                    its_turn = self._queue[0] == slot
                if its_turn and began_s is None:
                    began_s = self._now_s()
                    asked()
                if not its_turn:
                    began_s = None
                elif began_s is not None and self._now_s() - began_s > limit_s:
                    raise StepTimeoutError(
                        f"nobody has scanned the label of slot {slot} in {limit_s:.0f} s",
                        step="label",
                        limit_s=limit_s,
                        hint="check printer and scanner; the limit stands in the recipe under [limits], label_s",
                    )
                with self._changed:
                    if slot not in self._scanned and (self._queue[0] == slot) == its_turn:
                        self._changed.wait(LOOK_EVERY_S)
        finally:
            with self._changed:
                self._queue.remove(slot)
                self._scanned.pop(slot, None)
                self._changed.notify_all()

    @property
    def asking(self) -> str | None:
        """The slot whose label is asked for now."""
        with self._changed:
            return next((slot for slot in self._queue if slot not in self._scanned), None)

    def turn_to(self, slot: str) -> bool:
        """Ask for the label of this slot first. False: it does not wait for one."""
        with self._changed:
            if slot not in self._queue or slot in self._scanned:
                return False
            self._queue.remove(slot)
            self._queue.insert(0, slot)
            self._changed.notify_all()
            return True

    def offer(self, text: str) -> str | None:
        """Take what a scanner read; the slot that it was asked for. None: no slot asks, and nothing is kept."""
        with self._changed:
            slot = next((slot for slot in self._queue if slot not in self._scanned), None)
            if slot is not None:
                self._scanned[slot] = Secret(text)
                self._changed.notify_all()
            return slot
