"""What each plan of Particle counts, allows and forgives: numbers with their sources, and the rules that follow.

Source: particle-iot/docs ``src/content/scaling/quick-start-guide/billing.md`` (BILL),
``src/content/getting-started/billing/data-operations.md`` (DATAOPS), ``…/cellular-data.md`` (CELL),
``…/migrating-to-basic.md`` (BASIC). Prices are not kept here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from particle_dev.errors import CapacityError

BLOCK_DEVICES = 100
"""Devices of one block of the basic plan, and of the free plan as a whole. Source: BASIC."""


class PlanName(StrEnum):
    """The plans. ``basic`` was called growth before."""

    FREE = "free"
    BASIC = "basic"
    ENTERPRISE = "enterprise"


class CountsFrom(StrEnum):
    """The event from which on a device counts."""

    ADDED = "added to the account or one of its products"
    FIRST_CONNECTION = "first connection to the cloud"


class OverLimit(StrEnum):
    """What happens beyond a limit."""

    PAUSED = "devices are paused until the end of the month"
    BLOCK_ADDED = "a block is added and stays until support lowers the number again"
    CONTRACT = "as the contract says"


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan. None stands for what a contract says, or, in ``max_devices``, for no limit.

    ``operations`` and ``cellular_bytes`` are pooled over the account, per ``period_months``; per block where
    ``is_per_block``. ``grace_months``: so many months after the first connection a device counts only in months in
    which it connects. ``is_free_with_sim_off``: a month in which its SIM was deactivated from the first to the last day
    does not count (documented for enterprise alone; nowhere in part).
    """

    name: PlanName
    counts_from: CountsFrom
    max_devices: int | None
    operations: int | None
    cellular_bytes: int | None
    is_per_block: bool
    period_months: int
    grace_months: int
    is_free_with_sim_off: bool
    over_limit: OverLimit
    source: str


PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            PlanName.FREE,
            CountsFrom.ADDED,
            max_devices=BLOCK_DEVICES,
            operations=100_000,
            cellular_bytes=100_000_000,
            is_per_block=False,
            period_months=1,
            grace_months=0,
            is_free_with_sim_off=False,
            over_limit=OverLimit.PAUSED,
            source="BILL, DATAOPS, CELL",
        ),
        Plan(
            PlanName.BASIC,
            CountsFrom.FIRST_CONNECTION,
            max_devices=None,
            operations=720_000,
            cellular_bytes=540_000_000,
            is_per_block=True,
            period_months=1,
            grace_months=0,
            is_free_with_sim_off=False,
            over_limit=OverLimit.BLOCK_ADDED,
            source="BASIC",
        ),
        Plan(
            PlanName.ENTERPRISE,
            CountsFrom.FIRST_CONNECTION,
            max_devices=None,
            operations=None,
            cellular_bytes=None,
            is_per_block=False,
            period_months=12,
            grace_months=6,
            is_free_with_sim_off=True,
            over_limit=OverLimit.CONTRACT,
            source="BILL",
        ),
    )
}


def blocks_needed(devices: int) -> int:
    """Blocks of the basic plan for so many devices that count."""
    return -(-devices // BLOCK_DEVICES)


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many devices an account has, and how many it may have.

    ``devices`` is over the whole account: its own devices and those of all products that its user owns, of every
    type. None: not known, then there is no room.
    """

    plan: Plan
    devices: int | None

    @property
    def room(self) -> int | None:
        """Devices that may still be added; None: no limit."""
        if self.plan.max_devices is None:
            return None
        return max(0, self.plan.max_devices - self.devices) if self.devices is not None else 0

    def require_room(self, more: int) -> None:
        """Raise CapacityError when ``more`` devices would be too many, or the present number is not known."""
        limit = self.plan.max_devices
        if limit is None:
            return
        if self.devices is None:
            raise CapacityError(
                f"how many devices the account has is not known, and its plan ({self.plan.name}) allows {limit}",
                devices=None,
                limit=limit,
                hint="read the account's devices and those of all its products first",
            )
        if self.devices + more > limit:
            raise CapacityError(
                f"{more} more devices would make {self.devices + more}; the plan ({self.plan.name}) allows {limit} "
                "over the whole account",
                devices=self.devices,
                limit=limit,
                hint="remove devices and release their SIMs, or move the product to an organization",
            )
