"""Whether the proof of the guard proves anything: each line of evidence is dropped in turn, and the proof must fail.

First the short ways on which a line of evidence decides alone: a free plan, a unit that was online before, a second
baseline, calls that let a quiet board go, each conspiracy at each step. Then random
steps. ``make guard-mutants`` runs it; it takes a quarter of an hour of processor time.

Some mutants survive, and are expected to: what they drop is another line's double (:data:`DOUBLES`), which the guard
keeps because the gate is asked by others than the station, too.
"""

import os
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from particle_dev.cloud import gate, metering
from particle_dev.cloud.device_state import DeviceState
from particle_dev.cloud.facts import Fact, FactVerdict, SimState
from particle_dev.cloud.metering import BillingFinding
from particle_dev.cloud.plans import CountsFrom
from particle_dev.cloud.strategies import Strategy
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.permissions import Permissions
from particle_dev.station import cloud_steps, guard, unit
from particle_dev.station.observations import Observations
from tests.station.foreign_tools import use
from tests.station.guard_acts import CONSPIRACIES, SOMEBODY, let_pass
from tests.station.guard_machine import TALLY, GuardMachine, Unit
from tests.station.test_guard_proof import prove

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]
STEPS = int(os.environ.get("GUARD_STEPS", "3000"))
"""Random ones, after the short ways."""


def on_facts(change):
    """Facts of every snapshot, changed."""
    real = guard.UnitGuard._snapshot

    def snapshot(self, at, evidence):
        found = real(self, at, evidence)
        return replace(found, facts=tuple(change(fact) for fact in found.facts))

    return snapshot


def passing(*fact_ids):
    return on_facts(lambda fact: replace(fact, verdict=FactVerdict.PASS) if fact.id in fact_ids else fact)


def on_case(change):
    """What the gate is asked, changed."""
    real = gate.evaluate
    return lambda case: real(change(case))


def stream_passes(watch, _powered, at):
    return Fact("C4", FactVerdict.PASS, "mutant", "mutant", at)


def without_gaps(real):
    return lambda watch, powered, at: real(replace(watch, gaps=()), powered, at)


def always_alive(real):
    return lambda watch, powered, at: real(replace(watch, alive_until=at + timedelta(days=1)), powered, at)


def without_events(real):
    return lambda watch, powered, at: real(replace(watch, events=()), powered, at)


def quiet_counters(real):
    return lambda diagnostics, at: replace(real(diagnostics, at), finding=BillingFinding.OFFLINE)


def never_moved(self, _seen, device, since=None):
    self.in_dfu_since(since or max((e.until for e in self.evidence), default=self._now()))


def always_in_dfu(real):
    return lambda self, prior, device, **_: real(self, prior, device, boots_only_dfu=True)


def later_baseline(real):
    return lambda self, event: real(replace(self, baseline=None) if event.type == "baseline" else self, event)


def conclusive(real):
    return lambda evidence, parked_at: real(
        [e for e in evidence if e.finding is not BillingFinding.INCONCLUSIVE], parked_at
    )


def never_activated_in_between(real):
    def evidence(start, end, since):
        if start and start.sim and end and end.sim:
            end = replace(end, sim=replace(end.sim, activations=start.sim.activations))
        return real(start, end, since)

    return evidence


def off_if_off_before(real):
    def evidence(start, end, since):
        if start and start.sim and end:
            end = replace(end, sim=start.sim)
        return real(start, end, since)

    return evidence


def outside_is_fine(real):
    return lambda snapshot, when, *, may_be_outside: real(snapshot, when, may_be_outside=True)


