"""Protobuf by hand: the few lines a device needs to write its replies.

Written apart from the generated code of the product. Format: protobuf.dev, Encoding (varint, length-delimited).
"""

from __future__ import annotations

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""Types of fields."""


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
    return varint(number << 3 | FIXED32) + value.to_bytes(4, "little") if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A length-delimited field: string, bytes or message."""
    return varint(number << 3 | DELIMITED) + varint(len(value)) + value


def text_field(number: int, value: str) -> bytes:
    """A string field; proto3 leaves out an empty one."""
    return bytes_field(number, value.encode()) if value else b""
