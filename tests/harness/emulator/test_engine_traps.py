"""Traps of Unicorn 2.1 and of the bus, each once a wrong result: nothing happens twice or is lost."""

import itertools

import pytest
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.swd.bus import Memory

from .machine import RAM, Machine, assemble, run

IRQ0 = """
    function irq0
        store 0x40000030, 1
        adds r8, #1
        bx lr
        .ltorg
"""


@pytest.mark.parametrize("slice_cycles", [1, 2, 3, 7, 50, 1_000])
def test_no_store_and_no_read_is_repeated_or_left_out_however_the_run_is_cut(slice_cycles):
    machine = Machine(
        assemble(
            """
            function _start
                store 0xE000E100, 1
                movs r0, #0
                ldr r1, =0x40000000
            1:  str r0, [r1]
                adds r0, #1
                str r0, [r1, #16]
                cmp r0, #200
                bne 1b
                stop
            """
            + IRQ0
        )
    )
    while not machine.processor.stop_requested:
        machine.processor.run(machine.timeline.cycles + slice_cycles)
    assert machine.said == list(range(200))


def test_the_program_counter_of_each_access_is_exact():
    machine = Machine(
        assemble(
            """
            function _start
                ldr r1, =0x40000000
                movs r0, #1
                str r0, [r1]
                str r0, [r1]
                ldr r2, [r1, #12]
                str r0, [r1]
                stop
            """
        )
    )
    seen = []
    machine.processor.trace = lambda *access: seen.append(access[4])
    machine.run()
    assert seen[:4] == [0x106, 0x108, 0x10A, 0x10C]


def test_conditional_stores_happen_once_and_their_interrupt_comes_after_the_block():
    said = run(
        """
        function _start
            store 0xE000E100, 1
            mov r8, #0
            ldr r1, =0x40000000
            movs r0, #5
            cmp r0, #5
            ittet eq
            streq r0, [r1]
            streq r0, [r1, #16]
            strne r0, [r1]
            addeq r0, #1
            str r0, [r1]
            str r8, [r1]
            stop
        """
        + IRQ0
    )
    assert said == [5, 6, 1]


@pytest.mark.parametrize("instruction", ["ldreq r2, [r3]", "streq r2, [r3]"])
def test_a_fault_in_a_conditional_block_is_returned_to_within_the_block(instruction):
    said = run(
        f"""
        function _start
            ldr r1, =0x40000000
            ldr r3, =0x30000000
            movs r0, #1
            movs r2, #2
            cmp r0, #1
            itete eq
            {instruction}
            addne r0, #8
            addeq r0, #1
            addne r0, #8
            str r0, [r1]
            stop
        function hard_fault
            ldr r3, =0x20000000
            str r3, [sp, #12]
            bx lr
            .ltorg
        """
    )
    assert said == [2]


def test_many_stores_of_one_instruction_are_all_done():
    said = run(
        """
        function _start
            ldr r0, =0x40000030
            movs r1, #1
            movs r2, #2
            movs r3, #3
            stmia r0!, {r1-r3}
            ldr r7, =0x40000000
            subs r0, #0x3C
            str r0, [r7]
            push {r1-r3}
            pop {r4-r6}
            str r6, [r7]
            stop
        """
    )
    assert said == [0x40000000, 3]


def test_a_peripheral_that_refuses_is_a_precise_bus_fault():
    said = run(
        """
        function _start
            store 0xE000ED24, 0x20000
            ldr r4, =0x40000000
            ldr r5, [r4, #0x50]
            say 1
            str r5, [r4, #0x50]
            say 2
            stop
        function bus_fault
            ldr r5, =0xE000ED28
            ldr r0, [r5]
            str r0, [r5]
            ldr r1, [r5, #16]
            ldr r2, [sp, #24]
            ldrh r3, [r2]
            ldr r7, =0x40000000
            str r0, [r7]
            str r1, [r7]
            str r3, [r7]
            adds r2, #2
            str r2, [sp, #24]
            bx lr
            .ltorg
        """
    )
    load, store = 0x6D25, 0x6525
    assert said == [0x8200, 0x40000050, load, 1, 0x8200, 0x40000050, store, 2]


def test_what_a_peripheral_raises_ends_the_run_and_nothing_else():
    machine = Machine(assemble("function _start\n movs r5, #7\n say 1\n say 2\n stop"))
    failing = iter([ValueError("of a test")])
    written = machine.port.write_say

    def write_say(value):
        for error in failing:
            raise error
        written(value)

    machine.port._writers[0] = write_say
    with pytest.raises(ValueError, match="of a test"):
        machine.run()
    assert machine.processor.register(5) == 7
    assert machine.run() == [2]


