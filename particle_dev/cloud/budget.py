"""Budgets of data operations and cellular data: what a test costs, and when to stop before an account is paused.

Source: particle-iot/docs ``src/content/getting-started/billing/data-operations.md`` (DATAOPS) and
``…/cellular-data.md``; sizes of frames as observed there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import filelock

from particle_dev.cloud.grace import billing_month_start
from particle_dev.cloud.plans import Plan, blocks_needed
from particle_dev.errors import BudgetError, GuardStateError
from particle_dev.whole_file import write_whole

REFUSE_AT = 0.9
"""Share of a budget beyond which nothing is started. At 100 % a free account is paused until the end of its month."""
OPERATION_BYTES = 1024
"""An operation carries so much payload of an event. Source: DATAOPS; an older text counts one for any size."""
FUNCTION_ATTEMPTS = 3
"""A call that is not acknowledged is repeated so often, and each counts. Source: DATAOPS."""
EVENT_OVERHEAD_BYTES = 100
CALL_BYTES = 160
HANDSHAKE_BYTES = 6_000
KEEP_ALIVE_BYTES = 122
KEEP_ALIVE_PERIOD_S = 23 * 60
OTA_OVERHEAD = 0.1
"""Of a file, on top of it. Inference: chunks of 512 bytes with a CoAP frame of some 50."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an act costs at most: data operations, and bytes over the cellular network."""

    operations: int
    cellular_bytes: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.operations + other.operations, self.cellular_bytes + other.cellular_bytes)


NOTHING_SPENT = Cost(0, 0)


