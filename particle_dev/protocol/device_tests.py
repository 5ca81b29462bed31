"""On-target tests of a Device OS test application, without I/O: requests and replies of its runner, as JSON in app
custom requests. Another dialogue than the self-test service's, with the same commands ``l i t s L``.

Source: particle-iot/device-os-test-runner lib/device.js Device (getTests, startTest, waitTest) and RequestResult.
"""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum

from particle_dev.errors import SelfTestProtocolError


class SystemMode(StrEnum):
    """In which mode the suite is to run; values are those of the runner's configuration."""

    DEFAULT = "default"
    AUTOMATIC = "automatic"
    SEMI_AUTOMATIC = "semi-automatic"
    MANUAL = "manual"
    SAFE_MODE = "safe-mode"


class RunnerStatus(IntEnum):
    """Results that are not errors."""

    DONE = 0
    PASSED = 1
    FAILED = 2
    SKIPPED = 3
    RUNNING = 4
    WAITING = 5
    RESET_PENDING = 6


PING_REQUEST = b""
LIST_REQUEST = b'{"c":"l"}'
STATUS_REQUEST = b'{"c":"s"}'
LOG_REQUEST = b'{"c":"L"}'
_MODE_LETTERS = {
    SystemMode.DEFAULT: "d",
    SystemMode.AUTOMATIC: "a",
    SystemMode.SEMI_AUTOMATIC: "s",
    SystemMode.MANUAL: "m",
    SystemMode.SAFE_MODE: "S",
}
_HINT = "flash a Device OS test application, built with its unit-test library"


def init_request(mode: SystemMode | None = None, *, threaded: bool | None = None) -> bytes:
    """Prepare the suite. None: leave it as the application has it. The application may reset to follow."""
    request: dict[str, object] = {"c": "i"}
    if mode is not None:
        request["m"] = _MODE_LETTERS[mode]
    if threaded is not None:
        request["t"] = int(threaded)
    return json.dumps(request, separators=(",", ":")).encode()


def start_request(test: str) -> bytes:
    """Start one test."""
    return json.dumps({"c": "t", "t": test}, separators=(",", ":")).encode()


def decode_names(data: bytes) -> tuple[str, ...]:
    """Names of the tests. Raises SelfTestProtocolError."""
    value = _json(data, "list of tests")
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise SelfTestProtocolError(
            "the application's list of tests is no list of names", received=_shown(data), hint=_HINT
        )
    return tuple(value)


def decode_log(data: bytes) -> str:
    """What the latest test printed: a JSON text, or whatever else came. Never raises: a log is for people."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, str) else data.decode("utf-8", "backslashreplace")


def decode_status(result: int) -> RunnerStatus:
    """What a result says of the test. Raises SelfTestProtocolError for one that is not known."""
    try:
        return RunnerStatus(result)
    except ValueError as error:
        raise SelfTestProtocolError(f"the application answers status {result}", hint=_HINT) from error


def _json(data: bytes, what: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SelfTestProtocolError(
            f"the application's {what} is no JSON", received=_shown(data), hint=_HINT
        ) from error


def _shown(data: bytes) -> str:
    return data[:80].decode("utf-8", "backslashreplace")