MUTANTS = {
    "the record's last handshake (C1) and last sign of life (C2) are not looked at": lambda p: p.setattr(
        guard.UnitGuard, "_snapshot", passing("C1", "C2")
    ),
    "what the record says afterwards is not looked at": lambda p: p.setattr(
        guard, "evaluate", on_case(lambda c: replace(c, end=c.start and c.end and replace(c.start, at=c.end.at)))
    ),
    "gaps of the stream are ignored": lambda p: p.setattr(guard, "stream_fact", without_gaps(guard.stream_fact)),
    "gaps and the end of the stream are ignored": lambda p: p.setattr(
        guard, "stream_fact", without_gaps(always_alive(guard.stream_fact))
    ),
    "events of the stream are ignored": lambda p: p.setattr(guard, "stream_fact", without_events(guard.stream_fact)),
    "the stream (C4) always passes": lambda p: p.setattr(guard, "stream_fact", stream_passes),
    "the record is read without a wait (SETTLE_S)": lambda p: (
        p.setattr(gate, "SETTLE_S", 0.0),
        p.setattr(cloud_steps, "SETTLE_S", 0.0),
    ),
    "time in which nothing held the unit back is ignored": lambda p: p.setattr(
        gate, "_coverage_missing", lambda _case: []
    ),
    "counters (D2) always say that it was quiet": lambda p: p.setattr(
        unit, "read_counters", quiet_counters(unit.read_counters)
    ),
    "a re-enumeration is not noticed": lambda p: p.setattr(Observations, "held_as_seen", never_moved),
    "a resumed unit is always taken for one that stayed in DFU mode": lambda p: p.setattr(
        Observations, "recall_dfu", always_in_dfu(Observations.recall_dfu)
    ),
    "what is inconclusive is dropped from the window": lambda p: p.setattr(unit, "judge", conclusive(unit.judge)),
    "gaps of the window are ignored": lambda p: p.setattr(metering, "_gaps", lambda *_: []),
    "a later baseline replaces the first": lambda p: p.setattr(DeviceState, "after", later_baseline(DeviceState.after)),
    "the plan is not asked (free: a member counts)": lambda p: p.setattr(
        guard,
        "evaluate",
        on_case(lambda c: replace(c, plan=c.plan and replace(c.plan, counts_from=CountsFrom.FIRST_CONNECTION))),
    ),
    "a unit that is in no product passes": lambda p: p.setattr(
        gate, "_snapshot_missing", outside_is_fine(gate._snapshot_missing)
    ),
    "a record that cannot be read is a member's without a fault": lambda p: p.setattr(
        gate, "_records_missing", lambda _case: []
    ),
    "an active SIM counts as off": lambda p: p.setattr(SimState, "is_off", property(lambda _self: True)),
    "a SIM that was on and off in between counts as off": lambda p: p.setattr(
        gate, "sim_evidence", never_activated_in_between(gate.sim_evidence)
    ),
    "a SIM that was read as off once counts as off always": lambda p: p.setattr(
        gate, "sim_evidence", off_if_off_before(gate.sim_evidence)
    ),
    "stored networks are not looked at": lambda p: p.setattr(
        guard, "no_credentials", lambda _networks, since, until: metering.no_credentials([], since, until)
    ),
    "leaving DFU mode needs no permission": lambda p: p.setattr(DfuSession, "__init__", allowed(DfuSession)),
    "reset and safe mode need no permission": lambda p: p.setattr(ControlSession, "__init__", allowed(ControlSession)),
}


def allowed(session):
    """The session, as if everybody had allowed a connection."""
    real = session.__init__
    return lambda self, host, device, *_, **__: real(self, host, device, Permissions(may_connect=True))


