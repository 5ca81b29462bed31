"""Options that the commands of ``particle-dev esp`` share, and how their values become objects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from particle_dev.cli.command_type import CommandT
from particle_dev.finite_range import FiniteRange
from particle_dev.flash.esp_plan import EspFile, esp_file
from particle_dev.flash.file_io import read_input
from particle_dev.transport.esptool import DEFAULT_BAUD, Esptool

_PLACED = re.compile(r"(0x[0-9a-fA-F]{1,8}|0):(.+)", re.DOTALL)


def port_options(command: CommandT) -> CommandT:
    """``--port``, ``--baud``, ``--before``, ``--no-stub``, ``--timeout``."""
    for option in (
        click.option(
            "--timeout",
            "timeout_s",
            type=FiniteRange(min=1),
            metavar="SECONDS",
            help="End each run of esptool after that time; default: by size and rate.",
        ),
        click.option("--no-stub", is_flag=True, help="Do not load esptool's program into the chip's RAM; slower."),
        click.option(
            "--before",
            type=click.Choice(["default-reset", "no-reset"]),
            default="default-reset",
            help="How the chip gets into its loader: by DTR and RTS (default), or somebody put it there.",
        ),
        click.option(
            "--baud",
            type=click.IntRange(9600, 4_000_000),
            default=DEFAULT_BAUD,
            metavar="RATE",
            help=f"Rate for contents [default: {DEFAULT_BAUD}]; an Argon's UART does 921600.",
        ),
        click.option(
            "--port",
            required=True,
            metavar="PORT",
            help="Serial port: /dev/ttyACM0, COM3, socket://HOST:PORT, rfc2217://HOST:PORT.",
        ),
    ):
        command = option(command)
    return command


def files_argument(command: CommandT) -> CommandT:
    """FILE or ADDRESS:FILE."""
    return click.argument("names", nargs=-1, required=True, metavar="FILE|ADDRESS:FILE...")(command)


def esp_files(names: Sequence[str]) -> list[EspFile]:
    """The files that were named. Raises ModuleFormatError, PlanRefusedError, FirmwareStoreError."""
    return [_esp_file(name) for name in names]


def _esp_file(name: str) -> EspFile:
    placed = _PLACED.fullmatch(name)
    path = Path(placed[2] if placed else name)
    return esp_file(str(path), read_input(path), int(placed[1], 0) if placed else None)


def opened_tool(port: str, baud: int, before: str, no_stub: bool, timeout_s: float | None) -> Esptool:
    """esptool on the port. Raises LinkAccessError when it is not installed."""
    return Esptool(port, baud=baud, before=before, stub=not no_stub, timeout_s=timeout_s)
