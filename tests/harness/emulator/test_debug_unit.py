"""A debugger on a core that runs firmware: by memory accesses, as a probe makes them."""

import threading

import pytest
from particle_harness.emulator.core.debug_unit import ProcessorDebug
from particle_harness.swd.debug_port import DebugPort, MemoryAccessPort

from .machine import RAM, Machine, assemble

DHCSR, DCRSR, DCRDR, DEMCR, AIRCR, DFSR = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC, 0xE000ED0C, 0xE000ED30
KEY, HALT, STEP, MASKINTS = 0xA05F0000, 3, 5, 8
HALTED, SLEEPS = 1 << 17, 1 << 18
COUNTER = """
    function _start
        movs r0, #0
        ldr r1, =0x20000000
    1:  adds r0, #1
        str r0, [r1]
        b 1b
        .ltorg
"""


class Debugger:
    """Memory accesses through a debug port."""

    def __init__(self, machine):
        self.port = DebugPort({0: MemoryAccessPort(machine.debug, lambda: False)})
        self.port.write_dp(4, 0x50000000)
        self.port.write_dp(8, 0)
        self.port.write_ap(0, 0x23000012)

    def read(self, address):
        self.port.write_ap(4, address)
        return self.port.read_ap(0xC)

    def write(self, address, value):
        self.port.write_ap(4, address)
        self.port.write_ap(0xC, value)

    def register(self, number):
        self.write(DCRSR, number)
        return self.read(DCRDR)


class DebuggedMachine(Machine):
    name = "test"

    def before_mapping(self):
        self.debug = ProcessorDebug(self.processor)
        self.lock = threading.RLock()


@pytest.fixture
def counting():
    return DebuggedMachine(assemble(COUNTER))


@pytest.fixture
def debugger(counting):
    return Debugger(counting)


def test_it_runs_while_the_debugger_looks_and_stands_when_halted(counting, debugger):
    first, second = debugger.read(RAM), debugger.read(RAM)
    assert 0 < first < second
    debugger.write(DHCSR, KEY | HALT)
    assert debugger.read(DHCSR) & 0x20000
    assert debugger.read(DFSR) & 1
    third = debugger.read(RAM)
    assert debugger.read(RAM) == third
    assert counting.processor.register(0) - third in (0, 1)


def test_a_core_that_sleeps_is_woken_by_the_halt_and_goes_on_behind_it():
    machine = DebuggedMachine(assemble("function _start\n wfi\n movs r0, #7\n1: wfi\n b 1b\n"))
    debugger = Debugger(machine)
    assert debugger.read(DHCSR) & (SLEEPS | HALTED) == SLEEPS
    debugger.write(DHCSR, KEY | HALT)
    assert debugger.read(DHCSR) & (SLEEPS | HALTED) == HALTED
    assert debugger.register(15) == 0x102
    debugger.write(DHCSR, KEY | 1)
    assert debugger.read(DHCSR) & (SLEEPS | HALTED) == SLEEPS
    debugger.write(DHCSR, KEY | HALT)
    assert debugger.register(0) == 7


def test_registers_are_read_and_written(counting, debugger):
    debugger.write(DHCSR, KEY | HALT)
    debugger.write(DCRDR, 0x12345678)
    debugger.write(DCRSR, 0x10000 | 5)
    assert (counting.processor.register(5), debugger.register(5)) == (0x12345678, 0x12345678)


def test_a_step_is_one_instruction(counting, debugger):
    debugger.write(DHCSR, KEY | HALT)
    addresses = []
    for _ in range(6):
        addresses.append(debugger.register(15))
        debugger.write(DHCSR, KEY | STEP)
    assert addresses[:3] == addresses[3:]
    assert len(set(addresses)) == 3


def test_a_breakpoint_halts_before_its_instruction_each_time(counting, debugger):
    debugger.write(DHCSR, KEY | HALT)
    debugger.write(0xE0002000, 3)
    debugger.write(0xE0002008, 0x104 | 1 << 31 | 1)
    values = []
    for _ in range(3):
        debugger.write(DHCSR, KEY | 1)
        assert debugger.read(DHCSR) & 0x20000
        assert debugger.register(15) == 0x106
        values.append(debugger.register(0))
    assert values[1] == values[0] + 1
    assert values[2] == values[1] + 1
    debugger.write(0xE0002008, 0)
    debugger.write(DHCSR, KEY | 1)
    assert not debugger.read(DHCSR) & 0x20000


