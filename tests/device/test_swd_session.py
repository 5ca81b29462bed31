"""Boards behind a debug probe: who they are, and how they are left."""

import gc

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.cmsis_dap import CmsisDap
from particle_harness.swd.core import Idle
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.plugged import plugged
from particle_harness.swd.stm32f205 import Stm32f205
from particle_harness.swd.wire_time import WireTime

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.device import swd
from particle_dev.device.swd import Park, Protection, swd_session
from particle_dev.errors import (
    ChipLockedError,
    DeviceModeError,
    LinkAccessError,
    PermissionMissingError,
    PlanRefusedError,
    TransportError,
    WrongDeviceError,
)
from particle_dev.permissions import NOTHING, Permissions

pytestmark = pytest.mark.usefixtures("own_probes")
ARGON, BORON, PHOTON, P2 = map(platform_by_name, ("argon", "boron", "photon", "p2"))
MAY_ERASE, MAY_LOCK = Permissions(may_erase=True), Permissions(may_lock=True)


class Firmware:
    """Counts its starts."""

    starts = 0

    def run(self):
        self.starts += 1

    def halt(self):
        pass

    def reset(self):
        pass


@pytest.fixture
def plug():
    held = []

    def make(chip, time=None):
        context = plugged(CmsisDap(chip, "A1", time))
        context.__enter__()
        held.append(context)
        return chip

    yield make
    for context in held:
        context.__exit__(None, None, None)
    gc.collect()


@pytest.fixture
def boron(plug, release_store):
    """With the bootloader of Device OS 2.1.0."""

    def make(variant="AAD0", approtect=0xFF, time=None):
        flash = NorFlash(NRF52840_FLASH, time or VirtualClock(), delays=time is not None)
        uicr = bytearray(b"\xff" * 0x1000)
        uicr[0x208] = approtect
        chip = Nrf52840(Silicon(bytes(range(8)), variant), flash, uicr, time=time)
        chip.core.firmware = Idle()
        (bootloader,) = release_store.device_os_set("boron", "2.1.0").bootloaders
        chip.flash.load(0, bytes.fromhex("0004002001050000"))
        chip.flash.load(0x500, bytes.fromhex("fee7"))
        chip.flash.load(0xF4000, release_store.read(bootloader.sha256))
        chip.pin_reset()
        return plug(chip, time)

    return make


@pytest.fixture
def photon(plug, release_store):
    chip = Stm32f205(bytes(range(12)), NorFlash(STM32F205_FLASH, VirtualClock(), delays=False))
    chip.core.firmware = Idle()
    (bootloader,) = release_store.device_os_set("photon", "2.1.0").bootloaders
    chip.flash.load(0x08000000, release_store.read(bootloader.sha256))
    return plug(chip)


def session(platform=None, **options):
    return swd_session("A1", platform, in_process=True, **options)


def test_identity_takes_a_third_of_a_second_at_most(boron):
    time = WireTime()
    boron(time=time)
    with session() as board:
        identity = board.identity()
    assert time.now_s < 0.3
    assert (identity.device_id, identity.platform) == ("e00fce680001020304050607", BORON)
    assert (identity.variant, identity.hardened, identity.protection) == ("AAD0", False, Protection.OPEN)
    ((slot, prefix),) = identity.prefixes
    assert (slot.start_address, prefix.version, prefix.platform_id) == (0xF4000, 1005, 13)


def test_identity_of_a_photon(photon):
    with session() as board:
        identity = board.identity()
    assert (identity.device_id, identity.platform) == (bytes(range(12)).hex(), PHOTON)
    assert (identity.variant, identity.uicr, identity.softdevice) == ("", b"", None)