class Controller(RegisterBlock):
    """Lets stores into the flash, like NVMC."""

    registers = RegisterMap("NVMC", "nRF52840 PS v1.7, 4.3.9", Register("CONFIG", 0x504), Register("ERASEPAGE", 0x508))


class FlashMachine(Machine):
    """With a second flash at 0x00100000 whose stores clear bits while CONFIG allows it."""

    def before_mapping(self):
        self.cells = bytearray(b"\xff" * 0x2000)
        self.controller = Controller()
        self.controller._writers[0x508] = self.erase
        self.bus.add_memory(Memory(0x00100000, self.cells, self.store_into))
        self.bus.add_peripheral(0x4001E000, self.controller)
        self.stores = []

    def store_into(self, offset, data):
        self.stores.append((offset, data))
        if not self.controller.stored[0x504] & 1:
            return False
        old = int.from_bytes(self.cells[offset : offset + len(data)], "little")
        self.cells[offset : offset + len(data)] = (old & int.from_bytes(data, "little")).to_bytes(len(data), "little")
        return True

    def erase(self, _address):
        self.cells[:0x1000] = b"\xff" * 0x1000
        self.bus.code_changed = True


def test_flash_only_clears_bits_and_a_read_right_behind_the_store_sees_it():
    machine = FlashMachine(
        assemble(
            """
            function _start
                ldr r0, =0x00100010
                ldr r1, =0x4001E504
                ldr r7, =0x40000000
                ldr r2, =0x0F0F0F0F
                str r2, [r0]
                ldr r3, [r0]
                movs r4, #1
                str r4, [r1]
                str r2, [r0]
                ldr r4, [r0]
                ldr r2, =0x12345678
                str r2, [r0]
                ldr r5, [r0]
                strb r2, [r0, #5]
                ldrh r6, [r0, #4]
                str r3, [r7]
                str r4, [r7]
                str r5, [r7]
                str r6, [r7]
                stop
            """
        )
    )
    assert machine.run() == [0xFFFFFFFF, 0x0F0F0F0F, 0x02040608, 0x78FF]
    assert len(machine.stores) == 4


def test_code_that_firmware_programs_into_flash_again_and_again_is_what_runs():
    machine = FlashMachine(
        assemble(
            """
            function _start
                ldr r4, =0x00100000
                ldr r5, =0x4001E504
                ldr r7, =0x40000000
                movs r0, #1
                str r0, [r5]
                movs r6, #0
            1:  str r0, [r5, #4]
                ldr r1, =0x47702000
                adds r1, r6
                str r1, [r4]
                adds r2, r4, #1
                blx r2
                str r0, [r7]
                adds r6, #1
                cmp r6, #5
                bne 1b
                stop
            """
        )
    )
    assert machine.run() == [0, 1, 2, 3, 4]


def test_dma_into_ram_does_not_throw_translations_away_unless_code_ran_there():
    machine = Machine(assemble("function _start\n b .\n"))
    machine.processor.run(100)
    machine.bus.write(RAM + 0x100, bytes(64))
    assert not machine.bus.code_changed
    machine.bus.write(0, b"")
    machine.ram[:2] = bytes.fromhex("fee7")
    machine.processor.set_register(15, RAM)
    machine.processor.run(machine.timeline.cycles + 100)
    machine.bus.write(RAM + 0x100, bytes(64))
    assert machine.bus.code_changed


def test_an_alarm_that_an_access_sets_comes_at_its_cycle():
    machine = Machine(
        assemble(
            """
            function _start
                store 0xE000E100, 1
                ldr r5, =0x40000000
                ldr r0, [r5, #12]
                movs r1, #100
                str r1, [r5, #0x60]
            1:  b 1b
                .ltorg
            function irq0
                ldr r1, [r5, #12]
                subs r0, r1, r0
                str r0, [r5]
                stop
            """
        )
    )
    (passed,) = machine.run()
    # A move, the store with its access, the wait; then the handler's read.
    assert 100 + 1 + 9 <= passed <= 100 + 1 + 9 + 12


def test_the_same_inputs_give_the_same_cycles_however_the_run_is_cut():
    image = assemble(
        """
        function _start
            tick_every 100
            ldr r5, =0x40000000
        1:  ldr r0, [r5, #12]
            str r0, [r5]
            wfi
            b 1b
            .ltorg
        function systick
            bx lr
        """
    )
    whole, cut = Machine(image), Machine(image)
    whole.processor.run(20_000)
    for step in itertools.cycle([1, 13, 200, 999]):
        if cut.timeline.cycles >= 20_000:
            break
        cut.processor.run(min(20_000, cut.timeline.cycles + step))
    shorter = min(len(whole.said), len(cut.said))
    assert shorter > 150
    assert cut.said[:shorter] == whole.said[:shorter]
