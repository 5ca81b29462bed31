"""From run folders into the records: nothing lost, nothing twice, whatever fails in between."""

import json
import sqlite3
import subprocess
import sys

import pytest

from particle_dev.errors import JournalError, RecordsAwayError
from particle_dev.station.journal import JOURNAL_NAME, LOCK_NAME, Journal
from particle_dev.station.record_keeping import (
    PENDING_NAME,
    RecordKeeper,
    journal_hashes,
    pending_folders,
    read_run_folder,
    record_folder,
    run_folders,
    sync,
)
from particle_dev.station.record_rows import Attachment
from particle_dev.station.records import DATABASE_NAME, RecordDatabase
from particle_dev.station.station_key import StationKey

UNIT = "e00fce68d3a1b2c4f5061728"


@pytest.fixture
def key(tmp_path):
    return StationKey(tmp_path / "site")


@pytest.fixture
def database(tmp_path):
    database = RecordDatabase(tmp_path / "all.sqlite")
    yield database
    database.close()


@pytest.fixture
def make_folder(tmp_path, run_script):
    def make(run_id, *, events=None, finished=True):
        script = run_script(("1",), run_id=run_id)
        script.good_unit("1", UNIT)
        if finished:
            script.run_finished()
        with Journal(tmp_path / "runs" / run_id / JOURNAL_NAME) as journal:
            for event in script.build()[len(journal.events) : events]:
                journal.append(event, durable=False)
        return tmp_path / "runs" / run_id

    return make


def test_journals_are_held_against_records_without_reading_what_is_attached(make_folder, monkeypatch):
    folders = [make_folder(name) for name in "ab"]
    whole = {read_run_folder(f).record.run_id: read_run_folder(f).journal_sha256 for f in folders}

    def never(*_):
        raise AssertionError("a shift's logs are many")

    monkeypatch.setattr("particle_dev.station.record_keeping._attached", never)
    assert journal_hashes([folders[0].parent]) == (whole, set())


def test_a_run_is_recorded_once_with_its_journal(database, key, make_folder):
    folder = make_folder("a")
    RecordKeeper(key).begin(folder)
    (folder / "attachments" / UNIT).mkdir(parents=True)
    (folder / "attachments" / "notes.txt").write_text("of the run")
    (folder / "attachments" / UNIT / "uart.log").write_text("of the unit")
    assert pending_folders([folder.parent]) == [folder]

    assert record_folder(database, folder, key)
    assert not record_folder(database, folder, key)

    assert pending_folders([folder.parent]) == []
    assert database.attachment("a", "", JOURNAL_NAME).data == (folder / JOURNAL_NAME).read_bytes()
    assert database.attachment("a", "", "notes.txt").media_type == "text/plain"
    assert database.attachment("a", UNIT, "uart.log").data == b"of the unit"
    assert database.verify(key, {}, *journal_hashes([folder.parent])).verdict == "intact"


def test_a_run_that_goes_on_replaces_its_beginning(database, key, make_folder):
    folder = make_folder("a", events=6)
    record_folder(database, folder, key)
    assert database.run("a").units[0].verdict == "interrupted"
    make_folder("a")
    found = database.verify(key, {}, *journal_hashes([folder]))
    assert {problem.code for problem in found.problems} == {"other_journal"}

    assert record_folder(database, folder, key)

    assert database.run("a").units[0].verdict == "pass"
    assert len(database.units()) == 1
    assert database.verify(key, {}, *journal_hashes([folder])).entries == 3


def test_a_run_that_goes_on_or_waits_is_no_alteration(database, key, make_folder):
    """A look at the records during a shift, or while they are away, is no alarm; nor is it a proof."""
    folder = make_folder("a")
    RecordKeeper(key).begin(folder)
    found = database.verify(key, {}, *journal_hashes([folder]))
    assert (found.verdict, found.problems, len(found.waiting)) == ("unproven", [], 1)
    record_folder(database, folder, key)
    RecordKeeper(key).begin(folder)
    assert database.verify(key, {}, *journal_hashes([folder])).verdict == "intact", "taken up again, nothing is new yet"
    (folder / PENDING_NAME).unlink()
    assert database.verify(key, {}, *journal_hashes([folder])).waiting == []
    other = make_folder("b")
    found = database.verify(key, {}, *journal_hashes([folder, other]))
    assert [problem.code for problem in found.problems] == ["missing_run"], "nothing says that it is still to come"


def test_a_run_that_never_began_is_none(database, key, make_folder):
    """The store lacked something of its recipe, say; or it was killed in its first event."""
    folder = make_folder("a")
    for name, content in (("refused", b""), ("killed", b'{"at":"2026-')):
        (folder.parent / name).mkdir()
        (folder.parent / name / JOURNAL_NAME).write_bytes(content)
    assert run_folders([folder.parent]) == [folder]
    assert [done.outcome for done in sync(database, run_folders([folder.parent]), key)] == ["recorded"]
    assert database.verify(key, {}, *journal_hashes([folder.parent])).verdict == "intact"


def test_an_older_copy_of_a_journal_does_not_replace_a_newer_one(database, key, make_folder, tmp_path):
    folder = make_folder("a")
    copy = tmp_path / "copy"
    copy.mkdir()
    lines = (folder / JOURNAL_NAME).read_bytes().splitlines(keepends=True)
    (copy / JOURNAL_NAME).write_bytes(b"".join(lines[:6]))
    record_folder(database, folder, key)

    with pytest.raises(JournalError, match="this journal ends at 6"):
        record_folder(database, copy, key)

    assert database.run("a").units[0].verdict == "pass"


