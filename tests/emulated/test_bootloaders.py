"""Real bootloaders reach DFU mode, and our host library flashes through them."""

import random

import pytest
from particle_harness.boards import hardware
from particle_harness.emulator.boards.images import EMULATED
from particle_harness.usb.transfer import GoneError, Setup

from particle_dev.device.dfu import DfuSession
from particle_dev.errors import TransportError
from particle_dev.flash.inventory import inventory_by_dfu
from tests.emulated.work import NEW, OLD, lies_in_flash, modules_of, whole_run

RESET = 40
pytestmark = pytest.mark.images


@pytest.mark.parametrize("platform", EMULATED)
def test_a_board_without_a_system_is_in_dfu_mode(desk, platform):
    """Under its USB ids, with its Device ID, as every virtual board is."""
    place = desk(platform)
    device = place.device()
    assert device.platform.name == platform
    assert device.device_id == place.board.state.device_id
    assert place.board.chip.timeline.now_s < 1.5


@pytest.mark.parametrize("platform", EMULATED)
def test_what_is_written_is_what_lies_in_flash_and_reads_back(desk, platform):
    place = desk(platform)
    data = random.Random(platform).randbytes(128 * 1024)
    board = place.board
    address = 0x40000 if hardware(platform).is_gen3 else 0x08020000
    with DfuSession(place.host, place.device()) as session:
        for sector in session.sectors(address, len(data)):
            session.erase_sector(sector)
        for offset in range(0, len(data), 4096):
            session.write(address + offset, data[offset : offset + 4096])
        assert session.read(0, address, len(data)) == data
    assert board.internal.read(address, len(data)) == data


@pytest.mark.parametrize("platform", ["boron", "argon"])
def test_a_whole_release_goes_on_without_anything_but_the_bootloader_running(desk, images, application, platform):
    place = desk(platform)
    installs = modules_of(images, platform, OLD, application(platform))
    whole_run(place, installs)
    assert lies_in_flash(place.board, installs)
    assert place.board.counts.boots == 1
    with place.session() as session:
        found = inventory_by_dfu(session)
        assert found.device_os == OLD
        assert session.system_would_start()


@pytest.mark.parametrize("platform", ["boron", "tracker"])
def test_mode_held_at_the_start_means_dfu_mode(desk, platform):
    place = desk(platform, OLD)
    place.enter_dfu_by_button()
    assert place.device().platform.name == platform


def test_device_os_comes_back_after_a_reset_of_its_own(desk):
    """Asked by a control request. RAM, and what the SoftDevice keeps there, outlives it."""
    place = desk("boron", OLD)
    board = place.board
    assert board.state.runs == "app"
    address, _ = board.on_bus()
    with pytest.raises(GoneError):
        board.control(address, Setup(0x40, 0x50, 0, RESET, 0))
    assert board.on_bus() is None
    assert board.run_until(lambda: board.on_bus() is not None, 10)
    assert board.state.runs == "app"
    assert board.on_bus()[0] != address


def test_a_plug_pulled_in_the_middle_is_made_good_by_the_next_run(desk, images, application):
    fault = {"do": "unplug", "at": "flash_write", "n": 20_000}
    place = desk("boron", faults=[fault])
    installs = modules_of(images, "boron", NEW, application("boron"))
    with pytest.raises(TransportError):
        whole_run(place, installs)
    assert not place.board.state.powered
    place.board.plug_in()
    whole_run(place, installs)
    assert lies_in_flash(place.board, installs)
