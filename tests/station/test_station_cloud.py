"""Runs of a station that asks a cloud, on virtual boards that can really reach it: strategies C, B and A.

Board and cloud are our own models; the client in between is judged elsewhere against the simulated cloud, which foreign
clients judge. What is proven here is the way of evidence from both sides into the record.
"""

from dataclasses import replace

import filelock
import pytest
from particle_harness.cloud.tables import Device, Sim

from particle_dev.cloud.account_usage import REFRESH_S, AccountUsage
from particle_dev.cloud.budget import BudgetBook, Cost, budget_of
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.cloud.strategies import Act, Strategy
from particle_dev.cloud.strategy_order import SAFE_ORDER
from particle_dev.errors import BenchError, DeviceModeError, DeviceNotFoundError, GuardStateError
from particle_dev.permissions import Permissions
from particle_dev.protocol.module import parse
from particle_dev.station import cloud_steps, observations
from particle_dev.station.cloud_steps import CLOUD_POLL_S
from particle_dev.station.recipe import Limits, ProbeChoice
from tests.station.guard_acts import button_and_back, conspire
from tests.station.guard_world import SYSTEM_VERSION, Shelf, World, small_set

NOT_STARTED, STARTED, UNKNOWN = BillingVerdict.NOT_STARTED, BillingVerdict.STARTED, BillingVerdict.UNKNOWN


