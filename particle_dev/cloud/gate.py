"""The billing gate: everything that must be known before a unit may be called "never billed".

The verdict of :func:`particle_dev.cloud.metering.judge` speaks of the time in which a station had a unit in its hands.
This one speaks of the device's whole life, as the cloud tells it, and asks for both sides: the cloud's record before
and after, and for every second in which the unit had power something that kept it off the air. Missing is not a pass.

What it rests on: the cloud shows a connection in its record within ``SETTLE_S``. A cloud that for ever denies a
connection that came before the unit was in these hands cannot be told from the truth, by anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from particle_dev.cloud.facts import FACT_IDS, SETTLE_S, Fact, FactVerdict, Snapshot, sim_evidence
from particle_dev.cloud.metering import GAP_TOLERANCE_S, BillingFinding, BillingVerdict, Evidence, clock_set_back
from particle_dev.cloud.plans import CountsFrom, Plan

REQUIRED_FACTS = ("C1", "C2", "C3", "C11")
"""Of the cloud's record, before and after."""


class Radio(StrEnum):
    """A way to the cloud that a board has."""

    CELLULAR = "cellular"
    WIFI = "wifi"
    ETHERNET = "ethernet"
    """With its detection switched on. No fact holds a cable back."""


INTERLOCKS: Mapping[Radio, str | None] = {
    Radio.CELLULAR: "C7",
    Radio.WIFI: "D5",
    Radio.ETHERNET: None,
}
"""The fact that holds each radio back, whatever runs."""
_FACT_OF_EVIDENCE = {
    "sim_off": "C7",
    "counters": "D2",
    "dfu": "D4",
    "off": "D4",
    "halted": "D4",
    "listening": "D4",
    "no_credentials": "D5",
    "own_application": "D6",
}
_WATCHED = ("D2", "D6")
"""An application of ours, which the device's own counters have watched since its boot."""
_POWER_LOSS_UNSEEN = "nobody saw the unit lose its power"
_BATTERY_UNKNOWN = "the unit left USB, but a battery may keep it on"
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class GateCase:
    """What is known about one unit.

    ``powered`` are the stretches in which it had power, in order; ``is_off``: its last end is a loss of power that is
    certain. ``left_usb``: it was seen to leave the bus, which a board with a battery outlives. ``joined_at``: when it
    became a member, for one that was none at ``start``. ``radios`` None: not known, then no radio is taken for held
    back. ``stream`` is C4. ``plan`` is that of the product's owner; None: not known, then a member may count already.
    """

    powered: tuple[Span, ...]
    is_off: bool
    evidence: tuple[Evidence, ...]
    start: Snapshot | None
    end: Snapshot | None
    radios: frozenset[Radio] | None = None
    stream: Fact | None = None
    joined_at: datetime | None = None
    plan: Plan | None = None
    left_usb: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict on a device's whole life.

    ``since_baseline`` is the same about the time since its baseline was taken: the two differ for a device that was
    online before, which may or may not be billed when it arrives. ``missing`` says what stands in the way,
    ``started_by`` what proves a connection.
    """

    verdict: BillingVerdict
    since_baseline: BillingVerdict
    facts: tuple[Fact, ...]
    missing: tuple[str, ...]
    started_by: tuple[str, ...]


def cloud_not_asked(reason: str) -> Gate:
    """The gate of a unit whose cloud records nobody read."""
    return Gate(BillingVerdict.UNKNOWN, BillingVerdict.UNKNOWN, (), (f"the cloud was not asked: {reason}",), ())


def evaluate(case: GateCase) -> Gate:
    """The verdict. ``not_started`` needs every piece; ``started`` needs one proof, and nothing outweighs that."""
    facts = [f for s in (case.start, case.end) if s for f in s.facts] + ([case.stream] if case.stream else [])
    started_by = [f"{f.id}: {f.statement}" for f in facts if f.verdict is FactVerdict.FAIL]
    started_by += [e.statement for e in case.evidence if e.finding is BillingFinding.ONLINE]
    is_member = any(s.is_member for s in (case.start, case.end) if s)
    if is_member and case.plan is not None and case.plan.counts_from is CountsFrom.ADDED:
        started_by.append(f"it is a member of a product of the {case.plan.name} plan, where that alone counts")
    if started_by:
        verdict = BillingVerdict.STARTED
        return Gate(verdict, verdict, tuple(facts), (), tuple(dict.fromkeys(started_by)))
    missing = [*_records_missing(case), *_stream_missing(case), *_coverage_missing(case)]
    missing += clock_set_back(case.evidence, case.powered[-1][1]) if case.powered else []
    missing += [f"{f.id}: {f.statement}" for f in facts if f.verdict is FactVerdict.DOUBT]
    missing += [e.statement for e in case.evidence if e.finding is BillingFinding.INCONCLUSIVE]
    if case.plan is None:
        missing.append("the plan that pays is not known: in the free plan a member counts at once")
    since_baseline = BillingVerdict.UNKNOWN if missing else BillingVerdict.NOT_STARTED
    before = [f"{f.id}: {f.statement}" for f in facts if f.verdict is FactVerdict.SINCE_BASELINE]
    if before:
        missing.append(
            f"it was online before, and whether that counts is not known ({'; '.join(dict.fromkeys(before))})"
        )
    verdict = BillingVerdict.UNKNOWN if missing else BillingVerdict.NOT_STARTED
    return Gate(verdict, since_baseline, tuple(facts), tuple(dict.fromkeys(missing)), ())


def power_hint(missing: Sequence[str]) -> str:
    """What makes a loss of power one that counts, when a verdict lacks it; else empty."""
    if not {_POWER_LOSS_UNSEEN, _BATTERY_UNKNOWN} & set(missing):
        return ""
    return (
        "the gate of `particle-dev station run` sees the loss of power where the slot in the bench file says "
        "`battery = false` (nothing but USB powers the board) or by what the bench switches it (`power = …`)"
    )


def _records_missing(case: GateCase) -> list[str]:
    missing = _snapshot_missing(case.start, "before", may_be_outside=True)
    missing += _snapshot_missing(case.end, "after", may_be_outside=False)
    if not case.powered:
        missing.append("when the unit had power is not known")
    elif not case.is_off:
        missing.append(_BATTERY_UNKNOWN if case.left_usb else _POWER_LOSS_UNSEEN)
    elif case.end is not None:
        settled_at = case.powered[-1][1] + timedelta(seconds=SETTLE_S)
        if case.end.at < settled_at:
            missing.append(f"the cloud's record was read less than {SETTLE_S:.0f} s after the unit lost its power")
    if case.start is not None and case.powered and case.start.is_member and case.start.at > case.powered[-1][1]:
        missing.append("the first reading of the cloud's record came after the unit had lost its power")
    return missing


def _snapshot_missing(snapshot: Snapshot | None, when: str, *, may_be_outside: bool) -> list[str]:
    if snapshot is None:
        return [f"the cloud's record {when}: not read"]
    unread = [f"the cloud's record {when}: {reason}" for reason in snapshot.unread]
    if snapshot.is_member is None:
        return unread or [f"the cloud's record {when}: whether the device is in the product is not known"]
    if not snapshot.is_member:
        # Nobody can read the record of a device outside of his products; afterwards it must be inside.
        outside = "the device is not in the product, so its record cannot be read"
        return [] if may_be_outside else [*unread, f"the cloud's record {when}: {outside}"]
    missing = []
    for fact_id in REQUIRED_FACTS:
        fact = snapshot.fact(fact_id)
        if fact is None:
            missing.append(f"{fact_id} {when}: not known that {FACT_IDS[fact_id]}")
    return missing + [text for text in unread if not any(m.startswith(text) for m in missing)]


def _stream_missing(case: GateCase) -> list[str]:
    """C4 is asked for when the device was a member while it had power: only then the stream tells of it."""
    if case.start is None or not case.powered:
        return []
    joined_later = case.start.is_member is False and case.joined_at is not None
    if joined_later and case.joined_at is not None and case.joined_at >= case.powered[-1][1]:
        return []
    if case.stream is None:
        return [f"C4: not known that {FACT_IDS['C4']}"]
    return [] if case.stream.verdict is FactVerdict.PASS else [f"C4: {case.stream.statement}"]


def _coverage_missing(case: GateCase) -> list[str]:
    """Stretches with power in which nothing kept the unit off the air."""
    spans = spans_by_fact(case)
    held = [*spans.get("D4", ())]
    if case.radios is not None:
        interlocks = [INTERLOCKS[radio] for radio in sorted(case.radios)]
        held += _common([spans.get(fact, []) if fact else [] for fact in interlocks]) if interlocks else case.powered
    held += _common([spans.get(fact, []) for fact in _WATCHED])
    gaps = [
        f"nothing kept the unit off the air from {_text(since)} to {_text(until)}"
        for powered in case.powered
        for since, until in _uncovered(powered, held)
    ]
    if gaps and (case.radios is None or Radio.CELLULAR in case.radios):
        gaps += [
            f"its SIM could not be read {when}, so it holds nothing back: {snapshot.sim_unread}"
            for when, snapshot in (("before", case.start), ("after", case.end))
            if snapshot is not None and snapshot.sim_unread is not None
        ]
    return gaps


def spans_by_fact(case: GateCase) -> dict[str, list[Span]]:
    """For which stretches of time each fact holds."""
    evidence = [e for e in case.evidence if e.finding is BillingFinding.OFFLINE]
    sim = sim_evidence(case.start, case.end, case.powered[0][0]) if case.powered else None
    spans: dict[str, list[Span]] = {}
    for piece in [*evidence, *([sim] if sim else [])]:
        fact = _FACT_OF_EVIDENCE.get(piece.id)
        if fact is not None and piece.since <= piece.until:
            spans.setdefault(fact, []).append((piece.since, piece.until))
    return {fact: _joined(found) for fact, found in spans.items()}


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Stretches that touch, or nearly so, as one."""
    joined: list[Span] = []
    for since, until in sorted(spans):
        if joined and since - joined[-1][1] <= timedelta(seconds=GAP_TOLERANCE_S):
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((since, until))
    return joined


def _common(sides: list[list[Span]]) -> list[Span]:
    """Where all sides hold at once."""
    common = sides[0] if sides else []
    for side in sides[1:]:
        common = [
            (max(a[0], b[0]), min(a[1], b[1])) for a in common for b in side if max(a[0], b[0]) <= min(a[1], b[1])
        ]
    return common


def _uncovered(powered: Span, held: Iterable[Span]) -> list[Span]:
    tolerance = timedelta(seconds=GAP_TOLERANCE_S)
    gaps = []
    covered = powered[0]
    for since, until in _joined(held):
        if since >= powered[1]:
            break
        if since - covered > tolerance:
            gaps.append((covered, since))
        covered = max(covered, until)
    if powered[1] - covered > tolerance:
        gaps.append((covered, powered[1]))
    return gaps


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
