"""Faults of firmware are told in words; accesses to registers are told by name."""

import struct

import pytest
from particle_harness.emulator.core.code_map import CodeMap
from particle_harness.emulator.core.trace import RegisterTrace

from .machine import RAM, Machine, assemble

FAULT = """
    function _start
        bl outer
        b .
    function outer
        push {r4, lr}
        say 1
        ldr r4, =0x30000000
        ldr r5, [r4]
        pop {r4, pc}
        .ltorg
    function hard_fault
        stop
"""
MODULE = struct.Struct("<IIBBHHBBBBHBBH")


def with_module(image, function=4, index=1, version=2203):
    """The image with a module header where the chips' code looks for one."""
    prefix = MODULE.pack(0, 0x1000, 0, 0, version, 13, function, index, *[0] * 6)
    return image.ljust(0x200, b"\0") + prefix


def test_a_report_tells_what_happened_where_and_what_led_there():
    machine = Machine(with_module(assemble(FAULT)))
    machine.run()
    (report,) = machine.processor.faults.reports
    text = str(report)
    assert text.startswith("HardFault: access to an address where nothing answers, 0x30000000")
    assert f"at 0x{report.fault.return_address:08X} (system part 1, version 2203 + 0x" in text
    assert "in Thread mode" in text
    assert "PRECISERR, BFARVALID, FORCED" in text
    assert "r4 0x30000000" in text
    assert "W PORT.SAY 0x00000001" in text
    assert len(report.callers) == 1, text
    assert not report.locked_up


def test_a_fault_in_the_handler_is_a_lock_up():
    machine = Machine(assemble("function _start\n udf 0\nfunction hard_fault\n udf 1"))
    machine.processor.run(10_000)
    assert machine.processor.locked_up
    first, second = machine.processor.faults.reports
    assert (first.locked_up, second.locked_up) == (False, True)
    assert "in HardFault" in str(second)
    assert "the core has locked up" in str(second)
    assert "undefined instruction" in str(second)


def test_the_same_fault_again_is_counted():
    machine = Machine(
        assemble("function _start\n udf 0\nfunction hard_fault\n store 0xE000ED0C, 0x05FA0004\n b .\n .ltorg")
    )
    machine.processor.run(1_000)
    (report,) = machine.processor.faults.reports
    assert report.times > 5
    assert f", and {report.times - 1} times since" in str(report)


def test_a_stack_outside_memory_is_reported_too():
    machine = Machine(
        assemble("function _start\n ldr r0, =0x30000000\n mov sp, r0\n svc 0\n .ltorg\nfunction hard_fault\n stop")
    )
    machine.run()
    reports = machine.processor.faults.reports
    assert reports[0].fault.cause.name == "STKERR"
    assert reports[0].stack == ()


@pytest.mark.parametrize(("function", "name"), [(2, "bootloader 1"), (4, "system part 1"), (5, "user part 1")])
def test_modules_are_found_by_their_headers(function, name):
    machine = Machine(with_module(assemble(FAULT), function))
    code = CodeMap(machine.bus)
    assert code.describe(0x123) == f"0x00000123 ({name}, version 2203 + 0x123)"
    assert code.describe(0x1000) == "0x00001000"
    assert code.describe(RAM) == "0x20000000 (RAM)"


def test_a_trace_names_registers_counts_repeats_and_filters():
    image = assemble(
        """
        function _start
            ldr r7, =0x40000000
            movs r6, #3
        1:  ldr r5, [r7, #12]
            ldr r4, [r7, #80 + 16]
            subs r6, #1
            bne 1b
            strb r6, [r7]
            stop
        """
    )
    lines, machine = [], Machine(image)
    trace = RegisterTrace(machine.processor, lines.append, without=("PORT.NOW",))
    machine.run()
    trace.close()
    words = [str(line).split() for line in lines]
    assert [line[2:] for line in words if line[1] != "more"] == [
        ["R", "PORT.RAISE_LATER[0]", "0x00000000"],
        ["W", "PORT.SAY", "0x00"],
        ["W", "PORT.STOP", "0x00000001"],
    ]
    assert ["2", "more", "times"] in words
    assert [int(line[0]) for line in words if line[1] != "more"] == sorted(
        int(line[0]) for line in words if line[1] != "more"
    )


def test_a_closed_trace_is_silent():
    lines, machine = [], Machine(assemble("function _start\n say 1\n stop"))
    RegisterTrace(machine.processor, lines.append, only=("PORT.*",)).close()
    machine.run()
    assert lines == []
