"""Text on terminals of 80 columns, and in pipes."""

import fcntl
import os
import pty
import struct
import termios

import pytest

from particle_dev.cli.error_text import error_text
from particle_dev.cli.wrap import wrapped
from particle_dev.errors import DeviceAmbiguousError, DeviceNotFoundError, PlanRefusedError

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


def test_one_reason_stays_in_its_sentence():
    assert error_text(PlanRefusedError("refused: too old", reasons=["too old"])) == "error: refused: too old"
