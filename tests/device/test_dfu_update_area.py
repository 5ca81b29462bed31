"""What a DFU session writes beside module slots: the update area and the update slots, and not a byte around them."""

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in

from particle_dev.device.dfu import DCT_ALT, DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import FlashRangeError
from particle_dev.station.bench import open_bench


def stand_ins(platform):
    board = hardware(platform)
    modules = [bootloader_stand_in(board, 1005)]
    return [*modules, softdevice_stand_in(board)] if board.is_gen3 else modules


@pytest.fixture
def open_session():
    opened = []

    def make(platform):
        slots = [{"name": "1", "platform": platform, "arrives_in": "dfu"}]
        bench = open_bench("virtual", options={"clock": "virtual"}, slots=slots, factory_modules=stand_ins)
        slot = bench.slots[0]
        session = DfuSession(slot.host, wait_for_device(slot.host, slot.port_path, 10))
        opened.extend((session, bench))
        return session, bench.driver.board("1")

    yield make
    for each in opened:
        each.close()


AREAS = {"boron": (0x8024C000, 0x802E0000), "tracker": (0x80689000, 0x80800000)}


@pytest.mark.parametrize("platform", AREAS)
def test_first_and_last_sector_of_the_area(open_session, platform):
    session, board = open_session(platform)
    start, end = AREAS[platform]
    for address in (start, end - 4096):
        board.external.load(address - 0x80000000, b"\0" * 4096)
        session.erase_external(address)
        session.write_external(address, b"new" * 100)
        assert session.read(2, address, 4096) == b"new" * 100 + b"\xff" * 3796


@pytest.mark.parametrize("platform", AREAS)
def test_nothing_around_the_area(open_session, platform):
    session, board = open_session(platform)
    start, end = AREAS[platform]
    erases, programs = board.truth.erases, board.truth.programs
    for address in (
        0x80000000,
        start - 4096,
        start - 1,
        end,
        0x80000000 + board.hardware.factory_address,
        start - 2**31,
    ):
        with pytest.raises(FlashRangeError, match="outside the update area"):
            session.erase_external(address)
        with pytest.raises(FlashRangeError, match="outside the update area"):
            session.write_external(address, b"\0")
    with pytest.raises(FlashRangeError):
        session.write_external(end - 100, b"\0" * 101)
    assert (board.truth.erases, board.truth.programs) == (erases, programs)


def test_one_erase_is_4_kib_whatever_the_memory_string_says(open_session):
    session, board = open_session("tracker")
    board.external.load(0x689000, b"\0" * 0x2000)
    session.erase_external(0x80689000)
    assert board.external.read(0x689000, 0x1001) == b"\xff" * 0x1000 + b"\0"


@pytest.mark.parametrize(("offset", "size_bytes"), [(1753, 1), (2872, 80), (2892, 2), (2951, 1)])
def test_update_slots_and_flag(open_session, offset, size_bytes):
    session, board = open_session("boron")
    before = board.dct.read(0, 8391)
    session.write_dct(offset, b"\x5a" * size_bytes)
    assert session.read(DCT_ALT, offset, size_bytes) == b"\x5a" * size_bytes
    assert board.dct.read(0, offset) == before[:offset]
    assert board.dct.read(offset + size_bytes, 4000) == before[offset + size_bytes :][:4000]


# device key, flag's neighbours, claim code, factory slot, slot 1 with a byte before it, behind slot 4
@pytest.mark.parametrize(
    ("offset", "size_bytes"),
    [(34, 1), (1752, 1), (1753, 2), (1762, 1), (2852, 20), (2871, 21), (2951, 2), (2952, 1), (3106, 16), (0, 8391)],
)
def test_the_rest_of_the_configuration_is_refused(open_session, offset, size_bytes):
    session, board = open_session("boron")
    before = board.dct.read(0, 8391)
    with pytest.raises(FlashRangeError, match="keys and claim"):
        session.write_dct(offset, b"\0" * size_bytes)
    assert board.dct.read(0, 8391) == before


def test_a_photon_has_neither(open_session):
    session, _ = open_session("photon")
    with pytest.raises(FlashRangeError):
        session.write_dct(1753, b"\xa5")
    with pytest.raises(FlashRangeError):
        session.erase_external(0x80289000)
