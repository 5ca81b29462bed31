"""Whole boards by SWD: real Device OS on virtual chips, whose flash keeps the rules and times of the real one."""

import gc
from dataclasses import replace

import pytest
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.cmsis_dap import CmsisDap
from particle_harness.swd.core import Idle
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.plugged import plugged
from particle_harness.swd.stm32f205 import Stm32f205
from particle_harness.swd.wire_time import HIGH_SPEED_BULK, WireTime
from pyocd.probe.pydapaccess.dap_access_api import DAPAccessIntf

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.device.swd import swd_session
from particle_dev.errors import (
    PermissionMissingError,
    TransportError,
    VerifyError,
    WrongDeviceError,
)
from particle_dev.flash.boot_outcome import BootEnd
from particle_dev.flash.offers import Offer, release_offer
from particle_dev.flash.swd_execute import carry_out_swd
from particle_dev.flash.swd_image import Segment, module_segments
from particle_dev.flash.swd_inventory import chip_state, interrupted_pages
from particle_dev.flash.swd_plan import Method, make_swd_plan
from particle_dev.permissions import NOTHING, Permissions

pytestmark = pytest.mark.usefixtures("own_probes")
BORON, PHOTON = platform_by_name("boron"), platform_by_name("photon")
MBR = Segment("MBR", 0, bytes.fromhex("0004002001050000") + bytes(range(256)) * 10)
MAY_ERASE = Permissions(may_erase=True)
FULL_FLASH_TRANSFERS = 195_000
WORD_S, PAGE_ERASE_S, MASS_ERASE_S = 41e-6, 0.085, 0.169


class Bench:
    """One probe with one chip behind it, and the backup of an interrupted run."""

    def __init__(self, platform, store, app):
        self.platform = platform
        self.time = WireTime(HIGH_SPEED_BULK)
        if platform is BORON:
            self.chip = Nrf52840(Silicon(bytes(range(8))), NorFlash(NRF52840_FLASH, self.time), time=self.time)
        else:
            self.chip = Stm32f205(bytes(range(12)), NorFlash(STM32F205_FLASH, self.time), self.time)
        self.chip.core.firmware = Idle()
        self.probe = CmsisDap(self.chip, "A1", self.time)
        offer = Offer()
        release_offer(store, platform, "2.1.0", offer)
        self.release = module_segments(platform, offer.files, offer.contents.__getitem__)
        offer = Offer()
        offer.add_stored(store, [store.app(platform.name, app)])
        self.app = module_segments(platform, offer.files, offer.contents.__getitem__)
        self.saved = {}

    def save(self, pages):
        self.saved = dict(pages)
        return "memory"

    def session(self):
        return swd_session("A1", self.platform, in_process=True, clock=self.time.host_clock)

    def load(self, *segments):
        """As from the factory."""
        for segment in segments:
            self.chip.flash.load(segment.address, segment.data)
        if self.platform is BORON:
            for address, word in ((0x14, 0xF4000), (0x200, 0x12), (0x204, 0x12)):
                self.chip.uicr[address : address + 4] = word.to_bytes(4, "little")
        self.chip.bus.code_changed = True

    def plan(self, session, segments, permissions=NOTHING):
        replaced = {s.part.key for s in segments if s.part}
        state = chip_state(session, session.identity(), self.platform, replaced=replaced)
        return make_swd_plan(state, segments, permissions)

    def flash(self, segments, permissions=NOTHING, **options):
        """The plan, what happened, and the seconds that carrying it out took."""
        with self.session() as session:
            plan = self.plan(session, segments, permissions)
            start_s = max(self.time.now_s, self.time._core_s)
            events = list(carry_out_swd(session, plan, permissions=permissions, save_backup=self.save, **options))
            return plan, events, max(self.time.now_s, self.time._core_s) - start_s

    def flash_again(self, segments):
        """A new run after an interruption, with the backup of the first."""
        with self.session() as session:
            session.missing_pages = interrupted_pages(session, self.saved)
            replaced = {s.part.key for s in segments if s.part}
            state = chip_state(session, session.identity(), self.platform, replaced=replaced)
            plan = make_swd_plan(state, segments, NOTHING, missing_pages=session.missing_pages)
            list(carry_out_swd(session, plan, permissions=NOTHING, save_backup=self.save))
            return plan

    def assert_holds(self, *segments):
        for segment in segments:
            assert self.chip.flash.read(segment.address, len(segment.data)) == segment.data, segment.name


