"""What every slot is doing now, made of a run's events as they come: for views of a run that goes on, and of one that
is replayed. :mod:`particle_dev.station.fold` makes the record of the same events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from particle_dev.station.events import EventType, JsonObject, StationEvent, parse_timestamp
from particle_dev.station.unit_counts import UnitCounts

SPEED_OVER_S = 5.0
"""Bytes per second are of the last seconds."""


class SlotMode(StrEnum):
    """What a slot is doing, or how its last unit ended while nothing new has begun."""

    WAITING = "waiting"
    WORKING = "working"
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    EMPTY = "empty"
    LOCKED = "locked"


@dataclass(slots=True)
class SlotState:
    """One slot. ``activity``: what is being written or read, with ``done_bytes`` of ``total_bytes``; ``message``: what
    a person has to do or know, ``ask`` its id where that is an instruction; ``error``: name of the error that the unit
    ended by, ``error_code`` its code where it has one; ``waits_for``: board, removal or unlock; ``lock_code``: why it
    is locked; ``must_unplug``: only a person can take the unit's power; ``is_taken_out``: the unit was seen to go
    after its end; ``passed`` and ``not_passed``: units that were last in this slot, by their last verdicts; ``health``:
    as in its last slot_health event.
    """

    name: str
    mode: SlotMode = SlotMode.WAITING
    unit: str | None = None
    platform: str | None = None
    step: str | None = None
    since: str = ""
    activity: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    attempt: int = 1
    attempts: int = 1
    message: str = ""
    ask: str = ""
    error: str | None = None
    error_code: str = ""
    waits_for: str = ""
    lock_code: str = ""
    must_unplug: bool = False
    is_taken_out: bool = False
    holds_unit: bool = False
    """Whether the unit that was done last is still in a slot that waits, and no other board."""
    passed: int = 0
    not_passed: int = 0
    health: JsonObject | None = None
    awaits_go: bool = False
    """Whether the unit failed and is to have another go, which has not begun."""
    _speeds: deque[tuple[datetime, int]] = field(default_factory=deque)

    @property
    def share_done(self) -> float | None:
        """Of the present activity, from 0 to 1; None: nobody can tell."""
        return self.done_bytes / self.total_bytes if self.total_bytes else None

    @property
    def bytes_per_s(self) -> float | None:
        """Of the present activity in the last seconds; None: too early to tell."""
        if len(self._speeds) < 2:
            return None
        (first_at, first), (last_at, last) = self._speeds[0], self._speeds[-1]
        duration_s = (last_at - first_at).total_seconds()
        return (last - first) / duration_s if duration_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """Until the present activity is done, at this speed; None: nobody can tell."""
        speed = self.bytes_per_s
        return (self.total_bytes - self.done_bytes) / speed if speed else None

    def data(self) -> JsonObject:
        """For JSON."""
        return {
            "slot": self.name,
            "state": str(self.mode),
            "unit": self.unit,
            "platform": self.platform,
            "step": self.step,
            "since": self.since or None,
            "attempt": self.attempt,
            "attempts": self.attempts,
            "message": self.message or None,
            "passed": self.passed,
            "not_passed": self.not_passed,
            "health": self.health,
        }

    def take(self, event: StationEvent) -> None:
        """Learn of one event of this slot."""
        data = event.data
        self.unit = event.unit or self.unit
        match event.type:
            case EventType.UNIT_STARTED:
                if self.mode is not SlotMode.WORKING:
                    self.attempt = self.attempts = 1
                self.unit, self.platform, self.message = event.unit, data.get("platform"), ""
                self.error, self.error_code, self.waits_for = None, "", ""
                self.must_unplug = self.is_taken_out = False
                self._now(event, SlotMode.WORKING)
            case EventType.UNIT_RETRIED:
                self.attempt, self.attempts = data["attempt"], data["attempts"]
                self.message = str(data["error"]["message"])
                self._now(event, SlotMode.WORKING)
            case EventType.STEP_STARTED:
                self.step = event.step
                self._now(event, SlotMode.WORKING)
            case EventType.STEP_PROGRESS:
                self._progress(event)
            case EventType.STEP_FINISHED if data["error"]:
                self._failed(data["error"])
            case EventType.UNIT_FINISHED:
                self._finished(event)
            case EventType.SLOT_EMPTY:
                self.message, self.lock_code = str(data["reason"]), str(data.get("lock") or "")
                self._now(event, SlotMode.LOCKED if self.lock_code else SlotMode.EMPTY)
            case EventType.SLOT_WAITING:
                self.is_taken_out |= self.waits_for == "removal" and data["for"] == "board"
                self.waits_for, self.lock_code = str(data["for"]), str(data.get("lock") or "")
                removal = data["for"] == "removal" or bool(data.get("removal"))
                self.holds_unit = removal and self._may_be(str(data.get("board") or ""))
                if data["for"] == "unlock":
                    self.message = str(data["reason"])
                    self._now(event, SlotMode.LOCKED)
                elif self.mode is SlotMode.EMPTY and self.ask and self.waits_for == "removal":
                    pass  # What is asked of the board in it still holds.
                elif self.mode in (SlotMode.LOCKED, SlotMode.WORKING, SlotMode.EMPTY):
                    self._now(event, SlotMode.WAITING)
            case EventType.SLOT_HEALTH:
                self.health = data
            case EventType.OPERATOR_MESSAGE:
                self.message, self.ask = str(data["message"]), str(data.get("ask") or "")

    def _may_be(self, board: str) -> bool:
        """Whether a board in this slot can be its last unit. One of those two may not have told its Device ID."""
        if self.unit is None:
            return self.error is not None
        return board in ("", self.unit)

    def end_work(self) -> None:
        """What was being done was cut short, or a unit did not come back for another go."""
        self.mode, self.step = SlotMode.FAIL if self.awaits_go else SlotMode.INTERRUPTED, None
        self.awaits_go = False

    def _failed(self, error: JsonObject) -> None:
        self.message, self.error = str(error["message"]), str(error["type"])
        self.error_code = str(error.get("fields", {}).get("code", ""))

    def _now(self, event: StationEvent, mode: SlotMode) -> None:
        self.mode, self.since, self.ask = mode, event.at, ""
        self.awaits_go = event.type == EventType.UNIT_RETRIED
        self.activity, self.done_bytes, self.total_bytes = "", 0, 0
        self._speeds.clear()
        if mode is not SlotMode.WORKING or event.type != EventType.STEP_STARTED:
            self.step = None

    def _progress(self, event: StationEvent) -> None:
        data, at = event.data, parse_timestamp(event.at)
        if data["activity"] != self.activity or data["done_bytes"] < self.done_bytes:
            self._speeds.clear()
        self.activity, self.done_bytes, self.total_bytes = data["activity"], data["done_bytes"], data["total_bytes"]
        self._speeds.append((at, self.done_bytes))
        while len(self._speeds) > 2 and (at - self._speeds[0][0]).total_seconds() > SPEED_OVER_S:
            self._speeds.popleft()

    def _finished(self, event: StationEvent) -> None:
        verdict, error = event.data["verdict"], event.data.get("error")
        self._now(event, SlotMode(verdict))
        if error:
            self._failed(error)
        left = event.data.get("parked") or event.data.get("left") or {}
        self.must_unplug = left.get("power") == "on_operator_must_unplug"


_COUNT_NOTHING = (EventType.STEP_PROGRESS, EventType.OPERATOR_MESSAGE, EventType.SLOT_HEALTH)


class RunStates:
    """All slots of a run, in the order of its bench, and the run itself. Events of another run begin anew."""

    def __init__(self, events: Iterable[StationEvent] = ()) -> None:
        self.slots: dict[str, SlotState] = {}
        self._counts = UnitCounts()
        self.passed = self.not_passed = 0
        """Units by their last verdicts; those in work are in neither."""
        self.run_id = self.recipe = self.bench = self.mode = self.at = self.began_at = ""
        self.operator = self.strategy = self.release = ""
        self.verdict: str | None = None
        """None while the run goes on."""
        self.message = ""
        """What a person has to do or know that is of no slot."""
        self.ask = ""
        """The id of ``message`` where that is an instruction."""
        self.start_by = ""
        """Insertion, operator or scan, of a continuous run."""
        for event in events:
            self.take(event)

    def take(self, event: StationEvent) -> SlotState | None:
        """Learn of the next event; the slot that it is of."""
        self.at = event.at
        if event.type in (EventType.RUN_STARTED, EventType.RUN_RESUMED):
            self._begin(event)
        elif event.type == EventType.RUN_FINISHED:
            self.verdict = event.data["verdict"]
            for slot in self.slots.values():
                if slot.awaits_go:
                    slot.end_work()
            self._count(event)
        elif event.slot is None:
            if event.type == EventType.OPERATOR_MESSAGE:
                self.message, self.ask = str(event.data["message"]), str(event.data.get("ask") or "")
        else:
            slot = self.slots.setdefault(event.slot, SlotState(event.slot))
            slot.take(event)
            self._count(event)
            return slot
        return None

    def _count(self, event: StationEvent) -> None:
        if event.type not in _COUNT_NOTHING:
            self._counts.take(event)
            self._show_counts()

    def _show_counts(self) -> None:
        for name, slot in self.slots.items():
            slot.passed, slot.not_passed = self._counts.of_slot(name)
        self.passed, self.not_passed = self._counts.passed, self._counts.not_passed

    def _begin(self, event: StationEvent) -> None:
        data = event.data
        if event.run_id != self.run_id:
            self.slots, self.began_at, self._counts = {}, event.at, UnitCounts()
        self.run_id, self.verdict, self.message, self.ask = event.run_id, None, "", ""
        self.start_by = str(data.get("start_by") or "")
        self.recipe, self.bench = str(data["recipe"]["name"]), str(data["bench"]["name"])
        self.mode = str(data.get("mode", "round"))
        self.operator, self.strategy = str(data.get("operator") or ""), str(data["recipe"].get("strategy") or "")
        release = data["recipe"].get("release")
        self.release = f"{release['name']} {release['version']}" if release else ""
        for name in data["slots"]:
            self.slots.setdefault(name, SlotState(name))
        self.end_work()
        self._count(event)

    def end_work(self) -> None:
        """The station is gone: where its events tell of work, that was cut short."""
        for slot in self.slots.values():
            if slot.mode is SlotMode.WORKING:
                slot.end_work()
        self._counts.end_work()
        self._show_counts()

    def data(self) -> JsonObject:
        """For JSON."""
        return {
            "run_id": self.run_id,
            "recipe": self.recipe,
            "bench": self.bench,
            "mode": self.mode,
            "began_at": self.began_at,
            "last_event_at": self.at,
            "verdict": self.verdict,
            "passed": self.passed,
            "not_passed": self.not_passed,
            "slots": [slot.data() for slot in self.slots.values()],
        }
