"""The safe order of each test strategy, and the check of an order that somebody wrote down.

:data:`SAFE_ORDER` is the whole way of a unit. A station goes a part of it (:data:`STATION_ORDER`, or what its recipe
says), a connectivity test another. Both ask :func:`particle_dev.cloud.strategies.require_act` again before each act,
with what was proven by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.strategies import Act, Refusal, Runs, Strategy, UnitFacts, refusals

SAFE_ORDER: Mapping[Strategy, tuple[Act, ...]] = {
    Strategy.A: (
        Act.IDENTIFY,
        Act.IMPORT,
        Act.FLASH_FINAL,
        Act.CONNECT,
        Act.DISCONNECT,
        Act.POWER_OFF,
        Act.GATE,
    ),
    Strategy.B: (
        Act.IDENTIFY,
        Act.CLAIM_IN_TEST_ACCOUNT,
        Act.FLASH_TEST,
        Act.CONNECT,
        Act.DISCONNECT,
        Act.TAKE_BASELINE,
        Act.FLASH_FINAL,
        Act.POWER_OFF,
        Act.UNCLAIM,
        Act.IMPORT,
        Act.GATE,
    ),
    Strategy.C: (Act.IDENTIFY, Act.FLASH_FINAL, Act.POWER_OFF, Act.IMPORT, Act.GATE),
}
STATION_ACTS: Mapping[Strategy, frozenset[Act]] = {
    Strategy.A: frozenset(SAFE_ORDER[Strategy.A]),
    Strategy.B: frozenset(
        {
            Act.IDENTIFY,
            Act.TAKE_BASELINE,
            Act.FLASH_FINAL,
            Act.POWER_OFF,
            Act.UNCLAIM,
            Act.IMPORT,
            Act.GATE,
        }
    ),
    Strategy.C: frozenset(SAFE_ORDER[Strategy.C]),
}
"""What a station does itself. The part of strategy B in the test account is a connectivity test, before the tray."""
STATION_ORDER: Mapping[Strategy, tuple[Act, ...]] = {
    Strategy.A: (Act.IDENTIFY, Act.FLASH_FINAL, Act.CONNECT, Act.DISCONNECT, Act.POWER_OFF, Act.GATE),
    Strategy.B: (Act.IDENTIFY, Act.TAKE_BASELINE, Act.FLASH_FINAL, Act.POWER_OFF, Act.GATE),
    Strategy.C: (Act.IDENTIFY, Act.FLASH_FINAL, Act.POWER_OFF, Act.GATE),
}
"""What a station does where its recipe does not say: with units that are members of the product already."""

_PROMISED = {
    Strategy.A: (BillingVerdict.STARTED, BillingVerdict.STARTED),
    Strategy.B: (BillingVerdict.UNKNOWN, BillingVerdict.NOT_STARTED),
    Strategy.C: (BillingVerdict.NOT_STARTED, BillingVerdict.NOT_STARTED),
}
_EFFECTS: Mapping[Act, Mapping[str, Any]] = {
    Act.IDENTIFY: {"identified": True, "held": True},
    Act.TAKE_BASELINE: {"baseline_taken": True},
    Act.CLAIM_IN_TEST_ACCOUNT: {"in_test_account": True, "claimed": True, "sim_active": True},
    Act.IMPORT: {"in_product": True, "approved": True, "sim_active": True, "sim_off": False},
    Act.FLASH_TEST: {"runs": Runs.OURS, "set_is_complete": True, "held": True},
    Act.RUN_TEST: {"held": False},
    Act.FLASH_FINAL: {"runs": Runs.FINAL, "set_is_complete": True, "read_back": True, "held": True},
    Act.BOOT_FINAL: {"held": False},
    Act.CONNECT: {"held": False, "has_connected": True},
    Act.DISCONNECT: {"held": True, "is_offline": True},
    Act.POWER_OFF: {"has_power": False},
    Act.UNCLAIM: {"claimed": False, "in_test_account": False},
}
"""What an act that went well proves."""
_AT_RUN_TIME: Mapping[str, Any] = {
    "consent": True,
    "room_in_plan": True,
    "platform_matches": True,
    "auto_approve_off": True,
    "sim_shared_with_product": True,
    "gets_what_the_product_releases": True,
    "stream_watched": True,
    "budget_left": True,
}
"""What no order can prove: it is asked for when the act comes."""


@dataclass(frozen=True, slots=True)
class UnsafeAct:
    """The first act of an order that its strategy does not allow there: ``index`` in the order, and why."""

    index: int
    act: Act
    refusals: tuple[Refusal, ...]

    @property
    def reason(self) -> str:
        """All reasons."""
        return "; ".join(r.reason for r in self.refusals)


def first_unsafe(strategy: Strategy, acts: Sequence[Act]) -> UnsafeAct | None:
    """The first act of an order that could not be allowed, however well everything goes; None: the order is safe.

    An order that does not import is for units that are members before they come, and under B one that does not unclaim
    is for units that belong to no account.
    """
    is_member = Act.IMPORT not in acts
    claimed = strategy is Strategy.B and Act.UNCLAIM in acts
    unit = UnitFacts(**_AT_RUN_TIME, in_product=is_member, approved=is_member, sim_active=is_member, claimed=claimed)
    for index, act in enumerate(acts):
        found = refusals(strategy, unit, act)
        if found:
            return UnsafeAct(index, act, found)
        effects = dict(_EFFECTS.get(act, {}))
        if act is Act.GATE:
            verdict, since_baseline = _PROMISED[strategy]
            effects["gate"] = Gate(verdict, since_baseline, (), (), ())
        unit = replace(unit, **effects)
    return None
