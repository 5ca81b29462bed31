"""Particle's own bootloaders on the emulated nRF52840: whoever holds the images has them executed (`make emulated`)."""

import itertools
import random
import struct

import pytest
from particle_harness.boards import hardware
from particle_harness.debug_side import DFU_WORD
from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.boards.images import BoardImages
from particle_harness.emulator.boards.new_board import NewBoard, make_board
from particle_harness.swd.nrf52840 import RETAINED_WORD
from particle_harness.usb.dfu_terms import Request, State
from particle_harness.usb.transfer import Setup, StallError

pytestmark = [pytest.mark.images, pytest.mark.timeout(600)]
RELEASES = {
    **dict.fromkeys(("boron", "bsom", "b5som", "argon"), ("1.5.0", "2.1.0", "2.2.0")),
    "tracker": ("2.1.0", "2.2.0"),
    "xenon": ("1.5.0", "1.5.2"),
}
BOARDS = [pytest.param(name, release, id=f"{name}@{release}") for name in RELEASES for release in RELEASES[name]]
ONE_EACH = [pytest.param(name, RELEASES[name][-1], id=name) for name in RELEASES]
DEVICE_ID = "e00fce680102030405060708"
GETSTATUS = Setup(0xA1, Request.GETSTATUS, 0, 0, 6)
CLRSTATUS, ABORT = Setup(0x21, Request.CLRSTATUS, 0, 0, 0), Setup(0x21, Request.ABORT, 0, 0, 0)


class DfuBoard:
    """Requests to a board that is in DFU mode."""

    def __init__(self, board: EmulatedBoard) -> None:
        self.board = board
        self.address, self.identity = board.on_bus()

    def control(self, setup, data=b""):
        return self.board.control(self.address, setup, data)

    def status(self):
        reply = self.control(GETSTATUS)
        return reply[0], reply[4]

    def send(self, block, data):
        """Statuses and states from the download until the board is no longer busy. Work that fails stalls the status
        stage of the GETSTATUS that started it, some microseconds after the bootloader had allowed it."""
        self.control(Setup(0x21, Request.DNLOAD, block, 0, len(data)), data)
        seen = []
        while not seen or seen[-1][1] == State.DNBUSY:
            try:
                seen.append(self.status())
            except StallError:
                seen.append((0, State.DNBUSY))
        return seen

    def command(self, opcode, address):
        return self.send(0, struct.pack("<BI", opcode, address))

    def select(self, alternate):
        self.control(Setup(0x01, 11, alternate, 0, 0))


def board_with(name, images):
    addresses = itertools.count(1)
    return make_board(
        NewBoard(hardware(name), DEVICE_ID, images=lambda: images),
        port_path="1-1",
        next_address=lambda: next(addresses),
    )


@pytest.fixture
def in_dfu_mode(images_of):
    def make(name, release):
        board = board_with(name, BoardImages(images_of(name, release).bootloader))
        assert board.run_until(lambda: board.on_bus() is not None, 5)
        return DfuBoard(board)

    return make


def vendor_and_product(board):
    device = board.on_bus()[1].device
    return device[8:12]


def dfu_ids(name):
    return struct.pack("<HH", 0x2B04, 0xD000 | hardware(name).platform_id)


@pytest.mark.parametrize(("name", "release"), BOARDS)
def test_a_board_without_system_stays_in_dfu_mode_and_says_who_it_is(in_dfu_mode, name, release):
    dfu = in_dfu_mode(name, release)
    assert vendor_and_product(dfu.board) == dfu_ids(name)
    serial = dfu.identity.strings[dfu.identity.device[16]]
    assert serial[2:].decode("utf-16-le") == DEVICE_ID
    assert dfu.status() == (0, State.IDLE)
    assert dfu.board.state.runs == "dfu"


@pytest.mark.parametrize(("name", "release"), BOARDS)
def test_a_download_arrives(in_dfu_mode, name, release):
    dfu = in_dfu_mode(name, release)
    data = random.Random(name).randbytes(0x2000)
    dfu.select(0)
    for at in range(0, len(data), 0x1000):
        assert dfu.command(0x41, 0x50000 + at) == [(0, State.DNBUSY), (0, State.DNLOAD_IDLE)]
        assert dfu.command(0x21, 0x50000 + at) == [(0, State.DNBUSY), (0, State.DNLOAD_IDLE)]
        assert dfu.send(2, data[at : at + 0x1000]) == [(0, State.DNBUSY), (0, State.DNLOAD_IDLE)]
    assert dfu.board.internal.read(0x50000, len(data)) == data
    dfu.control(ABORT)
    dfu.command(0x21, 0x50000)
    dfu.control(ABORT)
    blocks = [dfu.control(Setup(0xA1, Request.UPLOAD, 2 + n, 0, 0x1000)) for n in range(2)]
    assert b"".join(blocks) == data


