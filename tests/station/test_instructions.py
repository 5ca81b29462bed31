"""What operators are told to do: every state, every error."""

import json
import string
from pathlib import Path

import pytest

from particle_dev import errors
from particle_dev.connectivity.failures import FAILURES
from particle_dev.station.events import EventType, StationEvent
from particle_dev.station.instructions import (
    ALT_TEXTS,
    ENGINEER,
    ERRORS,
    INSTRUCTIONS,
    Picture,
    Urgency,
    instruction,
    lock_ask,
    operator_message,
    run_instruction,
)
from particle_dev.station.slot_states import RunStates, SlotMode, SlotState

AT = "2026-05-04T08:00:00.000Z"
ALL_ERRORS = sorted(
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.ParticleDevError)
)
STATIC = Path(errors.__file__).parent / "station" / "web" / "static"


def event(kind, slot="1", unit=None, step=None, **data):
    return StationEvent(1, AT, "run", kind, slot, unit, step, data)


def error(name, **fields):
    return {"type": name, "message": "it went wrong", "hint": "look", "fields": fields}


def finished(slot, verdict, **data):
    slot.take(event(EventType.UNIT_STARTED, unit="e00fce68", platform="boron", port="1-1"))
    slot.take(event(EventType.UNIT_FINISHED, verdict=verdict, **({"parked": None, "left": None, "error": None} | data)))
    return slot


@pytest.mark.parametrize("name", ALL_ERRORS)
def test_every_error_has_an_instruction(name):
    assert ERRORS[name] in INSTRUCTIONS


def test_the_table_names_no_error_that_is_none():
    assert sorted(ERRORS) == ALL_ERRORS


@pytest.mark.parametrize("name", ALL_ERRORS)
def test_a_unit_that_failed_gets_what_the_table_says(name):
    slot = finished(SlotState("1"), "fail", error=error(name))
    assert instruction(slot).id == ERRORS[name]


def test_an_error_of_a_newer_station_asks_for_an_engineer():
    assert instruction(finished(SlotState("1"), "fail", error=error("TomorrowsError"))).id == ENGINEER


@pytest.mark.parametrize("mode", SlotMode)
def test_every_mode_has_an_instruction(mode):
    assert instruction(SlotState("1", mode)).text


def test_failures_of_connectivity_have_their_own_words():
    for failure in FAILURES:
        slot = finished(SlotState("1"), "fail", error=error("StageFailedError", code=str(failure.code)))
        assert instruction(slot).text == failure.operator


def test_a_passed_unit_goes_to_the_good_tray_and_at_once_where_nothing_else_takes_its_power():
    assert instruction(finished(SlotState("1"), "pass", parked={"power": "off"})).id == "remove_good"
    slot = finished(SlotState("1"), "pass", parked={"power": "on_operator_must_unplug"})
    assert (instruction(slot).id, instruction(slot).urgency) == ("unplug_good", Urgency.NOW)


@pytest.mark.parametrize(
    ("name", "asked"), [("VerifyError", "unplug_reject"), ("WrongDeviceError", "unplug"), ("BudgetError", "unplug")]
)
def test_power_comes_before_everything_else(name, asked):
    slot = finished(SlotState("1"), "fail", left={"power": "on_operator_must_unplug"}, error=error(name))
    assert instruction(slot).id == asked


def test_the_next_unit_forgets_what_the_last_one_asked_for():
    slot = finished(SlotState("1"), "fail", left={"power": "on_operator_must_unplug"}, error=error("VerifyError"))
    slot.take(event(EventType.UNIT_STARTED, unit="e00fce69", platform="boron", port="1-1"))
    assert instruction(slot).id == "wait"
    slot.take(event(EventType.UNIT_FINISHED, verdict="fail", parked=None, left=None, error=None))
    assert instruction(slot).id == "remove_reject"


def waiting(slot, what):
    slot.take(event(EventType.SLOT_WAITING, **{"for": what, "reason": None}))
    return instruction(slot).id


def test_once_the_board_was_seen_to_go_the_next_one_is_asked_for():
    slot = finished(SlotState("1"), "pass", parked={"power": "on_operator_must_unplug"})
    assert [waiting(slot, what) for what in ("removal", "board")] == ["unplug_good", "insert"]
    assert slot.mode is SlotMode.PASS
    assert waiting(finished(slot, "fail"), "removal") == "remove_reject"


