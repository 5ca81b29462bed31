"""``selftest`` from the command line down to the C service on a pseudo-terminal."""

import json
import re
from pathlib import Path

import pytest
from particle_harness.selftest_boards import Defect, host_board

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main

PLAN = """
[selftest]
name = "line 1"
[[test]]
name = "adc"
parameters = { samples = 4 }
limits = { A0 = { min = 1640, max = 1660, unit = "mV" } }
[[test]]
name = "identity"
limits = { hardware = { equals = "simulated" } }
"""


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["selftest", *map(str, arguments)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def board(selftest_ports):
    with host_board(selftest_ports) as url:
        yield url


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def test_list(run, board):
    code, out, _ = run("list", "--port", board)
    assert (code, out.splitlines()[0], out.splitlines()[-1]) == (0, "identity", "function  (can go online)")
    code, out, _ = run("list", "--port", board, "--json")
    assert json.loads(out)["tests"][-1] == {"name": "function", "may_connect": True}


def test_all_tests_of_a_board_without_modules_are_incomplete(run, board):
    code, out, _ = run("run", "--port", board)
    assert code == ExitCode.INCOMPLETE
    assert re.search(r"^not supported modules\n +! the board's firmware has no access", out, re.MULTILINE)
    assert out.endswith("NOT SUPPORTED: 9 of 10 tests passed\n")


def test_a_plan_and_its_record(run, board, plan, tmp_path):
    record = tmp_path / "record.json"
    code, out, _ = run("run", "--port", board, "--plan", plan, "--out", record, "--json")
    assert code == 0
    assert json.loads(record.read_text()) == json.loads(out)
    done = json.loads(out)
    assert (done["verdict"], done["plan"]["name"], len(done["plan"]["sha256"])) == ("passed", "line 1", 64)
    assert done["results"][0]["values"][0] == {
        "name": "A0",
        "value": 1650,
        "unit": "mV",
        "min": 1600,
        "max": 1700,
        "ok": True,
    }
    code, _, err = run("run", "--port", board, "--plan", plan, "--out", record)
    assert (code, "exists already" in err) == (ExitCode.BAD_INPUT, True)
    assert run("run", "--port", board, "--plan", plan, "--out", record, "--force")[0] == 0


def test_the_record_is_as_documented(run, board, plan):
    reference = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    section = reference[reference.index("### `selftest list`") :]
    documented = json.loads(re.search(r"```json\n(.*?)```", section, re.DOTALL)[1])
    printed = json.loads(run("run", "--port", board, "--test", "adc", "--json")[1])
    assert printed.keys() == documented.keys()
    assert printed["results"][0].keys() == documented["results"][0].keys()
    assert printed["results"][0]["values"][0].keys() == documented["results"][0]["values"][0].keys()
    plan.write_text(re.search(r"```toml\n(.*?)```", section, re.DOTALL)[1])
    assert run("run", "--port", board, "--plan", plan)[0] == ExitCode.FAILED  # this board's hardware is not B


def test_limits_of_the_plan_count_beside_those_of_the_board(run, board, plan):
    plan.write_text(PLAN.replace("max = 1660", "max = 1649"))
    code, out, _ = run("run", "--port", board, "--plan", plan)
    assert code == ExitCode.FAILED
    assert "! A0 is 1650 mV, the plan wants 1640 to 1649" in out
    assert "FAILED: 1 of 2 tests passed" in out


def test_a_fault_is_exit_status_1(run, selftest_ports):
    with host_board(selftest_ports, Defect.I2C_MISSING) as url:
        code, out, _ = run("run", "--port", url, "--test", "i2c", "--test", "adc")
    assert code == ExitCode.FAILED
    assert "! imu 0 found (1 to 1) is outside of the board's limits" in out


def test_online_tests_are_not_run_without_permission(run, board):
    code, out, _ = run("run", "--port", board, "--test", "connect", "--json")
    assert code == ExitCode.INCOMPLETE
    assert json.loads(out)["results"][0]["verdict"] == "not allowed"
    assert run("run", "--port", board, "--test", "connect", "--test", "disconnect", "--may-connect")[0] == 0


def test_a_silent_board_and_one_that_is_not_there(run, selftest_ports, monkeypatch):
    monkeypatch.setattr("particle_dev.device.selftest.REPLY_TIMEOUT_S", 0.02)
    with host_board(selftest_ports, Defect.SILENT) as url:
        code, _, err = run("list", "--port", url)
    assert (code, "no answer to a ping" in err, "baud rate" in err) == (ExitCode.FAILED, True, True)
    code, out, _ = run("run", "--port", "/dev/no-such-port", "--json")
    assert (code, json.loads(out)["error"]["type"]) == (ExitCode.NO_DEVICE, "DeviceNotFoundError")
    code, _, err = run("list", "--port", "socket://127.0.0.1:1")
    assert (code, "check the port" in err) == (ExitCode.NO_DEVICE, True)


def test_wrong_command_lines(run, board, plan):
    assert run("run", "--port", board, "--device", "boron")[0] == ExitCode.USAGE
    assert run("run", "--port", board, "--test", "adc", "--plan", plan)[0] == ExitCode.USAGE
    assert run("run", "--port", board, "--baud", "14400")[0] == ExitCode.USAGE
    code, _, err = run("run", "--port", board, "--test", "nothing")
    assert (code, "it has identity, modules" in err) == (ExitCode.BAD_INPUT, True)


@pytest.mark.firmware
def test_a_virtual_board_runs_no_self_test(run, release_store, monkeypatch):
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))
    code, _, err = run("list", "--bench", "virtual", "--device", "boron")
    assert (code, "has no self-test" in err) == (ExitCode.FAILED, True)


@pytest.mark.firmware
def test_a_virtual_board_whose_application_is_the_service(run, release_store, monkeypatch, selftest_ports, tmp_path):
    """Over USB control requests, from the command line to the C code."""
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))
    bench = tmp_path / "bench.toml"
    bench.write_text(
        '[bench]\ndriver = "virtual"\n[bench.options]\nclock = "virtual"\n[[slot]]\nname = "1"\nplatform = "photon"\n'
        f'application = ["program:{selftest_ports / "selftest_host"} --requests --faults 4"]\n'
    )
    code, out, _ = run("run", "--bench", bench, "--test", "gpio", "--test", "ram")
    assert code == ExitCode.FAILED
    assert "FAILED: 1 of 2 tests passed" in out
    assert "! a pin is open, stuck or touches another" in out
