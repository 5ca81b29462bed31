"""Accesses to registers as lines of text, for whoever brings a peripheral or a new image up::

    120345 000F4476 W NVMC.CONFIG 0x00000001

The columns are cycle, address of the instruction, direction, register and value. A line that repeats the former one but
for its cycle is only counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from particle_harness.emulator.core.processor import Processor
from particle_harness.emulator.peripherals.register_names import register_name


@dataclass(frozen=True, slots=True)
class TracedAccess:
    """An access to a register, by the instruction at ``program_counter``."""

    cycle: int
    program_counter: int
    is_write: bool
    register: str
    value: int
    size_bytes: int

    def __str__(self) -> str:
        direction = "W" if self.is_write else "R"
        value = f"0x{self.value:0{2 * self.size_bytes}X}"
        return f"{self.cycle} {self.program_counter:08X} {direction} {self.register} {value}"


@dataclass(frozen=True, slots=True)
class Repeats:
    """So often the same came again, but for its cycle."""

    repeats: int

    def __str__(self) -> str:
        return f"    {self.repeats} more times"


class RegisterTrace:
    """Gives ``write`` each access of ``processor`` that a pattern of ``only`` matches and none of ``without`` does;
    patterns are those of a shell, on names such as ``NVMC.CONFIG``. One trace at a time."""

    def __init__(
        self,
        processor: Processor,
        write: Callable[[TracedAccess | Repeats], None],
        *,
        only: Sequence[str] = ("*",),
        without: Sequence[str] = (),
    ) -> None:
        self._processor = processor
        self._write = write
        self._only, self._without = only, without
        self._names: dict[int, str | None] = {}
        self._last: TracedAccess | None = None
        self._repeats = 0
        processor.trace = self._note

    def close(self) -> None:
        """No more lines; what was only counted is written."""
        self._processor.trace = None
        self._write_repeats()

    def _note(
        self, direction: str, address: int, size_bytes: int, value: int, program_counter: int, cycle: int
    ) -> None:
        try:
            name = self._names[address]
        except KeyError:
            name = self._names[address] = self._shown_name(address)
        if name is None:
            return
        access = TracedAccess(cycle, program_counter, direction == "W", name, value, size_bytes)
        if self._last is not None and access == replace(self._last, cycle=cycle):
            self._repeats += 1
            return
        self._write_repeats()
        self._last = access
        self._write(access)

    def _shown_name(self, address: int) -> str | None:
        name = register_name(self._processor.bus, address)
        wanted = any(fnmatchcase(name, pattern) for pattern in self._only)
        return name if wanted and not any(fnmatchcase(name, pattern) for pattern in self._without) else None

    def _write_repeats(self) -> None:
        if self._repeats:
            self._write(Repeats(self._repeats))
            self._repeats = 0
