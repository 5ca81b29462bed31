"""How well each slot of a bench does, over many runs: yield, second goes, speed, wear, and whether it is locked.

:class:`SlotHealth` is a value and its rules are functions of it; :class:`HealthFile` keeps those of a bench in the
site's folder, ``slots/BENCH.json``, so that a slot that was locked yesterday is locked today.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import filelock

from particle_dev.errors import BenchError
from particle_dev.station.events import JsonObject
from particle_dev.station.policy import KEPT_UNITS, SlotRules
from particle_dev.whole_file import write_whole

FIRST_SPEEDS = 10
"""Units whose speed says what a slot can do; drift is against their median."""
LATEST_SPEEDS = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one unit ended in a slot. ``attempts``: goes it took; ``bytes_per_s``: its flash, None: nothing was
    written."""

    at: str
    unit: str | None
    platform: str | None
    verdict: str
    attempts: int
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """Why a slot is out of use: ``code`` is failures, yield, drift, golden_due, golden_failed or engineer."""

    code: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class SlotHealth:
    """What is known of one slot. ``outcomes``: of the latest units, the oldest first, since the slot was unlocked last;
    ``first_speeds``: bytes per second by platform, of its first units. ``counted``: run and number of the event that
    was counted last, so that none counts twice."""

    insertions: int = 0
    since_golden: int = 0
    outcomes: tuple[Outcome, ...] = ()
    first_speeds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    lock: Lock | None = None
    counted: tuple[str, int] = ("", 0)

    def share_passed(self, units: int = KEPT_UNITS) -> float | None:
        """Of the latest ``units``; None: there was none."""
        latest = self.outcomes[-units:]
        return sum(o.verdict == "pass" for o in latest) / len(latest) if latest else None

    @property
    def share_repeated(self) -> float | None:
        """Units that took more than one go; None: there was none."""
        return sum(o.attempts > 1 for o in self.outcomes) / len(self.outcomes) if self.outcomes else None

    def drift(self) -> float | None:
        """How much slower the slot has become, as a share (0.1: 10 % slower; below 0: faster), of the platform that
        came last; None: too few units to tell."""
        written = [o for o in self.outcomes if o.bytes_per_s is not None and o.platform is not None]
        if not written:
            return None
        platform = written[-1].platform
        first = self.first_speeds.get(platform or "", ())
        latest = [o.bytes_per_s for o in written if o.platform == platform and o.bytes_per_s is not None]
        if len(first) < FIRST_SPEEDS or len(latest) < LATEST_SPEEDS:
            return None
        return 1 - statistics.median(latest[-LATEST_SPEEDS:]) / statistics.median(first)

    def data(self) -> JsonObject:
        """For events and JSON."""
        latest = self.outcomes[-1] if self.outcomes else None
        return {
            "insertions": self.insertions,
            "units": len(self.outcomes),
            "share_passed": self.share_passed(),
            "share_repeated": self.share_repeated,
            "drift": self.drift(),
            "bytes_per_s": latest.bytes_per_s if latest else None,
            "since_golden": self.since_golden,
            "lock": asdict(self.lock) if self.lock else None,
        }


def counted(
    health: SlotHealth, outcome: Outcome, where: tuple[str, int], rules: SlotRules | None, *, golden: bool
) -> SlotHealth:
    """The health after one more unit, with the lock that the rules ask for. A golden unit is no product: it counts
    towards no yield, unlocks the slot when it passes, and locks it when it does not."""
    if where[0] == health.counted[0] and where[1] <= health.counted[1]:
        return health
    health = replace(health, insertions=health.insertions + 1, counted=where)
    if golden:
        if outcome.verdict == "pass":
            return unlocked(replace(health, since_golden=0))
        if outcome.verdict == "interrupted":
            return health
        reason = f"golden unit {outcome.unit} did not pass: the slot, its cable or its port is at fault"
        return replace(health, lock=Lock("golden_failed", reason, outcome.at))
    if outcome.verdict == "interrupted":
        return health
    speeds = dict(health.first_speeds)
    if outcome.bytes_per_s and outcome.platform and len(speeds.get(outcome.platform, ())) < FIRST_SPEEDS:
        speeds[outcome.platform] = (*speeds.get(outcome.platform, ()), outcome.bytes_per_s)
    health = replace(
        health,
        outcomes=(*health.outcomes, outcome)[-KEPT_UNITS:],
        first_speeds=speeds,
        since_golden=health.since_golden + 1,
    )
    lock = _lock_by(rules, health, outcome.at) if rules is not None and health.lock is None else health.lock
    return replace(health, lock=lock)


