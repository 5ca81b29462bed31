"""``--page`` of ``station run`` and ``station replay``, and ``station page-user``."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.cli.root import root
from particle_dev.cli.station_release import release_texts
from particle_dev.errors import ConfigError
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal
from particle_dev.station.web.access import LOCAL
from particle_dev.station.web.audit import AUDIT_NAME, AuditLog
from particle_dev.station.web.live import LiveRun
from particle_dev.station.web.server import PageServer


@pytest.fixture
def folder(tmp_path, mixed_journal):
    run = tmp_path / "run"
    run.mkdir()
    (run / JOURNAL_NAME).write_bytes(mixed_journal.read_bytes())
    texts = release_texts(run)
    texts.mkdir(parents=True)
    (texts / "en.toml").write_text('notes = ["Wear gloves."]\n')
    return run


@pytest.fixture
def replay(folder, tmp_path):
    """``station replay RUN --page`` in a process of its own, and the address it says."""
    words = ["-m", "particle_dev", "station", "replay", folder, "--page", "127.0.0.1:0", "--speed", "1e9"]
    with subprocess.Popen(
        [sys.executable, *words, "--site", tmp_path / "site"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process, process.stderr.readline().removeprefix("page: ").strip()
        process.kill()


def states(address):
    with urllib.request.urlopen(f"{address}events") as stream:
        for line in stream:
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))


def test_a_run_is_shown_again_in_a_browser_until_it_is_ended(replay):
    process, address = replay
    seen, notes = {}, []
    for frame in states(address):
        notes = frame.get("run", {}).get("notes", notes)
        seen |= {slot["slot"]: slot["mode"] for slot in frame["slots"]}
        if list(seen.values()) == ["pass", "refused", "fail", "interrupted", "empty"]:
            break
    assert notes == ["Wear gloves."]
    with urllib.request.urlopen(address) as answer:
        assert b"<main" in answer.read()
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert "Ctrl-C ends" in process.stderr.read()


@pytest.mark.firmware
def test_sigterm_ends_a_shift_and_the_page_that_was_to_stay(tmp_path, recipe, release_store):
    words = ["station", "run", "--bench", "virtual", "--recipe", recipe, "--store", release_store.root, "--watch"]
    places = ["--out", tmp_path / "run", "--site", tmp_path / "site", "--page", "127.0.0.1:0", "--stay"]
    with subprocess.Popen(
        [sys.executable, "-m", "particle_dev", *words, *places],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            said = []
            while not any("check passed" in line for line in said):
                said.append(process.stderr.readline())
                assert said[-1], said
            process.send_signal(signal.SIGTERM)
            _, rest = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "the page stays" not in rest
    assert "no more units are begun" not in rest, "units in work are not waited for"
    record = fold(read_journal(tmp_path / "run" / JOURNAL_NAME)[0])
    assert record.finished_at
    assert "interrupted" in record.counts()


@pytest.fixture
def failed(capsys):
    def failed(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code, capsys.readouterr().err

    return failed


def run_words(tmp_path, recipe):
    out = ("--out", tmp_path / "run", "--site", tmp_path / "site")
    return ("station", "run", "--bench", "virtual", "--recipe", recipe, *out)


@pytest.fixture
def recipe():
    return Path(__file__).parents[2] / "recipes" / "ship.toml"


def test_a_page_that_cannot_be_served_ends_the_command_before_a_board_is_touched(failed, tmp_path, recipe):
    server = PageServer(LiveRun(), "127.0.0.1", 0, lambda port: lambda scope, receive, send: None)
    with server:
        code, said = failed(*run_words(tmp_path, recipe), "--page", f"127.0.0.1:{server.port}")
    assert code == ExitCode.BAD_INPUT
    assert "Address already in use" in said
    assert not (tmp_path / "run" / JOURNAL_NAME).exists()
    code, said = failed(*run_words(tmp_path, recipe), "--page", "0.0.0.0:0")
    assert (code, "page-user add" in said) == (ExitCode.BAD_INPUT, True)


def test_records_that_cannot_be_written_end_the_command_before_a_board_is_touched(failed, tmp_path, recipe):
    code, said = failed(*run_words(tmp_path, recipe), "--records", tmp_path / "nowhere" / "r.sqlite")
    assert code == ExitCode.BAD_INPUT
    assert "no board was touched" in said
    assert not (tmp_path / "run" / JOURNAL_NAME).exists()


@pytest.mark.parametrize("address", ["8088", "localhost", ":1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_addresses_that_are_none(failed, tmp_path, recipe, address):
    code, said = failed(*run_words(tmp_path, recipe), "--page", address)
    assert code == ExitCode.USAGE
    assert "HOST:PORT" in said


@pytest.mark.parametrize("words", [["--page-users", "x"], ["--page-name", "x"], ["--page-tls", "x", "y"], ["--stay"]])
def test_what_goes_with_a_page_alone(failed, tmp_path, recipe, words):
    code, said = failed(*run_words(tmp_path, recipe), *words)
    assert code == ExitCode.USAGE
    assert "--page" in said


def test_users_come_and_go(tmp_path):
    def call(*words):
        return CliRunner().invoke(
            root, ["station", "page-user", *words, "--site", str(tmp_path)], standalone_mode=False
        )

    token = call("add", "anna").stdout.strip()
    assert token.startswith("anna.")
    assert json.loads(call("add", "bob", "--role", "engineer", "--json").stdout)["role"] == "engineer"
    assert call("list").stdout.split() == ["anna", "operator", "bob", "engineer"]
    assert call("remove", "anna").stdout == "anna is shut out\n"
    assert [json.loads(line)["name"] for line in call("list", "--json").stdout.splitlines()] == ["bob"]
    assert "no user 'anna'" in str(call("remove", "anna").exception)


def test_users_of_no_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (["add", "anna"], ["remove", "anna"], ["list"]):
        line = ["station", "page-user", *words, "--users", ""]
        error = CliRunner().invoke(root, line, standalone_mode=False).exception
        assert isinstance(error, ConfigError), error


def test_the_audit_log_is_read_and_checked(tmp_path):
    def call(*words):
        return CliRunner().invoke(root, ["station", "audit", "--site", str(tmp_path), *words], standalone_mode=False)

    log = AuditLog(tmp_path / AUDIT_NAME)
    for slot in ("1", "2", "\x1b[2J"):
        with log.act(LOCAL, "127.0.0.1", "start", slot) as act:
            act.result = "begins"
    result = call()
    assert result.return_value == ExitCode.OK
    assert result.stdout.splitlines()[1].endswith("Z  admin  127.0.0.1  start  2  begins")
    assert "\x1b" not in result.stdout
    assert [json.loads(line)["target"] for line in call("--json").stdout.splitlines()][::2] == ["1", "2", "\x1b[2J"]
    assert len(result.stdout.splitlines()) == 3
    log.path.write_bytes(log.path.read_bytes() + b'{"before": 1}\n')
    result = call()
    assert (result.return_value, "altered at line 7" in result.stderr) == (ExitCode.FAILED, True)
    log.path.write_bytes(b"".join(log.path.read_bytes().splitlines(keepends=True)[1:]))
    result = call()
    assert (result.return_value, "altered at line 1" in result.stderr) == (ExitCode.FAILED, True)
    log.path.unlink()
    assert "cannot read" in str(call().exception)
