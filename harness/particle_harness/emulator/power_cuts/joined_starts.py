"""Starts of a board from contents of flash, each executed once for all contents that it cannot tell apart.

A start is deterministic: the chip is restored from one snapshot without power, the host does the same at the same
cycles. So a start whose firmware reads the same bytes (:mod:`particle_harness.emulator.power_cuts.flash_use`), and
finds the same checksums good and bad, is the same start, and leaves the same bytes where it wrote; what it never used
stays as it was.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.power_cuts.flash_journal import Change, put_back
from particle_harness.emulator.power_cuts.flash_use import CheckedRange, FlashUse, Runs
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Memory

Contents = Mapping[str, bytes | bytearray]
"""Of each flash, by name."""
_SHORT_DEBOUNCE_S = 0.002
SETTLE_LIMIT_S = 15.0
"""Of the board's time: a bootloader that copies everything and formats a file system needs about two seconds."""
_SHAPES_KEPT = 64
_DIGEST_BYTES = 32
_ADDRESS = 1


@dataclass(frozen=True, slots=True)
class Place:
    """What one flash is to hold from an offset on."""

    flash: str
    offset: int
    data: bytes

    def is_in(self, contents: Contents) -> bool:
        """Whether it does."""
        # Unlike a comparison with a slice, this copies nothing.
        return contents[self.flash].startswith(self.data, self.offset)


@dataclass(frozen=True, slots=True)
class Start:
    """What came of a start, for all contents that agree in ``needed`` with those it was executed from."""

    settled: bool
    """It came where it was waited for, in time."""
    runs: str
    """As in the state of a board, or as the caller's question has it."""
    needed: Mapping[str, Runs]
    """Bytes that it has read before it erased them."""
    checked: tuple[CheckedRange, ...]
    """Others, of which it has learned whether their checksum fits."""
    path: tuple[int, int, int]
    """Cycles, accesses to registers and jumps that it took: others are another start."""
    left: Mapping[str, tuple[tuple[int, bytes], ...]]
    """What it has left where it erased or changed something, from offsets on, in ascending order."""

    _asked: dict[tuple[Place, ...], tuple[Place, ...] | None] = field(default_factory=dict, repr=False, compare=False)

    def asks(self, places: Sequence[Place]) -> tuple[Place, ...] | None:
        """What flash must hold before this start so that it holds all of ``places`` after it; None: it never will."""
        wanted = tuple(places)
        if wanted not in self._asked:
            self._asked[wanted] = self._ask(wanted)
        return self._asked[wanted]

    def _ask(self, places: Iterable[Place]) -> tuple[Place, ...] | None:
        before: list[Place] = []
        for place in places:
            at, end = place.offset, place.offset + len(place.data)
            for offset, data in self.left[place.flash]:
                first, last = max(at, offset), min(end, offset + len(data))
                if first >= last:
                    continue
                before.append(Place(place.flash, at, place.data[at - place.offset : first - place.offset]))
                if data[first - offset : last - offset] != place.data[first - place.offset : last - place.offset]:
                    return None
                at = last
            before.append(Place(place.flash, at, place.data[at - place.offset :]))
        return tuple(place for place in before if place.data)

    def leads_to(self, before: Contents, places: Sequence[Place]) -> bool:
        """Whether flash that held ``before`` holds all of ``places`` after it."""
        asked = self.asks(places)
        return asked is not None and all(place.is_in(before) for place in asked)

    def after(self, before: Contents) -> dict[str, bytes]:
        """What flash that held ``before`` holds after it."""
        cells = {name: bytearray(data) for name, data in before.items()}
        for name, pieces in self.left.items():
            for offset, data in pieces:
                cells[name][offset : offset + len(data)] = data
        return {name: bytes(data) for name, data in cells.items()}


@dataclass(slots=True)
class _Shape:
    """Starts that have read the same bytes and checked the same ranges, by what these held."""

    needed: Mapping[str, Runs]
    checked: tuple[CheckedRange, ...]
    firsts: Mapping[str, list[int]]
    starts: dict[bytes, Start] = field(default_factory=dict)

    def digest(self, contents: Contents) -> bytes:
        total = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for name, runs in self.needed.items():
            view = memoryview(contents[name])
            for first, end in runs:
                total.update(view[first:end])
        total.update(bytes(checked.fits(contents) for checked in self.checked))
        return total.digest()

    def holds(self, change: Change) -> bool:
        """Whether a byte of the change is among those read."""
        name, first, end = change
        runs = self.needed[name]
        place = bisect_right(self.firsts[name], end - 1) - 1
        return place >= 0 and runs[place][1] > first

    def touched(self, changes: Sequence[Change]) -> Iterator[CheckedRange]:
        """Ranges whose checksum the changes may have made another one."""
        for checked in self.checked:
            for name, first, end in changes:
                if name == checked.flash and first < checked.end and checked.first < end:
                    yield checked
                    break


