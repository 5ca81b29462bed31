import json

from click.testing import CliRunner

from particle_dev.cli import doctor as doctor_module
from particle_dev.cli.doctor import doctor, exit_code_of
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.doctor.finding import Finding, Status


def finding(status):
    return Finding("x", status, "says", "type this")


def test_exit_codes():
    assert exit_code_of((finding(Status.OK), finding(Status.NOTE))) is ExitCode.OK
    assert exit_code_of((finding(Status.UNKNOWN), finding(Status.OK))) is ExitCode.INCOMPLETE
    assert exit_code_of((finding(Status.UNKNOWN), finding(Status.PROBLEM))) is ExitCode.FAILED


def test_text_and_json(monkeypatch):
    monkeypatch.setattr(doctor_module, "_findings", lambda: (finding(Status.PROBLEM),))
    result = CliRunner().invoke(doctor, [], standalone_mode=False)
    assert "PROBLEM  x: says" in result.output
    assert "what to do: type this" in result.output
    assert result.return_value == ExitCode.FAILED
    result = CliRunner().invoke(doctor, ["--json"], standalone_mode=False)
    assert json.loads(result.output)["findings"][0]["status"] == "problem"


def test_print_rules_is_what_gets_installed():
    result = CliRunner().invoke(doctor, ["--print-rules"], standalone_mode=False)
    assert 'ATTR{idVendor}=="2b04"' in result.output
    assert "ID_MM_DEVICE_IGNORE" in result.output