@pytest.fixture
def world(tmp_path):
    made = []

    def make(*args, **options):
        made.append(World(tmp_path, *args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def verdicts(unit):
    return str(unit.verdict), unit.billing.verdict, unit.gate.verdict


def error(unit):
    return unit.error and unit.error["message"]


def module_sha256(data):
    return parse(data).sha256.stored.hex()


# ---- strategy C ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["boron", "tracker", "argon", "photon"])
def test_a_member_that_never_connected(world, platform):
    """Fresh from the factory: listening, since it is not set up."""
    w = world(platform, arrives_in="dfu" if platform == "photon" else "app")
    unit = w.run(w.guard())
    assert verdicts(unit) == ("pass", NOT_STARTED, NOT_STARTED), (unit.gate.missing, unit.error)
    assert [s.name for s in unit.steps][-2:] == ["park", "gate"]
    assert {f.id for f in unit.gate.facts} >= {"C1", "C2", "C3", "C4", "C6", "C11"}
    assert not w.is_metered


def test_without_a_cloud_the_verdict_is_of_the_window_and_says_so(world):
    unit = world("boron").run()
    assert verdicts(unit) == ("pass", NOT_STARTED, UNKNOWN)
    assert "the cloud was not asked" in unit.gate.missing[0]


def test_one_that_was_online_before_is_refused_and_nothing_erased(world):
    w = world("boron", factory="online", device_os="4.0.0")
    w.clock.sleep(60)
    w.board.advance()
    assert w.is_metered
    w.board.power_off()
    w.open_stream()
    unit = w.run(w.guard())
    assert verdicts(unit) == ("refused", UNKNOWN, STARTED)
    assert "started before" in error(unit)
    assert w.board.truth.erases == 0
    state = w.states.state(w.device_id)
    assert state.first_connected_at is not None
    assert "C1" in state.first_connected_by


@pytest.mark.parametrize("platform", ["boron", "argon"])
def test_an_automatic_application_is_unknown_even_if_it_was_caught_in_time(world, platform):
    """Gate G asks for more than quiet counters: no SIM that is off and no lack of networks held the unit back in its
    first seconds."""
    w = world(platform, factory="online", device_os="4.0.0")
    w.board.power_off()
    w.open_stream()
    w.board.add_fault({"do": "slow", "at": "control_transfer", "delay_s": 0.1})
    unit = w.run(w.guard())
    assert verdicts(unit) == ("fail", NOT_STARTED, UNKNOWN)
    assert "off the air" in error(unit)
    assert not w.is_metered


@pytest.mark.parametrize("is_known", [True, False])
def test_an_application_of_ours_holds_back_what_an_active_sim_does_not(world, is_known):
    """D6, read from the board: imported in bulk long before, with a test application that connects when told to."""
    w = world("boron", factory="online", device_os="5.6.0")
    w.board.power_off()
    w.program([w.ours])
    w.board.power_on()
    w.clock.sleep(20)
    w.board.advance()
    known = frozenset([module_sha256(w.ours)]) if is_known else frozenset(["ab" * 32])
    unit = w.run(w.guard(semi_automatic_apps=known))
    assert unit.gate.verdict is (NOT_STARTED if is_known else UNKNOWN), (unit.gate.missing, unit.error)
    assert (str(unit.verdict) == "pass") is is_known
    assert ("own_application" in {e.id for e in unit.billing.evidence}) is is_known
    assert not w.is_metered


def test_a_sim_that_cannot_be_read_is_told_where_it_could_have_held_the_unit_back(world):
    w = world("boron", factory="online", device_os="4.0.0")
    w.board.power_off()
    w.open_stream()
    w.board.add_fault({"do": "slow", "at": "control_transfer", "delay_s": 0.1})
    w.cloud.add_fault({"do": "status", "on": "GET /v1/products/*/sims/*", "count": 0})
    unit = w.run(w.guard())
    assert verdicts(unit) == ("fail", NOT_STARTED, UNKNOWN)
    assert any("its SIM could not be read after" in text for text in unit.gate.missing), unit.gate.missing
    before = next(s for s in unit.steps if s.name == "cloud_before")
    assert before.evidence["unread"][0].startswith("SIM: ")


def test_a_sim_that_cannot_be_read_leaves_nothing_open_where_something_else_held_the_unit_back(world):
    w = world("boron", arrives_in="dfu")
    w.cloud.add_fault({"do": "status", "on": "GET /v1/products/*/sims/*", "count": 0})
    unit = w.run(w.guard())
    assert verdicts(unit) == ("pass", NOT_STARTED, NOT_STARTED), (unit.gate.missing, unit.error)


def test_a_sim_that_was_never_active_holds_it_back(world):
    w = world("boron", factory="online", device_os="4.0.0", member=None)
    unit = w.run(w.guard(), on_event=lambda kind, step: late_import(w, kind, step))
    assert verdicts(unit) == ("fail", NOT_STARTED, UNKNOWN), "the import activated it"


def late_import(w, kind, step):
    if (kind, step) == ("step_started", "gate"):
        w.import_into(w.products[0])


def test_a_unit_outside_of_the_product_is_unknown(world):
    for member in (None, "other"):
        w = world("boron", member=member, arrives_in="dfu")
        unit = w.run(w.guard())
        assert verdicts(unit) == ("fail", NOT_STARTED, UNKNOWN)
        assert "not in the product" in error(unit)


@pytest.mark.parametrize("do", ["status", "truncate", "html", "expire_token", "empty"])
def test_a_cloud_that_does_not_answer_is_unknown(world, do):
    w = world("boron")
    w.cloud.add_fault({"do": do, "on": "GET /v1/products/*/devices/*", "count": 0})
    unit = w.run(w.guard())
    assert verdicts(unit) == ("fail", NOT_STARTED, UNKNOWN)
    assert any("the cloud's record" in text for text in unit.gate.missing)


def running_before_the_stream(world):
    """A member that is powered, offline as it comes from the factory, before the station listens to its product."""
    w = world("boron")
    w.clock.sleep(60)
    w.board.advance()
    w.open_stream()
    return w


def test_one_that_had_power_before_its_events_were_watched_is_refused_and_nothing_erased(world):
    w = running_before_the_stream(world)
    unit = w.run(w.guard())
    assert (str(unit.verdict), unit.gate.verdict) == ("refused", UNKNOWN)
    assert "before the station watched" in error(unit)
    assert "power off SLOT" in unit.error["hint"]
    assert [s.name for s in unit.steps][-1] == "cloud_before"
    assert w.board.truth.erases == 0


def test_what_the_refusal_tells_to_do_helps(world):
    w = running_before_the_stream(world)
    refused = w.run(w.guard())
    assert "with a new --out" in refused.error["hint"], "a resumed run knows of the time that nobody watched"
    w.board.power_off()
    w.forget_runs()
    w.open_stream()
    unit = w.run(w.guard())
    assert verdicts(unit) == ("pass", NOT_STARTED, NOT_STARTED), (unit.error, unit.gate.missing)


def test_a_stream_with_a_gap_is_unknown(world):
    w = world("boron")
    unit = w.run(w.guard(), on_event=lambda *_: w.interrupt_stream())
    assert unit.gate.verdict is UNKNOWN
    assert any(text.startswith("C4") for text in unit.gate.missing)


def test_a_reset_while_it_waits_for_the_verdict(world):
    w = world("boron")

    def put_back(kind, step):
        if (kind, step) == ("step_started", "gate"):
            w.board.power_on()

    unit = w.run(w.guard(), on_event=put_back)
    assert str(unit.verdict) == "fail"
    assert unit.gate.verdict is not NOT_STARTED


@pytest.mark.parametrize("look", range(1, 7))
def test_unplugged_as_told_at_whichever_look(world, monkeypatch, look):
    """Nobody can switch the power, and the operator pulls the cable between any two looks at the bus."""
    w = world("boron", power_control=False, battery=False, arrives_in="dfu")
    looks = []

    def unplug_at(modules):
        for module in modules:
            real = module.device_at

            def device_at(host, port, real=real):
                if w.events and (w.events[-1].type, w.events[-1].step) == ("step_started", "gate"):
                    looks.append(port)
                    if len(looks) == look:
                        w.board.power_off()
                return real(host, port)

            monkeypatch.setattr(module, "device_at", device_at)

    unplug_at([cloud_steps, observations])
    unit = w.run(w.guard())
    assert len(looks) > look
    assert error(unit) is None or "left DFU mode" not in error(unit)
    assert verdicts(unit) == ("pass", NOT_STARTED, NOT_STARTED), (unit.gate.missing, unit.error)


def test_minutes_at_the_gate_are_one_piece_of_evidence(world):
    w = world("boron", power_control=False, battery=False, arrives_in="dfu")
    sleep, polls = w.clock.sleep, []

    def sleep_and_unplug(duration_s):
        if w.events and (w.events[-1].type, w.events[-1].step) == ("step_started", "gate"):
            polls.append(duration_s)
            if len(polls) == 1000:
                w.board.power_off()
        sleep(duration_s)

    w.clock.sleep = sleep_and_unplug
    unit = w.run(w.guard())
    assert str(unit.verdict) == "pass", unit.error
    assert len(polls) > 1000
    gate = next(s for s in unit.steps if s.name == "gate")
    held = [e for e in gate.evidence["observed"] if e["id"] == "dfu"]
    assert len(held) == 1
    assert held[0]["from"] < held[0]["until"], "what was observed in a step is in that step's record"


@pytest.mark.parametrize(
    ("says", "verdict"), [({"battery": False}, NOT_STARTED), ({"battery": True}, UNKNOWN), ({}, UNKNOWN)]
)
def test_unplugged_is_off_only_without_a_battery(world, says, verdict):
    w = world("boron", power_control=False, arrives_in="dfu", **says)

    def unplug(kind, step):
        if (kind, step) == ("step_started", "gate"):
            w.board.power_off()

    unit = w.run(w.guard(), on_event=unplug)
    assert unit.gate.verdict is verdict, unit.gate.missing
    assert (str(unit.verdict) == "pass") is (verdict is NOT_STARTED)
    gate = next(s for s in unit.steps if s.name == "gate")
    assert "unplugged from USB; the bench file" in gate.evidence["power"]
    assert any("a battery may keep it on" in text for text in unit.gate.missing) is (verdict is UNKNOWN)


# ---- what did not pass --------------------------------------------------------------------------------------------


def unmet(w):
    return Shelf([*w.set[:-1], small_set(w.kind, app_needs=SYSTEM_VERSION + 1)[-1]])


def minutes_later(w):
    w.clock.sleep(600)
    w.board.advance()
    return w.board.truth


def test_a_refused_unit_is_left_without_power_and_the_next_run_knows(world):
    w = world("boron", factory="online", device_os="4.0.0")
    w.board.power_off()
    unit = w.run(shelf=unmet(w))
    assert str(unit.verdict) == "refused"
    assert not minutes_later(w).went_online
    assert w.board.state.runs == "off"
    again = w.run()
    assert verdicts(again)[:2] == ("pass", NOT_STARTED), again.billing.missing
    assert "off" in {e.id for e in again.billing.evidence}


def test_where_nobody_can_switch_the_power_it_listens(world):
    w = world("boron", factory="online", device_os="4.0.0", power_control=False)
    w.board.reset_pin()
    w.clock.sleep(1.3)
    unit = w.run(shelf=unmet(w))
    assert str(unit.verdict) == "refused"
    assert any("unplug" in e.data["message"] for e in w.events if e.type == "operator_message")
    assert not minutes_later(w).went_online
    assert w.board.state.listening


def test_what_fails_when_a_unit_is_let_go_does_not_hide_the_unit(world, monkeypatch):
    w = world("boron", factory="online", device_os="4.0.0")
    w.board.power_off()

    def jammed():
        raise BenchError("the power switch does not answer", hint="look at the bench")

    monkeypatch.setattr(w.slot.power, "off", jammed)
    unit = w.run(shelf=unmet(w))
    assert w.events[-1].type == "unit_finished"
    assert str(unit.verdict) == "refused"
    assert w.events[-1].data["left"]["error"]["type"] == "BenchError"
    assert any("could not be left quiet" in e.data["message"] for e in w.events if e.type == "operator_message")


# ---- the last look --------------------------------------------------------------------------------------------------


def test_a_gate_that_no_longer_passes_when_the_record_is_written_fails_the_unit(world):
    w = world("boron")

    def interrupt_stream(kind, step):
        if (kind, step) == ("step_finished", "gate"):
            w.stream.finds_it_was_blind(w.began)

    unit = w.run(w.guard(), on_event=interrupt_stream)
    assert all(str(s.status) == "passed" for s in unit.steps)
    assert verdicts(unit) == ("fail", NOT_STARTED, UNKNOWN)
    assert "C4" in error(unit)
    assert unit.error["hint"]


def test_a_window_with_a_hole_fails_the_unit_and_says_why(world):
    w = world("boron", arrives_in="dfu")

    def look_away(kind, step):
        if (kind, step) == ("step_finished", "verify"):
            w.clock.sleep(30)

    real = observations.Observations.held_as_seen

    def forget(self, seen, device, since=None):
        real(self, seen, device, since)
        if w.events[-1].step == "park":
            self.evidence.pop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observations.Observations, "held_as_seen", forget)
        unit = w.run(on_event=look_away)
    assert verdicts(unit)[:2] == ("fail", UNKNOWN)
    assert "nobody watched the unit" in error(unit)
    assert unit.error["hint"]


@pytest.mark.parametrize("cause", [OSError(28, "No space left on device"), filelock.Timeout("devices.jsonl.lock")])
def test_a_site_memory_that_cannot_be_written_never_hides_the_unit(world, cause):
    w = world("boron", factory="online", device_os="4.0.0")
    w.clock.sleep(60)
    w.board.advance()
    w.board.power_off()
    w.open_stream()
    w.states.add = lambda event: full(event) if str(event.type) == "connected" else None

    def full(_event):
        raise GuardStateError(f"cannot write devices.jsonl: {cause}", path="devices.jsonl", hint="make room")

    unit = w.run(w.guard())
    assert w.events[-1].type == "unit_finished"
    assert verdicts(unit)[0] in ("fail", "refused")
    assert w.events[-1].data["error"]["type"] == "GuardStateError"
    assert any("is not kept" in e.data["message"] for e in w.events if e.type == "operator_message")


def test_a_tested_unit_whose_start_cannot_be_kept_fails(world, tmp_path):
    w = world("boron", device_os="4.0.0")
    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True))
    w.board.dct.mark_setup_done()

    def full(kind, step):
        if (kind, step) == ("step_finished", "gate"):
            w.states.path = tmp_path  # A folder: nobody can write it as a file.

    unit = w.run(guard, on_event=full)
    assert w.events[-1].type == "unit_finished"
    assert all(str(s.status) == "passed" for s in unit.steps)
    assert str(unit.verdict) == "fail"
    assert unit.error["type"] == "GuardStateError"


