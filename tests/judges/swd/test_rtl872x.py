"""OpenOCD with its own rtl872xd.cfg on our virtual RTL872x: it finds both cores, reads flash, and halts."""

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.rtl872x import Rtl872x

from particle_dev.catalog.flash_chips import RTL872X_FLASH


@pytest.fixture
def chip():
    flash = NorFlash(RTL872X_FLASH, VirtualClock(), delays=False)
    flash.load(0x08060000, bytes.fromhex("0123456789abcdef"))
    return Rtl872x(flash)


def test_both_cores_flash_and_halt(chip, openocd):
    text = openocd(
        chip,
        "rtl872xd",
        "targets rtl872xd.cpu.km4",
        "halt",
        "echo [mdw 0x08060000 2]",
        "targets rtl872xd.cpu.km0",
        "halt",
        "echo [mdw 0x08060004 1]",
    )
    assert "Cortex-M23" in text
    assert "Cortex-M33" in text
    assert "67452301 efcdab89" in text
    assert chip.core.halted
    assert chip.km0.halted


def test_flash_cannot_be_written_through_the_map(chip, openocd):
    openocd(chip, "rtl872xd", "targets rtl872xd.cpu.km4", "halt", "mww 0x08060000 0", check=False)
    assert chip.flash.read(0x08060000, 4) == bytes.fromhex("01234567")
