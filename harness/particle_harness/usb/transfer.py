"""A control transfer as the device sees it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum


class StallError(Exception):
    """The device answers with a STALL handshake. ``data``: what it had sent before, where the status stage stalls; a
    host gives it to nobody."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__("STALL")
        self.data = data


class GoneError(Exception):
    """The device is not (or no longer) on the bus at that address; ``during``: it left in this very transfer."""

    def __init__(self, *, during: bool = False) -> None:
        super().__init__("the device is not on the bus")
        self.during = during


class SilentError(GoneError):
    """The device is on the bus and answers nothing: its core is halted. The host waits until its time is over."""


_SETUP = struct.Struct("<BBHHH")
TYPE_STANDARD, TYPE_CLASS, TYPE_VENDOR = 0, 1, 2
TO_DEVICE, TO_INTERFACE, TO_ENDPOINT = 0, 1, 2


class StandardRequest(IntEnum):
    """Source: USB 2.0 specification, table 9-4; those that boards know."""

    GET_STATUS = 0
    CLEAR_FEATURE = 1
    SET_FEATURE = 3
    SET_ADDRESS = 5
    GET_DESCRIPTOR = 6
    GET_CONFIGURATION = 8
    SET_CONFIGURATION = 9
    GET_INTERFACE = 10
    SET_INTERFACE = 11


@dataclass(frozen=True, slots=True)
class Setup:
    """The eight bytes of a SETUP packet, with the names of the USB 2.0 specification."""

    bm_request_type: int
    b_request: int
    w_value: int
    w_index: int
    w_length: int

    @property
    def is_in(self) -> bool:
        """Whether data flows to the host."""
        return bool(self.bm_request_type & 0x80)

    @property
    def kind(self) -> int:
        """Standard, class or vendor request."""
        return self.bm_request_type >> 5 & 3

    @property
    def recipient(self) -> int:
        """Device, interface or endpoint."""
        return self.bm_request_type & 0x1F

    @classmethod
    def unpack(cls, packet: bytes) -> Setup:
        """From the eight bytes of the packet."""
        return cls(*_SETUP.unpack(packet))

    def pack(self) -> bytes:
        """The packet."""
        return _SETUP.pack(self.bm_request_type, self.b_request, self.w_value, self.w_index, self.w_length)
