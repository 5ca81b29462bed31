"""What statistics count: one row for each go, always as the rows of its run say."""

import json
import sqlite3
from datetime import UTC, datetime
from zipfile import ZipFile

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.permissions import Permissions
from particle_dev.station import record_tables as tables
from particle_dev.station.fold import fold
from particle_dev.station.record_backup import MANIFEST, backup, prune, restore
from particle_dev.station.record_outcomes import (
    BUCKETS_PER_OCTAVE,
    bucket_of,
    bucket_value,
    message_group,
    rebuild_outcomes,
)
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

UNIT = "e00fce68d3a1b2c4f5061728"
OTHER = "3c001f000947343432313031"


@pytest.fixture
def key(tmp_path):
    return StationKey(tmp_path / "site")


@pytest.fixture
def database(tmp_path):
    database = RecordDatabase(tmp_path / "records.sqlite")
    yield database
    database.close()


def outcomes(database):
    with database.transaction(writing=False) as connection:
        table = tables.unit_outcomes
        return [
            dict(row)
            for row in connection.execute(sa.select(table).order_by(table.c.started_at, table.c.unit)).mappings()
        ]


def marks(database):
    return [(row["run_id"], row["is_first"], row["is_last"]) for row in outcomes(database)]


def run_at(run_script, hour, *units, good=True):
    script = run_script(tuple(str(n) for n, _ in enumerate(units, 1)), run_id=f"run-{hour}")
    script.began = datetime(2026, 5, 4, hour, tzinfo=UTC)
    for slot, unit in enumerate(units, 1):
        if good:
            script.good_unit(str(slot), unit)
        else:
            script.unit(str(slot), unit)
            script.step(str(slot), unit, "flash", error=script.error(f"{unit}: no answer for 30 s at 0x30000"))
            script.finish(str(slot), unit, "fail")
    script.run_finished()
    return fold(script.build())


def test_a_passed_unit_has_its_time_in_work_and_the_speed_of_its_flash(database, key, run_script):
    script = run_script(("7",))
    script.unit("7", UNIT, "bsom")
    script.step("7", UNIT, "identify", duration_s=2.0)
    script.step("7", UNIT, "flash", duration_s=8.0, evidence={"work": {"written_bytes": 400_000}})
    script.finish("7", UNIT)
    database.write_run(fold(script.build()), key)

    (row,) = outcomes(database)

    assert (row["slot"], row["platform"], row["recipe_name"], row["verdict"]) == ("7", "bsom", "ship", "pass")
    assert (row["station_id"], row["hour"]) == (key.station_id, 8)
    assert (row["cycle_s"], row["bytes_per_s"], row["attempts"]) == (10.0, 50_000.0, 1)
    assert bucket_value(row["cycle_bucket"]) == pytest.approx(10, rel=0.008)
    assert (row["failed_step"], row["failure"], row["message"]) == (None, None, None)


def test_a_unit_that_a_stop_of_the_station_cut_short_has_no_cycle_time_and_no_speed(database, key, run_script):
    script = run_script(("1",))
    script.unit("1", UNIT)
    script.step("1", UNIT, "identify", duration_s=3.0)
    script.resume(pause_s=3600.0)
    script.good_unit("1", UNIT)
    database.write_run(fold(script.build()), key)

    (row,) = outcomes(database)

    assert (row["attempts"], row["verdict"]) == (1, "pass"), "what was cut short is no attempt"
    assert (row["cycle_s"], row["cycle_bucket"]) == (None, None), "nobody knows when it was cut short"
    assert (row["bytes_per_s"], row["speed_bucket"]) == (None, None)


def test_a_failed_unit_is_counted_by_what_is_common_to_such_failures(database, key, run_script):
    database.write_run(run_at(run_script, 8, UNIT, OTHER, good=False), key)

    rows = outcomes(database)

    assert {(r["failed_step"], r["failure"], r["message"]) for r in rows} == {
        ("flash", "LinkDisconnectedError", "DEVICE: no answer for … s at …")
    }
    assert {(r["cycle_s"], r["cycle_bucket"], r["bytes_per_s"]) for r in rows} == {(None, None, None)}


def test_first_and_last_go_are_right_in_whatever_order_runs_are_recorded(database, key, run_script):
    for hour in (10, 8, 12, 9):
        database.write_run(run_at(run_script, hour, UNIT), key)

    assert marks(database) == [("run-8", 1, 0), ("run-9", 0, 0), ("run-10", 0, 0), ("run-12", 0, 1)]


def test_boards_without_a_device_id_are_different_ones(database, key, run_script):
    database.write_run(run_at(run_script, 8, None, good=False), key)
    database.write_run(run_at(run_script, 9, None, good=False), key)

    assert marks(database) == [("run-8", 1, 1), ("run-9", 1, 1)]


def test_a_run_recorded_again_with_another_unit_leaves_the_first_one_right(database, key, run_script):
    database.write_run(run_at(run_script, 8, UNIT), key)
    database.write_run(run_at(run_script, 9, UNIT), key)
    database.write_run(run_at(run_script, 9, OTHER), key)

    assert [(row["unit"], row["is_first"], row["is_last"]) for row in outcomes(database)] == [
        (UNIT, 1, 1),
        (OTHER, 1, 1),
    ]
    assert database.verify(key, {}).verdict == "intact"


