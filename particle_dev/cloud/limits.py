"""The Particle cloud's rate limits, kept before they are met.

They are counted per public IP, so everything behind one address shares them: all processes of a station count in one
file. The cloud bans who goes over a limit for longer than who waits.

A limit of N in a window is kept exactly, for every window and not only on average: uses are counted in slots of a 60th
of the window, and a use counts until its whole slot has left the window. Tools that do not count here (a browser, npm's
command line) are allowed for by :data:`SHARE`.

Source: particle-iot/docs src/content/reference/cloud-apis/api.md, "API rate limits".
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import filelock

from particle_dev.errors import CloudLimitError, ConfigError
from particle_dev.transport.base import Clock
from particle_dev.whole_file import write_whole

SLOTS = 60
SHARE = 0.9
"""Part of each limit that is used here; the rest is for other tools behind the same address."""
LONGEST_HOLD_S = 3600.0
"""No window of the cloud's is longer; who says so (a proxy may) would stop all programs of a site for good."""
LOCK_TIMEOUT_S = 30.0
TOLD_WAIT_S = 5.0
"""A longer wait is told in the log, at a level that people see."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` uses in any ``window_s`` seconds, of an address or, ``per_account``, of a user."""

    name: str
    count: int
    window_s: float
    per_account: bool = False

    @property
    def slot_s(self) -> float:
        """Length of a counting slot in seconds."""
        return self.window_s / SLOTS


REQUESTS = Limit("requests", 10_000, 300)
LOGINS = Limit("logins", 100, 300)
TOKENS = Limit("access tokens", 100, 300)
"""To list or delete them; new ones count as logins."""
STREAM_OPENS = Limit("event streams opened", 100, 300)
SERIAL_LOOKUPS = Limit("serial number look-ups", 50, 3600, per_account=True)
FAILED_LOGINS = Limit("failed logins", 10, 1800)
"""The cloud blocks an address for 30 minutes after ten failures in a row."""


@dataclass(slots=True)
class _Counter:
    """Uses by slot number, and a time before which there may be none because the cloud said so."""

    slots: dict[int, int] = field(default_factory=dict)
    held_until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Wait:
    """Until ``limit`` allows another use. ``is_told``: the cloud has refused one; else our own count is full."""

    limit: Limit
    duration_s: float
    is_told: bool


class LimitStore(Protocol):
    """Where counts are kept, one user at a time."""

    def edit(self) -> AbstractContextManager[list[str]]:
        """Gives the text of the counts as a one-element list, to be replaced in place."""
        ...


class MemoryLimitStore:
    """Counts of one process."""

    def __init__(self) -> None:
        self._text = [""]
        self._lock = threading.RLock()

    @contextmanager
    def edit(self) -> Iterator[list[str]]:
        """As :class:`LimitStore` says."""
        with self._lock:
            yield self._text


class FileLimitStore:
    """Counts that all processes of this machine share, in the file ``path`` beside a lock file.

    Raises ConfigError when file or folder cannot be written. The file is replaced as a whole, so it cannot be half
    written; one that somebody else damaged counts as empty, with a warning in the log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = filelock.FileLock(path.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S)
        # One lock object serves one thread at a time; others must not see it as their own.
        self._threads = threading.RLock()

    @contextmanager
    def edit(self) -> Iterator[list[str]]:
        """As :class:`LimitStore` says."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._threads, self._lock:
                text = [self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""]
                before = text[0]
                yield text
                if text[0] != before:
                    # Not durable: it is written with every request, and counts of before a loss of power are over.
                    write_whole(self.path, text[0].encode("utf-8"), durable=False)
        except (OSError, filelock.Timeout) as e:
            raise ConfigError(
                f"The counts of requests in {self.path} cannot be used: {e}",
                file=str(self.path),
                hint="give this user the right to write there, or name another folder with XDG_STATE_HOME",
            ) from e


