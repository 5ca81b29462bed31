"""Who is logged in, and what keeps strangers from trying tokens. Kept in memory: a restart asks again."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from particle_dev.station.web.access import Visitor

SHIFT_S = 12 * 3600.0
"""A login lasts a shift."""
MOST_SESSIONS = 1000
WRONG_LOGINS = 5
"""Wrong tokens from one address within :data:`WINDOW_S`; then none is looked at until the window has passed."""
WRONG_LOGINS_IN_ALL = 60
WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Session:
    """One login. ``credential``: the hash of the token it was made with, so that it ends with that."""

    visitor: Visitor
    credential: str
    ends_s: float


class Sessions:
    """Logins by the secret in the browser's cookie. From any thread."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._secret = secrets.token_bytes(32)

    def begin(self, visitor: Visitor, credential: str) -> str:
        """A new login; returns the secret for the cookie. The oldest one ends where there are too many."""
        key = new_key()
        with self._lock:
            self._drop_old()
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[key] = Session(visitor, credential, self._now_s() + SHIFT_S)
        return key

    def get(self, key: str) -> Session | None:
        """The login of a cookie, while it lasts."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None or session.ends_s <= self._now_s():
                return None
            return session

    def end(self, key: str) -> None:
        """Log out."""
        with self._lock:
            self._sessions.pop(key, None)

    def form_token(self, key: str) -> str:
        """What every form and request of a browser must carry to change anything: other sites do not know it."""
        return hmac.new(self._secret, key.encode(), sha256).hexdigest()

    def is_form_token(self, key: str, token: str) -> bool:
        """Whether this browser was given that."""
        return hmac.compare_digest(self.form_token(key).encode(), token.encode("utf-8", "replace"))

    def _drop_old(self) -> None:
        now_s = self._now_s()
        self._sessions = {key: s for key, s in self._sessions.items() if s.ends_s > now_s}


def new_key() -> str:
    """The secret of a cookie."""
    return secrets.token_urlsafe(32)


class WrongLogins:
    """Counts wrong tokens, by address and in all. From any thread."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._times: deque[tuple[float, str]] = deque()

    def allows(self, address: str) -> bool:
        """Whether a token from this address is looked at now."""
        with self._lock:
            self._forget()
            own = sum(1 for _, a in self._times if a == address)
            return own < WRONG_LOGINS and len(self._times) < WRONG_LOGINS_IN_ALL

    def count(self, address: str) -> None:
        """One more was wrong."""
        with self._lock:
            self._forget()
            self._times.append((self._now_s(), address))

    def _forget(self) -> None:
        while self._times and self._times[0][0] <= self._now_s() - WINDOW_S:
            self._times.popleft()
