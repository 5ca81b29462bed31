"""The random world of the guard's proof: one board, its cloud, and everybody who does something to them."""

import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from particle_harness.boot import decide_boot
from particle_harness.radio import EVENTS as RADIO_EVENTS

from particle_dev.cloud.event_canary import EVERY_S as CANARY_EVERY_S
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.strategies import Strategy
from particle_dev.device.discovery import device_at
from particle_dev.errors import ParticleDevError
from particle_dev.protocol.module import parse
from particle_dev.station import guard as station_guard
from particle_dev.station.events import EventType
from particle_dev.station.guard import UnitGuard
from tests.station.foreign_tools import TOOLS, usable_tools, use
from tests.station.guard_acts import (
    CONSPIRACIES,
    CUTS,
    LIBRARY,
    LIES,
    LIVES,
    SOMEBODY,
    confess,
    conspire,
    glitch,
    let_pass,
)
from tests.station.guard_world import SYSTEM_VERSION, Shelf, World, small_set

NOT_STARTED = BillingVerdict.NOT_STARTED
PENDING = {"restart", "leave_dfu", "install_update", "enumerate", "start_serial_port", "replug"}
RESTARTS = {"restart", "leave_dfu", "install_update", "replug", "watchdog"}
"""On a board's agenda: it is going to boot, whatever is called now."""
IDENTIFIED = 2
"""The line of a run's journal that holds its first evidence: a unit has begun, identify has begun, identify is over."""
TALLY: Counter[str] = Counter()


@dataclass(frozen=True)
class Unit:
    """A board as it comes."""

    platform: str
    member: str | None
    plan: str
    factory: str
    device_os: str
    arrives: str
    has_power: bool


PLATFORMS = st.sampled_from(["boron", "tracker", "argon", "photon"])
UNITS = st.builds(
    Unit,
    platform=PLATFORMS,
    member=st.sampled_from(["product", "product", "other", None]),
    plan=st.sampled_from(["basic", "enterprise", "basic", "free"]),
    factory=st.sampled_from(["new", "online"]),
    device_os=st.sampled_from(["2.1.0", "4.0.0", "5.6.0"]),
    arrives=st.sampled_from(["app", "dfu"]),
    has_power=st.booleans(),
)


