"""How many units passed, and how many did not: one answer for everything that shows a run.

What counts is the last verdict of each unit. Goes that were cut short, retried, or followed by another go at the same
unit count no more. :mod:`particle_dev.station.fold` gives each unit of the record the same verdict.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from particle_dev.station.events import EventType, StationEvent, Verdict

_OF_UNITS = (EventType.UNIT_STARTED, EventType.STEP_STARTED, EventType.STEP_FINISHED, EventType.UNIT_FINISHED)
_AFTER_UNITS = (EventType.SLOT_EMPTY, EventType.SLOT_WAITING)


@dataclass(slots=True)
class _Unit:
    slot: str
    start: int
    """In which start of the station its last go was begun."""
    verdict: Verdict = Verdict.INTERRUPTED
    in_work: bool = False
    counted: tuple[str, Verdict] | None = None
    """As what it stands in the numbers now."""


class UnitCounts:
    """Learns of a run's events one by one. A unit is known by its Device ID; until that is known, by its slot."""

    def __init__(self) -> None:
        self._start = 1
        self._named: dict[str, _Unit] = {}
        self._nameless: dict[str, _Unit] = {}
        self._working: dict[str, _Unit] = {}
        self._numbers: Counter[tuple[str, Verdict]] = Counter()

    def take(self, event: StationEvent) -> None:
        """Learn of the next event of the run."""
        if event.type == EventType.RUN_RESUMED:
            self._start += 1
            self.end_work()
        elif event.type == EventType.RUN_FINISHED:
            self.end_work()
        elif event.slot is None:
            return
        elif event.type in _OF_UNITS:
            self._of_unit(event, event.slot)
        elif event.type == EventType.UNIT_RETRIED:
            unit = self._named.get(event.unit) if event.unit else self._nameless.get(event.slot)
            if unit is not None:
                self._work_on(event.slot, unit)
        elif event.type in _AFTER_UNITS:
            self._work_on(event.slot, None)

    def end_work(self) -> None:
        """Nobody works any more: units in work stand as their events left them."""
        for slot in tuple(self._working):
            self._work_on(slot, None)

    def of_slot(self, slot: str) -> tuple[int, int]:
        """Units that passed and that did not, of those that were last in this slot. Units in work are in neither."""
        numbers = {verdict: self._numbers[slot, verdict] for verdict in Verdict}
        return numbers[Verdict.PASS], sum(numbers.values()) - numbers[Verdict.PASS]

    @property
    def passed(self) -> int:
        """Units whose last verdict is pass."""
        return sum(number for (_, verdict), number in self._numbers.items() if verdict is Verdict.PASS)

    @property
    def not_passed(self) -> int:
        """Units whose last verdict is another one, or that were cut short. Units in work are in neither."""
        return self._numbers.total() - self.passed

    @property
    def finished(self) -> int:
        """Units that passed, failed or were refused, and are not in work again."""
        return sum(number for (_, verdict), number in self._numbers.items() if verdict is not Verdict.INTERRUPTED)

    def _of_unit(self, event: StationEvent, slot: str) -> None:
        unit = self._unit(event.unit, slot)
        unit.slot = slot
        if event.type == EventType.UNIT_STARTED or unit.start != self._start:
            unit.start, unit.verdict = self._start, Verdict.INTERRUPTED
        if event.type == EventType.UNIT_FINISHED:
            unit.verdict = Verdict(event.data["verdict"])
        self._work_on(slot, None if event.type == EventType.UNIT_FINISHED else unit)
        self._count(unit)

    def _unit(self, device_id: str | None, slot: str) -> _Unit:
        if device_id is None:
            return self._nameless.setdefault(slot, _Unit(slot, self._start))
        unit = self._named.setdefault(device_id, _Unit(slot, self._start))
        if nameless := self._nameless.pop(slot, None):
            # It has told who it is: its goes so far are of this unit.
            unit.start, unit.verdict = nameless.start, Verdict.INTERRUPTED
            self._leave_out(nameless)
            if self._working.get(slot) is nameless:
                del self._working[slot]
        return unit

    def _work_on(self, slot: str, unit: _Unit | None) -> None:
        before = self._working.pop(slot, None)
        if before is not None and before is not unit:
            before.in_work = False
            self._count(before)
        if unit is not None:
            self._working[slot], unit.in_work = unit, True
            self._count(unit)

    def _count(self, unit: _Unit) -> None:
        self._leave_out(unit)
        if not unit.in_work:
            unit.counted = (unit.slot, unit.verdict)
            self._numbers[unit.counted] += 1

    def _leave_out(self, unit: _Unit) -> None:
        if unit.counted is not None:
            self._numbers[unit.counted] -= 1
            unit.counted = None
