"""The core's debug unit with code of a few instructions, written by hand in Thumb."""

import struct

import pytest

DHCSR, DCRSR, DCRDR, DEMCR, AIRCR = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC, 0xE000ED0C
KEY, DEBUG, HALT, STEP = 0xA05F0000, 1, 2, 4
S_HALT, S_SLEEP, S_LOCKUP, S_RESET = 1 << 17, 1 << 18, 1 << 19, 1 << 25
MOVS_R0_5, ADDS_R0_R0_R1, BKPT, NOP, BRANCH_SELF, WFI, WFE = 0x2005, 0x1840, 0xBE00, 0xBF00, 0xE7FE, 0xBF30, 0xBF20
RAM = 0x20000000


class Debugger:
    def __init__(self, link):
        self.link = link
        link.write(DHCSR, KEY | DEBUG | HALT)

    def load(self, *halfwords, address=RAM):
        data = struct.pack(f"<{len(halfwords)}H", *halfwords)
        data += bytes(-len(data) % 4)
        self.link.write(address, *struct.unpack(f"<{len(data) // 4}I", data))

    def set_register(self, number, value):
        self.link.write(DCRDR, value)
        self.link.write(DCRSR, 0x10000 | number)

    def register(self, number):
        self.link.write(DCRSR, number)
        return self.link.read(DCRDR)

    def go(self):
        self.link.write(DHCSR, KEY | DEBUG)

    @property
    def status(self):
        return self.link.read(DHCSR)


@pytest.fixture
def debugger(nrf52840, probe):
    return Debugger(probe(nrf52840()))


def test_without_the_key_nothing_happens(nrf52840, probe):
    link = probe(nrf52840())
    link.write(DHCSR, DEBUG | HALT)
    assert not link.read(DHCSR) & S_HALT


def test_code_in_ram_runs_to_its_breakpoint(debugger):
    debugger.load(MOVS_R0_5, ADDS_R0_R0_R1, BKPT)
    debugger.set_register(1, 37)
    debugger.set_register(15, RAM)
    debugger.go()
    assert debugger.status & S_HALT
    assert debugger.register(0) == 42
    assert debugger.register(15) == RAM + 4


def test_single_step(debugger):
    debugger.load(MOVS_R0_5, NOP, BKPT)
    debugger.set_register(15, RAM)
    debugger.link.write(DHCSR, KEY | DEBUG | STEP)
    assert debugger.status & S_HALT
    assert (debugger.register(0), debugger.register(15)) == (5, RAM + 2)


def test_endless_code_runs_until_it_is_halted(debugger):
    debugger.load(BRANCH_SELF)
    debugger.set_register(15, RAM)
    debugger.go()
    assert not debugger.status & (S_HALT | S_LOCKUP)
    debugger.link.write(DHCSR, KEY | DEBUG | HALT)
    assert debugger.status & S_HALT
    assert debugger.register(15) == RAM


@pytest.mark.parametrize("instruction", [WFI, WFE])
def test_sleeping_code(debugger, instruction):
    debugger.load(instruction, BKPT)
    debugger.set_register(15, RAM)
    debugger.go()
    assert debugger.status & S_SLEEP


def test_a_fault_locks_the_core_up(debugger):
    # ldr r0, [r1] with nothing at r1
    debugger.load(0x6808, BKPT)
    debugger.set_register(1, 0x60000000)
    debugger.set_register(15, RAM)
    debugger.go()
    assert debugger.status & S_LOCKUP


def left_by_its_debugger(debugger, chip):
    """The status of a core that is let go where a flash algorithm ended, with a program in flash."""
    struct.pack_into("<II", chip.flash.cells, 0, 0x20001000, 0x101)
    struct.pack_into("<H", chip.flash.cells, 0x100, BRANCH_SELF)
    debugger.load(BKPT)
    debugger.set_register(15, RAM)
    debugger.go()
    assert debugger.status & S_HALT
    debugger.link.write(DHCSR, KEY)
    debugger.link.write(DEMCR, 0)
    return debugger.status


