"""Who is let in: everybody at the station itself, or people with a login."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from particle_dev.errors import ConfigError, JournalError
from particle_dev.station.web.access import LOCAL, NOBODY, Visitor
from particle_dev.station.web.audit import AuditLog
from particle_dev.station.web.sessions import SHIFT_S, Sessions, WrongLogins
from particle_dev.station.web.users import UserFile

REFUSALS_A_MINUTE = 10
"""As many are written down; a stranger must not fill the disk."""


class Admission:
    """``users`` None: nobody logs in, whoever reaches the page is at the station. ``names``: host names of this station
    beside addresses. ``secure``: the page is served over TLS. ``cookie``: its name, different for two pages of one
    host."""

    def __init__(
        self,
        audit: AuditLog,
        users: UserFile | None = None,
        names: frozenset[str] = frozenset({"localhost"}),
        *,
        secure: bool = False,
        cookie: str = "station",
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.audit = audit
        self.host_names = names
        self.cookie = cookie
        self.sessions = Sessions(now_s)
        self._users = users
        self._secure = secure
        self._wrong = WrongLogins(now_s)
        self._now_s = now_s
        self._lock = threading.Lock()
        self._refusals: list[float] = []

    @property
    def asks_for_login(self) -> bool:
        """Whether people log in here."""
        return self._users is not None

    def visitor(self, key: str) -> Visitor:
        """Who holds this cookie. A login ends when its user is removed or gets another token or role."""
        if self._users is None:
            return LOCAL
        session = self.sessions.get(key)
        if session is None:
            return NOBODY
        try:
            user = self._users.users().get(session.visitor.name)
        except ConfigError:
            return NOBODY
        if user is None or user.hash != session.credential or user.role is not session.visitor.role:
            self.sessions.end(key)
            return NOBODY
        return session.visitor

    def log_in(self, token: str, address: str, old_key: str) -> str | None:
        """Look at a token; the secret for a new cookie, None: it is nobody's, or there were too many wrong ones, or
        the users cannot be read."""
        if self._users is None or not self._wrong.allows(address):
            return None
        try:
            visitor = self._users.visitor(token)
            user = self._users.users().get(visitor.name) if visitor else None
        except ConfigError:
            return None
        if visitor is None or user is None:
            self._wrong.count(address)
            return None
        self.sessions.end(old_key)
        return self.sessions.begin(visitor, user.hash)

    def must_wait(self, address: str) -> bool:
        """Whether no token from there is looked at for a while."""
        return not self._wrong.allows(address)

    def set_cookie(self, key: str) -> str:
        """The header's value."""
        secure = "; Secure" if self._secure else ""
        return f"{self.cookie}={key}; Path=/; HttpOnly; SameSite=Strict; Max-Age={int(SHIFT_S)}{secure}"

    def refused(self, visitor: Visitor, address: str, path: str, reason: str) -> None:
        """Write down that a request was refused, as far as that may be written down."""
        with self._lock:
            now_s = self._now_s()
            self._refusals = [at for at in self._refusals if at > now_s - 60]
            if len(self._refusals) >= REFUSALS_A_MINUTE:
                return
            self._refusals.append(now_s)
        try:
            self.audit.note(visitor, address, "refused", path, result=reason)
        except JournalError:
            return  # Nothing was done that would have to be written down.
