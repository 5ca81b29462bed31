"""The cloud's time: the same as that of boards which have clocks of their own, never behind any of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from particle_harness.clock import Clock, RealClock, VirtualClock

LAST_YEAR = 8999
"""No cloud lives longer: what it knows of coming months has to be a date, too."""


class CloudClock:
    """``base``, or the latest of the clocks of joined boards where these are virtual."""

    def __init__(self, base: Clock | None = None) -> None:
        self.base = base or RealClock()
        self._followed: list[Clock] = []

    @property
    def is_virtual(self) -> bool:
        """Whether nobody waits on it."""
        return isinstance(self.base, VirtualClock)

    def follow(self, clock: Clock) -> None:
        """Never be behind this clock. A real clock needs no following."""
        if self.is_virtual and clock is not self.base and clock not in self._followed:
            self._followed.append(clock)

    def now_s(self) -> float:
        """POSIX seconds."""
        now_s = self.base.utc_now().timestamp()
        for clock in self._followed:
            now_s = max(now_s, clock.utc_now().timestamp())
        return now_s

    def sleep(self, duration_s: float) -> None:
        """Let time pass, counted from :meth:`now_s`."""
        if self.is_virtual:
            duration_s += self.now_s() - self.base.utc_now().timestamp()
        self.base.sleep(duration_s)

    def pass_at_once(self, duration_s: float) -> None:
        """Let time pass without waiting. A clock that knows no skipping stays. ValueError beyond the last year."""
        if not self.now_s() + duration_s < datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp():
            raise ValueError(f"the time of a simulated cloud ends with the year {LAST_YEAR}")
        if isinstance(self.base, MovableClock):
            self.base.skip(duration_s)
        elif self.is_virtual:
            self.sleep(duration_s)


class MovableClock(RealClock):
    """Real time, from which somebody may skip hours or months at once."""

    def __init__(self) -> None:
        super().__init__()
        self._skipped_s = 0.0

    def skip(self, duration_s: float) -> None:
        """Let that time have passed."""
        self._skipped_s += duration_s

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment."""
        return super().monotonic_s() + self._skipped_s

    def utc_now(self) -> datetime:
        """Real UTC, and what was skipped."""
        return super().utc_now() + timedelta(seconds=self._skipped_s)


def iso(at_s: float | None) -> str | None:
    """``2026-01-01T00:00:00.000Z``; None stays None."""
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def month_of(at_s: float) -> str:
    """``2026-01``."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m")
