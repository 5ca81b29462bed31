"""``particle-dev sim trace``: what firmware does with the registers of an emulated chip."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from particle_dev.errors import BenchError
from particle_harness.boards import hardware
from particle_harness.emulator.images import images_folder
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

    A line has cycle, address of the instruction, R or W, register, value. Faults of the firmware follow at the end.
    """

    def show(line: Any) -> None:
        click.echo(json.dumps(asdict(line)) if as_json else str(line))

    shown = only or ("*",)
    reports = traced(platform, seconds, show, device_os=device_os, only=shown, without=without, images=images)
    for report in reports:
        click.echo(json.dumps({"fault": report}) if as_json else report)


def traced(
    platform: str,
    seconds: float,
    write: Callable[[Any], None],
    *,
    device_os: str | None = None,
    only: tuple[str, ...] = ("*",),
    without: tuple[str, ...] = (),
    images: Path | None = None,
) -> list[str]:
    """``write`` gets each line; gives the reports of faults. Raises BenchError: no such board, image or emulator."""
    try:
        kind = hardware(platform)
    except ValueError as error:
        raise BenchError(str(error), hint="such as boron") from error
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
    return [str(report) for report in chip.processor.faults.reports]
