"""What a session over SWD does not do. The chips are virtual; pyOCD's code runs unchanged.

What pyOCD and its command line do to boards, and the test that shows that it cannot happen through our sessions:

    hazard                                                  test (in this file unless another is named)
     1 a locked chip is erased when it is opened            test_a_locked_chip_is_told_and_not_erased
     2 UICR.APPROTECT is written when newer silicon opens   test_connecting_to_an_open_newer_chip_leaves_uicr_alone
     3 a locked chip ends in a KeyError                     test_a_locked_chip_is_told_and_not_erased
     4 a glitch reads as a lock, and the chip is erased     test_one_false_reading_of_the_lock_is_not_believed
     5 nothing is verified after programming                flash/test_swd_virtual.py test_a_worn_page_is_found
     6 data outside the map is skipped in silence           flash/test_swd_plan.py test_what_is_refused
     7 a change in UICR resets the customer's words         flash/test_swd_virtual.py test_a_used_boron_page_by_page_...
     8 closing the session lets the firmware run            test_closing_does_not_let_the_firmware_run
     9 a mass erase is done twice, and takes UICR along     flash/test_swd_virtual.py test_a_used_boron_page_by_page_...
    10 a part of an id is taken for an id                   test_a_part_of_an_id_is_no_id
    11 listing opens probes that a neighbour uses           test_listing_talks_to_no_chip
    12 a probe server that dies is waited for without end   test_swd_process.py test_a_probe_that_stops_answering_...
    13 sessions of one process share its interpreter        test_swd_process.py test_sessions_are_processes
    14 a hex file is parsed for each board                  flash/test_hex_file.py test_a_file_is_parsed_once_for_...
    15 a file without an address goes to flash's start      flash/test_swd_plan.py test_a_module_goes_where_its_...
    16 a session whose probe left goes on                   test_a_probe_pulled_at_any_transfer
"""

import gc
import os
import zlib
from pathlib import Path

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.cmsis_dap import CmsisDap
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.plugged import plugged
from particle_harness.swd.stm32f205 import Stm32f205
from pyocd.probe import aggregator
from pyocd.probe.pydapaccess.dap_access_api import DAPAccessIntf

from particle_dev.catalog.chips import NRF52840, STM32F205
from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH
from particle_dev.errors import (
    ChipLockedError,
    DeviceNotFoundError,
    FlashRangeError,
    LinkAccessError,
    ParticleDevError,
    TransportError,
)
from particle_dev.transport.swd import ConnectMode, SwdLink, list_probes
from particle_dev.transport.swd_probes import usb_path

pytestmark = pytest.mark.usefixtures("own_probes")
UNIQUE_ID = bytes.fromhex("3a0037000b47343138333038")


def nrf52840(variant="AAD0", approtect=0xFF):
    uicr = bytearray(b"\xff" * 0x1000)
    uicr[0x208] = approtect
    chip = Nrf52840(
        Silicon(bytes.fromhex("0123456789abcdef"), variant),
        NorFlash(NRF52840_FLASH, VirtualClock(), delays=False),
        uicr,
    )
    chip.flash.load(0, bytes.fromhex("0010002001010000"))
    chip.flash.load(0x100, bytes.fromhex("fee7"))
    chip.pin_reset()
    return chip


@pytest.fixture
def probe():
    """Plug a virtual probe with that id."""
    held = []

    def make(chip, serial_number="A1"):
        probe = CmsisDap(chip, serial_number)
        context = plugged(probe)
        context.__enter__()
        held.append(context)
        return probe

    yield make
    for context in reversed(held):
        context.__exit__(None, None, None)
    gc.collect()


def pages_of(address, image):
    return [(address + n, image[n : n + 4096].ljust(4096, b"\xff")) for n in range(0, len(image), 4096)]


class Firmware:
    def __init__(self):
        self.runs = False

    def run(self):
        self.runs = True

    def halt(self):
        self.runs = False

    def reset(self):
        self.runs = False


