"""Two goes side by side: what was done, measured and written, and where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from particle_dev.station.measurements import Measurement, unit_measurements
from particle_dev.station.record_look import Go
from particle_dev.station.run_record import ModuleRecord
from particle_dev.station.wording import version_text

Value: TypeAlias = str | float | None
_Goes: TypeAlias = tuple[Go, Go]
SLOWER_SHARE = 0.25
"""Durations that differ by more than this share of the shorter one are marked, …"""
SLOWER_S = 0.5
"""… if they also differ by more than this."""


class Form(StrEnum):
    """How a value is shown. ``word``: a name of the schema, such as ``not_started``."""

    TEXT = "text"
    WORD = "word"
    CODE = "code"
    DURATION = "duration"


class Topic(StrEnum):
    """What a part of the comparison is about."""

    UNIT = "unit"
    STEPS = "steps"
    MEASUREMENTS = "measurements"
    MODULES = "modules"
    BILLING = "billing"
    ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing of both goes; None: one of them does not have it. ``note``: limits and the like."""

    name: str
    left: Value
    right: Value
    form: Form
    differs: bool
    left_word: str = ""
    """A word beside the value, such as ``failed``."""
    right_word: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Lines about one topic."""

    topic: Topic
    lines: tuple[Line, ...]


def compare(left: Go, right: Go) -> tuple[Part, ...]:
    """Everything of two goes, in the order in which an engineer asks."""
    parts: tuple[tuple[Topic, Callable[[_Goes], Iterator[Line]]], ...] = (
        (Topic.UNIT, _unit),
        (Topic.STEPS, _steps),
        (Topic.MEASUREMENTS, _measurements),
        (Topic.MODULES, _modules),
        (Topic.BILLING, _billing),
        (Topic.ORIGIN, _origin),
    )
    return tuple(Part(topic, tuple(make((left, right)))) for topic, make in parts)


def _line(name: str, goes: _Goes, read: Callable[[Go], Value], form: Form = Form.TEXT) -> Line:
    left, right = (read(go) for go in goes)
    return Line(name, left, right, form, left != right)


def _unit(goes: _Goes) -> Iterator[Line]:
    yield _line("verdict", goes, lambda go: str(go.unit.verdict), Form.WORD)
    yield _line("error", goes, lambda go: _text((go.unit.error or {}).get("type")))
    yield _line("message", goes, lambda go: _text((go.unit.error or {}).get("message")))
    yield _line("platform", goes, lambda go: go.unit.platform)
    yield _line("attempts", goes, lambda go: str(len(go.unit.attempts)))
    yield _line("parked", goes, lambda go: go.unit.parked.mode if go.unit.parked else None, Form.WORD)
    for kind in dict.fromkeys(kind for go in goes for kind in go.names):
        yield _named(kind, goes)


def _named(kind: str, goes: _Goes) -> Line:
    """That two units have other names is no difference between them."""
    return replace(_line(kind, goes, lambda go: go.names.get(kind), Form.CODE), differs=False)


def _steps(goes: _Goes) -> Iterator[Line]:
    ours, theirs = ({step.name: step for step in go.unit.steps} for go in goes)
    for name in _merged([*ours], [*theirs]):
        one, other = ours.get(name), theirs.get(name)
        left_s, right_s = (step.duration_s if step else None for step in (one, other))
        left, right = (str(step.status) if step else "" for step in (one, other))
        yield Line(name, left_s, right_s, Form.DURATION, left != right or _is_slower(left_s, right_s), left, right)


def _merged(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Both orders in one: what only one side has stands behind what it follows there."""
    merged = list(left)
    for position, name in enumerate(right):
        if name not in merged:
            before = [merged.index(other) for other in right[:position] if other in merged]
            merged.insert(max(before, default=-1) + 1, name)
    return merged


def _is_slower(left_s: float | None, right_s: float | None) -> bool:
    if left_s is None or right_s is None:
        return left_s is not right_s
    difference_s = abs(left_s - right_s)
    return difference_s > SLOWER_S and difference_s > SLOWER_SHARE * min(left_s, right_s)


