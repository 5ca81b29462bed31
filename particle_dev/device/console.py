"""The serial port of one device: its listening-mode console and what it logs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from particle_dev.catalog.console import LISTENING_SPEED
from particle_dev.device.model import Device
from particle_dev.device.modes import serial_port_of, touch_serial_port
from particle_dev.errors import DeviceNotFoundError, LinkTimeoutError, NoWayToModeError
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol import console
from particle_dev.protocol.console import Dialogue, ResultT, Send
from particle_dev.protocol.console_replies import ConsoleIdentity, Describe
from particle_dev.protocol.log_lines import LogLine, parse_log_line
from particle_dev.protocol.messages_radio import WifiCredentials
from particle_dev.protocol.secret import Secret, redact
from particle_dev.transport.base import Clock, Host, SerialLink
from particle_dev.transport.clock import SystemClock

MAX_KEPT_LINES = 10_000
_MAX_LINE_BYTES = 16 * 1024
_SLICE_S = 0.1
_MAX_STALE_READS = 64
_CHATTER_FACTOR = 2
"""A board that listens answers within its time; one that goes on printing for so many of them does not listen."""


def open_serial_port(host: Host, device: Device) -> SerialLink:
    """The device's serial port. Raises DeviceNotFoundError when it has none, DeviceAmbiguousError when another board
    with its USB serial number has one, too, LinkAccessError."""
    if url := serial_port_of(host, device):
        return host.serial.open(url)
    raise DeviceNotFoundError(
        f"{device} has no serial port",
        selector=device.device_id,
        hint="the application may have switched USB serial off; use control requests",
    )


def touch_into_listening(host: Host, device: Device, device_os: str | None) -> None:
    """Listening mode by serial speed, which works before Device OS 6.0.0 without USB rights. Nothing confirms it.

    Raises NoWayToModeError, before anything is done, for a release that ignores it; DeviceNotFoundError.
    """
    if not LISTENING_SPEED.known_to(device_os):
        raise NoWayToModeError(
            f"Device OS {device_os} of {device} ignores {LISTENING_SPEED.baud} baud",
            expected="listening",
            actual=device.mode,
            hint="leave out --by, for a control request",
        )
    touch_serial_port(host, device, baud=LISTENING_SPEED.baud)


class ConsoleSession:
    """The console of a device in listening mode. Use as a context manager.

    Raises LinkTimeoutError when nothing answers (the device does not listen, or is protected), or something else goes
    on and on, as what an application prints; ConsoleProtocolError, LinkDisconnectedError. ``permissions`` is asked by
    what brings the device online; ``clock`` is the device's where that is a model.
    """

    def __init__(self, link: SerialLink, permissions: Permissions = NOTHING, clock: Clock | None = None) -> None:
        self._link = link
        self._clock = clock or SystemClock()
        self.permissions = permissions

    def __enter__(self) -> ConsoleSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back; the device stays in listening mode."""
        self._link.close()

    def _run(self, dialogue: Dialogue[ResultT], answer_timeout_s: float = console.ANSWER_TIMEOUT_S) -> ResultT:
        # What an earlier program left unread must not pass for an answer.
        for _ in range(_MAX_STALE_READS):
            if not self._link.read(0):
                break
        reply, end_s = None, self._clock.monotonic_s()
        try:
            while True:
                action = next(dialogue) if reply is None else dialogue.send(reply)
                if isinstance(action, Send):
                    end_s = self._clock.monotonic_s() + _CHATTER_FACTOR * answer_timeout_s
                elif self._clock.monotonic_s() >= end_s:
                    # The dialogue counts silence only.
                    raise LinkTimeoutError(
                        f"{self._link.where}: the board goes on printing and gives no answer",
                        where=self._link.where,
                        hint="it is not in listening mode, so that is its application: `particle-dev mode listening`",
                    )
                reply = self._carry_out(action)
        except StopIteration as done:
            result: ResultT = done.value
            return result

    def _carry_out(self, action: console.Send | console.Receive) -> bytes:
        if isinstance(action, Send):
            self._link.write(action.data)
            return b""
        return self._link.read(action.timeout_s)

    def identify(self) -> ConsoleIdentity:
        """Device ID and, on newer firmware, device secret, serial number, IMEI and ICCID."""
        return self._run(console.identify())

    def version(self) -> str:
        """Device OS version."""
        return self._run(console.version())

    def mac_address(self) -> str:
        """MAC address as six pairs of lower-case hex digits."""
        return self._run(console.mac_address())

    def describe(self) -> Describe:
        """Platform and modules."""
        return self._run(console.describe())

    def diagnostics(self) -> dict[str, int]:
        """Numeric diagnostics of the present boot."""
        return self._run(console.diagnostics())

    def is_claimed(self) -> bool:
        """Whether the device believes to have an owner."""
        return self._run(console.is_claimed())

    def set_claim_code(self, code: Secret[str]) -> None:
        """Store a claim code of 63 characters."""
        self._run(console.set_claim_code(code))

    def join_wifi(self, network: WifiCredentials) -> bool:
        """Store Wi-Fi credentials; True means saved, **and the device goes online**. Needs ``may_connect``. To store
        them and stay offline use the control request (ControlSession.wifi.store)."""
        self.permissions.require_connect("Wi-Fi set-up over the console")
        return self._run(console.join_wifi(network), console.WIFI_TIMEOUT_S)

    def leave_listening(self) -> None:
        """Leave listening mode. **The device connects if it wanted to before.** Needs ``may_connect``."""
        self.permissions.require_connect("leaving listening mode")
        self._run(console.leave_listening())


