"""Logs and files of units beside the journal: whole, bounded, without secrets, in no other folder."""

import errno
from datetime import UTC, datetime

import pytest

from particle_dev.errors import JournalError, VerifyError
from particle_dev.flash.progress import BlockWritten, ModuleCompared, SectorErased
from particle_dev.station.attaching import MAX_LOG_BYTES, EventTexts, StepLog, UnitLogs, attach

UNIT = "e00fce68" + "1" * 16
AT = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def logs(tmp_path):
    return UnitLogs(tmp_path, lambda: AT)


def read(tmp_path, name):
    return (tmp_path / "attachments" / UNIT / name).read_text()


def test_a_step_has_one_log_that_says_how_it_ended(tmp_path, logs):
    logs.take(UNIT, None, "flash", "first")
    logs.end(None)
    logs.take(UNIT, None, "verify", "second")
    logs.end(VerifyError("differs", address=1, expected=b"", actual=b"", hint="again"))
    assert read(tmp_path, "attempt-1-flash.log").splitlines() == [
        "2026-05-04T00:00:00.000Z first",
        "2026-05-04T00:00:00.000Z done",
    ]
    assert "failed: differs" in read(tmp_path, "attempt-1-verify.log")


def test_what_is_erased_and_written_is_told_by_pieces():
    texts = EventTexts()
    lines = texts.take(ModuleCompared("a.bin", 4, 0))
    for number in range(32):
        lines += texts.take(SectorErased(0x30000 + number * 4096, 4096))
        lines += texts.take(BlockWritten("a.bin", 4096, (number + 1) * 4096, 1 << 20))
    lines += texts.take(SectorErased(0x90000, 4096))
    assert EventTexts().take(SectorErased(0x20000, 128 << 10)) == [], "a sector of the STM32F2 is larger than a piece"
    assert lines[1:] == [
        "erased: 65536 bytes from 0x30000",
        "written of a.bin: 65536 bytes from 0x0",
        "erased: 65536 bytes from 0x40000",
    ]
    assert sorted(texts.rest()) == ["erased: 4096 bytes from 0x90000", "written of a.bin: 65536 bytes from 0x10000"]
    assert texts.rest() == []


def test_a_log_is_bounded_and_says_so(tmp_path):
    log = StepLog(tmp_path, UNIT, "x.log")
    for _ in range(MAX_LOG_BYTES // 1000 + 50):
        log.write("now", "é" * 600)
    log.close()
    log.close()
    path = tmp_path / "attachments" / UNIT / "x.log"
    assert path.stat().st_size <= MAX_LOG_BYTES
    assert path.read_text().endswith("… the rest is left out\n")


def test_what_a_killed_station_had_written_is_there(tmp_path, logs):
    logs.take(UNIT, None, "flash", "begun")
    assert "begun" in read(tmp_path, "attempt-1-flash.log")
    logs.end(None)


def test_secrets_that_boards_print_are_hidden_and_lines_stay_lines(tmp_path, logs):
    logs.take(UNIT, None, "console", "Device Secret: ABCDEF\nforged line")
    logs.end(None)
    text = read(tmp_path, "attempt-1-console.log")
    assert "ABCDEF" not in text
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize("unit", ["../../../tmp/x", "..", "slot:1", "", None, UNIT.upper(), UNIT + "/x"])
def test_what_a_board_tells_is_no_name_of_a_folder(tmp_path, unit):
    logs = UnitLogs(tmp_path, lambda: AT)
    logs.take(unit, None, "flash", "text")
    logs.end(None)
    with pytest.raises(JournalError, match="no Device ID"):
        attach(tmp_path, unit, "label.svg", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_stops_the_station(tmp_path, logs, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("particle_dev.station.attaching.write_whole", full)
    with pytest.raises(JournalError, match="No space left"):
        attach(tmp_path, UNIT, "label.svg", b"x")
    (tmp_path / "attachments" / UNIT / "attempt-1-flash.log").symlink_to("/dev/full")
    with pytest.raises(JournalError, match="No space left"):
        for _ in range(100):
            logs.take(UNIT, None, "flash", "x" * 1000)
