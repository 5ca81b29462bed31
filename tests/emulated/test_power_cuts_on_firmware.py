"""Power is lost at flash operations of a whole update, and the board's real bootloader does what it then does.

What `flash` and its plan promise: a braked board never starts a system, and a further run completes the work. A sample
of the cuts by default; EMULATED_CUTS=all takes thousands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from particle_harness.emulator.flash_journal import FlashJournal
from particle_harness.emulator.power_cuts import CutReport, Outcome, chosen_cuts, cut_everywhere

from particle_dev.device.dfu import DfuSession
from particle_dev.flash.bootloader_copies import copy_by_bootloader, stage_in_slots
from particle_dev.flash.execute import flash, set_brake
from particle_dev.flash.install_by_flag import stage_by_flag
from particle_dev.flash.phases import PhaseKind
from particle_dev.flash.update_area import Install
from particle_dev.permissions import Permissions
from tests.emulated.work import (
    NEW,
    OLD,
    Desk,
    desk_with,
    lies_in_flash,
    modules_of,
    old_softdevice,
    plan_for,
    whole_run,
)

pytestmark = [pytest.mark.images, pytest.mark.timeout(0)]
ALL = os.environ.get("EMULATED_CUTS") == "all"
SAMPLE, MANY = 12, 2000
EVERY_NEXT_RUN = 25 if ALL else 6
PLATFORM = "boron"
CONNECTS = Permissions(may_connect=True)
_MAGIC_ERASED = b"\xff" * 8


def work_of(desk: Desk) -> FlashJournal:
    assert desk.board.external is not None
    return FlashJournal({"internal": desk.board.internal, "external": desk.board.external})


def spread(journal: FlashJournal) -> list:
    """Cuts in the number that was asked for, first and last among them."""
    cuts = chosen_cuts(journal.operations, MANY if ALL else SAMPLE)
    if ALL:
        return cuts
    step = max(1, len(cuts) // SAMPLE)
    return [*cuts[::step], cuts[-1]]


class Update:
    """A Boron of the older release with another SoftDevice, on its way to the newer one."""

    def __init__(self, images: Path, application: Path) -> None:
        self.desk = desk_with(images, PLATFORM, OLD)
        board = self.desk.board
        for install in modules_of(images, PLATFORM, OLD, application):
            board.internal.load(install.file.module.start_address, install.image)
        old_softdevice(self.desk)
        self.desk.enter_dfu_by_button()
        self.wanted = modules_of(images, PLATFORM, NEW, application)
        self.plan = plan_for(self.desk, self.wanted)
        copies = next(p for p in self.plan.phases if p.kind is PhaseKind.BOOTLOADER_COPIES)
        self.brake = copies.flash
        self.copied = [next(i for i in self.wanted if i.file == file) for file in copies.files]

    def stage(self) -> None:
        assert self.brake is not None
        with self.desk.session() as session:
            staging = stage_in_slots(session, self.copied)
            next(staging)
            list(set_brake(self.brake, session))
            list(staging)

    def copy(self) -> None:
        copy_by_bootloader(self.desk.host, self.desk.device(), self.copied)

    def write(self) -> None:
        contents = {i.file.sha256: i.data for i in self.wanted}
        phase = next(p for p in self.plan.phases if p.kind is PhaseKind.FLASH)
        assert phase.flash is not None
        with self.desk.session() as session:
            list(flash(phase.flash, session, contents.__getitem__))

    def is_braked(self) -> bool:
        return self.desk.board.internal.read(0x30000, 8) == _MAGIC_ERASED

    def may_start(self) -> bool:
        return not self.is_braked()

    def cut(self, journal: FlashJournal, wanted: list[Install], may_start: Callable[[], bool]) -> CutReport:
        report = cut_everywhere(
            self.desk.board,
            journal,
            spread(journal),
            is_done=lambda: lies_in_flash(self.desk.board, wanted),
            next_run=lambda: finish(self),
            may_start=may_start,
            every_next_run=EVERY_NEXT_RUN,
        )
        print(*report.lines(), sep="\n")
        return report


def finish(update: Update) -> None:
    """Our next run, from whatever mode the board is in."""
    if update.desk.board.state.runs != "dfu":
        update.desk.enter_dfu_by_button()
    whole_run(update.desk, update.wanted)


@pytest.fixture(scope="module")
def update(images, images_of, application):
    for release in (OLD, NEW):
        images_of(PLATFORM, release)
    made = Update(images, application(PLATFORM))
    yield made
    made.desk.close()


def recorded(update: Update, act: Callable[[], None]) -> FlashJournal:
    journal = work_of(update.desk)
    with journal.recording():
        act()
    assert journal.operations
    return journal


def test_each_phase_of_an_update_stands_a_loss_of_power_anywhere(update):
    """Staging, copies by the bootloader, and writing over DFU, in this order: each goes on from what the one before has
    left, and cuts of it are tried when all are recorded."""
    staging = recorded(update, update.stage)
    copying = recorded(update, update.copy)
    assert lies_in_flash(update.desk.board, update.copied)
    writing = recorded(update, update.write)
    assert lies_in_flash(update.desk.board, update.wanted)

    # The brake holds throughout the copies: a cut that loses it is no excuse.
    phases = (
        (staging, update.wanted, update.may_start),
        (copying, update.copied, lambda: False),
        (writing, update.wanted, update.may_start),
    )
    for journal, wanted, may_start in phases:
        report = update.cut(journal, wanted, may_start)
        counts = report.counts()
        assert not counts[Outcome.LOST], report.of(Outcome.LOST)[0]
        assert not counts[Outcome.UNBRAKED], report.of(Outcome.UNBRAKED)[0]
        assert counts[Outcome.NEXT_RUN] or not counts[Outcome.UNTRIED]
        if journal is not staging:
            assert report.cuts[-1].outcome is Outcome.ALONE, "after the last operation all is in its place"


def test_device_os_installs_by_the_flag_and_every_cut_of_it_can_be_made_good(images, images_of, application):
    """0xA5 in the configuration: Device OS finds the module in the OTA region before its network is set up, its
    bootloader copies it, and the application runs."""
    images_of(PLATFORM, OLD)
    desk = desk_with(images, PLATFORM, OLD)
    board, app = desk.board, application(PLATFORM)
    for install in modules_of(images, PLATFORM, OLD, app):
        board.internal.load(install.file.module.start_address, install.image)
    desk.enter_dfu_by_button()
    bootloader = modules_of(images, PLATFORM, NEW)[0]
    with DfuSession(desk.host, desk.device(), CONNECTS) as session:
        list(stage_by_flag(session, bootloader))
    journal = work_of(desk)

    def go_on() -> None:
        with DfuSession(desk.host, desk.device(), CONNECTS) as session:
            session.leave()
        assert board.run_until(lambda: lies_in_flash(board, [bootloader]), 30)
        # What the copy has displaced is put back.
        board.run(1.0)

    def again() -> None:
        # Staging refuses while a slot waits that Device OS has armed; a start without the button carries it out.
        board.power_off()
        board.power_on()
        if board.run_until(lambda: lies_in_flash(board, [bootloader]), 5):
            return
        desk.enter_dfu_by_button()
        with DfuSession(desk.host, desk.device(), CONNECTS) as session:
            list(stage_by_flag(session, bootloader))
        go_on()

    with journal.recording():
        go_on()
    report = cut_everywhere(
        board,
        journal,
        spread(journal),
        is_done=lambda: lies_in_flash(board, [bootloader]),
        next_run=again,
        may_start=lambda: True,
        settle_s=0.5,
        every_next_run=EVERY_NEXT_RUN,
    )
    print(*report.lines(), sep="\n")
    assert not report.of(Outcome.LOST)
    desk.close()