# ---- strategy B ------------------------------------------------------------------------------------------------------


def after_a_test_elsewhere(world):
    w = world("boron", factory="online", device_os="4.0.0")
    w.clock.sleep(60)
    w.board.advance()
    w.board.power_off()
    w.cloud.advance()
    w.clock.sleep(2 * 60 * 60)
    w.cloud.advance()
    w.open_stream()
    w.board.state.dfu_requested = True
    w.board.power_on()
    return w


def test_a_unit_that_was_tested_elsewhere_passes_since_its_baseline(world):
    w = after_a_test_elsewhere(world)
    unit = w.run(w.guard(Strategy.B))
    assert unit.gate.verdict is UNKNOWN
    assert unit.gate.since_baseline is NOT_STARTED, unit.gate.missing
    assert str(unit.verdict) == "pass", unit.error
    kept = w.states.state(w.device_id)
    assert kept.baseline.last_handshake_at
    assert kept.first_connected_at is None, "nothing says that its billing started"
    before = next(s for s in unit.steps if s.name == "cloud_before")
    assert before.evidence["baseline"]["last_handshake_at"] == kept.baseline.last_handshake_at


def test_a_baseline_once_taken_stays(world):
    """A connection after it is not hidden by the next run."""
    w = after_a_test_elsewhere(world)
    guard = w.guard(Strategy.B)
    assert str(w.run(guard).verdict) == "pass"
    w.clock.sleep(2 * 60 * 60)
    w.board.dct.mark_setup_done()
    w.board.power_on()
    w.clock.sleep(60)
    w.board.advance()
    assert len(w.sessions) == 2
    w.board.power_off()
    w.cloud.advance()
    w.clock.sleep(2 * 60 * 60)
    w.open_stream()
    w.board.state.dfu_requested = True
    w.board.power_on()
    unit = w.run(guard)
    assert verdicts(unit)[::2] == ("refused", STARTED)


