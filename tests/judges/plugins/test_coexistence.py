"""Our pytest plugin in one environment with labgrid's and pytest-embedded's, which are unmodified, and with labgrid's
pyserial in place of the original: all three are used in one run, in one test.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LABGRID_ENVIRONMENT = """
targets:
  main:
    resources:
      RawSerialPort:
        port: "/dev/null"
"""
TOGETHER = """
import serial
import pytest

from particle_dev.device.console import ConsoleSession, open_serial_port
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target


def test_ours(particle_board):
    with particle_board.control() as session:
        assert session.device_id() == particle_board.device_id


def test_labgrids(target):
    assert target.name == "main"
    assert target.get_resource("RawSerialPort").port == "/dev/null"


def test_embeddeds(dut, redirect):
    with redirect():
        print("hello from the board")
    dut.expect_exact("hello from the board")


@pytest.mark.particle_link("usb", "serial")
def test_all_at_once(particle_board, target, dut, redirect):
    assert serial.__version__.count(".") == 3, "labgrid's own pyserial is what is imported"
    change_mode(particle_board.host, particle_board.device(), Target.LISTENING)
    with ConsoleSession(open_serial_port(particle_board.host, particle_board.device())) as console, redirect():
        print(console.identify().device_id)
    dut.expect_exact(particle_board.device_id)
    assert target.name == "main"
"""


@pytest.fixture
def run(tmp_path):
    """Runs pytest of the other environment: (exit status, output)."""
    python = Path(os.environ["PARTICLE_DEV_JUDGES"], "labgrid", "bin", "python")
    assert python.exists(), "make judge-labgrid"

    def call(text, *arguments):
        (tmp_path / "test_it.py").write_text(text)
        (tmp_path / "labgrid.yaml").write_text(LABGRID_ENVIRONMENT)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'harness'}",
        }
        done = subprocess.run(
            [python, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return call


def test_three_plugins_in_one_run(run):
    status, output = run(TOGETHER, "-v", "--strict-markers", "--lg-env", "labgrid.yaml", "--junitxml=out.xml")
    assert status == 0, output
    assert output.count("PASSED") == 4
    assert "2 passed on virtual boards" in output


def test_what_is_not_run_is_no_pass_there_either(run):
    text = "import pytest\n@pytest.mark.particle_platform('p2')\ndef test_a(particle_board): pass\n"
    status, output = run(text, "-n", "2", "--lg-env", "labgrid.yaml")
    assert status == 6, output


def test_the_others_alone_do_not_notice_ours(run):
    status, output = run("def test_a(target, dut): assert target.name == 'main'\n", "--lg-env", "labgrid.yaml")
    assert status == 0, output
    assert "Particle" not in output
