"""Payloads of request 80, which adds and removes log handlers by JSON text, and of its successors 1100 to 1102.

Source: device-os v6.2.0 wiring/src/spark_wiring_logging.cpp JSONRequestHandler, DefaultLogHandlerFactory,
DefaultOutputStreamFactory; npm @particle/device-os-protobuf 2.9.0 control/logging.proto.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from particle_dev.catalog.requests import ControlRequest
from particle_dev.errors import ControlProtocolError
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages import OTHER_REPLY, parse_message


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
    except (ValueError, RecursionError) as e:
        raise ControlProtocolError(
            f"log handlers are no JSON: {data[:32]!r}", request_type=request, hint=OTHER_REPLY
        ) from e
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise ControlProtocolError("log handlers are no JSON array of texts", request_type=request, hint=OTHER_REPLY)
    return tuple(ids)


def encode_add_handler_message(handler: LogHandler) -> bytes:
    """Request 1100. Raises ValueError for level ``panic``, which it lacks."""
    kind, index = _STREAM_NUMBERS[handler.stream]
    return pb.AddLogHandlerRequest(
        id=handler.id,
        handler_type=_FORMAT_NUMBERS[handler.format],
        level=_level_number(handler.level),
        filters=[
            pb.AddLogHandlerRequest.Filter(category=category, level=_level_number(level))
            for category, level in handler.filters.items()
        ],
        stream_type=kind,
        serial=pb.AddLogHandlerRequest.SerialParams(index=index, baud_rate=handler.baud or 0),
    ).SerializeToString()


def encode_remove_handler_message(handler_id: str) -> bytes:
    """Request 1101."""
    return pb.RemoveLogHandlerRequest(id=handler_id).SerializeToString()


def decode_handlers_message(data: bytes) -> tuple[str, ...]:
    """Answer of request 1102."""
    reply = parse_message(ControlRequest.GET_LOG_HANDLERS, pb.LogHandlersReply(), data)
    return tuple(handler.id for handler in reply.handlers)


LEVEL_NUMBERS = {
    LogLevel.ALL: 1,
    LogLevel.TRACE: 1,
    LogLevel.INFO: 30,
    LogLevel.WARN: 40,
    LogLevel.ERROR: 50,
    LogLevel.NONE: 70,
}
_FORMAT_NUMBERS = {LogFormat.TEXT: 1, LogFormat.JSON: 2}
_STREAM_NUMBERS = {LogStream.USB_SERIAL: (1, 0), LogStream.USB_SERIAL_1: (1, 1), LogStream.UART: (2, 1)}


def _level_number(level: LogLevel) -> int:
    if level not in LEVEL_NUMBERS:
        raise ValueError(f"request ADD_LOG_HANDLER has no level {level}")
    return LEVEL_NUMBERS[level]


def _json(**values: object) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode()