def cost_of_test(
    *,
    publishes_bytes: Sequence[int] = (),
    received_bytes: Sequence[int] = (),
    functions: int = 0,
    variables: int = 0,
    connections: int = 1,
    ota_bytes: int = 0,
    online_s: float = 0.0,
    is_cellular: bool = True,
) -> Cost:
    """The most that a test can cost: a payload size for each event it publishes and for each that a device subscribes
    to and gets, numbers of function calls and variable reads, connections, and the files that it gets over the air.

    System events, vitals, handshakes, keep-alives, updates over the air and REST calls cost no operations.
    """
    events = [*publishes_bytes, *received_bytes]
    operations = sum(max(1, -(-size // OPERATION_BYTES)) for size in events)
    operations += (functions + variables) * FUNCTION_ATTEMPTS
    if not is_cellular:
        return Cost(operations, 0)
    size_bytes = sum(size + EVENT_OVERHEAD_BYTES for size in events)
    size_bytes += (functions + variables) * FUNCTION_ATTEMPTS * CALL_BYTES
    size_bytes += connections * HANDSHAKE_BYTES
    size_bytes += int(online_s // KEEP_ALIVE_PERIOD_S) * KEEP_ALIVE_BYTES
    size_bytes += int(ota_bytes * (1 + OTA_OVERHEAD))
    return Cost(operations, size_bytes)


@dataclass(frozen=True, slots=True)
class Budget:
    """What an account may use in its present billing month, and what it has used. A limit of None: there is none that
    is known, as a contract sets it."""

    max_operations: int | None
    max_cellular_bytes: int | None
    spent: Cost = NOTHING_SPENT

    def require(self, cost: Cost) -> None:
        """Raise BudgetError when ``cost`` would lead beyond 90 % of a limit. Nothing is spent."""
        for what, limit, spent, more in (
            ("data operations", self.max_operations, self.spent.operations, cost.operations),
            ("bytes of cellular data", self.max_cellular_bytes, self.spent.cellular_bytes, cost.cellular_bytes),
        ):
            if limit is not None and more > 0 and spent + more > REFUSE_AT * limit:
                raise BudgetError(
                    f"{spent} {what} are used this month, {more} more would pass {REFUSE_AT:.0%} of {limit}",
                    resource=what,
                    spent=spent,
                    wanted=more,
                    limit=limit,
                    hint="wait for the next billing month, or raise the plan; at 100 % its devices are paused",
                )

    def after(self, cost: Cost) -> Budget:
        """The budget after ``cost`` was spent."""
        return Budget(self.max_operations, self.max_cellular_bytes, self.spent + cost)


def budget_of(plan: Plan, billable_devices: int = 0) -> Budget:
    """An unused budget of a plan; plans of blocks have that of one block at least."""
    blocks = max(1, blocks_needed(billable_devices)) if plan.is_per_block else 1
    return Budget(
        plan.operations * blocks if plan.operations is not None else None,
        plan.cellular_bytes * blocks if plan.cellular_bytes is not None else None,
    )


class BudgetBook:
    """What an account has spent in its billing month, in one small file that all stations of a site share. Costs are
    booked before the act, and what was not used is given back after it: a crash in between spends too much on paper,
    never too little.

    What others spend (the fleet in the field) is not in the book: ``usage`` tells limits and use of the whole account,
    as the cloud counts it. It counts late, so what is booked here comes on top: counted twice at worst, never too
    little. Without ``usage``, give it as ``base``. Raises GuardStateError when the file cannot be read or written.
    """

    def __init__(
        self, path: Path, budget: Budget, *, first_day: int = 1, usage: Callable[[], Budget] | None = None
    ) -> None:
        self.path = path
        self._budget = budget
        self._first_day = first_day
        self._usage = usage
        self._lock = filelock.FileLock(path.with_suffix(path.suffix + ".lock"), timeout=10)

    def spend(self, cost: Cost, at: datetime, base: Cost = NOTHING_SPENT) -> Budget:
        """Book a cost of the billing month of ``at``; the budget after that. BudgetError: nothing was booked. With
        ``usage`` also what that raises."""
        # Outside of the lock: the cloud may take its time.
        budget = self._usage() if self._usage is not None else self._budget
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                spent = self._spent(at)
                budget.after(base + spent).require(cost)
                self._write(at, spent + cost)
                return budget.after(base + spent + cost)
        except (OSError, filelock.Timeout) as error:
            raise self._failed(error) from error

    def give_back(self, cost: Cost, booked_at: datetime) -> None:
        """Take a booking of ``booked_at`` back, or the part of it that was certainly not spent. Nothing happens when
        another billing month has begun since: its book does not hold that booking."""
        try:
            with self._lock:
                spent = self._spent(booked_at)
                if NOTHING_SPENT in (cost, spent) or self._stored_month() != self._month(booked_at):
                    return
                left = Cost(
                    max(0, spent.operations - cost.operations), max(0, spent.cellular_bytes - cost.cellular_bytes)
                )
                self._write(booked_at, left)
        except (OSError, filelock.Timeout) as error:
            raise self._failed(error) from error

    def _stored_month(self) -> str:
        return str(json.loads(self.path.read_text(encoding="utf-8"))["month"])

    def spent(self, at: datetime) -> Cost:
        """What is booked for the billing month of ``at``."""
        try:
            return self._spent(at)
        except OSError as error:
            raise self._failed(error) from error

    def _spent(self, at: datetime) -> Cost:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return NOTHING_SPENT
        try:
            data = json.loads(content)
            month = str(data["month"])
            spent = Cost(int(data["operations"]), int(data["cellular_bytes"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise GuardStateError(
                f"{self.path} holds no budget: {error!r}",
                path=str(self.path),
                hint="look the account's usage up in the console, and delete the file",
            ) from error
        # A clock that was set back must not forget what was spent since.
        return spent if month >= self._month(at) else NOTHING_SPENT

    def _write(self, at: datetime, spent: Cost) -> None:
        data = {"month": self._month(at), "operations": spent.operations, "cellular_bytes": spent.cellular_bytes}
        write_whole(self.path, json.dumps(data).encode("utf-8"))

    def _month(self, at: datetime) -> str:
        return billing_month_start(at, self._first_day).date().isoformat()

    def _failed(self, error: Exception) -> GuardStateError:
        return GuardStateError(
            f"cannot keep {self.path}: {error}", path=str(self.path), hint="make room or give access"
        )
