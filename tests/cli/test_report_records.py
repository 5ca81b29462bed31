"""``particle-dev report`` of runs and units in the records, as HTML and as PDF by a real Chromium."""

import json
import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from particle_dev.cli.exit_codes import ExitCode, exit_code_of
from particle_dev.cli.root import root
from particle_dev.errors import JournalError, ParticleDevError
from particle_dev.station import report_pdf
from particle_dev.station.journal import JOURNAL_NAME, Journal
from particle_dev.station.report_pdf import html_to_pdf

UNITS = ("e00fce68d3a1b2c4f5061728", "e00fce6871b6a9d03c52e814")
MEASURED = {"measurements": [{"name": "signal_strength", "value": -71.5, "unit": "dBm", "min": -100, "max": None}]}


def run(*arguments, status=ExitCode.OK):
    result = CliRunner().invoke(root, list(map(str, arguments)))
    code = exit_code_of(result.exception) if isinstance(result.exception, ParticleDevError) else result.exit_code
    assert code == status, (arguments, result.output, result.exception)
    return result


@pytest.fixture
def records(tmp_path, run_script, monkeypatch):
    """Two runs: the first unit fails in one and passes in the other, the second is in one."""
    monkeypatch.setenv("PARTICLE_DEV_SITE", str(tmp_path / "site"))
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PARTICLE_DEV_RECORDS", str(tmp_path / "all.sqlite"))
    monkeypatch.chdir(tmp_path)
    for run_id, good in (("run-a", False), ("run-b", True)):
        script = run_script(("1", "2"), run_id=run_id)
        script.unit("1", UNITS[0])
        script.step("1", UNITS[0], "identify", evidence=MEASURED)
        script.step("1", UNITS[0], "flash", error=None if good else script.error("<b>cable</b>"))
        script.finish("1", UNITS[0], "pass" if good else "fail")
        if good:
            script.good_unit("2", UNITS[1])
        script.run_finished()
        with Journal(tmp_path / "runs" / run_id / JOURNAL_NAME) as journal:
            for event in script.build():
                journal.append(event, durable=False)
    run("records", "sync", "runs")
    return tmp_path


def test_a_run_in_the_records_has_the_report_of_its_folder(records):
    shown = run("report", "run-b", "--html", "b.html").stdout
    folder = run("report", "runs/run-b", "--html", "folder.html").stdout
    assert (records / "b.html").read_text() == (records / "folder.html").read_text()
    assert shown.replace("b.html", "") == folder.replace("folder.html", "")
    assert run("report", "run-b", "--html", "b.html", status=ExitCode.BAD_INPUT).exception.hint
    run("report", "run-b", "--html", "b.html", "--force", "--json")
    assert not (records / "report.html").exists()


def test_a_unit_is_told_through_all_its_runs(records):
    written = run("report", UNITS[0][-8:], "--html", "unit.html")
    assert written.stderr == "unit.html: written\n"
    shown = written.stdout
    assert re.findall(r"^e00f\S+ +boron +(\w+)", shown, re.MULTILINE) == ["pass", "fail"]
    page = (records / "unit.html").read_text()
    assert f"<h1>Unit {UNITS[0]}</h1>" in page
    assert UNITS[1] not in page
    assert "&lt;b&gt;cable&lt;/b&gt;" in page and "<b>cable</b>" not in page
    assert page.count("signal strength") == 2 and "-71.5" in page and "dBm" in page
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {f"#{name}" for name in ids} >= set(re.findall(r'href="(#[^"]+)"', page))
    answer = json.loads(run("report", UNITS[0], "--json").stdout)
    assert [r["run_id"] for r in answer["runs"]] == ["run-b", "run-a"]
    assert run("report", "nobody", status=ExitCode.NO_DEVICE).exception.message.endswith("nobody")


def test_pdf_by_a_real_browser(records):
    run("report", UNITS[0], "--pdf", "unit.pdf")
    run("report", "runs/run-b", "--pdf", "folder.pdf")
    for name in ("unit.pdf", "folder.pdf"):
        assert (records / name).read_bytes().startswith(b"%PDF-1.")
    text = subprocess.run(["pdftotext", "unit.pdf", "-"], capture_output=True, text=True, check=True).stdout
    assert f"Unit {UNITS[0]}" in text and "-71.5" in text and "not started" in text


def test_no_browser_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(JournalError, match="no Chromium") as caught:
        html_to_pdf(b"<p>")
    assert "chromium" in caught.value.hint


def test_a_browser_that_prints_nothing_or_never_ends_is_an_error(tmp_path, monkeypatch):
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho no display >&2\n")
    browser.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(browser))
    with pytest.raises(JournalError, match="printed nothing: no display"):
        html_to_pdf(b"<p>")
    browser.write_text("#!/bin/sh\nexec sleep 100\n")
    with pytest.raises(JournalError, match="did not print within"):
        html_to_pdf(b"<p>", timeout_s=0.1)
    assert report_pdf.BROWSERS
