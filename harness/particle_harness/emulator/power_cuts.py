"""A loss of power at every flash operation of a piece of work, and what becomes of the board.

The work is done once, recorded (:mod:`particle_harness.emulator.flash_journal`). Then, for each cut, the flash is
what the cut left, power comes back, and its own firmware runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from particle_harness.emulator.board import EmulatedBoard
from particle_harness.emulator.flash_journal import FlashJournal, Operation, Torn, put_back

_SHORT_DEBOUNCE_S = 0.002
SETTLE_LIMIT_S = 15.0
"""Of the board's time: a bootloader that copies everything and formats a file system needs about two seconds."""


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

    def __str__(self) -> str:
        what = f"operation {self.n}, {self.operation}" if self.operation else "after the last operation"
        return f"{what} ({self.torn}): {self.outcome}{': ' + self.detail if self.detail else ''}"


@dataclass(slots=True)
class CutReport:
    """All cuts of one piece of work."""

    cuts: list[Cut] = field(default_factory=list)

    def counts(self) -> Counter[Outcome]:
        """How many ended in which way."""
        return Counter(cut.outcome for cut in self.cuts)

    def of(self, outcome: Outcome) -> list[Cut]:
        """Those that ended so."""
        return [cut for cut in self.cuts if cut.outcome is outcome]

    def lines(self) -> Iterator[str]:
        """For people: counts, then ranges of operations with one outcome."""
        yield ", ".join(f"{outcome}: {number}" for outcome, number in sorted(self.counts().items()))
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


def cut_everywhere(
    board: EmulatedBoard,
    journal: FlashJournal,
    cuts: Iterable[tuple[int, Torn]],
    *,
    is_done: Callable[[], bool],
    next_run: Callable[[], None],
    may_start: Callable[[], bool] = lambda: False,
    settle_s: float = 0.0,
    every_next_run: int = 1,
    tell: Callable[[Cut], None] = lambda _cut: None,
) -> CutReport:
    """Put the board through ``cuts`` of the work that ``journal`` recorded.

    ``is_done()``: whether flash holds what the work was for; ``next_run()`` does the work again as an operator would,
    and raises when it cannot; it is tried for the first board that needs it and each ``every_next_run``-th from there,
    the others are counted apart. ``may_start()``: whether flash holds a whole system, which then rightly runs;
    ``settle_s``: how long that may go on to work once the board is on the bus.
    """
    # Whether the host waits longer or not is nothing to the firmware.
    board.debounce_s = _SHORT_DEBOUNCE_S
    flashes = {"internal": board.internal, **({"external": board.external} if board.external else {})}
    report = CutReport()
    needed = 0
    listed = list(cuts)
    for (n, torn), contents in zip(listed, journal.states(listed), strict=True):
        board.power_off()
        put_back(flashes, contents)
        operation = journal.operations[n] if n < len(journal.operations) else None
        starts_rightly = may_start()
        board.power_on()
        appeared = board.run_until(lambda: board.on_bus() is not None, SETTLE_LIMIT_S)
        if settle_s:
            board.run(settle_s)
        detail = ""
        if not appeared:
            outcome = Outcome.LOST
            detail = "it does not come onto the bus"
        elif board.state.runs != "dfu" and not starts_rightly:
            outcome = Outcome.UNBRAKED
        elif is_done():
            outcome = Outcome.ALONE
        else:
            outcome = Outcome.UNTRIED
            if needed % every_next_run == 0:
                outcome, detail = _try(next_run, is_done)
            needed += 1
        cut = Cut(n, torn, operation, outcome, detail)
        report.cuts.append(cut)
        tell(cut)
    return report


def _try(next_run: Callable[[], None], is_done: Callable[[], bool]) -> tuple[Outcome, str]:
    try:
        next_run()
    except Exception as error:  # noqa: BLE001  # whatever goes wrong is the finding
        return Outcome.LOST, f"the next run fails: {type(error).__name__}: {error}"
    return (Outcome.NEXT_RUN, "") if is_done() else (Outcome.LOST, "the next run did not complete it")
