"""Power is lost at flash operations of a whole update, and the board's real bootloader does what it then does.

What `flash` and its plan promise: a braked board never starts a system, and a further run completes the work. Every
operation is cut in every way; only where Device OS has to start for each is it some of them, unless EMULATED_CUTS=all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from particle_harness.emulator.power_cuts.cuts import CutReport, Outcome, cut_everywhere, every_cut
from particle_harness.emulator.power_cuts.flash_journal import FlashJournal
from particle_harness.emulator.power_cuts.joined_starts import Contents, Start

from particle_dev.catalog.gen3_nrf52840 import BOOTLOADER_PICK_UP_ADDRESS
from particle_dev.catalog.modules import ModuleFunction as F
from particle_dev.catalog.ota_region import update_area
from particle_dev.device.dfu import DfuSession
from particle_dev.flash.bootloader_copies import copy_by_bootloader, stage_in_slots
from particle_dev.flash.execute import flash, set_brake
from particle_dev.flash.install_by_flag import stage_by_flag
from particle_dev.flash.phases import PhaseKind
from particle_dev.flash.update_area import Install
from particle_dev.permissions import Permissions
from particle_dev.protocol import dct
from tests.emulated.work import (
    NEW,
    OLD,
    Progress,
    desk_with,
    lies_in_flash,
    modules_of,
    old_softdevice,
    places_of,
    plan_for,
    recorded,
    sample_of,
    told,
    whole_run,
)

pytestmark = [pytest.mark.images, pytest.mark.timeout(0)]
ALL = os.environ.get("EMULATED_CUTS") == "all"
SAMPLE = int(os.environ.get("EMULATED_CUTS_SAMPLE", "24"))
"""For each of whose cuts Device OS has to start."""
PLATFORM = "boron"
CONNECTS = Permissions(may_connect=True)
BRAKE, PAGE = 0x30000, 0x1000
_MAGIC_ERASED = b"\xff" * 8
_USER_PART = 0xD4000
_VERIFIED = dct.SlotFlag.VERIFY_CRC | dct.SlotFlag.VERIFY_DESTINATION | dct.SlotFlag.VERIFY_FUNCTION
_NEXT_RUNS = 12 if ALL else 4
_COMPARED = 60 if ALL else 6


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

    def cut(
        self, name: str, journal: FlashJournal, wanted: list[Install], may_start: Callable[[Start, Contents], bool]
    ) -> CutReport:
        cuts = list(every_cut(journal.operations))
        progress = Progress(name, journal, cuts)
        report = cut_everywhere(
            self.desk.board,
            journal,
            progress.left,
            wanted=places_of(self.desk.board, wanted),
            next_run=lambda: finish(self),
            may_start=may_start,
            every_next_run=len(cuts) // _NEXT_RUNS,
            compare=_COMPARED,
            tell=progress,
        )
        told(progress, journal, report, never=(Outcome.LOST, Outcome.UNBRAKED))
        return report


def may_start(_start: Start, before: Contents) -> bool:
    """The brake is not set."""
    return before["internal"][BRAKE : BRAKE + 8] != _MAGIC_ERASED


def never(_start: Start, _before: Contents) -> bool:
    """The brake holds throughout."""
    return False


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


def test_each_phase_of_an_update_stands_a_loss_of_power_anywhere(update):
    """Staging, copies by the bootloader, and writing over DFU, in this order: each goes on from what the one before has
    left, and cuts of it are tried when all are recorded."""
    board = update.desk.board
    uicr = bytes(board.chip.uicr)
    staging = recorded(board, update.stage)
    copying = recorded(board, update.copy)
    assert lies_in_flash(board, update.copied)
    writing = recorded(board, update.write)
    assert lies_in_flash(board, update.wanted)
    assert bytes(board.chip.uicr) == uicr, "the journal does not know of it"

    phases = (
        ("staging", staging, update.wanted, may_start),
        ("copies", copying, update.copied, never),
        ("writing over DFU", writing, update.wanted, may_start),
    )
    for name, journal, wanted, may in phases:
        report = update.cut(name, journal, wanted, may)
        counts = report.counts()
        assert counts[Outcome.NEXT_RUN] or not counts[Outcome.UNTRIED]
        if journal is not staging:
            assert report.cuts[-1].outcome is Outcome.ALONE, "after the last operation all is in its place"


def test_a_whole_set_in_slots_stands_a_loss_of_power_anywhere(images, images_of, application):
    """SoftDevice, system part, application and bootloader, all copied by the bootloader. `particle_dev` arms no slot
    for system part or application; Device OS does. The copy of the system part lifts the brake."""
    for release in (OLD, NEW):
        images_of(PLATFORM, release)
    update = Update(images, application(PLATFORM))
    desk, board = update.desk, update.desk.board
    area = update_area(desk.device().platform)
    assert area is not None and board.external is not None
    board.internal.erase_sector(BRAKE)
    board.internal.erase_sector(_USER_PART)
    at = area.flash_address
    order = (F.RADIO_STACK, F.SYSTEM_PART, F.USER_PART, F.BOOTLOADER)
    installs = sorted(update.wanted, key=lambda i: order.index(F(i.file.module.function)))
    with desk.session() as session:
        for slot, install in enumerate(installs, 1):
            module = install.file.module
            board.external.load(at, install.staged)
            to = BOOTLOADER_PICK_UP_ADDRESS if module.function == F.BOOTLOADER else module.start_address
            drops = dct.SlotFlag.DROP_MODULE_INFO if module.function == F.RADIO_STACK else dct.SlotFlag(0)
            copy = dct.ModuleCopy(at, to, module.size_bytes, module.function, _VERIFIED | drops)
            session.write_dct(dct.slot_offset(slot), copy.encode())
            at += -(-len(install.staged) // PAGE) * PAGE

    def start() -> None:
        board.power_off()
        board.power_on()
        assert board.run_until(lambda: board.on_bus() is not None, 15)

    system = places_of(board, [i for i in installs if i.file.module.function == F.SYSTEM_PART])

    def is_whole(start: Start, before: Contents) -> bool:
        return start.leads_to(before, system)

    def again() -> None:
        start()
        if not lies_in_flash(board, installs):
            finish(update)

    journal = recorded(board, start)
    assert lies_in_flash(board, installs)
    cuts = list(every_cut(journal.operations))
    progress = Progress("whole set in slots", journal, cuts)
    report = cut_everywhere(
        board,
        journal,
        progress.left,
        wanted=places_of(board, installs),
        next_run=again,
        may_start=is_whole,
        every_next_run=len(cuts) // _NEXT_RUNS,
        # Each copies four modules again.
        compare=_COMPARED // 6,
        tell=progress,
    )
    told(progress, journal, report, never=(Outcome.LOST, Outcome.UNBRAKED))
    assert report.cuts[-1].outcome is Outcome.ALONE
    desk.close()


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

    journal = recorded(board, go_on)
    cuts = list(every_cut(journal.operations)) if ALL else sample_of(journal.operations, SAMPLE)
    progress = Progress("0xA5", journal, cuts)
    report = cut_everywhere(
        board,
        journal,
        progress.left,
        wanted=places_of(board, [bootloader]),
        next_run=again,
        may_start=lambda _start, _before: True,
        settle_s=0.5,
        every_next_run=max(1, len(cuts) // _NEXT_RUNS),
        tell=progress,
    )
    told(progress, journal, report, never=(Outcome.LOST,))
    desk.close()
