"""One process at a time has the boards of a state folder."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from particle_dev.errors import BenchError

_READER_WAITS_S = 5.0
"""For others that read: each is done in less than a second."""

_NOT_PERMITTED = (errno.EACCES, errno.EPERM, errno.EROFS)
LOCK_FILE, HOLDER_FILE = ".lock", ".holder.json"


class StateLock:
    """Holds a state folder until :meth:`release`, or until the process ends in whatever way: the lock is the operating
    system's. Raises BenchError, which names the holder, when another process has it, or this one. ``takes_over``: what
    this process holds is no hindrance; a second bench takes the boards over, as tests of resumption do. ``to_read``:
    for a moment, in which nothing in the folder changes; others that do the same are waited for."""

    def __init__(self, state_dir: Path, *, takes_over: bool = False, to_read: bool = False) -> None:
        holder = state_dir / HOLDER_FILE
        key = f"bench.{'options.begin_from' if to_read else 'state_dir'}"
        try:
            if state_dir.is_file():
                raise BenchError(
                    f"the state folder {state_dir} is a file, not a folder",
                    key=key,
                    hint="name a folder, or a new one",
                )
            # Locks of one file that are no singleton shut each other out within a process, too.
            self._lock = FileLock(state_dir / LOCK_FILE, timeout=0, thread_local=False, is_singleton=takes_over)
            state_dir.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=_READER_WAITS_S if to_read else 0)
            if to_read:
                return
            holder.write_text(json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv)}), encoding="utf-8")
        except Timeout as error:
            who, end = _described(holder)
            raise BenchError(
                f"the bench's boards in {state_dir} are in use by {who}",
                key=key,
                hint=f"{end} first" if to_read else f"{end}, or choose another state folder",
            ) from error
        except OSError as error:
            raise BenchError(
                f"the state folder {state_dir} cannot be used: {error.strerror}",
                key=key,
                hint="check its permissions" if error.errno in _NOT_PERMITTED else "name another",
            ) from error
        except ValueError as error:
            # A file name with a NUL.
            raise BenchError(
                f"the state folder {str(state_dir)!r} cannot be used: {error}", key=key, hint="name another"
            ) from error

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()


def _described(holder: Path) -> tuple[str, str]:
    """Who has it, and what to do about that."""
    try:
        table = json.loads(holder.read_text(encoding="utf-8"))
        if table["pid"] == os.getpid():
            return "another bench of this program", "close that bench"
        return f"process {table['pid']} ({table['command']})", "end that program"
    except (OSError, ValueError, KeyError):
        # It has just taken the lock.
        return "another process", "end that program"
