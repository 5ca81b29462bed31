"""What is known about the metering of one device, over all stations and months: a state made of events.

    unknown → known → member → radio_interlocked → connected_once → metered → removed → not_billable

What membership and a first connection cost, the plan decides. The first connection, once seen, is never forgotten and
never moves to a later time: the grace of enterprise plans counts from there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import filelock

from particle_dev.cloud.facts import Baseline
from particle_dev.cloud.grace import Grace, grace
from particle_dev.cloud.plans import CountsFrom, Plan
from particle_dev.errors import GuardStateError


class Stage(StrEnum):
    """Where a device stands."""

    UNKNOWN = "unknown"
    KNOWN = "known"
    """Its Device ID is known."""
    MEMBER = "member"
    """In a product."""
    RADIO_INTERLOCKED = "radio_interlocked"
    """A member that something keeps off the air."""
    CONNECTED_ONCE = "connected_once"
    """It was online, which costs nothing under its plan, or nothing yet."""
    METERED = "metered"
    REMOVED = "removed"
    """Out of the product, while its SIM is not released: it goes on to count."""
    NOT_BILLABLE = "not_billable"
    """Out of the product, its SIM released, both read back."""


class DeviceEventType(StrEnum):
    """What can happen to a device, as far as billing is concerned."""

    IDENTIFIED = "identified"
    JOINED = "joined"
    """``product``."""
    INTERLOCKED = "interlocked"
    """``statement``: by what."""
    INTERLOCK_LOST = "interlock_lost"
    CONNECTED = "connected"
    """``statement``: the evidence."""
    BASELINE = "baseline"
    """``last_handshake_at`` and ``last_heard`` at incoming inspection."""
    REMOVED = "removed"
    SIM_RELEASED = "sim_released"


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """One event at ``at`` (UTC); ``details`` are text."""

    device_id: str
    type: DeviceEventType
    at: datetime
    details: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What the events of one device amount to.

    ``first_connected_at`` is the earliest time for which there is evidence (``first_connected_by``) of a connection.
    ``has_sim`` False: there is none to release.
    """

    device_id: str
    is_known: bool = False
    product: str | None = None
    interlocked_by: str | None = None
    first_connected_at: datetime | None = None
    first_connected_by: str | None = None
    baseline: Baseline | None = None
    removed_at: datetime | None = None
    sim_released_at: datetime | None = None
    has_sim: bool = True

    def stage(self, plan: Plan) -> Stage:
        """Where it stands under a plan."""
        if self.removed_at is not None:
            return Stage.NOT_BILLABLE if self.sim_released_at or not self.has_sim else Stage.REMOVED
        if self.product is not None and (plan.counts_from is CountsFrom.ADDED or self.first_connected_at):
            return Stage.METERED
        if self.first_connected_at is not None:
            return Stage.CONNECTED_ONCE
        if self.product is None:
            return Stage.KNOWN if self.is_known else Stage.UNKNOWN
        return Stage.RADIO_INTERLOCKED if self.interlocked_by else Stage.MEMBER

    def grace(self, plan: Plan, first_day: int = 1) -> Grace | None:
        """The calendar of its grace, None before it ever connected."""
        return grace(plan, self.first_connected_at, first_day) if self.first_connected_at else None

    def after(self, event: DeviceEvent) -> DeviceState:
        """The state after an event. ValueError: the event is another device's."""
        if event.device_id != self.device_id:
            raise ValueError(f"an event of {event.device_id} says nothing about {self.device_id}")
        details = event.details
        known = replace(self, is_known=True)
        match event.type:
            case DeviceEventType.JOINED:
                sim = details.get("has_sim", "true") != "false"
                return replace(known, product=details["product"], removed_at=None, sim_released_at=None, has_sim=sim)
            case DeviceEventType.INTERLOCKED:
                return replace(known, interlocked_by=details["statement"])
            case DeviceEventType.INTERLOCK_LOST:
                return replace(known, interlocked_by=None)
            case DeviceEventType.CONNECTED:
                if self.first_connected_at is not None and self.first_connected_at <= event.at:
                    return replace(known, interlocked_by=None)
                by = details["statement"]
                return replace(known, first_connected_at=event.at, first_connected_by=by, interlocked_by=None)
            case DeviceEventType.BASELINE:
                # The first one counts: a later one might hide a connection in between.
                new = Baseline(event.at, details["last_handshake_at"], details["last_heard"])
                return replace(known, baseline=self.baseline or new)
            case DeviceEventType.REMOVED:
                return replace(known, product=None, removed_at=event.at)
            case DeviceEventType.SIM_RELEASED:
                return replace(known, sim_released_at=event.at)
            case _:
                return known


def fold_device(device_id: str, events: Iterable[DeviceEvent]) -> DeviceState:
    """The state that events of one device lead to."""
    state = DeviceState(device_id)
    for event in events:
        state = state.after(event)
    return state


class DeviceStates:
    """The states of a site's devices, kept in an append-only file of JSON lines that all stations of the site share.

    Raises GuardStateError when the file cannot be read or written, or holds what no version wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = filelock.FileLock(path.with_suffix(path.suffix + ".lock"), timeout=10)

    def state(self, device_id: str) -> DeviceState:
        """What is known of a device; an unknown one is unknown."""
        return fold_device(device_id, (e for e in self.events() if e.device_id == device_id))

    def states(self) -> dict[str, DeviceState]:
        """All devices, by Device ID."""
        states: dict[str, DeviceState] = {}
        for event in self.events():
            state = states.get(event.device_id, DeviceState(event.device_id))
            states[event.device_id] = state.after(event)
        return states

    def add(self, event: DeviceEvent) -> None:
        """Append an event; it is on the medium when this returns."""
        line = json.dumps(asdict(event) | {"at": event.at.isoformat()}, sort_keys=True) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, self.path.open("ab") as file:
                _end_torn_line(self.path, file)
                file.write(line.encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
        except (OSError, filelock.Timeout) as error:
            raise GuardStateError(
                f"cannot write {self.path}: {error}",
                path=str(self.path),
                hint="make room or give access; until then nothing may connect a device",
            ) from error

    def events(self) -> tuple[DeviceEvent, ...]:
        """All events, in the order in which they were written."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise GuardStateError(
                f"cannot read {self.path}: {error}", path=str(self.path), hint="give access"
            ) from error
        # The last line is empty, or was cut short when the power went: nobody was told that it was kept.
        events = []
        for number, line in enumerate(lines[:-1], 1):
            try:
                events.append(_event(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if line.startswith(_TORN):
                    continue
                raise GuardStateError(
                    f"{self.path}, line {number}: no event of a device ({error!r})",
                    path=str(self.path),
                    hint="keep the file; take the damaged line out of a copy, and use that",
                ) from error
        return tuple(events)


_TORN = b"#torn "


def _end_torn_line(path: Path, file: BinaryIO) -> None:
    """A line without its end is what a crash left of a write: make it a line of its own that says so."""
    content = path.read_bytes()
    torn = content.rpartition(b"\n")[2]
    if torn:
        file.truncate(len(content) - len(torn))
        file.write(_TORN + torn + b"\n")


def _event(data: Mapping[str, Any]) -> DeviceEvent:
    at = datetime.fromisoformat(data["at"])
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    details = {str(key): None if value is None else str(value) for key, value in data["details"].items()}
    return DeviceEvent(str(data["device_id"]), DeviceEventType(data["type"]), at, details)
