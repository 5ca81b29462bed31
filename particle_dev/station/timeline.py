"""Geometry of a run's time-line: one row per slot, one bar per step, labels that never overlap.

All lengths are SVG user units; the drawing is ``WIDTH`` wide. Starts of the station that followed a crash are
put one after the other, since the time between them was no work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from particle_dev.station.events import StepStatus, parse_timestamp
from particle_dev.station.run_record import Attempt, RunRecord, StepRecord, UnitRecord
from particle_dev.station.wording import duration_text, name_text, time_text

WIDTH = 1160.0
_LEFT = 128.0
_RIGHT = 108.0  # room for the label of a short bar at the end of the axis
_BAR_HEIGHT = 26.0
_LANE_HEIGHT = 15.0
_ROW_GAP = 20.0
_LABEL_GAP = 5.0
_TOP = 12.0
_CHARACTER_WIDTH = 7.0  # of the 11.5 px label font where it is widest (DejaVu Sans)
_TICK_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)

_KINDS = {
    "probe": "look",
    "probe_plan": "look",
    "probe_flash": "write",
    "probe_park": "park",
    "identify": "look",
    "check": "look",
    "plan": "look",
    "enter_dfu": "mode",
    "copy": "write",
    "flash": "write",
    "verify": "verify",
    "park": "park",
    "cloud_before": "look",
    "import": "look",
    "connect": "connect",
    "connectivity": "connect",
    "disconnect": "connect",
    "unclaim": "look",
    "gate": "look",
    "label": "look",
}
_KIND_LABELS = {
    "look": "identify, check, plan, ask the cloud",
    "mode": "enter DFU mode",
    "write": "erase and write",
    "verify": "read back",
    "park": "park",
    "connect": "connect",
    "other": "other step",
    "failed": "failed",
    "interrupted": "interrupted",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One step. ``lane`` 0: the label stands in the bar; else on that line below it, with a leader."""

    x: float
    width: float
    kind: str
    label: str
    title: str
    lane: int


@dataclass(frozen=True, slots=True)
class Row:
    """One slot: ``y`` is the top of its bars, ``height`` reaches to the end of their labels."""

    y: float
    height: float
    slot: str
    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A labelled vertical line."""

    x: float
    label: str
    label_is_left: bool = False

    @property
    def label_x(self) -> float:
        """Where the label begins, or ends when it is to the left of the line."""
        return self.x - _LABEL_GAP if self.label_is_left else self.x + _LABEL_GAP


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole drawing; ``resumes`` are the marks where the station was started again."""

    width: float
    height: float
    axis_y: float
    left: float
    right: float
    bar_height: float
    lane_height: float
    rows: tuple[Row, ...]
    ticks: tuple[Mark, ...]
    resumes: tuple[Mark, ...]
    kinds: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LabelWords:
    """How labels say the name of a step, a slot, a duration, and how a step ended."""

    step: Callable[[str], str] = name_text
    slot: Callable[[str], str] = "Slot {}".format
    duration: Callable[[float], str] = duration_text
    word: Callable[[object], str] = str


def layout(record: RunRecord, words: LabelWords = LabelWords()) -> Timeline:
    """Lay out every step of every attempt of a run."""
    axis = _Axis(record, words)
    rows = []
    y = _TOP
    for slot in dict.fromkeys((*record.slots, *(unit.slot for unit in record.units))):
        units = [unit for unit in record.units if unit.slot == slot]
        bars = _place_labels([bar for unit in units for bar in axis.bars(unit)])
        height = _BAR_HEIGHT + _LANE_HEIGHT * max((bar.lane for bar in bars), default=0)
        names = ", ".join(unit.platform or "unknown" for unit in units) or "empty"
        rows.append(Row(y, height, _short(words.slot(slot), 14), _short(names, 17), bars))
        y += height + _ROW_GAP
    used = {bar.kind for row in rows for bar in row.bars}
    return Timeline(
        width=WIDTH,
        height=y + 26,
        axis_y=y - _ROW_GAP / 2,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        bar_height=_BAR_HEIGHT,
        lane_height=_LANE_HEIGHT,
        rows=tuple(rows),
        ticks=axis.ticks(),
        resumes=axis.resumes,
        kinds=tuple((kind, label) for kind, label in _KIND_LABELS.items() if kind in used),
    )


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