def test_without_a_record_for_the_baseline_nothing_is_erased(world):
    w = after_a_test_elsewhere(world)
    w.cloud.add_fault({"do": "status", "on": "GET /v1/products/*/devices/*", "count": 0})
    unit = w.run(w.guard(Strategy.B))
    assert str(unit.verdict) == "fail"
    assert unit.steps[-1].name == "cloud_before"
    assert w.board.truth.erases == 0
    assert w.states.state(w.device_id).baseline is None


# ---- strategy A ------------------------------------------------------------------------------------------------------


def book(tmp_path):
    return BudgetBook(tmp_path / "budget.json", budget_of(PLANS[PlanName.BASIC]))


def test_a_unit_is_connected_with_consent_and_its_start_recorded(world, tmp_path):
    w = world("boron", device_os="4.0.0")
    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True))
    w.board.dct.mark_setup_done()
    unit = w.run(guard)
    assert verdicts(unit) == ("pass", STARTED, STARTED), (unit.error, unit.gate)
    assert w.is_metered
    assert [s.name for s in unit.steps][-4:] == ["connect", "disconnect", "park", "gate"]
    assert w.states.state(w.device_id).first_connected_at is not None
    assert w.board.state.runs == "off"


def test_without_consent_nothing_is_erased(world, tmp_path):
    w = world("boron", device_os="4.0.0")
    unit = w.run(w.guard(Strategy.A, budget=book(tmp_path)))
    assert str(unit.verdict) == "refused"
    assert "nobody has agreed" in error(unit)
    assert w.board.truth.erases == 0
    assert not w.is_metered


