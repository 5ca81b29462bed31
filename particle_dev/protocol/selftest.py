"""The self-test service of a board, without I/O: frames on a serial line, and requests and reports as JSON.

The same requests travel over USB as the payload of an app custom request, and over a serial line in frames:
kind u8, sequence u8, length u16, payload, CRC-32 u32, COBS-encoded between two zero bytes.
Source: firmware/selftest/include/pd_selftest.h, which is the manual; the commands ``i l t s L M r`` are those of
device-os-test-runner 0.19.1 lib/device.js.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from particle_dev.errors import SelfTestProtocolError

API_VERSION = 1
MAX_REQUEST_BYTES = 384
MAX_FRAME_BYTES = 8192
"""Longer than any reply; what is longer without a zero byte is no frame."""
_HEADER = struct.Struct("<BBH")
_CRC = struct.Struct("<I")
_RESULT = struct.Struct("<i")
_NOT_FOUND = -170


class FrameKind(IntEnum):
    """What a frame is. A ping has no letters, which a device in listening mode would take as commands."""

    PING = 0x01
    PONG = 0x02
    REPLY = 0x41
    REQUEST = 0x51


class Status(IntEnum):
    """Result of the request for the status; 1 to 6 as Device OS test applications have them."""

    PASSED = 1
    FAILED = 2
    SKIPPED = 3
    RUNNING = 4
    WAITING = 5
    """Nothing was started since the board booted."""
    RESET_PENDING = 6


class Outcome(StrEnum):
    """How a test ended, by the board's own account. Only ``passed`` is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SUPPORTED = "not_supported"
    """The board's firmware has no access to what the test needs."""
    NOT_ALLOWED = "not_allowed"
    """It can bring the device online, and the request did not allow that."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of a report: a number in ``unit``, or a text. Limits are inclusive, and the board's own."""

    name: str
    value: int | str
    unit: str | None = None
    min: int | None = None
    max: int | None = None

    @property
    def ok(self) -> bool:
        """False when it is outside of the board's limits."""
        if isinstance(self.value, str):
            return True
        return (self.min is None or self.value >= self.min) and (self.max is None or self.value <= self.max)

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return f"{self.name} {self.value}"
        limits = "" if self.min is None else f" ({self.min} to {self.max})"
        return f"{self.name} {self.value} {self.unit}{limits}"


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """What a board says of its latest test. ``run`` is the number that the request gave, ``lost`` how many values had
    no room."""

    test: str
    run: int
    outcome: Outcome
    message: str
    lost: int
    values: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class SelfTestDescription:
    """A test that a board has. ``may_connect``: it can bring the device online, which starts billing."""

    name: str
    may_connect: bool


# ---- frames ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; ``sequence`` (0 to 255) is that of the request in its reply."""

    kind: int
    sequence: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """The bytes on the line, with a zero byte at both ends."""
        plain = _HEADER.pack(self.kind, self.sequence, len(self.payload)) + self.payload
        return b"\0" + _cobs(plain + _CRC.pack(zlib.crc32(plain))) + b"\0"


