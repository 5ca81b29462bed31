"""Text on terminals of 80 columns, and in pipes."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from particle_dev.cli.error_text import error_text
from particle_dev.cli.escape import escaped
from particle_dev.cli.wrap import wrapped
from particle_dev.errors import CapacityError, DeviceAmbiguousError, DeviceNotFoundError, PlanRefusedError

LONG = (
    "Boron e00fce68aabbccddeeff0011 is protected; type `particle-dev protection open --key-file somewhere/else` and try"
)


@pytest.fixture
def terminal():
    """A stream on a terminal with 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(slave, "w") as stream:
        yield stream
    os.close(master)


def test_a_terminal_gets_lines_that_fit_and_commands_in_one_piece(terminal):
    lines = wrapped(f"  {LONG}", terminal, 6).splitlines()
    assert len(lines) > 1
    assert all(len(line) < 80 for line in lines)
    assert any("`particle-dev protection open --key-file somewhere/else`" in line for line in lines)
    assert [len(line) - len(line.lstrip()) for line in lines] == [2] + [6] * (len(lines) - 1)


def test_a_path_that_is_too_long_is_not_broken(terminal):
    path = "/somewhere/" * 10
    assert path in wrapped(f"cannot read {path}", terminal).splitlines()[1]


def test_a_pipe_gets_one_line(tmp_path):
    with (tmp_path / "out").open("w") as stream:
        assert wrapped(LONG, stream) == LONG


def test_a_terminal_that_tells_no_width(terminal):
    fcntl.ioctl(terminal.fileno(), termios.TIOCSWINSZ, bytes(8))
    assert wrapped(LONG, terminal) == LONG


def test_several_devices_and_reasons_are_a_list():
    devices = ["Boron e00fce (normal mode, port 1-1)", "Photon 260038 (dfu mode, port 1-2)"]
    listed = [f"    {device}" for device in devices]
    several = DeviceAmbiguousError(
        f"2 devices match: {'; '.join(devices)}", candidates=["e", "2"], devices=devices, hint="choose"
    )
    assert error_text(several).splitlines() == ["error: 2 devices match:", *listed, "  what to do: choose"]
    missing = DeviceNotFoundError("no device", devices=devices, hint=f"take one of these: {'; '.join(devices)}")
    assert error_text(missing).splitlines() == ["error: no device", "  what to do: take one of these:", *listed]
    refused = PlanRefusedError("refused: too old; too large", reasons=["too old", "too large"], hint="take another")
    assert error_text(refused).splitlines()[:3] == ["error: refused:", "    too old", "    too large"]


def test_a_number_of_devices_is_no_list():
    full = CapacityError("2 more devices would make 201", devices=199, limit=100, hint="remove devices")
    assert error_text(full).splitlines() == ["error: 2 more devices would make 201", "  what to do: remove devices"]


def test_one_reason_stays_in_its_sentence():
    assert error_text(PlanRefusedError("refused: too old", reasons=["too old"])) == "error: refused: too old"


# ---- whole commands -------------------------------------------------------------------------------------------

PARTICLE_DEV = Path(sys.executable).with_name("particle-dev")
BENCH = """
[bench]
driver = "virtual"
[bench.options]
clock = "real"
delays = "none"
[[slot]]
name = "left"
platform = "tracker"
[[slot]]
name = "right"
platform = "boron"
"""


def on_terminal(argv, environment):
    """Run a command on a terminal of 80 columns: exit status, and what it wrote."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    output = b""
    try:
        while data := os.read(master, 65536):
            output += data
    except OSError:
        pass  # The terminal's other side is closed.
    os.close(master)
    return process.wait(timeout=30), output.decode().replace("\r\n", "\n")


@pytest.mark.firmware
@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (0, "list"),
        (0, "list --watch --duration 1"),
        (4, "id"),
        (4, "id --device photon"),
        (0, "mode dfu --device boron"),
        (0, "mode listening --device boron"),
        (0, "monitor --duration 1"),
        (5, "mode safe --device boron"),
        (0, "flash --device boron --device-os 2.1.0 --app tinker-0.8.0-rc.27-boron.bin --dry-run"),
        (5, "flash --device boron --app tinker-0.8.0-rc.27-boron.bin"),
        (5, "flash --device tracker app.bin --device-os 2.1.0"),
        (0, "firmware check app.bin --device-os 2.1.0"),
        (5, "firmware check app.bin --platform argon --device-os 2.1.0"),
        (0, "firmware list"),
    ],
)
def test_no_line_is_longer_than_the_terminal(
    status, arguments, release_store, particle_cli_firmware, tmp_path, monkeypatch
):
    app = particle_cli_firmware / "particle-cli-2.12.0/package/assets/binaries/tinker-0.8.0-rc.27-boron.bin"
    bench = tmp_path / "bench.toml"
    bench.write_text(BENCH)
    (tmp_path / "app.bin").symlink_to(app)
    words = arguments.split()
    if words[0] != "firmware":
        words += ["--bench", "bench.toml"]
    environment = {**os.environ, "PARTICLE_DEV_STORE": str(release_store.root), "XDG_CONFIG_HOME": str(tmp_path)}
    monkeypatch.chdir(tmp_path)
    found, output = on_terminal([PARTICLE_DEV, *words], environment)
    assert found == status, output
    assert output.strip()
    assert [line for line in output.splitlines() if len(line.rpartition("\r")[2]) > 80] == []
    if arguments == "firmware list":
        assert "boron-system-part1@2.1.0.bin" in output, "in one piece"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shed \ud83d", "shed \\ud83d"),
        ("\udcff", "\\xff"),
        ("a\x1b[0m\n", "a\\x1b[0m\\n"),
        ("\U0001f600 ß", "\U0001f600 ß"),
    ],
)
def test_text_that_no_terminal_takes(text, shown):
    assert escaped(text) == shown
    escaped(text).encode()
