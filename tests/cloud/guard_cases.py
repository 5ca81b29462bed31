"""A good case for the gate, and records to make others of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from particle_dev.cloud.facts import Snapshot, StreamWatch, device_facts, sim_fact, stream_fact
from particle_dev.cloud.gate import GateCase, Radio
from particle_dev.cloud.metering import held_in_dfu
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.cloud.records import DeviceRecord, SimRecord

T0 = datetime(2026, 5, 4, 8, tzinfo=UTC)
PRODUCT, PLATFORM = 12345, 13
OFF_S = 100


def at(seconds):
    return T0 + timedelta(seconds=seconds)


def device_row(**fields):
    """A record of a Boron of the product that never connected."""
    row = {"product_id": PRODUCT, "platform_id": PLATFORM, "online": False, **fields}
    return DeviceRecord("e00fce68" + "0" * 16, **row)


def sim_row(status="inactive", activations_count=0, **fields):
    return SimRecord("8934076500002589174", status, activations_count=activations_count, **fields)


NEVER, DEACTIVATED, ACTIVE = sim_row(), sim_row("deactivated", 2), sim_row("active", 1)


def snapshot(seconds, record=None, sim=ACTIVE, baseline=None, **fields):
    record = record or device_row()
    facts = device_facts(record, at(seconds), product_id=PRODUCT, platform_id=PLATFORM, baseline=baseline)
    state, fact = sim_fact(sim, at(seconds)) if sim else (None, None)
    return Snapshot(at(seconds), True, (*facts, *([fact] if fact else [])), state, **fields)


def outside(seconds):
    return Snapshot(at(seconds), False)


def quiet_stream(events=(), since=-5, alive_until=OFF_S + 60, gaps=()):
    gaps = tuple((at(a), at(b)) for a, b in gaps)
    alive = None if alive_until is None else at(alive_until)
    watch = StreamWatch(at(since), alive, gaps, tuple(events))
    return stream_fact(watch, [(at(0), at(OFF_S))], at(OFF_S + 61))


def good_case(**fields):
    """A Boron that was in DFU mode from its power-on to the loss of its power, a member all along."""
    case = GateCase(
        powered=((at(0), at(OFF_S)),),
        is_off=True,
        evidence=(held_in_dfu(at(0), at(OFF_S)),),
        start=snapshot(1),
        end=snapshot(OFF_S + 61),
        radios=frozenset({Radio.CELLULAR}),
        stream=quiet_stream(),
        plan=PLANS[PlanName.BASIC],
    )
    return replace(case, **fields)
