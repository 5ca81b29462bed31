"""``particle-dev records``, from run folders on: as a person would use it."""

import csv
import io
import json
import sqlite3
import zipfile
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from particle_dev.cli.exit_codes import ExitCode, exit_code_of
from particle_dev.cli.root import root
from particle_dev.cloud.order_file import read_order
from particle_dev.errors import ParticleDevError
from particle_dev.station import record_backup
from particle_dev.station.journal import JOURNAL_NAME, Journal

UNITS = ("e00fce68d3a1b2c4f5061728", "e00fce6871b6a9d03c52e814")
MEASURED = {
    "serial_number": "P046ABCDEF12345",
    "measurements": [
        {"name": "rssi", "value": -71, "units": "dBm", "lower": -100},
        {"name": "current", "value": 9.5, "units": "mA", "upper": 5},
        {"name": "modem", "value": "R510"},
    ],
}


@pytest.fixture
def line(tmp_path, run_script, monkeypatch):
    """Two runs in their folders: the second unit fails in the first, and passes in the second."""
    monkeypatch.setenv("PARTICLE_DEV_SITE", str(tmp_path / "site"))
    monkeypatch.setenv("PARTICLE_DEV_RECORDS", str(tmp_path / "all.sqlite"))
    monkeypatch.chdir(tmp_path)
    for run_id, good in (("run-a", False), ("run-b", True)):
        script = run_script(("1", "2"), run_id=run_id)
        script.unit("1", UNITS[0])
        script.step("1", UNITS[0], "identify", evidence=MEASURED)
        script.finish("1", UNITS[0])
        script.unit("2", UNITS[1])
        script.step("2", UNITS[1], "flash", error=None if good else script.error("=the device\x07 left", where="1-2"))
        script.finish("2", UNITS[1], "pass" if good else "fail")
        script.run_finished()
        with Journal(tmp_path / "runs" / run_id / JOURNAL_NAME) as journal:
            for event in script.build():
                journal.append(event, durable=False)
    return tmp_path


def run(*arguments, status=ExitCode.OK):
    result = CliRunner().invoke(root, ["records", *map(str, arguments)])
    code = exit_code_of(result.exception) if isinstance(result.exception, ParticleDevError) else result.exit_code
    assert code == status, (arguments, result.output, result.exception)
    return result


def answer(*arguments, status=ExitCode.OK):
    return json.loads(run(*arguments, "--json", status=status).stdout)


def test_sync_search_show_verify(line):
    assert "2 recorded of 2" in run("sync", "runs").stdout
    assert "0 recorded of 2" in run("sync", "runs").stdout
    assert "INTACT: 2 runs, 3 entries, 1 stations" in run("verify", "--journals", "runs").stdout
    listed = answer("list")["runs"]
    assert [(r["run_id"], r["passed"], r["units"], r["verdict"]) for r in listed] == [
        ("run-b", 2, 2, "pass"),
        ("run-a", 1, 2, "fail"),
    ]
    for part in (UNITS[0], UNITS[0][:8], UNITS[0][-6:].upper(), "P046ABC", "12345"):
        assert {u["unit"] for u in answer("search", part)["units"]} >= {UNITS[0]}, part
    assert [u["unit"] for u in answer("search", "--verdict", "fail")["units"]] == [UNITS[1]]
    failed = answer("search", "--verdict", "fail")["units"][0]
    assert (failed["failed_step"], failed["failure"], failed["operator"]) == ("flash", "LinkDisconnectedError", "mara")
    assert run("search", "nothing", status=ExitCode.NO_DEVICE).stdout == ""
    assert run("search", "abc", status=ExitCode.NO_DEVICE).exception.message == "'abc' is too short to search for"
    history = answer("show", UNITS[1])
    assert [item["run_id"] for item in history["history"]] == ["run-b", "run-a"]
    assert history["runs"][1]["units"][1]["verdict"] == "fail"
    text = run("show", UNITS[0]).stdout
    assert "rssi" in text and "dBm" in text and "failed" in text
    assert "run run-a: fail" in run("show", "run-a").stdout
    assert run("show", UNITS[0][:8], status=ExitCode.NO_DEVICE).exception.message.startswith("e00fce68 may be")


