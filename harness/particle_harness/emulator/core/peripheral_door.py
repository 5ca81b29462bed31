"""From an instruction to the register of a peripheral: time is put right, a refusal becomes a bus fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from particle_harness.swd.bus import BusFaultError, Peripheral

if TYPE_CHECKING:
    from particle_harness.emulator.core.processor import Processor

Trace = Callable[[str, int, int, int, int, int], None]
"""Told of each access to a register: "R" or "W", address, size in bytes, value, program counter, cycle."""
_MASKS = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF}


class PeripheralDoor:
    """One peripheral as one core reaches it. ``address`` is where its registers are mapped, ``shift`` their distance
    from the peripheral's start."""

    __slots__ = ("_address", "_processor", "_raw_stores", "_read", "_shift", "_timeline", "_write")

    def __init__(self, processor: Processor, peripheral: Peripheral, address: int, shift: int) -> None:
        self._processor = processor
        self._timeline = processor.timeline
        self._raw_stores = processor.raw_stores
        self._read = peripheral.read
        self._write = peripheral.write
        self._address = address
        self._shift = shift

    def read(self, cycles_left: int, offset: int, size_bytes: int) -> int:
        """As the core asks."""
        processor, timeline = self._processor, self._timeline
        timeline.cycles = processor.end - cycles_left
        if self._raw_stores:
            processor.settle()
        try:
            value = self._read(offset + self._shift, size_bytes) & _MASKS[size_bytes]
        except BusFaultError as refused:
            processor.refuse(refused.address)
            return 0
        if processor.trace is not None:
            program_counter = processor.native.shared.address
            processor.trace("R", self._address + offset, size_bytes, value, program_counter, timeline.cycles)
        return value

    def write(self, cycles_left: int, offset: int, size_bytes: int, value: int) -> None:
        """As the core asks."""
        processor, timeline = self._processor, self._timeline
        timeline.cycles = processor.end - cycles_left
        if self._raw_stores:
            processor.settle()
        value &= _MASKS[size_bytes]
        if processor.trace is not None:
            program_counter = processor.native.shared.address
            processor.trace("W", self._address + offset, size_bytes, value, program_counter, timeline.cycles)
        try:
            self._write(offset + self._shift, size_bytes, value)
        except BusFaultError as refused:
            processor.refuse(refused.address)

    def raised(self, error: BaseException) -> None:
        """Something else than a refusal."""
        self._processor.raised(error)
