"""How Device OS reads the message of a control request, wrong ones included.

What is written in a message matters less than what the receiver expects: a known field is read as its own type whatever
type the sender says, enumerations and flags have one byte, and a byte 0 where a field should begin ends the message.
Source: nanopb at 6b91cc53, pb_decode.c, as device-os v2.1.0 third_party/nanopb has it; run on an emulated chip
(particle_harness.emulator.differential.system).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from particle_harness.usb.wire import DELIMITED, FIXED32, FIXED64, VARINT

_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_WORD_BITS, _LONGEST_VARINT_BYTES = 32, 10


class MalformedError(ValueError):
    """A request is no protobuf message, or a text in it is longer than the device has room for."""


@dataclass(frozen=True, slots=True)
class Number:
    """A varint that has to fit."""

    bits: int = _WORD_BITS


@dataclass(frozen=True, slots=True)
class Text:
    """A string of at most so many bytes."""

    room_bytes: int


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes or a string of any size, taken by a callback."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message within."""

    fields: Fields


Field = Number | Text | Data | Message
Fields = Mapping[int, Field]
FLAG = ENUMERATION = Number(8)


def decode(message: bytes, fields: Fields) -> dict[int, Any]:
    """The last value of each field that is there: numbers, bytes, or what a message within holds. Raises
    MalformedError."""
    reader = _Reader(message)
    values: dict[int, Any] = {}
    while reader.left:
        tag = reader.word()
        if tag == 0:
            break
        number, kind = tag >> 3, tag & 7
        field = fields.get(number)
        if field is None:
            reader.skip(kind)
        elif isinstance(field, Data):
            values[number] = reader.take(reader.word()) if kind == DELIMITED else reader.raw(kind)
        else:
            values[number] = _value(reader, field)
    return values


def text_of(values: Mapping[int, Any], number: int) -> str:
    """A string that :func:`decode` has found; empty when it is not there."""
    text: bytes = values.get(number, b"")
    return text.decode("utf-8", "replace")


def _value(reader: _Reader, field: Number | Text | Message) -> Any:
    if isinstance(field, Number):
        value = reader.varint()
        if value >> field.bits:
            raise MalformedError(f"{value} does not fit into {field.bits} bits")
        return value
    size = reader.word()
    if isinstance(field, Message):
        return decode(reader.take(size), field.fields)
    if size > field.room_bytes:
        raise MalformedError(f"{size} bytes, {field.room_bytes} fit")
    return reader.take(size)


class _Reader:
    """A message from its beginning to its end."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._message) - self._position

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise MalformedError("the message is cut off")
        self._position += size
        return self._message[self._position - size : self._position]

    def _varint_bytes(self) -> bytes:
        start = self._position
        while self.take(1)[0] & 0x80:
            pass
        return self._message[start : self._position]

    def varint(self) -> int:
        groups = self._varint_bytes()
        if len(groups) > _LONGEST_VARINT_BYTES:
            raise MalformedError("a number is too long")
        return sum((byte & 0x7F) << 7 * n for n, byte in enumerate(groups)) & (1 << 64) - 1

    def word(self) -> int:
        """Tags and sizes. Negative ones may be written with all their 64 bits."""
        groups = self._varint_bytes()
        result = sum((byte & 0x7F) << 7 * n for n, byte in enumerate(groups[:5]))
        if len(groups) == 5 and groups[4] & 0x70:
            raise MalformedError("a number is too large")
        result &= (1 << _WORD_BITS) - 1
        for n, byte in enumerate(groups[5:], start=5):
            extension = 0xFF if 7 * n < 63 else 0x01
            if byte & 0x7F and (not result >> 31 or byte != extension):
                raise MalformedError("a number is too large")
        return result

    def raw(self, kind: int) -> bytes:
        if kind == VARINT:
            groups = self._varint_bytes()
            if len(groups) > _LONGEST_VARINT_BYTES:
                raise MalformedError("a number is too long")
            return groups
        if kind in _FIXED_BYTES:
            return self.take(_FIXED_BYTES[kind])
        raise MalformedError(f"there is no type {kind}")

    def skip(self, kind: int) -> None:
        if kind == VARINT:
            self._varint_bytes()
        elif kind == DELIMITED:
            self.take(self.word())
        elif kind in _FIXED_BYTES:
            self.take(_FIXED_BYTES[kind])
        else:
            raise MalformedError(f"there is no type {kind}")
