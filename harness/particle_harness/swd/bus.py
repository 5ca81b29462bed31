"""The chip's bus: memories that CPU and debugger share, and peripherals behind registers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from mmap import mmap
from typing import Protocol

PAGE_SIZE_BYTES = 0x1000


class BusFaultError(Exception):
    """Nothing answers at ``address``, or it refuses."""

    def __init__(self, address: int) -> None:
        super().__init__(f"bus fault at 0x{address:08x}")
        self.address = address


class Peripheral(Protocol):
    """A block of registers, whole pages long."""

    def read(self, offset: int, size_bytes: int) -> int:
        """Value of ``size_bytes`` bytes at ``offset``."""
        ...

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """Store ``size_bytes`` bytes at ``offset``."""
        ...


@dataclass(slots=True)
class Memory:
    """``cells`` at ``start_address`` and at each alias. ``store`` takes (offset, data) and returns whether it took
    them; None makes it RAM. A refused store changes nothing. ``on_read`` is told (offset, size in bytes) of reads that
    come by way of the bus, those of a CPU not."""

    start_address: int
    cells: bytearray | mmap
    store: Callable[[int, bytes], bool] | None = None
    aliases: tuple[int, ...] = ()
    on_read: Callable[[int, int], None] | None = None
    view: memoryview = field(init=False)
    buffer: ctypes.Array[ctypes.c_ubyte] = field(init=False)

    def __post_init__(self) -> None:
        self.buffer = (ctypes.c_ubyte * len(self.cells)).from_buffer(self.cells)
        self.view = memoryview(self.cells)

    @property
    def size_bytes(self) -> int:
        """Bytes of the memory."""
        return len(self.cells)

    def offset_of(self, address: int) -> int | None:
        """Offset of an address in it, None outside."""
        for start in (self.start_address, *self.aliases):
            if start <= address < start + len(self.cells):
                return address - start
        return None

    def write(self, offset: int, data: bytes) -> None:
        """Store as the memory's kind allows."""
        if self.store is None:
            self.view[offset : offset + len(data)] = data
        else:
            self.store(offset, data)


class Bus:
    """Who answers at which address."""

    def __init__(self) -> None:
        self.memories: list[Memory] = []
        self.peripherals: dict[int, tuple[int, Peripheral]] = {}
        self.code_changed = False
        """Set by each write from outside the CPU; the CPU forgets what it has translated and clears it."""
        self.code_ran_in: Callable[[int, int], bool] | None = None
        """Whether code from (address, size in bytes) may have been translated; without it, any may."""

    def add_memory(self, memory: Memory) -> Memory:
        """Map a memory."""
        self.memories.append(memory)
        return memory

    def add_peripheral(self, start_address: int, peripheral: Peripheral, pages: int = 1) -> None:
        """Map a block of registers."""
        for page in range(pages):
            self.peripherals[start_address // PAGE_SIZE_BYTES + page] = (start_address, peripheral)

    def memory_at(self, address: int) -> tuple[Memory, int] | None:
        """The memory that holds an address, and the offset in it."""
        for memory in self.memories:
            offset = memory.offset_of(address)
            if offset is not None:
                return memory, offset
        return None

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes at an address; from registers 1, 2 or 4 at a time. Raises BusFaultError."""
        found = self.memory_at(address)
        if found is not None:
            memory, offset = found
            if offset + size_bytes > memory.size_bytes:
                raise BusFaultError(memory.start_address + memory.size_bytes)
            if memory.on_read is not None:
                memory.on_read(offset, size_bytes)
            return bytes(memory.view[offset : offset + size_bytes])
        start, peripheral = self._peripheral(address)
        value = peripheral.read(address - start, size_bytes)
        return (value & ((1 << 8 * size_bytes) - 1)).to_bytes(size_bytes, "little")

    def look(self, address: int, size_bytes: int) -> bytes:
        """Bytes of a memory, read by nobody: no hook is told. Raises BusFaultError."""
        found = self.memory_at(address)
        if found is None or found[1] + size_bytes > found[0].size_bytes:
            raise BusFaultError(address)
        memory, offset = found
        return bytes(memory.view[offset : offset + size_bytes])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; into registers 1, 2 or 4 at a time. Raises BusFaultError."""
        found = self.memory_at(address)
        if found is not None:
            memory, offset = found
            if offset + len(data) > memory.size_bytes:
                raise BusFaultError(memory.start_address + memory.size_bytes)
            memory.write(offset, data)
            self._note_change(memory, offset, len(data))
            return
        start, peripheral = self._peripheral(address)
        peripheral.write(address - start, len(data), int.from_bytes(data, "little"))

    def _note_change(self, memory: Memory, offset: int, size_bytes: int) -> None:
        ran = self.code_ran_in
        if ran is None or any(ran(start + offset, size_bytes) for start in (memory.start_address, *memory.aliases)):
            self.code_changed = True

    def read_word(self, address: int) -> int:
        """32 bits, little-endian."""
        return int.from_bytes(self.read(address, 4), "little")

    def _peripheral(self, address: int) -> tuple[int, Peripheral]:
        found = self.peripherals.get(address // PAGE_SIZE_BYTES)
        if found is None:
            raise BusFaultError(address)
        return found
