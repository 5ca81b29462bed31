"""The billing state of a device: its stages under each plan, and what is never forgotten."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.cloud.device_state import DeviceEvent, DeviceEventType, DeviceState, DeviceStates, Stage, fold_device
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.errors import GuardStateError

ID, OTHER = "e00fce68" + "0" * 16, "e00fce68" + "1" * 16
FREE, BASIC, ENTERPRISE = (PLANS[name] for name in PlanName)
T0 = datetime(2026, 5, 4, 8, tzinfo=UTC)
E = DeviceEventType
DETAILS = {
    E.JOINED: {"product": "12345"},
    E.INTERLOCKED: {"statement": "SIM inactive"},
    E.CONNECTED: {"statement": "last handshake 2026-05-04"},
    E.BASELINE: {"last_handshake_at": None, "last_heard": None},
}


def event(kind, seconds=0, device=ID, **details):
    return DeviceEvent(device, kind, T0 + timedelta(seconds=seconds), DETAILS.get(kind, {}) | details)


def stages(plan, *events):
    return [fold_device(ID, events[:n]).stage(plan) for n in range(len(events) + 1)]


LIFE = tuple(
    event(kind, n)
    for n, kind in enumerate([E.IDENTIFIED, E.JOINED, E.INTERLOCKED, E.CONNECTED, E.REMOVED, E.SIM_RELEASED])
)


def test_a_life_under_the_basic_plan():
    assert stages(BASIC, *LIFE) == [
        Stage.UNKNOWN,
        Stage.KNOWN,
        Stage.MEMBER,
        Stage.RADIO_INTERLOCKED,
        Stage.METERED,
        Stage.REMOVED,
        Stage.NOT_BILLABLE,
    ]


def test_under_the_free_plan_membership_counts():
    assert stages(FREE, *LIFE[:3])[1:] == [Stage.KNOWN, Stage.METERED, Stage.METERED]


def test_a_connection_outside_of_a_product_is_remembered():
    found = fold_device(ID, [event(E.CONNECTED)])
    assert found.stage(BASIC) is Stage.CONNECTED_ONCE
    assert found.after(event(E.JOINED)).stage(BASIC) is Stage.METERED, "it counts on arrival, as far as anybody knows"


def test_a_removed_device_whose_sim_stays_goes_on_to_count():
    assert stages(BASIC, *LIFE[:5])[-1] is Stage.REMOVED
    no_sim = event(E.JOINED, has_sim="false")
    assert stages(BASIC, no_sim, event(E.REMOVED))[-1] is Stage.NOT_BILLABLE


def test_coming_back_after_a_removal():
    again = [*LIFE, event(E.JOINED, 100)]
    assert stages(BASIC, *again)[-1] is Stage.METERED
    assert fold_device(ID, again).first_connected_at == T0 + timedelta(seconds=3)


def test_the_first_connection_keeps_its_time_and_its_evidence():
    events = [event(E.CONNECTED, 50, statement="b"), event(E.CONNECTED, 90, statement="c")]
    found = fold_device(ID, events)
    assert (found.first_connected_at, found.first_connected_by) == (T0 + timedelta(seconds=50), "b")
    earlier = found.after(event(E.CONNECTED, 10, statement="a"))
    assert (earlier.first_connected_at, earlier.first_connected_by) == (T0 + timedelta(seconds=10), "a")


def test_the_first_baseline_stands():
    events = [event(E.BASELINE, last_handshake_at="x"), event(E.BASELINE, 9, last_handshake_at="y")]
    assert fold_device(ID, events).baseline.last_handshake_at == "x"


def test_grace():
    assert fold_device(ID, LIFE[:3]).grace(ENTERPRISE) is None
    assert fold_device(ID, LIFE).grace(ENTERPRISE).calendar_end == datetime(2026, 11, 4, 8, 0, 3, tzinfo=UTC)


def test_events_of_another_device():
    with pytest.raises(ValueError, match="says nothing"):
        DeviceState(ID).after(event(E.IDENTIFIED, device=OTHER))


EVENTS = st.builds(event, st.sampled_from(E), st.integers(0, 1000))


@given(st.lists(EVENTS, max_size=12))
def test_the_first_connection_is_the_earliest_and_never_forgotten(events):
    found = fold_device(ID, events)
    times = [e.at for e in events if e.type is E.CONNECTED]
    assert found.first_connected_at == min(times, default=None)
    if times:
        assert found.stage(BASIC) not in (Stage.UNKNOWN, Stage.KNOWN, Stage.MEMBER, Stage.RADIO_INTERLOCKED)


@given(st.lists(EVENTS, max_size=12))
def test_not_billable_needs_both_halves_after_the_last_joining(events):
    if fold_device(ID, events).stage(BASIC) is Stage.NOT_BILLABLE:
        joined = max((n for n, e in enumerate(events) if e.type is E.JOINED), default=-1)
        later = {e.type for e in events[joined + 1 :]}
        assert later >= {E.REMOVED, E.SIM_RELEASED}


# ---- the file ------------------------------------------------------------------------------------------------------


def test_states_survive_in_their_file(tmp_path):
    path = tmp_path / "site" / "devices.jsonl"
    for one in LIFE:
        DeviceStates(path).add(one)
    DeviceStates(path).add(event(E.IDENTIFIED, device=OTHER))
    states = DeviceStates(path)
    assert states.events()[:-1] == LIFE
    assert states.state(ID) == fold_device(ID, LIFE)
    assert states.states()[OTHER].stage(BASIC) is Stage.KNOWN
    assert states.state("e00fce68" + "2" * 16).stage(BASIC) is Stage.UNKNOWN


def test_no_file_yet(tmp_path):
    assert DeviceStates(tmp_path / "devices.jsonl").states() == {}


def test_a_write_that_was_cut_short_loses_nothing_else(tmp_path):
    path = tmp_path / "devices.jsonl"
    states = DeviceStates(path)
    states.add(LIFE[0])
    with path.open("ab") as file:
        file.write(b'{"at":"2026')
    assert states.events() == LIFE[:1]
    states.add(LIFE[1])
    assert states.events() == LIFE[:2]
    assert b"#torn" in path.read_bytes(), "what was cut is kept"


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", json.dumps({"device_id": ID, "type": "JOINED"})])
def test_a_damaged_file_is_an_error(tmp_path, line):
    path = tmp_path / "devices.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(GuardStateError, match="line 1"):
        DeviceStates(path).states()


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardStateError, match="nothing may connect"):
        DeviceStates(tmp_path / "file" / "devices.jsonl").add(LIFE[0])
