"""Which bytes of flash firmware of ours has used, and whether starts that used the same are the same: on a whole chip,
against starts that are all executed."""

import pytest
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.nrf52840.chip import BoardPins, EmulatedNrf52840
from particle_harness.emulator.power_cuts.cuts import JoinError, Outcome, cut_everywhere, every_cut
from particle_harness.emulator.power_cuts.flash_journal import FlashJournal, Torn
from particle_harness.emulator.power_cuts.flash_use import FlashUse
from particle_harness.emulator.power_cuts.joined_starts import JoinedStarts, Place, Start
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.nrf52840 import Silicon
from particle_harness.user_information import UICR_SIZE_BYTES

from particle_dev.catalog.flash_chips import NRF52840_FLASH, qspi_flash

from .machine import assemble

FLAG, SOURCE, TARGET, WORDS = 0x40000, 0x41000, 0x42000, 24
MARK = 0x20000200
NEW = bytes(range(1, 4 * WORDS + 1))
COPIER = f"""
    .equ nvmc, 0x4001E000
    function _start
        ldr r0, ={FLAG:#x}
        ldr r1, [r0]
        ldr r2, =0xA5A5A5A5
        cmp r1, r2
        bne done
        ldr r3, =nvmc
        movs r4, #2
        str r4, [r3, #0x504]
        ldr r5, ={TARGET:#x}
        str r5, [r3, #0x508]
        movs r4, #1
        str r4, [r3, #0x504]
        ldr r6, ={SOURCE:#x}
        movs r7, #{WORDS}
    copy:
        ldmia r6!, {{r4}}
        cmp r7, #0
        it ne
        strne r4, [r5]
        adds r5, #4
        subs r7, #1
        bne copy
        movs r4, #0
        str r4, [r0]
    done:
        store {MARK:#x}, 0x600D
        b .
        .ltorg
"""
LOADS = """
    function _start
        ldr r0, =0x50000
        ldrb r1, [r0]
        ldrh r1, [r0, #8]
        ldrsb r1, [r0, #0x11]
        ldrd r1, r2, [r0, #0x20]
        add r3, r0, #0x30
        ldmia r3, {r4, r5, r6}
        ldr r1, [r0, #0x41]
        movs r2, #0
        cmp r2, #0
        ite eq
        ldreq r1, [r0, #0x50]
        ldrne r1, [r0, #0x60]
        ldr r7, =0x20000200
        str r1, [r7]
        itt ne
        ldrne r1, [r0, #0x70]
        movne r2, #1
        adr r3, table
        movs r4, #1
        tbb [r3, r4]
    table:
        .byte 1, 2
        nop
    over:
        store 0x4001E504, 2
        store 0x4001E508, 0x51000
        ldr r0, =0x51000
        ldr r1, [r0, #4]
        store 0x4001E504, 1
        ldr r0, =0x51000
        movs r1, #0
        str r1, [r0, #8]
        ldr r0, =0x50000
        str r1, [r0, #0x80]
        store 0x20000204, 0x600D
        b .
        .ltorg
"""


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


def in_data(runs, start=0x50000, end=0x52000):
    return {n for first, last in runs for n in range(max(first, start), min(last, end))}


def spread(*pieces):
    return {n for start, count in pieces for n in range(start, start + count)}


def test_loads_of_every_kind_are_seen_and_what_was_erased_first_is_no_read(board):
    board.internal.load(0, assemble(LOADS))
    use = FlashUse(board.chip, {"internal": board.internal})
    with use.noting():
        board.power_on()
        assert board.run_until(lambda: board.chip.bus.read_word(MARK + 4) == 0x600D, 0.1)
    read = in_data(use.read("internal"))
    assert read == spread(
        (0x50000, 1), (0x50008, 2), (0x50011, 1), (0x50020, 8), (0x50030, 12), (0x50041, 4), (0x50050, 4), (0x50080, 4)
    )
    assert in_data(use.erased("internal")) == spread((0x51000, 0x1000))
    # Code and vectors are read, too, and what is never reached is not.
    assert {0, 4, 0x100} <= in_data(use.read("internal"), 0, 0x1000)
    assert not in_data(use.read("internal"), 0x2000, 0x50000)


def test_reads_over_bus_and_flash_object_count_and_the_next_start_begins_anew(board):
    use = FlashUse(board.chip, {"internal": board.internal, "external": board.external})
    with use.noting():
        board.chip.bus.read(0x60010, 4)
        board.chip.bus.read(0x12000020, 4)
        board.external.read(0x30, 4)
        board.external.program(0x40, b"\0\0")
    board.external.read(0x50, 4)
    assert use.read("internal") == ((0x60010, 0x60014),)
    assert use.read("external") == ((0x20, 0x24), (0x30, 0x34), (0x40, 0x42))
    with use.noting():
        board.external.erase_sector(0)
        board.external.read(0x30, 4)
    assert use.read("internal") == use.read("external") == ()
    assert use.erased("external") == ((0, 0x1000),)