def test_sync_leaves_running_and_damaged_folders_and_goes_on(database, key, make_folder):
    running, damaged, good = (make_folder(name) for name in "abc")
    (damaged / JOURNAL_NAME).write_bytes(b"{\n" + (damaged / JOURNAL_NAME).read_bytes())
    with Journal(running / JOURNAL_NAME):
        outcomes = {item.folder: item.outcome for item in sync(database, run_folders([good.parent]), key)}

    assert outcomes == {running: "running", damaged: "failed", good: "recorded"}
    assert [item.run_id for item in database.units()] == ["c"]


@pytest.mark.parametrize("after", range(1, 30, 3))
def test_a_station_killed_while_it_records_has_recorded_all_or_nothing(key, make_folder, after, tmp_path):
    folder = make_folder("a")
    keeper = RecordKeeper(key)
    keeper.begin(folder)
    code = """
import os, sys
from pathlib import Path
from sqlalchemy import event
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey
folder, site, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
made = RecordDatabase.__init__
def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
def init(self, place):
    made(self, place)
    event.listen(self._engine, "before_cursor_execute", count)
    event.listen(self._engine, "commit", count)
RecordDatabase.__init__ = init
RecordKeeper(StationKey(site)).keep(folder)
"""
    done = subprocess.run([sys.executable, "-c", code, folder, key.folder, str(after)], check=False)
    assert done.returncode in (0, -9)
    waits = pending_folders([folder]) == [folder]
    assert waits or done.returncode == 0
    keeper.keep(folder)

    database = RecordDatabase(folder / DATABASE_NAME)
    found = database.verify(key, {})
    assert (found.verdict, found.runs, found.entries) == ("intact", 1, 2)
    database.close()
    assert pending_folders([folder]) == []


def test_a_full_disk_is_an_error_and_the_folder_goes_on_waiting(key, make_folder):
    folder = make_folder("a")
    RecordKeeper(key).begin(folder)
    code = """
import resource, sys
from pathlib import Path
from particle_dev.errors import JournalError, RecordsAwayError
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.station_key import StationKey
resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, resource.RLIM_INFINITY))
try:
    RecordKeeper(StationKey(Path(sys.argv[2]))).keep(Path(sys.argv[1]))
except JournalError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, folder, key.folder], capture_output=True, text=True, check=True)
    assert "make room" in done.stdout
    assert json.loads((folder / PENDING_NAME).read_text())
    assert RecordKeeper(key).keep(folder) is None
    database = RecordDatabase(folder / DATABASE_NAME)
    assert database.verify(key, {}).verdict == "intact"
    database.close()


def test_links_and_names_with_folders_are_no_attachments(key, make_folder, database):
    folder = make_folder("a")
    (folder / "attachments").mkdir()
    (folder / "attachments" / "passwd").symlink_to("/etc/passwd")
    (folder / "attachments" / UNIT).symlink_to("/etc")
    run = read_run_folder(folder)
    assert [file.name for file in run.attachments] == [JOURNAL_NAME]
    for name in ("", "..", "../x", "a/b", "a\\b", "nul\0"):
        with pytest.raises(JournalError, match="no name for an attachment"):
            Attachment("", name, "text/plain", b"")


def test_units_lie_in_one_file_for_all_runs(key, make_folder, tmp_path):
    keeper = RecordKeeper(key, tmp_path / "station.sqlite")
    for name in "abc":
        folder = make_folder(name)
        keeper.begin(folder)
        assert keeper.keep(folder) is None
        assert not (folder / DATABASE_NAME).exists()
    with sqlite3.connect(tmp_path / "station.sqlite") as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (3,)
    connection.close()


def test_a_mark_that_cannot_be_removed_is_a_journal_error(database, key, make_folder):
    """A folder in its place; root's rights do not help there."""
    folder = make_folder("a")
    (folder / PENDING_NAME).mkdir()
    with pytest.raises(JournalError, match="the run is recorded, but cannot remove"):
        record_folder(database, folder, key)
    assert database.run("a").verdict == "pass"


def test_a_folder_that_cannot_be_locked_does_not_stop_the_others(database, key, make_folder):
    bad, good = make_folder("a"), make_folder("b")
    (bad / LOCK_NAME).unlink(missing_ok=True)
    (bad / LOCK_NAME).mkdir()
    first, second = sync(database, [bad, good], key)
    assert (first.outcome, second.outcome) == ("failed", "recorded")
    assert "cannot lock" in str(first.error)


def test_a_place_that_takes_no_records_is_found_before_the_work(key, tmp_path):
    (tmp_path / "none.sqlite").write_bytes(b"no database" * 100)
    for place in (tmp_path / "nowhere" / "r.sqlite", tmp_path / "none.sqlite"):
        with pytest.raises(JournalError) as refused:
            RecordKeeper(key, place).check_place()
        assert str(place) in refused.value.message
        assert "no board was touched" in refused.value.hint
    RecordKeeper(key, tmp_path / "good.sqlite").check_place()
    RecordKeeper(key).check_place()


def test_a_server_that_is_away_holds_no_run_up(key, monkeypatch):
    def away(_place):
        raise RecordsAwayError("no answer", path="line", hint="wait")

    monkeypatch.setattr("particle_dev.station.record_keeping.RecordDatabase", away)
    RecordKeeper(key, "postgresql://somebody@host/line").check_place()
