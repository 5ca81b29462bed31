"""Who works on which port: two stations of one computer never have the same board in hand.

A lease is a lock of the operating system on a file, so it ends with its process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock

from particle_dev.errors import BenchError
from particle_dev.station.bench import Slot

FOLDER_NAME = "particle-dev-leases"


def lease_folder() -> Path:
    """One for all users of this computer."""
    return Path(tempfile.gettempdir()) / FOLDER_NAME


class Leases:
    """The leases of a station's slots, held until :meth:`release`. Slots without ``lease`` need none: nobody else can
    reach them. ``holder`` is what other stations are told.

    Raises BenchError when another station has one of them, and when the folder cannot be used; then none is held.
    """

    def __init__(self, slots: Iterable[Slot], holder: str, folder: Path | None = None) -> None:
        self._held: list[filelock.FileLock] = []
        folder = folder or lease_folder()
        try:
            for slot in slots:
                for name in slot.leases:
                    self._take(slot, folder / re.sub(r"[^\w.-]", "_", name), holder)
        except BaseException:
            self.release()
            raise

    def _take(self, slot: Slot, path: Path, holder: str) -> None:
        told = path.with_suffix(path.suffix + ".json")
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.parent.chmod(0o1777)
            lock = filelock.FileLock(path.with_suffix(path.suffix + ".lock"), timeout=0, mode=0o666)
            lock.acquire()
        except filelock.Timeout as error:
            raise BenchError(
                f"slot {slot.name}: another station works on {slot.port_path}{_holder(told)}",
                slot=slot.name,
                hint="end that run, or take the slot out of one of the bench files",
            ) from error
        except OSError as error:
            raise BenchError(
                f"slot {slot.name}: cannot tell whether another station works on {slot.port_path}: "
                f"{path.parent}: {error.strerror}",
                slot=slot.name,
                hint="another user's station may have it; else remove that folder",
            ) from error
        self._held.append(lock)
        # Only for people: the lock alone decides.
        with contextlib.suppress(OSError):
            told.write_text(json.dumps({"pid": os.getpid(), "holder": holder}) + "\n")

    def release(self) -> None:
        """Give all of them back."""
        for lock in self._held:
            lock.release()
        self._held.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_bytes())
        return f" (process {int(told['pid'])}, {told['holder']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