@pytest.mark.parametrize(
    ("fault", "hint"),
    [({"do": "expire_token"}, "cloud login"), ({"do": "status", "status": 403}, "this account may do it")],
)
def test_a_record_that_cannot_be_read_says_so_and_not_that_it_is_no_member(world, tmp_path, fault, hint):
    w = world("boron", device_os="4.0.0")
    w.board.dct.mark_setup_done()
    w.cloud.add_fault({"on": "GET /v1/products/*/devices/*", "count": 0, **fault})
    unit = w.run(w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True)))
    assert str(unit.verdict) == "refused"
    assert "its record in the cloud was not read" in error(unit)
    assert "no approved member" not in error(unit)
    assert hint in unit.error["hint"]
    assert w.board.truth.erases == 0


def test_one_that_is_not_a_member_is_told_so(world, tmp_path):
    w = world("boron", device_os="4.0.0", member=None)
    unit = w.run(w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True)))
    assert "no approved member" in error(unit)


def test_one_that_is_not_set_up_is_not_waited_for(world, tmp_path):
    """As it comes from the factory: its application listens, and never connects."""
    w = world("boron")
    before_s = w.clock.monotonic_s()
    unit = w.run(w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True)))
    assert str(unit.verdict) == "fail"
    assert "listening mode" in error(unit)
    assert 'factory = "online"' in unit.error["hint"]
    assert w.clock.monotonic_s() - before_s < Limits().connect_s / 2
    assert w.board.state.runs == "dfu"
    assert not w.is_metered


def test_one_that_goes_into_dfu_mode_instead_of_connecting_is_not_waited_for(world, tmp_path):
    w = world("boron")
    w.board.dct.mark_setup_done()
    w.cloud.network.coverage["cellular"] = False

    def press_buttons(kind, step):
        if (kind, step) == ("step_started", "connect"):
            sleep = w.clock.sleep

            def sleep_and_press(duration_s):
                sleep(duration_s)
                if duration_s == CLOUD_POLL_S:
                    w.clock.sleep = sleep
                    w.board.power_off()
                    w.board.state.dfu_requested = True
                    w.board.power_on()

            w.clock.sleep = sleep_and_press

    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True))
    started_s = w.clock.monotonic_s()
    unit = w.run(guard, on_event=press_buttons)
    assert str(unit.verdict) == "fail"
    assert "DFU mode instead of connecting" in error(unit)
    assert w.clock.monotonic_s() - started_s < 300
    assert not w.is_metered


