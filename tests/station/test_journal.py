"""The journal: nothing that was acknowledged is lost, whatever ends the process."""

import os
import subprocess
import sys
import threading

import pytest

from particle_dev.errors import JournalError
from particle_dev.station.events import EventType
from particle_dev.station.journal import JOURNAL_NAME, Journal, read_journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / JOURNAL_NAME


@pytest.fixture
def events(run_script):
    script = run_script()
    script.good_unit("1", "e00fce68d3a1b2c4f5061728")
    return script.build()


def write(path, events):
    with Journal(path) as journal:
        return [journal.append(event, durable=True) for event in events]


def test_events_come_back_with_their_numbers(path, events):
    written = write(path, events)

    assert [event.seq for event in written] == list(range(1, len(events) + 1))
    with Journal(path) as journal:
        assert journal.events == tuple(written)
        assert journal.torn is None
        assert journal.append(events[0], durable=False).seq == len(events) + 1


def test_progress_is_not_journaled_and_has_the_number_of_the_last_event(path, events, run_script):
    script = run_script()
    script.emit(EventType.STEP_PROGRESS, "1", step="flash", data={"done_bytes": 1, "total_bytes": 2})
    progress = script.build()[-1]
    with Journal(path) as journal:
        journal.append(events[0], durable=True)
        size_bytes = path.stat().st_size
        assert journal.append(progress, durable=False).seq == 1
        assert path.stat().st_size == size_bytes
        assert journal.append(events[1], durable=False).seq == 2


def test_last_line_torn_at_every_byte_is_cut_off_and_kept(tmp_path, events):
    written = write(tmp_path / "whole.jsonl", events[:3])
    content = (tmp_path / "whole.jsonl").read_bytes()
    start = content.rindex(b"\n", 0, len(content) - 1) + 1
    for end in range(start + 1, len(content)):  # the last of these lacks only the line end
        path = tmp_path / str(end) / JOURNAL_NAME
        path.parent.mkdir()
        path.write_bytes(content[:end])
        with Journal(path) as journal:
            assert journal.events == tuple(written[:2])
            assert journal.torn == path.with_name("journal.torn-1")
            assert journal.torn.read_bytes() == content[start:end]
            assert path.read_bytes() == content[:start]
            journal.append(events[2], durable=True)
        assert path.read_bytes() == content


def test_a_journal_cut_at_a_line_end_is_whole(path, events):
    write(path, events[:3])
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\n", 0, len(content) - 1) + 1])

    with Journal(path) as journal:
        assert [event.seq for event in journal.events] == [1, 2]
        assert journal.torn is None


def test_every_torn_end_is_kept_under_its_own_name(path, events):
    write(path, events[:1])
    for number in (1, 2):
        with path.open("ab") as file:
            file.write(b"\0" * number)
        with Journal(path) as journal:
            assert journal.torn == path.with_name(f"journal.torn-{number}")
            assert journal.torn.read_bytes() == b"\0" * number


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0], b"{", *lines[2:]],
        lambda lines: [lines[0], lines[1][:-9], *lines[2:]],
        lambda lines: [lines[0], lines[1].replace(b'"seq":2', b'"seq":3'), *lines[2:]],
        lambda lines: lines[:1] + lines[2:],
        lambda lines: [lines[0], b"", *lines[1:]],
    ],
    ids=["cut", "shortened", "renumbered", "missing", "empty"],
)
def test_damage_before_the_end_names_file_and_line(path, events, damage):
    write(path, events[:4])
    path.write_bytes(b"\n".join(damage(path.read_bytes().split(b"\n"))))
    content = path.read_bytes()

    with pytest.raises(JournalError) as caught:
        Journal(path)

    assert (caught.value.path, caught.value.line) == (str(path), 2)
    assert str(path) in caught.value.message
    assert path.read_bytes() == content, "a damaged journal is evidence: not touched"
    with pytest.raises(JournalError, match="line 2"):
        Journal(path)  # and not: another station is writing


def test_full_disk_ends_the_work_of_all_slots(path, events):
    with Journal(path) as journal:
        journal.append(events[0], durable=True)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, journal._descriptor)
        os.close(full)
        with pytest.raises(JournalError) as caught:
            journal.append(events[1], durable=False)
        assert caught.value.path == str(path)
        assert "No space left on device" in caught.value.message
        assert "resume" in caught.value.hint
        progress = events[1].__class__(0, events[1].at, "r", EventType.STEP_PROGRESS, "1", None, "flash", {})
        for event in (events[1], progress):
            with pytest.raises(JournalError, match="No space left"):
                journal.append(event, durable=False)


def test_line_cut_by_a_full_disk_is_torn_when_the_run_is_resumed(path, events):
    code = """
import resource, sys
from pathlib import Path
from particle_dev.errors import JournalError
from particle_dev.station.journal import Journal, read_journal
path = Path(sys.argv[1])
event = read_journal(path)[0][0]
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, resource.RLIM_INFINITY))
try:
    Journal(path).append(event, durable=True)
except JournalError as error:
    print(error.message)
"""
    write(path, events[:1])

    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)

    assert "File too large" in done.stdout
    with Journal(path) as journal:
        assert len(journal.events) == 1
        assert journal.torn is not None
        assert len(journal.torn.read_bytes()) == 20


def test_two_writers_are_refused_and_the_folder_is_free_afterwards(path, events):
    with Journal(path), pytest.raises(JournalError) as caught:
        Journal(path)
    assert "another station" in caught.value.message
    assert "--out" in caught.value.hint
    write(path, events)


def test_a_killed_writer_frees_the_folder_and_loses_nothing(path, events):
    code = """
import sys, time
from pathlib import Path
from particle_dev.station.events import StationEvent
from particle_dev.station.journal import Journal
journal = Journal(Path(sys.argv[1]))
for line in sys.stdin:
    print(journal.append(StationEvent.from_json(line), durable=True).seq, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("".join(event.to_json() + "\n" for event in events[:5]))
    process.stdin.close()
    acknowledged = [int(process.stdout.readline()) for _ in range(5)]
    with pytest.raises(JournalError, match="another station"):
        Journal(path)
    process.kill()
    process.wait()
    process.stdout.close()

    with Journal(path) as journal:
        assert [event.seq for event in journal.events] == acknowledged == [1, 2, 3, 4, 5]


def test_slots_append_at_the_same_time(path, events):
    with Journal(path) as journal:
        threads = [
            threading.Thread(target=lambda: [journal.append(events[1], durable=False) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [event.seq for event in read_journal(path)[0]] == list(range(1, 201))


def test_a_journal_in_use_can_be_read(path, events):
    with Journal(path) as journal:
        journal.append(events[0], durable=False)
        with path.open("ab") as file:
            file.write(b'{"at"')
        assert read_journal(path) == (tuple(events[:1]), b'{"at"')


def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(tmp_path, events):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError) as caught:
        Journal(tmp_path / "file" / JOURNAL_NAME)
    assert str(tmp_path / "file") in caught.value.message
    with pytest.raises(JournalError, match="cannot read"):
        read_journal(tmp_path / "nowhere" / JOURNAL_NAME)


def test_a_closed_journal_refuses(path, events):
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append(events[0], durable=True)
