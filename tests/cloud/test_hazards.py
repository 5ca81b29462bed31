"""One test per hazard: that the place which the table names really prevents, detects or reports it."""

import pkgutil
import sys

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import release_stand_ins

from particle_dev.cloud.facts import Baseline, FactVerdict, device_facts
from particle_dev.cloud.gate import INTERLOCKS, Radio, evaluate
from particle_dev.cloud.hazards import HAZARDS, Handling
from particle_dev.cloud.metering import BillingFinding, BillingVerdict, held_listening, no_credentials, read_counters
from particle_dev.cloud.product_firmware import check_first_release
from particle_dev.cloud.removal import Removal, RemovalStep
from particle_dev.cloud.strategies import Act, Runs, Strategy, UnitFacts, refusals
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import device_at, wait_for_device
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target, enter_dfu
from particle_dev.errors import DeviceModeError, PermissionMissingError, PlanRefusedError, ProductVersionError
from particle_dev.flash.plan import make_plan
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages import AssetInfo
from particle_dev.station.bench import open_bench
from particle_dev.station.observations import Observations
from tests.cloud.guard_cases import OFF_S, PLATFORM, PRODUCT, at, device_row, good_case, snapshot
from tests.flash.test_plan import APP as PLAN_APP
from tests.flash.test_plan import board as plan_board
from tests.flash.test_update_plan import a_set, bundle, plan_of
from tests.flash.test_update_plan import board as update_board

QUIET = dict.fromkeys(("cloud:stat", "cloud:connatt", "cloud:dconn", "net:stat", "net:connatt", "net:dconn"), 0)


@pytest.fixture
def desk():
    """A Boron that a former owner set up: left alone it goes online."""
    kind = hardware("boron")
    bench = open_bench(
        "virtual",
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": "boron", "factory": "online"}],
        factory_modules=lambda _: release_stand_ins(kind),
    )
    yield bench
    bench.close()


def running(desk):
    host = desk.slots[0].host
    return host, wait_for_device(host, "1-1", 10), desk.driver.board("1")


# ---- the table -----------------------------------------------------------------------------------------------------


def test_all_twenty_are_there():
    assert [h.id for h in HAZARDS] == [f"H{n}" for n in range(1, 21)]


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda h: h.id)
def test_the_named_place_exists_and_a_test_proves_it(hazard):
    assert pkgutil.resolve_name(hazard.where) is not None
    tests = [name for name in dir(sys.modules[__name__]) if name.startswith(f"test_{hazard.id.lower()}_")]
    assert len(tests) == 1, tests
    assert hazard.title
    assert hazard.why
    assert hazard.how


# ---- each of them --------------------------------------------------------------------------------------------------


def test_h1_leaving_dfu_mode_needs_the_permission(desk):
    host, device, board = running(desk)
    device, _ = enter_dfu(host, device)
    with DfuSession(host, device) as session, pytest.raises(PermissionMissingError):
        session.leave()
    host.clock.sleep(300)
    board.advance()
    assert board.state.runs == "dfu"
    assert not board.truth.went_online


def test_h2_safe_mode_needs_the_permission(desk):
    host, device, board = running(desk)
    with ControlSession(host, device) as session, pytest.raises(PermissionMissingError):
        session.enter_safe_mode()
    with pytest.raises(PermissionMissingError):
        change_mode(host, device, Target.SAFE)
    assert board.truth.safe_mode_boots == 0


def test_h3_a_set_with_an_unmet_dependency_is_refused():
    with pytest.raises(PlanRefusedError, match="needs"):
        make_plan(plan_board(), [PLAN_APP])


def test_h4_an_application_without_its_asset_is_refused():
    app, _ = bundle("boron", 5501)
    with pytest.raises(PlanRefusedError, match="asset"):
        plan_of(update_board("boron", a_set("boron", 5501, 2300)), [app], assets=AssetInfo((), ()))


def test_h5_the_setup_flag_is_no_evidence():
    assert set(INTERLOCKS.values()) == {"C7", "D5", None}


def test_h6_listening_is_evidence_for_its_boot_alone():
    piece = held_listening(read_counters(QUIET | {"sys:uptime": 40}, at(40)))
    gate = evaluate(good_case(evidence=(piece,)))
    assert gate.verdict is BillingVerdict.UNKNOWN
    assert "08:00:40" in gate.missing[0]


def test_h7_a_disconnect_does_not_hide_an_attempt(desk):
    host, device, board = running(desk)
    host.clock.sleep(10)
    board.advance()
    assert board.truth.network_attempts == 1
    with ControlSession(host, device) as session:
        session.stop_connecting()
        piece = read_counters(session.diagnostics(), host.clock.utc_now())
    assert piece.finding is BillingFinding.INCONCLUSIVE