class _Axis:
    """Seconds of work since the run began, and where they are drawn."""

    def __init__(self, record: RunRecord, words: LabelWords) -> None:
        self._words = words
        self._starts: dict[int, datetime] = {}
        self._ends: dict[int, datetime] = {}
        self._offsets_s: dict[int, float] = {}
        offset_s = 0.0
        for run in record.attempts:
            attempts = [a for unit in record.units for a in unit.attempts if a.run_attempt == run.number]
            times = [parse_timestamp(a.started_at) for a in attempts] or [parse_timestamp(run.started_at)]
            start = min(times)
            end = max([start, *(parse_timestamp(attempt.last_event_at) for attempt in attempts)])
            self._starts[run.number], self._ends[run.number] = start, end
            self._offsets_s[run.number] = offset_s
            offset_s += (end - start).total_seconds()
        self.total_s = max(offset_s, 0.01)
        marks: list[Mark] = []
        taken_to = 0.0
        for run in record.attempts[1:]:
            x = self._x(self._offsets_s[run.number])
            label = f"resumed {time_text(run.started_at)}"
            width = len(label) * _CHARACTER_WIDTH
            is_left = x + _LABEL_GAP + width > WIDTH
            if x - is_left * width < taken_to:
                label = ""
            else:
                taken_to = x if is_left else x + width
            marks.append(Mark(x, label, is_left))
        self.resumes = tuple(marks)

    def _x(self, seconds: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * seconds / self.total_s

    def ticks(self) -> tuple[Mark, ...]:
        step_s = next((s for s in _TICK_STEPS_S if self.total_s / s <= 12), self.total_s)
        count = math.floor(self.total_s / step_s + 1e-9)
        return tuple(Mark(self._x(i * step_s), f"{i * step_s:.10g} s") for i in range(count + 1))

    def bars(self, unit: UnitRecord) -> list[Bar]:
        return [self._bar(step, attempt) for attempt in unit.attempts for step in attempt.steps]

    def _bar(self, step: StepRecord, attempt: Attempt) -> Bar:
        start = parse_timestamp(step.started_at)
        duration_s = step.duration_s
        if duration_s is None:
            # A unit without an end was worked on until the station died: at least to the last event of any slot.
            end = parse_timestamp(attempt.last_event_at) if attempt.verdict else self._ends[attempt.run_attempt]
            duration_s = max(0.0, (end - start).total_seconds())
        since_s = (start - self._starts[attempt.run_attempt]).total_seconds()
        x = self._x(self._offsets_s[attempt.run_attempt] + since_s)
        width = max(2.0, self._x(duration_s) - _LEFT)
        kind = _KINDS.get(step.name, "other") if step.status is StepStatus.PASSED else str(step.status)
        length = self._words.word("interrupted") if step.duration_s is None else self._words.duration(step.duration_s)
        label = f"{self._words.step(step.name)} {length}"
        return Bar(x, width, kind, label, f"{label}, {self._words.word(step.status)}", 0)


def _place_labels(bars: list[Bar]) -> tuple[Bar, ...]:
    """Give labels that do not fit their bar a line below, from the right: no leader crosses a label."""
    placed: list[Bar] = []
    for _, bar in sorted(enumerate(bars), key=lambda item: (item[1].x, item[0]), reverse=True):
        label_width = len(bar.label) * _CHARACTER_WIDTH
        lane = 0
        if label_width + 8 > bar.width:
            lane = 1 + max((other.lane for other in placed if other.x < bar.x + label_width + 12), default=0)
        placed.append(Bar(bar.x, bar.width, bar.kind, bar.label, bar.title, lane))
    return tuple(reversed(placed))
