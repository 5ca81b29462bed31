"""The unmodified command ``pyocd`` on whole virtual boards: what it flashes is what the board boots, over USB too."""

import contextlib
import subprocess
import sys

import pytest
from intelhex import IntelHex
from particle_harness.user_information import factory_uicr, mbr_stand_in

from particle_dev.device.dfu import INTERNAL_FLASH_ALT, DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.station.bench import open_bench

pytestmark = pytest.mark.firmware
STAYS_HALTED = ("-O", "resume_on_disconnect=false")
"""What keeps pyOCD from letting the core go on when it ends."""
UICR_SIZE_BYTES = 0x400
"""As far as pyOCD's memory map goes."""


@pytest.fixture
def make_slot(tmp_path):
    with contextlib.ExitStack() as stack:

        def make(platform, **keys):
            bench = open_bench(
                "virtual",
                options={"clock": "real", "delays": "none"},
                slots=[{"name": "1", "platform": platform, "probe": True, **keys}],
                factory_modules=lambda _platform: [],
            )
            stack.callback(bench.close)
            return bench.slots[0], bench.driver.board("1")

        yield make


@pytest.fixture
def pyocd_on():
    def run(slot, target, command, *arguments):
        words = [sys.executable, "-m", "pyocd", command, "-u", slot.probe_id, "-t", target, "--no-config", *arguments]
        done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def whole_boron(real_image, tmp_path):
    """Device OS 2.1.0 and Tinker as one hex file, with a stand-in boot record and UICR as a restore file has it."""
    image = IntelHex()
    for file, address in real_image("boron"):
        image.frombytes(file.read_bytes(), address)
    image.frombytes(mbr_stand_in(), 0)
    image.frombytes(factory_uicr(0, was_protected=False)[:UICR_SIZE_BYTES], 0x10001000)
    file = tmp_path / "boron.hex"
    image.write_hex_file(str(file))
    return image, file


def holds(read, image):
    return all(
        read(start, stop - start) == image.tobinarray(start=start, end=stop - 1).tobytes()
        for start, stop in image.segments()
        if start < 0x10000000
    )


def test_flash_a_blank_boron_then_see_it_in_dfu_mode_over_usb(make_slot, pyocd_on, whole_boron):
    slot, board = make_slot("boron", blank=True)
    image, file = whole_boron
    pyocd_on(slot, "nrf52840", "flash", "--no-reset", *STAYS_HALTED, str(file))
    assert holds(board.internal.read, image)
    assert (board.truth.dfu_entries, board.truth.app_boots, board.on_bus()) == (0, 0, None)
    pyocd_on(slot, "nrf52840", "cmd", "-c", "write32 0x2003f380 0xedfa", "-c", "reset")
    device = wait_for_device(slot.host, slot.port_path, 10)
    assert device.device_id == board.state.device_id
    with DfuSession(slot.host, device) as session:
        assert holds(lambda address, size_bytes: session.read(INTERNAL_FLASH_ALT, address, size_bytes), image)
    assert (board.truth.dfu_entries, board.truth.app_boots) == (1, 0)


def test_without_a_reset_the_board_boots_all_the_same_when_pyocd_ends(make_slot, pyocd_on, whole_boron):
    slot, board = make_slot("boron", blank=True)
    pyocd_on(slot, "nrf52840", "flash", "--no-reset", str(whole_boron[1]))
    assert (board.state.runs, board.truth.app_boots) == ("listening", 1), board.state.reasons


def test_reset_lets_the_application_run_and_erase_ends_it(make_slot, pyocd_on, whole_boron):
    slot, board = make_slot("boron", blank=True)
    pyocd_on(slot, "nrf52840", "flash", "--no-reset", *STAYS_HALTED, str(whole_boron[1]))
    assert board.truth.app_boots == 0
    pyocd_on(slot, "nrf52840", "reset")
    assert board.state.runs == "listening", board.state.reasons
    assert board.truth.app_boots == 1
    pyocd_on(slot, "nrf52840", "erase", "--chip")
    assert board.internal.read(0, 1 << 20) == b"\xff" * (1 << 20)
    pyocd_on(slot, "nrf52840", "reset")
    assert (board.state.runs, board.on_bus()) == ("hung", None)


def test_photon_parked_in_dfu_mode_by_its_backup_register(make_slot, pyocd_on, real_image):
    slot, board = make_slot("photon", blank=True)
    for file, address in real_image("photon"):
        pyocd_on(
            slot, "stm32f412xg", "load", "--no-reset", "--format", "bin", "--base-address", hex(address), str(file)
        )
    gates = ("write32 0x40023840 0x10000000", "write32 0x40007000 0x100", "write32 0x40002854 0xedfa")
    words = [word for command in ("halt", *gates, "reset") for word in ("-c", command)]
    pyocd_on(slot, "stm32f412xg", "cmd", *words)
    device = wait_for_device(slot.host, slot.port_path, 10)
    with DfuSession(slot.host, device) as session:
        file, address = real_image("photon")[1]
        assert session.read(INTERNAL_FLASH_ALT, address, file.stat().st_size) == file.read_bytes()
    assert board.truth.app_boots == 0


LIST_IN_A_PROCESS_WITH_A_BENCH = """
from particle_harness.bench import open_bench
from pyocd.__main__ import PyOCDTool

slot = {"name": "1", "platform": "boron", "probe": True, "blank": True, "device_id": "e00fce680123456789abcdef"}
bench = open_bench(options={}, slots=[slot], state_dir=None, factory_modules=lambda platform: [])
raise SystemExit(PyOCDTool().run(["list", "--probes"]))
"""


def test_pyocd_lists_the_probes_of_its_process():
    # Its table library warns of itself, so it has a process of its own.
    words = [sys.executable, "-c", LIST_IN_A_PROCESS_WITH_A_BENCH]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "Ve00fce680123456789abcdef" in done.stdout