def test_memory_of_both_chips(probe):
    probe(nrf52840(), "A1")
    probe(Stm32f205(UNIQUE_ID, NorFlash(STM32F205_FLASH, VirtualClock(), delays=False)), "B2")
    assert {p.unique_id for p in list_probes()} >= {"A1", "B2"}
    with SwdLink("A1", NRF52840) as link:
        unique_id = link.read(NRF52840.unique_id_address, NRF52840.unique_id_size_bytes)
        assert NRF52840.device_id(unique_id) == "e00fce680123456789abcdef"
        link.write(0x20000001, b"\x01\x02\x03")
        assert link.read(0x20000000, 5) == b"\x00\x01\x02\x03\x00"
    with SwdLink("B2", STM32F205) as link:
        assert STM32F205.device_id(link.read(0x1FFF7A10, 12)) == UNIQUE_ID.hex()


@pytest.mark.parametrize(("variant", "approtect"), [("AAD0", 0x00), ("AAF0", 0xFF)])
def test_a_locked_chip_is_told_and_not_erased(probe, variant, approtect):
    chip = nrf52840(variant, approtect)
    probe(chip)
    flash, uicr = bytes(chip.flash.cells), bytes(chip.uicr)
    for _ in range(2):
        with pytest.raises(ChipLockedError, match="locked") as caught:
            SwdLink("A1", NRF52840)
        assert "--may-erase" in caught.value.hint
    assert (bytes(chip.flash.cells), bytes(chip.uicr)) == (flash, uicr)


def test_one_false_reading_of_the_lock_is_not_believed(probe):
    chip = nrf52840()
    probe(chip)
    control = chip.debug_port.access_ports[1]
    read, readings = control.read, iter([0])
    control.read = lambda register: next(readings, 1) if register == 0x0C else read(register)
    with SwdLink("A1", NRF52840) as link:
        assert link.halted


def test_connecting_to_an_open_newer_chip_leaves_uicr_alone(probe):
    chip = nrf52840("AAF0", 0x5A)
    probe(chip)
    before = bytes(chip.uicr)
    SwdLink("A1", NRF52840).close()
    assert bytes(chip.uicr) == before


def test_closing_does_not_let_the_firmware_run(probe):
    chip = nrf52840()
    chip.core.firmware = Firmware()
    chip.power_on()
    assert chip.core.firmware.runs
    probe(chip)
    with SwdLink("A1", NRF52840) as link:
        assert link.halted
        link.reset_and_halt()
    assert not chip.core.firmware.runs
    assert chip.core.halted


def test_running_needs_an_order(probe):
    chip = nrf52840()
    chip.core.firmware = Firmware()
    probe(chip)
    with SwdLink("A1", NRF52840) as link:
        link.reset_and_run()
        assert not link.halted
    assert chip.core.firmware.runs


def test_attach_does_not_halt(probe):
    chip = nrf52840()
    probe(chip)
    with SwdLink("A1", NRF52840, connect=ConnectMode.ATTACH) as link:
        assert not link.halted
        link.halt()
        assert link.halted


@pytest.mark.parametrize("unique_id", ["A", "a1", "A1-", ""])
def test_a_part_of_an_id_is_no_id(probe, unique_id):
    probe(nrf52840(), "A1")
    probe(nrf52840(), "A12")
    with pytest.raises(DeviceNotFoundError, match="no debug probe has the id"):
        SwdLink(unique_id, NRF52840)


def test_program_and_crc(probe):
    chip = nrf52840()
    probe(chip)
    image = os.urandom(3 * 4096 + 100)
    chip.flash.load(0x20000, b"neighbour")
    heard = []
    with SwdLink("A1", NRF52840) as link:
        pages = pages_of(0x10000, image)
        link.erase_sectors([address for address, _ in pages])
        link.write_pages(pages, progress=heard.append)
        assert link.page_crcs([address for address, _ in pages]) == tuple(zlib.crc32(data) for _, data in pages)
        assert chip.flash.read(0x20000, 9) == b"neighbour"
        link.erase_everything()
        link.write_pages(pages)
    assert heard[-1] == 1.0
    assert chip.flash.read(0x10000, len(image)) == image
    assert chip.flash.read(0x20000, 9) == b"\xff" * 9


