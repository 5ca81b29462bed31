"""The billing gate: what `not_started` needs, piece by piece, and that more evidence never does harm.

All records are made here: what the real cloud writes, and how late, is not proven by these tests.
"""

from dataclasses import replace
from itertools import chain, combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from particle_dev.cloud.facts import (
    FACT_IDS,
    SETTLE_S,
    Baseline,
    Fact,
    FactVerdict,
    SimState,
    Snapshot,
    device_facts,
    sim_evidence,
    sim_fact,
    time_text,
)
from particle_dev.cloud.gate import INTERLOCKS, GateCase, Radio, cloud_not_asked, evaluate, power_hint
from particle_dev.cloud.metering import (
    BillingFinding,
    BillingVerdict,
    Evidence,
    held_halted,
    held_in_dfu,
    held_listening,
    no_credentials,
    own_application,
    read_counters,
)
from particle_dev.cloud.plans import PLANS, PlanName
from tests.cloud.guard_cases import (
    ACTIVE,
    DEACTIVATED,
    NEVER,
    OFF_S,
    PLATFORM,
    PRODUCT,
    at,
    device_row,
    good_case,
    outside,
    quiet_stream,
    sim_row,
    snapshot,
)

NOT_STARTED, STARTED, UNKNOWN = BillingVerdict.NOT_STARTED, BillingVerdict.STARTED, BillingVerdict.UNKNOWN
QUIET = {
    "sys:uptime": 0,
    "cloud:stat": 0,
    "cloud:connatt": 0,
    "cloud:dconn": 0,
    "net:stat": 2,
    "net:connatt": 0,
    "net:dconn": 0,
}


def verdict(**fields):
    return evaluate(good_case(**fields)).verdict


def missing(**fields):
    gate = evaluate(good_case(**fields))
    assert gate.verdict is UNKNOWN
    assert gate.missing
    return " | ".join(gate.missing)


def facts_of(record, baseline=None):
    facts = device_facts(record, at(0), product_id=PRODUCT, platform_id=PLATFORM, baseline=baseline)
    return {f.id: f.verdict for f in facts}


# ---- the complete case, and each piece taken away --------------------------------------------------------------------


def test_complete_evidence_is_not_started():
    gate = evaluate(good_case())
    assert (gate.verdict, gate.since_baseline) == (NOT_STARTED, NOT_STARTED)
    assert gate.missing == gate.started_by == ()


def test_without_the_cloud_nothing_is_known():
    gate = cloud_not_asked("no [cloud] in the recipe")
    assert gate.verdict is UNKNOWN
    assert "the cloud was not asked" in gate.missing[0]


@pytest.mark.parametrize("when", ["start", "end"])
@pytest.mark.parametrize("fact_id", ["C1", "C2", "C3", "C11"])
def test_each_fact_of_the_record_is_needed_before_and_after(when, fact_id):
    whole = getattr(good_case(), when)
    lacking = replace(whole, facts=tuple(f for f in whole.facts if f.id != fact_id))
    assert fact_id in missing(**{when: lacking})


@pytest.mark.parametrize("when", ["start", "end"])
def test_each_record_is_needed(when):
    assert "not read" in missing(**{when: None})


def test_what_could_not_be_read_is_said():
    unread = Snapshot(at(200), None, unread=("HTTP 500",))
    assert "HTTP 500" in missing(end=unread)
    assert "not known" in missing(end=Snapshot(at(200), None))


def test_afterwards_it_must_be_in_the_product():
    assert "not in the product" in missing(end=outside(OFF_S + 61))


def test_the_record_must_settle_after_the_power_was_lost():
    assert f"{SETTLE_S:.0f} s" in missing(end=snapshot(OFF_S + SETTLE_S - 1))
    assert verdict(end=snapshot(OFF_S + SETTLE_S)) is NOT_STARTED


def test_power_must_have_been_lost():
    assert "lose its power" in missing(is_off=False)
    assert "a battery may keep it on" in missing(is_off=False, left_usb=True)
    assert "power" in missing(powered=())


def test_what_lacks_a_loss_of_power_says_where_that_is_changed():
    for case in ({"is_off": False}, {"is_off": False, "left_usb": True}):
        assert "battery = false" in power_hint(evaluate(good_case(**case)).missing)
    assert power_hint(evaluate(good_case(end=outside(OFF_S + 61))).missing) == ""