@pytest.fixture
def bench(release_store):
    benches = []

    def make(platform):
        app = "tinker-0.8.0-rc.27-boron.bin" if platform is BORON else "tinker-0.4.5-photon.bin"
        made = Bench(platform, release_store, app)
        context = plugged(made.probe)
        context.__enter__()
        benches.append(context)
        return made

    yield make
    for context in benches:
        context.__exit__(None, None, None)
    gc.collect()


@pytest.fixture
def boron(bench):
    return bench(BORON)


def test_a_blank_boron_in_one_pass(boron):
    wanted = (MBR, *boron.release, *boron.app)
    plan, _events, duration_s = boron.flash(wanted)
    boron.assert_holds(*wanted)
    assert (plan.method, plan.erase, plan.permissions_needed) == (Method.PAGES, (), ())
    words = sum(-(-len(s.data) // 4) for s in wanted)
    assert duration_s < 1.05 * (words * WORD_S + MASS_ERASE_S)
    assert boron.chip.flash.erases == 0
    assert int.from_bytes(boron.chip.uicr[0x14:0x18], "little") == 0xF4000
    assert boron.chip.core.halted


def test_what_is_right_stays(boron):
    boron.load(MBR, *boron.release, *boron.app)
    start_s = boron.time.now_s
    plan, events, _ = boron.flash((*boron.release, *boron.app))
    assert plan.method is Method.NOTHING
    assert (boron.chip.flash.erases, boron.chip.flash.programs) == (0, 0)
    assert [type(e).__name__ for e in events] == ["PieceProven"] * 4
    assert boron.time.now_s - start_s < 0.4 + 0.25


def other(segment):
    """Another module of that size in that place: right in nothing."""
    return Segment("older", segment.address, bytes(b ^ 0x55 for b in segment.data))


def test_a_used_boron_page_by_page_or_by_mass_erase(boron):
    wanted = (*boron.release, *boron.app)
    boron.load(MBR, *map(other, wanted))
    boron.chip.flash.load(0xD4000, b"former application" * 50)
    boron.chip.flash.load(0xF0000, b"of the customer")
    boron.chip.uicr[0x80:0x84] = b"mark"
    plan, _, _ = boron.flash(wanted)
    assert (plan.method, plan.keep) == (Method.PAGES, ())
    by_pages = bytes(boron.chip.flash.cells), bytes(boron.chip.uicr)
    boron.load(*map(other, wanted))
    erases = boron.chip.flash.erases
    plan, events, duration_s = boron.flash(wanted, MAY_ERASE)
    assert plan.method is Method.MASS_ERASE
    assert duration_s == pytest.approx(plan.expected_duration_s, rel=0.05)
    assert (bytes(boron.chip.flash.cells), bytes(boron.chip.uicr)) == by_pages
    assert boron.chip.flash.erases == erases + 1
    assert boron.chip.flash.read(0xF0000, 15) == b"of the customer"
    assert boron.saved.keys() >= {0, 0xF0000}
    assert boron.chip.uicr[0x80:0x84] == b"mark"
    assert {"BackupTaken", "FlashErased", "UicrWritten"} < {type(e).__name__ for e in events}


def test_only_the_application_differs(boron):
    boron.load(MBR, *boron.release, *map(other, boron.app))
    plan, events, duration_s = boron.flash(boron.app)
    boron.assert_holds(*boron.release, *boron.app)
    pages = len(plan.writes) + len(plan.brake_writes)
    assert (plan.brake_address, plan.keep, plan.brake_writes) == (0x30000, (0x30000,), (0x30000,))
    # The application's 3 pages and the brake's.
    assert pages == boron.chip.flash.erases == 4
    assert duration_s < 1.1 * pages * (PAGE_ERASE_S + 1024 * WORD_S) + 0.2
    assert [type(e).__name__ for e in events][:3] == ["BackupTaken", "ChangesBegin", "BrakeSet"]


def test_only_the_application_differs_and_it_may_connect(boron):
    may_connect = Permissions(may_connect=True)
    boron.load(MBR, *boron.release, *map(other, boron.app))
    wanted = (*boron.release, *boron.app)
    plan, _, duration_s = boron.flash(wanted, may_connect)
    boron.assert_holds(*wanted)
    assert (plan.brake_address, plan.keep, len(plan.writes)) == (None, (), 3)
    assert duration_s < 1.1 * (3 * PAGE_ERASE_S + sum(len(s.data) for s in boron.app) / 4 * WORD_S)
    boron.load(*map(other, boron.app))
    with boron.session() as session, pytest.raises(PermissionMissingError, match="--may-connect"):
        list(carry_out_swd(session, plan, permissions=NOTHING, save_backup=boron.save))
    # More than the application: no board is left without its brake, whoever allows it.
    boron.load(*map(other, boron.release))
    with boron.session() as session:
        assert boron.plan(session, wanted, may_connect).brake_address == 0x30000


def test_modules_that_stay_are_proven_by_the_crcs_of_their_pages(boron):
    boron.load(MBR, *boron.release, *map(other, boron.app))
    with boron.session() as session:
        before = boron.chip.debug_port.transfers
        state = chip_state(session, session.identity(), BORON)
        assert boron.chip.debug_port.transfers - before < 10_000
    parts = {p.key: p for p in state.parts}
    for segment in boron.release:
        part = parts[segment.part.key]
        assert (part.version, part.intact) == (segment.part.version, True)
        if segment.part.function != ModuleFunction.RADIO_STACK:
            assert part.needs == tuple(segment.part.needs)
    boron.chip.flash.load(0x40000, b"\x00" * 4)
    with boron.session() as session:
        state = chip_state(session, session.identity(), BORON)
    assert not {p.key: p for p in state.parts}[ModuleFunction.SYSTEM_PART, 1].intact


def test_a_used_photon_keeps_keys_and_settings(bench):
    photon = bench(PHOTON)
    wanted = (*photon.release, *photon.app)
    photon.load(*map(other, wanted))
    photon.chip.flash.load(0x08004000, b"keys" * 4096)
    photon.chip.flash.load(0x0800C000, b"eeprom")
    plan, _, duration_s = photon.flash(wanted, MAY_ERASE)
    photon.assert_holds(*wanted, Segment("keys", 0x08004000, b"keys" * 4096), Segment("", 0x0800C000, b"eeprom"))
    assert plan.method is Method.PAGES
    sectors = sorted({photon.chip.flash.sector(a)[0] for a in plan.pages})
    floor_s = sum(photon.chip.flash.sector(a)[2] for a in sectors) + sum(len(s.data) for s in wanted) / 4 * 16e-6
    assert duration_s < 1.1 * floor_s
    plan, _, _ = photon.flash(wanted)
    assert plan.method is Method.NOTHING


def test_only_the_application_of_a_photon_differs(bench):
    photon = bench(PHOTON)
    photon.load(*photon.release, *map(other, photon.app))
    plan, _, _ = photon.flash(photon.app)
    photon.assert_holds(*photon.release, *photon.app)
    assert plan.brake_address == 0x08020000
    assert set(plan.keep) == set(plan.brake_writes)


def test_a_worn_page_is_found(boron):
    wanted = (MBR, *boron.release, *boron.app)

    def burn(address, data):
        return bytes(len(data)) if address == 0x40000 else data

    boron.chip.flash.on_program = burn
    with pytest.raises(VerifyError, match="0x00040000") as caught:
        boron.flash(wanted)
    assert caught.value.address == 0x40000
    # Without the words in UICR the board does not start.
    assert set(boron.chip.uicr) == {0xFF}


def test_every_byte_is_read_back_on_request(boron):
    wanted = (*boron.release, *boron.app)
    boron.load(MBR, *wanted)
    _, events, _ = boron.flash(boron.app, read_back=True)
    assert [e.evidence for e in events] == ["read back"]


def test_another_board_than_the_plan_is_for(boron):
    boron.load(MBR, *boron.release, *map(other, boron.app))
    before = bytes(boron.chip.flash.cells)
    with boron.session() as session:
        plan = replace(boron.plan(session, boron.app), device_id="e00fce68" + "f" * 16)
        with pytest.raises(WrongDeviceError, match="nothing was erased"):
            list(carry_out_swd(session, plan, permissions=NOTHING, save_backup=boron.save))
    assert bytes(boron.chip.flash.cells) == before


def test_nothing_is_touched_without_the_permission_that_a_plan_needs(boron):
    wanted = (*boron.release, *boron.app)
    boron.load(MBR, *map(other, wanted))
    before = bytes(boron.chip.flash.cells)
    with boron.session() as session:
        plan = boron.plan(session, wanted, MAY_ERASE)
        with pytest.raises(PermissionMissingError, match="--may-erase"):
            list(carry_out_swd(session, plan, permissions=NOTHING, save_backup=boron.save))
    assert bytes(boron.chip.flash.cells) == before


# ---- interruptions ------------------------------------------------------------------------------------------------


class Scissors:
    """Counts transfers, and pulls the probe at one of them: from there on nothing gets through."""

    def __init__(self, chip):
        self._chip = chip
        self._on_transfer = chip.debug_port.on_transfer
        self.transfers = 0

    def cut_at(self, limit):
        self.transfers = 0

        def transfer(count):
            self.transfers += count
            if self.transfers > limit:
                raise DAPAccessIntf.DeviceError("the probe was pulled")
            self._on_transfer(count)

        self._chip.debug_port.on_transfer = transfer

    def mend(self):
        self._chip.debug_port.on_transfer = self._on_transfer


SOAK = [
    pytest.param(share, marks=[pytest.mark.soak, pytest.mark.timeout(300)])
    for share in (n / 200 for n in range(1, 197))
]  # about every page, a minute for eight


@pytest.mark.parametrize("permissions", [NOTHING, MAY_ERASE])
@pytest.mark.parametrize("share", [0.05, 0.6, 0.99, *SOAK])
def test_power_cut_during_a_full_flash(boron, boot_end, share, permissions):
    wanted = (*boron.release, *boron.app)
    boron.load(MBR, *map(other, boron.release), *boron.app)
    scissors = Scissors(boron.chip)
    scissors.cut_at(int(share * FULL_FLASH_TRANSFERS))
    with pytest.raises(TransportError):
        boron.flash(wanted, permissions)
    scissors.mend()
    boron.chip.power_on()
    assert boot_end(boron.chip, BORON) in (BootEnd.DFU, BootEnd.HANGS)
    boron.flash_again(wanted)
    boron.assert_holds(MBR, *wanted)
    assert boot_end(boron.chip, BORON) is BootEnd.APPLICATION


@pytest.mark.parametrize("share", [0.5, 0.65, 0.8, 0.95])
def test_power_cut_while_only_the_application_changes(boron, boot_end, share):
    boron.load(MBR, *boron.release, *boron.app)
    boron.chip.flash.load(0xD4000 + 5000, bytes(100))
    scissors = Scissors(boron.chip)
    scissors.cut_at(10**9)
    twin = bytes(boron.chip.flash.cells)
    boron.flash(boron.app)
    transfers = scissors.transfers
    boron.chip.flash.cells[:] = twin
    scissors.cut_at(int(share * transfers))
    with pytest.raises(TransportError):
        boron.flash(boron.app)
    scissors.mend()
    boron.chip.power_on()
    # A damaged application is what the board came with; a half-written one must not start safe mode.
    changed = bytes(boron.chip.flash.cells) != twin
    assert not changed or boot_end(boron.chip, BORON) in (BootEnd.DFU, BootEnd.APPLICATION)
    boron.flash_again(boron.app)
    boron.assert_holds(MBR, *boron.release, *boron.app)
    assert boot_end(boron.chip, BORON) is BootEnd.APPLICATION
