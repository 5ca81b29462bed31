"""Records in other forms; files as people get them are in tests/cli/test_records_cli.py."""

from xml.etree import ElementTree

import pytest

from particle_dev.station.events import EventType
from particle_dev.station.fold import fold
from particle_dev.station.record_export import junit_xml, product_import, table_csv
from particle_dev.station.record_search import FoundUnit


def go(recorded, hour, verdict, device_id="e00fce68d3a1b2c4f5061728", **fields):
    told = {
        "run_id": f"run-{recorded}",
        "unit": device_id or "slot:1",
        "slot": "1",
        "platform": "boron",
        "billing_verdict": "not_started",
        "gate_verdict": None,
        "failed_step": None,
        "failure": None,
        "operator": "mara",
        "recipe_name": "ship",
        "station_id": "0" * 16,
    }
    at = f"2026-05-04T{hour:02}:00:00.000Z"
    return FoundUnit(**told | fields, recorded=recorded, device_id=device_id, verdict=verdict, started_at=at)


@pytest.mark.parametrize(
    ("goes", "is_in"),
    [
        ([go(1, 8, "pass")], True),
        ([go(1, 8, "fail"), go(2, 9, "pass")], True),
        ([go(1, 8, "pass"), go(2, 9, "fail")], False),
        # Recorded late, after the server came back: the go of eight o'clock says nothing of the one of nine.
        ([go(1, 9, "fail"), go(2, 8, "pass")], False),
        # Recorded late, or a clock that was set back: nobody knows which was the last.
        ([go(1, 9, "pass"), go(2, 8, "fail")], False),
        ([go(1, 9, "pass"), go(2, 8, "pass")], True),
        ([go(None, 8, "fail"), go(1, 9, "pass")], True),
        ([go(1, 8, "interrupted")], False),
        ([go(1, 8, "pass", device_id=None)], False),
    ],
)
def test_only_units_whose_last_go_passed_by_every_order_are_imported(goes, is_in):
    wanted = "e00fce68d3a1b2c4f5061728\n" if is_in else ""
    assert product_import(goes) == wanted
    assert product_import(goes[::-1]) == wanted


def test_a_spreadsheet_runs_no_formula_of_a_name():
    text = table_csv([go(1, 8, "pass", operator='=HYPERLINK("http://x")', slot="@1", failure=None)])
    line = text.splitlines()[1]
    assert '"\'=HYPERLINK(""http://x"")"' in line
    assert ",'@1," in line


@pytest.mark.parametrize(
    ("ends", "units", "errors"), [(True, 1, 0), (False, 1, 1), (True, 0, 1), (False, 0, 1)], ids=str
)
def test_a_run_that_was_cut_short_or_did_nothing_is_no_green_file(run_script, ends, units, errors):
    """A slot that nothing was heard of has no suite of its own."""
    script = run_script(("1", "2"))
    for slot in range(1, units + 1):
        script.unit(str(slot), "e00fce68d3a1b2c4f5061728")
        script.finish(str(slot), "e00fce68d3a1b2c4f5061728")
    if ends:
        script.run_finished()
    suites = ElementTree.fromstring(junit_xml([fold(script.build())]))
    assert sum(int(suite.get("errors", 0)) for suite in suites) == errors
    assert len(suites.findall("testsuite/testcase/error")) == errors


def test_a_run_of_empty_slots_did_nothing(run_script):
    script = run_script(("1", "2"))
    for slot in "12":
        script.emit(EventType.SLOT_EMPTY, slot, data={"reason": "access denied"})
    script.run_finished()
    suites = ElementTree.fromstring(junit_xml([fold(script.build())]))
    assert [case.get("message") for case in suites.iter("skipped")] == ["access denied"] * 2
    assert [case.get("message") for case in suites.iter("error")] == ["no unit was worked on"]
