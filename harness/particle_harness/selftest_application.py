"""The self-test service's cloud tests as a virtual board's application, over the board's own radio and cloud session.

A second implementation of what firmware/selftest answers to app custom requests, for the tests that need a session with
the simulated cloud: connect, disconnect, publish, subscribe, function. The other tests, and the C code itself, are for
``program:COMMAND`` (application_program). Source: firmware/selftest/include/pd_selftest.h, src/pd_test_cloud.c.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

FUNCTION = "selftest"
"""What the Particle port registers: firmware/port/particle/src."""
PASSED, FAILED, RUNNING, WAITING, NOT_ALLOWED, CANCELLED = 1, 2, 4, 5, 7, 8
NOT_FOUND, INVALID_ARGUMENT, BAD_DATA = -170, -270, -280
_STATUS_OF = {NOT_ALLOWED: 3, CANCELLED: FAILED}
"""The status has the numbers of Device OS test applications, which know neither."""
_RESULTS = {PASSED: "passed", FAILED: "failed", NOT_ALLOWED: "not_allowed", CANCELLED: "cancelled"}
_ONLINE_TESTS = ("connect", "publish", "subscribe", "function")
TESTS = ("disconnect", *_ONLINE_TESTS)
_TIMEOUTS_S = {"connect": 600.0, "disconnect": 600.0, "publish": 30.0, "subscribe": 30.0, "function": 30.0}
Values = list[dict[str, Any]]


class SelfTestApplication:
    """``set_cloud`` lets the system connect or ends that; ``publish`` gives whether the cloud has acknowledged."""

    def __init__(
        self,
        now_s: Callable[[], float],
        is_connected: Callable[[], bool],
        set_cloud: Callable[[bool], None],
        publish: Callable[[str, str], bool],
        subscribe: Callable[[str], None],
    ) -> None:
        self._now_s = now_s
        self._is_connected = is_connected
        self._set_cloud = set_cloud
        self._publish = publish
        self._subscribe = subscribe
        self._subscribed: str | None = None
        self.boot()

    def boot(self) -> None:
        """Everything that was in RAM is gone."""
        self._subscribed = None
        self._test, self._run, self._started_s = "", 0, 0.0
        self._parameters: dict[str, Any] = {}
        self._outcome, self._message = WAITING, ""
        self._values: Values = []

    # ---- from the cloud ------------------------------------------------------------------------------------------

    def call(self, argument: str) -> int:
        """The cloud function."""
        if self._outcome == RUNNING and self._test == "function":
            self._end(PASSED, values=[{"name": "argument", "text": argument[:39]}])
        return zlib.crc32(argument.encode()) & 0x7FFFFFFF

    def receive(self, name: str, data: str) -> bool:
        """An event of the cloud; whether there is a subscription for it."""
        if self._subscribed is None or not name.startswith(self._subscribed):
            return False
        if self._outcome == RUNNING and self._test == "subscribe":
            values = [{"name": "name", "text": name[:39]}, {"name": "data", "text": data[:39]}]
            acknowledged = self._publish(f"{name}/echo", data)
            if acknowledged:
                self._end(PASSED, values=values)
            else:
                self._end(FAILED, "the echo is not acknowledged")
        return True

    # ---- from the host -------------------------------------------------------------------------------------------

    def request(self, payload: bytes) -> tuple[int, bytes]:
        """Result and reply of an app custom request."""
        if not payload:
            return 0, b""
        try:
            request = json.loads(payload)
        except ValueError:
            return BAD_DATA, b""
        if not isinstance(request, dict):
            return BAD_DATA, b""
        self._go_on()
        match request.get("c"):
            case "d":
                tests = [{"name": name, "may_connect": name in _ONLINE_TESTS} for name in TESTS]
                return 0, _json({"version": 1, "tests": tests})
            case "s":
                return _STATUS_OF.get(self._outcome, self._outcome), b""
            case "R" if self._outcome not in (WAITING, RUNNING):
                return 0, self._report()
            case "a":
                if self._outcome == RUNNING:
                    self._cancel()
                return 0, b""
            case "t":
                return self._start(request), b""
        return INVALID_ARGUMENT, b""

    def _start(self, request: dict[str, Any]) -> int:
        if request.get("t") not in TESTS:
            return NOT_FOUND
        if self._outcome == RUNNING:
            self._cancel()
        self._test, self._run, self._started_s = request["t"], int(request.get("n", 0)), self._now_s()
        self._parameters = request.get("p") or {}
        self._outcome, self._message, self._values = RUNNING, "", []
        if self._test in _ONLINE_TESTS and request.get("may_connect") is not True:
            self._end(NOT_ALLOWED, "can go online, which starts billing")
            return 0
        match self._test:
            case "connect" | "disconnect":
                self._set_cloud(self._test == "connect")
            case "publish":
                self._start_publish()
            case _ if not self._is_connected():
                self._end(FAILED, "not connected")
            case "subscribe":
                self._subscribed = str(self._parameters.get("name", "selftest"))
                self._subscribe(self._subscribed)
        return 0

    def _start_publish(self) -> None:
        if not self._is_connected():
            self._end(FAILED, "not connected")
        elif self._publish(str(self._parameters.get("name", "selftest")), str(self._parameters.get("data", ""))):
            self._end(PASSED)
        else:
            self._end(FAILED, "the event is not acknowledged")

    def _go_on(self) -> None:
        if self._outcome != RUNNING:
            return
        if self._test in ("connect", "disconnect") and self._is_connected() == (self._test == "connect"):
            self._end(PASSED)
        elif self._now_s() - self._started_s >= float(self._parameters.get("timeout_s", _TIMEOUTS_S[self._test])):
            if self._test == "connect":
                self._set_cloud(False)
            messages = {"connect": "no connection", "disconnect": "still connected", "subscribe": "no event"}
            self._end(FAILED, messages.get(self._test, "no call"))

    def _cancel(self) -> None:
        if self._test in ("connect", "disconnect"):
            self._set_cloud(False)
        self._end(CANCELLED)

    def _end(self, outcome: int, message: str = "", values: Values | None = None) -> None:
        took_ms = int((self._now_s() - self._started_s) * 1000)
        self._outcome, self._message = outcome, message
        time = [{"name": "time", "value": took_ms, "unit": "ms"}] if outcome == PASSED else []
        self._values = [*(values or []), *time]

    def _report(self) -> bytes:
        return _json(
            {
                "test": self._test,
                "n": self._run,
                "result": _RESULTS[self._outcome],
                "message": self._message,
                "lost": 0,
                "values": self._values,
            }
        )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
