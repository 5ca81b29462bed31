"""What a differential test does to both sides, one act after the other, and how it is written out."""

from __future__ import annotations

from dataclasses import dataclass

from particle_harness.usb.control_service import Service
from particle_harness.usb.dfu_terms import Request
from particle_harness.usb.transfer import TYPE_CLASS, TYPE_STANDARD, Setup, StandardRequest

STALL, SILENT, GONE, DONE = "stall", "silent", "gone", "done"
"""Outcomes beside ``in:`` with the bytes in hex. Silent: neither data nor handshake until the host gives up."""
_STANDARD_REQUESTS = {request.value: request.name for request in StandardRequest}
_SHOWN_BYTES = 12


@dataclass(frozen=True, slots=True)
class Transfer:
    """A whole control transfer; ``data`` is what an OUT transfer carries, and may be shorter than wLength says only
    where the host lies."""

    setup: Setup
    data: bytes = b""

    def __str__(self) -> str:
        setup = self.setup
        name = _name(setup)
        fields = f"wValue 0x{setup.w_value:04X} wIndex 0x{setup.w_index:04X} wLength {setup.w_length}"
        return f"{name} {fields}" + (f" <- {shown(self.data)}" if self.data else "")


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A transfer that the host does not finish: after SETUP and so many packets of data it sends no more tokens. There
    is no status stage. ``data``: the whole of what an OUT transfer would carry."""

    setup: Setup
    data: bytes = b""
    packets: int = 0

    def __str__(self) -> str:
        where = f"{self.packets} packets of data" if self.packets else "SETUP"
        return f"{Transfer(self.setup, self.data)}, given up after {where}"


@dataclass(frozen=True, slots=True)
class Enumerate:
    """Bus reset, an address, the first configuration."""

    def __str__(self) -> str:
        return "bus reset, SET_ADDRESS, SET_CONFIGURATION 1"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nobody asks for that long."""

    duration_s: float

    def __str__(self) -> str:
        return f"wait {self.duration_s:g} s"


@dataclass(frozen=True, slots=True)
class Return:
    """The host waits for the device to leave the bus and come back, and enumerates it: the outcome is its product
    id."""

    limit_s: float = 8.0

    def __str__(self) -> str:
        return "wait for it to leave the bus and come back, bus reset, SET_ADDRESS, SET_CONFIGURATION 1"


@dataclass(frozen=True, slots=True)
class Step:
    """A transfer of the control request that a conversation counts as ``number``, whose id only the device knows;
    ``kind`` is the type of that request. Source: device-os v2.1.0 system/src/usb_control_request_channel.cpp."""

    service: Service
    number: int
    kind: int
    length: int = 64
    """wLength; ``AS_ANNOUNCED``: what CHECK has said that there is."""
    value: int = 0
    """wValue."""
    data: bytes = b""
    until_done: bool = False
    """Asked again as long as the answer is PENDING."""
    packets: int | None = None
    """The host gives up after so many packets of data."""

    def __str__(self) -> str:
        length = "as announced" if self.length == AS_ANNOUNCED else f"{self.length}"
        ending = ", until it is done" if self.until_done else ""
        ending += "" if self.packets is None else f", given up after {self.packets} packets of data"
        sent = f" <- {shown(self.data)}" if self.data else ""
        which = "of all" if self.number == ALL else f"of request {self.number} (type {self.kind})"
        return f"{self.service.name} {which}, wValue {self.value} wLength {length}{sent}{ending}"


AS_ANNOUNCED, ALL = -1, 0
Act = Transfer | Abandoned | Enumerate | Wait | Return | Step


def transfers_in(act: Act) -> int:
    """How many transfers it counts for."""
    return int(isinstance(act, (Transfer, Abandoned, Step)))


def _name(setup: Setup) -> str:
    if setup.kind == TYPE_CLASS and setup.b_request in list(Request):
        name = f"DFU {Request(setup.b_request).name}"
    elif setup.kind == TYPE_STANDARD and setup.b_request in _STANDARD_REQUESTS:
        name = _STANDARD_REQUESTS[setup.b_request]
    else:
        name = f"request 0x{setup.b_request:02X}"
    return f"{name} (0x{setup.bm_request_type:02X})"


def shown(data: bytes) -> str:
    """The first bytes."""
    more = f" … {len(data)} bytes" if len(data) > _SHOWN_BYTES else ""
    return data[:_SHOWN_BYTES].hex(" ") + more
