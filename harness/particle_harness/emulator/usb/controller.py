"""A chip's USB device controller as a host's port sees it: one packet at a time, full speed.

The firmware behind it needs time to answer: between calls somebody runs the processor. Nothing here waits.
"""

from __future__ import annotations

import enum
from typing import Protocol


class Handshake(enum.Enum):
    """What the device says to a packet that the host sent."""

    ACK = "ack"
    NAK = "nak"
    """Busy: try again later."""
    STALL = "stall"


class Stalled(enum.Enum):
    """What the device says to an IN token instead of data, when it refuses."""

    STALL = "stall"


STALLED = Stalled.STALL


class UsbController(Protocol):
    """Device side of one USB port.

    A control transfer is ``setup()``, then its data stage on endpoint 0 (``in_token(0)`` or ``out_data(0, …)``, packets
    of up to 64 bytes, the last one shorter unless the length is reached), then the status stage: ``out_data(0, b"")``
    after IN data, ``in_token(0)`` (giving ``b""``) after OUT data or without a data stage. Each call that gives None or
    NAK is repeated after the processor has run.
    """

    @property
    def connected(self) -> bool:
        """Whether the device shows itself on the bus: supply there, pull-up on."""
        ...

    @property
    def address(self) -> int:
        """Address that the host gave, 0 after a bus reset."""
        ...

    def bus_reset(self) -> None:
        """The host resets the bus."""
        ...

    def setup(self, packet: bytes) -> None:
        """SETUP, always taken; ``packet``: eight bytes. Whatever endpoint 0 was doing is over."""
        ...

    def in_token(self, endpoint: int) -> bytes | Stalled | None:
        """The host asks endpoint 0x80 | ``endpoint`` for a packet; None: it has none yet (NAK)."""
        ...

    def out_data(self, endpoint: int, data: bytes) -> Handshake:
        """The host sends one packet to ``endpoint``."""
        ...
