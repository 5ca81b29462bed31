"""Starts that learn no more of some bytes than whether their checksum fits are joined by that: with firmware of ours,
sound and less so."""

import zlib
from dataclasses import replace

import pytest
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.nrf52840.chip import BoardPins, EmulatedNrf52840
from particle_harness.emulator.power_cuts.crc_routines import RoutineFinder
from particle_harness.emulator.power_cuts.cuts import JoinError, Outcome, cut_everywhere, every_cut
from particle_harness.emulator.power_cuts.flash_journal import FlashJournal
from particle_harness.emulator.power_cuts.flash_use import CheckedRange, FlashUse
from particle_harness.emulator.power_cuts.joined_starts import JoinedStarts, Place
from particle_harness.emulator.stm32f205.arithmetic import CrcUnit
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.nrf52840 import Silicon
from particle_harness.user_information import UICR_SIZE_BYTES

from particle_dev.catalog.flash_chips import NRF52840_FLASH, qspi_flash

from .machine import assemble

MARK, NOTE = 0x20000200, 0x20000204
SOURCE, MODULE, SIZE = 0x60000, 0x50000, 0x80
END = MODULE + SIZE
CRC_UNIT = 0x40023000
ROWS = "".join(f".word {zlib.crc32(bytes([n])) ^ zlib.crc32(bytes(1)):#x}\n" for n in range(256))
BY_TABLE = f"""
    function checksum
        push {{r4, lr}}
        ldr r4, =table
        mvn r2, #0
        add r1, r0
    1:  cmp r0, r1
        beq 2f
        ldrb r3, [r0], #1
        eors r3, r2
        uxtb r3, r3
        ldr r3, [r4, r3, lsl #2]
        eor r2, r3, r2, lsr #8
        b 1b
    2:  mvns r0, r2
        pop {{r4, pc}}
        .ltorg
        .align 2
    table:
        {ROWS}
"""
BY_UNIT = """
    function checksum
        push {r4, r5, lr}
        ldr r2, =0x40023000
        movs r3, #1
        str r3, [r2, #8]
        add r1, r0
    1:  cmp r0, r1
        beq 2f
        ldr r4, [r0], #4
        rbit r4, r4
        str r4, [r2]
        b 1b
    2:  ldr r0, [r2]
        rbit r0, r0
        mvns r0, r0
        pop {r4, r5, pc}
        .ltorg
        .word 0xEDB88320
"""
BIT_BY_BIT = """
    function checksum
        push {r4, lr}
        ldr r4, =0xEDB88320
        mvn r2, #0
        add r1, r0
    1:  cmp r0, r1
        beq 4f
        ldrb r3, [r0], #1
        eors r2, r3
        movs r3, #8
    2:  lsrs r2, r2, #1
        bcc 3f
        eors r2, r4
    3:  subs r3, #1
        bne 2b
        b 1b
    4:  mvns r0, r2
        pop {r4, pc}
        .ltorg
"""
ASK = f"""
        ldr r5, ={END:#x}
        ldr r5, [r5]
        ldr r0, ={MODULE:#x}
        ldr r1, ={SIZE:#x}
        movs r2, #0
        bl checksum
        rev r0, r0
        cmp r0, r5
"""
DONE = f"""
        store {MARK:#x}, 0x600D
        b .
        .ltorg
"""
COPIER = f"""
    .equ nvmc, 0x4001E000
    function _start
        {ASK}
        beq done
        ldr r3, =nvmc
        movs r4, #2
        str r4, [r3, #0x504]
        ldr r5, ={MODULE:#x}
        str r5, [r3, #0x508]
        movs r4, #1
        str r4, [r3, #0x504]
        ldr r6, ={SOURCE:#x}
        ldr r7, ={SIZE + 4:#x}
    copy:
        ldmia r6!, {{r4}}
        stmia r5!, {{r4}}
        subs r7, #4
        bne copy
    done:
        {DONE}
    {BY_TABLE}
"""
NEW = bytes(range(1, SIZE + 1))
NEW += zlib.crc32(NEW).to_bytes(4, "big")


