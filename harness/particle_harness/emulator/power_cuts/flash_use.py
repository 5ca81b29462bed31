"""Which bytes of flash have decided what firmware does, from one moment on.

Firmware on an emulated chip is deterministic: two contents of flash that agree in every byte which it has read lead to
the same instructions at the same cycles. A byte that it has erased first is none of them, whatever was there before.

Bytes that only a routine for CRC-32 has read (:mod:`particle_harness.emulator.power_cuts.crc_routines`) decide nothing
by themselves where their checksum is compared with the one stored behind them: the rest learns whether it fits, no
more.
Source: device-os v2.1.0 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/src/flash_mal.c and
platform/MCU/nRF52840/src/flash_mal.c, FLASH_VerifyCRC32: the word behind the range is loaded first, then the checksum
computed; the two are compared and the comparison alone is handed on.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from particle_harness.emulator.chip import ChecksumUnits
from particle_harness.emulator.core import native_core
from particle_harness.emulator.core.native_core import MOST_SUMS, NativeCore, Sum
from particle_harness.emulator.power_cuts.crc_routines import RoutineFinder
from particle_harness.module_reader import CRC_SIZE_BYTES
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory

_UNTOUCHED, _READ, _ERASED, _SUMMED = b"\0", bytes([native_core.READ]), b"\x02", bytes([native_core.SUMMED])
_SUMMED_THEN_ERASED = bytes([_ERASED[0] | _SUMMED[0]])
_LATER = {_READ: {_UNTOUCHED: _READ, _SUMMED: _READ}, _ERASED: {_UNTOUCHED: _ERASED, _SUMMED: _SUMMED_THEN_ERASED}}
"""What becomes of a mark when the byte is read or erased."""
_WORD = 0xFFFFFFFF

Runs = tuple[tuple[int, int], ...]
"""Parts of a flash: offsets of first byte and end."""


@dataclass(frozen=True, slots=True)
class CheckedRange:
    """Bytes of a flash from ``first`` to ``end`` of which firmware has learned whether their CRC-32 is what is stored
    behind them, most significant byte first."""

    flash: str
    first: int
    end: int

    def fits(self, contents: Mapping[str, bytes | bytearray]) -> bool:
        """Whether it is."""
        data = contents[self.flash]
        stored = int.from_bytes(data[self.end : self.end + CRC_SIZE_BYTES], "big")
        return zlib.crc32(memoryview(data)[self.first : self.end]) == stored


@dataclass(frozen=True, slots=True)
class _Written:
    """A part of a flash that was programmed or erased when so many sums had begun, and the last was so far."""

    flash: str
    first: int
    end: int
    sums: int
    last_end: int

    def meets(self, flash: str, first: int, end: int) -> bool:
        return self.flash == flash and self.first < end and first < self.end

    def was_before(self, n: int, taken: Sum) -> bool:
        """Whether that was before the n-th sum had taken in all that it did."""
        return self.sums <= n or (self.sums == n + 1 and self.last_end != taken.end)


class _Core(Protocol):
    @property
    def native(self) -> NativeCore: ...


class _Chip(Protocol):
    @property
    def bus(self) -> Bus: ...

    @property
    def processor(self) -> _Core: ...

    @property
    def checksum_units(self) -> ChecksumUnits: ...


class FlashUse:
    """What is read of ``flashes`` (by name) while :meth:`noting`: by instructions that load or are fetched, by DMA, by
    whatever reads over the bus or from the flash object. A program without an erase before it counts as a read, since
    what it leaves depends on what was there."""

    def __init__(self, chip: _Chip, flashes: Mapping[str, NorFlash]) -> None:
        self._flashes = dict(flashes)
        self._used = {name: bytearray(len(flash.cells)) for name, flash in flashes.items()}
        self._memories = [
            (name, memory) for memory in chip.bus.memories for name, f in flashes.items() if memory.cells is f.cells
        ]
        self._chip = chip
        self._finder = RoutineFinder(chip.checksum_units)
        self._routine_parts: list[tuple[str, int, int]] = []
        self._written: list[_Written] = []
        self.checked: tuple[CheckedRange, ...] = ()
        """Ranges with bytes that it has not read otherwise."""
        self.counts = (0, 0)
        """Accesses to registers, and jumps."""

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Forget what was, and note what happens within."""
        for used in self._used.values():
            used[:] = bytes(len(used))
        self._written.clear()
        hooks = {name: (f.on_read, f.on_program, f.on_erase) for name, f in self._flashes.items()}
        for name, flash in self._flashes.items():
            self._listen(name, flash)
        for name, memory in self._memories:
            _tell(memory, partial(self._note, name, _READ))
        before = self._counts()
        try:
            with self._code():
                yield
        finally:
            for name, flash in self._flashes.items():
                flash.on_read, flash.on_program, flash.on_erase = hooks[name]
            for _, memory in self._memories:
                _tell(memory, None)
        accesses, jumps = (now - then & _WORD for now, then in zip(self._counts(), before, strict=True))
        self.counts = (accesses, jumps)
        self.checked = self._settle_sums() if self._memories else ()

    def _counts(self) -> tuple[int, int]:
        return self._chip.processor.native.counts if self._memories else (0, 0)

    def _code(self) -> AbstractContextManager[None]:
        if not self._memories:
            return nullcontext()
        self._routine_parts.clear()
        summers = []
        for name, memory in self._memories:
            for routine in self._finder.find(memory.view, memory.start_address):
                summers.append((routine.begins, routine.takes))
                for first, end in routine.parts:
                    self._routine_parts.append((name, first - memory.start_address, end - memory.start_address))
        used = [(memory, self._used[name]) for name, memory in self._memories]
        return self._chip.processor.native.noting_reads(used, summers)

    def read(self, name: str) -> Runs:
        """Bytes whose first use was that they were read, save those of which only a checksum is known."""
        return tuple(found.span() for found in re.finditer(_READ + b"+", self._used[name]))

    def erased(self, name: str) -> Runs:
        """Bytes that were erased before they were read: what they hold now does not depend on what was there."""
        marks = b"[" + re.escape(_ERASED + _SUMMED_THEN_ERASED) + b"]+"
        return tuple(found.span() for found in re.finditer(marks, self._used[name]))

    # ---- checksums --------------------------------------------------------------------------------------------------

    def _settle_sums(self) -> tuple[CheckedRange, ...]:
        """The ranges whose checksum alone counts; bytes of all other sums are read like any other."""
        native = self._chip.processor.native
        sums = native.sums()
        checked: list[CheckedRange] = []
        if native.summed[0] > MOST_SUMS or not all(taken.is_whole for taken in sums):
            for name, used in self._used.items():
                self._read_after_all(name, 0, len(used))
            return ()
        for n, taken in enumerate(sums):
            place = self._place(taken)
            if self._is_comparison(n, taken, place):
                checked.append(place)
            else:
                self._read_after_all(place.flash, place.first, place.end)
        if sums:
            # Which rows of the table it has loaded depends on the bytes.
            for name, first, end in self._routine_parts:
                if any(self._used[name][first:end]):
                    self._note(name, _READ, first, end - first)
        marks = (_SUMMED[0], _SUMMED_THEN_ERASED[0])
        return tuple(dict.fromkeys(c for c in checked if any(m in self._used[c.flash][c.first : c.end] for m in marks)))

    def _place(self, taken: Sum) -> CheckedRange:
        for name, memory in self._memories:
            first = memory.offset_of(taken.start)
            if first is not None:
                return CheckedRange(name, first, first + taken.end - taken.start)
        raise LookupError(f"no flash at 0x{taken.start:08x}, where a checksum was computed")

    def _is_comparison(self, n: int, taken: Sum, place: CheckedRange) -> bool:
        """Whether the n-th sum ran over whole words as they were at first, behind which the word was loaded just before
        that it is compared with."""
        stored_end = place.end + CRC_SIZE_BYTES
        changed = any(w.was_before(n, taken) and w.meets(place.flash, place.first, stored_end) for w in self._written)
        return (place.end - place.first) % CRC_SIZE_BYTES == 0 and taken.end in taken.loaded_before and not changed

    def _read_after_all(self, name: str, first: int, end: int) -> None:
        used = self._used[name]
        marks = used[first:end].replace(_SUMMED, _READ).replace(_SUMMED_THEN_ERASED, _READ)
        used[first:end] = marks

    # ---- what else happens to flash ---------------------------------------------------------------------------------

    def _note(self, name: str, mark: bytes, offset: int, size_bytes: int) -> None:
        used = self._used[name]
        marks = used[offset : offset + size_bytes]
        for before, after in _LATER[mark].items():
            marks = marks.replace(before, after)
        used[offset : offset + size_bytes] = marks

    def _note_written(self, name: str, first: int, size_bytes: int) -> None:
        if not self._memories:
            return
        native = self._chip.processor.native
        written = _Written(name, first, first + size_bytes, *native.summed)
        self._written.append(written)
        if any(written.meets(*part) for part in self._routine_parts):
            native.take_no_sums()

    def _listen(self, name: str, flash: NorFlash) -> None:
        program, erase, base = flash.on_program, flash.on_erase, flash.base_address

        def reads(address: int, size_bytes: int) -> None:
            self._note(name, _READ, address - base, size_bytes)

        def programs(address: int, data: bytes) -> bytes:
            self._note(name, _READ, address - base, len(data))
            self._note_written(name, address - base, len(data))
            return program(address, data) if program else data

        def erases(address: int, before: bytes, after: bytes) -> bytes:
            self._note(name, _ERASED, address - base, len(after))
            self._note_written(name, address - base, len(after))
            return erase(address, before, after) if erase else after

        flash.on_read, flash.on_program, flash.on_erase = reads, programs, erases


def _tell(memory: Memory, hook: object) -> None:
    memory.on_read = hook  # type: ignore[assignment]
