"""Protobuf by hand: the few lines a device needs to write its replies and read one number.

Written apart from the generated code of the product. Format: protobuf.dev, Encoding (varint, length-delimited).
"""

from __future__ import annotations


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
    """Value of a varint field in a message of small varint fields; 0 when it is not there."""
    position = 0
    while position + 1 < len(message):
        tag, value, shift = message[position], 0, 0
        position += 1
        while position < len(message):
            byte = message[position]
            value |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if byte < 0x80:
                break
        if tag == number << 3:
            return value
    return 0
