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
COUNT = """
    function _start
        ldr r7, =0x20000100
        ldr r6, [r7]
        adds r6, #1
        str r6, [r7]
"""
COUNTS_BOOTS = (
    COUNT
    + """
    again:
        wfi
        b again
        .ltorg
"""
)


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
        COUNT
        + """
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
        COUNT
        + """
            store 0x40010504, 3276
            store 0x40010000, 1
            b .
            .ltorg
        """,
        0.35,
    )
    assert boots(chip) == 4
    assert chip.power.word(0x400) == power.RESET_WATCHDOG


LOCKS_UP = (
    COUNT
    + """
        udf #0
        .ltorg
    function hard_fault
        udf #0
"""
)


def test_a_lockup_resets_the_chip(chip):
    start(chip, LOCKS_UP, 0.35)
    assert (boots(chip), chip.resets) == (4, 4)
    assert chip.power.word(0x400) == power.RESET_LOCKUP


def test_an_erased_chip_is_reset_again_and_again(chip):
    chip.power_on()
    run(chip, 1)
    assert chip.resets == 10
    assert [report.times for report in chip.processor.faults.reports][-1] >= 8


def test_a_lockup_stays_for_a_debugger(chip):
    chip.internal.load(0, assemble(LOCKS_UP))
    chip.power_on()
    chip.debug.write_debug(0xDF0, 0xA05F0001)
    run(chip, 0.35)
    assert (chip.processor.locked_up, chip.runs, chip.resets) == (True, False, 0)


WDT, GPREGRET = 0x40010000, 0x4000051C


@pytest.mark.parametrize(
    ("reason", "survives"),
    [
        (power.RESET_SOFTWARE, True),
        (power.RESET_LOCKUP, True),
        (power.RESET_PIN, False),
        (power.RESET_WATCHDOG, False),
    ],
)
def test_what_survives_which_reset(chip, reason, survives):
    start(chip, COUNTS_BOOTS)
    for address, value in ((WDT + 0x504, 32768 - 1), (WDT, 1), (GPREGRET, 0xB1)):
        chip.bus.write(address, value.to_bytes(4, "little"))
    run(chip, 0.6)
    chip.reset(reason)
    assert chip.bus.read_word(WDT + 0x400) == survives
    assert chip.bus.read_word(GPREGRET) == (0xB1 if survives else 0)
    run(chip, 0.6)
    assert chip.power.word(0x400) == reason | (power.RESET_WATCHDOG if survives else 0)


def test_the_serial_flash_forgets_its_mode_without_power(chip, external):
    external.load(0, b"\x12\x34\x56\x78")

    def instruct(opcode):
        chip.bus.write(0x40029634, (0x1000 | opcode).to_bytes(4, "little"))

    def first_word():
        for register, value in ((0x504, 0), (0x508, RAM), (0x50C, 4), (0x004, 1)):
            chip.bus.write(0x40029000 + register, value.to_bytes(4, "little"))
        return chip.bus.read(RAM, 4)

    chip.power_on()
    instruct(0xB1)
    instruct(0x06)
    chip.reset(power.RESET_SOFTWARE)
    assert first_word() == b"\xff" * 4, "still in its secured area"
    chip.power_off()
    chip.power_on()
    assert first_word() == b"\x12\x34\x56\x78"
    assert chip.bus.read_word(0x40029604) >> 24 == 0x40


def test_system_off_lasts_until_a_reset(chip, uicr):
    for offset in (RESET_PIN_1, RESET_PIN_2):
        struct.pack_into("<I", uicr, offset, 18)
    start(chip, COUNTS_BOOTS.replace("wfi", "store 0x40000500, 1"))
    assert not chip.runs
    chip.pin_reset()
    assert chip.runs


def test_a_chip_that_is_off_has_no_watchdog(chip):
    off = "store 0x40010504, 3276\n store 0x40010000, 1\n store 0x40000500, 1"
    start(chip, COUNTS_BOOTS.replace("wfi", off))
    chip.timeline.pass_until(chip.timeline.cycles_of(0.5))
    assert (chip.off, chip.resets) == (True, 0)


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


def test_a_reset_in_the_middle_of_getting_ready_starts_the_usb_regulator_anew(chip):
    chip.power_on()
    chip.attach_vbus()
    chip.timeline.pass_until(chip.timeline.cycles_of(0.0029))
    chip.reset(power.RESET_SOFTWARE)
    chip.timeline.pass_until(chip.timeline.cycles + chip.timeline.cycles_of(0.0029))
    assert chip.bus.read_word(0x40000438) == 1
    chip.timeline.pass_until(chip.timeline.cycles + chip.timeline.cycles_of(0.0002))
    assert chip.bus.read_word(0x40000438) == 3


def test_a_reset_ends_a_transfer_on_i2c(chip):
    twim = 0x40003000
    chip.power_on()
    for register, value in ((0x500, 6), (0x588, 0x11), (0x544, RAM), (0x548, 4), (0x008, 1)):
        chip.bus.write(twim + register, value.to_bytes(4, "little"))
    chip.reset(power.RESET_SOFTWARE)
    chip.timeline.pass_until(chip.timeline.cycles_of(0.01))
    assert (chip.bus.read_word(twim + 0x124), chip.bus.read_word(twim + 0x4C4)) == (0, 0)


ICTR, ISER, ISPR, IPR, STIR = 0xE000E004, 0xE000E100, 0xE000E200, 0xE000E400, 0xE000EF00


def test_it_has_48_interrupts(chip):
    chip.power_on()
    assert chip.bus.read_word(ICTR) == 1
    for register in (ISER + 4, ISPR + 4):
        chip.bus.write(register, (1 << 15 | 1 << 16).to_bytes(4, "little"))
        assert chip.bus.read_word(register) == 1 << 15
    for line in (47, 48):
        chip.bus.write(IPR + line, b"\xe0")
    assert chip.bus.read(IPR + 47, 1) + chip.bus.read(IPR + 48, 1) == b"\xe0\0"


def test_software_pends_interrupts_that_are_there(chip):
    chip.power_on()
    chip.bus.write(STIR, (300).to_bytes(4, "little"))
    assert not chip.bus.read_word(0xE000ED04) >> 22 & 1
    chip.bus.write(STIR, (47).to_bytes(4, "little"))
    assert chip.bus.read_word(ISPR + 4) == 1 << 15


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

    first = story()
    assert len(first) > 10
    assert story() == first