@pytest.mark.parametrize("wait", ["wait_for_mode", "wait_until_settled"])
def test_one_that_does_not_come_up_in_time_is_brought_back(world, tmp_path, monkeypatch, wait):
    w = world("boron")
    w.board.dct.mark_setup_done()
    w.cloud.network.coverage["cellular"] = False
    real = getattr(cloud_steps, wait)

    def too_late(*args):
        real(*args)
        raise DeviceModeError("it took too long", expected="normal")

    monkeypatch.setattr(cloud_steps, wait, too_late)
    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True))
    unit = w.run(guard)
    assert (str(unit.verdict), error(unit)) == ("fail", "it took too long")
    assert w.board.state.runs == "dfu"


def test_one_that_does_not_come_back_either_is_told_and_the_first_error_stays(world, tmp_path, monkeypatch):
    w = world("boron")
    w.board.dct.mark_setup_done()

    def fail(*_args):
        raise DeviceModeError("it took too long", expected="normal")

    def stay_away(*_args, **_options):
        raise DeviceNotFoundError("nothing there")

    monkeypatch.setattr(cloud_steps, "wait_for_mode", fail)
    monkeypatch.setattr(cloud_steps, "wait_for_device", stay_away)
    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True))
    unit = w.run(guard)
    assert error(unit) == "it took too long"
    assert unit.steps[-1].evidence["not_back_in_dfu"]["message"] == "nothing there"
    assert any("did not come back" in e.data["message"] for e in w.events if e.type == "operator_message")


def test_without_coverage_it_comes_back_into_dfu_mode(world, tmp_path):
    w = world("boron")
    w.board.dct.mark_setup_done()
    w.cloud.network.coverage["cellular"] = False
    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True))
    unit = w.run(guard)
    assert str(unit.verdict) == "fail"
    assert "connect took longer than 600 s" in error(unit)
    assert "test connectivity" in unit.error["hint"]
    assert "USB" not in unit.error["hint"]
    assert w.board.state.runs == "dfu"
    assert not w.is_metered


# ---- a debug probe before USB ----------------------------------------------------------------------------------------

ALL_BY_PROBE = ProbeChoice(blank_only=False)


@pytest.mark.usefixtures("own_probes")
def test_the_cloud_is_asked_while_the_probe_holds_the_core(world):
    w = world("boron", probe=True)
    unit = w.run(w.guard(), probe=ALL_BY_PROBE)
    assert verdicts(unit) == ("pass", NOT_STARTED, NOT_STARTED), (unit.gate.missing, unit.error)
    names = [s.name for s in unit.steps]
    assert names[:5] == ["probe", "probe_plan", "cloud_before", "probe_flash", "probe_park"]
    assert names[-2:] == ["park", "gate"]
    assert names.count("cloud_before") == 1
    assert not w.is_metered


@pytest.mark.usefixtures("own_probes")
def test_one_that_is_billed_is_refused_before_the_probe_erases(world):
    w = world("boron", probe=True, factory="online", device_os="4.0.0")
    w.clock.sleep(60)
    w.board.advance()
    assert w.is_metered
    w.board.power_off()
    w.open_stream()
    unit = w.run(w.guard(), probe=ALL_BY_PROBE)
    assert str(unit.verdict) == "refused", unit.error
    assert "started before" in error(unit)
    assert [s.name for s in unit.steps if s.error] == ["cloud_before"]
    assert w.board.truth.erases == 0


@pytest.mark.usefixtures("own_probes")
def test_strategy_a_after_a_probe(world, tmp_path):
    w = world("boron", probe=True, device_os="4.0.0")
    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=Permissions(may_connect=True))
    w.board.dct.mark_setup_done()
    unit = w.run(guard, probe=ALL_BY_PROBE)
    assert verdicts(unit) == ("pass", STARTED, STARTED), (unit.error, unit.gate)
    assert [s.name for s in unit.steps].count("cloud_before") == 1


# ---- acts in the recipe's order ------------------------------------------------------------------------------------


BILL, CONNECT = Permissions(may_bill=True), Permissions(may_bill=True, may_connect=True)
LATE_IMPORT = [Act.IDENTIFY, Act.FLASH_FINAL, Act.POWER_OFF, Act.IMPORT, Act.GATE]
EARLY_IMPORT = [Act.IDENTIFY, Act.IMPORT, Act.FLASH_FINAL, Act.POWER_OFF, Act.GATE]


def step_names(unit):
    return [s.name for s in unit.steps]


def no_auto_approve(w):
    """The product keeps strangers out, and the station knows."""
    w.evidence.product = replace(w.evidence.product, quarantine=True)
    return w


