"""The calendar of the manufacturing grace of enterprise plans, in both of its readings, and what counts in a month.

The plan says six months; one text means billing months, another months after the first connection. Which month is the
first, and how billing months are rounded, is not documented: both dates are given, and the earlier one is acted upon.

Source: particle-iot/docs ``src/content/scaling/quick-start-guide/billing.md``, "Device counts"; product pages.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from particle_dev.cloud.plans import CountsFrom, Plan

WARN_MONTHS = 5
"""After so many calendar months with a first connection a unit on the shelf is worth a word."""


def add_months(at: datetime, months: int) -> datetime:
    """The same day and time of a later (or earlier) month; the last day of it where it has no such day."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    return at.replace(year=year, month=month + 1, day=day)


def billing_month_start(at: datetime, first_day: int = 1) -> datetime:
    """Midnight (UTC) at which the billing month of ``at`` began, if billing months begin on ``first_day`` (1 to 31;
    the last day in months that have no such day)."""
    if not 1 <= first_day <= 31:
        raise ValueError(f"a month has no day {first_day}")
    at = at.astimezone(UTC)
    start = _day_of_month(at, 0, first_day)
    return start if start <= at else _day_of_month(at, -1, first_day)


def _day_of_month(at: datetime, months: int, day: int) -> datetime:
    first = add_months(at.replace(day=1, hour=0, minute=0, second=0, microsecond=0), months)
    return first.replace(day=min(day, calendar.monthrange(first.year, first.month)[1]))


@dataclass(frozen=True, slots=True)
class Grace:
    """When the grace of a device ends, by either reading; equal to ``since`` in plans without any."""

    since: datetime
    calendar_end: datetime
    """So many calendar months after the first connection."""
    billing_end: datetime
    """The end of as many billing months, the one of the first connection included."""

    @property
    def end(self) -> datetime:
        """The earlier of the two: from then on the device counts every month, as far as anybody can promise."""
        return min(self.calendar_end, self.billing_end)

    @property
    def warn_at(self) -> datetime:
        """From then on a unit that is not sold yet should be looked at."""
        return min(add_months(self.since, WARN_MONTHS), self.end)


def grace(plan: Plan, first_connected_at: datetime, first_day: int = 1) -> Grace:
    """The grace that a plan gives a device; ``first_day`` is that of its billing months."""
    at = first_connected_at.astimezone(UTC)
    if not plan.grace_months:
        return Grace(at, at, at)
    start = billing_month_start(at, first_day)
    # By way of a day that every month has, so that a short month on the way does not cut the days of a later one.
    end = _day_of_month(start.replace(day=1), plan.grace_months, first_day)
    return Grace(at, add_months(at, plan.grace_months), end)


class Counting(StrEnum):
    """Whether a device counts in one billing month."""

    COUNTS = "counts"
    FREE = "does not count"
    UNKNOWN = "unknown"


def counts_in_month(
    plan: Plan,
    month: datetime,
    *,
    is_member: bool | None,
    first_connected_at: datetime | None,
    connected_in_month: bool | None,
    sim_off_all_month: bool | None = None,
    first_day: int = 1,
) -> Counting:
    """Whether a device counts in the billing month that ``month`` lies in. None means not known, but a
    ``first_connected_at`` of None that it never connected: say UNKNOWN yourself where even that is not known.

    A device that was removed and whose SIM was released has ``is_member`` False.
    """
    if is_member is None:
        return Counting.UNKNOWN
    if not is_member:
        return Counting.FREE
    if plan.counts_from is CountsFrom.ADDED:
        return Counting.COUNTS
    start = billing_month_start(month, first_day)
    following = _day_of_month(start.replace(day=1), 1, first_day)
    if first_connected_at is None or first_connected_at >= following:
        return Counting.FREE
    if sim_off_all_month and plan.is_free_with_sim_off:
        return Counting.FREE
    end = grace(plan, first_connected_at, first_day)
    if start >= max(end.calendar_end, end.billing_end):
        return Counting.COUNTS
    if not plan.grace_months or connected_in_month:
        return Counting.COUNTS
    if following > end.end:
        return Counting.UNKNOWN
    return Counting.FREE if connected_in_month is False else Counting.UNKNOWN
