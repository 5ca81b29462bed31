"""Rate limits by public IP or account, in sliding windows.

Source: particle-iot/docs src/content/reference/cloud-apis/api.md, "API rate limits". What 429 and 529 answer beside
their status is not documented.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from particle_harness.cloud.errors import ApiError


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``most`` in any ``window_s``."""

    most: int
    window_s: float
    status: int = 429


LIMITS: Mapping[str, Window] = {
    "requests": Window(10_000, 300.0),
    "oauth": Window(100, 300.0),
    "tokens": Window(100, 300.0),
    "users": Window(100, 300.0),
    "streams": Window(100, 300.0, status=529),
    "serials": Window(50, 3600.0),
}
MOST_OPEN_STREAMS = 100
MOST_FAILED_LOGINS = 10
LOGIN_BAN_S = 1800.0


class Limits:
    """Counts, and refuses. ``retry_after`` makes refusals carry that header, which is not documented."""

    def __init__(self, now_s: Callable[[], float], *, retry_after: bool = False) -> None:
        self._now_s = now_s
        self._retry_after = retry_after
        self._times: dict[tuple[str, str], deque[float]] = {}
        self._failed_logins: dict[str, int] = {}
        self._banned_until_s: dict[str, float] = {}
        self._open_streams: dict[str, int] = {}
        self.enabled = True

    def take(self, bucket: str, key: str) -> None:
        """Count one. Raises ApiError 429, or 529 for streams, when it is one too many; that one counts, too."""
        limit = LIMITS[bucket]
        times = self._times.setdefault((bucket, key), deque())
        now_s = self._now_s()
        while times and times[0] <= now_s - limit.window_s:
            times.popleft()
        times.append(now_s)
        if self.enabled and len(times) > limit.most:
            raise self._refusal(limit.status, times[0] + limit.window_s - now_s)

    def used(self, bucket: str, key: str) -> int:
        """How many are in the present window."""
        now_s = self._now_s()
        times = self._times.get((bucket, key), ())
        return sum(at > now_s - LIMITS[bucket].window_s for at in times)

    def most_used(self, bucket: str) -> int:
        """The fullest present window of all keys."""
        return max((self.used(name, key) for name, key in self._times if name == bucket), default=0)

    # -- logins ----------------------------------------------------------------------------------------------------

    def check_login(self, ip: str) -> None:
        """Raises ApiError 429 for an address that is banned."""
        left_s = self._banned_until_s.get(ip, 0.0) - self._now_s()
        if self.enabled and left_s > 0:
            raise self._refusal(429, left_s)

    def login_failed(self, ip: str) -> None:
        """Ten in a row ban the address."""
        self._failed_logins[ip] = self._failed_logins.get(ip, 0) + 1
        if self._failed_logins[ip] >= MOST_FAILED_LOGINS:
            self._banned_until_s[ip] = self._now_s() + LOGIN_BAN_S
            self._failed_logins[ip] = 0

    def login_succeeded(self, ip: str) -> None:
        """Counting starts again."""
        self._failed_logins.pop(ip, None)

    # -- streams ---------------------------------------------------------------------------------------------------

    def open_stream(self, ip: str) -> None:
        """Count an open stream. Raises ApiError 529 when there are 100 already, or 100 opens in five minutes."""
        self.take("streams", ip)
        if self.enabled and self._open_streams.get(ip, 0) >= MOST_OPEN_STREAMS:
            raise self._refusal(529, 60.0)
        self._open_streams[ip] = self._open_streams.get(ip, 0) + 1

    def close_stream(self, ip: str) -> None:
        """It is closed."""
        self._open_streams[ip] = max(0, self._open_streams.get(ip, 0) - 1)

    def _refusal(self, status: int, after_s: float) -> ApiError:
        text = "Too many requests" if status == 429 else "Too many connections"
        return ApiError(status, text, retry_after_s=int(after_s) + 1 if self._retry_after else None)
