"""Protobuf by hand: the few lines a device needs to write its replies and read a request.

Written apart from the generated code of the product. Format: protobuf.dev, Encoding (varint, length-delimited).
"""

from __future__ import annotations

from collections.abc import Iterator


def varint(value: int) -> bytes:
    """A base-128 number, low bits first."""
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """A varint field; proto3 leaves out zero."""
    return varint(number << 3) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A length-delimited field: string, bytes or message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def first_number(message: bytes, number: int) -> int:
    """Value of a varint field; 0 when it is not there."""
    return next((value for field, value in _fields(message) if field == number and isinstance(value, int)), 0)


def first_bytes(message: bytes, number: int) -> bytes:
    """Value of a length-delimited field; empty when it is not there."""
    return next((value for field, value in _fields(message) if field == number and isinstance(value, bytes)), b"")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values, up to the first thing that is neither of the two kinds or is cut off."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        value, position = _read_varint(message, position)
        if tag & 7 == 0:
            yield tag >> 3, value
        elif tag & 7 == 2:
            yield tag >> 3, message[position : position + value]
            position += value
        else:
            return


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            break
    return value, position
