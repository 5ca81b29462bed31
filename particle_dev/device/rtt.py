"""Bytes to and from test firmware that runs on a board, through RTT buffers in its RAM and a debug probe.

Particle's own Device OS has no RTT buffers; a test firmware brings them. Facts of the layout: ``protocol/rtt.py``.
"""

from __future__ import annotations

from particle_dev.catalog.chips import Chip
from particle_dev.device.swd import ChipLink, SwdSession
from particle_dev.errors import DeviceModeError, ProtocolError
from particle_dev.permissions import Permissions
from particle_dev.protocol.rtt import (
    HEADER_SIZE_BYTES,
    READ_OFFSET_AT,
    RING_SIZE_BYTES,
    WRITE_OFFSET_AT,
    Ring,
    find_control_block,
    ring_counts,
    unpack_ring,
)
from particle_dev.transport.base import Clock
from particle_dev.transport.clock import SystemClock

POLL_INTERVAL_S = 0.01
_SEARCH_STEP_BYTES = 0x4000


class Rtt:
    """The channels of a control block at ``address``; ``up`` and ``down`` say how many there are. The firmware runs."""

    def __init__(self, link: ChipLink, address: int, up: int, down: int) -> None:
        self.address = address
        self.up, self.down = up, down
        self._link = link

    def read(self, channel: int = 0) -> bytes:
        """What the firmware has written to an up channel since the last time; empty when nothing. Raises ProtocolError
        for a channel that is not there, FormatError for a block that was overwritten, TransportError."""
        ring = self._ring(channel, self.up, 0)
        data = b"".join(self._link.read(address, size) for address, size in ring.readable())
        if data:
            self._link.write_word(ring.address + READ_OFFSET_AT, ring.advanced(ring.read_offset, len(data)))
        return data

    def write(self, data: bytes, channel: int = 0) -> int:
        """Put bytes into a down channel; how many there was room for. Raises as :meth:`read`."""
        ring = self._ring(channel, self.down, self.up)
        done = 0
        for address, size in ring.writable():
            piece = data[done : done + size]
            if piece:
                self._link.write(address, piece)
                done += len(piece)
        if done:
            # Behind the data: from then on the firmware reads it.
            self._link.write_word(ring.address + WRITE_OFFSET_AT, ring.advanced(ring.write_offset, done))
        return done

    def _ring(self, channel: int, count: int, before: int) -> Ring:
        if not 0 <= channel < count:
            raise ProtocolError(
                f"RTT has no channel {channel} in that direction",
                hint=f"the firmware has {self.up} up, {self.down} down",
            )
        address = self.address + HEADER_SIZE_BYTES + (before + channel) * RING_SIZE_BYTES
        return unpack_ring(self._link.read(address, RING_SIZE_BYTES), address)


def start_rtt(
    session: SwdSession,
    permissions: Permissions,
    *,
    address: int | None = None,
    reset: bool = True,
    timeout_s: float = 5.0,
    clock: Clock | None = None,
) -> Rtt:
    """Let the firmware run (from a reset, or as it does already) and wait for its control block; without ``address``
    all of RAM is searched. **The firmware may connect, which starts billing.**

    Raises PermissionMissingError without ``may_connect``, DeviceModeError when no control block appears in time,
    TransportError. The firmware goes on until somebody parks the board.
    """
    permissions.require_connect("running the firmware")
    link, clock = session.link, clock or SystemClock()
    if reset:
        link.halt()
        _forget(link, address if address is not None else _search(link, session.chip))
        session.run(permissions)
    end_s = clock.monotonic_s() + timeout_s
    while True:
        at = address if address is not None else _search(link, session.chip)
        counts = ring_counts(link.read(at, HEADER_SIZE_BYTES)) if at is not None else None
        if at is not None and counts is not None:
            return Rtt(link, at, *counts)
        if clock.monotonic_s() >= end_s:
            where = "in RAM" if address is None else f"at 0x{address:08x}"
            raise DeviceModeError(
                f"no RTT control block {where} after {timeout_s:g} s",
                expected="firmware with RTT",
                hint="Device OS has none; flash a test firmware that has, and give its --address if you know it",
            )
        clock.sleep(POLL_INTERVAL_S)


def _forget(link: ChipLink, address: int | None) -> None:
    """RAM outlives a reset: a block of the run before must not be taken for the new one."""
    if address is not None and ring_counts(link.read(address, HEADER_SIZE_BYTES)) is not None:
        link.write_word(address, 0)


def _search(link: ChipLink, chip: Chip) -> int | None:
    for start in range(chip.ram_start_address, chip.ram_start_address + chip.ram_size_bytes, _SEARCH_STEP_BYTES):
        # An id that lies across the border of two pieces is found with the first.
        end = min(start + _SEARCH_STEP_BYTES + HEADER_SIZE_BYTES, chip.ram_start_address + chip.ram_size_bytes)
        offset = find_control_block(link.read(start, end - start))
        if offset is not None:
            return start + offset
    return None
