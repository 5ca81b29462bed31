"""Modules inside modules, for ``particle-dev inspect``: combined, compressed and asset modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.inspect_files import Inspected
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.asset import read_asset_module
from particle_dev.protocol.compressed import expand
from particle_dev.protocol.module import describe
from particle_dev.protocol.module_edit import standalone
from particle_dev.protocol.module_traits import combined_pieces


def inspect_contents(description: dict[str, Any], data: bytes) -> Iterator[Inspected]:
    """The modules of a combined file, or the one of ``description`` with the problems of what is packed in it."""
    if "COMBINED" in description["flags"]:
        try:
            pieces = combined_pieces(data)
        except ModuleFormatError:
            pieces = ()
        for number, piece in enumerate(pieces, start=1):
            part = describe(piece, file=f"{description['file']}#{number}")
            part["problems"] = [p for p in _problems(part) if p["code"] != "combined_incomplete"]
            if not part["problems"]:
                _check_packed(part, standalone(piece))
            yield Inspected(part, piece)
        if pieces:
            return
    if not description["problems"]:
        _check_packed(description, data)
    yield Inspected(description, data)


def _check_packed(description: dict[str, Any], data: bytes) -> None:
    """Add the problem that a device would have with what is packed in an intact module."""
    try:
        if description["function"] == ModuleFunction.ASSET:
            read_asset_module(data)
        elif "COMPRESSED" in description["flags"]:
            expand(data)
    except ModuleFormatError as error:
        # Offsets of the expanded module are not those of this file.
        description["problems"] = [{"code": error.code, "offset": None, "message": error.message}]


def _problems(description: dict[str, Any]) -> list[dict[str, Any]]:
    problems: list[dict[str, Any]] = description["problems"]
    return problems
