"""Every fault that the simulated network, board and cloud can have ends with a code of its own, never with a bare
time-out.

Board, network and cloud are our own models, made from Device OS's sources and Particle's documentation; what is proven
is that the test tells faults apart by what a real board shows: counters, log lines, events, records. Codes are
asserted, texts are not. All on one virtual clock: twenty minutes of registration take less than a second.
"""

import pytest
from particle_harness.cloud.tables import Device, Sim

from particle_dev.connectivity.diagnosis import code_of
from particle_dev.connectivity.engine import error_of
from particle_dev.connectivity.failures import CATALOGUE, FailureCode
from particle_dev.connectivity.outcome import ConnectivityVerdict, StageStarted, StageStatus
from particle_dev.connectivity.plan import FunctionProbe, VariableProbe
from particle_dev.connectivity.stages import Stage
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import CloudLimitError
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages_radio import AccessPoint, WifiCredentials, WifiSecurity
from particle_dev.protocol.messages_radio import Sim as SimKind
from particle_dev.protocol.secret import Secret
from tests.connectivity.world import World

C = FailureCode


@pytest.fixture
def world():
    made = []

    def make(*args, **options):
        made.append(World(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def failure(result):
    found = result.failed
    assert found is not None, [(r.stage, r.status, r.seen) for r in result.stages]
    assert found.failure is not None
    error = error_of(result)
    assert error is not None
    assert error.hint
    assert error.engineer_hint
    return found.stage, found.failure.code


def at_stage(stage, act):
    """An ``on_event`` that does something when a stage begins."""

    def on_event(event):
        if isinstance(event, StageStarted) and event.stage is stage:
            act()

    return on_event


@pytest.mark.parametrize(
    ("trouble", "with_log", "stage", "code"),
    [
        ("modem_dead", True, Stage.RADIO, C.MODEM_DEAD),
        ("sim_dead", True, Stage.SIM, C.SIM_DEAD),
        ("no_coverage", True, Stage.NETWORK, C.REG_0),
        ("no_carrier", True, Stage.NETWORK, C.REG_2),
        ("denied", True, Stage.NETWORK, C.REG_3),
        ("no_coverage", False, Stage.NETWORK, C.REG_TMO),
        ("no_address", True, Stage.IP, C.IP_DHCP),
        ("dns_blocked", True, Stage.CLOUD_SOCKET, C.NET_DNS),
        ("dns_blocked", False, Stage.CLOUD_SOCKET, C.NET_DNS),
        ("udp_blocked", True, Stage.HANDSHAKE, C.NET_CLOUD),
        ("udp_blocked", False, Stage.HANDSHAKE, C.NET_CLOUD),
        ("weak_signal", True, Stage.VITALS, C.MEA_LIMIT),
    ],
)
def test_the_network(world, trouble, with_log, stage, code):
    w = world(log=with_log, network=[trouble])
    result = w.test()
    assert failure(result) == (stage, code)
    assert result.stages[-1].stage is Stage.RESTORE
    assert result.stages[-1].status is StageStatus.PASSED
    later = [r for r in result.stages if r.stage not in (Stage.RESTORE,) and r.at_s > result.failed.at_s]
    assert all(r.status is StageStatus.NOT_RUN for r in later)


def test_a_lost_handshake_with_a_weak_signal_is_put_down_to_the_signal(world):
    w = world(log=False)
    w.board.set_network_troubles("weak_signal", "udp_blocked")
    assert failure(w.test()) == (Stage.HANDSHAKE, C.TLS_SIG)


def test_a_wrong_access_point_name(world):
    w = world()
    device = wait_for_device(w.host, w.slot.port_path, 10)
    with ControlSession(w.host, device) as session:
        session.cellular.set_access_point(SimKind.INTERNAL, AccessPoint("internet.example"))
    result = w.test()
    assert failure(result) == (Stage.IP, C.IP_APN)
    assert "internet.example" in result.failed.seen


def test_an_inactive_sim_is_parked(world):
    w = world(sim_active=False)
    result = w.test()
    assert failure(result) == (Stage.PRECONDITIONS, C.SIM_PEND)
    assert result.verdict is ConnectivityVerdict.PARKED
    assert not w.board.truth.went_online


def test_a_sim_that_is_deactivated_meanwhile_is_refused_by_the_network(world):
    w = world()

    def deactivate():
        with w.cloud.session():
            sim = w.cloud.store.get(Sim, w.iccid)
            sim.status = "inactive"
            w.cloud.store.put(sim)

    result = w.test(on_event=at_stage(Stage.NETWORK, deactivate))
    assert failure(result) == (Stage.NETWORK, C.REG_3)
    assert result.verdict is ConnectivityVerdict.PARKED


def test_somebody_elses_sim(world):
    w = world()
    with w.cloud.session():
        sim = w.cloud.store.get(Sim, w.iccid)
        sim.owner_product, sim.owner_account = 4711, ""
        w.cloud.store.put(sim)
    assert failure(w.test()) == (Stage.PRECONDITIONS, C.SIM_OWN)


BENCH_WIFI = WifiCredentials("Bench", WifiSecurity.WPA2, Secret("bench-password"))
WIFI = Permissions(may_connect=True, may_erase=True)


@pytest.mark.parametrize(
    ("credentials", "stage", "code"),
    [
        (WifiCredentials("Bench", WifiSecurity.WPA2, Secret("wrong")), Stage.NETWORK, C.WIFI_AUTH),
        (WifiCredentials("Nowhere", WifiSecurity.WPA2, Secret("wrong")), Stage.RADIO, C.WIFI_NOAP),
    ],
)
def test_wifi(world, credentials, stage, code):
    w = world("argon", factory="new")
    result = w.test(wifi=credentials, permissions=WIFI)
    assert failure(result) == (stage, code)
    assert w.board.state.wifi_networks == [], "what the test stored is forgotten"


def test_what_is_seen_is_in_words(world):
    result = world("argon", factory="new").test(
        wifi=WifiCredentials("Nowhere", WifiSecurity.WPA2, Secret("wrong")), permissions=WIFI
    )
    assert result.failed.seen == "Nowhere is not in the air; networks found: Bench, Visitors"
    assert "name is wrong" in result.failed.failure.cause
    seen = world(network=["dns_blocked"]).test().failed.seen
    assert not set("{}[]") & set(seen.partition("; the log says")[0]), seen
    assert "attempt" in seen
    seen = world(network=["sim_dead"]).test().failed.seen
    assert seen == "the modem answers, and cannot read its SIM"


def test_no_access_point_at_all(world):
    w = world("argon", network=["no_coverage"])
    assert failure(w.test()) == (Stage.RADIO, C.WIFI_NOAP)


def test_a_key_that_is_not_the_clouds(world):
    w = world()
    w.cloud.add_fault({"do": "key_mismatch", "count": 0})
    assert failure(w.test()) == (Stage.HANDSHAKE, C.TLS_KEY)


def test_a_key_that_is_not_the_clouds_without_a_stream(world):
    """The board's own counter tells it, too."""
    w = world(log=False)
    w.cloud.add_fault({"do": "key_mismatch", "count": 0})
    w.cloud.add_fault({"do": "lose", "count": 0})
    assert failure(w.test()) == (Stage.HANDSHAKE, C.TLS_KEY)


def test_an_account_that_is_paused(world):
    w = world(plan="free")
    w.cloud.ledger.use(w.cloud.store.get(Device, w.device_id), data_operations=100_000)
    assert failure(w.test()) == (Stage.HANDSHAKE, C.ACC_PAUSE)


def test_safe_mode_because_of_a_dependency(world):
    from particle_harness.factory import install  # noqa: PLC0415

    from tests.station.guard_world import small_set  # noqa: PLC0415

    w = world()
    app = small_set(w.board.hardware, app_needs=6400)[-1]
    w.board.power_off()
    install(w.board.internal, w.board.hardware, app)
    w.board.power_on()
    result = w.test()
    assert failure(result)[1] is C.CLD_SAFE
    assert "user part" in result.failed.seen


def test_events_that_are_lost(world):
    w = world()
    result = w.test(on_event=at_stage(Stage.PUBLISH, lambda: w.cloud.add_fault({"do": "lose", "count": 0})))
    assert failure(result) == (Stage.PUBLISH, C.EVT_LOST)


def test_a_stream_that_is_dead_from_the_start(world):
    w = world()
    w.feed.alive = False
    assert failure(w.test()) == (Stage.PRECONDITIONS, C.EVT_LOST)
    assert not w.board.truth.went_online


def test_a_stream_that_breaks_in_the_middle_costs_one_more_nonce(world):
    w = world()

    def break_it():
        now = w.clock.utc_now()
        w.cloud.add_fault({"do": "lose", "count": 1})
        w.feed.gap(now)
        w.feed.gap(now, now)

    result = w.test(on_event=at_stage(Stage.PUBLISH, break_it))
    assert result.verdict is ConnectivityVerdict.PASS, result.failed


def test_a_stream_that_breaks_for_good(world):
    w = world()

    def break_it():
        w.feed.gap(w.clock.utc_now())
        w.feed.alive = False

    assert failure(w.test(on_event=at_stage(Stage.SUBSCRIBE, break_it))) == (Stage.SUBSCRIBE, C.EVT_LOST)


def test_the_board_resets_in_the_middle(world):
    w = world()
    result = w.test(on_event=at_stage(Stage.NETWORK, w.board.reset_pin))
    assert failure(result) == (Stage.NETWORK, C.BRD_RESET)


def test_the_board_resets_while_it_waits_for_the_cloud(world):
    w = world()
    acts = []

    def brown_out():
        acts.append(w.board.add_fault({"do": "brown_out", "at": "control_transfer", "n": 30}))

    result = w.test(on_event=at_stage(Stage.HANDSHAKE, brown_out))
    assert failure(result) == (Stage.HANDSHAKE, C.BRD_RESET)


def test_the_board_is_swapped_in_the_middle(world):
    w = world()

    def swap():
        w.board.add_fault({"do": "wrong_device_id", "at": "re_enumeration"})
        w.board.reset_pin()

    result = w.test(on_event=at_stage(Stage.NETWORK, swap))
    assert failure(result) == (Stage.NETWORK, C.BRD_SWAP)
    assert w.device_id in result.failed.seen


def test_the_board_is_unplugged_in_the_middle(world):
    w = world()
    result = w.test(on_event=at_stage(Stage.HANDSHAKE, w.board.power_off))
    assert failure(result) == (Stage.HANDSHAKE, C.BRD_GONE)


def test_the_board_does_not_come_back_from_the_first_reset(world):
    w = world(faults=[{"do": "vanish", "at": "re_enumeration"}])
    assert failure(w.test()) == (Stage.BOOT, C.BRD_BOOT)


def test_a_device_that_is_no_member(world):
    w = world()
    with w.cloud.session():
        device = w.cloud.store.get(Device, w.device_id)
        device.product_id = 0
        w.cloud.store.put(device)
    assert failure(w.test()) == (Stage.PRECONDITIONS, C.PRE_QUAR)


def test_a_device_of_another_platform(world):
    w = world()
    with w.cloud.session():
        device = w.cloud.store.get(Device, w.device_id)
        device.platform_id = 26
        w.cloud.store.put(device)
    assert failure(w.test()) == (Stage.PRECONDITIONS, C.PRE_PLAT)


def test_another_application_than_expected(world):
    w = world()
    assert failure(w.test(expected_app_sha256="00" * 32)) == (Stage.PRECONDITIONS, C.PRE_FW)


def test_no_such_function_or_variable(world):
    w = world()
    assert failure(w.test(function=FunctionProbe("unknown"))) == (Stage.FUNCTION, C.FN_404)
    w = world()
    assert failure(w.test(variable=VariableProbe("unknown"))) == (Stage.VARIABLE, C.FN_404)


def test_another_value_than_expected(world):
    w = world()
    result = w.test(function=FunctionProbe("digitalread", "D7", 1))
    assert failure(result) == (Stage.FUNCTION, C.FN_VALUE)


def test_a_device_that_does_not_answer_the_cloud(world):
    w = world()
    result = w.test(on_event=at_stage(Stage.FUNCTION, lambda: w.cloud.add_fault({"do": "no_answer", "count": 0})))
    assert failure(result) == (Stage.FUNCTION, C.FN_408)
    w = world()
    result = w.test(on_event=at_stage(Stage.PING, lambda: w.cloud.add_fault({"do": "no_answer", "count": 0})))
    assert failure(result) == (Stage.PING, C.PNG_LOST)


def test_a_record_that_does_not_follow(world):
    w = world()
    w.cloud.add_fault({"do": "lie_online", "online": False, "count": 0})
    assert failure(w.test()) == (Stage.IDENTITY, C.CLD_STALE)


@pytest.mark.parametrize(("status", "code"), [(429, C.LIM_429), (500, C.API_FAIL)])
def test_a_cloud_that_refuses(world, status, code):
    w = world()
    fault = {"do": "status", "on": "PUT /v1/*/ping", "status": status, "count": 0}
    result = w.test(on_event=at_stage(Stage.PING, lambda: w.cloud.add_fault(fault)))
    assert failure(result) == (Stage.PING, code)


def test_limits_have_a_code_each():
    def code(**fields):
        return code_of(CloudLimitError("no", hint="wait", **fields))

    assert code(limit="requests", status=429) is C.LIM_429
    assert code(limit="requests", status=529) is C.LIM_529
    assert code(limit="event streams opened") is C.LIM_529
    assert code(limit="requests") is C.LIM_429


def test_every_code_has_a_row():
    assert set(CATALOGUE) == set(FailureCode)
    for row in CATALOGUE.values():
        assert all((row.seen_as, row.cause, row.operator, row.engineer)), row.code
        assert row.operator != row.engineer
