"""NOR flash: programming clears bits, erasing sets a whole sector to 0xFF, both take time."""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from particle_dev.catalog.flash_chips import FlashChip
from particle_harness.clock import Clock

ERASED = 0xFF


@functools.cache
def _erased_file(size_bytes: int) -> int:
    descriptor, name = tempfile.mkstemp(prefix="particle-erased-")
    try:
        os.write(descriptor, bytes([ERASED]) * size_bytes)
        if os.fstat(descriptor).st_size != size_bytes:
            raise OSError(errno.ENOSPC, f"no room for {size_bytes} bytes of erased flash in {Path(name).parent}")
    finally:
        with contextlib.suppress(OSError):  # An open file stays on Windows.
            Path(name).unlink()
    return descriptor


def _erased(size_bytes: int) -> mmap.mmap:
    """Memory that takes room only where somebody has read or written: many chips are mostly erased."""
    return mmap.mmap(_erased_file(size_bytes), size_bytes, access=mmap.ACCESS_COPY)


class NorFlash:
    """One chip's contents with the rules of NOR flash.

    :meth:`program` can only clear bits and :meth:`erase_sector` sets a sector to 0xFF; both take the chip's time
    on ``clock`` unless ``delays`` is false. ``operations`` counts them. ``on_program`` sees each byte range before
    it is burned and may change it: that is how a defect is put in. ``on_erase`` sees start address, contents before and
    contents after, and gives what is there in the end. ``on_read`` is told address and size in bytes of each read.
    Addresses outside the chip raise IndexError.
    """

    def __init__(
        self, chip: FlashChip, clock: Clock, *, backing: bytearray | mmap.mmap | None = None, delays: bool = True
    ) -> None:
        self.chip = chip
        self.base_address = chip.base_address
        self.end_address = chip.base_address + chip.size_bytes
        self.erases = 0
        self.programs = 0
        self.on_read: Callable[[int, int], None] | None = None
        self.on_program: Callable[[int, bytes], bytes] | None = None
        self.on_erase: Callable[[int, bytes, bytes], bytes] | None = None
        self._clock = clock
        self._delays = delays
        self._cells = _erased(chip.size_bytes) if backing is None else backing
        if len(self._cells) != chip.size_bytes:
            raise ValueError(f"{chip.name} holds {chip.size_bytes} bytes, its backing store {len(self._cells)}")

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes at ``address``."""
        offset = self._offset(address, size_bytes)
        if self.on_read is not None:
            self.on_read(address, size_bytes)
        return bytes(self._cells[offset : offset + size_bytes])

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in ``data``; bits already 0 stay 0."""
        offset = self._offset(address, len(data))
        burned = self.on_program(address, data) if self.on_program else data
        old = int.from_bytes(self._cells[offset : offset + len(data)], "little")
        new = old & int.from_bytes(burned, "little")
        self._cells[offset : offset + len(data)] = new.to_bytes(len(data), "little")
        self.programs += 1
        units = -(-len(data) // self.chip.program_unit_bytes)
        self._busy(units * self.chip.program_s)

    def erase_sector(self, address: int, *, timed: bool = True) -> None:
        """Set the sector that holds ``address`` to 0xFF. Not ``timed``: the caller has let the time pass."""
        start, size_bytes, erase_s = self.sector(address)
        offset = start - self.base_address
        before = bytes(self._cells[offset : offset + size_bytes]) if self.on_erase else b""
        after = bytes([ERASED]) * size_bytes
        self._cells[offset : offset + size_bytes] = self.on_erase(start, before, after) if self.on_erase else after
        self.erases += 1
        self._busy(erase_s if timed else 0.0)

    def erase_chip(self) -> None:
        """Set every cell to 0xFF in one go."""
        after = bytes([ERASED]) * len(self._cells)
        self._cells[:] = self.on_erase(self.base_address, bytes(self._cells), after) if self.on_erase else after
        self.erases += 1
        self._busy(self.chip.mass_erase_s)

    @property
    def cells(self) -> bytearray | mmap.mmap:
        """The memory itself, for a CPU that executes from it. Whoever writes here bypasses the rules above."""
        return self._cells

    @property
    def is_erased(self) -> bool:
        """Nothing is in it."""
        return not bytes(self._cells).strip(bytes([ERASED]))

    def sector(self, address: int) -> tuple[int, int, float]:
        """Start address, size in bytes and erase time of the sector that holds ``address``."""
        self._offset(address, 1)
        return self.chip.sector(address)

    def load(self, address: int, data: bytes | bytearray) -> None:
        """Put ``data`` there without rules, time or count: what a factory's gang programmer did."""
        offset = self._offset(address, len(data))
        self._cells[offset : offset + len(data)] = data

    def _offset(self, address: int, size_bytes: int) -> int:
        if not self.base_address <= address or address + size_bytes > self.end_address:
            raise IndexError(f"{self.chip.name}: 0x{address:08X}+{size_bytes} is outside the chip")
        return address - self.base_address

    def _busy(self, duration_s: float) -> None:
        if self._delays:
            self._clock.sleep(duration_s)


Reader = Callable[[int, int], bytes]
"""Read ``size_bytes`` at an address; IndexError outside the chip."""
