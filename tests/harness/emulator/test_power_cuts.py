"""Power goes at every operation of a copy: a bootloader made of Python, sound or not, gets the outcome it deserves."""

import itertools

import pytest
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.power_cuts.cuts import Outcome, chosen_cuts, cut_everywhere, every_cut
from particle_harness.emulator.power_cuts.flash_journal import FlashJournal, Operation, Torn
from particle_harness.emulator.power_cuts.joined_starts import Place
from particle_harness.nor_flash import NorFlash

from tests.harness.emulator.fakes import SERIAL_CONFIGURATION, FakeChip

XENON = hardware("xenon")
SOURCE, TARGET, FLAG = 0x1000, 0x30000, 0x0
NEW = bytes(range(1, 256)) + b"\x01"


class Copying(FakeChip):
    """Copies from the serial flash what is flagged, 64 bytes a word, each time it starts."""

    def __init__(self, internal, external, *, frees_flag_first=False, bricks=False):
        super().__init__()
        self.internal, self.external = internal, external
        self.frees_flag_first, self.bricks = frees_flag_first, bricks

    def power_on(self):
        if not self.bricks or self.internal.read(TARGET, 1) != b"\xff":
            super().power_on()
        if self.external.read(FLAG, 1) == b"\xa5":
            if self.frees_flag_first:
                self.external.program(FLAG, b"\x00")
            self.internal.erase_sector(TARGET)
            for at in range(0, len(NEW), 64):
                self.internal.program(TARGET + at, self.external.read(SOURCE + at, 64))
            self.external.program(FLAG, b"\x00")


def make(**how):
    internal = NorFlash(XENON.internal_chip, VirtualClock(), delays=False)
    external = NorFlash(XENON.external_chip, VirtualClock(), delays=False)
    internal.load(TARGET, bytes(len(NEW)))
    external.load(FLAG, b"\xa5")
    external.load(SOURCE, NEW)
    addresses = itertools.cycle(range(2, 100))
    return EmulatedBoard(
        XENON,
        "e00fce68aabbccddeeff0011",
        Copying(internal, external, **how),
        internal=internal,
        external=external,
        port_path="1-1",
        next_address=lambda: next(addresses),
    )


def go(board, next_run=None, **more):
    journal = FlashJournal({"internal": board.internal, "external": board.external})
    with journal.recording():
        board.power_on()
        board.clock.sleep(1)

    assert board.internal.read(TARGET, len(NEW)) == NEW

    def again():
        board.internal.erase_sector(TARGET)
        board.internal.program(TARGET, NEW)

    cuts = every_cut(journal.operations)
    return cut_everywhere(
        board, journal, cuts, wanted=[Place("internal", TARGET, NEW)], next_run=next_run or again, **more
    )


def test_a_copy_that_frees_its_flag_last_recovers_alone_everywhere():
    report = go(make())
    assert report.counts() == {Outcome.ALONE: 3 * 6 + 1}


def test_a_copy_that_frees_its_flag_first_needs_the_next_run():
    report = go(make(frees_flag_first=True))
    assert report.counts()[Outcome.NEXT_RUN] > 5
    assert not report.of(Outcome.LOST)
    text = list(report.lines())
    assert "needs our next run" in text[0]
    assert text[1].startswith("  operations 0 to")


def test_boards_that_got_no_next_run_are_counted_apart():
    every = go(make(frees_flag_first=True)).counts()[Outcome.NEXT_RUN]
    counts = go(make(frees_flag_first=True), every_next_run=4).counts()
    assert counts[Outcome.NEXT_RUN] == -(-every // 4)
    assert counts[Outcome.NEXT_RUN] + counts[Outcome.UNTRIED] == every


def test_a_bootloader_that_dies_of_an_erased_page_is_lost():
    report = go(make(frees_flag_first=True, bricks=True))
    assert report.of(Outcome.LOST)
    assert "does not come back" in str(report.of(Outcome.LOST)[0])
    # Nor is it excused where a system may run.
    assert go(make(frees_flag_first=True, bricks=True), may_start=lambda _start, _before: True).of(Outcome.LOST)


def test_a_next_run_that_fails_is_a_loss_with_its_reason():
    def fails():
        raise RuntimeError("no")

    report = go(make(frees_flag_first=True), next_run=fails)
    assert "RuntimeError: no" in report.of(Outcome.LOST)[0].detail


def test_a_system_that_starts_is_no_recovery_unless_it_may():
    board = make()
    board.chip.usb.configuration = SERIAL_CONFIGURATION
    assert set(go(board).counts()) == {Outcome.UNBRAKED}
    board = make()
    board.chip.usb.configuration = SERIAL_CONFIGURATION
    assert set(go(board, may_start=lambda _start, _before: True).counts()) == {Outcome.ALONE}


@pytest.mark.parametrize("wanted", [10, 500])
def test_chosen_cuts_hold_every_erase_each_sectors_ends_and_the_end(wanted):
    operations = []
    for page in range(3):
        operations.append(Operation("internal", page * 0x1000, 0x1000, None))
        operations += [Operation("internal", page * 0x1000 + 4 * n, 4, b"1234") for n in range(1024)]
    cuts = chosen_cuts(operations, wanted)
    assert cuts == sorted(set(cuts), key=lambda c: (c[0], list(Torn).index(c[1])))
    assert cuts[-1] == (len(operations), Torn.NOTHING)
    for erase in (0, 1025, 2050):
        assert {(erase, torn) for torn in Torn} <= set(cuts)
    assert len(cuts) >= min(wanted, 15)
