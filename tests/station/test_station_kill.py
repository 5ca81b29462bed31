"""kill -9 of the real command, anywhere, and the same command again. Boards keep their flash and mode in files, as
real ones do in silicon."""

import signal
import subprocess
import sys
import time

import pytest
from particle_harness.user_information import factory_uicr, intel_hex, mbr_stand_in

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal
from particle_dev.station.report import REPORT_NAME

pytestmark = pytest.mark.firmware
BENCH = """
[bench]
driver = "virtual"
[bench.options]
delays = "none"
[[slot]]
name = "1"
platform = "boron"
[[slot]]
name = "2"
platform = "photon"
"""
EVENTS_OF_A_RUN = 2 + 2 * 16
KILLED = """
import os, signal, sys
from particle_dev.cli.main import main
from particle_dev.station import journal
from particle_dev.transport.swd_process import SwdProcess
from particle_harness.usb.pyusb_backend import VirtualBackend

lines_left, calls_left = int(sys.argv[1]), int(sys.argv[2])
write_all = journal._write_all

def kill_if_due():
    if lines_left <= 0 and calls_left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)

def counted_line(*arguments):
    global lines_left
    write_all(*arguments)
    lines_left -= 1
    kill_if_due()

def counted(call):
    def made(*arguments, **named):
        global calls_left
        calls_left -= lines_left <= 0
        kill_if_due()
        return call(*arguments, **named)
    return made

journal._write_all = counted_line
for where, call in (
    (VirtualBackend, "enumerate_devices"),
    (VirtualBackend, "ctrl_transfer"),
    (SwdProcess, "call"),
    (SwdProcess, "_answer"),
):
    setattr(where, call, counted(getattr(where, call)))
kill_if_due()
main(sys.argv[3:])
"""
"""The command, which kills itself after so many lines of the journal, and then before the n-th call to USB or a probe:
at the same place on every machine, however busy."""


@pytest.fixture
def command(tmp_path, release_store):
    (tmp_path / "bench.toml").write_text(BENCH)
    recipe = "recipes/ship.toml"

    def make(folder):
        return [
            *(sys.executable, "-m", "particle_dev", "station", "run", "--recipe", recipe),
            *("--bench", str(tmp_path / "bench.toml"), "--store", str(release_store.root), "--out", str(folder)),
        ]

    return make


def record_of(folder):
    events, torn = read_journal(folder / JOURNAL_NAME)
    assert not torn
    return fold(events)


def lines_in(folder):
    try:
        return (folder / JOURNAL_NAME).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def finished(folder):
    """A kill that comes while the interpreter shuts down leaves a finished run, which is not taken up again."""
    return (folder / REPORT_NAME).exists() and record_of(folder).verdict == "pass"


