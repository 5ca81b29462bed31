"""The self-test of a board: a session over a serial line or over USB control requests."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from particle_dev.catalog.requests import ControlRequest, result_name
from particle_dev.device.control import ControlSession
from particle_dev.errors import (
    LinkTimeoutError,
    ProtocolError,
    RequestRefusedError,
    SelfTestProtocolError,
    TransportError,
)
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol import selftest
from particle_dev.protocol.selftest import (
    Frame,
    FrameKind,
    FrameReader,
    Parameter,
    SelfTestDescription,
    SelfTestReport,
    Status,
)
from particle_dev.transport.base import Clock, SerialLink

REPLY_TIMEOUT_S = 1.0
_ATTEMPTS = 4
_PINGS = 6
_POLL_PAUSES_S = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
_HINT_SILENT = (
    "is the self-test firmware on the board, the baud rate right, TX and RX not swapped? Reset it and try again"
)
_NOT_SUPPORTED = -120


class SelfTestLink(Protocol):
    """Carries a request to the service and its answer back."""

    where: str

    def request(self, payload: bytes) -> tuple[int, bytes]:
        """Result and reply. Raises TransportError, SelfTestProtocolError."""
        ...


class SerialSelfTestLink:
    """The service at the other end of a serial line, on which there may be log output, noise and losses.

    Until a ping was answered nothing else is sent: its bytes are no commands of a device in listening mode. A request
    that is not answered is sent again; each may be, since a started test is told from an older one by its number.
    """

    def __init__(self, link: SerialLink, clock: Clock, *, reply_timeout_s: float | None = None) -> None:
        self.where = link.where
        self._link = link
        self._clock = clock
        self._reply_timeout_s = REPLY_TIMEOUT_S if reply_timeout_s is None else reply_timeout_s
        self._reader = FrameReader()
        self._sequence = 0
        self._is_known = False

    @property
    def dropped_bytes(self) -> int:
        """Bytes that were no part of an answer."""
        return self._reader.dropped_bytes

    def request(self, payload: bytes) -> tuple[int, bytes]:
        """As in the protocol. Raises LinkTimeoutError when the board stays silent."""
        if not self._is_known:
            self._ping()
        for _ in range(_ATTEMPTS):
            self._sequence = (self._sequence + 1) % 256
            frame = self._exchange(Frame(FrameKind.REQUEST, self._sequence, payload), FrameKind.REPLY)
            if frame:
                return selftest.decode_reply(frame)
        raise self._silent(f"no answer to {_ATTEMPTS} requests")

    def _ping(self) -> None:
        for number in range(_PINGS):
            frame = self._exchange(selftest.ping(number), FrameKind.PONG)
            if frame:
                version = selftest.decode_pong(frame)
                if version != selftest.API_VERSION:
                    raise SelfTestProtocolError(
                        f"{self.where}: the self-test service has version {version}, not {selftest.API_VERSION}",
                        hint="flash firmware with the self-test service of this release",
                    )
                self._is_known = True
                return
        raise self._silent("no answer to a ping")

    def _silent(self, what: str) -> LinkTimeoutError:
        heard = f"; {self.dropped_bytes} bytes of something else came" if self.dropped_bytes else ""
        return LinkTimeoutError(f"{self.where}: {what}{heard}", where=self.where, hint=_HINT_SILENT)

    def _exchange(self, sent: Frame, wanted: FrameKind) -> Frame | None:
        self._link.write(sent.encode())
        deadline_s = self._clock.monotonic_s() + self._reply_timeout_s
        while (left_s := deadline_s - self._clock.monotonic_s()) > 0:
            for frame in self._reader.feed(self._link.read(left_s)):
                if (frame.kind, frame.sequence) == (wanted, sent.sequence):
                    return frame
        return None


class ControlSelfTestLink:
    """The service as the application of a device on USB: app custom requests. With SYSTEM_THREAD(ENABLED) it answers in
    listening mode, too."""

    def __init__(self, session: ControlSession) -> None:
        self.where = session.device.device_id
        self._session = session

    def request(self, payload: bytes) -> tuple[int, bytes]:
        """As in the protocol. Raises RequestRefusedError when no application answers."""
        (result,) = self._session.request_all([(ControlRequest.APP_CUSTOM, payload)])
        if result.result_code == _NOT_SUPPORTED:
            raise RequestRefusedError(
                f"{self.where}: the application has no self-test",
                request=ControlRequest.APP_CUSTOM.name,
                result_code=result.result_code,
                hint="flash an application with the self-test service; safe mode has none",
            )
        return result.result_code, result.data


class SelfTestSession:
    """Typed requests over a link. Use as a context manager: leaving it early ends the test that runs.

    Every method raises TransportError and SelfTestProtocolError. A test that can bring the device online needs
    ``may_connect``; without it the board is told so, and refuses itself.
    """

    def __init__(self, link: SelfTestLink, clock: Clock, permissions: Permissions = NOTHING) -> None:
        self.where = link.where
        self.permissions = permissions
        self._link = link
        self._clock = clock
        self._run = 0
        self._is_running = False

    def __enter__(self) -> SelfTestSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._is_running and kind is not None:
            # What ended the session is the news, not that the board does not answer any more.
            with contextlib.suppress(TransportError, ProtocolError):
                self.abort()

    def describe(self) -> tuple[SelfTestDescription, ...]:
        """The tests that the board has."""
        return selftest.decode_description(self._ask(selftest.DESCRIBE_REQUEST, "its tests"))

    def start(self, test: str, parameters: Mapping[str, Parameter] | None = None, *, may_connect: bool = False) -> None:
        """Start a test; one that runs is cancelled. **With ``may_connect`` it may go online**, which needs the
        permission of that name. Raises RequestRefusedError when the board has no such test or cannot use a
        parameter."""
        if may_connect:
            self.permissions.require(Effect.CONNECT, f"self-test {test}")
        self._run += 1
        result, _ = self._link.request(selftest.start_request(test, self._run, parameters, may_connect=may_connect))
        if result != 0:
            reason = "it has no such test" if selftest.is_unknown_test(result) else result_name(result)
            raise RequestRefusedError(
                f"{self.where} does not start self-test {test}: {reason}",
                request="self-test",
                result_code=result,
                hint="`particle-dev selftest list` shows its tests",
            )
        self._is_running = True

    def status(self) -> Status:
        """How the latest test stands."""
        result, _ = self._link.request(selftest.STATUS_REQUEST)
        try:
            return Status(result)
        except ValueError as error:
            raise SelfTestProtocolError(
                f"{self.where}: status {result} ({result_name(result)})", hint="reset the board and try again"
            ) from error

    def report(self) -> SelfTestReport:
        """The report of the latest test, once it has ended."""
        return selftest.decode_report(self._ask(selftest.REPORT_REQUEST, "a report"))

    def abort(self) -> None:
        """End the test that runs; the board releases its outputs."""
        self._is_running = False
        self._ask(selftest.ABORT_REQUEST, "the end of a test")

    def run(
        self,
        test: str,
        parameters: Mapping[str, Parameter] | None = None,
        *,
        may_connect: bool = False,
        timeout_s: float = 60.0,
    ) -> SelfTestReport:
        """The report of one test, which is started and waited for. As :meth:`start`; raises LinkTimeoutError after
        ``timeout_s``, when the test has been ended, and SelfTestProtocolError when the board restarted meanwhile."""
        self.start(test, parameters, may_connect=may_connect)
        self._wait(test, timeout_s)
        self._is_running = False
        report = self.report()
        if (report.test, report.run) != (test, self._run):
            raise SelfTestProtocolError(
                f"{self.where} reports run {report.run} of {report.test!r} instead of run {self._run} of {test!r}",
                hint="another program talks to this board, or another board is plugged in",
            )
        return report

    def _wait(self, test: str, timeout_s: float) -> None:
        deadline_s = self._clock.monotonic_s() + timeout_s
        polls = 0
        while (status := self.status()) is Status.RUNNING:
            if self._clock.monotonic_s() >= deadline_s:
                self.abort()
                raise LinkTimeoutError(
                    f"{self.where}: self-test {test} has not ended after {timeout_s:g} s",
                    where=self.where,
                    hint="give it more time, or look at what it waits for",
                )
            self._clock.sleep(_POLL_PAUSES_S[min(polls, len(_POLL_PAUSES_S) - 1)])
            polls += 1
        if status in (Status.WAITING, Status.RESET_PENDING):
            self._is_running = False
            raise SelfTestProtocolError(
                f"{self.where} restarted during self-test {test}", hint="look at its supply, watchdog and reset line"
            )

    def _ask(self, request: bytes, what: str) -> bytes:
        result, data = self._link.request(request)
        if result != 0:
            raise SelfTestProtocolError(
                f"{self.where} does not give {what}: {result_name(result)} ({result})",
                hint="reset the board and try again",
            )
        return data