def test_units_and_failures_are_counted(line):
    run("sync", "runs")
    counted = answer("yield", "--by", "platform")
    assert (counted["whole"]["goes"], counted["whole"]["passed"], counted["whole"]["last_passed"]) == (4, 3, 2)
    assert counted["whole"]["first_pass_yield"] == 0.5
    assert [part["platform"] for part in counted["by"]] == ["boron"]
    assert [part["slot"] for part in answer("yield", "--by", "slot")["by"]] == ["1", "2"]
    assert "50.0%" in run("yield").stdout
    assert run("yield", "--platform", "photon").stdout == ""
    assert answer("yield", "--until", "2001-01-01")["whole"]["goes"] == 0
    found = answer("pareto", "--by", "step")
    assert (found["failed"], [f["name"] for f in found["failures"]]) == (1, ["flash"])
    assert "100.0%" in run("pareto").stdout
    assert run("pareto", "--slot", "77").stdout == ""


def test_an_altered_row_is_named_with_exit_status_1(line):
    run("sync", "runs")
    connection = sqlite3.connect(line / "all.sqlite")
    connection.execute("update units set verdict='pass'")
    connection.commit()
    connection.close()

    result = run("verify", status=ExitCode.FAILED)

    assert "run run-a: its rows are not what was recorded (altered_row)" in result.stdout
    assert "ALTERED" in result.stdout
    assert answer("verify", status=ExitCode.FAILED)["problems"][0]["code"] == "altered_row"


def test_another_place_must_be_told_the_key(line, monkeypatch):
    run("sync", "runs")
    (line / "station.pem").write_text(run("key").stdout)
    monkeypatch.setenv("PARTICLE_DEV_SITE", str(line / "office"))

    assert "give it with --trust" in run("verify", status=ExitCode.INCOMPLETE).stdout
    assert "INTACT" in run("verify", "--trust", line / "station.pem").stdout
    assert not (line / "office").exists(), "looking makes no key"


def test_exports(line):
    run("sync", "runs")
    run("export", "csv", "--out", "units.csv")
    rows = list(csv.DictReader(io.StringIO((line / "units.csv").read_text())))
    assert [(r["device_id"], r["verdict"]) for r in rows] == [
        (UNITS[0], "pass"),
        (UNITS[1], "fail"),
        (UNITS[0], "pass"),
        (UNITS[1], "pass"),
    ]
    assert answer("export", "import", "--out", "ids.txt", "--run", "run-a")["units"] == 2
    order = read_order([("ids.txt", (line / "ids.txt").read_bytes())])
    assert [entry.device_id for entry in order.entries] == list(UNITS)
    assert order.problems == ()
    run("export", "csv", "--out", "units.csv", status=ExitCode.BAD_INPUT)
    run("export", "csv", "--out", "units.csv", "--force")


def test_a_run_that_is_recorded_late_makes_no_failed_unit_good(line):
    """The first run failed the unit; the second, which passed it, is recorded before: both orders must agree."""
    run("sync", "runs/run-b", "runs/run-a")
    assert answer("export", "import", "--out", "ids.txt")["units"] == 1
    assert (line / "ids.txt").read_text() == f"{UNITS[0]}\n"


def test_openhtf_records_carry_everything(line):
    run("sync", "runs")
    run("export", "openhtf", "--out", "records.json", "--run", "run-a")
    records = json.loads((line / "records.json").read_text())
    assert [(r["dut_id"], r["outcome"]) for r in records] == [(UNITS[0], "PASS"), (UNITS[1], "FAIL")]
    (phase,) = records[0]["phases"]
    assert (phase["name"], phase["outcome"]) == ("identify", "PASS")
    measured = phase["measurements"]
    assert measured["rssi"] == {
        "name": "rssi",
        "outcome": "PASS",
        "measured_value": -71.0,
        "validators": ["-100 <= x"],
        "units": {"name": "dBm", "code": None, "suffix": "dBm"},
    }
    assert (measured["current"]["outcome"], measured["modem"]["measured_value"]) == ("FAIL", "R510")
    assert records[1]["outcome_details"][0]["code"] == "LinkDisconnectedError"
    assert JOURNAL_NAME in phase["attachments"]
    required = {
        "dut_id",
        "station_id",
        "start_time_millis",
        "end_time_millis",
        "outcome",
        "outcome_details",
        "code_info",
    }
    assert all(required | {"metadata", "phases", "diagnoses", "log_records"} == set(record) for record in records)


