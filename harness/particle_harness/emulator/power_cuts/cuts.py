"""A loss of power at every flash operation of a piece of work, and what becomes of the board.

The work is done once, recorded (:mod:`particle_harness.emulator.power_cuts.flash_journal`). Then, for each cut, the
flash is what the cut left, power comes back, and its own firmware runs: executed once for all cuts that this firmware
cannot tell apart (:mod:`particle_harness.emulator.power_cuts.joined_starts`), so that every operation can be cut in
every way.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.power_cuts.flash_journal import FlashJournal, Operation, Torn
from particle_harness.emulator.power_cuts.joined_starts import Contents, JoinedStarts, Place, Start
from particle_harness.nor_flash import NorFlash


class Outcome(StrEnum):
    """What became of a board."""

    ALONE = "recovers alone"
    """All is in its place once its own bootloader has run."""
    NEXT_RUN = "needs our next run"
    """It comes back; a further run of the same work has completed it."""
    UNTRIED = "not tried further"
    """It comes back, and something is missing; no further run was tried."""
    UNBRAKED = "starts a system"
    """Something other than the bootloader runs on it, which may connect."""
    HANGS = "hangs"
    """Nothing runs on it any more; its MODE button still leads to its bootloader."""
    LOST = "lost"
    """It does not come back, whatever may run on it, or a further run fails."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One loss of power and its outcome."""

    n: int
    torn: Torn
    operation: Operation | None
    """None: after the last one."""
    outcome: Outcome
    detail: str = ""
    executed: bool = True
    """False: by a start that was executed for an earlier cut and is the same one."""

    def __str__(self) -> str:
        what = f"operation {self.n}, {self.operation}" if self.operation else "after the last operation"
        return f"{what} ({self.torn}): {self.outcome}{': ' + self.detail if self.detail else ''}"


@dataclass(slots=True)
class CutReport:
    """All cuts of one piece of work."""

    cuts: list[Cut] = field(default_factory=list)
    compared: int = 0
    """For how many of those that were joined the firmware ran all the same, and did the same."""

    @property
    def executed(self) -> int:
        """For how many of them the firmware really ran."""
        return sum(cut.executed for cut in self.cuts)

    def counts(self) -> Counter[Outcome]:
        """How many ended in which way."""
        return Counter(cut.outcome for cut in self.cuts)

    def of(self, outcome: Outcome) -> list[Cut]:
        """Those that ended so."""
        return [cut for cut in self.cuts if cut.outcome is outcome]

    def lines(self) -> Iterator[str]:
        """For people: counts, then ranges of operations with one outcome."""
        counts = ", ".join(f"{outcome}: {number}" for outcome, number in sorted(self.counts().items()))
        yield f"{len(self.cuts)} cuts, {self.executed} of them executed, {self.compared} more compared: {counts}"
        run: list[Cut] = []
        for cut in self.cuts:
            if run and run[-1].outcome is not cut.outcome:
                yield _range_line(run)
                run = []
            run.append(cut)
        if run:
            yield _range_line(run)


def _range_line(run: Sequence[Cut]) -> str:
    first, last = run[0], run[-1]
    where = f"{first.operation or 'after the last operation'}"
    return f"  operations {first.n} to {last.n} ({len(run)} cuts), from {where}: {first.outcome}"


