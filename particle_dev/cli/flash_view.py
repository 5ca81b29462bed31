"""What ``particle-dev flash`` prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from particle_dev.cli.escape import escaped
from particle_dev.cli.wrap import wrapped
from particle_dev.flash.phases import PhaseKind, UpdatePlan
from particle_dev.flash.plan import BLOCK_SIZE_BYTES, NO_BRAKE
from particle_dev.flash.progress import (
    BlockWritten,
    BrakeSet,
    ModuleCompared,
    ModuleProven,
    ModuleVerified,
    PhaseStarted,
    SectorErased,
    UpdateEvent,
)
from particle_dev.permissions import Effect


class FlashView:
    """A plan, its progress and its result, as text or JSON. Progress goes to standard error: a counter on a terminal; a
    line per phase and module elsewhere, unless the result is wanted as JSON."""

    def __init__(self, plan: UpdatePlan, skipped: Sequence[str], *, as_json: bool) -> None:
        self._plan = plan
        self._skipped = tuple(skipped)
        self._as_json = as_json
        self._on_terminal = sys.stderr.isatty()
        self._verified: dict[str, ModuleVerified] = {}
        self._proven: list[ModuleProven] = []
        self._is_touched = False
        self._phase: PhaseKind | None = None
        self._written: tuple[int, int] | None = None
        self._is_line_open = False

    def print_plan(self) -> None:
        """The plan, which is not carried out."""
        plan = self._plan
        if self._as_json:
            click.echo(json.dumps(_plan_object(plan) | {"skipped": self._skipped}))
            return
        self._print_skipped()
        for file in plan.satisfied:
            click.echo(f"already there, not written: {file.title}")
        for number, line in enumerate(plan.lines(), 1):
            click.echo(wrapped(f"{number}. {line}", sys.stdout, 3))
        for note in _notes(plan):
            click.echo(wrapped(f"note: {note}", sys.stdout))
        if not plan.phases:
            click.echo("nothing to write; the device was left as it is")
            return
        billing = "may bill: needs --may-connect" if Effect.CONNECT in plan.permissions_needed else "cannot bill"
        resets = sum(p.resets for p in plan.phases)
        duration_s = plan.expected_duration_s
        time = "time unknown" if duration_s is None else f"about {duration_s:.0f} s"
        click.echo(f"{time}, {resets} reset{'' if resets == 1 else 's'}; {billing}")

    def take(self, event: UpdateEvent) -> None:
        """Something happened."""
        match event:
            case PhaseStarted():
                self._phase, self._written = self._plan.phases[event.number - 1].kind, None
                self._print_line(f"[{event.number}/{event.count}] {event.title}")
            case ModuleCompared():
                missing = event.size_bytes - event.right_bytes
                # The first erase is told when it is proven; a board that is lost meanwhile may have begun it.
                self._is_touched |= bool(missing) and not self._plan.harmless_if_interrupted
                if not self._on_terminal:
                    self._print_line(f"{event.file_name}: {missing} of {event.size_bytes} bytes to write")
            case BrakeSet() | SectorErased():
                self._is_touched = True
            case BlockWritten():
                self._is_touched = True
                self._written = event.done_bytes, event.total_bytes
                self.progress("write", event.done_bytes, event.total_bytes)
            case ModuleVerified():
                self._verified[event.file_name] = event
                if not self._on_terminal:
                    self._print_line(f"{event.file_name}: read back and equal")
                self.progress("verify", event.done_bytes, event.total_bytes)
            case ModuleProven():
                self._proven.append(event)
            case _:
                pass

    def print_where_it_stands(self) -> None:
        """After an error or Ctrl-C: which board, how far it is, and what it does now when it boots. On standard error;
        nothing before the first phase, as for a refusal."""
        if self._phase is None:
            return
        if not self._is_touched:
            text = self._untouched()
        elif self._may_be_complete:
            text = (
                "all of it may be written, and it was not read back: a reset boots the application, which may connect. "
                "Hold its MODE button while you plug it in or reset it, until the LED blinks yellow, then run the same "
                "command"
            )
        elif self._plan.harmless_if_interrupted:
            text = "each boot of it ends in DFU mode, offline, until the same command has run to its end"
        else:
            text = (
                "it may boot into safe mode and connect. Hold its MODE button while you plug it in or reset it, until "
                "the LED blinks yellow, then run the same command"
            )
        name = f"{self._plan.platform.display_name} {self._plan.device_id}"
        written = f", {self._written[0]} of {self._written[1]} bytes written" if self._written else ""
        click.echo(wrapped(f"{name}: not finished{written}: {text}", sys.stderr), err=True)

    def _untouched(self) -> str:
        if self._phase is PhaseKind.CONTROL_UPDATE:
            return "it installs the module only once it has all of it; else it runs what it had"
        if self._phase is PhaseKind.FLASH and self._plan.harmless_if_interrupted:
            return "it has what it had, or no system part; then each boot of it ends in DFU mode, offline"
        return "it has what it had"

    @property
    def _may_be_complete(self) -> bool:
        """Whether the block that releases the parking brake, the last one, has been on its way to the board."""
        if self._phase is not PhaseKind.FLASH or self._written is None:
            return False
        done_bytes, total_bytes = self._written
        return total_bytes - done_bytes <= BLOCK_SIZE_BYTES

    def _print_line(self, text: str) -> None:
        if self._on_terminal or not self._as_json:
            self.end_progress()
            click.echo(wrapped(text, sys.stderr), err=True)

    def progress(self, activity: str, done_bytes: int, total_bytes: int) -> None:
        """A line that is written over itself."""
        if self._on_terminal:
            percent = done_bytes * 100 // total_bytes
            click.echo(f"\r{activity:<7}{percent:3d} %  {done_bytes} bytes ", err=True, nl=False)
            self._is_line_open = True
            if done_bytes == total_bytes:
                self.end_progress()

    def end_progress(self) -> None:
        """Whatever comes next begins a line of its own."""
        if self._is_line_open:
            click.echo(err=True)
            self._is_line_open = False

    def print_result(self) -> None:
        """What was done and what proves it."""
        plan = self._plan
        left = bool(plan.phases) and plan.phases[-1].kind is not PhaseKind.PROVE
        if self._as_json:
            flashed = [
                {"file": v.file_name, "address": v.address, "size_bytes": v.size_bytes, "read_back_sha256": v.sha256}
                for v in self._verified.values()
            ]
            proven = [{"file": p.file_name, "sha256": p.sha256, "evidence": p.evidence} for p in self._proven]
            result = {
                "device_id": plan.device_id,
                "modules": flashed,
                "proven": proven,
                "satisfied": [f.file_name for f in plan.satisfied],
                "left_dfu_mode": left,
                "skipped": self._skipped,
            }
            click.echo(json.dumps(result))
            return
        self._print_skipped()
        for file in plan.satisfied:
            click.echo(f"already there, not written: {file.title}")
        for proof in self._proven:
            v = self._verified.get(proof.file_name)
            if v is not None:
                click.echo(f"{v.file_name}: {v.size_bytes} bytes at 0x{v.address:08x} read back and equal")
            else:
                click.echo(f"{proof.file_name}: installed; {proof.evidence}")
        if not plan.phases:
            click.echo("nothing to write; the device was left as it is")
        elif left:
            click.echo("left DFU mode: the application boots now")
        else:
            click.echo("stays in DFU mode; unplug it to keep it offline (a reset boots the application)")

    def _print_skipped(self) -> None:
        for text in self._skipped:
            click.echo(f"skipped: {escaped(text)}")


def _rounded(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(duration_s, 1)


def _notes(plan: UpdatePlan) -> list[str]:
    return [*plan.notes, *([NO_BRAKE] if any(phase.is_unbraked for phase in plan.phases) else [])]


def _plan_object(plan: UpdatePlan) -> dict[str, object]:
    flashes = [phase.flash for phase in plan.phases if phase.kind is PhaseKind.FLASH and phase.flash]
    return {
        "device_id": plan.device_id,
        "platform": plan.platform.name,
        "steps": plan.lines(),
        "phases": [
            {
                "kind": phase.kind,
                "transport": phase.transport,
                "files": [f.file_name for f in phase.files],
                "resets": phase.resets,
                "may_connect": phase.may_connect,
                "expected_duration_s": _rounded(phase.expected_duration_s),
            }
            for phase in plan.phases
        ],
        "satisfied": [f.file_name for f in plan.satisfied],
        "notes": _notes(plan),
        "size_bytes": sum(f.size_bytes for f in flashes),
        "expected_duration_s": _rounded(plan.expected_duration_s),
        "permissions_needed": [str(effect) for effect in plan.permissions_needed],
        "may_connect": Effect.CONNECT in plan.permissions_needed,
        "harmless_if_interrupted": plan.harmless_if_interrupted,
    }
