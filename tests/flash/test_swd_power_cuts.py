"""Power cut in the middle of every act on the flash on the way to a whole board.

Plans, their execution and the recovery are ours, on a virtual chip. The power cuts go without pyOCD and emulator, to
have every one of them in seconds; with both they are sampled in test_swd_virtual.py, and all made by `make soak`.
"""

import zlib

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.core import Idle
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.stm32f205 import Stm32f205

from particle_dev.catalog.chips import NRF52840, STM32F205
from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.device.swd import SwdSession
from particle_dev.flash.boot_outcome import BootEnd
from particle_dev.flash.offers import Offer, release_offer
from particle_dev.flash.swd_execute import carry_out_swd
from particle_dev.flash.swd_image import Segment, module_segments
from particle_dev.flash.swd_inventory import chip_state, interrupted_pages
from particle_dev.flash.swd_plan import make_swd_plan
from particle_dev.permissions import NOTHING, Permissions

pytestmark = pytest.mark.firmware
BORON, PHOTON = map(platform_by_name, ("boron", "photon"))
PART_1_KEY = 0x08020184
PAGE = 4096
MBR = Segment("MBR", 0, bytes.fromhex("0004002001050000") + bytes(range(256)) * 10)
FACTORY_UICR = {0x14: 0xF4000, 0x200: 0x12, 0x204: 0x12}


class PowerCutError(Exception):
    """The chip has no power any more."""


