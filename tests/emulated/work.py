"""Pieces of the host library's work on one emulated board, in virtual time."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from particle_harness.boards import hardware
from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.boards.images import ImagesFolder
from particle_harness.emulator.boards.new_board import MODE_BUTTON_S
from particle_harness.emulator.power_cuts.cuts import Cut, CutReport, Outcome, chosen_cuts
from particle_harness.emulator.power_cuts.flash_journal import FlashJournal, Operation, Torn
from particle_harness.emulator.power_cuts.joined_starts import Place
from particle_harness.nor_flash import NorFlash

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.model import Device
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.update_area import Install
from particle_dev.flash.update_plan import UpdatePlan, make_update_plan
from particle_dev.protocol.module import parse
from particle_dev.station.bench import Bench, open_bench
from particle_dev.transport.base import Host

_TELL_EVERY_S = 30.0
OLD, NEW = "2.1.0", "2.2.0"


@dataclass
class Desk:
    """One emulated board with a host at its cable."""

    bench: Bench
    board: EmulatedBoard

    @property
    def host(self) -> Host:
        return self.bench.slots[0].host

    def device(self, timeout_s: float = 10) -> Device:
        """The board, in DFU mode."""
        device = wait_for_device(self.host, self.bench.slots[0].port_path, timeout_s)
        assert device.mode is UsbMode.DFU, f"it is in {device.mode}"
        return device

    def session(self) -> DfuSession:
        return DfuSession(self.host, self.device())

    def enter_dfu_by_button(self) -> None:
        """As an operator does: MODE held while power comes."""
        self.board.power_off()
        self.board.hold_mode_button(True)
        self.board.power_on()
        self.board.clock.sleep(MODE_BUTTON_S)
        self.board.hold_mode_button(False)
        assert self.board.run_until(lambda: self.board.state.runs == "dfu", 5)

    def close(self) -> None:
        self.bench.close()


def desk_with(images: Path, platform: str, device_os: str | None = None, **slot: object) -> Desk:
    """A new board of that kind."""
    bench = open_bench(
        "emulated",
        options={"clock": "virtual", "images": str(images)},
        slots=[{"name": "1", "platform": platform, **({"device_os": device_os} if device_os else {}), **slot}],
    )
    return Desk(bench, bench.driver.board("1"))  # type: ignore[attr-defined]


def old_softdevice(desk: Desk) -> None:
    """The SoftDevice that lies there runs, and is none of a release: its firmware id is another."""
    desk.board.internal.load(0x300C, b"\xff\xff")


def modules_of(images: Path, platform: str, release: str, user: Path | None = None) -> list[Install]:
    """The files of a release, and an application."""
    found = ImagesFolder(images).for_board(hardware(platform), release)
    data = [image.data for image in found.all] + ([user.read_bytes()] if user else [])
    return [Install(ModuleFile(parse(d), hashlib.sha256(d).hexdigest(), f"{n}.bin"), d) for n, d in enumerate(data)]


def plan_for(desk: Desk, installs: Sequence[Install]) -> UpdatePlan:
    with desk.session() as session:
        inventory = inventory_by_dfu(session)
    return make_update_plan(inventory, [i.file for i in installs], mode=UsbMode.DFU)


def whole_run(desk: Desk, installs: Sequence[Install]) -> list[object]:
    """Everything that `particle-dev flash` does on a board in DFU mode."""
    contents = {i.file.sha256: i.data for i in installs}
    return list(carry_out(desk.host, desk.device(), plan_for(desk, installs), contents.__getitem__))


def lies_in_flash(board: EmulatedBoard, installs: Sequence[Install]) -> bool:
    """Whether every byte is in its place."""
    return all(board.internal.read(i.file.module.start_address, len(i.image)) == i.image for i in installs)


def places_of(board: EmulatedBoard, installs: Sequence[Install]) -> list[Place]:
    """What internal flash holds then."""
    base = board.internal.base_address
    return [Place("internal", i.file.module.start_address - base, i.image) for i in installs]


def flashes_of(board: EmulatedBoard) -> dict[str, NorFlash]:
    """Everything that outlives a loss of power and is written by this work."""
    return {"internal": board.internal, **({"external": board.external} if board.external else {})}


def recorded(board: EmulatedBoard, act: Callable[[], object]) -> FlashJournal:
    """The operations of a piece of work."""
    journal = FlashJournal(flashes_of(board))
    with journal.recording():
        act()
    assert journal.operations
    return journal


def sample_of(operations: Sequence[Operation], wanted: int) -> list[tuple[int, Torn]]:
    """About so many of :func:`chosen_cuts`, spread over the work, with the one after the last operation."""
    cuts = chosen_cuts(operations, wanted)
    return list(dict.fromkeys([*cuts[:: max(1, len(cuts) // wanted)], cuts[-1]]))


class Progress:
    """Prints where a run of many cuts is, every half minute, and, where EMULATED_CUTS_RECORD names a file, writes it
    there, so that a run of hours that was stopped goes on: ``left`` are the cuts that no earlier run has noted."""

    def __init__(self, work: str, journal: FlashJournal, cuts: Sequence[tuple[int, Torn]]) -> None:
        self.work, self.total = work, len(cuts)
        named = os.environ.get("EMULATED_CUTS_RECORD")
        self._file = Path(named) if named else None
        self._what = _digest(journal, cuts)
        kept = self._all().get(work, {})
        known = kept if kept.get("what") == self._what else {"done": 0, "counts": {}, "executed": 0}
        self.done = known["done"]
        self.counts, self.executed = Counter[str](known["counts"]), known["executed"]
        self.left = list(cuts[self.done :])
        self._began_s = self._last_s = time.monotonic()
        self._began_at = self.done

    def __call__(self, cut: Cut) -> None:
        self.done += 1
        self.counts[cut.outcome.value] += 1
        self.executed += cut.executed
        now_s = time.monotonic()
        if now_s - self._last_s > _TELL_EVERY_S:
            self._last_s = now_s
            spent_s = now_s - self._began_s
            left_s = spent_s / (self.done - self._began_at) * (self.total - self.done)
            print(
                f"{self.work}: {self.done} of {self.total} cuts in {spent_s:.0f} s, {left_s:.0f} s left at this speed;"
                f" {self.executed} executed, {dict(self.counts)}, {cut}",
                flush=True,
            )
            if self.done < self.total:
                self.save()

    def save(self) -> None:
        """Write down how far it is; never that it is at its end, which is looked at anew each time."""
        if self._file is None:
            return
        mine = {"what": self._what, "done": self.done, "counts": dict(self.counts), "executed": self.executed}
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps({**self._all(), self.work: mine}, indent=1), encoding="utf-8")
        fresh.replace(self._file)

    def _all(self) -> dict[str, Any]:
        if self._file is None or not self._file.exists():
            return {}
        known: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        return known


def _digest(journal: FlashJournal, cuts: Sequence[tuple[int, Torn]]) -> str:
    """Of what is cut, and where."""
    digest = hashlib.sha256(repr(cuts).encode())
    for data in journal.start.values():
        digest.update(data)
    for operation in journal.operations:
        digest.update(str(operation).encode() + (operation.data or b""))
    return digest.hexdigest()


def told(progress: Progress, journal: FlashJournal, report: CutReport, never: Sequence[Outcome]) -> None:
    """Print what came of a work, in which there must be none of some outcomes."""
    earlier = f"; with those of earlier runs {dict(progress.counts)}" if len(progress.left) < progress.total else ""
    print(f"{progress.work}: {len(journal.operations)} operations{earlier}", *report.lines(), sep="\n", flush=True)
    for outcome in never:
        assert not progress.counts[outcome.value], report.of(outcome)[:3]


def split(installs: Sequence[Install]) -> tuple[list[Install], list[Install]]:
    """What the bootloader copies, and what is written over DFU."""
    copied = [i for i in installs if i.file.module.function in (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)]
    return copied, [i for i in installs if i not in copied]
