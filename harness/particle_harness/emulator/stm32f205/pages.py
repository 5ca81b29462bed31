"""Pages of 4 KiB that several peripherals share, 1 KiB each."""

from __future__ import annotations

from particle_harness.emulator.peripherals.registers import RegisterBlock
from particle_harness.swd.bus import Peripheral

_BLOCK_BYTES = 0x400


class Reserved:
    """Addresses without a peripheral: they read 0 and forget what is written."""

    def read(self, offset: int, size_bytes: int) -> int:  # noqa: ARG002
        """Zero."""
        return 0

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """Nothing."""


class SharedPage:
    """Up to four peripherals in a page, in the order of their addresses; None leaves a gap."""

    def __init__(self, *blocks: Peripheral | None) -> None:
        gap = Reserved()
        self.blocks: list[Peripheral] = [block or gap for block in (*blocks, None, None, None, None)[:4]]

    def register_name(self, offset: int) -> str | None:
        """For traces."""
        block, offset = self.blocks[offset // _BLOCK_BYTES], offset % _BLOCK_BYTES
        return f"{block.name}.{block.registers.name_at(offset)}" if isinstance(block, RegisterBlock) else None

    def read(self, offset: int, size_bytes: int) -> int:
        """As the bus asks."""
        return self.blocks[offset // _BLOCK_BYTES].read(offset % _BLOCK_BYTES, size_bytes)

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """As the bus asks."""
        self.blocks[offset // _BLOCK_BYTES].write(offset % _BLOCK_BYTES, size_bytes, value)
