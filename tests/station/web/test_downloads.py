"""Reports and files of the records, given to a browser so that nothing of them runs."""

import gc
import hashlib
import json
import tracemalloc

import pytest

from particle_dev.station import report_pdf
from particle_dev.station.fold import fold
from particle_dev.station.record_rows import Attachment
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey
from particle_dev.station.web.access import Role
from tests.station.web.sample_records import BAD, LOG, UNIT

SVG = b"<svg onload='alert(1)'/>"


def file_address(content, run="run-1"):
    return f"/runs/{run}/files/{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("path", [f"/units/{UNIT}/report", "/runs/run-1/report"])
def test_a_report_is_a_page_in_which_nothing_runs(records_page, path):
    answer = records_page.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy
    assert UNIT in answer.text
    assert "<script" not in answer.text


def test_the_report_of_a_unit_goes_through_its_runs(records_page):
    text = records_page.get(f"/units/{UNIT}/report").text
    assert "run-0" in text
    assert "run-1" in text
    assert BAD not in text


def test_a_record_is_json(records_page):
    answer = records_page.get(f"/units/{UNIT}/record.json")
    assert [run["run_id"] for run in answer.json()["runs"]] == ["run-1", "run-0"]
    assert answer.headers["content-disposition"].startswith("attachment")
    run = records_page.get("/runs/run-0/record.json")
    assert json.loads(run.text)["counts"] == {"fail": 2, "refused": 1}


def test_a_label_is_a_drawing_without_a_secret(records_page):
    answer = records_page.get(f"/units/{UNIT}/label.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert UNIT in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_pdf_is_printed_by_the_browser_of_this_computer(records_page, monkeypatch):
    printed = []

    def print_it(html):
        printed.append(html)
        return b"%PDF-1.7"

    monkeypatch.setattr("particle_dev.station.web.downloads.html_to_pdf", print_it)
    answer = records_page.get(f"/units/{UNIT}/report.pdf")
    assert (answer.content, answer.headers["content-type"]) == (b"%PDF-1.7", "application/pdf")
    assert UNIT.encode() in printed[0]


def test_who_asks_while_another_report_is_printed_holds_no_thread(records_page, monkeypatch):
    nested = []

    def print_it(html):
        nested.append(records_page.get("/runs/run-1/report.pdf"))
        return b"%PDF-1.7"

    monkeypatch.setattr("particle_dev.station.web.downloads.html_to_pdf", print_it)
    assert records_page.get(f"/units/{UNIT}/report.pdf").status_code == 200
    assert (nested[0].status_code, "another report" in nested[0].text) == (503, True)
    assert records_page.get(f"/units/{UNIT}/report.pdf").status_code == 200


def test_without_a_browser_there_is_no_pdf_and_no_link_to_one(records_page, monkeypatch):
    monkeypatch.setattr(report_pdf, "BROWSERS", ("no-such-browser",))
    assert "report.pdf" not in records_page.get(f"/units/{UNIT}").text
    answer = records_page.get(f"/units/{UNIT}/report.pdf")
    assert answer.status_code == 503
    assert "chromium" in answer.text


def test_a_file_comes_as_text_to_be_saved(records_page):
    answer = records_page.get(file_address(LOG))

    assert answer.content == LOG
    assert answer.headers["content-length"] == str(len(LOG))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == "attachment; filename=\"serial.log\"; filename*=UTF-8''serial.log"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert records_page.head(file_address(LOG)).headers["content-length"] == str(len(LOG))


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(b"<script>alert(1)</script>", "text/plain; charset=utf-8"), (SVG, "application/octet-stream")],
)
def test_what_a_browser_could_run_comes_as_what_it_cannot(records_page, content, media_type):
    answer = records_page.get(file_address(content))

    assert answer.content == content
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["content-security-policy"].startswith("sandbox")


def test_an_odd_name_breaks_no_header(records_page):
    disposition = records_page.get(file_address(SVG)).headers["content-disposition"]

    assert disposition.startswith('attachment; filename="___x__b_.svg"; ') or 'filename="_' in disposition
    assert disposition.count('"') == 2
    assert "\u202e" not in disposition
    assert disposition.endswith("%3E.svg")