def test_a_core_that_is_let_go_at_a_breakpoint_boots(nrf52840, probe):
    """As pyOCD does at its end: the core locks up, which resets an nRF52840."""
    chip = nrf52840()
    debugger = Debugger(probe(chip))
    assert left_by_its_debugger(debugger, chip) & (S_LOCKUP | S_RESET) == S_RESET
    debugger.link.write(DHCSR, KEY | DEBUG | HALT)
    assert debugger.register(15) == 0x100


def test_a_core_that_is_let_go_at_a_breakpoint_stays_in_lockup_on_an_stm32f205(stm32f205, probe):
    assert left_by_its_debugger(Debugger(probe(stm32f205)), stm32f205) & (S_LOCKUP | S_RESET) == S_LOCKUP


def test_an_erased_chip_sits_in_lockup(nrf52840, probe):
    assert probe(nrf52840()).read(DHCSR) & S_LOCKUP


def test_reset_and_halt_stops_at_the_vector_and_tells_of_the_reset_once(nrf52840, probe):
    chip = nrf52840()
    struct.pack_into("<II", chip.flash.cells, 0, 0x20001000, 0x101)
    debugger = Debugger(probe(chip))
    debugger.link.write(DEMCR, 1)
    debugger.link.write(AIRCR, 0x05FA0004)
    status = debugger.status
    assert status & S_HALT
    assert status & S_RESET
    assert not debugger.status & S_RESET
    assert (debugger.register(13), debugger.register(15)) == (0x20001000, 0x100)


def test_hardware_breakpoint_in_flash(nrf52840, probe):
    chip = nrf52840()
    struct.pack_into("<II", chip.flash.cells, 0, 0x20001000, 0x101)
    struct.pack_into("<4H", chip.flash.cells, 0x100, MOVS_R0_5, NOP, NOP, BRANCH_SELF)
    debugger = Debugger(probe(chip))
    debugger.link.write(DEMCR, 1)
    debugger.link.write(AIRCR, 0x05FA0004)
    debugger.link.write(0xE0002008, 0x80000101)
    debugger.link.write(0xE0002000, 3)
    debugger.go()
    assert debugger.status & S_HALT
    assert (debugger.register(0), debugger.register(15)) == (5, 0x102)
    debugger.go()
    assert not debugger.status & S_HALT


def test_guarded_stores_of_code_obey_the_flash_rules(nrf52840, probe):
    """str r0, [r1]; ldr r2, [r1]: what the code reads back is what the cells made of it."""
    chip = nrf52840()
    debugger = Debugger(probe(chip))
    chip.flash.load(0x1000, b"\xf0\xff\xff\xff")
    for enabled, expected in ((0, 0xFFFFFFF0), (1, 0x00000010)):
        debugger.link.write(0x4001E504, enabled)
        debugger.load(0x6008, NOP, BKPT)
        debugger.set_register(0, 0x0000001F)
        debugger.set_register(1, 0x1000)
        debugger.set_register(15, RAM)
        debugger.go()
        assert debugger.status & S_HALT
        assert debugger.link.read(0x1000) == expected


class Firmware:
    def __init__(self):
        self.said = []

    def run(self):
        self.said.append("run")

    def halt(self):
        self.said.append("halt")


def test_firmware_in_flash_is_a_model_and_stops_when_halted(nrf52840, probe):
    chip = nrf52840()
    struct.pack_into("<II", chip.flash.cells, 0, 0x20001000, 0x101)
    chip.core.firmware = Firmware()
    chip.power_on()
    assert chip.core.firmware.said == ["run"]
    debugger = Debugger(probe(chip))
    assert chip.core.firmware.said == ["run", "halt"]
    debugger.load(MOVS_R0_5, BKPT)
    debugger.set_register(15, RAM)
    debugger.go()
    assert debugger.status & S_HALT
    assert chip.core.firmware.said == ["run", "halt"]
    debugger.link.write(AIRCR, 0x05FA0004)
    assert chip.core.firmware.said == ["run", "halt", "run"]