@pytest.mark.parametrize("acts", [LATE_IMPORT, EARLY_IMPORT])
def test_strategy_c_imports_the_unit_itself_when_it_is_off_or_held(world, acts):
    w = no_auto_approve(world("boron", member=None, factory="online", device_os="4.0.0", arrives_in="dfu"))
    unit = w.run(w.guard(admission=w.admission(), permissions=BILL), acts=acts)
    assert verdicts(unit) == ("pass", NOT_STARTED, NOT_STARTED), (unit.gate.missing, unit.error)
    assert w.evidence.record(w.device_id) is not None
    order = ["park", "import", "gate"] if acts is LATE_IMPORT else ["import", "flash", "verify", "park", "gate"]
    assert step_names(unit)[-len(order) :] == order
    assert not w.is_metered


def test_without_permission_to_bill_nothing_is_imported_or_erased(world):
    w = no_auto_approve(world("boron", member=None, arrives_in="dfu"))
    unit = w.run(w.guard(admission=w.admission()), acts=EARLY_IMPORT)
    assert str(unit.verdict) == "refused"
    assert w.evidence.record(w.device_id) is None
    assert w.board.truth.erases == 0


def test_where_auto_approve_may_be_on_nothing_is_imported(world):
    w = world("boron", member=None, arrives_in="dfu")
    w.evidence.product = replace(w.evidence.product, quarantine=None)
    unit = w.run(w.guard(admission=w.admission(), permissions=BILL), acts=EARLY_IMPORT)
    assert str(unit.verdict) == "refused"
    assert "auto-approve" in error(unit)
    assert w.evidence.record(w.device_id) is None


def test_a_full_plan_imports_nothing(world):
    w = no_auto_approve(world("boron", member=None, plan="free", arrives_in="dfu"))
    for n in range(100):
        device = w.cloud.population.make_device("boron", f"e00fce68{n:016x}")
        with w.cloud.session():
            w.cloud.take_into_product(device, w.products[1], "test")
    unit = w.run(w.guard(admission=w.admission(), permissions=BILL), acts=EARLY_IMPORT)
    assert str(unit.verdict) == "refused"
    assert "room" in error(unit)


def test_one_whose_power_nobody_saw_go_is_not_imported(world):
    """H9, H13: with a battery it may be on, and would connect with its new SIM."""
    w = no_auto_approve(world("boron", member=None, arrives_in="dfu", power_control=False, battery=True))

    def unplug(kind, step):
        if (kind, step) == ("step_started", "import"):
            w.board.power_off()

    unit = w.run(w.guard(admission=w.admission(), permissions=BILL), acts=LATE_IMPORT, on_event=unplug)
    assert str(unit.verdict) == "fail"
    assert "importing activates the SIM" in error(unit)
    assert w.evidence.record(w.device_id) is None


def test_strategy_a_imports_connects_and_is_seen_offline_before_it_ships(world, tmp_path):
    w = no_auto_approve(world("boron", member=None, device_os="4.0.0", arrives_in="dfu"))
    w.board.dct.mark_setup_done()
    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=CONNECT, admission=w.admission())
    acts = SAFE_ORDER[Strategy.A]
    unit = w.run(guard, acts=acts)
    assert verdicts(unit) == ("pass", STARTED, STARTED), (unit.error, unit.gate)
    said_goodbye = next(s for s in unit.steps if s.name == "disconnect")
    assert said_goodbye.evidence["offline_in_the_cloud"] is True
    assert w.is_metered


def test_strategy_a_does_not_pass_while_the_cloud_takes_the_unit_for_online(world, tmp_path):
    w = world("boron", device_os="4.0.0")
    w.board.dct.mark_setup_done()
    guard = w.guard(Strategy.A, budget=book(tmp_path), permissions=CONNECT)

    def lie(kind, step):
        if (kind, step) == ("step_finished", "connect"):
            w.cloud.add_fault({"do": "lie_online", "online": True, "count": 0})

    unit = w.run(guard, on_event=lie)
    assert str(unit.verdict) == "fail"
    assert "not known to see it offline" in error(unit)
    assert unit.steps[-1].name == "gate"


MOVE = [Act.IDENTIFY, Act.TAKE_BASELINE, Act.FLASH_FINAL, Act.POWER_OFF, Act.UNCLAIM, Act.IMPORT, Act.GATE]


