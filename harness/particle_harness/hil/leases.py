"""Leases of boards: two test runs of this user on this computer never share one, nor do two workers of pytest-xdist.

An operating system's lock: nothing is stale after ``kill -9``.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

LEASE_FOLDER_VARIABLE = "PARTICLE_DEV_LEASES"


@dataclass(frozen=True, slots=True)
class Lease:
    """A board that is this process's. ``lock`` None: nobody else could have it."""

    key: str
    lock: FileLock | None = None

    def release(self) -> None:
        """Give it back."""
        if self.lock is not None:
            self.lock.release()


def lease_folder() -> Path:
    """Where leases lie: the folder of PARTICLE_DEV_LEASES, else one of this user's cache."""
    named = os.environ.get(LEASE_FOLDER_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("particle-dev") / "leases"


def try_lease(key: str, holder: str, folder: Path | None = None) -> Lease | None:
    """The board that ``key`` names, or None while another process has it. ``holder`` is who takes it, for others to
    read: :func:`holder_of`. A lease is this process's own; threads and tests of one share it in turn."""
    folder = folder or lease_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, key)
    lock = FileLock(path, is_singleton=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    note = {
        "board": key,
        "process": os.getpid(),
        "holder": holder,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    path.with_suffix(".json").write_text(json.dumps(note), encoding="utf-8")
    return Lease(key, lock)


def holder_of(key: str, folder: Path | None = None) -> str:
    """Who took a board last, in words; of a free board, who had it."""
    try:
        note = json.loads(_path(folder or lease_folder(), key).with_suffix(".json").read_text(encoding="utf-8"))
        return f"process {note['process']} ({note['holder']}) since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _path(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.lock"