def unlocked(health: SlotHealth) -> SlotHealth:
    """Back in use: what led to the lock does not lock it again."""
    return replace(health, lock=None, outcomes=(), since_golden=0)


def _lock_by(rules: SlotRules, health: SlotHealth, at: str) -> Lock | None:
    failures = rules.lock_after_failures
    latest = health.outcomes[-failures:] if failures else ()
    if failures and len(latest) == failures and all(o.verdict != "pass" for o in latest):
        count = f"{failures} units in a row" if failures > 1 else "a unit"
        return Lock("failures", f"{count} did not pass", at)
    share = health.share_passed(rules.yield_units)
    is_enough = len(health.outcomes) >= rules.yield_units
    if rules.lock_below_yield and is_enough and share is not None and share < rules.lock_below_yield:
        return Lock("yield", f"{share:.0%} of the last {rules.yield_units} units passed", at)
    drift = health.drift()
    if rules.lock_at_drift and drift is not None and drift >= rules.lock_at_drift:
        return Lock("drift", f"it flashes {drift:.0%} slower than it did", at)
    if rules.golden_every_units and health.since_golden >= rules.golden_every_units:
        return Lock("golden_due", f"{health.since_golden} units since a golden unit passed in it", at)
    return None


class HealthFile:
    """The slots of one bench. Several processes may use it: each change is read, made and written under a lock.

    Raises BenchError from every method when the file cannot be read or written.
    """

    def __init__(self, site: Path, bench: str) -> None:
        name = re.sub(r"[^\w.-]", "_", bench)
        self.path = site / "slots" / f"{name}.json"
        self._lock = filelock.FileLock(self.path.with_suffix(".lock"), timeout=10)

    def read(self) -> dict[str, SlotHealth]:
        """All slots that were ever used, by name."""
        try:
            content = json.loads(self.path.read_bytes())
            return {name: _from_data(data) for name, data in content["slots"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._error(f"cannot read {self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._error(f"{self.path} is damaged: {error!r}") from error

    def change(self, slot: str, made: Callable[[SlotHealth], SlotHealth]) -> SlotHealth:
        """Replace what is known of a slot by what ``made`` makes of it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                slots = self.read()
                slots[slot] = made(slots.get(slot, SlotHealth()))
                self._write(slots)
        except filelock.Timeout as error:
            raise self._error(f"another process holds {self._lock.lock_file}") from error
        except OSError as error:
            raise self._error(f"cannot write {self.path}: {error.strerror}") from error
        return slots[slot]

    def _write(self, slots: Mapping[str, SlotHealth]) -> None:
        text = json.dumps({"slots": {name: asdict(health) for name, health in slots.items()}}, sort_keys=True)
        write_whole(self.path, f"{text}\n".encode())

    def _error(self, message: str) -> BenchError:
        return BenchError(message, hint="check the folder of --site; without the file counts start anew")


def _from_data(data: JsonObject) -> SlotHealth:
    return SlotHealth(
        insertions=int(data["insertions"]),
        since_golden=int(data["since_golden"]),
        outcomes=tuple(Outcome(**outcome) for outcome in data["outcomes"]),
        first_speeds={name: tuple(speeds) for name, speeds in data["first_speeds"].items()},
        lock=Lock(**data["lock"]) if data["lock"] else None,
        counted=(str(data["counted"][0]), int(data["counted"][1])),
    )