_HELD_ANYWAY = (
    "the station reads both while a unit is in DFU mode, which holds it back by itself (D4); "
    "test_gate.py::test_for_which_time_a_sim_holds_back keeps the line for others who ask the gate"
)
DOUBLES: dict[str, str] = {
    "what is inconclusive is dropped from the window": "a unit that has tried to connect is refused before anything is "
    "erased, so it is never parked; test_metering.py::test_an_attempt_is_unknown keeps the line",
    "an active SIM counts as off": _HELD_ANYWAY,
    "a SIM that was on and off in between counts as off": _HELD_ANYWAY,
    "a SIM that was read as off once counts as off always": _HELD_ANYWAY,
    "stored networks are not looked at": "counters of the same boot tell of a connection that networks allowed; "
    "test_station_cloud.py::test_an_automatic_application_is_unknown_even_if_it_was_caught_in_time keeps the line",
}
"""Mutants that survive, why, and what test holds their line instead. This list may only become shorter."""
RESETS = ("reset", "safe mode", "stop listening", "connect")
CONNECTIONS = sorted(name for name in SOMEBODY if "connect" in name)
NEW = Unit("boron", "product", "basic", "new", "4.0.0", "app", has_power=False)


MOMENTS = (0, 2, 8, 12, 14)
"""Lines of the journal after which somebody acts: begun, identified, in DFU mode, flashed, verified."""


def conspiracies(machine):
    for when, somebody, name, killed, platform in product(
        MOMENTS, CONNECTIONS, sorted(CONSPIRACIES), (False, True), ("boron", "argon")
    ):
        machine.conspiracy(name, somebody, when, Strategy.C, platform, killed)


def free_plan(machine):
    machine._put_in(replace(NEW, plan="free", arrives="dfu", has_power=True))
    machine.station(Strategy.C, "set", None, 0, 0.2, None, None, 0, fresh=True, honest=True, imported=False)


def was_online(machine):
    """In safe mode, which has no functions to tell of; the cloud has taken it for offline since. One of them is in
    another product, so its record cannot be read."""
    for member in ("product", "other"):
        machine._put_in(replace(NEW, member=member))
        machine.world.program(machine.sets["unmet"])
        machine.world.make_ready_to_connect()
        machine.operator("runs for a minute")
        machine.wait(4000)
        machine.operator("mode button")
        machine.station(Strategy.C, "set", None, 0, 0.2, None, None, 0, fresh=True, honest=True, imported=False)


def quiet_boards(machine):
    """Each call that lets a board go which is set up to connect, from DFU mode and from listening mode."""
    for call, arrives in (*product(("leave DFU", "leave into safe mode"), ("dfu",)), *product(RESETS, ("app",))):
        machine._put_in(replace(NEW, arrives=arrives, has_power=True))
        machine.world.program(machine.sets["set"])
        machine.world.make_ready_to_connect()
        if arrives == "app":
            machine.operator("reset_pin")
            let_pass(machine.world, 2)
            use(machine.world, "particle-usb: listen", {})
        machine.library(call, "set", None, None, plug=False)


def second_baseline(machine):
    machine._put_in(NEW)
    machine.take_baseline()
    machine.world.make_ready_to_connect()
    machine.operator("runs for a minute")
    machine.wait(4000)
    machine.take_baseline()
    machine.operator("mode button")
    machine.station(Strategy.B, "set", None, 0, 0.2, None, None, 0, fresh=True, honest=True, imported=False)


def short_ways():
    """What decides alone, without dice."""
    TALLY.clear()
    machine = GuardMachine()
    try:
        machine.unpack(NEW)
        for way in (free_plan, was_online, second_baseline, quiet_boards, conspiracies):
            way(machine)
    finally:
        machine.teardown()


def test_nothing_is_wrong_on_the_short_ways(capsys):
    short_ways()
    assert TALLY["conspiracies about a connection"] > 0
    with capsys.disabled():
        print(f"\n  {TALLY['steps']:7} steps, {TALLY['boards']} boards: no mutant")


def hunted(steps):
    """Whether an assertion fails."""
    try:
        short_ways()
        prove(steps, 0)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_proof_kills(mutant, monkeypatch, capsys):
    MUTANTS[mutant](monkeypatch)
    killed = hunted(STEPS)
    with capsys.disabled():
        fate = "killed" if killed else "survived"
        print(f"\n  {TALLY['steps']:7} steps, {TALLY['boards']} boards: {fate}: {mutant}")
    assert killed is (mutant not in DOUBLES)
