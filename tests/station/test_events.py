"""The event schema."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.errors import FlashRangeError, FormatError, WrongDeviceError
from particle_dev.station.events import (
    SCHEMA_VERSION,
    EventType,
    StationEvent,
    error_data,
    new_event,
    parse_timestamp,
    timestamp,
    without_volatile,
)

AT = datetime(2026, 5, 4, 8, 0, 0, 123_456, tzinfo=UTC)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    data=st.dictionaries(st.text(), JSON_VALUES, max_size=3),
    slot=st.none() | st.text(),
    event_type=st.sampled_from(EventType),
)
def test_every_event_survives_a_line(data, slot, event_type):
    event = new_event(event_type, run_id="r", at=AT, slot=slot, data=data)

    line = event.to_json()

    assert "\n" not in line
    assert line.isascii()
    assert StationEvent.from_json(line) == event


def test_line_has_sorted_keys_and_schema():
    line = new_event(EventType.STEP_STARTED, run_id="r", at=AT, slot="1", unit="e0", step="flash").to_json()

    assert line == (
        '{"at":"2026-05-04T08:00:00.123Z","data":{},"run_id":"r","schema":1,"seq":0,"slot":"1",'
        '"step":"flash","type":"step_started","unit":"e0"}'
    )


def test_unknown_type_stays_readable():
    fields = json.loads(new_event(EventType.RUN_STARTED, run_id="r", at=AT).to_json()) | {"type": "unit_weighed"}

    event = StationEvent.from_json(json.dumps(fields))

    assert event.type == "unit_weighed"
    assert json.loads(event.to_json()) == fields


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schema": SCHEMA_VERSION + 1}, "newer_schema"),
        ({"schema": True}, "bad_event"),
        ({"seq": "1"}, "bad_event"),
        ({"seq": True}, "bad_event"),
        ({"data": []}, "bad_event"),
        ({"slot": 1}, "bad_event"),
        ({"at": None}, "bad_event"),
    ],
)
def test_wrong_fields_are_refused(change, code):
    fields = json.loads(new_event(EventType.RUN_STARTED, run_id="r", at=AT).to_json()) | change

    with pytest.raises(FormatError) as caught:
        StationEvent.from_json(json.dumps(fields))

    assert caught.value.code == code


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"\0\0\0\0", b'{"at":', b"\xff\xfe\xfd", b'{"schema":1}'])
def test_what_is_no_event_is_refused(line):
    with pytest.raises(FormatError):
        StationEvent.from_json(line)


def test_data_that_json_cannot_hold_is_refused_when_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        new_event(EventType.RUN_STARTED, run_id="r", at=AT, data={"x": float("nan")}).to_json()


def test_times_are_utc_with_milliseconds():
    in_berlin = datetime(2026, 5, 4, 10, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))

    assert timestamp(in_berlin) == "2026-05-04T08:00:00.123Z"
    assert parse_timestamp("2026-05-04T08:00:00.123Z") == AT.replace(microsecond=123_000)
    with pytest.raises(ValueError, match="zone"):
        timestamp(datetime(2026, 5, 4))
    with pytest.raises(ValueError, match="zone"):
        parse_timestamp("2026-05-04T08:00:00")


def test_error_data_is_json_and_keeps_the_facts():
    wrong = error_data(WrongDeviceError("other board", expected="e0", actual="e1", hint="look"))
    assert wrong == {
        "type": "WrongDeviceError",
        "message": "other board",
        "hint": "look",
        "fields": {"expected": "e0", "actual": "e1"},
    }
    error = FlashRangeError("bad", address=1, size_bytes=2)
    error.extra = {"bytes": b"\x01", "tuple": (1, object)}  # type: ignore[attr-defined]
    assert json.loads(json.dumps(error_data(error)))["fields"]["extra"]["bytes"] == "01"


def test_volatile_evidence_is_left_out_at_every_depth():
    evidence = {"address": 1, "usb_address": 7, "a": [{"from": "x", "size_bytes": 3, "uptime_s": 1.0, "seen_at": ""}]}

    assert without_volatile(evidence) == {"address": 1, "a": [{"size_bytes": 3}]}
