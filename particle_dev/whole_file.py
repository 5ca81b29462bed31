"""Files that are written whole or not at all, whatever ends the process, the disk or the power meanwhile."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(
    path: Path, content: bytes, *, mode: int | None = None, replace: bool = True, durable: bool = True
) -> None:
    """Put ``content`` at ``path``: who opens it finds all of what was there before, or all of this.

    ``mode``: its permission bits, from the first byte on; None: those of the file that it replaces, or what new files
    of this user get. ``replace`` False: the first writer wins. ``durable``: it is on the medium when this returns;
    without, a loss of power may bring back what was there before. The folder must exist. Raises OSError
    (FileExistsError: with ``replace`` False, it is there already), and then nothing has changed.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        kept = path.stat().st_mode & 0o777 if mode is None and path.exists() else None
        # What it replaces may be a secret: nobody else reads the new one before it has the same bits.
        first = 0o600 if kept is not None else 0o666 if mode is None else mode
        _write_new(temporary, content, first, durable=durable)
        if kept is not None:
            temporary.chmod(kept)
        if replace:
            temporary.replace(path)
        else:
            # A rename would replace what another process has put there in the meantime.
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def _write_new(path: Path, content: bytes, mode: int, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder safe against loss of power; an fsync of a file does not promise that for its name."""
    if os.name == "nt":  # Windows has no way to sync a directory
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
