"""Payloads of request 80, which adds and removes log handlers. They are JSON text.

Source: device-os v6.2.0 wiring/src/spark_wiring_logging.cpp JSONRequestHandler, DefaultLogHandlerFactory,
DefaultOutputStreamFactory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from particle_dev.catalog.requests import ControlRequest
from particle_dev.errors import ControlProtocolError


class LogLevel(StrEnum):
    """Levels as request 80 names them, lowest first."""

    ALL = "all"
    TRACE = "trace"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    PANIC = "panic"
    NONE = "none"


class LogFormat(StrEnum):
    """How lines look."""

    TEXT = "StreamLogHandler"
    JSON = "JSONStreamLogHandler"


class LogStream(StrEnum):
    """Where lines go. USB_SERIAL_1 exists on Gen2 only."""

    USB_SERIAL = "Serial"
    USB_SERIAL_1 = "USBSerial1"
    UART = "Serial1"


@dataclass(frozen=True, slots=True)
class LogHandler:
    """A log handler to be added under ``id``; one of the same id is replaced. ``baud`` counts for UART only."""

    id: str
    format: LogFormat = LogFormat.TEXT
    stream: LogStream = LogStream.USB_SERIAL
    level: LogLevel = LogLevel.INFO
    filters: Mapping[str, LogLevel] = field(default_factory=dict)
    baud: int | None = None


def encode_add_log_handler(handler: LogHandler) -> bytes:
    """Request 80, addHandler."""
    stream: dict[str, object] = {"type": handler.stream}
    if handler.baud is not None:
        stream["param"] = {"baud": handler.baud}
    return _json(
        cmd="addHandler",
        id=handler.id,
        hnd={"type": handler.format},
        strm=stream,
        filt=[{category: level} for category, level in handler.filters.items()],
        lvl=handler.level,
    )


def encode_remove_log_handler(handler_id: str) -> bytes:
    """Request 80, removeHandler. The device does not tell whether it had one."""
    return _json(cmd="removeHandler", id=handler_id)


def encode_list_log_handlers() -> bytes:
    """Request 80, enumHandlers."""
    return _json(cmd="enumHandlers")


def decode_log_handlers(data: bytes) -> tuple[str, ...]:
    """Ids of the handlers that were added by request 80. Raises ControlProtocolError."""
    request = ControlRequest.LOG_CONFIG
    try:
        ids = json.loads(data)
    except ValueError as e:
        raise ControlProtocolError(f"log handlers are no JSON: {data[:32]!r}", request_type=request) from e
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise ControlProtocolError("log handlers are no JSON array of texts", request_type=request)
    return tuple(ids)


def _json(**values: object) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode()
