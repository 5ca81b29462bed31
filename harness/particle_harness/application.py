"""What the application of a board does besides connecting: requests of its own, and logging.

Virtual boards run no code. Every application behaves as Tinker on Gen 3 (no requests, no log), unless the bench says
what it can do: ``log`` writes log messages to USB serial, ``configurable_logging`` lets request 80 add log handlers,
``custom_requests`` answers request 10 with what it was sent, ``program:COMMAND`` with what a program says (see
application_program): real firmware, built for this machine. ``selftest`` is the self-test service's cloud tests and
its function, over the board's session with the simulated cloud (selftest_application).
Source: device-os v6.2.0 wiring/src/user.cpp ctrl_request_handler, wiring/src/spark_wiring_logging.cpp
JSONRequestHandler, LogManager::addFactoryHandler.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from particle_harness.application_program import ApplicationProgram
from particle_harness.selftest_application import FUNCTION, SelfTestApplication
from particle_harness.state import BoardState

LOG, CONFIGURABLE_LOGGING, CUSTOM_REQUESTS, SELFTEST = "log", "configurable_logging", "custom_requests", "selftest"
FEATURES = (LOG, CONFIGURABLE_LOGGING, CUSTOM_REQUESTS, SELFTEST)
PROGRAM_PREFIX = "program:"
UNKNOWN, NOT_SUPPORTED, BAD_DATA = -100, -120, -280
LOG_REPLY_SIZE_BYTES = 256
"""Allocated before the command is looked at; what a refused command leaves there goes to the host as it is."""
_LEVELS = {"all": 1, "trace": 1, "info": 30, "warn": 40, "error": 50, "panic": 60, "none": 70}
_LEVEL_INFO = 30
_CONNECTED = 2
_TEXT, _JSON = "StreamLogHandler", "JSONStreamLogHandler"
_STREAMS = ("Serial", "Serial1")


class Application:
    """``write_serial`` puts bytes into the USB serial port, which drops them when nobody has it open."""

    def __init__(self, features: Iterable[str], state: BoardState, now_s: Callable[[], float]) -> None:
        self._features = frozenset(features)
        self._state = state
        self._now_s = now_s
        self.write_serial: Callable[[bytes], None] = lambda _data: None
        programs = [f.removeprefix(PROGRAM_PREFIX) for f in self._features if f.startswith(PROGRAM_PREFIX)]
        self._program = ApplicationProgram(programs[0]) if programs else None
        self.set_cloud: Callable[[bool], None] = lambda _connect: None
        self.publish: Callable[[str, str], bool] = lambda _name, _data: False
        self.subscribe: Callable[[str], None] = lambda _prefix: None
        self._selftest = (
            SelfTestApplication(
                now_s,
                lambda: state.cloud_status == _CONNECTED,
                self._set_cloud,
                self._publish,
                self._subscribe,
            )
            if SELFTEST in self._features
            else None
        )

    def _set_cloud(self, connect: bool) -> None:
        # The board sets these after it was made.
        self.set_cloud(connect)

    def _publish(self, name: str, data: str) -> bool:
        return self.publish(name, data)

    def _subscribe(self, prefix: str) -> None:
        self.subscribe(prefix)

    def boot(self) -> None:
        """The system starts anew."""
        if self._selftest:
            self._selftest.boot()

    @property
    def functions(self) -> tuple[str, ...]:
        """Cloud functions beside Tinker's."""
        return (FUNCTION,) if self._selftest else ()

    def call(self, argument: str) -> int:
        """The function."""
        assert self._selftest is not None
        return self._selftest.call(argument)

    def receive(self, name: str, data: str) -> bool:
        """An event of the cloud; whether the application has subscribed to it."""
        return self._selftest is not None and not self._state.safe_mode and self._selftest.receive(name, data)

    def custom_request(self, payload: bytes) -> tuple[int, bytes]:
        """Request 10: result code and reply."""
        if self._selftest and self._runs_with(SELFTEST):
            return self._selftest.request(payload)
        if self._runs_with(CUSTOM_REQUESTS):
            return 0, payload
        if self._program and not self._state.safe_mode:
            return self._program.answer(payload, self._state.booted_at_s)
        return NOT_SUPPORTED, b""

    def log_config(self, payload: bytes) -> tuple[int, bytes]:
        """Request 80: result code and reply. A command that is refused comes with 256 bytes of garbage."""
        if not self._runs_with(CONFIGURABLE_LOGGING):
            return NOT_SUPPORTED, b""
        try:
            request = json.loads(payload)
            level = _level_of(request)
        except ValueError:
            return BAD_DATA, b""
        reply = self._log_command(request if isinstance(request, dict) else {}, level)
        return (UNKNOWN, b"\xa5" * LOG_REPLY_SIZE_BYTES) if reply is None else (0, reply)

    def log(self, category: str, level: str, text: str) -> None:
        """A message of the system, to every handler on USB serial that wants it."""
        state = self._state
        if state.listening or state.safe_mode:
            return
        handlers = [[_TEXT, "Serial", str(_LEVEL_INFO)]] if self._runs_with(LOG) else []
        since_boot_ms = int((self._now_s() - state.booted_at_s) * 1000)
        for kind, stream, least, *filters in [*handlers, *state.log_handlers.values()]:
            if stream != "Serial" or _LEVELS[level.lower()] < _least(category, int(least), filters):
                continue
            line = f"{since_boot_ms:010d} [{category}] {level}: {text}"
            if kind == _JSON:
                line = json.dumps({"l": level, "m": text, "c": category, "t": since_boot_ms}, separators=(",", ":"))
            self.write_serial(f"{line}\r\n".encode())

    def _runs_with(self, feature: str) -> bool:
        return feature in self._features and not self._state.safe_mode

    def _log_command(self, request: dict[str, Any], level: int) -> bytes | None:
        handler_id = str(request.get("id", ""))
        match request.get("cmd"):
            case "enumHandlers":
                return json.dumps(list(self._state.log_handlers), separators=(",", ":")).encode()
            case "removeHandler" if handler_id:
                self._state.log_handlers.pop(handler_id, None)
                return b""
            case "addHandler" if handler_id and _type_of(request, "hnd"):
                # One of the same id is gone even when the new one cannot be made.
                self._state.log_handlers.pop(handler_id, None)
                kind, stream = _type_of(request, "hnd"), _type_of(request, "strm")
                if kind not in (_TEXT, _JSON) or stream not in _STREAMS:
                    return None
                filters = [f"{c}={_LEVELS[least]}" for f in request.get("filt", ()) for c, least in list(f.items())[:1]]
                self._state.log_handlers[handler_id] = [kind, stream, str(level), *filters]
                return b""
        return None


def _type_of(request: dict[str, Any], name: str) -> str:
    part = request.get(name)
    return str(part.get("type", "")) if isinstance(part, dict) else ""


def _least(category: str, default: int, filters: list[str]) -> int:
    """The level of the longest filter that the category or one of its parents has."""
    levels = {name: int(least) for name, _, least in (f.partition("=") for f in filters)}
    found = [name for name in levels if category == name or category.startswith(f"{name}.")]
    return levels[max(found, key=len)] if found else default


def _level_of(request: Any) -> int:
    """Raises ValueError for a level that has no such name, also in a filter."""
    if not isinstance(request, dict):
        return _LEVEL_INFO
    filters = request.get("filt", ())
    named = [level for f in filters if isinstance(f, dict) for level in list(f.values())[:1]]
    for name in [*named, request.get("lvl", "info")]:
        if name not in _LEVELS:
            raise ValueError(name)
    return _LEVELS[request.get("lvl", "info")]