@pytest.fixture
def board():
    internal = NorFlash(NRF52840_FLASH, VirtualClock(), delays=False)
    external = NorFlash(qspi_flash(64 << 10), VirtualClock(), delays=False)
    uicr = bytearray(b"\xff" * UICR_SIZE_BYTES)
    chip = EmulatedNrf52840(Silicon(b"\1\2\3\4\5\6\7\x08"), internal, uicr, external, BoardPins(11, 13, 14, 15))
    return EmulatedBoard(
        hardware("boron"),
        "e00fce68aabbccddeeff0011",
        chip,
        internal=internal,
        external=external,
        port_path="1-1",
        next_address=lambda: 1,
    )


def is_over(board):
    return board.chip.bus.read_word(MARK) == 0x600D


def recorded(board, firmware, module=bytes(SIZE + 4)):
    board.internal.load(0, assemble(firmware))
    board.internal.load(SOURCE, NEW)
    board.internal.load(MODULE, module)
    journal = FlashJournal({"internal": board.internal, "external": board.external})
    with journal.recording():
        board.power_on()
        assert board.run_until(lambda: is_over(board), 0.1)
    assert board.internal.read(MODULE, SIZE + 4) == NEW
    return journal


def used(board, firmware):
    """What it has read of the module otherwise, and what it has checked."""
    board.internal.load(0, assemble(firmware))
    use = FlashUse(board.chip, {"internal": board.internal, "external": board.external})
    with use.noting():
        board.power_on()
        assert board.run_until(lambda: is_over(board), 0.1)
    read = {n for first, end in use.read("internal") for n in range(max(first, MODULE), min(end, MODULE + 0x1000))}
    return read, use.checked