def test_a_board_whose_power_the_bench_took_may_still_be_there():
    slot = finished(SlotState("1"), "pass", parked={"power": "off"})
    assert waiting(slot, "board") == "remove_good"


def test_what_is_more_than_taking_it_out_stays_asked_for():
    slot = finished(SlotState("1"), "fail", error=error("LinkDisconnectedError"))
    assert [waiting(slot, what) for what in ("removal", "board")] == ["check_cable", "check_cable"]


def test_a_second_go_is_counted():
    slot = finished(SlotState("1"), "fail")
    slot.take(event(EventType.UNIT_RETRIED, attempt=2, attempts=3, error=error("LinkTimeoutError")))
    found = instruction(slot)
    assert found.text.format(**found.values) == "Wait. This is try 2 of 3."


@pytest.mark.parametrize(
    ("start_by", "asked"), [("insertion", "insert"), ("operator", "insert_press"), ("scan", "insert_scan")]
)
def test_a_free_slot_says_how_it_begins(start_by, asked):
    slot = SlotState("1")
    assert instruction(slot, start_by).id == "starting"
    slot.take(event(EventType.SLOT_WAITING, **{"for": "board", "reason": None}))
    assert instruction(slot, start_by).id == asked


@pytest.mark.parametrize(
    ("code", "asked"),
    [(c, "locked") for c in ("failures", "yield", "drift", "engineer")]
    + [("golden_due", "golden_due"), ("golden_failed", "golden_failed")],
)
def test_a_locked_slot_says_what_unlocks_it(code, asked):
    watched, round_of_one = SlotState("1"), SlotState("2")
    watched.take(event(EventType.SLOT_WAITING, **{"for": "unlock", "reason": "why", "lock": code}))
    round_of_one.take(event(EventType.SLOT_EMPTY, reason="the slot is locked: why", lock=code))
    assert instruction(watched).id == instruction(round_of_one).id == lock_ask(code) == asked
    assert watched.mode is round_of_one.mode is SlotMode.LOCKED


@pytest.mark.parametrize(("verdict", "asked"), [("pass", "remove_good"), ("fail", "remove_reject")])
def test_a_unit_that_is_in_an_unlocked_slot_has_to_be_taken_out(verdict, asked):
    """Nothing begins with it: to wait would be to wait for ever."""
    slot = finished(SlotState("1"), verdict)
    if verdict == "fail":
        slot.error = "VerifyError"
    slot.take(event(EventType.SLOT_WAITING, **{"for": "unlock", "reason": "why", "lock": "failures"}))
    slot.take(event(EventType.SLOT_WAITING, **{"for": "removal", "reason": None}))
    assert instruction(slot).id == asked
    slot.take(event(EventType.SLOT_WAITING, **{"for": "board", "reason": None}))
    assert instruction(slot).id == "insert"


@pytest.mark.parametrize("code", ["failures", "golden_due"])
def test_a_lock_does_not_hide_that_a_unit_must_lose_its_power(code):
    """Left in the slot it may go online by itself."""
    slot = finished(SlotState("1"), "pass", parked={"mode": "dfu", "power": "on_operator_must_unplug"})
    slot.take(event(EventType.OPERATOR_MESSAGE, **operator_message("1", "is locked: why", lock_ask(code))))
    assert instruction(slot).id == "unplug_good", "in a run of one round, too"
    for removal, asked in ((True, "unplug_good"), (False, lock_ask(code))):
        waiting = {"for": "unlock", "removal": removal, "reason": "why", "lock": code}
        slot.take(event(EventType.SLOT_WAITING, **waiting))
        assert (slot.mode, instruction(slot).id) == (SlotMode.LOCKED, asked)


