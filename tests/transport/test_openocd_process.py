"""The process of an OpenOCD session: the real OpenOCD, which waits for a probe that accepts and never answers."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

OPENS = """
import sys
from particle_dev.transport.openocd import OpenOcd
OpenOcd(sys.argv[1], [], frequency_hz=1_000_000)
"""


@pytest.fixture
def waits():
    """A process that opens a session, in the middle of it, and a pidfd of its OpenOCD."""
    with contextlib.ExitStack() as stack:
        probe = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        probe.settimeout(30)
        # A shell's background job, which this test may be part of, inherits an ignored Ctrl-C.
        command = ["env", "--default-signal=INT", sys.executable, "-c", OPENS]
        command.append(f"cmsis-dap-tcp:127.0.0.1:{probe.getsockname()[1]}")
        process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        connection, _ = probe.accept()
        stack.enter_context(connection)
        openocd = os.pidfd_open(only_child(only_child(process.pid)))
        stack.callback(os.close, openocd)
        yield process, openocd


def only_child(pid):
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def ended(pidfd):
    return bool(select.select([pidfd], [], [], 20)[0])


def test_it_is_openocd_and_holds_the_probe(waits):
    process, openocd = waits
    pid = only_child(only_child(process.pid))
    assert Path(f"/proc/{pid}/exe").readlink().name == "openocd"
    assert not select.select([openocd], [], [], 0)[0]


def test_openocd_ends_with_a_parent_that_is_killed(waits):
    process, openocd = waits
    process.kill()
    assert ended(openocd), "it goes on without its parent"


def test_ctrl_c_while_it_opens_ends_openocd_and_is_raised(waits):
    process, openocd = waits
    process.send_signal(signal.SIGINT)
    assert ended(openocd), "it keeps the probe"
    _, stderr = process.communicate()
    assert stderr.splitlines()[-1] == "KeyboardInterrupt"
