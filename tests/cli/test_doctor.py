"""The command on a made-up Linux. The checks themselves: tests/doctor."""

import json

import pytest
from click.testing import CliRunner

from particle_dev.cli.doctor import doctor, exit_code_of
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.doctor import udev_rules
from particle_dev.doctor.finding import Finding, Status
from particle_dev.doctor.linux import LinuxSystem


def finding(status):
    return Finding("x", status, "says", "type this")


@pytest.fixture
def root(tmp_path):
    """Files of a Linux with USB, where nothing is installed or plugged in."""
    (tmp_path / "sys/bus/usb/devices/usb1").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    return tmp_path


def run(root, *arguments):
    return CliRunner().invoke(doctor, arguments, obj=LinuxSystem(root, is_superuser=False), standalone_mode=False)


def found(result):
    return {f["subject"]: f for f in json.loads(result.output)["findings"]}


def test_exit_codes():
    assert exit_code_of((finding(Status.OK), finding(Status.NOTE))) is ExitCode.OK
    assert exit_code_of((finding(Status.UNKNOWN), finding(Status.OK))) is ExitCode.INCOMPLETE
    assert exit_code_of((finding(Status.UNKNOWN), finding(Status.PROBLEM))) is ExitCode.FAILED


def test_a_problem_in_text_and_json(root):
    result = run(root)
    assert "PROBLEM  udev rules: " in result.output
    assert f"what to do: {udev_rules.INSTALL_COMMAND}" in result.output
    assert result.return_value == ExitCode.FAILED
    result = run(root, "--json")
    assert result.return_value == ExitCode.FAILED
    assert json.loads(result.output)["installed"] is None
    assert found(result)["udev rules"]["status"] == "problem"
    assert found(result)["libusb"]["status"], "what is no part of the system is checked, too"


@pytest.mark.parametrize("as_json", [False, True])
def test_install_says_which_file_it_wrote(root, monkeypatch, as_json):
    commands = []
    monkeypatch.setattr(udev_rules.subprocess, "run", lambda command, **_: commands.append(command[0]))
    result = run(root, "--install", *(["--json"] if as_json else []))
    path = root / "etc/udev/rules.d/70-particle-dev.rules"
    assert path.read_text() == udev_rules.rules_text()
    assert commands == ["udevadm", "udevadm"]
    if as_json:
        assert json.loads(result.output)["installed"] == str(path)
        assert found(result)["udev rules"]["status"] == "ok"
    else:
        assert result.output.splitlines()[0] == f"installed {path}"


def test_print_rules_is_what_gets_installed(root):
    result = run(root, "--print-rules")
    assert 'ATTR{idVendor}=="2b04"' in result.output
    assert "ID_MM_DEVICE_IGNORE" in result.output
    assert json.loads(run(root, "--print-rules", "--json").output) == {"rules": result.output}