def recorded(board):
    """The copy, from the start of the board to its end."""
    board.internal.load(0, assemble(COPIER))
    board.internal.load(FLAG, b"\xa5" * 4)
    board.internal.load(SOURCE, NEW)
    board.internal.load(TARGET, bytes(4 * WORDS + 8))
    journal = FlashJournal({"internal": board.internal, "external": board.external})
    with journal.recording():
        board.power_on()
        assert board.run_until(lambda: is_over(board), 0.1)
    assert len(journal.operations) == WORDS + 2
    return journal


def test_each_joined_start_is_the_one_that_is_executed(board):
    journal = recorded(board)
    flashes = {"internal": board.internal, "external": board.external}
    joined = JoinedStarts(board, flashes, lambda: is_over(board))
    cuts = list(every_cut(journal.operations))
    executed = joined.executed
    outcomes = []
    for contents, changes in journal.walk(cuts):
        start = joined.start(contents, changes)
        really = joined.execute(contents)
        executed += 1
        assert (start.settled, start.runs, start.needed) == (really.settled, really.runs, really.needed)
        after = start.after(contents)
        assert after == {name: bytes(flash.cells) for name, flash in flashes.items()}
        place = Place("internal", TARGET, NEW)
        asked = start.asks([place])
        outcomes.append(asked is not None and all(part.is_in(contents) for part in asked))
        assert outcomes[-1] == (after["internal"][TARGET : TARGET + len(NEW)] == NEW)
    # Flag set; flag torn in either way; flag freed, which reads nothing of the copy.
    assert joined.executed - len(cuts) <= 4
    # Freed half or by some bits the flag is another, and the copy is whole by then.
    assert all(outcomes)


def test_a_cut_can_be_everywhere_at_the_cost_of_a_few_starts(board):
    journal = recorded(board)
    missing = Place("internal", TARGET + len(NEW), b"\x12\x34\x56\x78")
    tried = []

    def next_run():
        tried.append(board.internal.read(TARGET, len(NEW)) == NEW)
        board.internal.load(TARGET + len(NEW), missing.data)

    report = cut_everywhere(
        board,
        journal,
        every_cut(journal.operations),
        wanted=[Place("internal", TARGET, NEW), missing],
        next_run=next_run,
        may_start=lambda _start, _before: True,
        settled=lambda: is_over(board),
        every_next_run=10,
    )
    assert len(report.cuts) == 3 * (WORDS + 2) + 1
    assert report.counts() == {Outcome.NEXT_RUN: 8, Outcome.UNTRIED: 71}
    assert tried == [True] * 8
    assert report.executed <= 4
    assert report.compared >= 4


def test_starts_that_only_seem_to_be_the_same_are_found_out(board, monkeypatch):
    """Where reads go unseen, two starts are taken for one, and the check that executes both says so."""
    journal = recorded(board)
    monkeypatch.setattr(FlashUse, "read", lambda _self, _name: ())
    with pytest.raises(JoinError, match="different things"):
        cut_everywhere(
            board,
            journal,
            [(0, Torn.NOTHING), (1, Torn.NOTHING)],
            wanted=[Place("internal", FLAG, b"\x77")],
            next_run=lambda: board.internal.load(FLAG, b"\x77"),
            may_start=lambda _start, _before: True,
            settled=lambda: is_over(board),
        )


def test_what_flash_must_have_held_is_what_the_start_leaves_alone():
    start = Start(True, "dfu", {}, (), (0, 0, 0), {"internal": ((4, b"EEEE"), (12, b"RR"))})
    wanted = Place("internal", 2, b"ab" + b"EEEE" + b"cdef" + b"RR" + b"g")
    asked = start.asks([wanted])
    assert asked == (
        Place("internal", 2, b"ab"), Place("internal", 8, b"cdef"), Place("internal", 14, b"g")
    )  # fmt: skip
    for contents, holds in ((b"..ab0000cdef00g.", True), (b"..ab0000cdeX00g.", False)):
        after = start.after({"internal": contents})["internal"]
        assert (after[2:15] == wanted.data) == holds == all(place.is_in({"internal": contents}) for place in asked)
    assert start.asks([Place("internal", 5, b"EE")]) == ()
    assert start.asks([Place("internal", 5, b"EX")]) is None
    assert start.asks([Place("internal", 0, b"..")]) == (Place("internal", 0, b".."),)