class GuardMachine(RuleBasedStateMachine):
    """One board, its cloud, and everybody who does something to them."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="guard-"))
        self.world = None
        self.units = 0

    @initialize(unit=UNITS)
    def unpack(self, unit):
        self._put_in(unit)

    @rule(unit=UNITS)
    def next_unit(self, unit):
        """The board goes, if it was online, and another one comes."""
        TALLY["steps"] += 1
        if self.world.is_metered:
            self._put_in(unit)

    def _put_in(self, unit):
        self._take_out()
        self.units += 1
        options = {} if unit.platform == "photon" else {"device_os": unit.device_os}
        w = self.world = World(
            self.folder / str(self.units),
            unit.platform,
            member=unit.member,
            plan=unit.plan,
            factory=unit.factory,
            arrives_in=unit.arrives,
            **options,
        )
        self.sets = {
            "set": w.set,
            "set with our application": [*w.set[:-1], w.ours],
            "application": w.set[-1:],
            "our application": [w.ours],
            "unmet": [*w.set[:-1], small_set(w.kind, app_needs=SYSTEM_VERSION + 1)[-1]],
            "system": w.set[:-1],
        }
        if not unit.has_power:
            w.board.power_off()
        TALLY["boards"] += 1

    def _take_out(self):
        if self.world is not None:
            TALLY["metered boards"] += self.world.is_metered
            self.world.close()
            self.world = None

    def teardown(self):
        self._take_out()
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

    @rule(seconds=st.sampled_from([-7200, -60, -5, -1, 3, 60, 3600]))
    def clock_jumps(self, seconds):
        TALLY["steps"] += 1
        self.world.station_clock.jump(seconds)

    @rule(number=st.integers(0, len(TOOLS) - 1), plug=st.booleans())
    def foreign_tool(self, number, plug):
        TALLY["steps"] += 1
        if plug:
            self.world.board.state.unplugged = False
            self.world.board.power_on()
            let_pass(self.world, 2)
        names = usable_tools(self.world)
        if names:
            use(self.world, names[number % len(names)], self.sets)
            TALLY["acts of foreign tools"] += 1

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

    @rule(name=st.sampled_from([*sorted(LIES), "hidden connection", "truth", "gap", "stream down", "stream up"]))
    def cloud_lies(self, name):
        TALLY["steps"] += 1
        w = self.world
        if name == "truth":
            w.cloud.faults.clear()
        elif name == "gap":
            w.interrupt_stream()
        elif name == "stream down":
            w.stream.cut()
        elif name == "stream up":
            w.stream.open()
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
        lives=LIVES,
        plug=st.booleans(),
    )
    def library(self, name, modules, cut, lives, plug):
        TALLY["steps"] += 1
        w = self.world
        if plug:
            w.board.state.unplugged = False
            w.board.power_on()
            let_pass(w, 2)
        device = device_at(w.host, "1-1")
        if device is None:
            return
        with self._unless_it_goes_online(name, cut, self.sets[modules]):
            with w.mortal.lifetime(lives):
                self._try(LIBRARY[name], w, device, self.sets[modules])
            TALLY["killed in a call of the library"] += w.mortal.is_dead

    @rule(
        strategy=st.sampled_from([Strategy.C, Strategy.C, Strategy.B, None]),
        modules=st.sampled_from(["set", "set", "set with our application", "unmet"]),
        somebody=st.sampled_from([None] * 8 + sorted(SOMEBODY)),
        when=st.integers(0, 22),
        seconds=st.sampled_from([0.2, 3, 9, 30, 300]),
        cut=CUTS,
        lives=LIVES,
        jump=st.sampled_from([0] * 6 + [-3600, -40, 40, 3600]),
        fresh=st.booleans(),
        honest=st.booleans(),
        imported=st.booleans(),
    )
    def station(self, strategy, modules, somebody, when, seconds, cut, lives, jump, fresh, honest, imported):
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
            if seen[0] == when + 1:
                if jump:
                    w.station_clock.jump(jump)
                if somebody is not None:
                    with w.mortal.others():
                        SOMEBODY[somebody](w, seconds)

        ours = frozenset([parse(w.ours).sha256.stored.hex()])
        guard = w.guard(strategy, semi_automatic_apps=ours) if strategy else None
        quiet_if = self._unless_it_goes_online("station", cut, self.sets[modules], excused=somebody is not None)
        with gate_cases() as cases, quiet_if:
            record = w.run(guard, shelf=Shelf(self.sets[modules]), on_event=interfere, lives=lives)
        TALLY["stations killed"] += w.mortal.is_dead
        w.cloud.advance()
        if record is not None:
            self._judge(record)
            if record.gate.verdict is NOT_STARTED and needs_our_application(cases[-1]):
                TALLY["never billed, thanks to an application of ours"] += 1

    @rule(
        platform=PLATFORMS.filter(lambda name: name != "photon"),
        factory=st.sampled_from(["new", "online"]),
        somebody=st.sampled_from(["waits", "waits", "presses reset", "interrupts the power", "reactivates"]),
        when=st.sampled_from([0, 0, 0, 2, 4]),
        seconds=st.sampled_from([3, 9, 30]),
    )
    def our_application(self, platform, factory, somebody, when, seconds):
        """A new board, ready to connect, which a gang programmer gave an application of ours, runs for a while (D6)."""
        TALLY["new boards with an application of ours"] += 1
        self._put_in(Unit(platform, "product", "basic", factory, "5.6.0", "app", has_power=False))
        self.gang_programmer("our application")
        self.world.make_ready_to_connect()
        self.station(Strategy.C, "set with our application", somebody, when, seconds, None, None, 0, True, True, True)

    @rule(
        name=st.sampled_from(sorted(CONSPIRACIES)),
        somebody=st.sampled_from([*sorted(n for n in SOMEBODY if "connect" in n), "waits"]),
        when=st.sampled_from([0, 0, 1, 2, 4, 6, 8, 10, 12, 14, 16]),
        strategy=st.sampled_from([Strategy.C, Strategy.C, Strategy.B]),
        platform=PLATFORMS,
        killed=st.booleans(),
        progress=st.booleans(),
    )
    def conspiracy(self, name, somebody, when, strategy, platform, killed, progress=False):
        """Two of three witnesses lie, or cannot tell, about what happens while the station has a new board.
        ``progress``: what a step tells of its progress counts for ``when``, too, not lines of the journal alone."""
        TALLY["steps"] += 1
        TALLY["conspiracies"] += 1
        record, counters, stream = CONSPIRACIES[name]
        self._put_in(Unit(platform, "product", "basic", "new", "4.0.0", "app", has_power=False))
        w = self.world
        w.program(self.sets["set"])
        w.make_ready_to_connect()
        w.open_stream()
        for _ in range(3):
            # Proven to be alive before the board has power; otherwise a gap would be one doubt among others.
            w.clock.sleep(CANARY_EVERY_S)
            w.stream.proven()
        conspire(w, record, counters, stream)
        seen = [0]

        def interfere(kind, _step):
            if kind is EventType.STEP_PROGRESS and not progress:
                return
            seen[0] += 1
            if seen[0] == when + 1:
                if stream == "gap":
                    w.stream.cut()
                with w.mortal.others():
                    SOMEBODY[somebody](w, 1)
                if stream == "gap":
                    w.stream.open()

        shelf = Shelf(self.sets["set"])

        def interfere_at_death(kind, step):
            interfere(kind, step)
            if seen[0] == when + 1 and when >= IDENTIFIED:
                # Before that it has observed nothing, and the unit has not come here yet.
                w.mortal.die()

        record = w.run(w.guard(strategy), shelf=shelf, on_event=interfere_at_death if killed else interfere)
        if w.mortal.is_dead:
            record = w.run(w.guard(strategy), shelf=shelf)
        w.cloud.advance()
        TALLY["conspiracies about a connection"] += w.cloud.ledger.has_connected(w.device_id)
        if record is not None:
            self._judge(record, window_is_sure=not counters)
        confess(w)
        w.forget_runs()  # A folder whose station was lied to stays wrong about that time.

    # ---- what must hold ------------------------------------------------------------------------------------------

    def _judge(self, record, *, window_is_sure=True):
        """``window_is_sure`` False: the station alone cannot know, for its board lied to it."""
        w = self.world
        ledger, billing, gate = w.cloud.ledger, record.billing, record.gate
        if gate.verdict is NOT_STARTED:
            TALLY["never billed, said the gate"] += 1
            assert not ledger.metered(w.device_id), (gate, ledger.entries(w.device_id))
            assert not ledger.has_connected(w.device_id)
        since_baseline = w.sessions_since_baseline
        if gate.since_baseline is NOT_STARTED and since_baseline is not None:
            TALLY["not since the baseline, said the gate"] += 1
            assert not since_baseline, (gate, since_baseline)
        if billing.verdict is NOT_STARTED and window_is_sure:
            TALLY["not in its hands, said the station"] += 1
            assert not w.sessions_in(billing.since, billing.until), (billing, w.sessions)
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
        view = world.board.boot_view()
        forgotten = replace(view, dfu_requested=False, safe_mode_requested=False, listen_requested=False)
        self.would_connect = decide_boot(view).would_connect or decide_boot(forgotten).would_connect
        """By itself, or once its power was lost: what a reset leads to is in registers that do not outlive that."""
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
        if (cut or self.world.mortal.is_dead) and self.would_connect:
            TALLY["excused: the power was cut or the station killed, and it would have connected before"] += 1
            return
        if cut and holds(board, self.offered):
            TALLY["excused: the power was cut when the set was complete"] += 1
            return
        assert quiet(board), (self.name, board.state.runs, board.state.reasons, board.state.events)


@contextmanager
def gate_cases():
    """What the gate is asked meanwhile."""
    cases = []
    real = station_guard.evaluate
    station_guard.evaluate = lambda case: cases.append(case) or real(case)
    try:
        yield cases
    finally:
        station_guard.evaluate = real


def needs_our_application(case):
    """Whether nothing else than an application of ours (D6) kept the unit off the air for a while."""
    others = tuple(e for e in case.evidence if e.id != "own_application")
    return station_guard.evaluate(replace(case, evidence=others)).verdict is not NOT_STARTED


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
