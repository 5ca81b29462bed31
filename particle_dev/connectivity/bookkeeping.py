"""A connectivity test with what a site remembers: the budget that it uses, and that the unit was online."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from particle_dev.cloud.budget import Budget, BudgetBook
from particle_dev.cloud.device_state import DeviceEvent, DeviceEventType, DeviceStates
from particle_dev.cloud.facts import baseline_of
from particle_dev.cloud.plans import Plan
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.board import Board
from particle_dev.connectivity.cloud_link import CloudLink
from particle_dev.connectivity.engine import ConnectivityTest
from particle_dev.connectivity.outcome import ConnectivityResult, StageEvent
from particle_dev.connectivity.plan import ConnectivityPlan
from particle_dev.errors import CloudError, GuardStateError, TransportError
from particle_dev.permissions import Permissions


@dataclass(frozen=True, slots=True)
class SiteBooks:
    """What all stations of a place share. ``plan`` is that of the account which pays; None each: not kept."""

    states: DeviceStates | None = None
    budget: BudgetBook | None = None
    plan: Plan | None = None


def run_booked(
    board: Board,
    cloud: CloudLink | None,
    plan: ConnectivityPlan,
    books: SiteBooks,
    *,
    run_id: str,
    permissions: Permissions,
    on_event: Callable[[StageEvent], None],
    on_budget: Callable[[Budget], None] = lambda _budget: None,
) -> ConnectivityResult:
    """Run a test whose cost is booked before; the result. **May start billing.**

    Whatever ends it, what was not spent is given back, and that the unit was online is kept; strategy B also keeps the
    cloud's record as the baseline from which the unit must not connect again. Raises as ConnectivityTest, and
    BudgetError, GuardStateError before anything is done.
    """
    test = ConnectivityTest(
        board, cloud, plan, run_id=run_id, permissions=permissions, billing_plan=books.plan, on_event=on_event
    )
    if books.states is not None:
        # A damaged file is better met now than after the connection.
        books.states.state(board.device_id)
    booked_at = board.clock.utc_now()
    if books.budget is not None and plan.connects:
        on_budget(books.budget.spend(plan.cost, booked_at))
    try:
        return test.run()
    finally:
        try:
            if books.states is not None:
                _remember(books.states, test, board, cloud, plan)
        finally:
            if books.budget is not None and plan.connects:
                # The result is worth more: what stays booked is too much on paper, no more.
                with suppress(GuardStateError):
                    books.budget.give_back(test.unspent, booked_at)


def _remember(
    states: DeviceStates, test: ConnectivityTest, board: Board, cloud: CloudLink | None, plan: ConnectivityPlan
) -> None:
    at = test.first_connected_at
    if at is None:
        return
    statement = f"connectivity test, strategy {plan.strategy}"
    states.add(DeviceEvent(board.device_id, DeviceEventType.CONNECTED, at, {"statement": statement}))
    if plan.strategy is not Strategy.B or cloud is None:
        return
    with suppress(CloudError, TransportError):
        record = cloud.record()
        if record is not None:
            now = board.clock.utc_now()
            found = baseline_of(record, now)
            details = {"last_handshake_at": found.last_handshake_at, "last_heard": found.last_heard}
            states.add(DeviceEvent(board.device_id, DeviceEventType.BASELINE, now, details))
