"""Power is lost while the real bootloaders of Photon, P1 and Electron copy a module, and while `flash` writes over DFU.

A module lies in the OTA region of internal flash and a slot in the configuration names the copy, as Device OS leaves
them (device-os v2.1.0 hal/src/stm32f2xx/ota_flash_hal_stm32f2xx.cpp); `particle_dev` arms no slots on these boards. No
brake is set then: what starts is a system, whole or not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from particle_harness.emulator.power_cuts.cuts import CutReport, Outcome, cut_everywhere, every_cut
from particle_harness.emulator.power_cuts.flash_journal import FlashJournal, Operation
from particle_harness.emulator.power_cuts.joined_starts import Contents, JoinedStarts, Start

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.device.dfu import DCT_ALT
from particle_dev.errors import UpdateNotAppliedError
from particle_dev.flash.execute import flash
from particle_dev.flash.phases import PhaseKind
from particle_dev.flash.update_area import Install
from particle_dev.protocol import dct
from tests.emulated.work import (
    NEW,
    OLD,
    Progress,
    desk_with,
    flashes_of,
    lies_in_flash,
    modules_of,
    places_of,
    plan_for,
    recorded,
    sample_of,
    told,
    whole_run,
)

pytestmark = [pytest.mark.images, pytest.mark.timeout(0)]
ALL = os.environ.get("EMULATED_CUTS") == "all"
MOST = ALL or os.environ.get("EMULATED_CUTS") == "most"
"""All where a start takes less than a second."""
SAMPLE = int(os.environ.get("EMULATED_CUTS_SAMPLE", "24"))
PARTS = {"photon": 3, "p1": 3, "electron": 4}
"""System parts and the application."""
RUNS_NO_PART = {"electron"}
"""Their bootloader has code of its own for the configuration: all cuts of a copy are a few starts."""
OTA_REGION, SYSTEM = 0x080C0000, 0x08020000
_NEXT_RUNS = 4 if ALL else 1
_COMPARED = 60 if MOST else 6
_HARD_FAULT = 3
_LAST_OF_DCT_BYTES = 0x200
_PARTS = (ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART)
_VERIFIED = dct.SlotFlag.VERIFY_CRC | dct.SlotFlag.VERIFY_DESTINATION | dct.SlotFlag.VERIFY_FUNCTION


class Copies:
    """A board of one release that gets parts of another: by copies of its bootloader, or by `flash`, which sets the
    brake."""

    is_braked = False

    def __init__(self, images: Path, platform: str, application: Path, has: str, gets: str) -> None:
        self.desk = desk_with(images, platform, has)
        self.board = self.desk.board
        self.old = modules_of(images, platform, has, application)
        self.new = [i for i in modules_of(images, platform, gets, application) if i.file.module.function in _PARTS]
        if gets < has:
            # A Photon's configuration is out of reach while part 1 is older than what part 2 asks for.
            self.new[:-1] = reversed(self.new[:-1])
        for install in self.old:
            self.board.internal.load(install.file.module.start_address, install.image)

    def arm(self, install: Install) -> None:
        """As Device OS leaves it."""
        self.desk.enter_dfu_by_button()
        self.board.internal.load(OTA_REGION, install.staged)
        module = install.file.module
        copy = dct.ModuleCopy(
            OTA_REGION,
            module.start_address,
            module.size_bytes,
            module.function,
            _VERIFIED,
            dct.FlashDevice.INTERNAL,
        )
        with self.desk.session() as session:
            # A session refuses it on these boards.
            session._writable_dct = ((dct.slot_offset(1), dct.slot_offset(2)),)
            session.write_dct(dct.slot_offset(1), copy.encode())
            assert dct.pending_updates(session.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES))
        self.board.power_off()

    def runs(self) -> str:
        """``dfu``; ``system``, past the bootloader's jump into one; ``hangs``, in a fault; ``""``, none of them yet."""
        processor = self.board.chip.processor
        if processor.locked_up or _HARD_FAULT in processor.exceptions.active:
            return "hangs"
        if processor.unit.vector_table >= SYSTEM:
            return "system"
        return "dfu" if self.board.on_bus() is not None else ""

    def is_settled(self) -> bool:
        return bool(self.runs())

    def start(self) -> None:
        self.board.power_off()
        self.board.power_on()
        assert self.board.run_until(self.is_settled, 15)

    def is_whole(self, start: Start, before: Contents) -> bool:
        """All system parts, each of one release or the other."""
        parts = [i for i in (*self.old, *self.new) if i.file.module.function == ModuleFunction.SYSTEM_PART]
        places = places_of(self.board, parts)
        whole = {place.offset for place in places if start.leads_to(before, [place])}
        return whole == {place.offset for place in places}

    def finish(self, install: Install) -> None:
        """What an operator does: let it start once more; then MODE and `flash`; what a slot then still copies is what
        it had begun with."""
        self.start()
        if lies_in_flash(self.board, [install]):
            return
        self.desk.enter_dfu_by_button()
        try:
            whole_run(self.desk, self.new)
        except UpdateNotAppliedError as error:
            # The slot was out of reach until the system was whole: `flash` says that an update waits.
            assert "update slot" in str(error)
            self.start()

    def cut(
        self,
        name: str,
        journal: FlashJournal,
        wanted: list[Install],
        next_run: Callable[[], None],
        never: Sequence[Outcome],
    ) -> CutReport:
        operations = journal.operations
        cuts = list(every_cut(operations))
        if not (ALL or self.is_braked or self.desk.board.hardware.name in RUNS_NO_PART):
            some = set(sample_of(operations, SAMPLE))
            is_slow = self.is_repeated if MOST else self.is_slow
            cuts = [c for c in cuts if c in some or not is_slow(operations, c[0])]
        progress = Progress(name, journal, cuts)
        report = cut_everywhere(
            self.board,
            journal,
            progress.left,
            wanted=places_of(self.board, wanted),
            next_run=next_run,
            may_start=self.is_whole,
            settled=self.is_settled,
            runs=self.runs,
            every_next_run=max(1, len(cuts) // _NEXT_RUNS),
            compare=_COMPARED,
            tell=progress,
        )
        told(progress, journal, report, never)
        return report

    def is_repeated(self, operations: Sequence[Operation], n: int) -> bool:
        """Whether a start after a cut there is one of its own and does the whole copy again: in what is written last of
        a configuration, its header and the first bytes, while the slot is still armed in the one before."""
        if n == len(operations) or operations[n].data is None:
            return False
        address = operations[n].address
        return address < SYSTEM and address - self.board.internal.sector(address)[0] < _LAST_OF_DCT_BYTES

    def is_slow(self, operations: Sequence[Operation], n: int) -> bool:
        """Whether a start after a cut there may be one of its own: it does the copy again, or runs out of a part that
        has its header."""
        if n == len(operations):
            return False
        sector = self.board.internal.sector(operations[n].address)[0]
        parts = [i for i in self.new if i.file.module.function == ModuleFunction.SYSTEM_PART]
        places = [range(i.file.module.start_address, i.file.module.start_address + len(i.image)) for i in parts]
        return sector < SYSTEM or any(sector in place for place in places)

    def mend(
        self, journal: FlashJournal, report: CutReport, next_run: Callable[[], None], wanted: list[Install]
    ) -> None:
        """Boards that hang or began with an incomplete system: the last of each; of all cuts the first, too."""
        for outcome in (Outcome.UNBRAKED, Outcome.HANGS):
            broken = report.of(outcome)
            for cut in dict.fromkeys((*(broken[:1] if ALL else ()), *broken[-1:])):
                (contents,) = journal.states([(cut.n, cut.torn)])
                JoinedStarts(self.board, flashes_of(self.board), self.is_settled).execute(contents)
                self.board.be_forgotten()
                next_run()
                assert lies_in_flash(self.board, wanted), cut


@pytest.mark.parametrize(("has", "gets"), [(OLD, NEW), (NEW, OLD)], ids=["up", "down"])
@pytest.mark.parametrize(("platform", "number"), [(p, n) for p, parts in PARTS.items() for n in range(parts)])
def test_copies_by_the_bootloader_stand_a_loss_of_power(images, images_of, application, platform, number, has, gets):
    """Of each part, when those before it have been copied."""
    for release in (OLD, NEW):
        images_of(platform, release)
    copies = Copies(images, platform, application(platform), has, gets)
    board, install = copies.board, copies.new[number]
    for before in copies.new[:number]:
        board.internal.load(before.file.module.start_address, before.image)
    if install.file.module.function == ModuleFunction.USER_PART:
        board.internal.erase_sector(install.file.module.start_address)
    copies.arm(install)
    journal = recorded(board, copies.start)
    assert lies_in_flash(board, [install])
    name = f"{platform} {has}, copy of {install.file.title}"
    report = copies.cut(name, journal, [install], lambda: copies.finish(install), (Outcome.LOST,))
    assert report.cuts[-1].outcome is Outcome.ALONE, "after the last operation it is in its place"
    copies.mend(journal, report, lambda: copies.finish(install), [install])
    copies.desk.close()


@pytest.mark.parametrize("platform", PARTS)
def test_writes_over_dfu_with_the_brake_set_stand_a_loss_of_power(images, images_of, application, platform):
    """`flash` of a whole release: no cut of it may start a system that is not whole."""
    for release in (OLD, NEW):
        images_of(platform, release)
    copies = Copies(images, platform, application(platform), OLD, NEW)
    copies.is_braked = True
    copies.desk.enter_dfu_by_button()
    contents = {i.file.sha256: i.data for i in copies.new}
    phase = next(p for p in plan_for(copies.desk, copies.new).phases if p.kind is PhaseKind.FLASH)
    plan = phase.flash
    assert plan is not None and plan.harmless_if_interrupted

    def write() -> None:
        with copies.desk.session() as session:
            list(flash(plan, session, contents.__getitem__))

    def again() -> None:
        if copies.runs() != "dfu":
            copies.desk.enter_dfu_by_button()
        whole_run(copies.desk, copies.new)

    journal = recorded(copies.board, write)
    assert lies_in_flash(copies.board, copies.new)
    report = copies.cut(
        f"{platform}, writing over DFU",
        journal,
        copies.new,
        again,
        (Outcome.LOST, Outcome.HANGS, Outcome.UNBRAKED),
    )
    assert report.cuts[-1].outcome is Outcome.ALONE
    copies.desk.close()