def test_photon_sectors(probe):
    chip = Stm32f205(UNIQUE_ID, NorFlash(STM32F205_FLASH, VirtualClock(), delays=False))
    probe(chip)
    image = os.urandom(5000)
    chip.flash.load(0x0801FFF0, bytes(16))
    with SwdLink("A1", STM32F205) as link:
        link.erase_sectors([0x08020000])
        link.write_pages(pages_of(0x08020000, image))
        (crc,) = link.page_crcs([0x08020000])
        link.write_pages([(0x08024184, b"word")])
    assert crc == zlib.crc32(image[:4096])
    assert chip.flash.read(0x08020000, 5000) == image
    assert chip.flash.read(0x08024180, 12) == b"\xff\xff\xff\xffword\xff\xff\xff\xff"
    assert chip.flash.read(0x0801FFF0, 16) == bytes(16)


@pytest.mark.parametrize(
    "act", [lambda link: link.page_crcs([0x10000]), lambda link: link.write_pages([(0x10000, b"word")])]
)
def test_no_interrupt_of_the_firmware_comes_between_while_code_of_ours_lies_on_its_variables(probe, act):
    chip = nrf52840()
    probe(chip)
    with SwdLink("A1", NRF52840) as link:
        assert link._target.read_core_register("primask") == 0
        act(link)
        assert link._target.read_core_register("primask") == 1


@pytest.mark.parametrize("address", [0x00100000, 0x10001000, 0x20000000, 0x08020000])
def test_data_outside_the_map_is_refused_before_anything_is_erased(probe, address):
    chip = nrf52840()
    probe(chip)
    before = bytes(chip.flash.cells)
    with SwdLink("A1", NRF52840) as link, pytest.raises(FlashRangeError, match="outside the flash"):
        link.write_pages([(0x1000, bytes(4096)), (address, bytes(4096))])
    assert bytes(chip.flash.cells) == before
    with SwdLink("A1", NRF52840) as link, pytest.raises(FlashRangeError, match="no sector"):
        link.erase_sectors([0x1000, address])
    for at, size_bytes in ((0x1004, 4096), (0x1002, 4), (0x1004, 6), (0x1000, 0), (0x1FFC, 8)):
        with SwdLink("A1", NRF52840) as link, pytest.raises(FlashRangeError, match="is no page"):
            link.write_pages([(0x2000, bytes(4096)), (at, bytes(size_bytes))])
    assert bytes(chip.flash.cells) == before


def test_an_address_where_nothing_is(probe):
    probe(nrf52840())
    with SwdLink("A1", NRF52840) as link, pytest.raises(TransportError):
        link.read(0x60000000, 4)