def boot_id() -> str:
    """What tells one boot of this machine from another; empty where the system does not tell."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


class RateLimiter:
    """Waits so that no limit is met, over all processes that share ``store``.

    Time is the machine's monotonic clock as long as the machine has not booted again, so setting the clock neither
    opens a window too early nor closes it for long. ``share`` is the part of each limit that is used.
    """

    def __init__(self, store: LimitStore, clock: Clock, *, share: float = SHARE, boot: str | None = None) -> None:
        self._store = store
        self._clock = clock
        self._share = share
        self._boot = boot_id() if boot is None else boot

    def allowed(self, limit: Limit) -> int:
        """Uses of ``limit`` in its window that are made here."""
        return max(1, math.floor(limit.count * self._share))

    def acquire(self, limits: Sequence[Limit], *, account: str = "", max_wait_s: float) -> float:
        """Count one use of every limit in ``limits``, after waiting for all of them. Gives the seconds waited.

        Raises CloudLimitError, with nothing counted, when that would take longer than ``max_wait_s``.
        """
        waited_s = 0.0
        while True:
            wait = self._try(limits, account)
            if wait is None:
                return waited_s
            if waited_s + wait.duration_s > max_wait_s:
                raise self._used_up(wait)
            if wait.duration_s > TOLD_WAIT_S:
                name = wait.limit.name
                what = f"the cloud has refused {name}" if wait.is_told else f"the limit of {name} is used up"
                _log.warning("waiting %.0f s: %s", wait.duration_s, what)
            self._clock.sleep(wait.duration_s)
            waited_s += wait.duration_s

    def check(self, limit: Limit, *, account: str = "") -> None:
        """Raise CloudLimitError when a use of ``limit`` would have to wait. Nothing is counted."""
        with self._counters() as (counters, now_s):
            counter = counters.get(_key(limit, account), _Counter())
            wait = self._wait(_Counter(_live(counter, limit, now_s), counter.held_until_s), limit, now_s)
        if wait.duration_s > 0:
            raise self._used_up(wait)

    def hold(self, limit: Limit, duration_s: float, *, account: str = "") -> float:
        """Let nobody use ``limit`` for ``duration_s`` seconds, :data:`LONGEST_HOLD_S` at most: the cloud has said that
        it is used up. Gives the seconds."""
        duration_s = min(duration_s, LONGEST_HOLD_S)
        with self._counters() as (counters, now_s):
            counter = counters.setdefault(_key(limit, account), _Counter())
            counter.held_until_s = max(counter.held_until_s, now_s + duration_s)
        return duration_s

    def forget(self, limit: Limit, *, account: str = "") -> None:
        """Count from zero again, as the cloud does with failed logins after one that worked."""
        with self._counters() as (counters, _now_s):
            counters.pop(_key(limit, account), None)

    def used(self, limit: Limit, *, account: str = "") -> int:
        """Uses that count against ``limit`` now."""
        with self._counters() as (counters, now_s):
            counter = counters.get(_key(limit, account), _Counter())
            return sum(_live(counter, limit, now_s).values())

    def _used_up(self, wait: _Wait) -> CloudLimitError:
        limit, seconds = wait.limit, math.ceil(wait.duration_s)
        if wait.is_told:
            message = f"The cloud has refused {limit.name} a while ago: nobody here asks for another {seconds} s."
        else:
            message = f"The limit of {self.allowed(limit)} {limit.name} in {limit.window_s:g} s is used up."
        hint = f"run it again in {seconds} s; the cloud would refuse it, and for longer"
        return CloudLimitError(message, limit=limit.name, wait_s=wait.duration_s, hint=hint)

    def _try(self, limits: Sequence[Limit], account: str) -> _Wait | None:
        """Count the uses if all limits allow it; else the longest wait."""
        with self._counters() as (counters, now_s):
            waits = []
            for limit in limits:
                counter = counters.setdefault(_key(limit, account), _Counter())
                counter.slots = _live(counter, limit, now_s)
                waits.append(self._wait(counter, limit, now_s))
            longest = max(waits, key=lambda w: w.duration_s)
            if longest.duration_s > 0:
                return longest
            for limit in limits:
                slots = counters[_key(limit, account)].slots
                slot = int(now_s // limit.slot_s)
                slots[slot] = slots.get(slot, 0) + 1
            return None

    def _wait(self, counter: _Counter, limit: Limit, now_s: float) -> _Wait:
        held_s, counted_s = counter.held_until_s - now_s, self._counted_s(counter, limit, now_s)
        return _Wait(limit, max(held_s, counted_s), is_told=held_s > counted_s)

    def _counted_s(self, counter: _Counter, limit: Limit, now_s: float) -> float:
        """Seconds until the count alone allows another use."""
        over = sum(counter.slots.values()) + 1 - self.allowed(limit)
        if over <= 0:
            return 0.0
        for slot in sorted(counter.slots):
            over -= counter.slots[slot]
            if over <= 0:
                return max(_leaves_s(slot, limit) - now_s, 0.001)
        return limit.window_s

    @contextmanager
    def _counters(self) -> Iterator[tuple[dict[str, _Counter], float]]:
        """All counters and the time that they are in; what is changed is kept."""
        with self._store.edit() as text:
            monotonic_s = self._clock.monotonic_s()
            wall_s = self._clock.utc_now().timestamp()
            counters, offset_s = _parse(text[0], self._boot, monotonic_s, wall_s)
            now_s = monotonic_s + offset_s
            for counter in counters.values():
                counter.held_until_s = min(counter.held_until_s, now_s + LONGEST_HOLD_S)
            yield counters, now_s
            text[0] = json.dumps(
                {
                    "version": 1,
                    "boot": self._boot,
                    "offset_s": offset_s,
                    "seen_s": now_s,
                    "seen_wall_s": wall_s,
                    "counters": {
                        key: [c.held_until_s, *(list(item) for item in c.slots.items())]
                        for key, c in counters.items()
                        if c.slots or c.held_until_s > now_s
                    },
                }
            )


def _key(limit: Limit, account: str) -> str:
    return f"{limit.name}\n{account}" if limit.per_account else limit.name


def _live(counter: _Counter, limit: Limit, now_s: float) -> dict[int, int]:
    """The slots that still count."""
    return {slot: n for slot, n in counter.slots.items() if _leaves_s(slot, limit) > now_s}


def _leaves_s(slot: int, limit: Limit) -> float:
    """When the last possible use in this slot is a whole window ago."""
    return (slot + 1) * limit.slot_s + limit.window_s


def _parse(text: str, boot: str, monotonic_s: float, wall_s: float) -> tuple[dict[str, _Counter], float]:
    """Counters, and what to add to the monotonic clock to get their time."""
    if not text:
        return {}, 0.0
    try:
        data = json.loads(text)
        if data["version"] != 1:
            raise ValueError
        counters = {
            str(key): _Counter({int(s): int(n) for s, n in slots}, float(held))
            for key, (held, *slots) in data["counters"].items()
        }
        offset_s, seen_s, seen_wall_s = float(data["offset_s"]), float(data["seen_s"]), float(data["seen_wall_s"])
        same_boot = bool(boot) and data["boot"] == boot
        if not all(map(math.isfinite, (offset_s, seen_s, seen_wall_s))):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        _log.warning("the counts of cloud requests are damaged; counting starts again")
        return {}, 0.0
    if not same_boot or monotonic_s + offset_s < seen_s:
        # Another boot: all there is, is the time of day, which may have been set; it never runs backwards here.
        offset_s = seen_s + max(0.0, wall_s - seen_wall_s) - monotonic_s
    return counters, offset_s


def default_limit_place(records: str | None = None) -> Path | str:
    """Where requests are counted: ``PARTICLE_DEV_LIMITS`` (a file, or the URL of a PostgreSQL database), else the
    database of the records when ``records`` (None: ``PARTICLE_DEV_RECORDS``) is such a URL, else a file in the user's
    state folder."""
    import platformdirs  # noqa: PLC0415  only who talks to the cloud pays for it

    named, records = os.environ.get("PARTICLE_DEV_LIMITS"), records or os.environ.get("PARTICLE_DEV_RECORDS", "")
    if named:
        return named if "://" in named else Path(named)
    if "://" in records:
        return records
    return platformdirs.user_state_path("particle-dev") / "cloud-limits.json"
