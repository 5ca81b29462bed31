"""Whatever views of the records are asked for: an answer, and never one of those that mean a defect."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.station.web.sample_records import BAD, UNIT

ODD = st.sampled_from(
    [
        *(
            "",
            "\0",
            "a\0b",
            "'",
            '"',
            "%",
            "_",
            "\\",
            "/",
            "..",
            "../..",
            "' OR 1=1 --",
            "\u202e",
            "\ud7ff",
            "😀",
            "NaN",
        ),
        *("0001-01-01", "9999-12-31", "2026-02-30", "2026-05-04", "2026-W01", "20260504", "-1", "9" * 500, "run-1"),
        *("slot:10", f"run-1/{UNIT}", UNIT, BAD, UNIT[:8], "e00fce68", "message", "pass", "boron", "ship", "mara"),
    ]
)
VALUE = st.one_of(ODD, st.text(st.characters(blacklist_categories=["Cs"]), max_size=40))
NAMES = ("q", "verdict", "platform", "operator", "since", "until", "station", "slot", "recipe", "by", "a", "b", "only")
QUERY = st.dictionaries(st.sampled_from((*NAMES, "key")), VALUE, max_size=6)
SETTINGS = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@SETTINGS
@given(path=st.sampled_from(("/units", "/statistics", "/compare", "/runs/run-1/unit", "/runs/run-0/unit")), query=QUERY)
def test_every_question_has_an_answer(records_page, path, query):
    answer = records_page.get(path, params=query)

    assert answer.status_code in (200, 303, 404), (path, query)
    assert "Traceback" not in answer.text


@SETTINGS
@given(
    kind=st.sampled_from(("units", "runs")),
    name=st.one_of(VALUE, st.sampled_from((UNIT, "run-1"))),
    rest=st.one_of(
        st.sampled_from(("", "/report", "/record.json", "/label.svg", "/unit", "/files/", "/files/x", "/report/")),
        VALUE,
    ),
)
def test_every_address_has_an_answer(records_page, kind, name, rest):
    answer = records_page.get(f"/{kind}/{quoted(name)}{quoted(rest)}")

    assert answer.status_code in (200, 303, 404), (kind, name, rest)


def quoted(text):
    return "".join(chr(byte) if byte == ord("/") else f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_views_change_nothing(records_page, method):
    for path in ("/units", "/statistics", "/compare", f"/units/{UNIT}", "/runs/run-1/record.json"):
        assert getattr(records_page, method)(path).status_code in (403, 405, 415)
