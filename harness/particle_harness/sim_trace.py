"""``particle-dev sim trace``: what firmware does with the registers of an emulated chip."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from particle_dev.finite_range import FiniteRange
from particle_harness.boards import EXAMPLE_DEVICE_IDS
from particle_harness.emulator.boards.images import emulated_hardware, images_folder
from particle_harness.emulator.boards.new_board import NewBoard, furnish, make_chip, make_memories
from particle_harness.emulator.boards.starting_point import kept_chip


@click.command("trace")
@click.argument("platform", required=False)
@click.option(
    "--seconds",
    type=FiniteRange(0, 60),
    default=0.1,
    show_default=True,
    help="Of the chip's time, from power on or from where the board stood.",
)
@click.option("--device-os", metavar="VERSION", help="Release of Device OS on it; without it, the bootloader alone.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Registers to show, such as 'NVMC.*'; all without it.")
@click.option("--without", multiple=True, metavar="PATTERN", help="Registers to leave out, such as 'RTC1.COUNTER'.")
@click.option(
    "--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder with your firmware images."
)
@click.option(
    "--from",
    "begin_from",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Go on where the board of a slot stood, STATE_DIR/SLOT of an emulated bench; it stays as it is.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each line instead of text.")
def trace_command(
    platform: str | None,
    seconds: float,
    device_os: str | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    images: Path | None,
    begin_from: Path | None,
    as_json: bool,
) -> None:
    """Print each access to a register by the firmware of a new board of kind PLATFORM that runs your images, from power
    on; or, with --from, of one that goes on where it stood, of the kind that it is. No host is on its USB cable.

    A line has cycle, address of the instruction, R or W, register, value. Faults of the firmware follow at the end; how
    the run ended stands on standard error.
    """
    shown_lines = 0

    def show(line: Any) -> None:
        nonlocal shown_lines
        shown_lines += 1
        click.echo(json.dumps(asdict(line)) if as_json else str(line))

    if begin_from is None and platform is None:
        raise click.UsageError("name a PLATFORM, such as boron, or a board that was kept, by --from STATE_DIR/SLOT")
    shown = only or ("*",)
    if begin_from is not None and (device_os is not None or images is not None):
        raise click.UsageError(
            "a board that goes on has its firmware: --from goes with neither --device-os nor --images"
        )
    reports, end = traced(
        platform,
        seconds,
        show,
        device_os=device_os,
        only=shown,
        without=without,
        images=images,
        begin_from=begin_from,
    )
    for report in reports:
        click.echo(json.dumps({"fault": report}) if as_json else report)
    matched = {0: "no access matched", 1: "1 access shown"}.get(shown_lines, f"{shown_lines} accesses shown")
    faults = {0: "no fault", 1: "1 fault"}.get(len(reports), f"{len(reports)} faults")
    click.echo(f"{matched}; {faults}; {end}", err=True)


def traced(
    platform: str | None,
    seconds: float,
    write: Callable[[Any], None],
    *,
    device_os: str | None = None,
    only: tuple[str, ...] = ("*",),
    without: tuple[str, ...] = (),
    images: Path | None = None,
    begin_from: Path | None = None,
) -> tuple[list[str], str]:
    """``platform`` may be None for a board to begin from. ``write`` gets each line; gives the reports of faults, and
    where the firmware stood in the end. Raises BenchError: no such board, image or emulator, or nothing to begin
    from."""
    if begin_from is not None:
        with kept_chip(begin_from, emulated_hardware(platform) if platform else None) as kept:
            return _run(kept, seconds, write, only, without)
    if platform is None:
        raise ValueError("a new board is of some platform")
    kind = emulated_hardware(platform)
    memories = make_memories(kind)
    furnish(memories, images_folder(str(images) if images else None).for_board(kind, device_os))
    chip = make_chip(NewBoard(kind, EXAMPLE_DEVICE_IDS[kind.is_gen3]), memories)
    return _run(chip, seconds, write, only, without, from_power_on=True)


def _run(
    chip: Any,
    seconds: float,
    write: Callable[[Any], None],
    only: tuple[str, ...],
    without: tuple[str, ...],
    *,
    from_power_on: bool = False,
) -> tuple[list[str], str]:
    # The chip is there, and so is the emulator.
    from particle_harness.emulator.core.trace import RegisterTrace  # noqa: PLC0415

    trace = RegisterTrace(chip.processor, write, only=only, without=without)
    if from_power_on:
        chip.power_on()
        chip.attach_vbus()
    chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(seconds))
    trace.close()
    return [str(report) for report in chip.processor.faults.reports], _end(chip, seconds)


def _end(chip: Any, seconds: float) -> str:
    # The chip is there, and so is the emulator.
    from particle_harness.emulator.core.code_map import CodeMap  # noqa: PLC0415

    place = CodeMap(chip.bus).describe(chip.processor.program_counter)
    how = "executes" if chip.runs else "has locked up" if chip.processor.locked_up else "is switched off"
    return f"after {seconds:g} s of its time the core {how} at {place}"
