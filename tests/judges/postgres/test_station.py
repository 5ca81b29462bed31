"""A whole station run while the records' server is away, and the next one when it is back."""

import json

import pytest
from click.testing import CliRunner

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.root import root

pytestmark = pytest.mark.firmware
BENCH = '[bench]\ndriver = "virtual"\n[bench.options]\nclock = "virtual"\n[[slot]]\nname = "1"\nplatform = "photon"\n'
RECIPE = """
[recipe]
name = "ship"
finish = "dfu"
[firmware.photon]
device_os = "2.1.0"
app = "tinker-0.4.5-photon.bin"
"""


def run(*arguments, status=ExitCode.OK):
    result = CliRunner().invoke(root, list(map(str, arguments)))
    assert result.exit_code == status, (arguments, result.output, result.exception)
    return result


def test_the_line_goes_on_and_the_next_run_records_what_waits(
    server, database_url, release_store, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARTICLE_DEV_SITE", str(tmp_path / "site"))
    monkeypatch.setenv("PARTICLE_DEV_RECORDS", database_url)
    (tmp_path / "bench.toml").write_text(BENCH)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    work = ("station", "run", "--bench", "bench.toml", "--recipe", "recipe.toml", "--store", release_store.root)

    server.stop()
    away = run(*work, "--out", "runs/1")
    assert "PASS: 1 of 1 units passed" in away.stdout
    assert "not recorded yet" in away.stderr
    assert (tmp_path / "runs" / "1" / "report.html").exists()
    server.start()
    back = run(*work, "--out", "runs/2")
    assert f"runs{'/'}1: recorded" in back.stderr

    listed = json.loads(run("records", "list", "--json").stdout)["runs"]
    assert [r["verdict"] for r in listed] == ["pass", "pass"]
    # Recorded before the next run began: in the order in which they were made.
    journals = [tmp_path / "runs" / name / "journal.jsonl" for name in ("2", "1")]
    told = [json.loads(journal.read_bytes().splitlines()[0])["run_id"] for journal in journals]
    assert [r["run_id"] for r in listed] == told
    assert "INTACT: 2 runs" in run("records", "verify", "--journals", "runs").stdout
    assert not list(tmp_path.glob("runs/*/records-pending.json"))
