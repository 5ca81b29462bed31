"""How many units passed: the record that is folded of a journal, and what views of it count, are one answer."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from particle_dev.station.events import EventType, Verdict
from particle_dev.station.fold import fold
from particle_dev.station.slot_states import RunStates
from particle_dev.station.unit_counts import UnitCounts

SLOTS = ("1", "2", "3")
UNITS = ("u1", "u2", "u3", "u4")
VERDICTS = [str(verdict) for verdict in Verdict]
IN_SLOT = st.tuples(
    st.sampled_from(SLOTS),
    st.sampled_from([None, *UNITS]),
    st.sampled_from(UNITS),
    st.sampled_from(["cut", "wait", "empty", "retry", "again", *VERDICTS]),
)
HAPPENS = st.one_of(IN_SLOT, st.just("resume"), st.just("end"))


def journal(run_script, happenings):
    """Goes at units: some tell their Device ID late, some are cut short, retried, made in another slot."""
    script = run_script(SLOTS)
    for happening in happenings:
        if happening == "resume":
            script.resume()
        elif happening == "end":
            script.run_finished("fail")
        else:
            slot, first, unit, end = happening
            script.unit(slot, first)
            script.step(slot, first, "identify")
            # A board that has told who it is does not become another one in the same go.
            unit = first or unit
            script.begin(slot, unit, "flash")
            if end in ("retry", "again"):
                script.finish(slot, unit, "fail")
                data = {"attempt": 2, "attempts": 2, "error": script.error()}
                script.emit(EventType.UNIT_RETRIED, slot, unit=unit, data=data)
                if end == "again":
                    script.unit(slot, unit)
                    script.finish(slot, unit)
            elif end == "wait":
                script.emit(EventType.SLOT_WAITING, slot, data={"for": "board", "reason": None, "lock": None})
            elif end == "empty":
                script.emit(EventType.SLOT_EMPTY, slot, data={"reason": "no board"})
            elif end != "cut":
                script.finish(slot, unit, end)
    return [dataclasses.replace(event, seq=seq) for seq, (_, event) in enumerate(script.timed, 1)]


@given(happenings=st.lists(HAPPENS, max_size=25))
def test_record_and_views_count_the_same_units(run_script, happenings):
    events = journal(run_script, happenings)
    record, states, counts = fold(events), RunStates(events), UnitCounts()
    states.end_work()
    for event in events:
        counts.take(event)
    counts.end_work()
    passed = record.counts().get("pass", 0)
    assert (states.passed, states.not_passed) == (passed, len(record.units) - passed)
    assert counts.finished == sum(unit.verdict is not Verdict.INTERRUPTED for unit in record.units)
    for name, slot in states.slots.items():
        verdicts = [unit.verdict is Verdict.PASS for unit in record.units if unit.slot == name]
        assert (slot.passed, slot.passed + slot.not_passed) == (sum(verdicts), len(verdicts))


def test_a_unit_that_was_cut_short_and_passed_then_is_one_that_passed(run_script):
    script = run_script(SLOTS)
    script.unit("1", "u1")
    script.finish("1", "u1", "interrupted")
    script.resume()
    script.good_unit("1", "u1")
    states = RunStates(script.build())
    assert (states.passed, states.not_passed) == (1, 0)


def test_a_unit_in_work_counts_neither_way(run_script):
    script = run_script(SLOTS)
    script.good_unit("1", "u1")
    script.unit("1", "u1")
    states = RunStates(script.build())
    assert (states.passed, states.not_passed) == (0, 0)
    states.end_work()
    assert (states.passed, states.not_passed) == (0, 1)