def test_a_copy_that_checks_its_target_is_the_same_start_wherever_it_was_cut(board):
    journal = recorded(board, COPIER)
    flashes = {"internal": board.internal, "external": board.external}
    joined = JoinedStarts(board, flashes, lambda: is_over(board))
    cuts = list(every_cut(journal.operations))
    assert len(cuts) == 3 * (SIZE // 4 + 2) + 1
    executed = 0
    for contents, changes in journal.walk(cuts):
        before = joined.executed
        start = joined.start(contents, changes)
        executed += joined.executed - before
        really = joined.execute(contents)
        assert replace(start, left=really.left) == really
        assert start.after(contents) == {name: bytes(flash.cells) for name, flash in flashes.items()}
        assert start.leads_to(contents, [Place("internal", MODULE, NEW)])
    # Bad, with another stored word each time: zero at first, erased, three torn ones; good.
    assert executed <= 6


def test_what_is_erased_behind_its_sum_is_known_by_what_the_start_leaves(board):
    recorded(board, COPIER, b"\x12" * (SIZE + 0x20))
    board.internal.load(MODULE, b"\x12" * (SIZE + 0x20))
    joined = JoinedStarts(board, {"internal": board.internal, "external": board.external}, lambda: is_over(board))
    contents = {"internal": bytes(board.internal.cells), "external": bytes(board.external.cells)}
    start = joined.execute(contents)
    assert start.checked == (CheckedRange("internal", MODULE, END),)
    left = NEW + b"\xff" * (0x1000 - len(NEW))
    assert start.after(contents)["internal"][MODULE : MODULE + 0x1000] == left
    # What was there before, but for the stored word, is nothing to it.
    assert start.asks([Place("internal", MODULE, left)]) == ()


@pytest.mark.parametrize("module", [b"\x55" * SIZE + b"abcd", NEW])
def test_of_a_range_that_is_checked_only_the_stored_word_is_read(board, module):
    board.internal.load(MODULE, module)
    read, checked = used(board, f"function _start\n{ASK}{DONE}{BY_TABLE}")
    assert read == set(range(END, END + 4))
    assert checked == (CheckedRange("internal", MODULE, END),)
    assert checked[0].fits({"internal": bytes(board.internal.cells)}) == (module == NEW)


def test_a_byte_that_is_read_otherwise_counts_whenever_that_was(board):
    early = f"ldr r0, ={MODULE:#x}\nldrb r1, [r0, #3]\n"
    late = f"ldr r0, ={MODULE:#x}\nldrh r1, [r0, #8]\n"
    read, checked = used(board, f"function _start\n{early}{ASK}{late}{DONE}{BY_TABLE}")
    assert read == {MODULE + 3, MODULE + 8, MODULE + 9} | set(range(END, END + 4))
    assert len(checked) == 1


@pytest.mark.parametrize(
    "firmware",
    [
        # The number itself is kept, and compared with nothing.
        f"ldr r0, ={MODULE:#x}\nldr r1, ={SIZE:#x}\nmovs r2, #0\nbl checksum\nldr r1, ={NOTE:#x}\nstr r0, [r1]\n",
        # Of a length that is not whole words.
        ASK.replace(f"={SIZE:#x}", f"={SIZE - 1:#x}").replace(f"={END:#x}", f"={END - 1:#x}"),
        # A word of it is written before.
        f"store 0x4001E504, 1\nldr r0, ={MODULE + 8:#x}\nmovs r1, #0\nstr r1, [r0]\n{ASK}",
    ],
)
def test_other_uses_of_the_routine_are_reads(board, firmware):
    board.internal.load(MODULE, bytes(range(1, SIZE + 5)))
    read, checked = used(board, f"function _start\n{firmware}{DONE}{BY_TABLE}")
    assert checked == ()
    assert set(range(MODULE, END - 1)) <= read


def test_a_routine_whose_time_depends_on_the_bytes_is_none(board):
    board.internal.load(MODULE, NEW)
    read, checked = used(board, f"function _start\n{ASK}{DONE}{BIT_BY_BIT}")
    assert read == set(range(MODULE, END + 4))
    assert checked == ()


@pytest.mark.parametrize(
    ("routine", "spoiled", "by"),
    [
        (BY_TABLE, None, {}),
        (BY_UNIT, None, {CRC_UNIT: CrcUnit}),
        (BY_UNIT, ("mvns r0, r0", ""), {CRC_UNIT: CrcUnit}),
        (BY_UNIT, ("cmp r0, r1", "str r4, [r0]"), {CRC_UNIT: CrcUnit}),
        (BY_TABLE, (".word 0x77073096", ".word 0x77073097"), {}),
        (BY_TABLE, ("push {r4, lr}", "push {lr}"), {}),
        (BIT_BY_BIT, None, {}),
    ],
)
def test_routines_are_found_by_what_they_do(routine, spoiled, by):
    source = routine.replace(*spoiled) if spoiled else routine
    assert (source == routine) == (spoiled is None)
    image = assemble(f"function _start\nb .\n{source}")
    found = RoutineFinder(by).find(image + bytes(0x1000), 0)
    assert len(found) == (spoiled is None and routine is not BIT_BY_BIT)
    for each in found:
        assert any(first <= each.begins < each.takes < end for first, end in each.parts)


def test_a_unit_that_the_chip_has_not_got_computes_nothing():
    image = assemble(f"function _start\nb .\n{BY_UNIT}")
    assert RoutineFinder({}).find(image, 0) == ()


def cut_and_compared(board, journal):
    """Every cut; some that were joined are executed all the same."""
    return cut_everywhere(
        board,
        journal,
        every_cut(journal.operations),
        wanted=[Place("internal", MODULE, NEW)],
        next_run=lambda: None,
        may_start=lambda _start, _before: True,
        settled=lambda: is_over(board),
        compare=30,
    )


def test_firmware_that_makes_more_of_the_number_is_found_out(board):
    """One way is a jump longer for some checksums that do not fit; the cuts that chance takes show it."""
    firmware = COPIER.replace("beq done", "beq done\nands r0, r0, #4\nbeq bad\nnop\nbad:")
    assert firmware != COPIER
    journal = recorded(board, firmware)
    with pytest.raises(JoinError, match="different things"):
        cut_and_compared(board, journal)


def test_those_that_are_compared_are_counted(board):
    journal = recorded(board, COPIER)
    report = cut_and_compared(board, journal)
    assert report.counts() == {Outcome.ALONE: len(report.cuts)}
    assert report.executed <= 6
    assert 24 <= report.compared <= 30
    assert f"{report.compared} more compared" in next(report.lines())
