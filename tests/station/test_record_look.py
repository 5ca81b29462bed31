"""One go out of the records, and files that are given out whole or not at all."""

import hashlib
import sqlite3
import zlib

import pytest

from particle_dev.errors import JournalError, RecordNotFoundError
from particle_dev.station.fold import fold
from particle_dev.station.record_look import files_of, read_go, read_run_record, stored_file
from particle_dev.station.record_rows import Attachment
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

UNIT = "e00fce68d3a1b2c4f5061728"
OTHER = "3c001f000947343432313031"
RUN = "20260504-080000-1f3a"
LOG = b"serial log\n" * 30_000


@pytest.fixture
def database(tmp_path, run_script):
    script = run_script(("1", "2"))
    script.unit("1", UNIT)
    script.step("1", UNIT, "identify", evidence={"serial_number": "P046ABCDEF12345"})
    script.finish("1", UNIT)
    script.good_unit("2", OTHER)
    script.run_finished()
    files = [
        Attachment("", "journal.jsonl", "application/jsonl", b"{}\n"),
        Attachment(UNIT, "serial.log", "text/plain", LOG),
        Attachment(OTHER, "other.log", "text/plain", b"of the other"),
    ]
    database = RecordDatabase(tmp_path / "records.sqlite")
    database.write_run(fold(script.build()), StationKey(tmp_path / "site"), files)
    yield database
    database.close()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_a_go_is_that_unit_alone(database):
    go = read_go(database, RUN, UNIT)

    assert go.unit == database.run(RUN).units[0]
    assert (go.run.units, go.run.slots, go.run.run_id) == ((go.unit,), ("1",), RUN)
    assert go.names == {"device_id": UNIT, "serial_number": "P046ABCDEF12345"}
    assert [(file.unit, file.name, file.size_bytes) for file in go.files] == [
        (UNIT, "serial.log", len(LOG)),
        ("", "journal.jsonl", 3),
    ]


@pytest.mark.parametrize(("run", "unit"), [(RUN, "no-unit"), ("no-run", UNIT), ("", ""), (RUN, UNIT.upper())])
def test_what_is_not_there_is_an_error(database, run, unit):
    with pytest.raises(RecordNotFoundError, match="hold nothing"):
        read_go(database, run, unit)


def test_a_file_comes_by_its_hash_in_pieces(database):
    stored = stored_file(database, RUN, sha256(LOG))
    pieces = list(stored.chunks())

    assert b"".join(pieces) == LOG
    assert len(pieces) > 1
    assert stored.file.name == "serial.log"
    assert {file.name for file in files_of(database, RUN)} == {"journal.jsonl", "serial.log", "other.log"}


@pytest.mark.parametrize("asked", ["serial.log", "../serial.log", "", "0" * 64, "/etc/passwd", "serial.log\0"])
def test_nothing_but_a_hash_of_that_run_names_a_file(database, asked):
    with pytest.raises(RecordNotFoundError):
        stored_file(database, RUN, asked)
    with pytest.raises(RecordNotFoundError):
        stored_file(database, "other-run", sha256(LOG))


@pytest.mark.parametrize(
    "content",
    [
        zlib.compress(LOG + b"x"),
        zlib.compress(LOG[:-1]),
        zlib.compress(LOG[:-1] + b"?"),
        zlib.compress(LOG)[:-20],
        b"no zlib",
        b"",
    ],
    ids=["longer", "shorter", "changed", "cut off", "not packed", "empty"],
)
def test_a_damaged_file_is_not_given_out(database, content):
    change(database, content)
    with pytest.raises(JournalError, match="damaged"):
        stored_file(database, RUN, sha256(LOG))


def test_a_bomb_is_not_unpacked_beyond_what_its_size_says(database, monkeypatch):
    change(database, zlib.compress(bytes(200 << 20), 9))
    unpacked = 0

    class Counting:
        def __init__(self):
            self.real = zlib._real_decompressobj()

        def decompress(self, data, most):
            nonlocal unpacked
            chunk = self.real.decompress(data, most)
            unpacked += len(chunk)
            return chunk

        @property
        def unconsumed_tail(self):
            return self.real.unconsumed_tail

    monkeypatch.setattr(zlib, "_real_decompressobj", zlib.decompressobj, raising=False)
    monkeypatch.setattr(zlib, "decompressobj", Counting)
    with pytest.raises(JournalError, match="damaged"):
        stored_file(database, RUN, sha256(LOG))
    assert 0 < unpacked <= len(LOG) + (1 << 16)


def change(database, content):
    with sqlite3.connect(database.place) as connection:
        connection.execute("update attachments set content=? where name='serial.log'", (content,))
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update units set attempts='[]'",
        "update units set attempts='[{}]'",
        "update units set verdict='maybe'",
        "update steps set status='perhaps'",
        "update units set billing_from='yesterday'",
        "update runs set attempts='[1]'",
    ],
)
def test_rows_that_somebody_changed_are_an_error_with_what_to_do(database, statement):
    with sqlite3.connect(database.place) as connection:
        connection.execute(statement)
    connection.close()
    for ask in (lambda: read_go(database, RUN, UNIT), lambda: read_run_record(database, RUN)):
        with pytest.raises(JournalError, match="damaged") as caught:
            ask()
        assert "records verify" in caught.value.hint
