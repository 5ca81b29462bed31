"""The core executes, takes exceptions and sleeps as the architecture says."""

import itertools

import pytest

from .machine import Machine, assemble, run

SAYS_R5 = """
        function irq0
            ldr r7, =0x40000000
            str r5, [r7]
            store 0x40000030, 1
            bx lr
            .ltorg
"""


def test_a_line_that_a_store_raises_is_served_before_the_next_instruction():
    said = run(
        """
        function _start
            store 0xE000E100, 1
            movs r5, #0
            ldr r4, =0x40000010
            str r4, [r4]
            adds r5, #1
            adds r5, #1
            stop
        """
        + SAYS_R5
    )
    assert said == [0]


@pytest.mark.parametrize("store", ["str r5, [r4], #4", "str r5, [r4, #0]!", "stm r4, {r4}", "strd r4, r5, [r4]"])
def test_every_form_of_store_is_done_once_and_followed_by_the_interrupt(store):
    said = run(
        f"""
        function _start
            store 0xE000E100, 1
            movs r5, #0
            ldr r4, =0x40000010
            {store}
            adds r5, #1
            stop
        """
        + SAYS_R5
    )
    assert said == [0]


def test_an_interrupt_that_waits_for_cpsie_comes_right_behind_it():
    said = run(
        """
        function _start
            store 0xE000E100, 1
            movs r5, #0
            cpsid i
            store 0x40000010, 1
            adds r5, #1
            cpsie i
            adds r5, #1
            cpsid i
            stop
        """
        + SAYS_R5
    )
    assert said == [1]


def test_systick_counts_and_wfi_jumps_to_it():
    image = assemble(
        """
        function _start
            tick_every 64000
            movs r5, #0
        1:  wfi
            adds r5, #1
            cmp r5, #5
            bne 1b
            stop
        function systick
            ldr r7, =0x4000000C
            ldr r6, [r7]
            ldr r7, =0x40000000
            str r6, [r7]
            bx lr
            .ltorg
        """
    )
    said = Machine(image).run()
    assert [later - earlier for earlier, later in itertools.pairwise(said)] == [64000] * 4


def test_pendsv_switches_between_two_stacks():
    said = run(
        """
        function _start
            ldr r0, =0x20002000
            msr psp, r0
            movs r0, #2
            msr control, r0
            isb
            ldr r1, =0x20001000 - 32
            ldr r2, =other
            str r2, [r1, #24]
            ldr r2, =0x01000000
            str r2, [r1, #28]
            ldr r3, =0x20000000
            subs r1, #32
            str r1, [r3]
            say 1
            store 0xE000ED04, 0x10000000
            say 3
            store 0xE000ED04, 0x10000000
            say 5
            stop
        function other
            say 2
            store 0xE000ED04, 0x10000000
            say 4
            store 0xE000ED04, 0x10000000
            b .
            .ltorg
        function pendsv
            mrs r0, psp
            stmdb r0!, {r4-r11}
            ldr r3, =0x20000000
            ldr r1, [r3]
            str r0, [r3]
            ldmia r1!, {r4-r11}
            msr psp, r1
            bx lr
            .ltorg
        """
    )
    assert said == [1, 2, 3, 4, 5]


def test_a_bus_fault_is_escalated_and_tells_where():
    said = run(
        """
        function _start
            ldr r4, =0x30000000
            ldr r5, [r4]
            b .
            .ltorg
        function hard_fault
            ldr r5, =0xE000ED28
            ldr r0, [r5]
            ldr r1, [r5, #4]
            ldr r2, [r5, #16]
            ldr r3, [sp, #24]
            ldr r7, =0x40000000
            stmia r7, {r0}
            stmia r7, {r1}
            stmia r7, {r2}
            stmia r7, {r3}
            stop
        """
    )
    assert said == [0x8200, 0x40000000, 0x30000000, 0x104]


@pytest.mark.parametrize("cycles", [1, 4])
def test_instructions_may_take_more_than_one_cycle(cycles):
    machine = Machine(
        assemble(
            """
            function _start
                ldr r5, =100
            again:
                subs r5, #1
                bne again
                wfi
                stop
            """
        )
    )
    machine.processor.instruction_cycles = cycles
    machine.processor.run(100_000)
    assert machine.processor.sleeping
    assert machine.processor.instruction_cycles == cycles
    machine = Machine(machine.flash)
    machine.processor.instruction_cycles = cycles
    machine.processor.run(200 * cycles)
    assert machine.timeline.cycles in range(200 * cycles, 201 * cycles)
    assert machine.processor.register(5) == 0
    assert not machine.processor.sleeping
