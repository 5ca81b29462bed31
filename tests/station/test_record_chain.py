"""Whatever is changed in a record database behind the station's back is found."""

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_dev.errors import JournalError
from particle_dev.station import record_tables as tables
from particle_dev.station.events import timestamp
from particle_dev.station.fold import fold
from particle_dev.station.record_outcomes import rebuild_outcomes
from particle_dev.station.record_rows import Attachment
from particle_dev.station.record_tables import digest
from particle_dev.station.records import RecordDatabase, keep_entry
from particle_dev.station.station_key import Anchor, StationKey, read_public_key, trusted_stations

UNITS = ("e00fce68d3a1b2c4f5061728", "e00fce6871b6a9d03c52e814", "3c001f000947343432313031")
AT = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
MEASURED = {"serial_number": "P046ABCDEF12345", "measurements": [{"name": "rssi", "value": -71, "lower": -100}]}


def record_of(run_script, run_id, *units, good=True):
    script = run_script(tuple(str(n) for n, _ in enumerate(units, 1)), run_id=run_id)
    for slot, unit in enumerate(units, 1):
        script.unit(str(slot), unit)
        script.step(str(slot), unit, "identify", evidence=MEASURED)
        script.step(str(slot), unit, "flash", error=None if good else script.error(where="1-2"))
        script.finish(str(slot), unit, "pass" if good else "fail", modules=[script.module()])
    script.run_finished()
    return fold(script.build())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, run_script):
    """Two stations, four runs, one of them recorded twice, attachments; as a file and the stations' keys."""
    folder = tmp_path_factory.mktemp("recorded")
    keys = [StationKey(folder / name, name) for name in ("one", "two")]
    database = RecordDatabase(folder / "records.sqlite")
    log = Attachment("", "station.log", "text/plain", b"all is well\n" * 50)
    of_unit = Attachment(UNITS[0], "uart.txt", "text/plain", b"booting")
    database.write_run(record_of(run_script, "run-1", *UNITS[:2]), keys[0], [log, of_unit], last_seq=9, at=AT)
    database.write_run(record_of(run_script, "run-2", UNITS[2], good=False), keys[0], [log], at=AT)
    database.write_run(record_of(run_script, "run-3", UNITS[2]), keys[1], [log], at=AT)
    database.write_run(record_of(run_script, "run-2", UNITS[2]), keys[0], [log], at=AT + timedelta(minutes=1))
    database.write_run(record_of(run_script, "run-4", UNITS[0]), keys[0], [log], at=AT + timedelta(minutes=2))
    database.close()
    with sqlite3.connect(folder / "records.sqlite") as connection:
        connection.execute("pragma journal_mode=delete")
    connection.close()
    return folder / "records.sqlite", keys


def verify(path, keys, **options):
    database = RecordDatabase(path)
    try:
        return database.verify(keys[0], {key.station_id: key.public_key for key in keys}, **options)
    finally:
        database.close()


def codes(found):
    return {problem.code for problem in found.problems}


def test_untouched_records_are_intact(recorded):
    found = verify(*recorded)

    assert (found.verdict, found.problems, found.unsigned, found.unknown) == ("intact", [], [], [])
    assert (found.stations, found.entries, found.runs) == (2, 7, 4)


def rows_and_columns(path):
    connection = sqlite3.connect(path)
    for table in tables.ALL_TABLES:
        for (rowid,) in connection.execute(f"select rowid from {table.name}").fetchall():
            for column in table.columns:
                yield table.name, rowid, column.name
    connection.close()


def other_value(value, salt):
    """A value of the same kind that means something else."""
    if value is None:
        return "1"
    if isinstance(value, bytes):
        place = salt % len(value)
        return value[:place] + bytes([value[place] ^ (1 << salt % 8)]) + value[place + 1 :]
    if isinstance(value, int | float):
        return value + 1 + salt % 7
    if not value:
        return "x"
    with_json = value[:1] in '{["' or value in ("null", "true", "false")
    if with_json:
        meant = json.loads(value)
        return json.dumps([meant, salt] if not isinstance(meant, dict) else {**meant, f"x{salt}": 1})
    place = salt % len(value)
    return value[:place] + ("b" if value[place] == "a" else "a") + value[place + 1 :]


def apply(path, *statements):
    connection = sqlite3.connect(path)
    connection.execute("pragma foreign_keys=off")
    for statement, values in statements:
        connection.execute(statement, values)
    connection.commit()
    connection.close()


@pytest.fixture(scope="module")
def fields(recorded):
    return sorted(rows_and_columns(recorded[0]))


