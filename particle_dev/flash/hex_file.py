"""Intel-HEX files, such as Particle's restore files. Needs the extra ``swd``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from particle_dev.errors import FirmwareStoreError, FormatError, LinkAccessError
from particle_dev.flash.file_io import read_file


def write_hex(path: Path, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Pieces, (address, bytes), as a new file. Raises FirmwareStoreError when it cannot be written or is there already,
    FormatError (``overlap``) for two pieces in one place, LinkAccessError without the package intelhex."""
    intelhex = _intelhex()
    file = intelhex.IntelHex()
    try:
        for address, data in pieces:
            piece = intelhex.IntelHex()
            piece.frombytes(data, address)
            file.merge(piece)
    except intelhex.AddressOverlapError as e:
        raise FormatError(f"{path}: {e}", code="overlap", file=str(path), hint="give files for one board") from e
    try:
        with path.open("x", encoding="ascii") as stream:
            file.write_hex_file(stream)
    except OSError as e:
        raise FirmwareStoreError(
            f"cannot write {path}: {e.strerror}", path=str(path), hint="give the name of a new file"
        ) from e


def read_hex(path: Path) -> tuple[tuple[int, bytes], ...]:
    """The pieces of the file, (address, bytes) without gaps in them, in the order of addresses.

    Raises FirmwareStoreError when it cannot be read; FormatError: ``no_hex`` (with what is wrong), ``overlap`` (two
    records for one address), ``empty``. LinkAccessError without the package intelhex.
    """
    content = read_file(path)
    try:
        return _parsed(content)
    except FormatError as e:
        raise FormatError(f"{path}{e.message}", code=e.code, file=str(path), hint=e.hint) from e.__cause__


@lru_cache(maxsize=4)
def _parsed(content: bytes) -> tuple[tuple[int, bytes], ...]:
    """The pieces. Half a second for a whole board, so the boards of a station share it. FormatError without a path."""
    intelhex = _intelhex()
    file = intelhex.IntelHex()
    try:
        file.loadhex(io.StringIO(content.decode("ascii")))
    except intelhex.AddressOverlapError as e:
        raise FormatError(f": {e}", code="overlap", hint="take the file from a fresh download") from e
    except (intelhex.HexReaderError, UnicodeDecodeError) as e:
        raise FormatError(f" is no Intel-HEX file: {e}", code="no_hex", hint="give a .hex file") from e
    pieces = tuple((start, file.tobinstr(start=start, size=end - start)) for start, end in file.segments())
    if not pieces:
        raise FormatError(" holds no data", code="empty", hint="take a fresh download")
    return pieces


def _intelhex() -> Any:
    try:
        import intelhex  # noqa: PLC0415  an extra
    except ImportError as e:
        raise LinkAccessError("Intel-HEX files need intelhex", hint="install: pip install 'particle-dev[swd]'") from e
    return intelhex
