"""Two clocks: one that waits and one that only says it did."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_UTC_ZERO = datetime(2026, 1, 1, tzinfo=UTC)
"""Fixed, so that the time of day goes on where it was when a board is taken up again."""


class VirtualClock:
    """A clock of its own: :meth:`sleep` moves it at once and nobody waits.

    One per slot, so that a thread that sleeps does not move another thread's board.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        self._lock = threading.Lock()

    def monotonic_s(self) -> float:
        """Seconds on this clock."""
        with self._lock:
            return self._now_s

    def sleep(self, duration_s: float) -> None:
        """Move this clock forward; returns at once."""
        with self._lock:
            self._now_s += max(0.0, duration_s)

    def utc_now(self) -> datetime:
        """UTC that belongs to :meth:`monotonic_s`."""
        return _UTC_ZERO + timedelta(seconds=self.monotonic_s())


_SHORTEST_SLEEP_S = 0.001


class RealClock:
    """``time.monotonic`` and ``time.sleep``, never earlier than ``not_before_s``.

    ``not_before_s`` is the last reading of a former process: boards whose state was kept never see time run back,
    not even after a restart of the machine.
    """

    def __init__(self, not_before_s: float = 0.0) -> None:
        self._shift_s = max(0.0, not_before_s - time.monotonic())
        self._owed_s = 0.0

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic() + self._shift_s

    def sleep(self, duration_s: float) -> None:
        """Wait. Moments that the system's timer cannot measure add up, and what it overslept is made good."""
        self._owed_s += max(0.0, duration_s)
        if self._owed_s >= _SHORTEST_SLEEP_S:
            start_s = time.monotonic()
            time.sleep(self._owed_s)
            self._owed_s -= time.monotonic() - start_s

    def utc_now(self) -> datetime:
        """Present UTC."""
        return datetime.now(UTC)


class Clock(Protocol):
    """Either of them, or one that a medium keeps."""

    def monotonic_s(self) -> float:
        """Seconds on this clock."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Let time pass."""
        ...

    def utc_now(self) -> datetime:
        """UTC that belongs to :meth:`monotonic_s`."""
        ...