def test_evidence_from_after_the_loss_of_power_was_timed_by_another_clock():
    late = held_in_dfu(at(0), at(OFF_S + 1800))
    assert "clock was set back" in missing(evidence=(*good_case().evidence, late))


def test_a_first_reading_after_the_power_was_lost_is_none():
    assert "first reading" in missing(start=snapshot(OFF_S + 1))


def test_the_plan_must_be_known():
    assert "plan" in missing(plan=None)


def test_in_the_free_plan_a_member_counts_at_once():
    gate = evaluate(good_case(plan=PLANS[PlanName.FREE]))
    assert gate.verdict is STARTED
    assert "free plan" in gate.started_by[0]
    assert verdict(plan=PLANS[PlanName.FREE], start=outside(1), end=outside(OFF_S + 61)) is UNKNOWN


# ---- C4 --------------------------------------------------------------------------------------------------------------


def test_a_member_needs_the_stream():
    assert "C4" in missing(stream=None)
    assert "interrupted" in missing(stream=quiet_stream(gaps=[(50, 51)]))
    assert "not watched" in missing(stream=quiet_stream(since=10))
    assert "not watched" in missing(stream=quiet_stream(alive_until=OFF_S - 10))
    assert "not watched" in missing(stream=quiet_stream(alive_until=None))


def test_a_gap_while_it_had_no_power_does_no_harm():
    assert verdict(stream=quiet_stream(gaps=[(-4, -1), (OFF_S + 1, OFF_S + 9)])) is NOT_STARTED


def test_a_unit_that_joined_when_it_was_off_needs_no_stream():
    case = {"start": outside(1), "stream": None}
    assert verdict(**case, joined_at=at(OFF_S)) is NOT_STARTED
    assert "C4" in missing(**case, joined_at=at(OFF_S - 1))
    assert "C4" in missing(**case), "when it joined is not known"


@pytest.mark.parametrize(
    "event",
    [("spark/status", "online"), ("spark/device/last_reset", "pin_reset"), ("spark/device/safemode", "")],
)
def test_events_of_a_connection_prove_the_start(event):
    gate = evaluate(good_case(stream=quiet_stream([event])))
    assert gate.verdict is STARTED
    assert event[0] in gate.started_by[0]


def test_the_late_end_of_a_former_session_says_nothing():
    assert verdict(stream=quiet_stream([("spark/status", "offline")])) is NOT_STARTED


def test_another_event_is_a_doubt():
    assert "events of the device" in missing(stream=quiet_stream([("temperature", "20")]))


# ---- C1 to C11 from records ------------------------------------------------------------------------------------------


def test_facts_of_a_device_that_never_connected():
    found = facts_of(device_row())
    assert {f for f, v in found.items() if v is FactVerdict.PASS} == {"C1", "C2", "C11"}
    assert {f for f, v in found.items() if v is FactVerdict.WEAK} == {"C3", "C6"}


@pytest.mark.parametrize("field", ["last_handshake_at", "last_heard"])
def test_a_time_in_the_record_proves_the_start(field):
    record = device_row(**{field: at(60)})
    gate = evaluate(good_case(end=snapshot(OFF_S + 61, record)))
    assert gate.verdict is STARTED
    assert "2026-05-04T08:01:00" in gate.started_by[0]


def test_a_time_that_the_baseline_knew_is_unknown_and_since_then_not_started():
    before = "2026-01-01T00:00:00.000Z"
    baseline = Baseline(at(-1000), time_text(before), time_text(before))
    record = device_row(last_handshake_at=before, last_heard=before)
    both = [snapshot(s, record, baseline=baseline) for s in (1, OFF_S + 61)]
    gate = evaluate(good_case(start=both[0], end=both[1]))
    assert (gate.verdict, gate.since_baseline) == (UNKNOWN, NOT_STARTED)
    assert "online before" in gate.missing[0]
    later = replace(record, last_handshake_at="2026-05-04T08:00:01.000Z")
    gate = evaluate(good_case(start=both[0], end=snapshot(OFF_S + 61, later, baseline=baseline)))
    assert (gate.verdict, gate.since_baseline) == (STARTED, STARTED)


