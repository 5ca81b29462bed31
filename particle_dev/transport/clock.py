"""The real clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Time of this machine."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Block for ``duration_s`` seconds."""
        time.sleep(duration_s)

    def utc_now(self) -> datetime:
        """Time of day in UTC."""
        return datetime.now(UTC)
