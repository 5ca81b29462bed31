"""Who works on which port: two stations, test runs or commands of one computer never have the same board in hand.

A lease is a lock of the operating system on a file, so it ends with its process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import filelock

from particle_dev.errors import BenchError, SlotBusyError
from particle_dev.station.bench import Bench

FOLDER_NAME = "particle-dev-leases"


def lease_folder() -> Path:
    """One for all users of this computer."""
    return Path(tempfile.gettempdir()) / FOLDER_NAME


class Place(Protocol):
    """What leases are of. A slot of a bench is one."""

    @property
    def name(self) -> str:
        """Of the slot; "": of none."""
        ...

    @property
    def port_path(self) -> str:
        """Where it is."""
        ...

    @property
    def leases(self) -> tuple[str, ...]:
        """Names of what one at a time may use."""
        ...


@dataclass(frozen=True, slots=True)
class _Board:
    port_path: str
    leases: tuple[str, ...]
    name: str = ""


def usb_lease(port_path: str) -> str:
    """The name of a USB port of this computer."""
    return f"usb-{port_path}"


def probe_lease(probe_id: str) -> str:
    """The name of a debug probe that is plugged into this computer."""
    return f"probe-{probe_id}"


def serial_lease(url: str) -> str:
    """The name of a serial line of this computer, whichever of its names is given."""
    return f"serial-{Path(url).resolve() if url.startswith('/') else url}"


def board_leases(bench: Bench, port_path: str, holder: str) -> Leases:
    """The leases of the board at a port of a bench, for a command that changes it. Raises as :class:`Leases`."""
    for slot in bench.slots:
        if slot.port_path == port_path:
            return Leases([slot], holder)
    # Boards of a bench that brings its own bus can be reached by nobody else.
    own = bench.driver.usb_backend is not None
    return Leases([] if own else [_Board(port_path, (usb_lease(port_path),))], holder)


def probe_leases(probe_id: str, holder: str, leases: tuple[str, ...] | None = None) -> Leases:
    """The leases of a debug probe, for a command that works through it; ``leases``: as its bench names them. Raises as
    :class:`Leases`."""
    names = leases if leases is not None else (probe_lease(probe_id),)
    return Leases([_Board(f"probe {probe_id}", names)], holder)


class Leases:
    """The leases of a station's slots, held until :meth:`release`. Slots without ``lease`` need none: nobody else can
    reach them. ``holder`` is what others are told.

    Raises SlotBusyError when another station or test run has one of them; BenchError when the folder cannot be used, or
    when users other than its owner could remove what lies in it. Then none is held.
    """

    def __init__(self, slots: Iterable[Place], holder: str, folder: Path | None = None) -> None:
        self._held: list[filelock.FileLock] = []
        folder = folder or lease_folder()
        try:
            for slot in slots:
                for name in slot.leases:
                    self._take(slot, folder / re.sub(r"[^\w.-]", "_", name), holder)
        except BaseException:
            self.release()
            raise

    def _take(self, slot: Place, path: Path, holder: str) -> None:
        told = path.with_suffix(path.suffix + ".json")
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.parent.chmod(0o1777)
            _require_safe(path.parent, slot)
            lock = filelock.FileLock(path.with_suffix(path.suffix + ".lock"), timeout=0, mode=0o666)
            lock.acquire()
        except filelock.Timeout as error:
            raise SlotBusyError(
                f"{_title(slot)}another run or command works on {slot.port_path}{_holder(told)}",
                slot=slot.name or None,
                hint="wait until it ends, or end it; of two stations, take the slot out of one of the bench files",
            ) from error
        except OSError as error:
            raise BenchError(
                f"{_title(slot)}cannot tell whether another run works on {slot.port_path}: "
                f"{path.parent}: {error.strerror}",
                slot=slot.name or None,
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


def _title(place: Place) -> str:
    return f"slot {place.name}: " if place.name else ""


def _require_safe(folder: Path, slot: Place) -> None:
    """Whoever could remove a lock's file, or lead us to other files, could have the board at the same time."""
    if os.name != "posix":
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        why = "it is no folder of its own, but leads elsewhere"
    elif not os.access(folder, os.W_OK | os.X_OK):
        why = f"it belongs to user {_user(found.st_uid)}, and is closed to others"
    elif found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        why = f"it belongs to user {_user(found.st_uid)}, and anybody may remove what is in it"
    else:
        return
    raise BenchError(
        f"{_title(slot)}cannot tell whether another run works on {slot.port_path}: {folder}: {why}",
        slot=slot.name or None,
        hint=f"its owner or root: chmod 1777 {folder}; or remove it when no station runs",
    )


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415  POSIX alone

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_bytes())
        return f" (process {int(told['pid'])}, {told['holder']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
