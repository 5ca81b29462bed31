"""USB control transfers as values: what a sans-I/O machine asks for and what it gets back.

A machine is a generator. It yields an :data:`Action`; whoever drives it carries the action out and sends back a
:data:`Reply`. Waiting is an action too, so no machine here knows a clock.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class ControlIn:
    """Read up to ``w_length`` bytes on endpoint 0. Field names are those of the USB 2.0 specification, 9.3."""

    bm_request_type: int
    b_request: int
    w_value: int
    w_index: int
    w_length: int
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class ControlOut:
    """Write ``data`` on endpoint 0; wLength is its length."""

    bm_request_type: int
    b_request: int
    w_value: int
    w_index: int
    data: bytes = b""
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class ControlQueue:
    """Transfers one after the other, each carried out whatever the device answered to those before it. So the host may
    hand them to the bus at once. The reply is a tuple of replies."""

    transfers: tuple[ControlIn | ControlOut, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Let ``duration_s`` seconds pass, then send ``None``."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Stall:
    """The device answered the transfer with a STALL handshake."""


Action = ControlIn | ControlOut | ControlQueue | Wait
TransferReply = bytes | Stall | None
"""``bytes`` answers ControlIn, ``None`` answers ControlOut, ``Stall`` answers either."""
Reply = TransferReply | tuple[TransferReply, ...]
"""A tuple answers ControlQueue, ``None`` answers Wait."""

ResultT = TypeVar("ResultT")
Machine = Generator[Action, Reply, ResultT]
"""A conversation over endpoint 0 that ends with a result."""
