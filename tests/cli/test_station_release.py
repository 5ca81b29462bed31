"""A station that works by a signed release, with real Device OS 2.1.0 on a virtual board."""

import json
import shutil

import pytest
from click.testing import CliRunner

from particle_dev.cli.exit_codes import ExitCode, exit_code_of
from particle_dev.cli.root import root
from particle_dev.errors import ParticleDevError
from particle_dev.station.journal import JOURNAL_NAME, Journal

pytestmark = pytest.mark.firmware
BENCH = '[bench]\ndriver = "virtual"\n[bench.options]\nclock = "virtual"\n[[slot]]\nname = "1"\nplatform = "boron"\n'
RECIPE = """
[recipe]
name = "ship"
finish = "dfu"
[firmware.boron]
device_os = "2.1.0"
app = "tinker-0.8.0-rc.27-boron.bin"
"""


def run(*arguments, status=ExitCode.OK):
    result = CliRunner().invoke(root, list(map(str, arguments)))
    code = exit_code_of(result.exception) if isinstance(result.exception, ParticleDevError) else result.exit_code
    assert code == status, (arguments, result.output, result.exception)
    return result


@pytest.fixture
def factory(tmp_path, monkeypatch, release_store):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARTICLE_DEV_SITE", str(tmp_path / "site"))
    (tmp_path / "bench.toml").write_text(BENCH)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    run("release", "key", "release.key")
    made = ("--recipe", "recipe.toml", "--key", "release.key", "--store", release_store.root, "--out", "ship.zip")
    run("release", "make", "--name", "ship", "--version", "1", *made)
    return tmp_path


def test_production_works_by_a_trusted_release_and_records_it(factory):
    work = ("station", "run", "--bench", "bench.toml", "--production", "--store", "no-store")
    assert "signed releases" in str(run(*work, "--recipe", "recipe.toml", status=ExitCode.BAD_INPUT).exception)
    refused = run(*work, "--release", "ship.zip", "--out", "none", status=ExitCode.BAD_INPUT)
    assert refused.exception.code == "untrusted"
    assert not (factory / "none" / "journal.jsonl").exists()
    run(*work, status=ExitCode.USAGE)

    trusted = ("--release", "ship.zip", "--trust", "release.key.pem")
    run(*work, *trusted, "--out", "run", "--records", "all.sqlite", "--operator", "mara")

    shown = json.loads(run("records", "list", "--records", "all.sqlite", "--json").stdout)["runs"]
    assert [(r["verdict"], r["operator"]) for r in shown] == [("pass", "mara")]
    record = json.loads(run("records", "show", shown[0]["run_id"], "--records", "all.sqlite", "--json").stdout)
    answer = json.loads(run("release", "verify", "ship.zip", "--trust", "release.key.pem", "--json").stdout)
    assert record["recipe"]["release"] == {key: answer[key] for key in ("name", "version", "sha256", "signed_by")}
    origin = record["recipe"]["firmware"]["boron"]
    assert (origin["device_os"], len(origin["modules"])) == ("2.1.0", 4)
    assert {m["sha256"] for m in record["units"][0]["modules"]} <= {m["sha256"] for m in origin["modules"]}
    assert "INTACT" in run("records", "verify", "--records", "all.sqlite", "--journals", ".").stdout
    run(*work, *trusted, "--out", "run", status=ExitCode.REFUSED)  # finished: nothing was done


def test_a_bench_takes_an_unsigned_release_and_says_so(factory):
    shutil.copy("ship.zip", "unsigned.zip")
    done = run("station", "run", "--bench", "bench.toml", "--release", "unsigned.zip", "--out", "run")
    assert "production would refuse it" in done.stderr
    data = (factory / "unsigned.zip").read_bytes()
    (factory / "unsigned.zip").write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    again = ("station", "run", "--bench", "bench.toml", "--release", "unsigned.zip", "--out", "other")
    assert run(*again, status=ExitCode.BAD_INPUT).exception.code in {"altered", "not_release", "bad_name"}


def test_a_second_station_takes_no_firmware_from_under_the_first(factory):
    """It would be refused its journal only after it had replaced what the first one reads its modules from."""
    work = ("station", "run", "--bench", "bench.toml", "--release", "ship.zip", "--trust", "release.key.pem")
    run(*work, "--out", "run")
    kept = sorted((path, path.stat().st_ino) for path in (factory / "run" / "release").rglob("*"))
    with Journal(factory / "run" / JOURNAL_NAME):
        error = run(*work, "--out", "run", status=ExitCode.BAD_INPUT).exception
    assert error.message == "another station is writing in run"
    assert sorted((path, path.stat().st_ino) for path in (factory / "run" / "release").rglob("*")) == kept
