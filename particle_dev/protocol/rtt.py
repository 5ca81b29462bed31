"""Layout of SEGGER's real time transfer (RTT): ring buffers in RAM that a debugger reads and writes while code runs.

The control block::

    offset  0  id, 16              "SEGGER RTT", padded with zeros; written last, when the rest is right
           16  up buffers, 4       how many ring buffers from the device to the host
           20  down buffers, 4     how many from the host to the device
           24  the up buffers, then the down buffers, 24 bytes each:
               name 4 (address), buffer 4 (address), size 4, write offset 4, read offset 4, flags 4

All little-endian. A ring is empty when both offsets are equal and holds one byte less than its size. Who writes to it
moves the write offset alone, who reads from it the read offset. Source: SEGGER UM08001 (J-Link / J-Trace user guide),
chapter RTT; pyocd 0.46.0 pyocd/debug/rtt.py.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from particle_dev.errors import FormatError

CONTROL_BLOCK_ID = b"SEGGER RTT".ljust(16, b"\0")
HEADER_SIZE_BYTES = 24
RING_SIZE_BYTES = 24
WRITE_OFFSET_AT, READ_OFFSET_AT = 12, 16
"""Where a ring's offsets lie in its description."""
_MAX_RINGS = 64
"""More are no control block but RAM that happens to begin so."""
_RING = struct.Struct("<6I")


@dataclass(frozen=True, slots=True)
class Ring:
    """One ring buffer as its description says; ``address`` is that of the description."""

    address: int
    name_address: int
    buffer_address: int
    size_bytes: int
    write_offset: int
    read_offset: int

    def readable(self) -> tuple[tuple[int, int], ...]:
        """Pieces (address, size in bytes) that hold data, in their order. Raises FormatError for offsets outside."""
        self._check()
        at, end = self.read_offset, self.write_offset
        pieces = [(at, end - at)] if at <= end else [(at, self.size_bytes - at), (0, end)]
        return tuple((self.buffer_address + offset, size) for offset, size in pieces if size)

    def writable(self) -> tuple[tuple[int, int], ...]:
        """Pieces (address, size in bytes) that are free. Raises FormatError for offsets outside."""
        self._check()
        at, limit = self.write_offset, self.read_offset - 1
        # Up to the end and on from the start, but one byte short of the read offset.
        around = [(at, self.size_bytes - at - (limit < 0)), (0, max(limit, 0))]
        pieces = [(at, limit - at)] if limit >= at else around
        return tuple((self.buffer_address + offset, size) for offset, size in pieces if size > 0)

    def advanced(self, offset: int, count: int) -> int:
        """An offset, ``count`` bytes on."""
        return (offset + count) % self.size_bytes

    def _check(self) -> None:
        if not (self.size_bytes > 1 and self.write_offset < self.size_bytes and self.read_offset < self.size_bytes):
            raise FormatError(
                f"the RTT buffer described at 0x{self.address:08x} has offsets {self.write_offset} and "
                f"{self.read_offset} in {self.size_bytes} bytes",
                offset=self.address,
                hint="the firmware has overwritten its control block, or it is none",
            )


def find_control_block(memory: bytes) -> int | None:
    """Offset of the id in a piece of RAM, at a multiple of 4; None when it is not there."""
    at = memory.find(CONTROL_BLOCK_ID)
    while at >= 0 and at % 4:
        at = memory.find(CONTROL_BLOCK_ID, at + 1)
    return at if at >= 0 else None


def ring_counts(header: bytes) -> tuple[int, int] | None:
    """How many up and down buffers these 24 bytes announce; None when they are no control block."""
    if header[:16] != CONTROL_BLOCK_ID:
        return None
    up, down = struct.unpack_from("<II", header, 16)
    return (up, down) if up <= _MAX_RINGS and down <= _MAX_RINGS else None


def unpack_ring(description: bytes, address: int) -> Ring:
    """The ring that the 24 bytes at ``address`` describe."""
    name, buffer, size, write, read, _flags = _RING.unpack(description)
    return Ring(address, name, buffer, size, write, read)
