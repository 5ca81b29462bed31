"""The latest units, by facts: those of the newest runs first, as many as are asked for, however rare they are."""

import sqlite3

import pytest
from sqlalchemy import Engine, event

from particle_dev.station.fold import fold
from particle_dev.station.record_search import list_runs, search
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

RUNS = 30


@pytest.fixture(scope="module")
def database(tmp_path_factory, run_script):
    """Runs of two units; one in seven units failed, one run in ten is of another operator."""
    folder = tmp_path_factory.mktemp("search")
    database, key = RecordDatabase(folder / "records.sqlite"), StationKey(folder / "site")
    for number in range(RUNS):
        script = run_script(("1", "2"), run_id=f"run-{(number * 7) % RUNS:02}")
        for slot in (1, 2):
            good, unit = (2 * number + slot) % 7 != 0, f"e00fce68{number:08}{slot:08}"
            script.unit(str(slot), unit, "boron" if slot == 1 else "bsom")
            script.step(str(slot), unit, "identify", error=None if good else script.error())
            script.finish(str(slot), unit, "pass" if good else "fail")
        database.write_run(fold(script.build()), key)
    yield database
    database.close()


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 59, 60, 500])
@pytest.mark.parametrize(
    "asked", [{}, {"verdict": "fail"}, {"platform": "bsom"}, {"verdict": "fail", "platform": "boron"}]
)
def test_the_latest_are_the_first_of_all(database, asked, limit):
    every = search(database, "e00fce68", limit=1000)
    assert len(every) == 2 * RUNS
    wanted = [unit for unit in every if all(getattr(unit, name) == value for name, value in asked.items())]

    assert search(database, limit=limit, **asked) == wanted[:limit]


def test_facts_of_runs_count_too(database):
    assert search(database, operator="nobody") == []
    assert search(database, since="2030") == []
    assert len(search(database, operator="mara", since="2026", until="2027", limit=1000)) == 2 * RUNS


def test_nothing_is_found_in_empty_records(tmp_path):
    empty = RecordDatabase(tmp_path / "empty.sqlite")
    assert search(empty, limit=10) == []
    empty.close()


def test_more_runs_are_listed_than_a_database_takes_values_in_one_question(database):
    def limit(connection, _record):
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 10)

    event.listen(Engine, "connect", limit)
    try:
        limited = RecordDatabase(database.place)
        found = list_runs(limited, limit=1000)
        limited.close()
    finally:
        event.remove(Engine, "connect", limit)
    assert [run.units for run in found] == [2] * RUNS
    assert found == list_runs(database, limit=1000)
