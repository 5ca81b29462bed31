"""How peripherals are written down: a table of registers with the datasheet's section, and one method for each that
does something.

A register without a method reads back what was written to it. A peripheral names its registers once::

    class RandomNumbers(RegisterBlock):
        registers = RegisterMap(
            "RNG",
            "nRF52840 PS v1.7, 6.21 RNG",
            Register("TASKS_START", 0x000, access="w"),
            Register("EVENTS_VALRDY", 0x100),
            Register("CC", 0x540, count=6),
        )

        def write_tasks_start(self, value: int) -> None: ...

        def read_cc(self, index: int) -> int: ...

Methods of an array of registers take its index first. Accesses smaller than a word are shifted and, on a write, merged
into the stored word for registers without a method; a method gets the value in its place in the word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

Access = Literal["rw", "r", "w"]
_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Register:
    """``count`` registers ``stride`` bytes apart, the first at ``offset``; ``reset``: value after a reset."""

    name: str
    offset: int
    reset: int = 0
    access: Access = "rw"
    count: int = 1
    stride: int = 4


class RegisterMap:
    """The registers of one kind of peripheral. ``section``: where its datasheet describes them."""

    def __init__(self, name: str, section: str, *registers: Register) -> None:
        self.name = name
        self.section = section
        self.registers = registers
        self.names = {
            register.offset + index * register.stride: register.name + (f"[{index}]" if register.count > 1 else "")
            for register in registers
            for index in range(register.count)
        }

    def name_at(self, offset: int) -> str:
        """What the datasheet calls the register there, for traces; its offset where the table has none."""
        return self.names.get(offset & ~3, f"0x{offset & ~3:03X}")


class RegisterTable:
    """What has registers: it finds the methods of each by name.

    ``name`` tells instances of one kind apart. ``stored`` holds values by offset: what was written, or the reset value.
    """

    registers: ClassVar[RegisterMap]
    unsaved: ClassVar[frozenset[str]] = frozenset({"_readers", "_writers", "_access"})
    """Attributes that are the same for the life of the object: no part of a snapshot."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.registers.name
        self.stored: dict[int, int] = {}
        self._readers: dict[int, Callable[[], int]] = {}
        self._writers: dict[int, Callable[[int], None]] = {}
        self._access: dict[int, Access] = {}
        for register in self.registers.registers:
            self._bind(register)
        self.reset()

    def _bind(self, register: Register) -> None:
        read = getattr(self, f"read_{register.name.lower()}", None)
        write = getattr(self, f"write_{register.name.lower()}", None)
        for index in range(register.count):
            offset = register.offset + index * register.stride
            self._access[offset] = register.access
            if read is not None:
                self._readers[offset] = partial(read, index) if register.count > 1 else read
            if write is not None:
                self._writers[offset] = partial(write, index) if register.count > 1 else write

    def reset(self) -> None:
        """All registers as after a reset."""
        self.stored.clear()
        for register in self.registers.registers:
            for index in range(register.count):
                self.stored[register.offset + index * register.stride] = register.reset


class RegisterBlock(RegisterTable):
    """Peripheral of a bus (:class:`particle_harness.swd.bus.Peripheral`) made of a :class:`RegisterMap`.

    Writes to registers that are read-only, and reads of those that are write-only, give nothing.
    """

    def read(self, offset: int, size_bytes: int) -> int:
        """As the bus asks."""
        word = offset & ~3
        reader = self._readers.get(word)
        if reader is not None:
            value = reader()
            if size_bytes == 4:
                return value
        elif self._access.get(word) == "w":
            value = 0
        else:
            value = self.stored.get(word, 0)
        return (value >> 8 * (offset & 3)) & ((1 << 8 * size_bytes) - 1)

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """As the bus asks."""
        word, shift = offset & ~3, 8 * (offset & 3)
        writer = self._writers.get(word)
        if writer is not None:
            writer((value << shift) & _WORD)
        elif self._access.get(word) != "r":
            mask = ((1 << 8 * size_bytes) - 1) << shift
            self.stored[word] = self.stored.get(word, 0) & ~mask | (value << shift) & mask
