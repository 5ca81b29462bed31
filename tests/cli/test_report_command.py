"""``particle-dev report``."""

import json
import os
import shutil
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from particle_dev.cli.report import report
from particle_dev.errors import FirmwareStoreError, JournalError
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal


@pytest.fixture
def folder(tmp_path, mixed_journal):
    shutil.copy(mixed_journal, tmp_path / JOURNAL_NAME)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(report, [str(argument) for argument in arguments], catch_exceptions=False)


def test_table_fits_80_columns_and_says_what_to_do(folder):
    result = run(folder)

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(len(line) for line in lines[:6]) <= 80
    assert lines[0].split() == ["Slot", "Platform", "Device", "ID", "Verdict", "Billing", "Device", "OS", "App"]
    assert lines[1].split() == ["1", "boron", "e00fce68d3a1b2c4f5061728", "pass", "not", "started", "2.1.0", "v6"]
    assert lines[2].split()[:5] == ["2", "bsom", "e00fce6871b6a9d03c52e814", "refused", "unknown"]
    assert lines[5].split() == ["5", "-", "-", "empty", "-", "-", "-"]
    assert "slot 2: bootloader 311 is too old: Device OS 2.1.0 needs bootloader 1005 or later" in lines
    assert "  what to do: update the bootloader first; nothing was erased" in lines
    assert lines[-2] == "FAIL: 1 of 4 units passed, 1 failed, 1 refused, 1 interrupted, 1 of 5 slots empty"
    assert lines[-1] == f"report: {folder / 'report.html'}"
    assert "1 of 4 units passed" in (folder / "report.html").read_text("utf-8")
    assert "\x1b" not in result.output


def test_json_is_the_record(folder):
    result = run(folder, "--json", "--html", folder / "elsewhere.html")

    record = fold(read_journal(folder / JOURNAL_NAME)[0])
    assert json.loads(result.output) == record.to_data() | {"report": str(folder / "elsewhere.html")}
    assert (folder / "elsewhere.html").exists()
    assert not (folder / "report.html").exists()


def test_a_run_that_goes_on_can_be_reported_and_is_left_alone(folder):
    journal = folder / JOURNAL_NAME
    content = journal.read_bytes()[:-40]
    journal.write_bytes(content)

    result = run(folder)

    assert result.exit_code == 0
    assert journal.read_bytes() == content
    assert sorted(item.name for item in folder.iterdir()) == [JOURNAL_NAME, "report.html"]


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(JournalError, match="cannot read journal"):
        run(tmp_path)
    (tmp_path / JOURNAL_NAME).write_text("")
    with pytest.raises(JournalError, match="holds no run"):
        run(tmp_path)


def test_old_journals_stay_readable(any_journal):
    events, torn = read_journal(any_journal)

    assert torn == b""
    assert "".join(event.to_json() + "\n" for event in events) == any_journal.read_text("ascii")
    assert len(fold(events).units) == 4


def test_json_needs_no_rich_and_help_no_database(folder):
    code = (
        "import sys; from particle_dev.cli.report import report; "
        f"report.main([{str(folder)!r}, '--json'], standalone_mode=False); "
        "print([m for m in ('rich', 'sqlalchemy', 'usb') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"


def test_what_html_names_is_replaced_with_force_only_and_the_journal_never(folder):
    there = folder / "mine.html"
    there.write_text("mine")

    with pytest.raises(FirmwareStoreError, match="exists already"):
        run(folder, "--html", there)
    assert there.read_text() == "mine"
    assert run(folder, "--html", there, "--force").exit_code == 0
    assert "1 of 4 units passed" in there.read_text("utf-8")
    with pytest.raises(FirmwareStoreError, match="made from"):
        run(folder, "--html", folder / JOURNAL_NAME, "--force")
    assert run(folder).exit_code == run(folder).exit_code == 0, "the run's own report is always made anew"


@pytest.mark.parametrize("words", [["--html"], []])
def test_links_are_followed_and_pipes_written_into(folder, words):
    arguments = [*words, folder / "report.html"] if words else []
    (folder / "target.html").write_text("old")
    (folder / "report.html").symlink_to("target.html")
    run(folder, *arguments, *(["--force"] if words else []))
    assert (folder / "report.html").is_symlink()
    assert "1 of 4 units passed" in (folder / "target.html").read_text("utf-8")

    (folder / "report.html").unlink()
    os.mkfifo(folder / "report.html")
    got = []
    reader = threading.Thread(target=lambda: got.append((folder / "report.html").read_text("utf-8")))
    reader.start()
    run(folder, *arguments)
    reader.join()
    assert (folder / "report.html").is_fifo()
    assert "1 of 4 units passed" in got[0]