def chosen_cuts(operations: Sequence[Operation], wanted: int) -> list[tuple[int, Torn]]:
    """About ``wanted`` cuts: in each erase, at the first and last operation of each run of programs in one sector,
    and spread over the others; erases and serial flash's pages torn in each way."""
    chosen: set[tuple[int, Torn]] = {(len(operations), Torn.NOTHING)}
    last_place: tuple[str, int] | None = None
    for n, operation in enumerate(operations):
        place = (operation.flash, operation.address >> 12)
        if operation.data is None:
            chosen |= {(n, torn) for torn in Torn}
        elif place != last_place:
            chosen |= {(n, Torn.NOTHING), (n, Torn.BITS), (max(0, n - 1), Torn.HALF)}
        last_place = place if operation.data is not None else None
    if len(chosen) < wanted and operations:
        step = max(1, len(operations) // (wanted - len(chosen)))
        kinds = tuple(Torn)
        chosen |= {(n, kinds[n // step % len(kinds)]) for n in range(0, len(operations), step)}
    order = list(Torn)
    return sorted(chosen, key=lambda cut: (cut[0], order.index(cut[1])))


def every_cut(operations: Sequence[Operation]) -> Iterator[tuple[int, Torn]]:
    """Each operation, in each way, and the cut after all of them."""
    for n in range(len(operations)):
        for torn in Torn:
            yield n, torn
    yield len(operations), Torn.NOTHING


class JoinError(Exception):
    """Starts that were taken for one and the same have differed: the outcomes are worth nothing."""


def cut_everywhere(
    board: EmulatedBoard,
    journal: FlashJournal,
    cuts: Iterable[tuple[int, Torn]],
    *,
    wanted: Sequence[Place],
    next_run: Callable[[], None],
    may_start: Callable[[Start, Contents], bool] = lambda _start, _before: False,
    settled: Callable[[], bool] | None = None,
    runs: Callable[[], str] | None = None,
    settle_s: float = 0.0,
    every_next_run: int = 1,
    compare: int = 0,
    tell: Callable[[Cut], None] = lambda _cut: None,
) -> CutReport:
    """Put the board through ``cuts`` of the work that ``journal`` recorded.

    ``wanted`` is what flash holds when the work is done; ``next_run()`` does the work again as an operator would,
    and raises when it cannot; it is tried for the first board that needs it and each ``every_next_run``-th from there,
    the others are counted apart. Where it is tried the start is executed in any case, and so it is for ``compare`` of
    the cuts, which chance takes. ``may_start()``, of a start and
    the contents before it: whether there is a whole system then, which rightly runs. ``settled``, ``settle_s`` and
    ``runs``: as :class:`JoinedStarts` says, by default until the board is on the bus. That a board which ``"hangs"``
    has a MODE button that helps is for the caller to show.

    Raises JoinError when an executed start is not the one that had been executed for such flash.
    """
    flashes = {"internal": board.internal, **({"external": board.external} if board.external else {})}
    starts = JoinedStarts(board, flashes, settled, settle_s, runs)
    report = CutReport()
    needed = 0
    listed = list(cuts)
    # The same ones in each run.
    compared = set(random.Random(len(listed)).sample(range(len(listed)), min(compare, len(listed))))
    for place, ((n, torn), (contents, changes)) in enumerate(zip(listed, journal.walk(listed), strict=True)):
        executed = starts.executed
        start = starts.start(contents, changes)
        is_new = starts.executed != executed
        outcome, detail = _outcome(start, contents, wanted, may_start)
        is_tried = outcome is Outcome.UNTRIED and needed % every_next_run == 0
        needed += outcome is Outcome.UNTRIED
        if not is_new and (is_tried or place in compared):
            _compare(starts, start, contents, flashes)
            report.compared += 1
        if is_tried:
            board.be_forgotten()
            outcome, detail = _try(next_run, lambda: _lies_in(flashes, wanted))
        operation = journal.operations[n] if n < len(journal.operations) else None
        cut = Cut(n, torn, operation, outcome, detail, is_new)
        report.cuts.append(cut)
        tell(cut)
    return report


def _outcome(
    start: Start, contents: Contents, wanted: Sequence[Place], may_start: Callable[[Start, Contents], bool]
) -> tuple[Outcome, str]:
    if not start.settled:
        return Outcome.LOST, "it does not come back"
    if start.runs == "hangs":
        return Outcome.HANGS, ""
    if start.runs != "dfu" and not may_start(start, contents):
        return Outcome.UNBRAKED, ""
    return (Outcome.ALONE if start.leads_to(contents, wanted) else Outcome.UNTRIED), ""


def _compare(starts: JoinedStarts, joined: Start, contents: Contents, flashes: Mapping[str, NorFlash]) -> None:
    """Execute a start that was joined with another, and hold what it does against that one."""
    predicted = joined.after(contents)
    executed = starts.execute(contents)
    same = replace(executed, left=joined.left) == joined
    if not same or any(predicted[name] != bytes(flash.cells) for name, flash in flashes.items()):
        raise JoinError("two starts that had read the same bytes have done different things")


def _lies_in(flashes: Mapping[str, NorFlash], wanted: Sequence[Place]) -> bool:
    return all(flashes[p.flash].cells[p.offset : p.offset + len(p.data)] == p.data for p in wanted)


def _try(next_run: Callable[[], None], is_done: Callable[[], bool]) -> tuple[Outcome, str]:
    try:
        next_run()
    except Exception as error:  # noqa: BLE001  # whatever goes wrong is the finding
        return Outcome.LOST, f"the next run fails: {type(error).__name__}: {error}"
    return (Outcome.NEXT_RUN, "") if is_done() else (Outcome.LOST, "the next run did not complete it")
