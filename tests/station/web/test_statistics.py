"""Yield, what fails most and the slots, in a browser."""

import re
from contextlib import closing

import pytest

from particle_dev.station.fold import fold
from particle_dev.station.record_statistics import Scope
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey
from particle_dev.station.web.statistics import slow_places


def words(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def test_the_tiles_say_what_was_counted(records_page):
    told = words(records_page.get("/statistics"))

    assert "Final yield 33.3% 1 of 3 units" in told or "Final yield" in told
    assert "First-pass yield" in told
    assert "1 refused" in told or "2 refused" in told


def test_every_plot_has_its_table(records_page):
    text = records_page.get("/statistics").text

    for plot in re.findall(r'<svg class="plot".*?</svg>', text, re.DOTALL):
        assert re.search(r'role="img" aria-labelledby="(\w+)-title \1-text"', plot)
        assert "<title" in plot
        assert "<desc" in plot
    assert len(re.findall(r'<svg class="plot"', text)) == len(re.findall(r"<details>", text)) == 2


def test_the_slots_stand_in_the_order_of_their_numbers(records_page):
    text = records_page.get("/statistics").text
    table = text[text.index('class="slots-table"') :]
    assert re.findall(r'<th scope="row">(\d+)', table)[:3] == ["1", "2", "10"]
    assert table.count('<svg class="small"') == 2, "of the one slot in which a unit passed"


@pytest.mark.parametrize(
    ("by", "told"),
    [("message", "Write: the device left the bus"), ("failure", "LinkDisconnectedError"), ("step", "Identify")],
)
def test_failures_are_counted_by_what_is_asked(records_page, by, told):
    answer = records_page.get("/statistics", params={"by": by})
    assert told in words(answer)
    assert f'name="by" value="{by}"' in answer.text


def test_a_time_and_a_platform_are_kept_in_the_form(records_page):
    asked = {"since": "2026-05-05", "until": "2026-05-05", "platform": "bsom"}
    answer = records_page.get("/statistics", params=asked)

    assert 'name="since" type="date" value="2026-05-05"' in answer.text
    assert re.search(r'<option value="bsom" selected>', answer.text)
    assert "Worked on 1 " in words(answer)
    assert 'value="boron"' in answer.text, "what was left out can be chosen again"


def test_a_time_in_which_nothing_was_done_is_no_error(records_page):
    answer = records_page.get("/statistics", params={"since": "2030-01-01", "until": "2029-01-01"})
    assert answer.status_code == 200
    assert "No unit is like this" in words(answer)
    assert "Nothing failed" in words(answer)


def slow_slots(tmp_path, run_script, goes):
    """``goes``: slot, platform, units, seconds of flashing each."""
    database = RecordDatabase(tmp_path / "slow.sqlite")
    script = run_script(("1", "2", "3"), run_id="a-day")
    for slot, platform, units, duration_s in goes:
        for number in range(units):
            unit = f"e00fce68{slot}{number:015x}"
            script.unit(slot, unit, platform)
            script.step(slot, unit, "flash", duration_s=duration_s, evidence={"work": {"written_bytes": 800_000}})
            script.finish(slot, unit, "pass")
    script.run_finished()
    database.write_run(fold(script.build()), StationKey(tmp_path / "site"))
    with closing(database):
        return sorted(place.slot for place in slow_places(database, Scope(), ("boron", "photon")))


def test_a_slot_is_slow_against_others_with_the_same_platform(tmp_path, run_script):
    assert slow_slots(tmp_path, run_script, [("1", "boron", 9, 20), ("2", "boron", 5, 40), ("3", "photon", 9, 90)]) == [
        "2"
    ]


def test_a_few_units_make_no_slot_slow(tmp_path, run_script):
    assert slow_slots(tmp_path, run_script, [("1", "boron", 9, 20), ("2", "boron", 4, 40)]) == []
