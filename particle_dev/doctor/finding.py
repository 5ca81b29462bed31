"""The outcome of one check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check ended. ``UNKNOWN`` is not a pass: the check could not be made here."""

    OK = "ok"
    NOTE = "note"
    """Works, and it is good to know."""
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """``subject`` is what was checked; ``fix`` what to type or do, empty when there is nothing to do."""

    subject: str
    status: Status
    message: str
    fix: str = ""
