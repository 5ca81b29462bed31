"""Serial output of several boards, through resets and mode changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.console import LogCapture, LogReader, TimedLine, open_serial_port
from particle_dev.device.model import Device
from particle_dev.device.watch import BoardEvent, Watch
from particle_dev.errors import (
    DeviceAmbiguousError,
    DeviceNotFoundError,
    LinkDisconnectedError,
    ParticleDevError,
    TransportError,
)
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import Host

LOOK_INTERVAL_S = 0.25
READ_SLICE_S = 0.1
OPEN_GRACE_S = 2.0
"""A serial port comes a moment after its board, and the right to open it after that."""
_MAX_READS_OF_A_CLOSING_PORT = 64


@dataclass(frozen=True, slots=True)
class BoardLine:
    """A line that a board printed."""

    identity: str
    device: Device
    line: TimedLine


@dataclass(frozen=True, slots=True)
class PortOpened:
    """The board's output is read from now on."""

    identity: str
    device: Device


@dataclass(frozen=True, slots=True)
class PortRefused:
    """The board is there and its port cannot be opened, because of ``error``. It is tried again, and told only once."""

    identity: str
    device: Device
    error: ParticleDevError


MonitorEvent: TypeAlias = BoardLine | PortOpened | PortRefused | BoardEvent


@dataclass(slots=True)
class _OpenPort:
    device: Device
    capture: LogCapture
    reader: LogReader


class SerialMonitor:
    """Reads the boards of which ``wanted(identity, device)`` is true. Each comes back under its identity after a reset,
    in another mode (in DFU mode it has no serial port) or in another port.

    Opening a port tells the board that somebody reads and changes nothing else. One thread, no timers: call
    :meth:`step` again and again, then :meth:`close`.
    """

    def __init__(
        self,
        host: Host,
        watch: Watch,
        wanted: Callable[[str, Device], bool] = lambda _identity, _device: True,
        secrets: Iterable[Secret[str]] = (),
    ) -> None:
        self._host = host
        self._watch = watch
        self._wanted = wanted
        self._secrets = tuple(secrets)
        self._open: dict[str, _OpenPort] = {}
        self._waiting_since_s: dict[str, float] = {}
        self._refused: set[str] = set()
        self._next_look_s = host.clock.monotonic_s()

    def step(self) -> list[MonitorEvent]:
        """What happened within about :data:`READ_SLICE_S`. Raises TransportError when the bus cannot be read at all."""
        events: list[MonitorEvent] = []
        if self._host.clock.monotonic_s() >= self._next_look_s:
            self._look(events)
            self._next_look_s = self._host.clock.monotonic_s() + LOOK_INTERVAL_S
        slice_s = READ_SLICE_S / max(len(self._open), 1)
        for identity in tuple(self._open):
            self._read(identity, slice_s, events)
        if not self._open:
            self._host.clock.sleep(READ_SLICE_S)
        return events

    def close(self) -> list[MonitorEvent]:
        """Give all ports back; the lines that were not finished."""
        events: list[MonitorEvent] = []
        for identity in tuple(self._open):
            self._close_port(identity, events)
        return events

    def _look(self, events: list[MonitorEvent]) -> None:
        for event in self._watch.poll():
            if self._wanted(event.identity, event.device):
                # Whatever happened, the port of the former enumeration is dead, and what it still held comes first.
                self._close_port(event.identity, events)
                self._refused.discard(event.identity)
                events.append(event)
        now_s = self._host.clock.monotonic_s()
        for identity, device in self._watch.present.items():
            if device.mode is UsbMode.NORMAL and identity not in self._open and self._wanted(identity, device):
                self._try_to_open(identity, device, now_s, events)
            elif device.mode is not UsbMode.NORMAL:
                self._waiting_since_s.pop(identity, None)

    def _try_to_open(self, identity: str, device: Device, now_s: float, events: list[MonitorEvent]) -> None:
        since_s = self._waiting_since_s.setdefault(identity, now_s)
        try:
            link = open_serial_port(self._host, device)
        except (DeviceNotFoundError, DeviceAmbiguousError, TransportError) as e:
            if now_s - since_s >= OPEN_GRACE_S and identity not in self._refused:
                self._refused.add(identity)
                events.append(PortRefused(identity, device, e))
            return
        capture = LogCapture(link, self._host.clock, self._secrets)
        self._open[identity] = _OpenPort(device, capture, capture.reader())
        del self._waiting_since_s[identity]
        self._refused.discard(identity)
        events.append(PortOpened(identity, device))

    def _read(self, identity: str, timeout_s: float, events: list[MonitorEvent]) -> None:
        port = self._open[identity]
        try:
            port.capture.poll(timeout_s)
        except LinkDisconnectedError:
            self._close_port(identity, events)
            # Nothing is opened again before the bus has told whether the board is there.
            self._next_look_s = self._host.clock.monotonic_s()
            return
        self._hand_out(identity, port, events)

    def _close_port(self, identity: str, events: list[MonitorEvent]) -> None:
        port = self._open.pop(identity, None)
        if port is None:
            return
        try:
            for _ in range(_MAX_READS_OF_A_CLOSING_PORT):
                port.capture.poll(0)
        except LinkDisconnectedError:
            # What the system had received is read; there will be no more.
            pass
        port.capture.close()
        self._hand_out(identity, port, events)

    def _hand_out(self, identity: str, port: _OpenPort, events: list[MonitorEvent]) -> None:
        while line := port.reader.next_line(0):
            events.append(BoardLine(identity, port.device, line))
