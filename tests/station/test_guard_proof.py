"""The proof of the billing guard: whatever happens to a board, `not_started` is never said of one that is metered.

Random sequences of all that a station, an operator, other tools, a gang programmer, somebody with the account's
password and faults of power, transfers and cloud can do to a virtual board that is really metered when it comes online,
by the ledger of the simulated cloud. After every step:

- a verdict `not_started` is compared with the ledger: of the device's whole life (gate), of the time since its
  baseline, and of the window in which the station had it;
- a board that was quiet before a call of the library without ``may_connect`` is quiet after it: nothing that the call
  left behind leads it online by itself, not even when the power is cut in the middle of it.

Board and cloud are models of ours, made from Particle's sources: that real ones behave so is not proven. One lie
cannot be found out by anybody: a cloud that for ever denies a connection from before the unit came here. So a record
that hides a connection has settled when a run begins; what is made while the unit is here stays hidden.
"""

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from particle_harness.radio import EVENTS as RADIO_EVENTS

from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.strategies import Strategy
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import device_at, list_devices
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target, enter_dfu
from particle_dev.errors import ParticleDevError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.inventory import read_inventory
from particle_dev.flash.plan import make_plan
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol.messages_config import Feature, StartupMode
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity
from particle_dev.protocol.module import parse
from particle_dev.protocol.secret import Secret
from particle_dev.station.guard import UnitGuard
from tests.station.guard_world import SYSTEM_VERSION, Shelf, World, small_set

NOT_STARTED = BillingVerdict.NOT_STARTED
STEPS = int(os.environ.get("GUARD_STEPS", "20000"))
"""`make soak` asks for more, with other dice each time."""
STEPS_PER_BOARD = 100
ALL = Permissions(True, True, True, True, True, True, True)
NETWORK = WifiCredentials("Bench", WifiSecurity.WPA2, Secret("bench-password"))
PENDING = {"restart", "leave_dfu", "install_update", "enumerate", "start_serial_port", "replug"}
RESTARTS = {"restart", "leave_dfu", "install_update", "replug", "watchdog"}
"""On a board's agenda: it is going to boot, whatever is called now."""
TALLY: Counter[str] = Counter()


@dataclass(frozen=True)
class Cut:
    """What goes wrong with the power in the middle of a call: at the n-th transfer, or flash work."""

    do: str
    at: str
    n: int

    def table(self):
        replug = {"replug_after_s": 2.0} if self.do != "brown_out" else {}
        return {"do": self.do, "at": self.at, "n": self.n, **replug}


CUTS = (
    st.none()
    | st.none()
    | st.builds(
        Cut,
        st.sampled_from(["unplug", "power_off", "brown_out"]),
        st.sampled_from(["dfu_transfer", "control_transfer"]),
        st.integers(1, 120),
    )
)

# ---- what somebody else does, with every right --------------------------------------------------------------------


def with_session(act):
    def do(world, device):
        with ControlSession(world.host, device, ALL) as session:
            act(session)

    return do


def leave(world, device, permissions=ALL, *, safe_mode=False):
    with DfuSession(world.host, device, permissions) as session:
        if safe_mode:
            session.leave_into_safe_mode()
        else:
            session.leave()


OTHER_TOOLS = {
    "enter DFU": lambda w, d: enter_dfu(w.host, d),
    "leave DFU": leave,
    "safe mode": lambda w, d: change_mode(w.host, d, Target.SAFE, ALL),
    "reset": with_session(lambda s: s.reset()),
    "raw reset": with_session(lambda s: s.reset_now()),
    "listen": with_session(lambda s: s.start_listening()),
    "stop listening": with_session(lambda s: s.stop_listening()),
    "cloud connect": with_session(lambda s: s.connect_to_cloud()),
    "cloud disconnect": with_session(lambda s: s.disconnect_from_cloud()),
    "listen at next boot": with_session(lambda s: s.config.set_startup_mode(StartupMode.LISTENING)),
    "setup done": with_session(lambda s: s.config.set_setup_done(True)),
    "not set up": with_session(lambda s: s.config.set_setup_done(False)),
    "store network": with_session(lambda s: s.wifi.store(NETWORK)),
    "join network": with_session(lambda s: s.wifi.join(NETWORK)),
    "clear networks": with_session(lambda s: s.wifi.clear()),
    "factory reset": with_session(lambda s: s.factory_reset()),
}

# ---- what the library does without any permission -----------------------------------------------------------------


def asked(act):
    def do(world, device, modules):
        with ControlSession(world.host, device) as session:
            act(session)

    return do


def files(modules):
    shelf = Shelf(modules)
    return shelf, [ModuleFile(parse(data), sha256, sha256[:8]) for sha256, data in shelf.data.items()]


