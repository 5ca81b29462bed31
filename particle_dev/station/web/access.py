"""Who may see and do what: one table for all routes. The page cannot be made when a route has no entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Role(IntEnum):
    """What a person may do; a higher role may do what the lower ones may."""

    NOBODY = 0
    """Not logged in."""
    OPERATOR = 1
    ENGINEER = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As users files have it: ``operator``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever sent a request. ``name``: for the audit log; empty where nobody logs in."""

    name: str
    role: Role


LOCAL = Visitor("", Role.ADMIN)
"""On loopback without users: whoever sits at the station."""
NOBODY = Visitor("", Role.NOBODY)

ROLES: Mapping[tuple[str, str], Role] = MappingProxyType(
    {
        ("GET", "/"): Role.OPERATOR,
        ("GET", "/events"): Role.OPERATOR,
        ("GET", "/pictures/{instruction}"): Role.OPERATOR,
        ("POST", "/lines"): Role.OPERATOR,
        ("POST", "/start"): Role.OPERATOR,
        ("POST", "/slots/{slot:path}/start"): Role.OPERATOR,
        ("POST", "/slots/{slot:path}/unlock"): Role.ENGINEER,
        ("POST", "/end"): Role.ENGINEER,
        ("GET", "/login"): Role.NOBODY,
        ("POST", "/login"): Role.NOBODY,
        ("POST", "/logout"): Role.NOBODY,
        ("POST", "/language"): Role.NOBODY,
        ("GET", "/units"): Role.OPERATOR,
        ("GET", "/units/{unit}"): Role.OPERATOR,
        ("GET", "/units/{unit}/report"): Role.ENGINEER,
        ("GET", "/units/{unit}/report.pdf"): Role.ENGINEER,
        ("GET", "/units/{unit}/record.json"): Role.ENGINEER,
        ("GET", "/units/{unit}/label.svg"): Role.ENGINEER,
        ("GET", "/runs/{run_id}"): Role.ENGINEER,
        ("GET", "/runs/{run_id}/unit"): Role.ENGINEER,
        ("GET", "/runs/{run_id}/report"): Role.ENGINEER,
        ("GET", "/runs/{run_id}/report.pdf"): Role.ENGINEER,
        ("GET", "/runs/{run_id}/record.json"): Role.ENGINEER,
        ("GET", "/runs/{run_id}/files/{sha256}"): Role.ENGINEER,
        ("GET", "/compare"): Role.ENGINEER,
        ("GET", "/statistics"): Role.ENGINEER,
        ("GET", "/static"): Role.NOBODY,
    }
)
"""The least role by method and path, as routes write it."""


def role_for(method: str, path: str) -> Role:
    """The least role that a route asks for. HEAD is as GET. KeyError: it has no entry, so it must not be served."""
    return ROLES["GET" if method == "HEAD" else method, path]
