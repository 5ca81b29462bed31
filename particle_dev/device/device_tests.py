"""Runs on-target tests of a Device OS test application over USB control requests."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from particle_dev.catalog.requests import ControlRequest, result_name
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import (
    DeviceNotFoundError,
    LinkTimeoutError,
    ProtocolError,
    RequestRefusedError,
    SelfTestProtocolError,
    TransportError,
    WrongDeviceError,
)
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol import device_tests
from particle_dev.protocol.device_tests import RunnerStatus, SystemMode
from particle_dev.transport.base import Host

TEST_TIMEOUT_S = 600.0
"""A first registration of a modem takes up to 10 minutes. Source: device-os-test-runner lib/device.js."""
OPEN_TIMEOUT_S = 30.0
_POLL_S = 0.25
_NOT_SUPPORTED, _NOT_FOUND = -120, -170


@dataclass(frozen=True, slots=True)
class DeviceTestResult:
    """How a test ended: PASSED, FAILED or SKIPPED. ``log`` is what it printed, asked for unless it passed."""

    test: str
    status: RunnerStatus
    log: str


class DeviceTestSession:
    """The runner of the application on the board at a port. A test can do whatever its application can, **connect
    included**: starting one needs ``may_connect``, unless ``stays_offline`` is the caller's word that this application
    never connects.

    Every method raises TransportError, RequestRefusedError (no such application or test), SelfTestProtocolError.
    """

    def __init__(
        self, host: Host, port_path: str, permissions: Permissions = NOTHING, *, stays_offline: bool = False
    ) -> None:
        self._host = host
        self._port_path = port_path
        self._permissions = permissions
        self._stays_offline = stays_offline
        self._device_id = wait_for_device(host, port_path, OPEN_TIMEOUT_S).device_id
        self._session: ControlSession | None = None

    def __enter__(self) -> DeviceTestSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the device back."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def names(self) -> tuple[str, ...]:
        """Tests of the application, sorted."""
        _, data = self._ask(device_tests.LIST_REQUEST, "its list of tests")
        return tuple(sorted(device_tests.decode_names(data)))

    def run(
        self,
        test: str,
        *,
        mode: SystemMode | None = None,
        threaded: bool | None = None,
        timeout_s: float = TEST_TIMEOUT_S,
    ) -> DeviceTestResult:
        """The result of one test; ``mode`` and ``threaded`` None: as the application has them. Raises
        PermissionMissingError before anything is sent; LinkTimeoutError when it has not ended in time."""
        if not self._stays_offline or mode in (SystemMode.AUTOMATIC, SystemMode.SAFE_MODE):
            self._permissions.require(Effect.CONNECT, f"device test {test}")
        if mode is not None or threaded is not None:
            self._ask(device_tests.init_request(mode, threaded=threaded), "its suite")
        self._ask(device_tests.start_request(test), f"test {test}")
        deadline_s = self._host.clock.monotonic_s() + timeout_s
        while (status := self._status()) is RunnerStatus.RUNNING:
            if self._host.clock.monotonic_s() >= deadline_s:
                raise LinkTimeoutError(
                    f"{self._device_id}: device test {test} has not ended after {timeout_s:g} s",
                    where=self._port_path,
                    hint="give it more time, or look at what it waits for",
                )
            self._host.clock.sleep(_POLL_S)
        if status not in (RunnerStatus.PASSED, RunnerStatus.FAILED, RunnerStatus.SKIPPED):
            raise SelfTestProtocolError(
                f"{self._device_id} says {status.name.lower()} after device test {test} was started: it restarted",
                hint="look at its supply and watchdog, and at the log of the test",
            )
        log = ""
        if status is not RunnerStatus.PASSED:
            _, data = self._ask(device_tests.LOG_REQUEST, "the log of the test")
            log = device_tests.decode_log(data)
        return DeviceTestResult(test, status, log)

    def _status(self) -> RunnerStatus:
        result, _ = self._ask(device_tests.STATUS_REQUEST, "the state of the test")
        return device_tests.decode_status(result)

    def _ask(self, payload: bytes, what: str) -> tuple[int, bytes]:
        session = self._session or self._open()
        try:
            (answer,) = session.request_all([(ControlRequest.APP_CUSTOM, payload)])
        except (ProtocolError, TransportError):
            self.close()
            raise
        if answer.result_code < 0:
            raise _refused(self._device_id, what, answer.result_code)
        if answer.result_code == RunnerStatus.RESET_PENDING:
            # It leaves the bus in order to start in another mode; the next request waits for it.
            self.close()
        return answer.result_code, answer.data

    def _open(self) -> ControlSession:
        """A session in which the application answers. Raises LinkTimeoutError when it does not in time."""
        deadline_s = self._host.clock.monotonic_s() + OPEN_TIMEOUT_S
        cause: Exception | None = None
        while self._host.clock.monotonic_s() < deadline_s:
            session: ControlSession | None = None
            try:
                device = wait_for_device(self._host, self._port_path, OPEN_TIMEOUT_S)
                if device.device_id != self._device_id:
                    raise WrongDeviceError(
                        f"port {self._port_path}: {self._device_id} left and {device.device_id} came",
                        expected=self._device_id,
                        actual=device.device_id,
                        hint="put the first board back",
                    )
                session = ControlSession(self._host, device, self._permissions)
                session.request_all([(ControlRequest.APP_CUSTOM, device_tests.PING_REQUEST)])
            except (ProtocolError, TransportError, DeviceNotFoundError) as error:
                cause = error
                if session is not None:
                    session.close()
                self._host.clock.sleep(_POLL_S)
            else:
                self._session = session
                return session
        raise LinkTimeoutError(
            f"{self._device_id}: its application has not answered for {OPEN_TIMEOUT_S:g} s",
            where=self._port_path,
            hint="reset the board; does its application block?",
        ) from cause


def _refused(device_id: str, what: str, result_code: int) -> RequestRefusedError:
    hint = "look at what the application prints"
    if result_code == _NOT_SUPPORTED:
        hint = "its application has no device tests: flash a Device OS test application"
    elif result_code == _NOT_FOUND:
        hint = "the application has no test of that name"
    return RequestRefusedError(
        f"{device_id} refuses {what}: {result_name(result_code)}",
        request=ControlRequest.APP_CUSTOM.name,
        result_code=result_code,
        hint=hint,
    )