@pytest.mark.parametrize("was_seen_to_go", [True, False])
@pytest.mark.parametrize("code", ["failures", "golden_due"])
def test_a_board_that_nothing_was_done_to_is_not_taken_for_the_unit_that_was_in_the_slot_before(code, was_seen_to_go):
    slot = finished(SlotState("1"), "fail", left={"power": "on_operator_must_unplug"}, error=error("VerifyError"))
    locked = {"for": "unlock", "removal": True, "reason": "why", "lock": code}
    slot.take(event(EventType.SLOT_WAITING, board="e00fce68", **locked))
    assert instruction(slot).id == "unplug_reject"
    if was_seen_to_go:
        slot.take(event(EventType.SLOT_WAITING, board=None, **locked | {"removal": False}))
    slot.take(event(EventType.SLOT_WAITING, board="e00fce69", **locked))
    assert instruction(slot).id == lock_ask(code)
    unlocked = {"for": "removal", "removal": True, "reason": None, "lock": None}
    slot.take(event(EventType.SLOT_WAITING, board="e00fce69", **unlocked))
    assert instruction(slot).id == "insert_again"
    slot.take(event(EventType.SLOT_WAITING, board="e00fce68", **unlocked))
    assert instruction(slot).id == "unplug_reject", "the unit itself was put back"


def test_a_board_that_came_when_its_slot_was_given_up_as_empty_is_no_unit():
    slot = SlotState("1")
    slot.take(event(EventType.SLOT_EMPTY, reason="the power cannot be switched"))
    slot.take(event(EventType.SLOT_WAITING, **{"for": "removal", "removal": True, "board": "e00fce69"}))
    assert instruction(slot).id == "insert_again"


def test_what_a_slot_says_comes_before_its_state():
    slot = SlotState("1")
    slot.take(event(EventType.OPERATOR_MESSAGE, **operator_message("1", "the label says …", "wrong_label")))
    assert instruction(slot).id == "wrong_label"
    slot.take(event(EventType.UNIT_STARTED, unit="e00fce68", platform="boron", port="1-1"))
    assert instruction(slot).id == "wait"


def test_worn_contacts_do_not_hide_where_a_board_goes():
    slot = finished(SlotState("1"), "pass")
    slot.take(event(EventType.OPERATOR_MESSAGE, **operator_message("1", "has taken 10000 boards", "worn")))
    assert instruction(slot).id == "remove_good"


def test_no_message_names_an_instruction_that_is_none():
    with pytest.raises(KeyError):
        operator_message("1", "text", "nonsense")
    assert "ask" not in operator_message("1", "text")


def run_states(**data):
    start = {"recipe": {"name": "ship"}, "bench": {"name": "b"}, "slots": ["1"], "mode": "continuous"}
    return RunStates([event(EventType.RUN_STARTED, slot=None, **start, **data)])


def test_a_run_says_how_it_goes():
    states = run_states(start_by="scan")
    assert (states.start_by, run_instruction(states).id) == ("scan", "run_goes_on")
    states.take(event(EventType.OPERATOR_MESSAGE, slot=None, message="the run ends", ask="run_ending"))
    assert run_instruction(states).id == "run_ending"
    for verdict in ("pass", "fail", "incomplete"):
        states.take(event(EventType.RUN_FINISHED, slot=None, verdict=verdict, report=None))
        assert run_instruction(states).id == f"run_{verdict}"
    assert run_instruction(states, "RecordsAwayError").id == "records_away"
    assert run_instruction(states, "JournalError").id == "disk_full"


def test_journals_of_older_stations_have_no_start():
    assert run_states().start_by == ""


@pytest.mark.parametrize("found", INSTRUCTIONS.values(), ids=lambda found: found.id)
def test_texts_are_short_sentences_without_unknown_placeholders(found):
    assert found.text[0].isupper()
    assert found.text[-1] == "."
    assert len(found.text) <= 90
    assert {name for _, name, _, _ in string.Formatter().parse(found.text) if name} <= {"attempt", "attempts"}


@pytest.mark.parametrize("picture", Picture)
def test_every_picture_is_there_with_its_alternative_text(picture):
    drawing = (STATIC / "pictures" / f"{picture}.svg").read_text()
    assert drawing.startswith("<svg ")
    assert "viewBox" in drawing
    assert "href" not in drawing
    assert ALT_TEXTS[picture]


def test_instructions_that_call_a_person_are_heard():
    assert [i.id for i in INSTRUCTIONS.values() if i.urgency is Urgency.NOW and i.sound is None] == []


def test_values_are_plain_json():
    assert json.dumps([dict(i.values) for i in INSTRUCTIONS.values()])
