"""Boards that come, go and change their mode.

:class:`BoardTracker` compares snapshots of the bus and knows neither clock nor bus; :class:`Watch` feeds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from particle_dev.device.discovery import list_devices
from particle_dev.device.model import Device
from particle_dev.transport.base import Host, WakeUp

SETTLE_S = 0.5
"""How long a board may be away before that is an event of its own. Boards with an RTL872x leave for a moment in each
boot, to come back with their serial port. Source: device-os v6.2.0 hal/src/rtl872x/usb_hal.cpp."""


class Change(StrEnum):
    """What happened to a board."""

    APPEARED = "appeared"
    """Not seen before by this watch."""
    CHANGED_MODE = "changed mode"
    """It enumerated again, in another mode."""
    RETURNED = "returned"
    """It enumerated again in the same mode: a reset, a plug, or the second enumeration of a boot."""
    LEFT = "left"
    ACCESSIBLE = "accessible"
    """It was there, and can be opened now."""


@dataclass(frozen=True, slots=True)
class BoardEvent:
    """One event. ``identity`` is the same for all events of a board: its Device ID, or ``port 1-2`` for one whose
    Device ID was not known when it enumerated.

    ``device`` is its present enumeration, the last one for LEFT; ``previous`` the one before for CHANGED_MODE and
    RETURNED.
    """

    change: Change
    identity: str
    device: Device
    previous: Device | None = None

    def __str__(self) -> str:
        if self.change is Change.CHANGED_MODE and self.previous:
            return f"{self.device}: {self.previous.mode} -> {self.device.mode} mode"
        return f"{self.device}: {self.change}"


@dataclass(frozen=True, slots=True)
class _Known:
    """What the tracker remembers of a board. ``reported`` is the enumeration that events told of last."""

    reported: Device | None
    present: Device | None
    since_s: float
    has_left: bool = False


class BoardTracker:
    """Turns snapshots into events; one board keeps one identity through modes, resets and ports.

    A board is away for ``settle_s`` before it counts as left, unless another one took its port. A board that cannot be
    opened gets as long before it is reported: rights come a moment after the device.
    """

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self._settle_s = settle_s
        self._boards: dict[str, _Known] = {}

    @property
    def unsettled(self) -> bool:
        """Whether an event may be due without any change on the bus."""
        return any(
            not known.has_left if known.present is None else not _told_of(known.reported, known.present)
            for known in self._boards.values()
        )

    @property
    def present(self) -> Mapping[str, Device]:
        """The boards of the last snapshot, by identity."""
        return {identity: known.present for identity, known in self._boards.items() if known.present is not None}

    def update(self, devices: Iterable[Device], now_s: float) -> tuple[BoardEvent, ...]:
        """Events between the last snapshot and this one; boards that left come first."""
        present = self._identify(devices)
        ports = {device.usb.port_path for device in present.values()}
        left = [e for identity in tuple(self._boards) if (e := self._absent(identity, present, ports, now_s))]
        came = [e for identity, device in present.items() if (e := self._present(identity, device, now_s))]
        return (*left, *came)

    def _identify(self, devices: Iterable[Device]) -> dict[str, Device]:
        found: dict[str, Device] = {}
        for device in devices:
            port = f"port {device.usb.port_path}"
            before = self._boards.get(port)
            if before and before.present and _same_enumeration(before.present, device):
                # Its Device ID could not be read at first, or a twin had it.
                identity = port
            else:
                # Two boards with one Device ID are a defect, and still two boards.
                identity = device.device_id if device.device_id and device.device_id not in found else port
            found[identity] = device
        return found

    def _absent(self, identity: str, present: dict[str, Device], ports: set[str], now_s: float) -> BoardEvent | None:
        known = self._boards[identity]
        if identity in present:
            return None
        if known.present is not None:
            known = self._boards[identity] = _Known(known.reported, None, now_s, known.has_left)
        if known.has_left:
            return None
        if known.reported is None:
            # It came and went before anybody was told of it.
            del self._boards[identity]
            return None
        if now_s - known.since_s < self._settle_s and known.reported.usb.port_path not in ports:
            return None
        self._boards[identity] = replace(known, has_left=True)
        return BoardEvent(Change.LEFT, identity, known.reported)

    def _present(self, identity: str, device: Device, now_s: float) -> BoardEvent | None:
        known = self._boards.get(identity) or _Known(None, device, now_s)
        is_new_here = known.present is None or not _same_enumeration(known.present, device)
        since_s = now_s if is_new_here else known.since_s
        reported = known.reported
        if device.usb.access_problem and now_s - since_s < self._settle_s and not _told_of(reported, device):
            self._boards[identity] = _Known(reported, device, since_s, known.has_left)
            return None
        self._boards[identity] = _Known(device, device, since_s)
        if reported is None:
            return BoardEvent(Change.APPEARED, identity, device)
        if known.has_left or not _same_enumeration(reported, device):
            change = Change.RETURNED if reported.mode is device.mode else Change.CHANGED_MODE
            return BoardEvent(change, identity, device, reported)
        if reported.usb.access_problem and not device.usb.access_problem:
            return BoardEvent(Change.ACCESSIBLE, identity, device)
        return None


def _same_enumeration(one: Device, other: Device) -> bool:
    return (one.usb.bus, one.usb.address, one.usb.port_path, one.mode) == (
        other.usb.bus,
        other.usb.address,
        other.usb.port_path,
        other.mode,
    )


def _told_of(reported: Device | None, device: Device) -> bool:
    return reported is not None and _same_enumeration(reported, device)


class Watch:
    """The boards of one host as events. ``wake_up`` says when to look (transport.hotplug.open_wake_up)."""

    def __init__(self, host: Host, wake_up: WakeUp, settle_s: float = SETTLE_S) -> None:
        self._host = host
        self._wake_up = wake_up
        self._settle_s = settle_s
        self._tracker = BoardTracker(settle_s)

    @property
    def present(self) -> Mapping[str, Device]:
        """The boards that the last look found, by identity."""
        return self._tracker.present

    def poll(self) -> Sequence[BoardEvent]:
        """Look now: events since the last look; the first one tells of every board that is there. Raises TransportError
        when the bus cannot be read at all."""
        return self._tracker.update(list_devices(self._host), self._host.clock.monotonic_s())

    def wait(self, timeout_s: float) -> Sequence[BoardEvent]:
        """Events as soon as there are any, none after ``timeout_s``."""
        deadline_s = self._host.clock.monotonic_s() + timeout_s
        while True:
            events = self.poll()
            left_s = deadline_s - self._host.clock.monotonic_s()
            if events or left_s <= 0:
                return events
            self._wake_up.wait(min(left_s, self._settle_s) if self._tracker.unsettled else left_s)