def kill_at(command, folder, line_count, calls=0):
    """Kill the command `calls` calls to USB or a probe after it wrote that many lines. False: it was over before."""
    words = command(folder)
    assert words[1:3] == ["-m", "particle_dev"]
    killed = [words[0], "-c", KILLED, str(line_count), str(calls), *words[3:]]
    done = subprocess.run(killed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return done.returncode == -signal.SIGKILL


@pytest.mark.timeout(400)
def test_second_run_ends_with_the_record_of_an_undisturbed_one(command, tmp_path):
    assert subprocess.run(command(tmp_path / "undisturbed"), capture_output=True, check=False).returncode == 0
    expected = [u.comparable() for u in record_of(tmp_path / "undisturbed").units]
    killed = 0
    for line_count in range(0, EVENTS_OF_A_RUN, 3):
        folder = tmp_path / f"killed-{line_count}"
        killed += kill_at(command, folder, line_count, 2 * (line_count % 5))
        expected_code = ExitCode.REFUSED if finished(folder) else ExitCode.OK
        again = subprocess.run(command(folder), capture_output=True, text=True, check=False)
        assert again.returncode == expected_code, (line_count, again.stdout, again.stderr)
        record = record_of(folder)
        assert [u.comparable() for u in record.units] == expected, line_count
    # Up to line 21, and at line 30 without a call: how many calls follow the other lines depends on the slots' order.
    assert killed >= 9


COPY_STARTED = 11
"""Events up to the step in which the bootloader copies its successor, with one board on the bench."""


def test_killed_while_the_bootloader_copies_its_successor(command, tmp_path):
    bench = BENCH.split("[[slot]]")[:2]
    (tmp_path / "bench.toml").write_text("[[slot]]".join(bench) + 'device_os = "2.0.0"\n')
    assert subprocess.run(command(tmp_path / "undisturbed"), capture_output=True, check=False).returncode == 0
    (expected,) = (u.comparable() for u in record_of(tmp_path / "undisturbed").units)
    assert "copy" in [step["name"] for step in expected["steps"]]
    for calls in (0, 1, 3):
        folder = tmp_path / f"copying-{calls}"
        assert kill_at(command, folder, COPY_STARTED, calls)
        *_, last = read_journal(folder / JOURNAL_NAME)[0]
        assert (last.type, last.step) == ("step_started", "copy")
        again = subprocess.run(command(folder), capture_output=True, text=True, check=False)
        assert again.returncode == ExitCode.OK, (calls, again.stdout, again.stderr)
        (unit,) = record_of(folder).units
        assert unit.comparable() == expected, calls


def test_killed_twice(command, tmp_path):
    assert subprocess.run(command(tmp_path / "undisturbed"), capture_output=True, check=False).returncode == 0
    folder = tmp_path / "killed"
    assert kill_at(command, folder, 12, 5)
    assert kill_at(command, folder, 4, 5)
    assert subprocess.run(command(folder), capture_output=True, check=False).returncode == 0
    record = record_of(folder)
    assert len(record.attempts) == 3
    expected = [u.comparable() for u in record_of(tmp_path / "undisturbed").units]
    assert [u.comparable() for u in record.units] == expected


def test_ctrl_c_stops_the_units_and_the_next_run_goes_on(command, tmp_path):
    folder = tmp_path / "stopped"
    # A shell's background job, which this test may be part of, inherits an ignored Ctrl-C.
    heard = ["env", "--default-signal=INT", *command(folder)]
    process = subprocess.Popen(heard, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while lines_in(folder) < 14 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED, stderr
    record = record_of(folder)
    assert {str(u.verdict) for u in record.units} <= {"interrupted", "pass"}
    assert record.verdict == "incomplete"
    assert (folder / "report.html").exists()
    assert subprocess.run(command(folder), capture_output=True, check=False).returncode == 0
    assert record_of(folder).verdict == "pass"


PROBE_BENCH = """
[bench]
driver = "virtual"
[bench.options]
delays = "none"
[[slot]]
name = "1"
platform = "boron"
blank = true
probe = true
"""
PROBE_RECIPE = """
[recipe]
name = "blank"
finish = "dfu"
[probe]
boards = "all"
[firmware.boron]
device_os = "2.1.0"
app = "tinker-0.8.0-rc.27-boron.bin"
restore = "boron.hex"
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("line_count", [5, 8])
def test_killed_while_a_probe_works_then_the_same_again(release_store, tmp_path, monkeypatch, line_count):
    """Nobody lets the core go, and the next run takes it up where it stands; before the write and within it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bench.toml").write_text(PROBE_BENCH)
    (tmp_path / "recipe.toml").write_text(PROBE_RECIPE)
    uicr = factory_uicr(0, was_protected=False)[:0x400]
    (tmp_path / "boron.hex").write_text(intel_hex([(0, mbr_stand_in()), (0x10001000, uicr)]))

    def command(folder):
        return [
            *(sys.executable, "-m", "particle_dev", "station", "run", "--recipe", str(tmp_path / "recipe.toml")),
            *("--bench", str(tmp_path / "bench.toml"), "--store", str(release_store.root), "--out", str(folder)),
        ]

    folder = tmp_path / "run"
    assert kill_at(command, folder, line_count, 5)
    again = subprocess.run(command(folder), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    (unit,) = record_of(folder).units
    assert (str(unit.verdict), str(unit.billing.verdict)) == ("pass", "not_started")
    assert {e.id for e in unit.billing.evidence} == {"dfu", "halted"}