def flash_set(world, device, modules):
    shelf, offered = files(modules)
    plan = make_plan(read_inventory(world.host, device), offered)
    device, _ = enter_dfu(world.host, device)
    with DfuSession(world.host, device) as session:
        for _ in flash(plan, session, shelf.read):
            pass
        for _ in verify(plan, session, shelf.read):
            pass


def update(world, device, modules):
    shelf, offered = files(modules)
    plan = make_update_plan(read_inventory(world.host, device), offered, mode=device.mode)
    for _ in carry_out(world.host, device, plan, shelf.read, permissions=NOTHING):
        pass


LIBRARY = {
    **{f"mode {t}": (lambda w, d, _m, t=t: change_mode(w.host, d, t)) for t in Target},
    "leave DFU": lambda w, d, _m: leave(w, d, NOTHING),
    "leave into safe mode": lambda w, d, _m: leave(w, d, NOTHING, safe_mode=True),
    "list": lambda w, _d, _m: list_devices(w.host),
    "enter DFU": lambda w, d, _m: enter_dfu(w.host, d),
    "flash": flash_set,
    "update": update,
    "inventory": lambda w, d, _m: read_inventory(w.host, d),
    "disconnect": asked(lambda s: s.disconnect_from_cloud()),
    "stop connecting": asked(lambda s: s.stop_connecting()),
    "connect": asked(lambda s: s.connect_to_cloud()),
    "reset": asked(lambda s: s.reset()),
    "safe mode": asked(lambda s: s.enter_safe_mode()),
    "listen": asked(lambda s: s.start_listening()),
    "stop listening": asked(lambda s: s.stop_listening()),
    "listen at next boot": asked(lambda s: s.config.set_startup_mode(StartupMode.LISTENING)),
    "setup done": asked(lambda s: s.config.set_setup_done(True)),
    "modules": asked(lambda s: s.module_info()),
    "diagnostics": asked(lambda s: s.diagnostics()),
    "iccid": asked(lambda s: s.cellular.ids()),
    "scan": asked(lambda s: s.wifi.scan()),
    "store network": asked(lambda s: s.wifi.store(NETWORK)),
    "join network": asked(lambda s: s.wifi.join(NETWORK)),
    "networks": asked(lambda s: s.wifi.known_networks()),
    "ethernet": asked(lambda s: s.config.feature(Feature.ETHERNET_DETECTION)),
}

# ---- what happens in the middle of a run ---------------------------------------------------------------------------


def button(world, seconds):
    world.board.reset_pin()
    world.clock.sleep(seconds)
    world.board.advance()


def button_and_back(world, seconds):
    """Reset, left alone for a while, and back into DFU mode by the MODE button."""
    button(world, seconds)
    world.board.state.dfu_requested = True
    world.board.reset_pin()


def glitch(world, seconds):
    world.board.power_off()
    world.clock.sleep(seconds)
    world.board.power_on()


def let_pass(world, seconds):
    world.clock.sleep(seconds)
    world.board.advance()


SOMEBODY = {
    "waits": let_pass,
    "presses reset": button,
    "presses reset, later DFU": button_and_back,
    "interrupts the power": glitch,
    "imports": lambda w, _s: w.import_into(w.products[0]),
    "removes": lambda w, _s: w.remove_from(w.products[0]),
    "deactivates": lambda w, _s: w.change_sim("deactivate"),
    "reactivates": lambda w, _s: w.change_sim("reactivate"),
}
LIES = {
    "online": {"do": "lie_online", "online": True, "count": 2},
    "offline": {"do": "lie_online", "online": False, "count": 0},
    "500": {"do": "status", "on": "GET /v1/products/*/devices/*", "count": 7},
    "no JSON": {"do": "truncate", "on": "GET /v1/products/*/devices/*", "count": 7},
    "no SIM": {"do": "status", "on": "GET /v1/products/*/sims/*", "count": 7},
    "lost events": {"do": "lose", "count": 0},
    "stuck SIM": {"do": "sim_stuck", "count": 1},
}


