"""Sessions in child processes, with chips served over TCP."""

import os
import select
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.probe_server import ProbeServer

from particle_dev.catalog.chips import NRF52840
from particle_dev.catalog.flash_chips import NRF52840_FLASH
from particle_dev.errors import (
    ChipLockedError,
    DeviceNotFoundError,
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    TransportError,
)
from particle_dev.transport.swd_process import SwdProcess

pytestmark = pytest.mark.usefixtures("own_probes")


@pytest.fixture
def served():
    """A chip and the id of the probe on it."""
    chip = Nrf52840(Silicon(bytes(8)), NorFlash(NRF52840_FLASH, VirtualClock(), delays=False))
    chip.flash.load(0, bytes.fromhex("0010002001010000"))
    with ProbeServer(chip) as server:
        yield chip, f"remote:127.0.0.1:{server.port}"


def test_memory_and_errors_come_through(served):
    chip, probe_id = served
    with SwdProcess(probe_id, NRF52840) as link:
        link.call("write", address=0x20000000, data=b"across")
        assert link.call("read", address=0x20000000, size_bytes=6) == b"across"
        with pytest.raises(TransportError) as caught:
            link.call("read", address=0x60000000, size_bytes=4)
        assert caught.value.where == probe_id
        assert link.call("read", address=0x20000000, size_bytes=2) == b"ac"
    assert bytes(chip.ram[:6]) == b"across"
    assert chip.core.halted


def test_a_locked_chip(served):
    chip, probe_id = served
    chip.uicr[0x208] = 0
    chip.pin_reset()
    with pytest.raises(ChipLockedError) as caught:
        SwdProcess(probe_id, NRF52840)
    assert "--may-erase" in caught.value.hint


def test_a_probe_that_stops_answering_ends_the_session_in_time(served):
    chip, probe_id = served
    with SwdProcess(probe_id, NRF52840) as link:
        start_s = time.monotonic()
        with chip.lock, pytest.raises(LinkTimeoutError, match="took longer than 1 s"):
            link.call("read", timeout_s=1.0, address=0x20000000, size_bytes=4)
        assert time.monotonic() - start_s < 5
        with pytest.raises(LinkDisconnectedError):
            link.call("read", address=0x20000000, size_bytes=4)


def test_a_session_that_is_killed(served):
    _, probe_id = served
    with SwdProcess(probe_id, NRF52840) as link:
        os.kill(link._process.pid, signal.SIGKILL)
        link._process.join()
        with pytest.raises(LinkDisconnectedError):
            link.call("read", address=0x20000000, size_bytes=4)


def test_a_session_that_dies_just_before_it_is_told_something(served, monkeypatch):
    _, probe_id = served
    with SwdProcess(probe_id, NRF52840) as link:
        link._process.kill()
        link._process.join()
        alive = SimpleNamespace(is_alive=lambda: True, kill=lambda: None, join=lambda _timeout_s: None)
        monkeypatch.setattr(link, "_process", alive)
        with pytest.raises(LinkDisconnectedError, match="died during read"):
            link.call("read", address=0x20000000, size_bytes=4)


HANGS = """
import sys
from particle_dev.catalog.chips import NRF52840
from particle_dev.transport.swd_process import SwdProcess
link = SwdProcess(sys.argv[1], NRF52840)
print(link._process.pid, flush=True)
sys.stdin.readline()
link._connection.send(("read", {"address": 0x20000000, "size_bytes": 4}, False))
print("sent", flush=True)
sys.stdin.readline()
"""


def test_a_session_ends_with_its_parent_in_the_middle_of_an_act(served):
    chip, probe_id = served
    command = [sys.executable, "-c", HANGS, probe_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        session = os.pidfd_open(int(parent.stdout.readline()))
        with chip.lock:
            parent.stdin.write("go\n")
            parent.stdin.flush()
            parent.stdout.readline()
            parent.kill()
            assert select.select([session], [], [], 20)[0], "it goes on without its parent"
        os.close(session)


def test_no_such_probe():
    with pytest.raises(DeviceNotFoundError, match="no debug probe has the id"):
        SwdProcess("no such probe", NRF52840)


def test_no_server_behind_the_probe():
    with pytest.raises(DeviceNotFoundError, match=r"no probe server answers at remote:127\.0\.0\.1:1"):
        SwdProcess("remote:127.0.0.1:1", NRF52840)


def test_sessions_are_processes(served):
    _, probe_id = served
    with SwdProcess(probe_id, NRF52840) as link:
        assert link._process.pid != os.getpid()


def test_flash_through_the_process(served):
    chip, probe_id = served
    page = os.urandom(4096)
    heard = []
    with SwdProcess(probe_id, NRF52840) as link:
        link.erase_sectors([0x1000, 0x2000])
        link.write_pages([(0x2000, page), (0x1000, page)], progress=heard.append)
        assert len(set(link.page_crcs([0x1000, 0x2000]))) == 1
        link.write_user_information({0x10001014: 0xF4000})
        assert link.read_word(0x10001014) == 0xF4000
        link.erase_everything()
        assert link.halted
    assert heard == [0.5, 1.0]
    assert {*bytes(chip.flash.cells), *chip.uicr} == {0xFF}


def test_two_processes_on_one_probe(served):
    _, probe_id = served
    with SwdProcess(probe_id, NRF52840), pytest.raises(LinkAccessError, match="another session"):
        SwdProcess(probe_id, NRF52840)