def test_times_are_the_same_however_they_are_written():
    assert time_text("2026-01-01T00:00:00.000Z") == time_text(at(0).replace(month=1, day=1, hour=0))
    assert time_text(None) is None
    assert time_text("yesterday") == "yesterday"


def test_a_record_that_says_online_is_a_doubt():
    assert "online: true" in missing(end=snapshot(OFF_S + 61, device_row(online=True)))


def test_a_record_that_does_not_say_whether_it_is_online():
    assert "C3" in missing(end=snapshot(OFF_S + 61, device_row(online=None)))


@pytest.mark.parametrize("field", [{"functions": ["led"]}, {"variables": [("t", "int32")]}])
def test_functions_and_variables_are_a_doubt(field):
    assert "functions and variables" in missing(end=snapshot(OFF_S + 61, device_row(**field)))


def test_functions_of_a_device_that_was_online_before_the_baseline_say_nothing():
    baseline = Baseline(at(-1000), "x", "y")
    record = device_row(last_handshake_at="x", last_heard="y", functions=["led"])
    assert "C6" not in facts_of(record, baseline)


@pytest.mark.parametrize(
    "field",
    [
        {"product_id": 99},
        {"product_id": None},
        {"platform_id": 6},
        {"quarantined": True},
        {"denied": True},
    ],
)
def test_membership(field):
    assert facts_of(device_row(**field))["C11"] is FactVerdict.DOUBT
    assert "C11" in missing(end=snapshot(OFF_S + 61, device_row(**field)))


def test_a_doubt_is_unknown():
    fact = Fact("C6", FactVerdict.DOUBT, "the device has told its functions", "made up", at(0))
    end = good_case().end
    assert fact.statement in missing(end=replace(end, facts=(*end.facts, fact)))


def test_every_fact_has_a_meaning():
    """C5, C8 to C10, D1 and D3 change no verdict and are not there."""
    assert sorted(FACT_IDS) == ["C1", "C11", "C2", "C3", "C4", "C6", "C7", "D2", "D4", "D5", "D6"]


# ---- C7 --------------------------------------------------------------------------------------------------------------


def test_sim_fact():
    assert sim_fact(NEVER, at(0))[1].verdict is FactVerdict.PASS
    assert sim_fact(DEACTIVATED, at(0))[1].verdict is FactVerdict.PASS
    assert sim_fact(ACTIVE, at(0)) == (SimState("active", 1), None)
    assert sim_fact(sim_row("updating", 0), at(0))[1] is None


@pytest.mark.parametrize(
    ("start", "end", "since"),
    [
        (ACTIVE, NEVER, 0),  # a count of 0 afterwards says that nobody ever did, whatever was read before
        (NEVER, NEVER, 0),
        (DEACTIVATED, DEACTIVATED, 1),
        (DEACTIVATED, sim_row("deactivated", 3), None),
        (sim_row("deactivated", None), sim_row("deactivated", None), None),
        (NEVER, ACTIVE, None),
        (ACTIVE, sim_row(first_activated_on="2026-01-01"), None),
        (ACTIVE, DEACTIVATED, None),
        (NEVER, None, None),
        (None, DEACTIVATED, None),
    ],
)
def test_for_which_time_a_sim_holds_back(start, end, since):
    piece = sim_evidence(snapshot(1, sim=start), snapshot(161, sim=end), at(0))
    assert (piece and piece.since) == (None if since is None else at(since))


def without_dfu(*evidence, sim=ACTIVE, radios=frozenset({Radio.CELLULAR})):
    return good_case(evidence=evidence, start=snapshot(1, sim=sim), end=snapshot(OFF_S + 61, sim=sim), radios=radios)


def test_a_sim_that_was_never_active_is_enough_for_a_cellular_board():
    assert evaluate(without_dfu(sim=NEVER)).verdict is NOT_STARTED
    assert evaluate(without_dfu(sim=ACTIVE)).verdict is UNKNOWN


@pytest.mark.parametrize(
    "radios", [None, frozenset({Radio.WIFI}), frozenset({Radio.CELLULAR, Radio.ETHERNET}), frozenset(Radio)]
)
def test_a_sim_holds_no_other_radio_back(radios):
    assert "off the air" in evaluate(without_dfu(sim=NEVER, radios=radios)).missing[0]


