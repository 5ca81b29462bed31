"""The board under test, as control requests reach it through resets; a board that changes is noticed at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from particle_dev.catalog.platforms import UsbMode
from particle_dev.connectivity.diagnosis import LogMessage
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.outcome import StageFailure
from particle_dev.device.console import LogCapture, LogReader, open_serial_port
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import device_at, wait_for_mode, wait_until_settled
from particle_dev.device.model import Device
from particle_dev.errors import (
    DeviceAmbiguousError,
    DeviceModeError,
    DeviceNotFoundError,
    LinkDisconnectedError,
    ParticleDevError,
    ProtocolError,
    RequestRefusedError,
    TransportError,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages_logging import LogHandler, LogLevel
from particle_dev.transport.base import Host

GONE_S = 5.0
"""A board that leaves the bus for longer, unasked, was unplugged (a proposal)."""
LOG_HANDLER = LogHandler(
    "particle-dev", level=LogLevel.INFO, filters={"ncp.at": LogLevel.TRACE, "ncp.client": LogLevel.TRACE}
)
MAX_LOG_LINES = 2000
CHECK_PAUSES_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.05, 0.1, 0.1, 0.25)
"""Most answers are there at once, and a test asks hundreds of times: 50 ms for each would count as network time."""
ResultT = TypeVar("ResultT")


class Board:
    """One board at one port, with its session and its log. Use as a context manager.

    Raises StageFailure when the board was swapped, reset, unplugged or went into DFU mode without being told to.
    """

    def __init__(self, host: Host, device: Device, permissions: Permissions) -> None:
        self.host = host
        self.clock = host.clock
        self.device = device
        self.device_id = device.device_id
        self.permissions = permissions
        self._session: ControlSession | None = None
        self._gone_since_s: float | None = None
        self._uptime_s: int | None = None
        self._capture: LogCapture | None = None
        self._reader: LogReader | None = None
        self.log: deque[LogMessage] = deque(maxlen=MAX_LOG_LINES)
        self.has_log = False
        self._log_handler_added = False
        self._started_s = self.clock.monotonic_s()

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the board back."""
        self._close_log()
        self._close_session()

    # ---- requests ------------------------------------------------------------------------------------------------

    def ask(self, question: Callable[[ControlSession], ResultT]) -> ResultT | None:
        """The board's answer; None when it did not answer this time and is still there. Raises RequestRefusedError."""
        try:
            return question(self.session())
        except RequestRefusedError:
            raise
        except (TransportError, ProtocolError) as error:
            self._close_session()
            self._look(error)
            return None

    def session(self) -> ControlSession:
        """The open session. Raises TransportError, DeviceModeError."""
        if self._session is None:
            self._session = ControlSession(self.host, self.device, self.permissions, check_pauses_s=CHECK_PAUSES_S)
            self._gone_since_s = None
        return self._session

    def diagnostics(self) -> dict[str, int]:
        """Counters of the present boot, empty when they are not told. A boot that began anew is a failure."""
        try:
            found = self.ask(lambda session: session.diagnostics()) or {}
        except RequestRefusedError:
            return {}
        uptime_s = found.get("sys:uptime")
        if uptime_s is not None:
            if self._uptime_s is not None and uptime_s < self._uptime_s:
                raise StageFailure(FailureCode.BRD_RESET, f"uptime fell to {uptime_s} s")
            self._uptime_s = uptime_s
        return found

    def expect_new_boot(self) -> None:
        """A reset was noticed and is dealt with: what comes next is a new boot."""
        self._uptime_s = None

    def _look(self, error: ParticleDevError) -> None:
        """Why a request was not answered. Returns when it may be asked again."""
        seen = device_at(self.host, self.device.usb.port_path)
        now_s = self.clock.monotonic_s()
        if seen is None:
            self._gone_since_s = now_s if self._gone_since_s is None else self._gone_since_s
            if now_s - self._gone_since_s >= GONE_S:
                raise StageFailure(FailureCode.BRD_GONE, f"no board at {self.device.usb.port_path}: {error.message}")
            return
        if seen.device_id != self.device_id and not seen.usb.access_problem:
            raise StageFailure(
                FailureCode.BRD_SWAP,
                f"{seen.device_id or seen.usb.serial_number} at port {seen.usb.port_path} instead of {self.device_id}",
            )
        if seen.mode is not UsbMode.NORMAL:
            raise StageFailure(FailureCode.BRD_DFU, f"it went into {seen.mode} mode")
        if seen.usb.address != self.device.usb.address:
            self.device = seen
            raise StageFailure(FailureCode.BRD_RESET, "it enumerated anew")

    def _close_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    # ---- resets --------------------------------------------------------------------------------------------------

    def restart(self, timeout_s: float) -> None:
        """Reset it, or let it leave DFU mode, and wait until it answers. **The application boots and may connect.**
        Needs ``may_connect``. Raises StageFailure, PermissionMissingError."""
        self._close_log()
        before = self.device
        if before.mode is UsbMode.DFU:
            self._close_session()
            with DfuSession(self.host, before, self.permissions) as dfu:
                dfu.leave()
        else:
            self.session().reset()
            self._close_session()
        self.follow_reset(timeout_s, before)

    def follow_reset(self, timeout_s: float, before: Device | None = None) -> None:
        """Wait for the board to come back from a reset that was wanted. Raises StageFailure."""
        self._close_log()
        self._close_session()
        self._uptime_s = None
        try:
            seen = wait_for_mode(self.host, before or self.device, UsbMode.NORMAL, timeout_s)
            self.device = wait_until_settled(self.host, seen, timeout_s)
        except DeviceModeError as error:
            raise StageFailure(FailureCode.BRD_BOOT, error.message) from error

    # ---- log -----------------------------------------------------------------------------------------------------

    def open_log(self) -> None:
        """Read what the board logs to USB serial, and ask it to log. ``has_log`` tells whether it does."""
        try:
            capture = LogCapture(open_serial_port(self.host, self.device), self.clock)
        except (DeviceNotFoundError, DeviceAmbiguousError, TransportError):
            return
        self._capture, self._reader = capture, capture.reader()
        try:
            self.session().add_log_handler(LOG_HANDLER)
        except (RequestRefusedError, TransportError, ProtocolError):
            # Its application does not enable that, or logs by itself.
            return
        self.has_log = self._log_handler_added = True

    def read_log(self) -> None:
        """Take in the lines that have come."""
        if self._capture is None or self._reader is None:
            return
        try:
            self._capture.poll(0)
            while line := self._reader.next_line(0):
                if line.log is not None:
                    self.has_log = True
                    at_s = line.monotonic_s - self._started_s
                    self.log.append(LogMessage(at_s, line.log.category or "", line.log.level, line.log.message))
        except LinkDisconnectedError:
            self._close_log()

    def stop_log(self) -> None:
        """Take the log handler back. Raises RequestRefusedError."""
        if self._log_handler_added:
            self._log_handler_added = False
            self.ask(lambda session: session.remove_log_handler(LOG_HANDLER.id))

    def _close_log(self) -> None:
        if self._capture is not None:
            self._capture.close()
        self._capture = self._reader = None
        # Handlers go with a reset.
        self._log_handler_added = False