def test_h8_a_board_that_another_tool_reset_breaks_the_evidence(desk):
    host, device, board = running(desk)
    device, _ = enter_dfu(host, device)
    observed = Observations(desk.slots[0])
    observed.in_dfu_since(host.clock.utc_now())
    observed.still_held(device)
    board.reset_pin()
    host.clock.sleep(5)
    assert device_at(host, "1-1") is not None
    with pytest.raises(DeviceModeError, match="left DFU mode"):
        observed.still_held(device)


def test_h9_strategy_c_imports_nothing_that_runs_by_itself():
    ready = UnitFacts(identified=True, room_in_plan=True, platform_matches=True, auto_approve_off=True)
    assert [r.hazard for r in refusals(Strategy.C, ready, Act.IMPORT)] == ["H9"]


def test_h10_strategy_a_connects_only_with_what_the_product_releases():
    ready = UnitFacts(
        consent=True,
        in_product=True,
        approved=True,
        sim_active=True,
        runs=Runs.FINAL,
        set_is_complete=True,
        read_back=True,
        stream_watched=True,
        budget_left=True,
    )
    assert [r.hazard for r in refusals(Strategy.A, ready, Act.CONNECT)] == ["H10"]


def test_h11_no_import_without_knowing_that_auto_approve_is_off():
    for strategy in Strategy:
        assert "H11" in [r.hazard for r in refusals(strategy, UnitFacts(), Act.IMPORT)]


def test_h12_nothing_connects_that_is_no_approved_member():
    for facts in (UnitFacts(), UnitFacts(in_product=True)):
        assert "H12" in [r.hazard for r in refusals(Strategy.A, facts, Act.CONNECT)]


def test_h13_without_a_loss_of_power_that_was_seen_nothing_is_proven():
    assert evaluate(good_case(is_off=False)).verdict is BillingVerdict.UNKNOWN


def test_h14_a_connection_elsewhere_is_reported_apart():
    record = device_row(last_handshake_at="x", last_heard="x")
    baseline = Baseline(at(-9), "x", "x")
    both = {w: snapshot(s, record, baseline=baseline) for w, s in (("start", 1), ("end", OFF_S + 61))}
    gate = evaluate(good_case(**both))
    assert (gate.verdict, gate.since_baseline) == (BillingVerdict.UNKNOWN, BillingVerdict.NOT_STARTED)


def test_h15_asking_for_the_iccid_powers_the_modem_and_connects_nothing(desk):
    host, device, board = running(desk)
    with ControlSession(host, device) as session:
        session.start_listening()
        assert session.cellular.ids().iccid
        host.clock.sleep(300)
        piece = read_counters(session.diagnostics(), host.clock.utc_now())
    assert board.truth.radio_power_ons == 1
    assert piece.finding is BillingFinding.OFFLINE
    assert not board.truth.went_online


def test_h16_a_network_that_was_left_is_no_evidence():
    assert no_credentials(["Bench"], at(0), at(OFF_S)) is None
    gate = evaluate(good_case(evidence=(), radios=frozenset({Radio.WIFI})))
    assert gate.verdict is BillingVerdict.UNKNOWN


def test_h17_out_of_the_product_is_half_of_it():
    half = Removal("e00fce68" + "0" * 16, "1", "89", (RemovalStep.UNCLAIM, RemovalStep.REMOVE_DEVICE))
    assert not half.is_complete


@pytest.mark.parametrize("row", [device_row(quarantined=True), device_row(product_id=PRODUCT - 1)])
def test_h18_a_device_in_quarantine_or_in_the_old_product_is_no_member(row):
    facts = {f.id: f for f in device_facts(row, at(0), product_id=PRODUCT, platform_id=PLATFORM)}
    assert facts["C11"].verdict is FactVerdict.DOUBT


def test_h19_only_a_unit_with_its_final_firmware_moves():
    ready = UnitFacts(
        identified=True,
        baseline_taken=True,
        room_in_plan=True,
        platform_matches=True,
        auto_approve_off=True,
        has_power=False,
        runs=Runs.OURS,
    )
    reasons = [r.reason for r in refusals(Strategy.B, ready, Act.IMPORT)]
    assert reasons == ["it does not hold the final firmware", "what was written is not read back"]


def test_h20_a_version_that_no_device_runs_is_not_released():
    check_first_release(2, [("a", 1), ("b", 2)])
    for running_now in ([], [("a", 1), ("b", None)]):
        with pytest.raises(ProductVersionError, match="golden device"):
            check_first_release(2, running_now)


def test_what_is_prevented_is_refused_by_something_that_raises():
    assert {h.handling for h in HAZARDS} == set(Handling)
    assert Permissions() == Permissions(may_connect=False)