def test_reset_and_halt_stops_at_the_first_instruction(counting, debugger):
    debugger.write(DHCSR, KEY | HALT)
    debugger.write(DEMCR, 1)
    debugger.write(AIRCR, 0x05FA0004)
    status = debugger.read(DHCSR)
    assert (status & 0x20000, status & 1 << 25) == (0x20000, 1 << 25)
    assert not debugger.read(DHCSR) & 1 << 25
    assert debugger.register(15) == 0x100


def test_bkpt_halts_for_a_debugger_and_is_a_hard_fault_without_one():
    source = """
        function _start
            say 1
            bkpt 0
            say 2
            stop
        function hard_fault
            ldr r5, =0xE000ED2C
            ldr r0, [r5]
            ldr r7, =0x40000000
            str r0, [r7]
            stop
    """
    assert DebuggedMachine(assemble(source)).run() == [1, 0x80000000]
    machine = DebuggedMachine(assemble(source))
    machine.processor.halted = machine.debug.halted = True
    debugger = Debugger(machine)
    debugger.write(DHCSR, KEY | 1)
    assert debugger.read(DHCSR) & 0x20000
    assert machine.said == [1]
    debugger.write(DCRDR, debugger.register(15) + 2)
    debugger.write(DCRSR, 0x10000 | 15)
    debugger.write(DHCSR, KEY | 1)
    debugger.read(DHCSR)
    assert machine.said == [1, 2]


def test_vector_catch_halts_where_a_fault_is_taken():
    source = """
        function _start
            ldr r4, =0x30000000
            ldr r5, [r4]
            b .
            .ltorg
    """
    machine = DebuggedMachine(assemble(source))
    debugger = Debugger(machine)
    machine.processor.halted = machine.debug.halted = True
    debugger.write(DEMCR, 1 << 10)
    debugger.write(DHCSR, KEY | 1)
    assert debugger.read(DHCSR) & 0x20000
    assert debugger.read(DFSR) & 8
    assert debugger.read(0xE000ED28) == 0x8200


def test_a_locked_up_core_shows_it_and_a_halt_ends_it():
    machine = DebuggedMachine(b"\xff" * 0x200)
    debugger = Debugger(machine)
    debugger.write(DHCSR, KEY | 1)
    assert debugger.read(DHCSR) & 1 << 19
    debugger.write(DHCSR, KEY | HALT)
    assert debugger.read(DHCSR) & (1 << 19 | 1 << 17) == 1 << 17


@pytest.mark.parametrize(("masked", "said"), [(0, [7]), (MASKINTS, [])])
def test_stepping_leaves_interrupts_out_when_the_debugger_says_so(masked, said):
    machine = DebuggedMachine(
        assemble(
            """
            function _start
                store 0xE000E100, 1
            1:  adds r5, #1
                b 1b
                .ltorg
            function irq0
                store 0x40000030, 1
                say 7
                bx lr
                .ltorg
            """
        )
    )
    machine.processor.run(50)
    debugger = Debugger(machine)
    debugger.write(DHCSR, KEY | HALT)
    machine.processor.interrupt_line(0).set(True)
    debugger.write(DHCSR, KEY | HALT | masked)
    for _ in range(12):
        debugger.write(DHCSR, KEY | STEP | masked)
    assert machine.said == said


def test_code_that_a_debugger_writes_is_what_runs(counting, debugger):
    debugger.write(DHCSR, KEY | HALT)
    for value in (0x41, 0x42):
        debugger.write(RAM + 0x100, 0xBE002000 | value)
        debugger.write(DCRDR, RAM + 0x100)
        debugger.write(DCRSR, 0x10000 | 15)
        debugger.write(DHCSR, KEY | 1)
        assert debugger.read(DHCSR) & 0x20000
        assert debugger.register(0) == value
