"""Accesses to registers as lines of text, for whoever brings a peripheral or a new image up::

    120345 000F4476 W NVMC.CONFIG 0x00000001

The columns are cycle, address of the instruction, direction, register and value. A line that repeats the former one but
for its cycle is only counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from particle_harness.emulator.processor import Processor
from particle_harness.emulator.register_names import register_name


class RegisterTrace:
    """Writes a line for each access of ``processor`` that a pattern of ``only`` matches and none of ``without`` does;
    patterns are those of a shell, on names such as ``NVMC.CONFIG``. One trace at a time."""

    def __init__(
        self,
        processor: Processor,
        write: Callable[[str], None],
        *,
        only: Sequence[str] = ("*",),
        without: Sequence[str] = (),
    ) -> None:
        self._processor = processor
        self._write = write
        self._only, self._without = only, without
        self._names: dict[int, str | None] = {}
        self._last: tuple[int, str, str, int] | None = None
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
        line = (program_counter, direction, name, value)
        if line == self._last:
            self._repeats += 1
            return
        self._write_repeats()
        self._last = line
        self._write(f"{cycle} {program_counter:08X} {direction} {name} 0x{value:0{2 * size_bytes}X}")

    def _shown_name(self, address: int) -> str | None:
        name = register_name(self._processor.bus, address)
        wanted = any(fnmatchcase(name, pattern) for pattern in self._only)
        return name if wanted and not any(fnmatchcase(name, pattern) for pattern in self._without) else None

    def _write_repeats(self) -> None:
        if self._repeats:
            self._write(f"    {self._repeats} more times")
            self._repeats = 0
