"""Records of several stations on a real PostgreSQL server, which judges our locks, retries and SQL."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from particle_dev.errors import RecordsAwayError
from particle_dev.station import records
from particle_dev.station.journal import JOURNAL_NAME, Journal
from particle_dev.station.record_backup import backup, restore
from particle_dev.station.record_keeping import RecordKeeper, journal_hashes, pending_folders, record_folder, sync
from particle_dev.station.record_migration import upgrade
from particle_dev.station.record_search import search, unit_history
from particle_dev.station.record_statistics import FailureKey, Quantity, Scope, pareto, spreads, trends, yields
from particle_dev.station.record_tables import metadata
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

STATION = """
import sys
from pathlib import Path
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.station_key import StationKey
site, url, *folders = sys.argv[1:]
keeper = RecordKeeper(StationKey(Path(site), Path(site).name), url)
for folder in folders:
    keeper.begin(Path(folder))
    print("away" if keeper.keep(Path(folder)) else "kept", folder, flush=True)
"""


@pytest.fixture
def make_runs(tmp_path, run_script):
    """Folders of finished runs: ``count`` for each station name."""

    def make(station, count, text="fine", same_units=False):
        folders = []
        for number in range(count):
            script = run_script(("1", "2"), run_id=f"{station}-{number:03}")
            for slot in ("1", "2"):
                unit = f"e00fce68{station:0>8}{0 if same_units else number:06}{slot:0>2}"[:24]
                script.unit(slot, unit)
                script.step(slot, unit, "identify", evidence={"serial_number": f"P046{number:011}", "text": text})
                script.finish(slot, unit)
            script.run_finished()
            folder = tmp_path / "runs" / station / script.run_id
            with Journal(folder / JOURNAL_NAME) as journal:
                for event in script.build():
                    journal.append(event, durable=False)
            folders.append(folder)
        return folders

    return make


def start_station(tmp_path, url, name, folders):
    command = [sys.executable, "-c", STATION, tmp_path / name, url, *folders]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def verify(tmp_path, url, *names):
    keys = [StationKey(tmp_path / name) for name in names]
    database = RecordDatabase(url)
    found = database.verify(
        keys[0], {k.station_id: k.public_key for k in keys}, *journal_hashes(tmp_path.glob("runs/*"))
    )
    database.close()
    return found


def test_two_stations_write_at_once_into_a_database_that_both_make(database_url, tmp_path, make_runs):
    stations = [start_station(tmp_path, database_url, name, make_runs(name, 25)) for name in ("one", "two")]
    for station in stations:
        told = station.communicate(timeout=100)[0].split("\n")
        assert (station.returncode, [line.split()[0] for line in told if line]) == (0, ["kept"] * 25)

    found = verify(tmp_path, database_url, "one", "two")
    assert (found.verdict, found.stations, found.runs, found.entries) == ("intact", 2, 50, 52)


def test_one_key_on_two_places_makes_one_chain(database_url, tmp_path, make_runs):
    folders = make_runs("one", 20)
    StationKey(tmp_path / "one")
    halves = [start_station(tmp_path, database_url, "one", part) for part in (folders[::2], folders[1::2])]
    for half in halves:
        half.communicate(timeout=100)
        assert half.returncode == 0

    found = verify(tmp_path, database_url, "one")
    assert (found.verdict, found.runs, found.entries) == ("intact", 20, 21)


def test_a_minute_without_the_server_loses_and_doubles_nothing(server, database_url, tmp_path, make_runs):
    folders = make_runs("one", 6)
    key = StationKey(tmp_path / "one")
    keeper = RecordKeeper(key, database_url)
    for folder in folders:
        keeper.begin(folder)
    assert keeper.keep(folders[0]) is None
    server.stop()
    for folder in folders[1:]:
        assert isinstance(keeper.keep(folder), RecordsAwayError)
    assert pending_folders([tmp_path / "runs" / "one"]) == folders[1:]

    server.start()
    database = RecordDatabase(database_url)
    done = list(sync(database, pending_folders([tmp_path / "runs" / "one"]), key))
    assert [item.outcome for item in done] == ["recorded"] * 5
    assert [item.outcome for item in sync(database, folders, key)] == ["unchanged"] * 6
    database.close()
    assert verify(tmp_path, database_url, "one").verdict == "intact"
    assert pending_folders([tmp_path / "runs" / "one"]) == []


def test_a_server_that_dies_while_two_stations_write(server, database_url, tmp_path, make_runs):
    """Power goes while commits are under way: whichever got through, each run is there once in the end."""
    RecordDatabase(database_url).close()
    stations = {name: start_station(tmp_path, database_url, name, make_runs(name, 30)) for name in ("one", "two")}
    for station in stations.values():
        assert select.select([station.stdout], [], [], 60)[0]
        os.read(station.stdout.fileno(), 4096)  # both have recorded something
    server.stop(signal.SIGQUIT)
    told = "".join(station.communicate(timeout=100)[0] for station in stations.values())
    assert {station.returncode for station in stations.values()} == {0}
    assert "away" in told

    server.start()
    database = RecordDatabase(database_url)
    for name in stations:
        waiting = pending_folders([tmp_path / "runs" / name])
        assert waiting
        outcomes = {item.outcome for item in sync(database, waiting, StationKey(tmp_path / name))}
        assert outcomes <= {"recorded", "unchanged"}
    database.close()
    found = verify(tmp_path, database_url, "one", "two")
    assert (found.verdict, found.problems, found.runs) == ("intact", [], 60)


def test_an_altered_row_is_found(server, database_url, tmp_path, make_runs):
    database = RecordDatabase(database_url)
    key = StationKey(tmp_path / "one")
    (folder,) = make_runs("one", 1)
    record_folder(database, folder, key)
    database.close()
    assert verify(tmp_path, database_url, "one").verdict == "intact"
    server.execute("update units set verdict='fail'")
    assert [p.code for p in verify(tmp_path, database_url, "one").problems] == ["altered_row"]


def test_whatever_boards_send_can_be_kept(database_url, tmp_path, make_runs):
    database = RecordDatabase(database_url)
    (folder,) = make_runs("one", 1, text="nul \0, half \ud800, wide \U0001f600, quote '\"")
    assert record_folder(database, folder, StationKey(tmp_path / "one"))
    assert not record_folder(database, folder, StationKey(tmp_path / "one"))
    unit = database.run("one-000").units[0]
    assert unit.steps[0].evidence["text"] == "nul \0, half \ud800, wide \U0001f600, quote '\""
    assert verify(tmp_path, database_url, "one").verdict == "intact"
    database.close()


def test_search_finds_by_index(server, database_url, tmp_path, make_runs):
    database = RecordDatabase(database_url)
    for folder in make_runs("one", 3):
        record_folder(database, folder, StationKey(tmp_path / "one"))
    assert [u.run_id for u in search(database, "P04600000000002")] == ["one-002", "one-002"]
    assert {u.run_id for u in search(database, "P0460")} == {"one-000", "one-001", "one-002"}
    assert len(unit_history(database, search(database, "P0460")[0].unit)) == 1
    database.close()
    server.execute("set enable_seqscan=off; analyze")
    plan = server.execute("set enable_seqscan=off; explain select * from unit_names where value >= 'P' and value < 'Q'")
    assert "ix_unit_names_value" in plan


def test_backups_move_records_between_both_kinds(database_url, tmp_path, make_runs):
    key = StationKey(tmp_path / "one")
    sqlite = RecordDatabase(tmp_path / "records.sqlite")
    for folder in make_runs("one", 2):
        record_folder(sqlite, folder, key)
    backup(sqlite, tmp_path / "there.zip")
    postgres = RecordDatabase(database_url)
    restore(tmp_path / "there.zip", postgres)
    assert postgres.verify(key, {}).verdict == "intact"
    backup(postgres, tmp_path / "back.zip")
    again = RecordDatabase(tmp_path / "again.sqlite")
    restore(tmp_path / "back.zip", again)
    assert again.verify(key, {}).verdict == "intact"
    assert again.units() == sqlite.units()
    for database in (sqlite, postgres, again):
        database.close()


def test_revisions_end_where_the_tables_are(database_url):
    engine = sa.create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        upgrade(connection)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_statistics_of_a_server_are_those_of_a_file(database_url, make_runs, tmp_path):
    key, elsewhere = StationKey(tmp_path / "one", "one"), StationKey(tmp_path / "two", "two")
    on_server, in_file = RecordDatabase(database_url), RecordDatabase(tmp_path / "records.sqlite")
    for number, folder in enumerate([*make_runs("one", 4), *make_runs("two", 3)]):
        record_folder(on_server, folder, key if number % 2 else elsewhere)
    backup(on_server, tmp_path / "backup.zip")
    restore(tmp_path / "backup.zip", in_file)

    assert yields(on_server, Scope()).whole.goes == 14
    for ask in (
        lambda database: yields(database, Scope()),
        lambda database: [pareto(database, Scope(platform="boron"), by) for by in FailureKey],
        lambda database: [spreads(database, Scope(), quantity) for quantity in Quantity],
        lambda database: trends(database, Scope(recipe_name="ship")),
        lambda database: database.verify(key, {elsewhere.station_id: elsewhere.public_key}).verdict,
    ):
        assert ask(on_server) == ask(in_file)
    on_server.close()
    in_file.close()


def test_two_stations_that_record_one_unit_at_once_leave_one_first_and_one_last_go(
    server, database_url, make_runs, tmp_path, monkeypatch
):
    one, other = make_runs("one", 2, same_units=True)
    written, go_on, keep_entry = threading.Event(), threading.Event(), records.keep_entry

    def slowly(*args, **fields):
        if not written.is_set():
            written.set()
            assert go_on.wait(60)
        return keep_entry(*args, **fields)

    monkeypatch.setattr(records, "keep_entry", slowly)
    left, right = (RecordDatabase(database_url) for _ in range(2))
    with ThreadPoolExecutor() as threads:
        first = threads.submit(record_folder, left, one, StationKey(tmp_path / "left"))
        assert written.wait(60)
        second = threads.submit(record_folder, right, other, StationKey(tmp_path / "right"))
        # It may not end before the first one has: neither would know of the other.
        while not second.done() and server.execute("select count(*) from pg_locks where not granted") == "0":
            time.sleep(0.01)
        assert not second.done()
        go_on.set()
        assert first.result() and second.result()

    found = verify(tmp_path, database_url, "left", "right")
    assert (found.verdict, found.runs) == ("intact", 2)
    whole = yields(left, Scope()).whole
    assert (whole.goes, whole.first, whole.last) == (4, 2, 2)
    left.close()
    right.close()
