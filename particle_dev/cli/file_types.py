"""Types of file arguments: which commands read standard input, and which cannot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from particle_dev.cli.command_type import CommandT


class _NamedFile(click.Path):
    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value) == "-":
            self.fail("standard input and output (-) do not go here: give a file.", param, ctx)
        if not str(value):
            self.fail("its name is empty: give a file.", param, ctx)
        return super().convert(value, param, ctx)


MODULE_FILE = click.Path(path_type=Path, readable=False)
"""A module to read; ``-`` is standard input."""
NAMED_FILE = _NamedFile(path_type=Path, readable=False)
"""A path whose name matters, or that is written; never ``-``."""
NAMED_SOURCE = _NamedFile(readable=False)
"""Likewise, as text."""


def force_option(command: CommandT) -> CommandT:
    """``--force``, for commands that write files; see :func:`particle_dev.flash.file_io.write_file`."""
    return click.option("--force", is_flag=True, help="Replace files that are there.")(command)
