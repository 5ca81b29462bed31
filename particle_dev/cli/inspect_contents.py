"""Modules inside modules, for ``particle-dev inspect``: several in one file, compressed and asset modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.inspect_files import Inspected
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import describe
from particle_dev.protocol.module_traits import Piece, module_pieces
from particle_dev.protocol.packed import check_packed

_NOTE_UNANNOUNCED = "no COMBINED flag announces the next module: a device that gets this file takes only this one"


def inspect_contents(description: dict[str, Any], data: bytes) -> Iterator[Inspected]:
    """The modules of a file, with the problems of what is packed in them. ``description`` is that of the whole file."""
    pieces = module_pieces(data)
    for piece in pieces:
        part, note = description, ""
        if len(pieces) > 1:
            part = describe(piece.data, file=piece.name_in(description["file"]), offset=piece.offset)
        if not piece.is_last:
            part["problems"] = [p for p in part["problems"] if p["code"] != "combined_incomplete"]
            note = "" if "COMBINED" in part["flags"] else _NOTE_UNANNOUNCED
        if not part["problems"]:
            _check_packed(part, piece)
        yield Inspected(part, piece.data, piece.number is not None, note)


def _check_packed(description: dict[str, Any], piece: Piece) -> None:
    """Add the problem that a device would have with what is packed in an intact module."""
    if description["function"] != ModuleFunction.ASSET and "COMPRESSED" not in description["flags"]:
        return
    try:
        check_packed(piece, description["function"])
    except ModuleFormatError as error:
        description["problems"] = [{"code": error.code, "offset": error.offset, "message": error.message}]
