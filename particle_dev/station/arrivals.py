"""When a slot begins: a board is plugged in, an operator says so, or a scanner reads a label.

One thread looks at the bus for all slots. It keeps real time, whatever the boards' clocks do.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.discovery import list_devices
from particle_dev.device.model import Device
from particle_dev.errors import TransportError
from particle_dev.station.bench import Slot
from particle_dev.transport.base import Host, WakeUp

GONE_S = 1.0
"""A board that is away for so long was taken out; shorter, it has reset itself."""
BLOCKED_S = 3.0
"""A board that may not be opened for so long gets no rights any more; udev grants them a moment after it came."""
LOOK_EVERY_S = 0.2
_DEVICE_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])", re.IGNORECASE)


class StartBy(StrEnum):
    """What may begin the work on a slot."""

    INSERTION = "insertion"
    """A board that is plugged in; operator and scanner, too."""
    OPERATOR = "operator"
    """An operator's word; scanner, too."""
    SCAN = "scan"
    """A label with the Device ID of the board that is in the slot."""


@dataclass(frozen=True, slots=True)
class Start:
    """A slot is to begin; ``by`` None: not yet, but what is known of it has changed. ``expected``: the Device ID that
    was scanned. ``device``: what is in it, where USB shows that."""

    by: StartBy | None
    device: Device | None = None
    expected: str | None = None


class PollingByTheWall:
    """A wake-up in real time."""

    name = "polling"

    def wait(self, timeout_s: float) -> None:
        """Sleep a little."""
        time.sleep(min(timeout_s, LOOK_EVERY_S))

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(slots=True)
class _Port:
    """What is known of one slot. ``begun_with``: what stood in it when its last unit began; ``left_as``: when that was
    finished; ``blocked_since_s``: since when its board may not be opened."""

    slot: Slot
    device: Device | None = None
    gone_since_s: float | None = None
    blocked_since_s: float | None = None
    begun_with: Device | None = None
    left_as: Device | None = None
    passed: bool = False
    is_idle: bool = False
    wanted: bool = False
    is_news: bool = False
    expected: str | None = None


