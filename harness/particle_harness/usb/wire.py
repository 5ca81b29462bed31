"""Protobuf by hand: the few lines a device needs to write its replies and read a request.

Written apart from the generated code of the product. Format: protobuf.dev, Encoding (varint, length-delimited).
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5


class MalformedError(ValueError):
    """A request is no protobuf message, or a text in it is longer than the device has room for."""


def varint(value: int) -> bytes:
    """A base-128 number, low bits first; a negative one takes ten bytes."""
    value &= (1 << 64) - 1
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """A varint field; proto3 leaves out zero."""
    return varint(number << 3) + varint(value) if value else b""


def fixed32_field(number: int, value: int) -> bytes:
    """A field of four bytes; proto3 leaves out zero."""
    return varint(number << 3 | _FIXED32) + value.to_bytes(4, "little") if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A length-delimited field: string, bytes or message."""
    return varint(number << 3 | _DELIMITED) + varint(len(value)) + value


def text_field(number: int, value: str) -> bytes:
    """A string field; proto3 leaves out an empty one."""
    return bytes_field(number, value.encode()) if value else b""


def first_number(message: bytes, number: int) -> int:
    """Value of a varint field; 0 when it is not there. Raises MalformedError."""
    return next((value for field, value in list(_fields(message)) if field == number and isinstance(value, int)), 0)


def first_bytes(message: bytes, number: int, *, room: int | None = None) -> bytes:
    """Value of a length-delimited field; empty when it is not there. Raises MalformedError, also for a value of more
    than ``room`` bytes."""
    found = (value for field, value in list(_fields(message)) if field == number and isinstance(value, bytes))
    value = next(found, b"")
    if room is not None and len(value) > room:
        raise MalformedError(f"field {number} has {len(value)} bytes, {room} fit")
    return value


def first_text(message: bytes, number: int, *, room: int | None = None) -> str:
    """Value of a string field; empty when it is not there. Raises MalformedError."""
    return first_bytes(message, number, room=room).decode("utf-8", "replace")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values; fields of fixed size, which no request has, are passed over."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _read_varint(message, position)
            yield tag >> 3, value
            continue
        if kind == _DELIMITED:
            size, position = _read_varint(message, position)
            yield tag >> 3, message[position : position + size]
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise MalformedError(f"field {tag >> 3} has the unknown type {kind}")
        position += size
    if position > len(message):
        raise MalformedError("the message is cut off")


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    raise MalformedError("the message is cut off")