def test_configuration_that_lies_about_is_not_read(probe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyocd.yaml").write_text("auto_unlock: true\nresume_on_disconnect: true\n")
    (tmp_path / "pyocd_user.py").write_text("raise SystemExit('the station runs a stranger')\n")
    chip = nrf52840("AAD0", 0x00)
    chip.flash.load(0x1000, b"customer")
    probe(chip)
    with pytest.raises(ChipLockedError):
        SwdLink("A1", NRF52840)
    assert chip.flash.read(0x1000, 8) == b"customer"


def test_two_sessions_on_one_probe(probe):
    probe(nrf52840())
    with SwdLink("A1", NRF52840), pytest.raises(LinkAccessError, match="another session uses the debug probe A1"):
        SwdLink("A1", NRF52840)
    SwdLink("A1", NRF52840).close()


def test_a_session_that_failed_gives_the_probe_back(probe):
    chip = nrf52840("AAD0", 0x00)
    probe(chip)
    for _ in range(2):
        with pytest.raises(ChipLockedError):
            SwdLink("A1", NRF52840)
    chip.uicr[0x208] = 0xFF
    chip.pin_reset()
    SwdLink("A1", NRF52840).close()


def test_listing_talks_to_no_chip(probe):
    chip = nrf52840()
    probe(chip)
    transfers = []
    chip.debug_port.on_transfer = transfers.append
    assert "A1" in {p.unique_id for p in list_probes()}
    assert transfers == []


def test_where_a_probe_is_plugged_in(tmp_path):
    for name, serial_number in (("1-4.2", "A1"), ("1-5", "B2"), ("2-1", "B2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "serial").write_text(serial_number + "\n")
    assert usb_path("A1", tmp_path) == "1-4.2"
    assert usb_path("B2", tmp_path) is None
    assert usb_path("C3", tmp_path) is None


def _every_tenth_in_ci():
    every = pytest.param(range(2000), marks=[pytest.mark.soak, pytest.mark.timeout(1200)], id="each of the first 2000")
    return [pytest.param(range(3, 2000, 10), id="every tenth of the first 2000"), every]


@pytest.mark.parametrize("pulled_at", _every_tenth_in_ci())
def test_a_probe_pulled_at_any_transfer(probe, pulled_at, monkeypatch, capsys):
    """A clear error, nothing erased or locked, and the probe can be used again."""
    list_probes()
    # To look for real probes each time takes longer than all the rest.
    name = "particle_virtual"
    monkeypatch.setattr(aggregator, "PROBE_CLASSES", {name: aggregator.PROBE_CLASSES[name]})
    chip = nrf52840()
    probe(chip)
    before = bytes(chip.flash.cells), bytes(chip.uicr)

    def pull(count):
        nonlocal left
        left -= count
        if left < 0:
            raise DAPAccessIntf.DeviceError("the probe was pulled")

    def session():
        with SwdLink("A1", NRF52840) as link:
            for address in range(0, 0x10000, 256):
                link.read(address, 256)

    for transfers in pulled_at:
        left = transfers
        chip.debug_port.on_transfer = pull
        with pytest.raises(ParticleDevError) as caught:
            session()
        assert caught.value.where == "A1", transfers
        assert not isinstance(caught.value, ChipLockedError), transfers
        assert (bytes(chip.flash.cells), bytes(chip.uicr)) == before, transfers
        if transfers % 50 == 3:
            chip.debug_port.on_transfer = lambda _count: None
            with SwdLink("A1", NRF52840) as link:
                assert link.read(0, 4) == bytes.fromhex("00100020")
    with capsys.disabled():
        print(f" pulled at {len(pulled_at)} transfers ", end="")


def test_a_sector_that_is_write_protected(probe):
    chip = Stm32f205(UNIQUE_ID, NorFlash(STM32F205_FLASH, VirtualClock(), delays=False))
    chip.flash.load(0x08000000, b"bootloader")
    chip.interface.option_control &= ~(1 << 16)
    probe(chip)
    with SwdLink("A1", STM32F205) as link, pytest.raises(TransportError, match="write-protected"):
        link.erase_sectors([0x08000000])
    assert chip.flash.read(0x08000000, 10) == b"bootloader"


def test_an_stm32f2_is_never_erased_as_a_whole(probe):
    chip = Stm32f205(UNIQUE_ID, NorFlash(STM32F205_FLASH, VirtualClock(), delays=False))
    chip.flash.load(0x08004000, b"keys")
    probe(chip)
    with SwdLink("A1", STM32F205) as link:
        with pytest.raises(FlashRangeError, match="never erased as a whole"):
            link.erase_everything()
        with pytest.raises(FlashRangeError, match="no UICR"):
            link.erase_user_information()
        with pytest.raises(FlashRangeError, match="no UICR"):
            link.write_user_information({0x10001014: 0})
    assert chip.flash.read(0x08004000, 4) == b"keys"


def test_uicr_words(probe):
    chip = nrf52840()
    probe(chip)
    with SwdLink("A1", NRF52840) as link:
        link.write_user_information({0x10001014: 0x000F4000, 0x10001080: 0x12345678})
        assert link.read_word(0x10001014) == 0x000F4000
        with pytest.raises(FlashRangeError, match="outside UICR"):
            link.write_user_information({0x10001014: 0, 0x10001400: 0})
        assert link.read_word(0x10001014) == 0x000F4000
        link.erase_user_information()
    assert set(chip.uicr) == {0xFF}


def test_a_session_leaves_the_working_directory_alone(probe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probe(nrf52840())
    with SwdLink("A1", NRF52840):
        assert Path.cwd() == tmp_path