@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_value_that_is_changed_is_found(recorded, fields, tmp_path_factory, data):
    source, keys = recorded
    table, rowid, column = data.draw(st.sampled_from(fields))
    salt = data.draw(st.integers(0, 10_000))
    path = tmp_path_factory.mktemp("altered") / "records.sqlite"
    shutil.copy(source, path)
    connection = sqlite3.connect(path)
    (old,) = connection.execute(f'select "{column}" from {table} where rowid=?', (rowid,)).fetchone()
    connection.close()
    new = other_value(old, salt)
    try:
        apply(path, (f'update {table} set "{column}"=? where rowid=?', (new, rowid)))
    except sqlite3.IntegrityError:
        return  # the database itself refuses a second row of this key

    assert verify(path, keys).verdict == "altered", f"{table}.{column}: {old!r} became {new!r}"


def test_every_row_that_is_deleted_is_found(recorded, tmp_path):
    source, keys = recorded
    for number, (table, rowid) in enumerate(sorted({(t, r) for t, r, _ in rows_and_columns(source)})):
        path = tmp_path / f"{number}.sqlite"
        shutil.copy(source, path)
        apply(path, (f"delete from {table} where rowid=?", (rowid,)))
        assert verify(path, keys).verdict == "altered", f"row {rowid} of {table}"


def test_rows_that_change_places_or_are_added_are_found(recorded, tmp_path):
    source, keys = recorded
    order = "update steps set position = 99 - position where unit=?"
    for number, statements in enumerate(
        (
            [("update entries set number=99 where number=2 and station_id=?", (keys[0].station_id,))],
            [("pragma defer_foreign_keys=on", ()), (order, (UNITS[2],))],
            [
                (
                    'insert into modules select run_id, unit, 50, function, "index", version, sha256, size_bytes, '
                    "address, file_name, read_back_sha256 from modules limit 1",
                    (),
                )
            ],
            [
                (
                    "insert into steps select 'ghost', unit, position, attempt, name, status, started_at, duration_s, "
                    "evidence, error from steps limit 1",
                    (),
                )
            ],
            [
                (
                    "insert into runs (run_id, started_at, verdict, bench, software, recorded) "
                    "values ('ghost', '2026-01-01T00:00:00.000Z', 'pass', 'b', '{}', 5)",
                    (),
                )
            ],
        )
    ):
        path = tmp_path / f"{number}.sqlite"
        shutil.copy(source, path)
        apply(path, *statements)
        assert verify(path, keys).verdict == "altered", statements


def test_an_end_that_was_cut_off_is_found_by_the_anchor_and_by_journals(recorded, tmp_path):
    source, keys = recorded
    path = tmp_path / "records.sqlite"
    shutil.copy(source, path)
    cut = [("delete from entries where station_id=? and number=5", (keys[0].station_id,))]
    apply(path, *cut, *[(f"delete from {table.name} where run_id='run-4'", ()) for table in tables.RUN_TABLES])
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        rebuild_outcomes(connection)
    engine.dispose()

    assert codes(verify(path, keys)) == {"truncated"}
    elsewhere = StationKey(tmp_path / "elsewhere")
    database = RecordDatabase(path)
    trusted = {key.station_id: key.public_key for key in keys}
    assert database.verify(elsewhere, trusted).verdict == "intact", "nobody there holds the anchor"
    assert codes(database.verify(elsewhere, trusted, {"run-4": "0" * 64})) == {"missing_run"}
    database.close()


def test_the_station_writes_on_after_a_loss_and_says_so(recorded, tmp_path, run_script):
    source, (one, two) = recorded
    path, key_folder = tmp_path / "records.sqlite", tmp_path / "one"
    shutil.copy(source, path)
    shutil.copytree(one.folder, key_folder)
    key = StationKey(key_folder)
    apply(path, ("delete from entries where station_id=? and number=5", (key.station_id,)))
    apply(path, *[(f"delete from {table.name} where run_id='run-4'", ()) for table in tables.RUN_TABLES])
    database = RecordDatabase(path)
    assert database.write_run(record_of(run_script, "run-4", UNITS[0]), key)
    found = database.verify(key, {two.station_id: two.public_key})
    database.close()

    assert codes(found) == {"gap"}
    assert key.anchor(RecordDatabase(path).database_id) == Anchor(6, found_sha(path, key, 6))


def found_sha(path, key, number):
    connection = sqlite3.connect(path)
    (sha256,) = connection.execute(
        "select sha256 from entries where station_id=? and number=?", (key.station_id, number)
    ).fetchone()
    connection.close()
    return sha256


def test_a_chain_made_anew_with_another_key_is_found(recorded, tmp_path, run_script):
    """Whoever can write everywhere, and not read the key, signs with a key of his own."""
    source, keys = recorded
    thief = StationKey(tmp_path / "thief", "one")
    database = RecordDatabase(tmp_path / "forged.sqlite")
    database.write_run(record_of(run_script, "run-1", *UNITS[:2]), thief)
    found = database.verify(keys[0], {})
    database.close()
    assert (found.verdict, found.unknown) == ("unproven", [thief.station_id])
    path = tmp_path / "records.sqlite"
    shutil.copy(source, path)
    apply(path, ("update stations set public_key=? where station_id=?", (thief.public_key, keys[0].station_id)))
    assert "wrong_key" in codes(verify(path, keys))


