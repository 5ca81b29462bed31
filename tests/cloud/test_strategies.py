"""The three test strategies: their safe order is the only order."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.strategies import (
    Act,
    Runs,
    Strategy,
    UnitFacts,
    next_acts,
    passes,
    refusals,
    require_act,
    rules,
)
from particle_dev.cloud.strategy_order import SAFE_ORDER, STATION_ORDER, first_unsafe
from particle_dev.errors import ActRefusedError

NOT_STARTED, STARTED, UNKNOWN = BillingVerdict.NOT_STARTED, BillingVerdict.STARTED, BillingVerdict.UNKNOWN


def gate(verdict, since_baseline=None):
    return Gate(verdict, since_baseline or verdict, (), (), ())


def changed(act, **facts):
    return act, facts


ORDERS = {
    Strategy.A: [
        changed(Act.IDENTIFY, identified=True, consent=True, room_in_plan=True, platform_matches=True, held=True),
        changed(Act.TAKE_BASELINE, baseline_taken=True, auto_approve_off=True),
        changed(Act.IMPORT, in_product=True, approved=True, sim_active=True),
        changed(
            Act.FLASH_FINAL,
            runs=Runs.FINAL,
            set_is_complete=True,
            read_back=True,
            gets_what_the_product_releases=True,
            stream_watched=True,
            budget_left=True,
        ),
        changed(Act.CONNECT, held=False, has_connected=True),
        changed(Act.DISCONNECT),
        changed(Act.POWER_OFF, has_power=False, is_offline=True),
        changed(Act.GATE, gate=gate(STARTED)),
        changed(Act.SHIP),
    ],
    Strategy.B: [
        changed(
            Act.IDENTIFY, identified=True, consent=True, room_in_plan=True, sim_shared_with_product=True, held=True
        ),
        changed(Act.CLAIM_IN_TEST_ACCOUNT, in_test_account=True, claimed=True, sim_active=True),
        changed(Act.FLASH_TEST, runs=Runs.OURS, set_is_complete=True, budget_left=True),
        changed(Act.CONNECT, held=False, has_connected=True),
        changed(Act.DISCONNECT, held=True),
        changed(Act.TAKE_BASELINE, baseline_taken=True),
        changed(Act.FLASH_FINAL, runs=Runs.FINAL, read_back=True),
        changed(Act.POWER_OFF, has_power=False),
        changed(Act.UNCLAIM, claimed=False, in_test_account=False, platform_matches=True, auto_approve_off=True),
        changed(Act.IMPORT, in_product=True, approved=True),
        changed(Act.GATE, gate=gate(UNKNOWN, NOT_STARTED)),
        changed(Act.SHIP),
    ],
    Strategy.C: [
        changed(Act.IDENTIFY, identified=True, held=True),
        changed(Act.FLASH_TEST, runs=Runs.OURS, set_is_complete=True),
        changed(Act.RUN_TEST),
        changed(Act.FLASH_FINAL, runs=Runs.FINAL, read_back=True, held=True),
        changed(Act.POWER_OFF, has_power=False, room_in_plan=True, platform_matches=True, auto_approve_off=True),
        changed(Act.IMPORT, in_product=True, approved=True, sim_active=True),
        changed(Act.GATE, gate=gate(NOT_STARTED)),
        changed(Act.SHIP),
    ],
}


@pytest.mark.parametrize("strategy", Strategy)
def test_the_safe_order_is_allowed_all_the_way(strategy):
    unit = UnitFacts()
    for act, facts in ORDERS[strategy]:
        require_act(strategy, unit, act)
        assert act in next_acts(strategy, unit)
        unit = replace(unit, **facts)


@pytest.mark.parametrize("strategy", Strategy)
def test_no_fact_of_the_order_can_be_left_out_of_what_needs_it(strategy):
    """Leave each proven fact away: some later act must then be refused, and never by accident allowed instead."""
    proven = {name for _, facts in ORDERS[strategy] for name in facts} - {"sim_active", "has_connected", "claimed"}
    own = {"baseline_taken"} if strategy is Strategy.A else set()
    for name in proven - {"in_test_account", "is_offline", "held"} - own:
        unit, refused = UnitFacts(), False
        for act, facts in ORDERS[strategy]:
            refused |= bool(refusals(strategy, unit, act))
            unit = replace(unit, **{k: v for k, v in facts.items() if k != name})
        assert refused, name


def test_every_refusal_says_why_and_what_is_possible():
    with pytest.raises(ActRefusedError) as caught:
        require_act(Strategy.A, UnitFacts(), Act.IMPORT)
    error = caught.value
    assert any("nobody has agreed" in reason and "--may-connect" in reason for reason in error.reasons)
    assert set(error.hazards) == {"H1", "H11"}
    assert "identify" in error.hint


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("act", Act)
def test_every_strategy_has_a_rule_for_every_act(strategy, act):
    for rule in rules(strategy, act):
        assert rule.reason


def test_strategy_c_never_connects():
    everything = UnitFacts(**{f.name: True for f in fields(UnitFacts) if f.type == "bool"})
    for act in (Act.CONNECT, Act.CLAIM_IN_TEST_ACCOUNT):
        assert refusals(Strategy.C, everything, act)


def test_consent_is_asked_for_whatever_connects():
    unit = UnitFacts(**{f.name: f.name != "consent" for f in fields(UnitFacts) if f.type == "bool"})
    for strategy in (Strategy.A, Strategy.B):
        assert any("agreed" in r.reason for r in refusals(strategy, unit, Act.CONNECT))


def test_ship_asks_for_the_verdict_that_the_strategy_promises():
    dark = UnitFacts(has_power=False, is_offline=True, runs=Runs.FINAL, set_is_complete=True, read_back=True)
    for strategy, good, bad in [
        (Strategy.B, gate(UNKNOWN, NOT_STARTED), gate(STARTED)),
        (Strategy.C, gate(NOT_STARTED), gate(UNKNOWN, NOT_STARTED)),
    ]:
        assert refusals(strategy, replace(dark, gate=good), Act.SHIP) == ()
        assert refusals(strategy, replace(dark, gate=bad), Act.SHIP)
        assert refusals(strategy, dark, Act.SHIP)


@pytest.mark.parametrize("strategy", Strategy)
def test_what_passes(strategy):
    passing = {
        Strategy.A: [gate(STARTED)],
        Strategy.B: [gate(NOT_STARTED), gate(UNKNOWN, NOT_STARTED)],
        Strategy.C: [gate(NOT_STARTED)],
    }[strategy]
    for one in (gate(STARTED), gate(UNKNOWN), gate(NOT_STARTED), gate(UNKNOWN, NOT_STARTED)):
        assert passes(strategy, one) is (one in passing)


UNITS = st.builds(
    UnitFacts,
    **{f.name: st.booleans() for f in fields(UnitFacts) if f.type == "bool"},
    runs=st.sampled_from(Runs),
)
RISKS = {"has_power", "claimed", "in_test_account"}
"""Facts that take acts away instead of allowing them."""


@given(st.sampled_from(Strategy), UNITS, st.sampled_from([f.name for f in fields(UnitFacts) if f.type == "bool"]))
def test_ignorance_never_allows_more(strategy, unit, name):
    """Nothing is allowed because something is not known."""
    if name in RISKS or (strategy is Strategy.B and name == "in_product"):
        return
    known, unknown = replace(unit, **{name: True}), replace(unit, **{name: False})
    lost = set(next_acts(strategy, unknown)) - set(next_acts(strategy, known))
    assert lost == set() or name == "no_credentials", lost


@given(UNITS)
def test_under_c_a_unit_that_may_connect_by_itself_never_runs(unit):
    if Act.BOOT_FINAL in next_acts(Strategy.C, unit):
        assert unit.sim_off
        assert unit.no_credentials
    if Act.RUN_TEST in next_acts(Strategy.C, unit):
        assert unit.runs is Runs.OURS


@pytest.mark.parametrize("order", [SAFE_ORDER, STATION_ORDER])
@pytest.mark.parametrize("strategy", Strategy)
def test_the_orders_that_others_go_by_are_safe(strategy, order):
    assert first_unsafe(strategy, order[strategy]) is None


@pytest.mark.parametrize("strategy", Strategy)
def test_no_two_acts_of_the_safe_order_that_depend_on_each_other_can_change_places(strategy):
    """Of all exchanges of neighbours, those that stay safe are these."""
    acts, free = SAFE_ORDER[strategy], set()
    for n in range(len(acts) - 1):
        if first_unsafe(strategy, (*acts[:n], acts[n + 1], acts[n], *acts[n + 2 :])) is None:
            free.add((acts[n], acts[n + 1]))
    assert free <= {
        (Act.DISCONNECT, Act.TAKE_BASELINE),
        (Act.TAKE_BASELINE, Act.FLASH_FINAL),
        (Act.POWER_OFF, Act.IMPORT),
        (Act.DISCONNECT, Act.POWER_OFF),
        (Act.CLAIM_IN_TEST_ACCOUNT, Act.FLASH_TEST),
    }
