"""The chip as a whole: supply, resets, button, light, memories that others share."""

import struct

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.emulator.nrf52840 import power
from particle_harness.emulator.nrf52840.chip import BoardPins, EmulatedNrf52840
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import BusFaultError
from particle_harness.swd.nrf52840 import Silicon
from particle_harness.user_information import RESET_PIN_1, RESET_PIN_2, UICR_SIZE_BYTES

from particle_dev.catalog.flash_chips import NRF52840_FLASH, qspi_flash

from ..machine import assemble

RAM = 0x20000000
COUNTS_BOOTS = """
    function _start
        ldr r7, =0x20000100
        ldr r6, [r7]
        adds r6, #1
        str r6, [r7]
    again:
        wfi
        b again
        .ltorg
"""


@pytest.fixture
def internal():
    return NorFlash(NRF52840_FLASH, VirtualClock(), delays=False)


@pytest.fixture
def external():
    return NorFlash(qspi_flash(4 << 20), VirtualClock(), delays=False)


@pytest.fixture
def uicr():
    return bytearray(b"\xff" * UICR_SIZE_BYTES)


@pytest.fixture
def chip(internal, external, uicr):
    return EmulatedNrf52840(Silicon(b"\1\2\3\4\5\6\7\x08"), internal, uicr, external, BoardPins(11, 13, 14, 15))


def start(chip, source, duration_s=0.001):
    chip.internal.load(0, assemble(source))
    chip.power_on()
    run(chip, duration_s)


def run(chip, duration_s=0.001):
    chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(duration_s))


def boots(chip):
    return chip.bus.read_word(RAM + 0x100)


def test_ram_survives_resets_but_not_the_supply(chip):
    start(chip, COUNTS_BOOTS)
    chip.reset(power.RESET_SOFTWARE)
    run(chip)
    assert (boots(chip), chip.resets, chip.power.word(0x400)) == (2, 1, power.RESET_SOFTWARE)
    chip.power_off()
    assert not chip.runs
    chip.power_on()
    run(chip)
    assert (boots(chip), chip.resets, chip.power.word(0x400)) == (1, 0, 0)


def test_the_reset_pin_works_where_uicr_names_it(chip, uicr):
    start(chip, COUNTS_BOOTS)
    chip.pin_reset()
    run(chip)
    assert boots(chip) == 1
    for offset in (RESET_PIN_1, RESET_PIN_2):
        struct.pack_into("<I", uicr, offset, 18)
    chip.pin_reset()
    run(chip)
    assert boots(chip) == 2


def test_firmware_resets_the_chip(chip):
    start(
        chip,
        """
        function _start
            ldr r7, =0x20000100
            ldr r6, [r7]
            adds r6, #1
            str r6, [r7]
            cmp r6, #3
            beq .
            store 0xE000ED0C, 0x05FA0004
            b .
            .ltorg
        """,
    )
    assert (boots(chip), chip.resets) == (3, 2)


def test_the_watchdog_resets_a_chip_that_hangs(chip):
    start(
        chip,
        """
        function _start
            ldr r7, =0x20000100
            ldr r6, [r7]
            adds r6, #1
            str r6, [r7]
            store 0x40010504, 3276
            store 0x40010000, 1
            b .
            .ltorg
        """,
        0.35,
    )
    assert boots(chip) == 4
    assert chip.power.word(0x400) == power.RESET_WATCHDOG


def test_an_erased_chip_locks_up(chip):
    chip.power_on()
    run(chip)
    assert not chip.runs


def test_system_off_lasts_until_a_reset(chip, uicr):
    for offset in (RESET_PIN_1, RESET_PIN_2):
        struct.pack_into("<I", uicr, offset, 18)
    start(chip, COUNTS_BOOTS.replace("wfi", "store 0x40000500, 1"))
    assert not chip.runs
    chip.pin_reset()
    assert chip.runs


def test_flash_is_written_by_firmware_and_seen_by_all(chip, internal):
    start(
        chip,
        """
        function _start
            store 0x30000, 0x11111111
            store 0x4001E504, 1
            store 0x30004, 0x22222222
            store 0x30004, 0xFFFF2FFF
            store 0x4001E504, 0
            b .
            .ltorg
        """,
    )
    assert internal.read(0x30000, 8) == bytes.fromhex("ffffffff22222222")


def test_factory_information_and_windows(chip, external):
    external.load(0x1000, b"outside!")
    assert chip.bus.read(0x12001000, 8) == b"outside!"
    assert chip.bus.read(0x10000060, 8) == b"\1\2\3\4\5\6\7\x08"
    assert chip.bus.read_word(0x10000100) == 0x52840
    chip.bus.write(0x10000060, b"\0")
    assert chip.bus.read(0x10000060, 1) == b"\1"
    with pytest.raises(BusFaultError):
        chip.bus.read_word(0x60000000)


def test_button_and_light(chip):
    start(chip, COUNTS_BOOTS)
    chip.bus.write(0x50000000 + 0x700 + 4 * 11, (3 << 2).to_bytes(4, "little"))
    chip.hold_mode_button(True)
    assert not chip.bus.read_word(0x50000510) >> 11 & 1
    chip.hold_mode_button(False)
    assert chip.bus.read_word(0x50000510) >> 11 & 1
    assert chip.lights == (0.0, 0.0, 0.0)
    chip.bus.write(0x50000518, (1 << 13).to_bytes(4, "little"))
    assert chip.lights == (1.0, 0.0, 0.0)


def test_the_usb_supply_outlives_resets(chip):
    start(chip, COUNTS_BOOTS)
    chip.attach_vbus()
    chip.reset(power.RESET_SOFTWARE)
    assert chip.bus.read_word(0x40000438) == 1
    run(chip, 0.004)
    assert chip.bus.read_word(0x40000438) == 3
    chip.detach_vbus()
    assert not chip.usb.connected


def test_two_chips_do_the_same_at_the_same_cycles(uicr):
    def story():
        internal = NorFlash(NRF52840_FLASH, VirtualClock(), delays=False)
        chip = EmulatedNrf52840(
            Silicon(b"\1\2\3\4\5\6\7\x08"), internal, bytearray(uicr), None, BoardPins(11, 13, 14, 15)
        )
        accesses = []
        chip.processor.trace = lambda *access: accesses.append(access)
        start(
            chip,
            """
            function _start
                store 0x4000D000, 1
            again:
                ldr r5, =0x4000D000
            wait:
                ldr.w r6, [r5, #0x100]
                cmp r6, #0
                beq wait
                ldr r7, =0x508
                ldr r6, [r5, r7]
                movs r6, #0
                str.w r6, [r5, #0x100]
                b again
                .ltorg
            """,
        )
        return accesses

    assert story() == story()
