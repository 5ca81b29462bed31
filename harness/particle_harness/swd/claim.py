"""Who has a probe: one program at a time, as the operating system sees to for a probe on USB."""

from __future__ import annotations

import threading

_HANDOVER_S = 1.0
"""A program that was killed gives the probe back when its connection is seen to end."""


class Claim:
    """Of one probe, by whatever stands for a program: a connection."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holder: object | None = None

    def take(self, holder: object) -> bool:
        """Whether ``holder`` has the probe now. Waits for one that is about to give it back."""
        with self._changed:
            self._changed.wait_for(lambda: self._holder in (None, holder), _HANDOVER_S)
            if self._holder not in (None, holder):
                return False
            self._holder = holder
            return True

    def give_back(self, holder: object) -> None:
        """``holder`` does not use the probe any more; nothing happens if it did not have it."""
        with self._changed:
            if self._holder is holder:
                self._holder = None
                self._changed.notify_all()