def test_nothing_holds_a_cable_back_but_to_hold_the_board():
    assert INTERLOCKS[Radio.ETHERNET] is None
    assert verdict(radios=frozenset({Radio.ETHERNET})) is NOT_STARTED


def test_a_board_without_any_radio_needs_nothing():
    assert evaluate(without_dfu(radios=frozenset())).verdict is NOT_STARTED


# ---- D2 to D6 --------------------------------------------------------------------------------------------------------


def counters(seconds=OFF_S, uptime_s=OFF_S, **changes):
    return read_counters(QUIET | {"sys:uptime": uptime_s} | changes, at(seconds))


OURS = own_application("ab" * 32, ["AB" * 32], at(0), at(OFF_S))
WATCHED = (counters(), OURS)


def test_an_application_of_ours_that_was_watched_all_the_time():
    assert evaluate(without_dfu(*WATCHED)).verdict is NOT_STARTED


@pytest.mark.parametrize("lacking", range(2))
def test_both_are_needed(lacking):
    evidence = [piece for n, piece in enumerate(WATCHED) if n != lacking]
    assert evaluate(without_dfu(*evidence)).verdict is UNKNOWN


def test_listening_with_quiet_counters():
    assert evaluate(without_dfu(held_listening(counters()))).verdict is NOT_STARTED
    assert held_listening(counters(**{"net:connatt": 1})) is None
    assert held_listening(held_in_dfu(at(0), at(1))) is None


def test_halted():
    assert evaluate(without_dfu(held_halted(at(0), at(OFF_S)))).verdict is NOT_STARTED


def test_wifi_without_networks():
    piece = no_credentials([], at(0), at(OFF_S))
    assert evaluate(without_dfu(piece, radios=frozenset({Radio.WIFI}))).verdict is NOT_STARTED
    assert evaluate(without_dfu(piece)).verdict is UNKNOWN, "a cellular board"
    assert no_credentials(["Bench"], at(0), at(OFF_S)) is None


def test_two_radios_need_both():
    piece = no_credentials([], at(0), at(OFF_S))
    both = frozenset({Radio.WIFI, Radio.CELLULAR})
    assert evaluate(without_dfu(piece, radios=both, sim=NEVER)).verdict is NOT_STARTED
    assert evaluate(without_dfu(radios=both, sim=NEVER)).verdict is UNKNOWN
    assert evaluate(without_dfu(piece, radios=both, sim=ACTIVE)).verdict is UNKNOWN


def test_an_application_that_is_not_ours():
    assert own_application("cd" * 32, ["ab" * 32], at(0), at(1)) is None


def test_a_gap_is_named():
    gap = missing(evidence=(held_in_dfu(at(0), at(40)), held_in_dfu(at(50), at(OFF_S))))
    assert "08:00:40" in gap
    assert "08:00:50" in gap


def test_every_powered_stretch_is_looked_at():
    powered = ((at(-100), at(-50)), (at(0), at(OFF_S)))
    assert "07:58:20" in missing(powered=powered, stream=quiet_stream(since=-200))
    held = (held_in_dfu(at(-100), at(-50)), held_in_dfu(at(0), at(OFF_S)))
    assert verdict(powered=powered, evidence=held) is NOT_STARTED


def test_interlocks_may_take_turns():
    turns = (held_in_dfu(at(0), at(30)), held_listening(counters(70, 40)), held_halted(at(70), at(OFF_S)))
    assert evaluate(without_dfu(*turns)).verdict is NOT_STARTED


# ---- rules for any evidence ------------------------------------------------------------------------------------------

