"""Records in other forms; files as people get them are in tests/cli/test_records_cli.py."""

import pytest

from particle_dev.station.record_export import product_import, table_csv
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