@dataclass(slots=True)
class _Now:
    """The start from the contents that were asked for last, and which checksums are good in them."""

    shape: _Shape
    start: Start
    fits: dict[CheckedRange, bool]

    def is_of(self, contents: Contents, changes: Sequence[Change]) -> bool:
        """Whether it is the start from ``contents``, too."""
        if any(self.shape.holds(change) for change in changes):
            return False
        return all(checked.fits(contents) == self.fits[checked] for checked in self.shape.touched(changes))


class JoinedStarts:
    """Starts of ``board``, which is switched off. ``settled()``, a question to board and chip and not to flash, tells
    when a start is over; it may go on for ``settle_s`` then. ``runs()``, such a question too, says what runs then."""

    def __init__(
        self,
        board: EmulatedBoard,
        flashes: Mapping[str, NorFlash],
        settled: Callable[[], bool] | None = None,
        settle_s: float = 0.0,
        runs: Callable[[], str] | None = None,
    ) -> None:
        self.board = board
        self.executed = 0
        self._flashes = dict(flashes)
        self._settled = settled or (lambda: board.on_bus() is not None)
        self._settle_s = settle_s
        self._runs = runs or (lambda: board.state.runs)
        self._shapes: list[_Shape] = []
        self._now: _Now | None = None
        board.power_off()
        self._use = FlashUse(board.chip, flashes)  # type: ignore[arg-type]
        self._contents = {name: bytes(flash.cells) for name, flash in flashes.items()}
        self._other = [(memory, bytes(memory.view)) for memory in self._other_memories()]
        self._snapshot = board.chip.snapshot()

    def _other_memories(self) -> Sequence[Memory]:
        """Memories with rules of their own that are no flash, such as UICR: no part of a snapshot."""
        cells = [id(flash.cells) for flash in self._flashes.values()]
        memories: Sequence[Memory] = self.board.chip.bus.memories  # type: ignore[attr-defined]
        return [memory for memory in memories if memory.store is not None and id(memory.cells) not in cells]

    def start(self, contents: Contents, changes: Iterable[Change]) -> Start:
        """The start from ``contents``, in which ``changes`` is what differs from those of the call before."""
        if self._now is not None and self._now.is_of(contents, list(changes)):
            return self._now.start
        for shape in self._shapes:
            found = shape.starts.get(shape.digest(contents))
            if found is not None:
                self._use_first(shape)
                self._now = self._at(shape, found, contents)
                return found
        return self._keep(contents, self.execute(contents))

    def _at(self, shape: _Shape, start: Start, contents: Contents) -> _Now:
        return _Now(shape, start, {checked: checked.fits(contents) for checked in shape.checked})

    def execute(self, contents: Contents) -> Start:
        """The start, really. The board is left as it is then, with power; a host that goes on with it must forget it
        first (:meth:`EmulatedBoard.be_forgotten`)."""
        board = self.board
        next_address = board.next_address
        board.power_off()
        put_back(self._flashes, self._contents)
        for memory, data in self._other:
            memory.view[:] = data
        board.chip.restore(self._snapshot)
        put_back(self._flashes, contents)
        self.executed += 1
        # Each start gets the same from its host.
        board.next_address = lambda: _ADDRESS
        began = board.chip.timeline.cycles
        try:
            with self._use.noting():
                board.power_on()
                # Whether the host waits longer or not is nothing to the firmware.
                board.debounce_s = _SHORT_DEBOUNCE_S
                settled = board.run_until(self._settled, SETTLE_LIMIT_S)
                if self._settle_s:
                    board.run(self._settle_s)
        finally:
            board.next_address = next_address
        path = (board.chip.timeline.cycles - began, *self._use.counts)
        needed = {name: self._use.read(name) for name in self._flashes}
        left = {name: self._left(name, contents[name], needed[name]) for name in self._flashes}
        return Start(settled, self._runs(), needed, self._use.checked, path, left)

    def _left(self, name: str, before: bytes | bytearray, read: Runs) -> tuple[tuple[int, bytes], ...]:
        cells = self._flashes[name].cells
        changed = [(first, end) for first, end in read if cells[first:end] != before[first:end]]
        return tuple((first, bytes(cells[first:end])) for first, end in sorted([*changed, *self._use.erased(name)]))

    def _keep(self, contents: Contents, start: Start) -> Start:
        shape = next((s for s in self._shapes if (s.needed, s.checked) == (start.needed, start.checked)), None)
        if shape is None:
            firsts = {name: [first for first, _ in runs] for name, runs in start.needed.items()}
            shape = _Shape(start.needed, start.checked, firsts)
            self._shapes.insert(0, shape)
            del self._shapes[_SHAPES_KEPT:]
        else:
            self._use_first(shape)
        shape.starts[shape.digest(contents)] = start
        self._now = self._at(shape, start, contents)
        return start

    def _use_first(self, shape: _Shape) -> None:
        self._shapes.remove(shape)
        self._shapes.insert(0, shape)
