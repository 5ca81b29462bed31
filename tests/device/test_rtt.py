"""RTT between the host and a firmware of ours, compiled for Cortex-M4 and executed on a virtual nRF52840.

pyOCD's own RTT reads the same channel, so that layout and ring rules do not rest on our two ends alone.
"""

import gc
import subprocess
from pathlib import Path

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.cmsis_dap import CmsisDap
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.plugged import plugged
from particle_harness.swd.probe_server import ProbeServer
from pyocd.core.helpers import ConnectHelper
from pyocd.debug.rtt import RTTControlBlock

from particle_dev.catalog.flash_chips import NRF52840_FLASH
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.device.rtt import start_rtt
from particle_dev.device.swd import swd_session
from particle_dev.errors import DeviceModeError, FormatError, PermissionMissingError, ProtocolError
from particle_dev.permissions import NOTHING, Permissions

pytestmark = pytest.mark.usefixtures("own_probes")
SOURCE = Path(__file__).parent / "rtt_firmware"
MAY_CONNECT = Permissions(may_connect=True)
BLOCK = 0x20004800
GREETING = b"ready: a greeting that is longer than the buffer it has to go through\n"


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    """The image for address 0."""
    folder = tmp_path_factory.mktemp("rtt")
    elf, image = folder / "rtt.elf", folder / "rtt.bin"
    flags = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-ffreestanding", "-nostdlib", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        ["arm-none-eabi-gcc", *flags, "-T", SOURCE / "link.ld", "-o", elf, SOURCE / "main.c"], check=True, timeout=60
    )
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", "-j", ".text", elf, image], check=True, timeout=60)
    return image.read_bytes()


@pytest.fixture
def chip(firmware):
    chip = Nrf52840(Silicon(bytes(range(8))), NorFlash(NRF52840_FLASH, VirtualClock(), delays=False))
    chip.flash.load(0, firmware)
    chip.pin_reset()
    with plugged(CmsisDap(chip, "A1")):
        yield chip
    gc.collect()


@pytest.fixture
def session(chip):
    with swd_session("A1", in_process=True) as opened:
        yield opened


def read_until(rtt, end, limit=2000):
    heard = b""
    for _ in range(limit):
        heard += rtt.read()
        if heard.endswith(end):
            return heard
    raise AssertionError(heard)


@pytest.mark.parametrize("address", [BLOCK, None])
def test_both_ways_through_rings_that_are_smaller_than_what_is_said(session, address):
    rtt = start_rtt(session, MAY_CONNECT, address=address)
    assert (rtt.address, rtt.up, rtt.down) == (BLOCK, 1, 1)
    assert read_until(rtt, b"\n") == GREETING
    asked, heard = b"the quick brown fox jumps over the lazy dog\n" * 5, b""
    left = asked
    while len(heard) < len(asked):
        left = left[rtt.write(left) :]
        heard += rtt.read()
    assert heard == asked.upper()
    assert rtt.read() == b""


def test_the_firmware_runs_with_permission_alone(session, chip):
    before = bytes(chip.ram)
    with pytest.raises(PermissionMissingError, match="--may-connect"):
        start_rtt(session, NOTHING)
    with pytest.raises(PermissionMissingError, match="--may-connect"):
        start_rtt(session, NOTHING, reset=False)
    assert chip.core.halted
    assert bytes(chip.ram) == before


def test_a_block_of_the_run_before_is_not_taken_for_the_new_one(session, chip):
    start_rtt(session, MAY_CONNECT)
    session.link.reset_and_halt()
    # What comes up now never makes a block.
    chip.flash.load(8, bytes.fromhex("fee7"))
    chip.flash.load(4, bytes.fromhex("09000000"))
    with pytest.raises(DeviceModeError):
        start_rtt(session, MAY_CONNECT, address=BLOCK, timeout_s=0.2, clock=VirtualClock())


def test_a_full_down_ring_takes_what_there_is_room_for(session, chip):
    rtt = start_rtt(session, MAY_CONNECT)
    session.link.halt()
    assert rtt.write(b"x" * 100) == 15
    assert rtt.write(b"x") == 0


def test_no_control_block_in_time(session):
    clock = VirtualClock()
    with pytest.raises(DeviceModeError, match="no RTT control block at 0x20030000"):
        start_rtt(session, MAY_CONNECT, address=0x20030000, clock=clock)
    assert clock.monotonic_s() == pytest.approx(5, abs=0.1)


def test_a_block_that_was_overwritten(session):
    rtt = start_rtt(session, MAY_CONNECT)
    session.link.halt()
    session.link.write_word(BLOCK + 24 + 16, 999)
    with pytest.raises(FormatError, match="999 in 32 bytes"):
        rtt.read()
    with pytest.raises(ProtocolError, match="no channel 1"):
        rtt.read(1)


def test_pyocd_reads_the_same_channel(chip):
    """The first half by ours, the rest by theirs."""
    with swd_session("A1", in_process=True) as session:
        rtt = start_rtt(session, MAY_CONNECT)
        heard = rtt.read()
        session.link.halt()
    options = {"target_override": "nrf52840", "resume_on_disconnect": False, "auto_unlock": False, "no_config": True}
    with ConnectHelper.session_with_chosen_probe(
        unique_id="A1", blocking=False, return_first=True, options=options
    ) as theirs:
        theirs.target.resume()
        block = RTTControlBlock.from_target(theirs.target, address=BLOCK)
        block.start()
        for _ in range(2000):
            heard += bytes(block.up_channels[0].read())
            if heard.endswith(b"\n"):
                break
        assert heard == GREETING
        assert block.up_channels[0].name == "test"
        block.down_channels[0].write(b"abc\n")
        heard = b""
        for _ in range(2000):
            heard += bytes(block.up_channels[0].read())
        assert heard == b"ABC\n"


@pytest.fixture
def served(firmware):
    chip = Nrf52840(Silicon(bytes(range(8))), NorFlash(NRF52840_FLASH, VirtualClock(), delays=False))
    chip.flash.load(0, firmware)
    chip.pin_reset()
    with ProbeServer(chip) as server:
        yield chip, f"remote:127.0.0.1:{server.port}"


def test_the_command(served, capfdbinary):
    chip, probe = served

    def rtt(*words):
        with pytest.raises(SystemExit) as ended:
            main(["swd", "rtt", "--probe", probe, *words])
        return ended.value.code or 0, capfdbinary.readouterr().out

    code, out = rtt()
    assert (code, out) == (ExitCode.REFUSED, b"")
    code, out = rtt("--may-connect", "--send", "hello\n", "--until", "HELLO\n", "--for", "20")
    assert (code, out) == (0, GREETING + b"HELLO\n")
    # Nothing runs unattended.
    assert chip.core.halted
    code, out = rtt("--may-connect", "--until", "never", "--for", "0.5", "--address", hex(BLOCK))
    assert (code, out) == (ExitCode.INCOMPLETE, GREETING)
