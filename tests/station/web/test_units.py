"""Units of the records in a browser: found, shown, compared; and who may see what."""

import re
from contextlib import closing
from dataclasses import replace

import pytest

from particle_dev.station.journal import Journal
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey
from particle_dev.station.unrecorded import UnrecordedRun
from particle_dev.station.web.access import ROLES, Role
from particle_dev.station.web.units import searched_name
from tests.station.web.conftest import Browser
from tests.station.web.sample_records import BAD, OTHER, SECRET, SERIAL, UNIT

FRESH = "e00fce68aaaabbbbccccdddd"
PAGES = ("/units", f"/units/{UNIT}", "/runs/run-1", f"/runs/run-1/unit?key={UNIT}", "/compare", "/statistics")


def words(answer):
    """What a person reads, without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


@pytest.mark.parametrize("asked", [UNIT, UNIT.upper(), SERIAL, UNIT[:12], UNIT[-8:]])
def test_a_name_leads_to_the_unit(records_page, asked):
    answer = records_page.get("/units", params={"q": asked})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/units/{UNIT}")


def test_a_scanned_label_leads_to_the_unit_and_its_secret_stays_nowhere(records_page):
    answer = records_page.get("/units", params={"q": f" {SERIAL} {SECRET}\n"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/units?q={SERIAL}")
    assert SECRET not in answer.text + str(answer.headers)

    strange = records_page.get("/units", params={"q": f"unknown {SECRET}"})
    assert SECRET not in strange.text + str(strange.headers)
    for pair in ((f"{SERIAL} {SECRET}", f"x {SECRET}"), (UNIT, f"run-1/{UNIT} {SECRET}")):
        compared = records_page.get("/compare", params=dict(zip("ab", pair, strict=True)))
        assert compared.status_code == 303
        assert SECRET not in compared.text + str(compared.headers)


@pytest.mark.parametrize(
    ("text", "name"),
    [("", ""), ("  ", ""), (f"{SERIAL} {SECRET}", SERIAL), (UNIT, UNIT), ("a\0b c", "ab"), ("x" * 900, "x" * 64)],
)
def test_one_word_is_searched_for(text, name):
    assert searched_name(text) == name


def test_without_a_name_the_latest_units_stand_first(records_page):
    told = words(records_page.get("/units"))

    assert told.index(UNIT) < told.index(BAD)
    assert "no Device ID" in told


def test_filters_keep_what_they_ask_for(records_page):
    assert UNIT not in records_page.get("/units", params={"verdict": "refused"}).text
    assert BAD in records_page.get("/units", params={"verdict": "refused", "platform": "bsom"}).text
    assert BAD not in records_page.get("/units", params={"since": "2026-05-06"}).text
    assert BAD not in records_page.get("/units", params={"operator": "somebody else"}).text
    assert BAD in records_page.get("/units", params={"operator": "mara", "since": "nonsense", "verdict": "?"}).text


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("e00", "four characters"),
        ("0" * 10, "No unit is like this"),
        ("0e00fce68d3a1b2c4f506172a", "a Device ID has 24"),
        ("<b>bold</b>", "No unit is like this"),
    ],
)
def test_what_is_not_found_is_said_with_what_to_do(records_page, asked, told):
    answer = records_page.get("/units", params={"q": asked})
    assert answer.status_code == 200
    assert told in words(answer)
    assert "<b>" not in answer.text


def test_a_unit_has_its_history_and_its_proof(records_page):
    told = words(records_page.get(f"/units/{UNIT}"))

    assert told.index("run-1") < told.index("run-0")
    assert SERIAL in told
    assert "Every row of this run is as its station signed it" in told


def test_part_of_a_name_in_an_address_leads_to_the_whole(records_page):
    assert records_page.get(f"/units/{SERIAL}").headers["location"] == f"/units/{UNIT}"
    assert records_page.get("/units/e00fce68").status_code == 404, "two units begin like this"
    assert records_page.get("/units/%00").status_code == 404, "no name is no unit"


def test_one_go_shows_steps_measurements_evidence_and_files(records_page):
    answer = records_page.get(f"/runs/run-0/unit?key={UNIT}")
    told = words(answer)

    for text in ("the device left the bus", "check the cable", "rssi", "-100", "serial.log", "Nothing was written"):
        assert text in told, text
    assert "2.1.0" in words(records_page.get(f"/runs/run-1/unit?key={UNIT}"))
    assert '<svg class="plot steps"' in answer.text
    assert 'rel="next"' in answer.text
    assert 'rel="prev"' not in answer.text


def test_a_board_without_a_device_id_has_its_go_and_no_history(records_page):
    answer = records_page.get("/runs/run-1/unit", params={"key": "slot:10"})

    assert answer.status_code == 200
    assert "no answer" in words(answer)
    assert 'rel="prev"' not in answer.text


def test_a_run_shows_its_units(records_page):
    told = words(records_page.get("/runs/run-0"))
    assert all(text in told for text in (UNIT, BAD, OTHER, "ship", "mara", "journal.jsonl"))


def test_text_of_boards_is_text(records_page):
    for address in (
        f"/units/{BAD}",
        f"/runs/run-1/unit?key={BAD}",
        "/runs/run-1",
        "/statistics",
        f"/compare?a={BAD}&b={UNIT}",
    ):
        answer = records_page.get(address)
        assert "<script>alert" not in answer.text, address
        assert "&lt;script&gt;alert" in answer.text, address


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_what_their_policy_allows(records_page, path):
    text = records_page.get(path).text

    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", text), "the policy forbids it"
    assert re.findall(r'(?:src|href)="(?:https?:)?//', text) == [], "nothing comes from elsewhere"
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    regions = re.findall(r'role="region" aria-label="([^"]+)"', text)
    assert len(regions) == len(set(regions)), "each is found by its name"
    for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
        widths = {
            sum(int((re.search(r'colspan="(\d+)"', cell) or [0, 1])[1]) for cell in re.findall(r"<t[hd][^>]*>", row))
            for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        }
        assert len(widths) == 1, table[:300]


def test_two_goes_are_compared_and_their_differences_told(records_page):
    answer = records_page.get("/compare", params={"a": f"run-0/{UNIT}", "b": f"run-1/{UNIT}"})
    told = words(answer)

    assert "≠ differs" in told
    assert told.count("the device left the bus") == 1
    fewer = records_page.get("/compare", params={"a": f"run-0/{UNIT}", "b": SERIAL, "only": "differences"})
    assert 0 < fewer.text.count('class="differs"') == answer.text.count('class="differs"')
    assert len(fewer.text) < len(answer.text)


@pytest.mark.parametrize("b", ["run-77/" + UNIT, "nothing-like-it", "e0", "/", "run-1/"])
def test_what_cannot_be_compared_is_said(records_page, b):
    answer = records_page.get("/compare", params={"a": UNIT, "b": b})
    assert answer.status_code == 200
    assert 'id="b-problem"' in answer.text


def test_operators_see_the_verdict_and_not_more(guarded_records):
    operator, engineer = guarded_records(Role.OPERATOR), guarded_records(Role.ENGINEER)

    assert operator.get("/units", params={"q": SERIAL}).status_code == 303
    seen = operator.get(f"/units/{UNIT}")
    assert seen.status_code == 200
    assert "Pass" in words(seen)
    assert "/runs/" not in seen.text
    assert "report" not in seen.text
    assert "/runs/" not in operator.get("/units").text
    for path in ("/runs/run-0", f"/runs/run-0/unit?key={UNIT}", f"/units/{UNIT}/report", "/compare", "/statistics"):
        assert (operator.get(path).status_code, engineer.get(path).status_code) == (403, 200), path


def test_strangers_see_nothing_of_the_records(guarded):
    stranger = guarded.browser()
    for method, path in ROLES:
        if method == "GET" and ROLES[method, path] is not Role.NOBODY and path != "/events":
            for name, value in (("{unit}", UNIT), ("{run_id}", "run-0"), ("{sha256}", "0" * 64)):
                path = path.replace(name, value)  # noqa: PLW2901
            answer = stranger.get(path)
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/login")


def test_without_records_pages_say_so(page):
    assert "Nothing is recorded here yet" in words(page.get("/units"))
    assert "Nothing is recorded here yet" in words(page.get("/statistics"))
    assert page.get(f"/units/{UNIT}").status_code == 404


def test_units_of_a_run_that_goes_on_are_found_and_marked(context, tmp_path, run_script, recorded):
    folder = tmp_path / "run"
    script = run_script(("1", "2"), run_id="a-shift")
    script.good_unit("1", FRESH)
    with Journal(folder / "journal.jsonl") as journal:
        for event in script.build():
            journal.append(event, durable=False)
    RecordKeeper(StationKey(tmp_path / "site")).begin(folder)
    for records in (folder / "records.sqlite", recorded / "records.sqlite"):
        with (
            closing(UnrecordedRun(folder)) as run,
            Browser(replace(context, records=records, unrecorded=run)) as browser,
        ):
            told = words(browser.get("/units"))
            assert (FRESH in told, "not in the records yet" in told) == (True, True)
            assert browser.get("/units", params={"q": FRESH[-8:]}).headers["location"] == f"/units/{FRESH}"
            for path in (f"/units/{FRESH}", f"/runs/a-shift/unit?key={FRESH}", "/runs/a-shift"):
                answer = browser.get(path)
                assert answer.status_code == 200, path
                assert "Not in the records yet" in words(answer), path
            told = words(browser.get("/statistics?of=run"))
            assert "This run alone, not in the records yet" in told
            assert "1 of 1 units" in told
            both = words(browser.get("/statistics"))
            assert "not in the records yet: 1 of 1 units passed" in both or records.parent == folder
            assert "This run alone" in both or records.parent != folder


def test_looking_makes_no_records_and_no_key(records_of, tmp_path):
    with records_of(lambda path: None) as browser:
        for path in PAGES:
            assert browser.get(path).status_code in (200, 404)
    assert [path.name for path in tmp_path.rglob("*") if path.suffix in (".sqlite", ".key")] == []


def test_an_empty_database_is_no_error(records_of):
    with records_of(lambda path: RecordDatabase(path).close()) as browser:
        assert "No unit is like this" in words(browser.get("/units"))
        assert "Nothing is recorded" in words(browser.get("/statistics"))


def test_a_file_that_is_no_database_is_said_with_what_to_do(records_of):
    with records_of(lambda path: path.write_bytes(b"no database" * 100)) as browser:
        for path in PAGES:
            answer = browser.get(path)
            assert answer.status_code == 503 or path == "/compare", path
            assert "not a database" in words(answer) or path == "/compare"


def test_a_server_that_is_away_is_said_with_what_to_do(records_of):
    with records_of("postgresql://nobody@127.0.0.1:9/nothing") as browser:
        answer = browser.get("/units")
        assert answer.status_code == 503
        assert "records sync" in words(answer)


def test_altered_rows_are_told(records_of, recorded):
    def altered(path):
        path.write_bytes((recorded / "records.sqlite").read_bytes())
        database = RecordDatabase(path)
        with database.transaction() as connection:
            connection.exec_driver_sql("update steps set duration_s=1")
        database.close()

    with records_of(altered, site=recorded) as browser:
        assert "Rows of this run are not what its station signed" in words(browser.get(f"/units/{UNIT}"))
