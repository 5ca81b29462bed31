"""Every operation on a board's flash in the order in which it happened, so that the flash can be had as a loss of power
at any of them would have left it.

RAM is lost with the power, so that contents of flash are all that the next start knows: whoever has them need not run
the firmware again up to the cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from particle_harness.nor_flash import ERASED, NorFlash

Change = tuple[str, int, int]
"""Name of a flash, offsets of first byte and end."""


class Torn(StrEnum):
    """What the operation leaves in which power goes."""

    NOTHING = "nothing of it is done"
    HALF = "half of its bytes are done"
    BITS = "of each byte, only some bits have changed"


@dataclass(frozen=True, slots=True)
class Operation:
    """``data``: what was programmed; None is an erase of ``size_bytes``."""

    flash: str
    address: int
    size_bytes: int
    data: bytes | None

    @property
    def kind(self) -> str:
        """``program`` or ``erase``."""
        return "erase" if self.data is None else "program"

    def __str__(self) -> str:
        return f"{self.kind} of {self.size_bytes} bytes at 0x{self.address:08x} of {self.flash} flash"


class FlashJournal:
    """Operations on ``flashes`` (by name), while :meth:`recording`; at first ``start`` is what they hold."""

    def __init__(self, flashes: Mapping[str, NorFlash]) -> None:
        self._flashes = dict(flashes)
        self.start = {name: bytes(flash.cells) for name, flash in flashes.items()}
        self.operations: list[Operation] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note what happens within; faults of the flash go on as before."""
        hooks = {name: (flash.on_program, flash.on_erase) for name, flash in self._flashes.items()}
        for name in self._flashes:
            self._listen(name)
        try:
            yield
        finally:
            for name, flash in self._flashes.items():
                flash.on_program, flash.on_erase = hooks[name]

    def _listen(self, name: str) -> None:
        flash = self._flashes[name]
        program, erase = flash.on_program, flash.on_erase

        def programs(address: int, data: bytes) -> bytes:
            burned = program(address, data) if program else data
            self.operations.append(Operation(name, address, len(burned), burned))
            return burned

        def erases(address: int, before: bytes, after: bytes) -> bytes:
            left = erase(address, before, after) if erase else after
            self.operations.append(Operation(name, address, len(left), None))
            return left

        flash.on_program, flash.on_erase = programs, erases

    def states(self, cuts: Iterable[tuple[int, Torn]]) -> Iterator[dict[str, bytes]]:
        """Contents by name, for power cuts in ascending order: (n, …) is the one in the n-th operation, counted from 0;
        one beyond the last is a cut after everything."""
        for cells, _ in self.walk(cuts):
            yield {name: bytes(data) for name, data in cells.items()}

    def walk(self, cuts: Iterable[tuple[int, Torn]]) -> Iterator[tuple[dict[str, bytearray], list[Change]]]:
        """The same without copies: each pair holds until the next is asked for. The changes are from the one before."""
        cells = {name: bytearray(data) for name, data in self.start.items()}
        done, changes = 0, [(name, 0, len(data)) for name, data in cells.items()]
        for n, torn in cuts:
            while done < min(n, len(self.operations)):
                self._apply(cells, self.operations[done], None)
                changes.append(self._change(self.operations[done]))
                done += 1
            if n < len(self.operations) and torn is not Torn.NOTHING:
                operation = self.operations[n]
                before = bytes(self._slice(cells, operation))
                self._apply(cells, operation, torn)
                change = self._change(operation)
                yield cells, [*changes, change]
                self._slice(cells, operation)[:] = before
                changes = [change]
            else:
                yield cells, changes
                changes = []

    def _change(self, operation: Operation) -> Change:
        offset = operation.address - self._flashes[operation.flash].base_address
        return operation.flash, offset, offset + operation.size_bytes

    def _slice(self, cells: Mapping[str, bytearray], operation: Operation) -> memoryview:
        offset = operation.address - self._flashes[operation.flash].base_address
        return memoryview(cells[operation.flash])[offset : offset + operation.size_bytes]

    def _apply(self, cells: Mapping[str, bytearray], operation: Operation, torn: Torn | None) -> None:
        place = self._slice(cells, operation)
        wanted = operation.data if operation.data is not None else bytes([ERASED]) * len(place)
        is_erase = operation.data is None
        half = -(-len(place) // 2) if torn is Torn.HALF else len(place)
        mask = 0x55 if torn is Torn.BITS else 0xFF
        old = int.from_bytes(place[:half], "little")
        change = int.from_bytes(wanted[:half], "little")
        pattern = int.from_bytes(bytes([mask]) * half, "little")
        new = old | change & pattern if is_erase else old & (change | ~pattern & ((1 << 8 * half) - 1))
        place[:half] = new.to_bytes(half, "little")


def put_back(flashes: Mapping[str, NorFlash], contents: Mapping[str, bytes | bytearray]) -> None:
    """Make flashes hold that, without rules, time or count."""
    for name, data in contents.items():
        flashes[name].load(flashes[name].base_address, data)
