"""When a device counts for billing, by plan.

Source: particle-iot/docs src/content/scaling/quick-start-guide/billing.md and getting-started/billing/.
How months of grace are counted is said in two ways there, so both can be asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

FREE_DEVICES = 100
FREE_DATA_OPERATIONS = 100_000
FREE_CELLULAR_BYTES = 100 * 1_000_000
GRACE_MONTHS = 6


class Plan(StrEnum):
    """What a payer has signed."""

    FREE = "free"
    BASIC = "basic"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class Counted:
    """What the rules ask about a device. Months are ``YYYY-MM``; None: not yet, or not any more."""

    plan: Plan
    added_month: str | None
    first_connected_month: str | None
    ended_month: str | None
    months_connected: tuple[str, ...] = ()


def starts_when_added(plan: Plan) -> bool:
    """Whether a device counts as soon as it is in a product or an account."""
    return plan is Plan.FREE


def counts_in(month: str, device: Counted, *, calendar_months: bool = False) -> bool:
    """Whether the payer's count of ``month`` has this device in it. ``calendar_months``: the six months of grace end
    six calendar months after the first connection, not with the sixth billing month."""
    if device.ended_month is not None and month > device.ended_month:
        return False
    if device.plan is Plan.FREE:
        return device.added_month is not None and device.added_month <= month
    start = device.first_connected_month
    if start is None or start > month:
        return False
    if device.plan is Plan.BASIC:
        return True
    last_of_grace = GRACE_MONTHS if calendar_months else GRACE_MONTHS - 1
    in_grace = month_number(month) - month_number(start) <= last_of_grace
    return month in device.months_connected if in_grace else True


def month_number(month: str) -> int:
    """Months since year 0."""
    year, number = month.split("-")
    return int(year) * 12 + int(number)


def blocks_of(plan: Plan, devices: int) -> int:
    """Blocks of 100 devices that a basic plan bills."""
    return -(-devices // 100) if plan is Plan.BASIC else 0


def has_room(plan: Plan, counted: int, more: int) -> bool:
    """Whether that many more devices may be added."""
    return plan is not Plan.FREE or counted + more <= FREE_DEVICES


def is_paused(plan: Plan, data_operations: int, cellular_bytes: int) -> bool:
    """Whether the month's allowance is used up."""
    return plan is Plan.FREE and (data_operations >= FREE_DATA_OPERATIONS or cellular_bytes >= FREE_CELLULAR_BYTES)


def data_operations_of(payload_sizes_bytes: Iterable[int]) -> int:
    """One for each started 1024 bytes of each payload."""
    return sum(max(1, -(-size // 1024)) for size in payload_sizes_bytes)