def test_strategy_b_moves_the_unit_from_the_test_account_when_it_is_off(world):
    w = no_auto_approve(world("boron", member=None, factory="online", device_os="4.0.0"))
    account = w.test_account()
    w.clock.sleep(60)
    w.board.advance()
    w.board.power_off()
    w.cloud.advance()
    w.clock.sleep(2 * 60 * 60)
    w.cloud.advance()
    w.open_stream()
    w.board.state.dfu_requested = True
    w.board.power_on()
    guard = w.guard(Strategy.B, admission=w.admission(), permissions=BILL, test_account=account)
    unit = w.run(guard, acts=MOVE)
    assert (str(unit.verdict), unit.gate.since_baseline) == ("pass", NOT_STARTED), (unit.error, unit.gate.missing)
    assert step_names(unit)[-4:] == ["park", "unclaim", "import", "gate"]
    assert account.record(w.device_id) is None
    assert w.evidence.record(w.device_id).product_id == w.products[0].id
    assert w.states.state(w.device_id).baseline.last_handshake_at, "it was online there"
    assert unit.gate.verdict is UNKNOWN
    assert w.cloud.store.get(Sim, w.device.iccid).owner_product == w.products[0].id, "without a release"


def test_strategy_b_moves_nothing_without_a_baseline(world):
    w = no_auto_approve(world("boron", member=None, arrives_in="dfu"))
    account = w.test_account()
    AccountDevices(w.test_api).unclaim(w.device_id)
    guard = w.guard(Strategy.B, admission=w.admission(), permissions=BILL, test_account=account)
    unit = w.run(guard, acts=MOVE)
    assert str(unit.verdict) == "fail"
    assert "its last connection in the test account is not on record" in error(unit)
    assert w.evidence.record(w.device_id) is None


# ---- limits ----------------------------------------------------------------------------------------------------------


def test_a_cloud_that_takes_longer_than_the_recipe_allows_costs_the_unit_before_anything_is_erased(world, monkeypatch):
    w = world("boron", arrives_in="dfu")
    real = w.evidence.snapshot

    def slow(*arguments):
        w.clock.sleep(Limits().cloud_s + 1)
        return real(*arguments)

    monkeypatch.setattr(w.evidence, "snapshot", slow)
    unit = w.run(w.guard())
    assert str(unit.verdict) == "fail"
    assert unit.error["type"] == "StepTimeoutError"
    assert unit.error["fields"]["limit_s"] == Limits().cloud_s
    assert w.board.truth.erases == 0


def test_what_others_have_used_of_the_plan_stops_strategy_a_before_anything_is_erased(world, tmp_path):
    """The fleet in the field shares the plan: the cloud's count decides, not this station's."""
    w = world("boron", device_os="4.0.0")
    w.board.dct.mark_setup_done()
    plan = budget_of(PLANS[PlanName.BASIC])
    used = AccountUsage(w.api, None, plan)
    shared = BudgetBook(tmp_path / "budget.json", plan, usage=used)
    assert used().spent == Cost(0, 0)
    guard = w.guard(Strategy.A, budget=shared, permissions=CONNECT)
    with w.cloud.session():
        member = w.cloud.store.get(Device, w.device_id)
        w.cloud.ledger.use(member, cellular_bytes=int(0.95 * plan.max_cellular_bytes))
    w.clock.sleep(REFRESH_S + 1)
    unit = w.run(guard)
    assert str(unit.verdict) == "refused"
    assert "bytes of cellular data are used this month" in error(unit)
    assert w.board.truth.erases == 0


# ---- between two attempts --------------------------------------------------------------------------------------------


def killed_when_known(w, meanwhile=lambda: None):
    """A station that dies as soon as it knows the unit; what happens before the next one comes."""
    seen = []

    def on_event(kind, step):
        seen.append(step)
        if seen.count("identify") == 2:
            meanwhile()
            w.mortal.die()

    assert w.run(w.guard(), on_event=on_event) is None


def test_what_a_unit_did_since_it_was_first_seen_belongs_to_the_window(world):
    """Record and stream deny a connection after the first station has died, and its counters are lost: nobody knows."""
    w = world("boron", device_os="4.0.0")
    w.board.power_off()
    w.program(w.set)
    w.make_ready_to_connect()
    w.open_stream()
    conspire(w, record=True, counters=False, stream="deaf")
    killed_when_known(w, lambda: button_and_back(w, 60))
    assert w.sessions, "it was online"
    unit = w.run(w.guard())
    assert unit.billing.verdict is UNKNOWN
    assert unit.gate.verdict is UNKNOWN
    assert any("nothing kept the unit off the air" in text for text in unit.gate.missing), unit.gate


def test_a_unit_that_came_in_dfu_mode_and_stayed_there_is_still_proven(world):
    w = world("boron", arrives_in="dfu")
    killed_when_known(w, lambda: w.clock.sleep(60))
    unit = w.run(w.guard())
    assert unit.billing.verdict is NOT_STARTED, unit.billing
    assert unit.gate.verdict is NOT_STARTED, unit.gate
