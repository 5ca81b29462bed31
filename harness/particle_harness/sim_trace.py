"""``particle-dev sim trace``: what firmware does with the registers of an emulated chip."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from particle_harness.emulator.images import emulated_hardware, images_folder
from particle_harness.emulator.new_board import NewBoard, furnish, make_chip, make_memories

_DEVICE_IDS = {True: "e00fce680000000000000001", False: "000000000000000000000001"}
"""Of traced boards, nRF52840 and others: no real board's."""


@click.command("trace")
@click.argument("platform")
@click.option(
    "--seconds", type=click.FloatRange(0, 60), default=0.1, show_default=True, help="Of the chip's time, from power on."
)
@click.option("--device-os", metavar="VERSION", help="Release of Device OS on it; without it, the bootloader alone.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Registers to show, such as 'NVMC.*'; all without it.")
@click.option("--without", multiple=True, metavar="PATTERN", help="Registers to leave out, such as 'RTC1.COUNTER'.")
@click.option(
    "--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder with your firmware images."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each line instead of text.")
def trace_command(
    platform: str,
    seconds: float,
    device_os: str | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    images: Path | None,
    as_json: bool,
) -> None:
    """Print each access to a register by the firmware of a new board of kind PLATFORM that runs your images, from power
    on. No host is on its USB cable.

    A line has cycle, address of the instruction, R or W, register, value. Faults of the firmware follow at the end; how
    the run ended stands on standard error.
    """
    shown_lines = 0

    def show(line: Any) -> None:
        nonlocal shown_lines
        shown_lines += 1
        click.echo(json.dumps(asdict(line)) if as_json else str(line))

    shown = only or ("*",)
    reports, end = traced(platform, seconds, show, device_os=device_os, only=shown, without=without, images=images)
    for report in reports:
        click.echo(json.dumps({"fault": report}) if as_json else report)
    matched = {0: "no access matched", 1: "1 access shown"}.get(shown_lines, f"{shown_lines} accesses shown")
    faults = {0: "no fault", 1: "1 fault"}.get(len(reports), f"{len(reports)} faults")
    click.echo(f"{matched}; {faults}; {end}", err=True)


def traced(
    platform: str,
    seconds: float,
    write: Callable[[Any], None],
    *,
    device_os: str | None = None,
    only: tuple[str, ...] = ("*",),
    without: tuple[str, ...] = (),
    images: Path | None = None,
) -> tuple[list[str], str]:
    """``write`` gets each line; gives the reports of faults, and where the firmware stood in the end. Raises
    BenchError: no such board, image or emulator."""
    kind = emulated_hardware(platform)
    found = images_folder(str(images) if images else None).for_board(kind, device_os)
    memories = make_memories(kind)
    furnish(memories, found)
    chip: Any = make_chip(NewBoard(kind, _DEVICE_IDS[kind.is_gen3]), memories)
    # The chip is there, and so is the emulator.
    from particle_harness.emulator.trace import RegisterTrace  # noqa: PLC0415

    trace = RegisterTrace(chip.processor, write, only=only, without=without)
    chip.power_on()
    chip.attach_vbus()
    chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(seconds))
    trace.close()
    return [str(report) for report in chip.processor.faults.reports], _end(chip, seconds)


def _end(chip: Any, seconds: float) -> str:
    # The chip is there, and so is the emulator.
    from particle_harness.emulator.code_map import CodeMap  # noqa: PLC0415

    place = CodeMap(chip.bus).describe(chip.processor.program_counter)
    how = "executes" if chip.runs else "has locked up"
    return f"after {seconds:g} s of its time the core {how} at {place}"
