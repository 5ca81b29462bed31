"""The fold of events: what a resumed run, a broken one and a good one amount to."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from particle_dev.cloud.metering import BillingVerdict
from particle_dev.errors import JournalError
from particle_dev.station.events import EventType, StationEvent, StepStatus, Verdict
from particle_dev.station.fold import fold
from particle_dev.station.verdict_data import billing_data, billing_from_data

UNIT = "e00fce68d3a1b2c4f5061728"
OTHER = "3c001f000947343432313031"
STEPS = ["identify", "check", "plan", "enter_dfu", "flash", "verify", "park"]


def undisturbed(run_script):
    script = run_script()
    script.good_unit("1", UNIT)
    script.run_finished()
    return fold(script.build())


def test_good_unit(run_script):
    record = undisturbed(run_script)

    (unit,) = record.units
    assert (record.verdict, record.counts(), record.operator, record.bench) == ("pass", {"pass": 1}, "mara", "virtual")
    assert (unit.slot, unit.device_id, unit.platform, unit.verdict) == ("1", UNIT, "boron", Verdict.PASS)
    assert [step.name for step in unit.steps] == STEPS
    assert all(step.status is StepStatus.PASSED and step.duration_s == 0.5 for step in unit.steps)
    assert unit.steps[0].started_at == "2026-05-04T08:00:00.000Z"
    assert unit.billing.verdict is BillingVerdict.NOT_STARTED
    assert [module.version for module in unit.modules] == [2101]
    assert (unit.parked.mode, unit.parked.power) == ("dfu", "off")
    assert [attempt.verdict for attempt in unit.attempts] == [Verdict.PASS]
    assert unit.error is None


@pytest.mark.parametrize("killed_in", STEPS)
def test_a_resumed_unit_has_the_record_of_an_undisturbed_one(run_script, killed_in):
    script = run_script()
    script.unit("1", UNIT)
    done = STEPS[: STEPS.index(killed_in)]
    for step in done:
        script.step("1", UNIT, step, duration_s=0.7, evidence={"of": step, "usb_address": 3})
    script.begin("1", UNIT, killed_in)
    script.resume()
    script.unit("1", UNIT)
    for step in ["identify", *STEPS[len(done) :]] if done else STEPS:
        script.step("1", UNIT, step, evidence={"of": step, "usb_address": 4})
    script.finish("1", UNIT)
    script.run_finished()

    record = fold(script.build())

    (unit,) = record.units
    assert unit.comparable() == undisturbed(run_script).units[0].comparable()
    assert record.verdict == "pass"
    assert [attempt.verdict for attempt in unit.attempts] == [None, Verdict.PASS]
    assert unit.attempts[0].steps[-1].status is StepStatus.INTERRUPTED
    assert all(step.duration_s == 0.7 for step in unit.steps[: len(done)]), "the first pass stands"
    assert len(record.attempts) == 2


def test_comparable_sees_what_matters(run_script):
    unit = undisturbed(run_script).units[0]
    changes = [
        dataclasses.replace(unit, verdict=Verdict.FAIL),
        dataclasses.replace(unit, device_id=OTHER),
        dataclasses.replace(unit, modules=()),
        dataclasses.replace(unit, modules=(dataclasses.replace(unit.modules[0], address=0),)),
        dataclasses.replace(unit, steps=unit.steps[:-1]),
        dataclasses.replace(unit, steps=(dataclasses.replace(unit.steps[0], evidence={}), *unit.steps[1:])),
        dataclasses.replace(unit, billing=dataclasses.replace(unit.billing, missing=("x",))),
        dataclasses.replace(unit, parked=None),
    ]
    for changed in changes:
        assert changed.comparable() != unit.comparable()
    assert json.loads(json.dumps(unit.comparable())) == unit.comparable()


def test_a_step_that_failed_and_passed_later_is_passed_and_the_failure_is_kept(run_script):
    script = run_script()
    script.unit("1", UNIT)
    script.step("1", UNIT, "identify")
    script.step("1", UNIT, "flash", error=script.error(where="1-1"))
    script.finish("1", UNIT, "fail")
    script.run_finished("fail")
    broken = fold(script.build())
    script.resume()
    script.good_unit("1", UNIT)
    script.run_finished()
    mended = fold(script.build())

    assert (broken.verdict, mended.verdict) == ("fail", "pass")
    assert broken.units[0].error["fields"] == {"where": "1-1"}
    assert broken.units[0].steps[1].status is StepStatus.FAILED
    (unit,) = mended.units
    assert unit.error is None
    flash = next(step for step in unit.steps if step.name == "flash")
    assert (flash.status, flash.error) == (StepStatus.PASSED, None)
    assert [step.status for step in unit.attempts[0].steps] == [StepStatus.PASSED, StepStatus.FAILED]
    assert [attempt.verdict for attempt in unit.attempts] == [Verdict.FAIL, Verdict.PASS]


def test_a_unit_without_an_end_is_interrupted_and_its_billing_unknown(run_script):
    script = run_script()
    script.good_unit("1", UNIT)
    script.resume()
    script.unit("1", UNIT)

    record = fold(script.build())

    (unit,) = record.units
    assert (record.verdict, unit.verdict) == ("incomplete", Verdict.INTERRUPTED)
    assert unit.billing.verdict is BillingVerdict.UNKNOWN
    assert unit.billing.missing
    assert (unit.modules, unit.parked) == ((), None)


def test_billing_that_started_stays_started(run_script):
    script = run_script()
    script.unit("1", UNIT)
    script.finish("1", UNIT, "fail", billing=script.billing("started"))
    script.resume()
    script.good_unit("1", UNIT)
    script.run_finished()

    assert fold(script.build()).units[0].billing.verdict is BillingVerdict.STARTED


def test_a_board_that_tells_its_id_late_is_one_unit(run_script):
    script = run_script()
    script.unit("1", None)
    script.step("1", None, "identify", error=script.error())
    script.finish("1", None, "fail")
    unnamed = fold(script.build())
    script.resume()
    script.unit("1", None)
    script.begin("1", None, "identify")
    script.pass_time("1", 1.0)
    data = {"status": "passed", "duration_s": 1.0, "evidence": {}, "error": None}
    script.emit(EventType.STEP_FINISHED, "1", unit=UNIT, step="identify", data=data)
    script.finish("1", UNIT)
    script.run_finished()
    named = fold(script.build())

    assert [(unit.device_id, unit.verdict) for unit in unnamed.units] == [(None, Verdict.FAIL)]
    assert [(unit.device_id, unit.verdict) for unit in named.units] == [(UNIT, Verdict.PASS)]
    assert [attempt.verdict for attempt in named.units[0].attempts] == [Verdict.FAIL, Verdict.PASS]


def test_empty_slots_make_a_run_incomplete_until_they_are_filled(run_script):
    script = run_script(("1", "2"))
    script.emit(EventType.SLOT_EMPTY, "2", data={"reason": "no board on port 1-2"})
    script.good_unit("1", UNIT)
    script.run_finished("incomplete")
    skipped = fold(script.build())
    script.resume()
    script.good_unit("2", OTHER, "photon")
    script.run_finished()
    filled = fold(script.build())

    assert (skipped.verdict, skipped.counts()) == ("incomplete", {"pass": 1})
    assert [(slot.slot, slot.reason) for slot in skipped.empty_slots] == [("2", "no board on port 1-2")]
    assert (filled.verdict, filled.empty_slots) == ("pass", ())
    assert [unit.device_id for unit in filled.units] == [UNIT, OTHER]


def test_a_run_with_nothing_in_it_does_not_pass(run_script):
    script = run_script(())
    script.run_finished()

    assert fold(script.build()).verdict == "incomplete"


@pytest.mark.parametrize(("verdict", "run"), [("refused", "fail"), ("fail", "fail"), ("interrupted", "incomplete")])
def test_one_bad_unit_decides_the_run(run_script, verdict, run):
    script = run_script(("1", "2"))
    script.good_unit("1", UNIT)
    script.unit("2", OTHER, "photon")
    script.finish("2", OTHER, verdict)
    script.run_finished()

    assert fold(script.build()).verdict == run


def test_types_of_a_newer_station_are_passed_over(run_script):
    events = build = run_script().build()
    events.append(StationEvent(2, build[0].at, build[0].run_id, "unit_weighed", "1", UNIT, None, {"g": 9.5}))

    assert fold(events).units == ()


def test_events_that_make_no_run_are_refused(run_script):
    script = run_script()
    script.good_unit("1", UNIT)
    events = script.build()
    with pytest.raises(JournalError, match="no run"):
        fold([])
    with pytest.raises(JournalError, match="does not belong"):
        fold(events[1:])
    with pytest.raises(JournalError, match="does not belong"):
        fold([*events, events[0]])
    with pytest.raises(JournalError, match="does not belong"):
        fold([*events, dataclasses.replace(events[1], run_id="other")])


@given(number=st.integers(0, 200), key=st.sampled_from(["verdict", "billing", "modules", "status", "recipe", "bench"]))
@settings(max_examples=60)
def test_data_that_breaks_the_schema_is_an_error_that_names_the_event(run_script, number, key):
    script = run_script()
    script.good_unit("1", UNIT)
    events = script.build()
    holders = [event for event in events if key in event.data]
    broken = holders[number % len(holders)]
    events[broken.seq - 1] = dataclasses.replace(broken, data=broken.data | {key: "what?"})

    with pytest.raises(JournalError, match=f"event {broken.seq} ") as caught:
        fold(events)

    assert caught.value.line == broken.seq


def test_a_step_that_ends_without_a_start_is_refused(run_script):
    script = run_script()
    script.unit("1", UNIT)
    data = {"status": "passed", "duration_s": 1.0, "evidence": {}, "error": None}
    script.emit(EventType.STEP_FINISHED, "1", unit=UNIT, step="flash", data=data)

    with pytest.raises(JournalError, match="without having started"):
        fold(script.build())


def test_record_as_json_data(run_script):
    data = json.loads(json.dumps(undisturbed(run_script).to_data()))

    assert (data["verdict"], data["counts"]) == ("pass", {"pass": 1})
    assert data["units"][0]["billing"]["window"] == {
        "from": "2026-05-04T08:00:00.000Z",
        "until": "2026-05-04T08:01:00.000Z",
    }
    assert data["units"][0]["attempts"][0]["steps"][0]["name"] == "identify"


def test_billing_survives_json(run_script):
    data = run_script().billing("unknown")

    assert billing_data(billing_from_data(data)) == data