@pytest.mark.parametrize("approtect", [0xFF, 0x00])
def test_a_photon_that_is_a_boron(boron, approtect):
    chip = boron(approtect=approtect)
    before = bytes(chip.flash.cells)
    with pytest.raises(WrongDeviceError, match="nrf52840") as caught, session(PHOTON) as board:
        board.identity()
    assert (caught.value.expected, caught.value.actual) == ("stm32f205", "nrf52840")
    assert bytes(chip.flash.cells) == before


def test_a_boron_that_is_a_photon(photon):
    before = bytes(photon.flash.cells)
    with pytest.raises(WrongDeviceError) as caught, session(BORON) as board:
        board.identity()
    assert (caught.value.expected, caught.value.actual) == ("nrf52840", "stm32f205")
    assert bytes(photon.flash.cells) == before


def test_an_argon_that_is_a_boron(boron):
    boron()
    with session(ARGON) as board, pytest.raises(WrongDeviceError, match="bootloader in flash is for boron"):
        board.identity()


def test_a_platform_that_no_probe_programs():
    with pytest.raises(WrongDeviceError, match="not programmed by a debug probe"), session(P2):
        pass


@pytest.mark.parametrize(("variant", "approtect"), [("AAD0", 0x00), ("AAF0", 0xFF)])
def test_recovering_needs_its_permission_and_opens_the_chip(boron, variant, approtect):
    chip = boron(variant, approtect)
    chip.pin_reset()
    before = bytes(chip.flash.cells), bytes(chip.uicr)
    with pytest.raises(ChipLockedError), session():
        pass
    with pytest.raises(PermissionMissingError, match="--may-erase"), session(recover=True):
        pass
    assert (bytes(chip.flash.cells), bytes(chip.uicr)) == before
    with session(BORON, recover=True, permissions=MAY_ERASE) as board:
        assert board.identity().device_id == "e00fce680001020304050607"
        assert board.link.halted
    assert {*bytes(chip.flash.cells), *chip.uicr} == {0xFF}
    with session(BORON) as board:
        assert board.identity().prefixes == ()


def test_recovering_an_open_chip_erases_it_too(boron):
    chip = boron()
    with session(recover=True, permissions=MAY_ERASE):
        assert set(bytes(chip.flash.cells)) == {0xFF}


def test_another_access_port_is_not_told_to_erase(boron):
    chip = boron()
    control = chip.debug_port.access_ports[1]
    read = control.read
    control.read = lambda register: 0x12345678 if register == 0xFC else read(register)
    before = bytes(chip.flash.cells)
    with pytest.raises(TransportError, match="no CTRL-AP"), session(BORON, recover=True, permissions=MAY_ERASE):
        pass
    assert bytes(chip.flash.cells) == before


@pytest.mark.parametrize("platform", [PHOTON, None])
def test_a_photon_is_not_recovered(photon, platform):
    before = bytes(photon.flash.cells)
    with (
        pytest.raises((PlanRefusedError, TransportError)) as caught,
        session(platform, recover=True, permissions=MAY_ERASE),
    ):
        pass
    assert isinstance(caught.value, PlanRefusedError if platform else TransportError)
    assert bytes(photon.flash.cells) == before


@pytest.mark.parametrize(("variant", "approtect"), [("AAD0", 0xFF), ("AAF0", 0x5A)])
def test_locking_needs_its_permission(boron, variant, approtect):
    chip = boron(variant, approtect)
    with session() as board:
        with pytest.raises(PermissionMissingError, match="--may-lock"):
            board.lock(NOTHING)
        assert chip.uicr[0x208] == approtect
        board.lock(MAY_LOCK)
        assert board.identity().protection is Protection.CLOSES
    chip.pin_reset()
    with pytest.raises(ChipLockedError), session():
        pass