class Arrivals:
    """Starts for slots. ``stations`` threads wait in :meth:`wait`; any other thread may call :meth:`start`,
    :meth:`scan` and :meth:`end`."""

    def __init__(
        self,
        host: Host,
        slots: Iterable[Slot],
        start_by: StartBy = StartBy.INSERTION,
        wake_up: WakeUp | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._start_by = start_by
        self._wake_up = wake_up or PollingByTheWall()
        self._now_s = now_s
        self._ports = {slot.name: _Port(slot) for slot in slots}
        self._named_by: dict[str, str] = {}
        self._scanned: set[str] = set()
        self._changed = threading.Condition()
        self._looking = threading.Lock()
        self._ending = False
        self._closing = False
        self._thread = threading.Thread(target=self._look_on, name="arrivals", daemon=True)
        self.problem: TransportError | None = None
        """Why the bus cannot be read, while it cannot."""

    # ---- for the engine ------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = self._ending = True
            self._changed.notify_all()
        self._thread.join()
        self._wake_up.close()

    def seed(self, passed: Collection[str]) -> None:
        """Device IDs of units that passed before the run was cut short. They are done: where they still wait, in
        whatever mode, nothing begins before they are taken out."""
        with self._changed:
            for port in self._ports.values():
                if port.device and port.device.device_id in passed:
                    port.left_as, port.passed = port.device, port.device.mode is UsbMode.DFU

    def wait(self, slot: str) -> Start | None:
        """Until work on the slot is to begin; None: no more work is to begin anywhere."""
        port = self._ports[slot]
        with self._changed:
            port.is_idle = True
            try:
                while True:
                    if self._ending:
                        return None
                    start = self._due(port)
                    if start is None and port.is_news:
                        start = Start(None)
                    if start is not None:
                        port.is_news = False
                        if start.by is None:
                            return start
                        port.wanted, port.expected, port.begun_with = False, None, start.device
                        return start
                    self._changed.wait()
            finally:
                port.is_idle = False

    def finished(self, slot: str, unit: str | None = None, *, passed: bool) -> None:
        """The slot's unit is done, and stands as it is now. Another board than the one that began, or ``unit``, was put
        in at its last steps, and is still to begin."""
        self._look()
        with self._changed:
            port = self._ports[slot]
            began = port.begun_with.device_id if port.begun_with else None
            is_another = port.device is not None and began is not None and port.device.device_id not in (began, unit)
            port.left_as, port.passed = None if is_another else port.device, passed

    def left_in(self, slot: str) -> Device | None:
        """The board that still is in a slot as it was left, and with which nothing begins before it is taken out."""
        with self._changed:
            port = self._ports[slot]
            return port.device if _is_as_left(port) else None

    @property
    def start_by(self) -> StartBy:
        """What may begin the work."""
        return self._start_by

    @property
    def ending(self) -> bool:
        """Whether no more work is to begin."""
        return self._ending

    # ---- for operators -------------------------------------------------------------------------------------------

    def start(self, slot: str) -> bool:
        """Begin in a slot, whatever is in it: a label that was scanned for its next board counts no more. False: there
        is none of that name, or it is at work."""
        with self._changed:
            port = self._ports.get(slot)
            if port is None or not port.is_idle:
                return False
            port.wanted, port.expected, port.left_as = True, None, None
            self._changed.notify_all()
            return True

    def tell_news(self, slot: str) -> None:
        """What is known of a slot has changed: it was locked or unlocked. That its board was taken out is news, too."""
        with self._changed:
            self._ports[slot].is_news = True
            self._changed.notify_all()

    def idle(self) -> tuple[str, ...]:
        """Names of slots that wait for a start."""
        with self._changed:
            return tuple(name for name, port in self._ports.items() if port.is_idle and not port.wanted)

    def scan(self, text: str, by: str = "") -> str | None:
        """Take what a scanner read: the name of a slot, then by the same person (``by``: whatever tells them apart) a
        label with a Device ID for it; or only the latter, which begins in the slot where that board is or will be.
        Another label than that of a unit that was finished there, and one for an empty slot, is of the board that comes
        next, however late. Returns the slot that was named or begins, or the Device ID that is waited for; "": the
        named slot is at work, so nothing is kept; None: neither. Labels may hold secrets: nothing else of the text is
        kept."""
        found = _DEVICE_ID.search(text)
        with self._changed:
            if found is None:
                said = text.strip()
                # A slot may be named "slot1": the whole text comes first.
                names = (said, said.removeprefix("slot").strip(" :"))
                named = next((name for name in names if name in self._ports), None)
                self._named_by.pop(by, None)
                if named is not None:
                    self._named_by[by] = named
                return named
            device_id, slot = found[0].lower(), self._named_by.pop(by, None)
            if slot is None:
                self._scanned.add(device_id)
            else:
                port = self._ports[slot]
                if not port.is_idle:
                    return ""
                port.wanted, port.expected = True, device_id
                if _waits_for_board(port):
                    slot = None
                else:
                    port.left_as = None
            self._changed.notify_all()
            return slot or device_id

    def end(self) -> None:
        """No more work begins."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    # ---- inside --------------------------------------------------------------------------------------------------

    def _due(self, port: _Port) -> Start | None:
        device = port.device
        if device is not None and device.device_id in self._scanned and not _is_as_left(port):
            self._scanned.discard(device.device_id)
            return Start(StartBy.SCAN, device, device.device_id)
        if port.wanted and not _waits_for_board(port):
            return Start(StartBy.SCAN if port.expected else StartBy.OPERATOR, device, port.expected)
        if self._start_by is not StartBy.INSERTION or device is None:
            return None
        if port.blocked_since_s is not None and self._now_s() - port.blocked_since_s < BLOCKED_S:
            return None
        return None if _is_as_left(port) else Start(StartBy.INSERTION, device)

    def _look_on(self) -> None:
        while not self._closing:
            self._wake_up.wait(LOOK_EVERY_S)
            self._look()

    def _look(self) -> None:
        # One after the other: an old look must not undo a newer one.
        with self._looking:
            self._look_alone()

    def _look_alone(self) -> None:
        try:
            devices = {device.usb.port_path: device for device in list_devices(self._host)}
            self.problem = None
        except TransportError as error:
            self.problem = error
            return
        now_s = self._now_s()
        with self._changed:
            for port in self._ports.values():
                port.device = devices.get(port.slot.port_path)
                if port.device is None or not port.device.usb.access_problem:
                    port.blocked_since_s = None
                elif port.blocked_since_s is None:
                    port.blocked_since_s = now_s
                if port.device is not None:
                    port.gone_since_s = None
                elif port.gone_since_s is None:
                    port.gone_since_s = now_s
                elif now_s - port.gone_since_s >= GONE_S and port.left_as is not None:
                    port.left_as, port.is_news = None, True
            self._changed.notify_all()


def _waits_for_board(port: _Port) -> bool:
    """Whether the board of a scanned label is yet to come: the slot is empty, or holds the unit which was finished here
    and is another one. Where USB shows a board only once work has begun, an empty slot tells nothing."""
    left, device = port.left_as, port.device
    if port.expected is None:
        return False
    if left is not None and left.device_id not in ("", port.expected):
        return device is None or device.device_id == left.device_id
    return device is None and port.slot.power is None and port.slot.probe_id is None


def _is_as_left(port: _Port) -> bool:
    """Whether what is in the slot is what was finished there. A unit that has passed and enumerates again has been
    reset, and may go online: that is no longer as it was left. One that did not pass must be taken out first."""
    device, left = port.device, port.left_as
    if left is None or device is None:
        return False
    if device.device_id != left.device_id:
        return False
    return not port.passed or (device.usb.address, device.mode) == (left.usb.address, left.mode)
