"""The record database."""

import sqlite3

import pytest
import sqlalchemy as sa

from particle_dev.errors import JournalError
from particle_dev.station.events import EventType
from particle_dev.station.fold import fold
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

UNIT = "e00fce68d3a1b2c4f5061728"
OTHER = "3c001f000947343432313031"


@pytest.fixture
def record(run_script):
    script = run_script(("1", "2", "3"))
    script.unit("1", UNIT)
    script.step("1", UNIT, "identify", evidence={"a": [1, None, {"b": True}]})
    script.begin("1", UNIT, "flash")
    script.emit(EventType.SLOT_EMPTY, "3", data={"reason": "no board"})
    script.resume()
    script.good_unit("1", UNIT)
    script.unit("2", None)
    script.step("2", None, "identify", error=script.error(where="1-2"))
    script.finish("2", None, "fail")
    script.run_finished()
    return fold(script.build())


@pytest.fixture
def key(tmp_path):
    return StationKey(tmp_path / "site", "station one")


@pytest.fixture
def database(tmp_path):
    database = RecordDatabase(tmp_path / "records.sqlite", busy_timeout_s=0.1)
    yield database
    database.close()


def test_units_come_back_equal(database, key, record):
    database.write_run(record, key)

    stored = database.units()

    assert tuple(item.unit for item in stored) == record.units
    assert {(item.run_id, item.recipe_name) for item in stored} == {(record.run_id, "ship")}


def test_writing_a_run_again_replaces_it(database, key, record, run_script):
    database.write_run(record, key)
    database.write_run(record, key)
    assert tuple(item.unit for item in database.units()) == record.units

    script = run_script(("1",))
    script.good_unit("1", UNIT)
    shorter = fold(script.build())
    assert shorter.run_id == record.run_id
    database.write_run(shorter, key)

    assert tuple(item.unit for item in database.units()) == shorter.units
    with sqlite3.connect(database.place) as connection:
        counts = {
            name: connection.execute(f"select count(*) from {name}").fetchone()[0]
            for name in ("runs", "units", "steps", "modules", "billing_evidence")
        }
    connection.close()
    assert counts == {"runs": 1, "units": 1, "steps": 7, "modules": 1, "billing_evidence": 1}


def test_runs_stand_oldest_first(database, key, record, run_script):
    later = run_script(("1",), run_id="20260601-000000-0000")
    later.good_unit("1", OTHER)
    later.good_unit("1", UNIT)
    database.write_run(fold(later.build()), key)
    database.write_run(record, key)

    stored = database.units()

    assert list(dict.fromkeys(item.run_id for item in stored)) == sorted([record.run_id, "20260601-000000-0000"])


def test_survives_power_loss_settings(database):
    with database._engine.connect() as connection:
        assert connection.execute(sa.text("pragma journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("pragma synchronous")).scalar() == 2  # FULL
        assert connection.execute(sa.text("pragma foreign_keys")).scalar() == 1


def test_locked_database_is_an_error_and_nothing_is_written(database, key, record):
    other = sqlite3.connect(database.place)
    other.execute("begin immediate")
    try:
        with pytest.raises(JournalError) as caught:
            database.write_run(record, key)
    finally:
        other.close()
    assert caught.value.path == str(database.place)
    assert "locked" in caught.value.message
    assert caught.value.hint
    assert database.units() == []
    database.write_run(record, key)


def test_full_database_keeps_what_it_had(database, key, record, run_script):
    database.write_run(record, key)
    before = database.units()
    huge = run_script(("1",), run_id="huge")
    huge.unit("1", OTHER)
    huge.step("1", OTHER, "identify", evidence={"text": "x" * 200_000})
    huge.finish("1", OTHER)
    sa.event.listen(database._engine, "connect", lambda c, _: c.execute("pragma max_page_count=30").close())
    database._engine.dispose()

    with pytest.raises(JournalError, match="full"):
        database.write_run(fold(huge.build()), key)

    assert database.units() == before


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    (tmp_path / "records.sqlite").write_bytes(b"not a database " * 100)
    with pytest.raises(JournalError, match="not a database"):
        RecordDatabase(tmp_path / "records.sqlite")
    with pytest.raises(JournalError, match="unable to open"):
        RecordDatabase(tmp_path / "nowhere" / "records.sqlite")
