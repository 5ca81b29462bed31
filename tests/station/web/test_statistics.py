"""Yield, what fails most and the slots, in a browser."""

import re

import pytest


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