SPANS = st.tuples(st.integers(-20, OFF_S + 20), st.integers(0, OFF_S)).map(lambda t: (at(t[0]), at(t[0] + t[1])))
EVIDENCE_IDS = ("dfu", "halted", "listening", "no_credentials", "own_application", "counters")
PIECES = st.builds(
    lambda name, span, finding: Evidence(name, f"{name} {finding}", "made up", *span, finding),
    st.sampled_from(EVIDENCE_IDS),
    SPANS,
    st.sampled_from(BillingFinding),
)
FACTS = st.builds(
    lambda name, verdict: Fact(name, verdict, f"{name} {verdict}", "made up", at(0)),
    st.sampled_from([*FACT_IDS]),
    st.sampled_from(FactVerdict),
)
SIMS = st.one_of(
    st.none(),
    st.builds(SimState, st.sampled_from(["active", "inactive", "deactivated", "updating"]), st.integers(0, 2)),
)
SNAPSHOTS = st.one_of(
    st.none(),
    st.builds(
        lambda seconds, member, facts, sim, unread: Snapshot(at(seconds), member, tuple(facts), sim, tuple(unread)),
        st.integers(-10, 300),
        st.sampled_from([True, True, True, False, None]),
        st.lists(FACTS, max_size=6),
        SIMS,
        st.lists(st.just("HTTP 500"), max_size=1),
    ),
    st.sampled_from([good_case().start, good_case().end]),
)
CASES = st.builds(
    GateCase,
    powered=st.sampled_from([((at(0), at(OFF_S)),), (), ((at(-60), at(-10)), (at(0), at(OFF_S)))]),
    is_off=st.sampled_from([True, True, False]),
    evidence=st.lists(PIECES, max_size=4).map(tuple) | st.just((held_in_dfu(at(-60), at(OFF_S)),)),
    start=SNAPSHOTS,
    end=SNAPSHOTS,
    radios=st.none() | st.frozensets(st.sampled_from(Radio)),
    stream=st.none() | FACTS.map(lambda f: replace(f, id="C4")),
    joined_at=st.none() | st.integers(0, 200).map(at),
    plan=st.none() | st.sampled_from([PLANS[PlanName.BASIC], PLANS[PlanName.ENTERPRISE], PLANS[PlanName.FREE]]),
)
ORDER = {NOT_STARTED: 0, UNKNOWN: 1, STARTED: 2}


@given(CASES, PIECES.filter(lambda e: e.finding is BillingFinding.OFFLINE))
def test_more_quiet_evidence_never_makes_a_verdict_worse(case, piece):
    before, after = evaluate(case), evaluate(replace(case, evidence=(*case.evidence, piece)))
    assert ORDER[after.verdict] <= ORDER[before.verdict]
    assert (after.verdict is STARTED) == (before.verdict is STARTED)


@given(CASES, PIECES.filter(lambda e: e.finding is not BillingFinding.OFFLINE))
def test_other_evidence_never_makes_a_verdict_better(case, piece):
    before, after = evaluate(case), evaluate(replace(case, evidence=(*case.evidence, piece)))
    assert ORDER[after.verdict] >= ORDER[before.verdict]
    assert after.verdict is not NOT_STARTED


@given(CASES, FACTS)
def test_a_fact_turns_unknown_into_started_only_by_proof(case, fact):
    if case.end is None:
        return
    more = replace(case, end=replace(case.end, facts=(*case.end.facts, fact)))
    before, after = evaluate(case), evaluate(more)
    if fact.verdict in (FactVerdict.PASS, FactVerdict.WEAK):
        assert ORDER[after.verdict] <= ORDER[before.verdict]
        assert (after.verdict is STARTED) == (before.verdict is STARTED)
    elif fact.verdict is FactVerdict.FAIL:
        assert after.verdict is STARTED
    else:
        assert after.verdict is not NOT_STARTED


@given(CASES)
@example(good_case())
def test_no_piece_of_a_complete_case_can_be_taken_away(case):
    gate = evaluate(case)
    if gate.verdict is not NOT_STARTED:
        assert gate.missing or gate.started_by
        return
    assert gate.missing == gate.started_by == ()
    for when in ("start", "end"):
        assert evaluate(replace(case, **{when: None})).verdict is UNKNOWN
    assert evaluate(replace(case, is_off=False)).verdict is UNKNOWN
    assert evaluate(replace(case, powered=())).verdict is UNKNOWN
    end = case.end
    for lost in chain.from_iterable(combinations(["C1", "C2", "C3", "C11"], n) for n in (1, 4)):
        rest = tuple(f for f in end.facts if f.id not in lost)
        assert evaluate(replace(case, end=replace(end, facts=rest))).verdict is UNKNOWN


@given(CASES)
def test_the_claim_about_the_time_since_the_baseline_is_never_weaker(case):
    gate = evaluate(case)
    assert ORDER[gate.since_baseline] <= ORDER[gate.verdict]
    if gate.verdict is STARTED:
        assert gate.started_by