class DirectLink:
    """The ChipLink of a virtual nRF52840. ``cut_at``: the number of the act on flash (an erase, or a page that is
    programmed, or a word of UICR) in the middle of which the power goes; ``acts`` counts them."""

    where = "direct"

    def __init__(self, chip, kind, cut_at=None):
        self._chip = chip
        self.chip = kind
        self.cut_at = cut_at
        self.acts = 0
        self.halted = True

    def _cuts(self):
        self.acts += 1
        return self.acts - 1 == self.cut_at

    def read(self, address, size_bytes):
        return bytes(self._chip.bus.read(address, size_bytes))

    def read_word(self, address):
        return int.from_bytes(self._chip.bus.read(address, 4), "little")

    def write(self, address, data):
        self._chip.bus.write(address, data)

    def write_word(self, address, value):
        self._chip.bus.write(address, value.to_bytes(4, "little"))

    def page_crcs(self, addresses):
        return tuple(zlib.crc32(self._chip.flash.read(address, PAGE)) for address in addresses)

    def erase_sectors(self, addresses):
        flash = self._chip.flash
        for address in addresses:
            start, size_bytes, _ = flash.sector(address)
            if self._cuts():
                # Half of it is erased, half of it is what it was.
                kept = flash.read(start + size_bytes // 2, size_bytes // 2)
                flash.erase_sector(address)
                flash.load(start + size_bytes // 2, kept)
                raise PowerCutError
            flash.erase_sector(address)

    def erase_everything(self):
        flash = self._chip.flash
        if self._cuts():
            kept = flash.read(len(flash.cells) // 2, len(flash.cells) // 2)
            self._chip.erase_flash_and_uicr()
            flash.load(len(flash.cells) // 2, kept)
            raise PowerCutError
        self._chip.erase_flash_and_uicr()

    def erase_user_information(self):
        if self._cuts():
            raise PowerCutError
        self._chip.erase_uicr()

    def write_user_information(self, words):
        for address, value in words.items():
            if self._cuts():
                raise PowerCutError
            at = address - 0x10001000
            old = int.from_bytes(self._chip.uicr[at : at + 4], "little")
            self._chip.uicr[at : at + 4] = (old & value).to_bytes(4, "little")

    def write_pages(self, pages, *, progress=None):
        for address, data in pages:
            if self._cuts():
                self._chip.flash.program(address, data[: PAGE // 2])
                raise PowerCutError
            self._chip.flash.program(address, data)

    def halt(self):
        pass

    def reset_and_halt(self):
        pass

    def reset_and_run(self):
        raise AssertionError("nobody lets it run")

    def close(self):
        pass


class Board:
    """A Boron's chip with the backup of an interrupted run."""

    def __init__(self, cells, uicr):
        self.flash = NorFlash(NRF52840_FLASH, VirtualClock(), delays=False)
        self.chip = Nrf52840(Silicon(bytes(range(8))), self.flash)
        self.chip.core.firmware = Idle()
        self.load(cells, uicr)

    def load(self, cells, uicr):
        self.flash.cells[:] = cells
        self.chip.uicr[:] = uicr
        self.saved = {}
        self.chip.bus.code_changed = True

    def save(self, pages):
        self.saved |= pages
        return "memory"

    def run(self, segments, permissions=NOTHING, cut_at=None):
        """Acts on the flash that it took. Raises PowerCutError."""
        link = DirectLink(self.chip, NRF52840, cut_at)
        session = SwdSession(link, BORON)
        session.missing_pages = interrupted_pages(session, self.saved)
        replaced = {s.part.key for s in segments if s.part}
        state = chip_state(session, session.identity(), BORON, replaced=replaced)
        plan = make_swd_plan(state, segments, permissions, missing_pages=session.missing_pages)
        for _ in carry_out_swd(session, plan, permissions=permissions, save_backup=self.save):
            pass
        return link.acts


@pytest.fixture(scope="module")
def modules(release_store):
    """Segments of Device OS 2.1.0, and of Tinker."""
    offer = Offer()
    release_offer(release_store, BORON, "2.1.0", offer)
    release = module_segments(BORON, offer.files, offer.contents.__getitem__)
    offer = Offer()
    offer.add_stored(release_store, [release_store.app("boron", "tinker-0.8.0-rc.27-boron.bin")])
    return release, module_segments(BORON, offer.files, offer.contents.__getitem__)


def image(*segments):
    cells = bytearray(b"\xff" * NRF52840_FLASH.size_bytes)
    for segment in segments:
        cells[segment.address : segment.end_address] = segment.data
    return bytes(cells)


def factory_uicr():
    uicr = bytearray(b"\xff" * PAGE)
    for offset, word in FACTORY_UICR.items():
        uicr[offset : offset + 4] = word.to_bytes(4, "little")
    return bytes(uicr)


def older(segment):
    """Another module of that size in that place: right in nothing."""
    return Segment("older", segment.address, bytes(b ^ 0x55 for b in segment.data))


SCENES = {
    "blank": (lambda _release, _app: (), NOTHING),
    "used, page by page": (lambda release, app: (MBR, *map(older, release), *app), NOTHING),
    "used, mass erase": (lambda release, app: (MBR, *map(older, (*release, *app))), Permissions(may_erase=True)),
    "application alone": (lambda release, app: (MBR, *release, *map(older, app)), NOTHING),
}


FEWEST_ACTS = {"blank": 170, "used, page by page": 340, "used, mass erase": 170, "application alone": 8}


@pytest.mark.parametrize("scene", SCENES)
def test_power_cut_in_every_act_of_a_flash(modules, boot_end, capsys, scene):
    """No such board starts a system without its application, which would connect; the next run makes it whole."""
    release, app = modules
    before, permissions = SCENES[scene]
    wanted = app if scene == "application alone" else (MBR, *release, *app)
    whole = image(MBR, *release, *app)
    start = image(*before(release, app)), b"\xff" * PAGE if scene == "blank" else factory_uicr()
    board = Board(*start)
    acts = board.run(wanted, permissions)
    assert bytes(board.flash.cells) == whole
    assert boot_end(board.chip, BORON) is BootEnd.APPLICATION
    assert acts >= FEWEST_ACTS[scene]
    with capsys.disabled():
        print(f" {scene}: {acts} power cuts ", end="")
    for cut_at in range(acts):
        board.load(*start)
        with pytest.raises(PowerCutError):
            board.run(wanted, permissions, cut_at)
        end = boot_end(board.chip, BORON)
        if (bytes(board.flash.cells), bytes(board.chip.uicr)) not in (start, (whole, factory_uicr())):
            assert end in (BootEnd.DFU, BootEnd.HANGS), (cut_at, end)
        board.run(wanted)
        assert bytes(board.flash.cells) == whole, cut_at
        assert bytes(board.chip.uicr) == factory_uicr(), cut_at
        assert boot_end(board.chip, BORON) is BootEnd.APPLICATION


def test_no_power_cut_leaves_a_photon_half_a_system_part_to_start(release_store):
    """Its bootloader starts part 1 as soon as the prefix is there: the first word of that is the last of all."""
    offer = Offer()
    release_offer(release_store, PHOTON, "2.1.0", offer)
    offer.add_stored(release_store, [release_store.app("photon", "tinker-0.4.5-photon.bin")])
    wanted = module_segments(PHOTON, offer.files, offer.contents.__getitem__)
    flash = NorFlash(STM32F205_FLASH, VirtualClock(), delays=False)
    for segment in map(older, wanted):
        flash.load(segment.address, segment.data)
    before = bytes(flash.cells)

    def run(cut_at=None):
        chip = Stm32f205(bytes(12), flash)
        chip.core.firmware = Idle()
        link = DirectLink(chip, STM32F205, cut_at)
        session = SwdSession(link, PHOTON)
        state = chip_state(session, session.identity(), PHOTON, replaced={s.part.key for s in wanted if s.part})
        plan = make_swd_plan(state, wanted, NOTHING)
        for _ in carry_out_swd(session, plan, permissions=NOTHING, save_backup=lambda _pages: "memory"):
            pass
        return link.acts

    acts = run()
    assert all(flash.read(s.address, len(s.data)) == s.data for s in wanted)
    assert flash.read(PART_1_KEY, 4) != b"\xff" * 4
    braked_after = 1  # the brake's sector is the first that is erased
    for cut_at in range(braked_after, acts - 1, 7):
        flash.cells[:] = before
        with pytest.raises(PowerCutError):
            run(cut_at)
        assert flash.read(PART_1_KEY, 4) == b"\xff" * 4, cut_at
    # The last act of all is that word: all the others are there before it.
    flash.cells[:] = before
    with pytest.raises(PowerCutError):
        run(acts - 1)
    missing = range(PART_1_KEY, PART_1_KEY + 4)
    for segment in wanted:
        there = flash.read(segment.address, len(segment.data))
        wrong = {segment.address + n for n, byte in enumerate(segment.data) if there[n] != byte}
        assert wrong <= set(missing), segment.title
    run()
    assert all(flash.read(s.address, len(s.data)) == s.data for s in wanted)