def test_junit_is_read_as_red_where_a_unit_did_not_pass(line):
    run("sync", "runs")
    run("export", "junit", "--out", "junit.xml")
    suites = ElementTree.parse(line / "junit.xml").getroot()
    told = [(suite.get("name"), suite.get("failures"), suite.get("errors")) for suite in suites]
    assert told == [(UNITS[0], "0", "0"), (UNITS[1], "2", "0"), (UNITS[0], "0", "0"), (UNITS[1], "0", "0")]
    for suite in suites:
        assert len(suite.findall("testcase")) == int(suite.get("tests"))
        assert len(suite.findall("testcase/failure")) == int(suite.get("failures"))
    assert "left" in suites.find(".//failure").get("message")


def test_backup_and_restore_keep_chain_and_attachments(line):
    run("sync", "runs")
    (line / "uart.log").write_bytes(bytes(range(256)))
    run("attach", "run-a", "uart.log", "--unit", UNITS[0])
    assert answer("backup", "records.zip")["rows"]["units"] == 4
    run("backup", "records.zip", status=ExitCode.BAD_INPUT)
    run("restore", "records.zip", "--records", "copy.sqlite")
    assert "INTACT" in run("verify", "--records", "copy.sqlite").stdout
    run("show", "run-a", "--records", "copy.sqlite", "--attachment", "uart.log", "--out", "again.log")
    assert (line / "again.log").read_bytes() == bytes(range(256))
    assert (
        "holds records already"
        in run("restore", "records.zip", "--records", "copy.sqlite", status=ExitCode.BAD_INPUT).exception.message
    )
    (line / "bad.zip").write_bytes((line / "records.zip").read_bytes()[:-30])
    run("restore", "bad.zip", "--records", "other.sqlite", status=ExitCode.BAD_INPUT)
    assert answer("list", "--records", "other.sqlite")["runs"] == []


