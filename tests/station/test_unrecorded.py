"""Finished units of a run that goes on, before they are in the records."""

import pytest

from particle_dev.errors import JournalError
from particle_dev.station.journal import JOURNAL_NAME, Journal
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.record_look import read_go
from particle_dev.station.record_search import search
from particle_dev.station.record_statistics import Scope, yields
from particle_dev.station.station_key import StationKey
from particle_dev.station.unrecorded import UnrecordedRun

UNIT, NEXT = "e00fce68d3a1b2c4f5061728", "e00fce6871b6a9d03c52e814"


@pytest.fixture
def keeper(tmp_path):
    return RecordKeeper(StationKey(tmp_path / "site"))


@pytest.fixture
def script(run_script):
    script = run_script(("1",), run_id="a-shift")
    script.good_unit("1", UNIT)
    return script


@pytest.fixture
def folder(tmp_path, keeper):
    (tmp_path / "run").mkdir()
    keeper.begin(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def run(folder):
    run = UnrecordedRun(folder)
    yield run
    run.close()


def write(folder, script):
    with Journal(folder / JOURNAL_NAME) as journal:
        for event in script.build()[len(journal.events) :]:
            journal.append(event, durable=False)


def shown(run):
    database = run.database()
    return [(u.unit, u.verdict) for u in search(database)] if database else []


def test_units_are_there_as_they_finish_the_latest_first(folder, script, run):
    assert run.database() is None, "nothing was journaled"
    write(folder, script)
    assert shown(run) == [(UNIT, "pass")]

    script.unit("1", NEXT)
    script.step("1", NEXT, "check", error=script.error("it is another board"))
    write(folder, script)
    assert shown(run) == [(UNIT, "pass")], "a unit in work has no verdict"

    script.finish("1", NEXT, "fail")
    write(folder, script)
    assert shown(run) == [(NEXT, "fail"), (UNIT, "pass")]
    database = run.database()
    assert [u.unit for u in search(database, NEXT[-8:])] == [NEXT]
    assert read_go(database, "a-shift", NEXT).unit.error["message"] == "it is another board"
    whole = yields(database, Scope()).whole
    assert (whole.goes, whole.passed, whole.final_yield) == (2, 1, 0.5)


def test_a_unit_that_is_taken_up_again_has_its_new_verdict_alone(folder, script, run):
    write(folder, script)
    assert shown(run) == [(UNIT, "pass")]
    script.unit("1", UNIT)
    write(folder, script)
    assert shown(run) == []
    script.finish("1", UNIT, "fail")
    write(folder, script)
    assert shown(run) == [(UNIT, "fail")]


def test_a_board_that_tells_its_name_at_last_is_one_unit(folder, script, run):
    script.unit("1", None)
    script.step("1", None, "identify", error=script.error("no answer"))
    script.finish("1", None, "fail")
    write(folder, script)
    assert shown(run) == [("slot:1", "fail"), (UNIT, "pass")]
    script.unit("1", NEXT)
    script.finish("1", NEXT, "fail")
    write(folder, script)
    assert shown(run) == [(NEXT, "fail"), (UNIT, "pass")]


def test_what_is_in_the_records_is_no_longer_here(folder, script, run, keeper):
    script.run_finished()
    write(folder, script)
    assert shown(run)
    assert keeper.keep(folder) is None
    assert run.database() is None
    keeper.begin(folder)
    assert shown(run) == [(UNIT, "pass")], "a run that goes on waits again"


def test_a_line_that_is_being_written_waits_and_a_damaged_one_is_told(folder, script, run):
    write(folder, script)
    path = folder / JOURNAL_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert shown(run) == [], "the unit's end is not whole"
    path.write_bytes(whole)
    assert shown(run) == [(UNIT, "pass")]
    path.write_bytes(whole + b"no event\n")
    with pytest.raises(JournalError, match="line"):
        run.database()