def test_a_clock_that_was_set_back_is_a_remark_and_the_order_stays(tmp_path, run_script):
    key = StationKey(tmp_path / "site")
    database = RecordDatabase(tmp_path / "records.sqlite")
    database.write_run(record_of(run_script, "first", UNITS[0]), key, at=AT)
    database.write_run(record_of(run_script, "second", UNITS[0]), key, at=AT - timedelta(days=400))
    found = database.verify(key, {})

    assert found.verdict == "intact"
    assert len(found.remarks) == 1 and "set back" in found.remarks[0]
    assert [database.run_rows(r)["runs"][0]["recorded"] for r in ("first", "second")] == [1, 2]
    database.close()


def test_the_same_run_again_adds_nothing(tmp_path, run_script):
    key = StationKey(tmp_path / "site")
    database = RecordDatabase(tmp_path / "records.sqlite")
    record = record_of(run_script, "run", UNITS[0])
    assert database.write_run(record, key, last_seq=8)
    assert not database.write_run(record, key, last_seq=8)
    assert database.verify(key, {}).entries == 2
    with pytest.raises(JournalError, match="up to event 8"):
        database.write_run(record, key, last_seq=7)
    assert database.run("run") == record
    database.close()


def test_the_key_is_private_and_the_first_of_two_stations_wins(tmp_path):
    code = "import sys; from pathlib import Path; from particle_dev.station.station_key import StationKey;"
    code += "print(StationKey(Path(sys.argv[1])).station_id)"
    command = [sys.executable, "-c", code, str(tmp_path / "site")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ids = {process.communicate()[0] for process in both}

    assert len(ids) == 1
    assert stat.S_IMODE((tmp_path / "site" / "station.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["station.key"]
    key = StationKey(tmp_path / "site")
    (tmp_path / "public.pem").write_text(key.public_pem())
    assert read_public_key(tmp_path / "public.pem") == key.public_key
    assert trusted_stations(paths=(tmp_path / "public.pem",)) == {key.station_id: key.public_key}


def test_what_is_no_key_is_an_error(tmp_path):
    (tmp_path / "station.key").write_text("no key")
    with pytest.raises(JournalError, match="no private key"):
        StationKey(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot use"):
        StationKey(tmp_path / "file")
    with pytest.raises(JournalError, match="no public key"):
        read_public_key(tmp_path / "station.key")


def verify_one(path, keys, run_id, trusted=None):
    database = RecordDatabase(path)
    own = {key.station_id: key.public_key for key in keys} if trusted is None else trusted
    try:
        return database.verify_run(run_id, None, own)
    finally:
        database.close()


def test_one_run_is_verified_alone(recorded):
    path, keys = recorded
    for run_id in ("run-1", "run-4"):
        found = verify_one(path, keys, run_id)
        assert (found.verdict, found.runs, found.entries, found.problems) == ("intact", 1, 1, [])
    assert verify_one(path, keys, "run-1", trusted={}).verdict == "unproven"
    assert codes(verify_one(path, keys, "run-77")) == {"missing_run"}


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("update steps set duration_s=9.5 where run_id='run-4'", "altered_row"),
        ("delete from modules where run_id='run-4'", "altered_row"),
        ("update unit_outcomes set verdict='refused' where run_id='run-4'", "altered_row"),
        ("update entries set at='2020-01-01T00:00:00.000Z' where run_id='run-4'", "altered_entry"),
        ("update entries set previous_sha256=sha256 where run_id='run-4'", "broken_chain"),
        ("update entries set signature='00' where run_id='run-4'", "bad_signature"),
        ("delete from stations", "no_station"),
        ("update stations set public_key='00'", "wrong_key"),
        ("delete from entries where run_id='run-4'", "added_row"),
    ],
)
def test_what_was_changed_of_one_run_is_found(recorded, tmp_path, statement, code):
    source, keys = recorded
    path = tmp_path / "records.sqlite"
    shutil.copy(source, path)
    apply(path, (statement, ()))

    assert code in codes(verify_one(path, keys, "run-4"))
    assert verify_one(path, keys, "run-4").verdict == "altered"


def test_who_waited_for_the_chain_is_no_clock_that_was_set_back(tmp_path, run_script):
    """Two runs of one station that end at the same moment."""
    key = StationKey(tmp_path / "site")
    first, second = (RecordDatabase(tmp_path / "records.sqlite") for _ in "12")
    asked = threading.Event()
    record = record_of(run_script, "run-1", UNITS[0])
    waiting = threading.Thread(target=lambda: (asked.set(), second.write_run(record, key)))
    with first.as_station(key) as connection:
        waiting.start()
        asked.wait()
        waiting.join(0.2)
        keep_entry(connection, key, timestamp(datetime.now(UTC)), "prune", digest({"runs": {}}), detail={"runs": {}})
    waiting.join()
    found = first.verify(key, {})
    assert (found.verdict, found.remarks, found.entries) == ("intact", [], 3)
    first.close()
    second.close()
