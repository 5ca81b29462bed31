"""Which bytes of flash have decided what firmware does, from one moment on.

Firmware on an emulated chip is deterministic: two contents of flash that agree in every byte which it has read lead to
the same instructions at the same cycles. A byte that it has erased first is none of them, whatever was there before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Protocol

from particle_harness.emulator.native_core import NativeCore
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory

_READ, _ERASED = b"\x01", b"\x02"
_UNTOUCHED = b"\x00"

Runs = tuple[tuple[int, int], ...]
"""Parts of a flash: offsets of first byte and end."""


class _Core(Protocol):
    @property
    def native(self) -> NativeCore: ...


class _Chip(Protocol):
    @property
    def bus(self) -> Bus: ...

    @property
    def processor(self) -> _Core: ...


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

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Forget what was, and note what happens within."""
        for used in self._used.values():
            used[:] = bytes(len(used))
        hooks = {name: (f.on_read, f.on_program, f.on_erase) for name, f in self._flashes.items()}
        for name, flash in self._flashes.items():
            self._listen(name, flash)
        for name, memory in self._memories:
            _tell(memory, partial(self._note, name, _READ))
        try:
            with self._code():
                yield
        finally:
            for name, flash in self._flashes.items():
                flash.on_read, flash.on_program, flash.on_erase = hooks[name]
            for _, memory in self._memories:
                _tell(memory, None)

    def _code(self) -> AbstractContextManager[None]:
        used = [(memory, self._used[name]) for name, memory in self._memories]
        return self._chip.processor.native.noting_reads(used) if used else nullcontext()

    def read(self, name: str) -> Runs:
        """Bytes whose first use was that they were read."""
        return tuple(found.span() for found in re.finditer(_READ + b"+", self._used[name]))

    def erased(self, name: str) -> Runs:
        """Bytes whose first use was that they were erased: what they hold now does not depend on what was there."""
        return tuple(found.span() for found in re.finditer(_ERASED + b"+", self._used[name]))

    def _note(self, name: str, mark: bytes, offset: int, size_bytes: int) -> None:
        used = self._used[name]
        used[offset : offset + size_bytes] = used[offset : offset + size_bytes].replace(_UNTOUCHED, mark)

    def _listen(self, name: str, flash: NorFlash) -> None:
        program, erase, base = flash.on_program, flash.on_erase, flash.base_address

        def reads(address: int, size_bytes: int) -> None:
            self._note(name, _READ, address - base, size_bytes)

        def programs(address: int, data: bytes) -> bytes:
            self._note(name, _READ, address - base, len(data))
            return program(address, data) if program else data

        def erases(address: int, before: bytes, after: bytes) -> bytes:
            self._note(name, _ERASED, address - base, len(after))
            return erase(address, before, after) if erase else after

        flash.on_read, flash.on_program, flash.on_erase = reads, programs, erases


def _tell(memory: Memory, hook: object) -> None:
    memory.on_read = hook  # type: ignore[assignment]