def test_backups_that_are_bombs_are_refused_while_they_are_read(line, monkeypatch):
    run("sync", "runs")
    run("backup", "records.zip")
    with zipfile.ZipFile(line / "records.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def refused(name, data, words):
        with zipfile.ZipFile(line / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in (members | {name: data}).items():
                archive.writestr(member, content)
        result = run("restore", "bomb.zip", "--records", "new.sqlite", status=ExitCode.BAD_INPUT)
        assert words in result.exception.message
        assert answer("list", "--records", "new.sqlite")["runs"] == []

    refused("backup.json", b" " * ((1 << 20) + 1), "more than 1048576 bytes")
    refused("units.jsonl", members["units.jsonl"] * 1000, "rows, not 4")
    monkeypatch.setattr("particle_dev.station.record_backup.MAX_ROW_BYTES", 1 << 16)
    refused("runs.jsonl", b"[" * (1 << 17), "a row has more than 65536 bytes")


def test_pruning_needs_a_permission_and_is_no_alteration(line):
    run("sync", "runs")
    run("prune", "--before", "2026-06-01", status=ExitCode.REFUSED)
    assert answer("prune", "--before", "2026-06-01", "--dry-run")["run_ids"] == ["run-a", "run-b"]
    assert len(answer("list")["runs"]) == 2
    run("prune", "--before", "2026-06-01", "--attachments-only", "--may-delete-records")
    assert "INTACT: 2 runs, 5 entries" in run("verify").stdout
    assert answer("show", "run-a")["attachments"] == []
    run("prune", "--before", "2026-06-01", "--may-delete-records")
    assert "INTACT: 0 runs, 6 entries" in run("verify", "--journals", "runs").stdout
    run("prune", status=ExitCode.USAGE)


def test_no_records_is_an_error_that_says_what_to_give(line, monkeypatch):
    assert "there are no records" in run("list", status=ExitCode.BAD_INPUT).exception.message
    monkeypatch.delenv("PARTICLE_DEV_RECORDS")
    assert "--records" in run("list", status=ExitCode.BAD_INPUT).exception.hint
    secret = "postgresql+asyncpg://mara:hunter2@127.0.0.1/db"
    exception = run("list", "--records", "mysql://mara:hunter2@host/db", status=ExitCode.BAD_INPUT).exception
    assert "hunter2" not in str(exception)
    assert "hunter2" not in str(run("list", "--records", secret.replace("+asyncpg", ""), status=ExitCode.BAD_INPUT))


def test_journals_that_are_not_there_prove_nothing(line):
    run("sync", "runs")
    (line / "elsewhere").mkdir()
    error = run("verify", "--journals", "runs", "--journals", "elsewhere", status=ExitCode.BAD_INPUT).exception
    assert error.message.startswith("no run is in elsewhere")


def test_a_file_that_several_units_of_a_run_have_is_taken_from_none_of_them(line):
    run("sync", "runs")
    (line / "label.svg").write_text("first")
    run("attach", "run-b", "label.svg", "--unit", UNITS[0])
    run("show", "run-b", "--attachment", "label.svg", "--out", "one.svg")
    (line / "label.svg").write_text("second")
    run("attach", "run-b", "label.svg", "--unit", UNITS[1])

    error = run("show", "run-b", "--attachment", "label.svg", "--out", "x.svg", status=ExitCode.NO_DEVICE).exception

    assert (error.message, UNITS[1] in error.hint) == ("2 units of run run-b have a file label.svg", True)
    assert not (line / "x.svg").exists()
    run("show", UNITS[1], "--attachment", "label.svg", "--out", "x.svg")
    assert ((line / "one.svg").read_text(), (line / "x.svg").read_text()) == ("first", "second")


@pytest.mark.parametrize("since", ["2026-5-1", "4.5.2026", "yesterday", "2026-13", "2026-05-04T25", "20260504", ""])
def test_a_time_that_would_compare_wrongly_is_refused(line, since):
    run("sync", "runs")
    for words in (("list",), ("search",), ("export", "import", "--out", "ids.txt")):
        result = run(*words, "--since", since, status=ExitCode.USAGE)
        assert "2026-05-04T08:30" in result.stderr
    assert not (line / "ids.txt").exists()


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("2026", 2),
        ("2026-05-04T08", 2),
        ("2026-05-04 08:00Z", 2),
        ("2026-05-04T08:00:00.000Z", 2),
        ("2026-05-04T10:00:00+02:00", 2),
        ("2026-05-04T08:00:00.000999Z", 2),
        ("2026-05-04t08:00:00.000000z", 2),
        ("2026-05-04t08:00z", 2),
        ("2026-05-04T08:00:00.001999Z", 0),
        ("2026-05-04T08:00:00.001", 0),
        ("2026-05-04T10:00+01:00", 0),
        ("2026-05-05", 0),
    ],
)
def test_times_are_iso_8601_or_its_beginning(line, since, found):
    run("sync", "runs")
    assert {r["started_at"] for r in answer("list")["runs"]} == {"2026-05-04T08:00:00.000Z"}
    assert len(answer("list", "--since", since)["runs"]) == found


def test_the_database_of_another_program_is_named_as_such(line):
    connection = sqlite3.connect(line / "other.sqlite")
    connection.execute("create table runs(distance)")
    connection.commit()
    connection.close()
    error = run("list", "--records", "other.sqlite", status=ExitCode.BAD_INPUT).exception
    assert "another program's database" in error.message


def test_a_backup_that_is_interrupted_leaves_no_half(line, monkeypatch):
    run("sync", "runs")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(record_backup, "_write_rows", interrupt)
    run("backup", "line.zip", status=1)
    assert not (line / "line.zip").exists()


def test_runs_of_before_there_were_any_are_not_pruned(line):
    run("sync", "runs")
    run("prune", "--older-than", "999999999999999999999", "--dry-run", status=ExitCode.USAGE)
    assert answer("prune", "--older-than", "36500", "--dry-run")["run_ids"] == []