@pytest.mark.parametrize(("variant", "approtect"), [("AAD0", 0xFF), ("AAF0", 0x5A)])
def test_a_lock_is_proven_by_the_port_that_still_answers(boron, variant, approtect):
    chip = boron(variant, approtect)
    chip.core.firmware = firmware = Firmware()
    words = []
    firmware.run = lambda: words.append(chip.ram[0x3F380:0x3F384])
    with session() as board:
        assert not board.link.port_is_locked()
        board.lock(MAY_LOCK)
        assert board.prove_lock()
    # It was let into DFU mode and nothing else.
    assert words == [bytes.fromhex("faed0000")]
    assert chip.locked


def test_a_lock_that_this_reset_does_not_bring_is_not_taken_for_proven(boron):
    chip = boron("AAF0", 0x5A)
    chip.opened = True
    with session() as board:
        board.lock(MAY_LOCK)
        assert board.prove_lock() is False


def test_halted_after_a_lock_was_written_resets_nothing(boron):
    chip = boron()
    with session() as board:
        board.lock(MAY_LOCK)
        proves, closed = board.leave_closing(Park.HALTED)
    assert "no firmware runs" in proves
    assert (closed, chip.core.halted, chip.locked) == (False, True, False)


def test_without_a_bootloader_a_lock_is_not_tried(boron):
    chip = boron()
    chip.flash.load(0xF4200, b"\xff" * 24)
    with session(BORON) as board, pytest.raises(DeviceModeError, match="no bootloader"):
        board.prove_lock()
    assert chip.core.halted


def test_a_photon_is_not_locked(photon):
    with session() as board:
        with pytest.raises(PlanRefusedError, match="lock is for nRF52840"):
            board.lock(MAY_LOCK)
        assert not board.link.port_is_locked()


@pytest.mark.parametrize(
    ("variant", "approtect", "protection"),
    [("AAD0", 0xFF, Protection.OPEN), ("AAF0", 0x5A, Protection.BY_FIRMWARE)],
)
def test_what_the_next_power_up_does(boron, variant, approtect, protection):
    boron(variant, approtect)
    with session() as board:
        assert board.identity().protection is protection


def test_parked_halted(boron):
    chip = boron()
    chip.core.firmware = firmware = Firmware()
    with session() as board:
        assert "no firmware runs" in board.park(Park.HALTED)
    assert chip.core.halted
    assert firmware.starts == 0


def test_parked_in_dfu_mode(boron):
    chip = boron()
    chip.core.firmware = firmware = Firmware()
    words = []
    firmware.run = lambda: words.append(chip.ram[0x3F380:0x3F384])
    with session() as board:
        assert board.park(Park.DFU).startswith("no application runs until")
    # Each start finds the word; the bootloader acts on it.
    assert words == [bytes.fromhex("faed0000")]


def test_a_photon_parked_in_dfu_mode(photon):
    photon.core.firmware = firmware = Firmware()
    words = []
    firmware.run = lambda: words.append(photon.backup_domain.registers[0x854])
    with session() as board:
        board.park(Park.DFU)
    assert words == [0xEDFA]


def test_without_a_bootloader_no_dfu_mode(boron):
    chip = boron()
    chip.core.firmware = firmware = Firmware()
    chip.flash.load(0xF4200, b"\xff" * 24)
    with session(BORON) as board, pytest.raises(DeviceModeError, match="no bootloader"):
        board.park(Park.DFU)
    assert firmware.starts == 0


def test_power_is_the_benches_work(boron):
    boron()
    with session() as board, pytest.raises(DeviceModeError, match="switches no power"):
        board.park(Park.OFF)


def test_the_application_runs_with_permission_alone(boron):
    chip = boron()
    chip.core.firmware = firmware = Firmware()
    with session() as board:
        with pytest.raises(PermissionMissingError, match="--may-connect"):
            board.run(NOTHING)
        assert firmware.starts == 0
        board.run(Permissions(may_connect=True))
    assert firmware.starts == 1


def test_without_pyocd_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(swd, "find_spec", lambda _name: None)
    with pytest.raises(LinkAccessError) as caught, session(BORON):
        pass
    assert "pip install" in caught.value.hint