@dataclass(frozen=True, slots=True)
class TimedLine:
    """A line as it arrived: time of day (UTC) and seconds of the host's clock when its end came, text without secrets,
    and its parts when it is a log message."""

    at: datetime
    monotonic_s: float
    text: str
    log: LogLine | None


class LogReader:
    """One reader of a capture, with lines of its own. Made by :meth:`LogCapture.reader`."""

    def __init__(self, capture: LogCapture) -> None:
        self._capture = capture
        self._lines: deque[TimedLine] = deque(maxlen=MAX_KEPT_LINES)
        self.dropped = 0
        """Lines lost because this reader did not fetch them."""

    def next_line(self, timeout_s: float) -> TimedLine | None:
        """The next line, None when none came in time. Raises LinkDisconnectedError when the device left and all lines
        are read."""
        deadline_s = self._capture.clock.monotonic_s() + timeout_s
        while not self._lines:
            left_s = deadline_s - self._capture.clock.monotonic_s()
            if left_s <= 0:
                return None
            self._capture.poll(min(left_s, _SLICE_S))
        return self._lines.popleft()

    def put(self, line: TimedLine) -> None:
        """Called by the capture."""
        self.dropped += len(self._lines) == MAX_KEPT_LINES
        self._lines.append(line)

    def close(self) -> None:
        """Take part no longer."""
        self._capture.remove(self)


class LogCapture:
    """Lines of one serial port for any number of readers, in any threads; each gets every line that ends after it was
    made. There is no thread here: whichever reader waits does the reading, for all.

    ``secrets`` are hidden wherever they occur, besides what the console prints itself.
    """

    def __init__(self, link: SerialLink, clock: Clock, secrets: Iterable[Secret[str]] = ()) -> None:
        self.clock = clock
        self._link = link
        self._secrets: Sequence[Secret[str]] = tuple(secrets)
        self._readers: tuple[LogReader, ...] = ()
        self._begun = b""
        self._lock = threading.Lock()

    def reader(self) -> LogReader:
        """A new reader."""
        with self._lock:
            made = LogReader(self)
            self._readers = (*self._readers, made)
        return made

    def remove(self, reader: LogReader) -> None:
        """Forget a reader."""
        with self._lock:
            self._readers = tuple(r for r in self._readers if r is not reader)

    def poll(self, timeout_s: float) -> None:
        """Read once, and hand finished lines to every reader. When another thread reads, wait for it instead."""
        if not self._lock.acquire(timeout=timeout_s):
            return
        try:
            self._take(self._link.read(timeout_s))
        finally:
            self._lock.release()

    def close(self) -> None:
        """Hand out an unfinished line, and give the port back."""
        with self._lock:
            if self._begun:
                self._take(b"\n")
            self._link.close()

    def _take(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > _MAX_LINE_BYTES:
            # Binary output without line ends must not fill the memory.
            lines.append(self._begun)
            self._begun = b""
        for line in lines:
            text = redact(line.rstrip(b"\r").decode("utf-8", "replace"), self._secrets)
            timed = TimedLine(self.clock.utc_now(), self.clock.monotonic_s(), text, parse_log_line(text))
            for reader in self._readers:
                reader.put(timed)