@pytest.mark.parametrize(
    "name",
    [
        *("serial.log", "..%2f..%2fstation.key", "%2e%2e%2fstation.key", "%00", "station.key", "records.sqlite"),
        *("%2fetc%2fpasswd", "..%5c..%5cstation.key", hashlib.sha256(b"nothing").hexdigest(), "*", "%25", "0" * 9000),
    ],
)
def test_nothing_but_a_hash_in_the_records_is_a_file(records_page, recorded, name):
    answer = records_page.get(f"/runs/run-1/files/{name}")

    assert answer.status_code == 404
    assert (recorded / "station.key").read_bytes() not in answer.content


def test_a_file_of_one_run_is_none_of_another(records_page):
    assert records_page.get(file_address(LOG, "run-0")).status_code == 200
    assert records_page.get(file_address(LOG, "run-7")).status_code == 404
    assert records_page.get(file_address(LOG, "..%2frun-1")).status_code == 404


def test_operators_take_no_files(guarded_records):
    assert guarded_records(Role.OPERATOR).get(file_address(LOG)).status_code == 403
    assert guarded_records(Role.ENGINEER).get(file_address(LOG)).status_code == 200


@pytest.fixture
def with_file(records_of, run_script, tmp_path):
    """A browser at records with one attached file."""

    def make(name, data):
        def write(path):
            script = run_script(("1",))
            script.good_unit("1", UNIT)
            database = RecordDatabase(path)
            file = Attachment(UNIT, name, "application/zip", data)
            database.write_run(fold(script.build()), StationKey(tmp_path / "site"), [file])
            database.close()

        return records_of(write)

    return make


def test_a_large_file_comes_in_pieces(with_file):
    data = bytes(60 << 20)
    address = file_address(data, "20260504-080000-1f3a")
    with with_file("flash.bin", data) as browser:
        gc.collect()
        tracemalloc.start()
        with browser.stream("HEAD", address) as answer:
            assert answer.headers["content-length"] == str(len(data))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Its hash was held against its content, all 60 MB of it.
        assert peak < len(data) / 4


def test_an_archive_is_given_out_as_it_is(with_file):
    bomb = b"PK\x03\x04" + bytes(range(256)) * 100
    with with_file("logs.zip", bomb) as browser:
        answer = browser.get(file_address(bomb, "20260504-080000-1f3a"))
    assert (answer.content, answer.headers["content-type"]) == (bomb, "application/octet-stream")


def test_a_damaged_file_is_not_given_out(with_file, tmp_path):
    data = b"log\n" * 1000
    with with_file("a.log", data) as browser:
        database = RecordDatabase(tmp_path / "other.sqlite")
        with database.transaction() as connection:
            connection.exec_driver_sql("update attachments set content=x'789c4b04000062006201'")
        database.close()
        answer = browser.get(file_address(data, "20260504-080000-1f3a"))
    assert answer.status_code == 503
    assert "records verify" in answer.text


def test_a_link_in_a_runs_folder_is_no_attachment(tmp_path, run_script):
    from particle_dev.station.journal import JOURNAL_NAME, Journal  # noqa: PLC0415
    from particle_dev.station.record_keeping import read_run_folder  # noqa: PLC0415

    secret = tmp_path / "station.key"
    secret.write_text("private")
    script = run_script(("1",))
    script.good_unit("1", UNIT)
    folder = tmp_path / "run"
    with Journal(folder / JOURNAL_NAME) as journal:
        for event in script.build():
            journal.append(event, durable=False)
    of_unit = folder / "attachments" / UNIT
    of_unit.mkdir(parents=True)
    (of_unit / "key.log").symlink_to(secret)
    (of_unit / "real.log").write_text("log")
    (folder / "attachments" / BAD).symlink_to(tmp_path)

    assert [file.name for file in read_run_folder(folder).attachments] == [JOURNAL_NAME, "real.log"]