def test_pruning_leaves_what_remains_right(database, key, run_script):
    for hour in (8, 9):
        database.write_run(run_at(run_script, hour, UNIT), key)
    prune(database, datetime(2026, 5, 4, 8, 30, tzinfo=UTC), key, Permissions(may_delete_records=True))

    assert marks(database) == [("run-9", 1, 1)]
    assert database.verify(key, {}).verdict == "intact"


def test_a_backup_of_before_there_were_outcomes_is_brought_up_to_date(database, key, run_script, tmp_path):
    database.write_run(run_at(run_script, 8, UNIT), key)
    backup(database, tmp_path / "new.zip")
    with ZipFile(tmp_path / "new.zip") as new, ZipFile(tmp_path / "old.zip", "w") as old:
        for name in set(new.namelist()) - {"unit_outcomes.jsonl", MANIFEST}:
            old.writestr(name, new.read(name))
        manifest = json.loads(new.read(MANIFEST)) | {"revision": "0002"}
        del manifest["rows"]["unit_outcomes"]
        old.writestr(MANIFEST, json.dumps(manifest))
    restored = RecordDatabase(tmp_path / "restored.sqlite")
    restore(tmp_path / "old.zip", restored)
    assert outcomes(restored) == outcomes(database) != []
    assert restored.verify(key, {}).verdict == "intact"
    restored.close()


def test_a_backup_brings_them_back(database, key, run_script, tmp_path):
    database.write_run(run_at(run_script, 8, UNIT), key)
    backup(database, tmp_path / "backup.zip")
    restored = RecordDatabase(tmp_path / "restored.sqlite")
    restore(tmp_path / "backup.zip", restored)

    assert outcomes(restored) == outcomes(database)
    restored.close()


def test_a_database_of_before_is_filled_when_it_is_opened(database, key, run_script):
    for hour in (8, 9):
        database.write_run(run_at(run_script, hour, UNIT), key)
    before = outcomes(database)
    with sqlite3.connect(database.place) as connection:
        connection.execute("drop table unit_outcomes")
        connection.execute("update alembic_version set version_num='0002'")
    connection.close()

    opened = RecordDatabase(database.place)

    assert outcomes(opened) == before
    opened.close()


def test_a_database_of_before_resumed_units_were_left_out_verifies_when_it_is_opened(database, key, run_script):
    script = run_script(("1",))
    script.unit("1", UNIT)
    script.resume(pause_s=3600.0)
    script.good_unit("1", UNIT)
    database.write_run(fold(script.build()), key)
    with sqlite3.connect(database.place) as connection:
        connection.execute("update unit_outcomes set cycle_s=6.5, cycle_bucket=129")
        connection.execute("update alembic_version set version_num='0003'")
    connection.close()

    opened = RecordDatabase(database.place)

    assert not opened.verify(key, {}).problems
    assert outcomes(opened)[0]["cycle_s"] is None
    opened.close()


def test_a_damaged_run_does_not_lock_the_database_up_and_is_named(database, key, run_script):
    for hour in (8, 9):
        database.write_run(run_at(run_script, hour, UNIT), key)
    with sqlite3.connect(database.place) as connection:
        connection.execute("update units set started_at='yesterday' where run_id='run-8'")
        connection.execute("drop table unit_outcomes")
        connection.execute("update alembic_version set version_num='0002'")
    connection.close()

    opened = RecordDatabase(database.place)

    assert marks(opened) == [("run-9", 1, 1)]
    assert {problem.where for problem in opened.verify(key, {}).problems} == {"run run-8"}
    opened.close()


@pytest.mark.parametrize(
    "statement",
    ["update unit_outcomes set verdict='pass'", "delete from unit_outcomes", "update unit_outcomes set is_last=0"],
)
def test_counts_that_somebody_changed_are_found(database, key, run_script, statement):
    database.write_run(run_at(run_script, 8, UNIT, good=False), key)
    assert database.verify(key, {}).verdict == "intact"
    with sqlite3.connect(database.place) as connection:
        connection.execute(statement)
    connection.close()

    found = database.verify(key, {})

    assert [(p.code, p.where) for p in found.problems] == [("altered_row", "unit_outcomes of run run-8")]


def test_made_anew_they_are_the_same(database, key, run_script):
    for hour in (9, 8, 11):
        database.write_run(run_at(run_script, hour, UNIT, OTHER), key)
    before = outcomes(database)
    with database.transaction() as connection:
        assert rebuild_outcomes(connection) == 6

    assert outcomes(database) == before


@given(st.floats(1e-3, 1e9))
def test_a_bucket_holds_its_value_within_its_width(value):
    assert bucket_value(bucket_of(value)) == pytest.approx(value, rel=2 ** (0.51 / BUCKETS_PER_OCTAVE) - 1)


def test_what_is_not_above_zero_is_in_no_bucket():
    assert [bucket_of(value) for value in (None, 0.0, -1.0)] == [None, None, None]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("slot 3: e00fce68d3a1b2c4f5061728 is gone", "slot 12: 3c001f000947343432313031 is gone"),
        ("no answer for 30 s", "no answer for 2.5 s"),
        ("differs at 0x30000", "differs at 0xF4A00"),
        ("SHA-256 is 5c1f0a2b5c1f", "SHA-256 is 00ab5c1f0a2b"),
    ],
)
def test_messages_that_differ_in_units_and_numbers_alone_are_one_group(one, other):
    assert message_group(one) == message_group(other) != ""


def test_other_messages_are_other_groups():
    assert message_group("the device left the bus") != message_group("the device is not in DFU mode")
    assert len(message_group("word " * 100)) == 120
