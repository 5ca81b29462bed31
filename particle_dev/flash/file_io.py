"""Files in and out: whole, of a sane size, and with errors that say what to do."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from particle_dev.errors import FirmwareStoreError
from particle_dev.whole_file import write_whole

MAX_FILE_BYTES = 64 * 1024 * 1024
"""No firmware file comes near; keeps a disk image or an archive bomb out of memory."""
STANDARD_INPUT = "-"
"""In place of a file name."""


def read_file(path: Path) -> bytes:
    """The bytes of one file. Raises FirmwareStoreError when it cannot be read or is too large."""
    try:
        with path.open("rb") as stream:
            return read_limited(stream, str(path))
    except OSError as error:
        raise unreadable(str(path), error) from error


def read_input(path: Path) -> bytes:
    """As :func:`read_file`; ``-`` stands for standard input."""
    if str(path) != STANDARD_INPUT:
        return read_file(path)
    try:
        return read_limited(standard_input(), STANDARD_INPUT)
    except OSError as error:
        raise unreadable(STANDARD_INPUT, error) from error


def standard_input() -> IO[bytes]:
    """Standard input. Raises OSError when it is closed."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return sys.stdin.buffer


def unreadable(label: str, error: OSError) -> FirmwareStoreError:
    """The error for a file that the system does not let us read."""
    reason = os.strerror(error.errno) if error.errno is not None else str(error)
    return FirmwareStoreError(f"{label} cannot be read: {reason}", path=label, hint="check path and permissions")


def read_limited(stream: IO[bytes], source: str) -> bytes:
    """All of a stream. Raises FirmwareStoreError when it has more than MAX_FILE_BYTES, and OSError."""
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise FirmwareStoreError(
            f"{source} has more than {MAX_FILE_BYTES} bytes",
            path=source,
            hint="name firmware files only",
        )
    return data


def require_new_file(path: Path, *, replace: bool = False) -> None:
    """Raise FirmwareStoreError for a regular file that is there and may not be replaced, as :func:`write_file` does."""
    if path.resolve().is_file() and not replace:
        raise FirmwareStoreError(
            f"{path} exists already", path=str(path), hint="give another name, or --force to replace it"
        )


def write_file(path: Path, data: bytes, *, made_from: Sequence[Path] = (), replace: bool = False) -> None:
    """Write a regular file whole or leave what was there; links are followed, and pipes and device nodes are written
    into, never replaced.

    Raises FirmwareStoreError, also for a regular file that is there and may not be replaced (``replace``), and when it
    would be one of the files that it was made from.
    """
    target = path.resolve()
    if target in {source.resolve() for source in made_from}:
        raise FirmwareStoreError(
            f"{path} would replace the file that it is made from",
            path=str(path),
            hint="give another name for the result",
        )
    require_new_file(path, replace=replace)
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                stream.write(data)
        else:
            write_whole(target, data)
    except OSError as error:
        raise FirmwareStoreError(
            f"{path} cannot be written: {error.strerror}", path=str(path), hint="check folder, permissions and space"
        ) from error