@pytest.mark.parametrize(("name", "release"), BOARDS)
def test_a_download_to_the_serial_flash_arrives(in_dfu_mode, name, release):
    dfu = in_dfu_mode(name, release)
    data = random.Random(name).randbytes(0x1000)
    dfu.select(2)
    address = 0x80000000 | dfu.board.external.chip.size_bytes - 0x1000
    assert dfu.command(0x41, address)[-1] == (0, State.DNLOAD_IDLE)
    assert dfu.command(0x21, address)[-1] == (0, State.DNLOAD_IDLE)
    assert dfu.send(2, data)[-1] == (0, State.DNLOAD_IDLE)
    assert dfu.board.external.read(address & 0x7FFFFFFF, len(data)) == data


@pytest.mark.parametrize(("name", "release"), BOARDS)
def test_what_it_refuses(in_dfu_mode, name, release):
    """As recorded of the bootloaders of Device OS 5.6.0 and 0.8.0 in tests/golden/usb."""
    dfu = in_dfu_mode(name, release)
    dfu.select(0)
    assert dfu.control(Setup(0xA1, Request.UPLOAD, 0, 0, 64)).hex() == "002141"
    dfu.control(ABORT)
    for opcode, address in ((0x41, 0), (0x41, 0x100000), (0x41, 0x80000000), (0x99, 0)):
        assert dfu.command(opcode, address)[-1][1] == State.ERROR
        with pytest.raises(StallError):
            dfu.control(ABORT)
        dfu.control(CLRSTATUS)
        assert dfu.status() == (0, State.IDLE)


@pytest.mark.parametrize(("name", "release"), ONE_EACH)
def test_a_whole_set_starts_the_system(images_of, name, release):
    board = board_with(name, images_of(name, release))
    assert board.run_until(lambda: board.on_bus() is not None, 10)
    assert vendor_and_product(board) == struct.pack("<HH", 0x2B04, 0xC000 | hardware(name).platform_id)


@pytest.mark.parametrize(("name", "release"), ONE_EACH)
def test_a_request_in_the_retained_register_leads_to_dfu_mode_once(images_of, name, release):
    board = board_with(name, images_of(name, release))
    chip = board.chip
    board.run(0.05)
    chip.ram[RETAINED_WORD : RETAINED_WORD + 4] = struct.pack("<I", DFU_WORD)
    chip.reset(0)
    assert board.run_until(lambda: board.on_bus() is not None and vendor_and_product(board) == dfu_ids(name), 10)
    assert int.from_bytes(chip.ram[RETAINED_WORD : RETAINED_WORD + 4], "little") != DFU_WORD


@pytest.mark.parametrize(("name", "release"), ONE_EACH)
def test_the_mode_button_held_for_three_seconds_leads_to_dfu_mode(images_of, name, release):
    board = board_with(name, images_of(name, release))
    board.hold_mode_button(True)
    board.chip.reset(1)
    board.run(4.5)
    board.hold_mode_button(False)
    assert board.run_until(lambda: board.on_bus() is not None, 10)
    assert vendor_and_product(board) == dfu_ids(name)


@pytest.mark.parametrize(("name", "release"), ONE_EACH)
def test_leaving_starts_the_system_that_was_downloaded(images_of, name, release):
    images = images_of(name, release)
    board = board_with(name, BoardImages(images.bootloader, images.softdevice))
    assert board.run_until(lambda: board.on_bus() is not None, 5)
    dfu = DfuBoard(board)
    (system,) = images.system
    dfu.select(0)
    start, data = system.prefix.start_address, system.payload
    for at in range(0, len(data), 0x1000):
        dfu.command(0x41, start + at)
        dfu.command(0x21, start + at)
        assert dfu.send(2, data[at : at + 0x1000])[-1] == (0, State.DNLOAD_IDLE)
    dfu.command(0x21, start)
    dfu.control(Setup(0x21, Request.DNLOAD, 0, 0, 0))
    dfu.status()
    system_ids = struct.pack("<HH", 0x2B04, 0xC000 | hardware(name).platform_id)
    assert board.run_until(lambda: board.on_bus() is not None and vendor_and_product(board) == system_ids, 10)
