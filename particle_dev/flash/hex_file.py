"""Intel-HEX files, such as Particle's restore files. Needs the extra ``swd``."""

from __future__ import annotations

import io
from pathlib import Path

from particle_dev.errors import FormatError, LinkAccessError
from particle_dev.flash.file_io import read_file


def read_hex(path: Path) -> tuple[tuple[int, bytes], ...]:
    """The pieces of the file, (address, bytes) without gaps in them, in the order of addresses.

    Raises FirmwareStoreError when it cannot be read; FormatError: ``no_hex`` (with what is wrong), ``overlap`` (two
    records for one address), ``empty``. LinkAccessError without the package intelhex.
    """
    try:
        from intelhex import AddressOverlapError, HexReaderError, IntelHex  # noqa: PLC0415  an extra
    except ImportError as e:
        raise LinkAccessError("Intel-HEX files need intelhex", hint="install: pip install 'particle-dev[swd]'") from e
    file = IntelHex()
    try:
        file.loadhex(io.StringIO(read_file(path).decode("ascii")))
    except AddressOverlapError as e:
        raise FormatError(
            f"{path}: {e}", code="overlap", file=str(path), hint="take the file from a fresh download"
        ) from e
    except (HexReaderError, UnicodeDecodeError) as e:
        raise FormatError(
            f"{path} is no Intel-HEX file: {e}", code="no_hex", file=str(path), hint="give a .hex file"
        ) from e
    pieces = tuple((start, file.tobinstr(start=start, size=end - start)) for start, end in file.segments())
    if not pieces:
        raise FormatError(f"{path} holds no data", code="empty", file=str(path), hint="take a fresh download")
    return pieces
