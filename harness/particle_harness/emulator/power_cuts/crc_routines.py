"""Routines in an image that compute the CRC-32 of a range of memory, found by what they do.

Where the polynomial, or the table made of it, is referred to, the code before it is run by itself over bytes of ours:
it is such a routine when it gives their CRC-32, stores nothing outside its frame and the chip's checksum unit, and
takes as long for any bytes. So it hands on nothing of the bytes but that number, and how many there were.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from particle_harness.emulator.chip import ChecksumUnits
from particle_harness.emulator.power_cuts.routine_bench import DATA, Call, RoutineBench

_POLYNOMIAL = struct.pack("<I", 0xEDB88320)
_TABLE = struct.pack("<256I", *(zlib.crc32(bytes([n])) ^ zlib.crc32(bytes(1)) for n in range(256)))
_SIZES_BYTES = (4, 8, 64, 1028)
_LONGEST_BYTES = 0x80
"""Of code before its literal."""


@dataclass(frozen=True, slots=True)
class CrcRoutine:
    """``begins``: address of an instruction that loads once in each call, before the first byte; ``takes``: of the only
    one that loads the bytes, whole words or single ones, and that loads nothing else. ``parts``: first address and end
    of what it consists of, its table included."""

    begins: int
    takes: int
    parts: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class RoutineFinder:
    """For firmware on a chip with those checksum units. What was looked at once is known."""

    units: ChecksumUnits
    _known: dict[tuple[int, bytes], CrcRoutine | None] = field(default_factory=dict)

    def find(self, cells: bytes | bytearray | memoryview, base_address: int) -> tuple[CrcRoutine, ...]:
        """All in a memory that begins at ``base_address``."""
        data = bytes(cells)
        found: dict[int, CrcRoutine] = {}
        for literal, table in _literals(data, base_address):
            window = max(0, literal - _LONGEST_BYTES)
            key = (literal, data[window : literal + len(_POLYNOMIAL)])
            if key not in self._known:
                self._known[key] = self._routine(data, base_address, literal, table)
            routine = self._known[key]
            if routine is not None:
                found[routine.takes] = routine
        return tuple(found.values())

    def _routine(self, data: bytes, base_address: int, literal: int, table: int | None) -> CrcRoutine | None:
        bench = RoutineBench(data, base_address, self.units)
        for entry in range(max(0, literal - _LONGEST_BYTES), literal, 2):
            loads = _prove(bench, base_address + entry)
            if loads is not None:
                code = (base_address + entry, base_address + literal + len(_POLYNOMIAL))
                return CrcRoutine(*loads, (code, *([(table, table + len(_TABLE))] if table is not None else [])))
        return None


def _literals(data: bytes, base_address: int) -> Iterator[tuple[int, int | None]]:
    """Offsets of words that hold the polynomial, or the address of a table of it, which comes with it."""
    tables = list(_every(data, _TABLE))
    within = [range(at, at + len(_TABLE)) for at in tables]
    for at in _every(data, _POLYNOMIAL):
        if not any(at in table for table in within):
            yield at, None
    for table in tables:
        for at in _every(data, struct.pack("<I", base_address + table)):
            yield at, base_address + table


def _every(data: bytes, wanted: bytes) -> Iterator[int]:
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


def _prove(bench: RoutineBench, entry: int) -> tuple[int, int] | None:
    """Where the code there begins and takes in bytes, if it is a routine."""
    found: set[tuple[int, int] | None] = set()
    chance = random.Random(entry)
    for size_bytes in _SIZES_BYTES:
        steps = set()
        for data in (chance.randbytes(size_bytes), chance.randbytes(size_bytes), bytes(size_bytes)):
            call = bench.call(entry, data)
            if not call.is_clean or call.result != zlib.crc32(data):
                return None
            steps.add(call.steps)
            found.add(_loads_of(bench, call, size_bytes))
        if len(steps) != 1:
            return None
    return found.pop() if len(found) == 1 else None


def _loads_of(bench: RoutineBench, call: Call, size_bytes: int) -> tuple[int, int] | None:
    taken = [load for load in call.loads if DATA <= load[1] < DATA + size_bytes]
    takers = {by for by, _, _ in taken}
    if len(takers) != 1 or not _is_in_a_row(taken, size_bytes):
        return None
    (takes,) = takers
    if sum(by == takes for by, _, _ in call.loads) != len(taken):
        return None
    before = call.loads[: call.loads.index(taken[0])]
    once = [by for by, at, _ in before if at in bench.code and sum(load[0] == by for load in call.loads) == 1]
    return (once[0], takes) if once else None


def _is_in_a_row(loads: list[tuple[int, int, int]], size_bytes: int) -> bool:
    at = DATA
    for _, address, size in loads:
        if address != at:
            return False
        at += size
    return at == DATA + size_bytes