def _measurements(goes: _Goes) -> Iterator[Line]:
    ours, theirs = (_measured(go) for go in goes)
    for name in _merged([*ours], [*theirs]):
        one, other = ours.get(name), theirs.get(name)
        limits = [_limits(item) for item in (one, other) if item]
        left, right = (str(item.status) if item else "" for item in (one, other))
        # Numbers always differ a little: what counts is how they are judged, and against what.
        differs = left != right or len(set(limits)) > 1
        if one and other and one.value is None:
            differs = differs or one.text != other.text
        note = " / ".join(dict.fromkeys(limits))
        yield Line(name, _value(one), _value(other), Form.TEXT, differs, left, right, note)


def _measured(go: Go) -> Mapping[str, Measurement]:
    """The last of each name; durations stand with the steps."""
    found = unit_measurements(go.unit, go.run.recipe.get("limits") or {})
    return {f"{item.step}: {item.name}": item for item in found if item.name != "duration"}


def _value(item: Measurement | None) -> str | None:
    if item is None:
        return None
    return item.text if item.value is None else " ".join(filter(None, (f"{item.value:g}", item.units)))


def _limits(item: Measurement) -> str:
    lower, upper = ("" if bound is None else f"{bound:g}" for bound in (item.lower, item.upper))
    return f"{lower} … {upper}".strip() if lower or upper else ""


def _modules(goes: _Goes) -> Iterator[Line]:
    ours, theirs = ({f"{m.function} {m.index}": m for m in go.unit.modules} for go in goes)
    for name in _merged([*ours], [*theirs]):
        one, other = ours.get(name), theirs.get(name)
        left, right = (_read_back(module) for module in (one, other))
        texts = [_version(module) for module in (one, other)]
        hashes = {module.sha256 if module else None for module in (one, other)}
        differs = left != right or texts[0] != texts[1] or len(hashes) > 1
        yield Line(name, texts[0], texts[1], Form.CODE, differs, left, right)


def _version(module: ModuleRecord | None) -> str | None:
    return f"{version_text(module)} · {module.sha256[:12]}" if module else None


def _read_back(module: ModuleRecord | None) -> str:
    if module is None:
        return ""
    if module.read_back_sha256 is None:
        return "not_read_back"
    return "read_back" if module.read_back_sha256 == module.sha256 else "failed"


def _billing(goes: _Goes) -> Iterator[Line]:
    yield _line("billing", goes, lambda go: str(go.unit.billing.verdict), Form.WORD)
    yield _line("gate", goes, lambda go: str(go.unit.gate.verdict) if go.unit.gate else None, Form.WORD)
    yield _line("missing", goes, lambda go: "; ".join(go.unit.billing.missing) or None)
    ours, theirs = ({item.id: item for item in go.unit.billing.evidence} for go in goes)
    for name in _merged([*ours], [*theirs]):
        one, other = ours.get(name), theirs.get(name)
        left, right = (str(item.finding) if item else "" for item in (one, other))
        texts = [item.statement if item else None for item in (one, other)]
        yield Line(name, texts[0], texts[1], Form.TEXT, left != right, left, right)


def _origin(goes: _Goes) -> Iterator[Line]:
    yield _line("recipe", goes, lambda go: _text(go.run.recipe.get("name")))
    yield _line("recipe_sha256", goes, lambda go: (_text(go.run.recipe.get("sha256")) or "")[:16] or None, Form.CODE)
    yield _line("station", goes, lambda go: go.station_id, Form.CODE)
    yield _line("bench", goes, lambda go: go.run.bench)
    yield _line("slot", goes, lambda go: go.unit.slot)
    yield _line("operator", goes, lambda go: go.run.operator)
    for name in dict.fromkeys(name for go in goes for name in go.run.software):
        yield _software(name, goes)


def _software(name: str, goes: _Goes) -> Line:
    return _line(name, goes, lambda go: _text(go.run.software.get(name)))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