class FrameReader:
    """Takes bytes in any pieces, gives whole frames. What is none is counted."""

    def __init__(self) -> None:
        self._begun = b""
        self.dropped_bytes = 0
        """Bytes outside of good frames: log output, noise, damaged frames."""

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that end in ``data``."""
        *blocks, self._begun = (self._begun + data).split(b"\0")
        if len(self._begun) > MAX_FRAME_BYTES:
            self.dropped_bytes += len(self._begun)
            self._begun = b""
        frames = []
        for block in blocks:
            frame = _decode(block)
            if frame:
                frames.append(frame)
            else:
                self.dropped_bytes += len(block)
        return frames


def _cobs(plain: bytes) -> bytes:
    encoded = bytearray()
    for block in plain.split(b"\0"):
        rest = block
        while len(rest) >= 254:
            encoded += b"\xff" + rest[:254]
            rest = rest[254:]
        encoded += bytes([len(rest) + 1]) + rest
    return bytes(encoded)


def _uncobs(encoded: bytes) -> bytes | None:
    """None when a block is cut."""
    plain = bytearray()
    at = 0
    while at < len(encoded):
        code = encoded[at]
        block = encoded[at + 1 : at + code]
        if len(block) != code - 1:
            return None
        plain += block
        at += code
        if code != 255 and at < len(encoded):
            plain.append(0)
    return bytes(plain)


def _decode(block: bytes) -> Frame | None:
    plain = _uncobs(block)
    if plain is None or len(plain) < _HEADER.size + _CRC.size:
        return None
    kind, sequence, length = _HEADER.unpack_from(plain)
    body, crc = plain[: -_CRC.size], plain[-_CRC.size :]
    if length != len(body) - _HEADER.size or _CRC.pack(zlib.crc32(body)) != crc:
        return None
    return Frame(kind, sequence, body[_HEADER.size :])


def ping(number: int = 0) -> Frame:
    """A ping, one of many: those whose bytes have no letter, which a device in listening mode could obey (``x`` there
    leaves listening mode, and the device connects)."""
    return _PINGS[number % len(_PINGS)]


def _has_letters(data: bytes) -> bool:
    return any(chr(byte).isalpha() for byte in data if byte < 0x80)


_PINGS = tuple(frame for frame in (Frame(FrameKind.PING, n) for n in range(1, 256)) if not _has_letters(frame.encode()))


def decode_pong(frame: Frame) -> int:
    """Version of the service. Raises SelfTestProtocolError."""
    if len(frame.payload) < 2:
        raise SelfTestProtocolError("the board answered a ping without a version", hint=_HINT_FIRMWARE)
    return int.from_bytes(frame.payload[:2], "little")


def decode_reply(frame: Frame) -> tuple[int, bytes]:
    """Result and data of a reply. Raises SelfTestProtocolError."""
    if len(frame.payload) < _RESULT.size:
        raise SelfTestProtocolError("the board's reply has no result", hint=_HINT_FIRMWARE)
    return _RESULT.unpack_from(frame.payload)[0], frame.payload[_RESULT.size :]


# ---- requests -------------------------------------------------------------------------------------------------------

STATUS_REQUEST = b'{"c":"s"}'
REPORT_REQUEST = b'{"c":"R"}'
ABORT_REQUEST = b'{"c":"a"}'
DESCRIBE_REQUEST = b'{"c":"d"}'
LOG_REQUEST = b'{"c":"L"}'
_HINT_FIRMWARE = "flash firmware with the self-test service of this release"

Parameter = int | bool | str


def start_request(
    test: str, run: int, parameters: Mapping[str, Parameter] | None = None, *, may_connect: bool = False
) -> bytes:
    """Start a test. ``run`` comes back in the report and tells it from an older one. **With ``may_connect`` the board
    may go online.** Raises ValueError when the request is longer than a board takes."""
    request: dict[str, object] = {"c": "t", "t": test, "n": run}
    if may_connect:
        request["may_connect"] = True
    if parameters:
        request["p"] = dict(parameters)
    data = json.dumps(request, separators=(",", ":")).encode()
    if len(data) > MAX_REQUEST_BYTES:
        raise ValueError(f"the request for test {test} has {len(data)} bytes, a board takes {MAX_REQUEST_BYTES}")
    return data


def is_unknown_test(result: int) -> bool:
    """Whether a board refused to start a test because it has none of that name."""
    return result == _NOT_FOUND


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise SelfTestProtocolError(f"the board's {what} is no JSON object", received=_shown(data), hint=_HINT_FIRMWARE)
    return value


def _shown(data: bytes) -> str:
    return data[:80].decode("utf-8", "backslashreplace")


def decode_description(data: bytes) -> tuple[SelfTestDescription, ...]:
    """The tests that a board has. Raises SelfTestProtocolError, also for a service of another version."""
    value = _object(data, "description")
    if value.get("version") != API_VERSION:
        message = f"the board's self-test service has version {value.get('version')}, this program knows {API_VERSION}"
        raise SelfTestProtocolError(message, hint=_HINT_FIRMWARE)
    try:
        return tuple(SelfTestDescription(str(t["name"]), bool(t["may_connect"])) for t in value["tests"])
    except (KeyError, TypeError) as error:
        raise _malformed("description", data) from error


def decode_report(data: bytes) -> SelfTestReport:
    """The report of the latest test. Raises SelfTestProtocolError, also while it runs or when none was started."""
    value = _object(data, "report")
    try:
        return SelfTestReport(
            test=str(value["test"]),
            run=_whole(value["n"]),
            outcome=Outcome(value["result"]),
            message=str(value["message"]),
            lost=_whole(value["lost"]),
            values=tuple(_measurement(v) for v in value["values"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed("report", data) from error


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(value)
    return value


def _measurement(value: Mapping[str, Any]) -> Measurement:
    if "text" in value:
        return Measurement(str(value["name"]), str(value["text"]))
    has_limits = "min" in value
    return Measurement(
        str(value["name"]),
        _whole(value["value"]),
        str(value["unit"]),
        _whole(value["min"]) if has_limits else None,
        _whole(value["max"]) if has_limits else None,
    )


def _malformed(what: str, data: bytes) -> SelfTestProtocolError:
    return SelfTestProtocolError(f"the board's {what} is malformed", received=_shown(data), hint=_HINT_FIRMWARE)