class GuardMachine(RuleBasedStateMachine):
    """One board, its cloud, and everybody who does something to them."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="guard-"))
        self.world = None

    @initialize(
        platform=st.sampled_from(["boron", "tracker", "argon", "photon"]),
        member=st.sampled_from(["product", "product", "other", None]),
        plan=st.sampled_from(["basic", "enterprise", "basic", "free"]),
        factory=st.sampled_from(["new", "online"]),
        device_os=st.sampled_from(["2.1.0", "4.0.0", "5.6.0"]),
        arrives=st.sampled_from(["app", "dfu"]),
        has_power=st.booleans(),
    )
    def unpack(self, platform, member, plan, factory, device_os, arrives, has_power):
        options = {} if platform == "photon" else {"device_os": device_os}
        w = self.world = World(
            self.folder, platform, member=member, plan=plan, factory=factory, arrives_in=arrives, **options
        )
        self.sets = {
            "set": w.set,
            "set with our application": [*w.set[:-1], w.ours],
            "application": w.set[-1:],
            "our application": [w.ours],
            "unmet": [*w.set[:-1], small_set(w.kind, app_needs=SYSTEM_VERSION + 1)[-1]],
            "system": w.set[:-1],
        }
        if not has_power:
            w.board.power_off()
        TALLY["boards"] += 1

    def teardown(self):
        if self.world is not None:
            TALLY["metered boards"] += self.world.is_metered
            self.world.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- outside -------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.3, 2, 10, 40, 300, 4000]))
    def wait(self, seconds):
        TALLY["steps"] += 1
        let_pass(self.world, seconds)
        self.world.cloud.advance()

    @rule(
        act=st.sampled_from(["power_on", "power_off", "reset_pin", "mode button", "mode button", "runs for a minute"])
    )
    def operator(self, act):
        TALLY["steps"] += 1
        board = self.world.board
        board.state.unplugged = False
        if act == "runs for a minute":
            glitch(self.world, 1)
            let_pass(self.world, 60)
            act = "power_off"
        elif act == "mode button":
            # Held while the board starts.
            board.power_off()
            board.state.dfu_requested = True
            act = "power_on"
        getattr(board, act)()

    @rule(name=st.sampled_from(sorted(OTHER_TOOLS)))
    def other_tool(self, name):
        TALLY["steps"] += 1
        device = device_at(self.world.host, "1-1")
        if device is not None:
            self._try(OTHER_TOOLS[name], self.world, device)

    @rule(
        name=st.sampled_from(["set", "set with our application", "our application", "application", "unmet", "system"])
    )
    def gang_programmer(self, name):
        TALLY["steps"] += 1
        if self.world.board.state.runs in ("off", "dfu", "hung"):
            self.world.program(self.sets[name])

    @rule(
        act=st.sampled_from(["import", "import", "import elsewhere", "remove", "deactivate", "reactivate", "release"]),
    )
    def account(self, act):
        TALLY["steps"] += 1
        w = self.world
        match act:
            case "import":
                w.import_into(w.products[0])
            case "import elsewhere":
                w.import_into(w.products[1])
            case "remove":
                w.remove_from(w.products[0])
            case _:
                w.change_sim(act)

    @rule(name=st.sampled_from([*sorted(LIES), "hidden connection", "truth", "gap"]))
    def cloud_lies(self, name):
        TALLY["steps"] += 1
        w = self.world
        if name == "truth":
            w.cloud.faults.clear()
        elif name == "gap":
            w.gaps.append((w.clock.utc_now(), w.clock.utc_now()))
        elif name == "hidden connection":
            if not w.cloud.ledger.has_connected(w.device_id):
                w.cloud.add_fault({"do": "hide_connection", "count": 0})
        else:
            w.cloud.add_fault(LIES[name])

    @rule()
    def take_baseline(self):
        TALLY["steps"] += 1
        self._settle()
        guard = UnitGuard(self.world.guard(Strategy.B))
        guard.identified(self.world.device_id, self.world.kind.platform)
        self._try(guard.take_baseline, self.world.clock.utc_now())

    # ---- library -------------------------------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(sorted(LIBRARY)),
        modules=st.sampled_from(["set", "set with our application", "application", "unmet", "system"]),
        cut=CUTS,
    )
    def library(self, name, modules, cut):
        TALLY["steps"] += 1
        w = self.world
        device = device_at(w.host, "1-1")
        if device is None:
            return
        with self._unless_it_goes_online(name, cut, self.sets[modules]):
            self._try(LIBRARY[name], w, device, self.sets[modules])

    @rule(
        strategy=st.sampled_from([Strategy.C, Strategy.C, Strategy.B, None]),
        modules=st.sampled_from(["set", "set", "set with our application", "unmet"]),
        somebody=st.sampled_from([None] * 8 + sorted(SOMEBODY)),
        when=st.integers(0, 22),
        seconds=st.sampled_from([0.2, 3, 9, 30, 300]),
        cut=CUTS,
        fresh=st.booleans(),
        honest=st.booleans(),
        imported=st.booleans(),
    )
    def station(self, strategy, modules, somebody, when, seconds, cut, fresh, honest, imported):
        TALLY["steps"] += 1
        TALLY["station runs"] += 1
        w = self.world
        w.board.state.unplugged = False
        self._settle()
        if fresh:
            # Another tray: a new folder, and a stream that was opened before.
            w.forget_runs()
            w.open_stream()
        if honest:
            w.cloud.faults.clear()
        if imported:
            w.import_into(w.products[0])
        seen = [0]

        def interfere(_kind, _step):
            seen[0] += 1
            if somebody is not None and seen[0] == when + 1:
                SOMEBODY[somebody](w, seconds)

        ours = frozenset([parse(w.ours).sha256.stored.hex()])
        guard = w.guard(strategy, semi_automatic_apps=ours) if strategy else None
        with self._unless_it_goes_online("station", cut, self.sets[modules], excused=somebody is not None):
            record = w.run(guard, shelf=Shelf(self.sets[modules]), on_event=interfere)
        w.cloud.advance()
        if record is not None:
            self._judge(record)

    # ---- what must hold ------------------------------------------------------------------------------------------

    def _judge(self, record):
        w = self.world
        ledger, billing, gate = w.cloud.ledger, record.billing, record.gate
        if gate.verdict is NOT_STARTED:
            TALLY["never billed, said the gate"] += 1
            TALLY["with an application of ours"] += "own_application" in {e.id for e in billing.evidence}
            assert not ledger.metered(w.device_id), (gate, ledger.entries(w.device_id))
            assert not ledger.has_connected(w.device_id)
        if gate.since_baseline is NOT_STARTED:
            baseline = w.states.state(w.device_id).baseline
            if baseline is not None:
                TALLY["not since the baseline, said the gate"] += 1
                assert not [at for at in w.sessions if at > baseline.at], (gate, w.sessions)
        if billing.verdict is NOT_STARTED:
            TALLY["not in its hands, said the station"] += 1
            assert not [at for at in w.sessions if billing.since <= at <= billing.until], (billing, w.sessions)
        TALLY[f"verdict {gate.verdict}"] += 1

    def _settle(self):
        """A minute later the record shows what was before."""
        if self.world.cloud.ledger.has_connected(self.world.device_id):
            for fault in self.world.cloud.faults.remaining():
                if fault.do == "hide_connection":
                    fault.count, fault.n, fault.seen = 1, 1, 1

    def _unless_it_goes_online(self, name, cut, offered, *, excused=False):
        return StaysQuiet(self.world, name, cut, offered, excused)

    def _try(self, act, *arguments):
        try:
            act(*arguments)
        except ParticleDevError as error:
            TALLY[f"error {type(error).__name__}"] += 1


class StaysQuiet:
    """Checks a call of the library: a quiet board stays quiet, whatever becomes of the call."""

    def __init__(self, world, name, cut, offered, excused):
        self.world, self.name, self.offered, self.excused = world, name, offered, excused
        self.was_quiet = quiet(world.board) and not {e[1] for e in world.board.state.events} & RESTARTS
        self.boot = world.board.decide_boot()
        self.cycles = world.board.truth.power_cycles
        if cut is not None:
            world.board.add_fault(cut.table())

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        board = self.world.board
        board._faults._faults = ()  # a cut that did not come is not for the next call
        if kind is not None or self.excused or not self.was_quiet:
            return
        TALLY["calls on a quiet board"] += 1
        expected_cycles = self.cycles + (self.name == "station")
        for _ in range(200):
            if not {event[1] for event in board.state.events} & PENDING:
                break
            self.world.clock.sleep(0.5)
            board.advance()
        cut = board.truth.power_cycles > expected_cycles or board.state.unplugged
        if cut and self.boot.would_connect:
            TALLY["excused: the power was cut, and it would have connected before"] += 1
            return
        if cut and holds(board, self.offered):
            TALLY["excused: the power was cut when the set was complete"] += 1
            return
        assert quiet(board), (self.name, board.state.runs, board.state.reasons, board.state.events)


def quiet(board):
    """Left alone, it does not go online."""
    board.advance()
    state = board.state
    if not state.powered:
        return True
    is_busy = state.cloud_status != 0 or state.net_status == 3
    return not is_busy and not {event[1] for event in state.events} & set(RADIO_EVENTS)


def holds(board, modules):
    """Whether all of the modules are in its flash."""
    parsed = [(parse(data).start_address, data) for data in modules]
    return all(board.internal.read(address, len(data)) == data for address, data in parsed)


@pytest.mark.timeout(1800 if STEPS <= 20_000 else 0)
def test_the_guard_never_says_not_started_of_a_board_that_was_metered(capsys):
    TALLY.clear()
    machine_settings = settings(
        max_examples=STEPS // STEPS_PER_BOARD + STEPS // 1000,
        stateful_step_count=STEPS_PER_BOARD,
        derandomize="GUARD_STEPS" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(GuardMachine, settings=machine_settings)
    with capsys.disabled():
        print("\n" + "\n".join(f"  {count:7} {what}" for what, count in sorted(TALLY.items())))
    assert TALLY["steps"] >= STEPS
    assert TALLY["never billed, said the gate"] > 0
    assert TALLY["metered boards"] > 0
