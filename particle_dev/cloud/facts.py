"""Facts about one device that the cloud tells, for the billing gate: what each record proves, and what it supports.

C1 to C11 are read from records of devices and SIMs and from the product's event stream; what the device itself shows
(D2 to D6) is evidence for stretches of time, see :mod:`particle_dev.cloud.metering`.

Source: particle-iot/docs ``src/content/reference/cloud-apis/api.md`` (fields of records); that a null
``last_handshake_at`` means "never connected" is the type of npm particle-api-js ``src/types``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from particle_dev.cloud.metering import Evidence
from particle_dev.cloud.records import DeviceRecord, SimRecord

SETTLE_S = 60.0
"""So long after the last power-off the cloud's record is read again: how late it writes is not documented."""


class FactVerdict(StrEnum):
    """What a fact says about billing."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    """Proves that the device was not online, as far as the fact reaches."""
    SINCE_BASELINE = "since_baseline"
    """It was online once, but not since the baseline was taken."""
    WEAK = "weak"
    """Supports it only: the source is late, or cached."""
    DOUBT = "doubt"
    """Speaks against it without proving the contrary."""
    FAIL = "fail"
    """Proves that it was online."""


FACT_IDS: Mapping[str, str] = {
    "C1": "the cloud knows of no handshake",
    "C2": "the cloud has never heard from it",
    "C3": "the cloud does not take it for online",
    "C4": "no event of it in the product's stream",
    "C6": "the cloud knows no functions and variables of it",
    "C7": "its SIM is not active",
    "C11": "it is in the intended product, approved, of the product's platform",
    "D2": "the device has not tried to connect since it booted",
    "D4": "it was in DFU mode, halted, or listening",
    "D5": "it holds no Wi-Fi credentials",
    "D6": "it runs an application that connects only when told to",
}
"""Facts by id. Left out is what would change no verdict: C5 (vitals), C8 and C9 (what the carrier tells of a SIM) and
C10 (billable devices of the account) come late and prove nothing that C1, C2 and C4 do not; D1 (polls of the cloud
status) and D3 (the log) say less of a boot than its counters do, and the log's first lines come before USB does; D7, a
session left in retained RAM, is lost with the power."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, as it was at ``at`` (UTC)."""

    id: str
    verdict: FactVerdict
    statement: str
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the cloud knew of a device at incoming inspection, as text; None: nothing."""

    at: datetime
    last_handshake_at: str | None
    last_heard: str | None


@dataclass(frozen=True, slots=True)
class SimState:
    """The part of a SIM's record that decides whether it holds a radio back."""

    status: str
    activations: int | None
    first_activated_on: str | None = None

    @property
    def was_never_active(self) -> bool:
        """Nobody ever activated it."""
        return self.activations == 0 and self.status == "inactive" and self.first_activated_on is None

    @property
    def is_off(self) -> bool:
        """It is not active, and not about to be."""
        return self.status in ("inactive", "deactivated")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the cloud told about a device at one moment.

    ``is_member``: whether it was in the intended product; None: not known. ``unread`` says what could not be read, and
    why; ``unread_hint`` what to do about it. ``sim`` None: there is none, or it could not be read, for the
    reason ``sim_unread``.
    """

    at: datetime
    is_member: bool | None
    facts: tuple[Fact, ...] = ()
    sim: SimState | None = None
    unread: tuple[str, ...] = ()
    sim_unread: str | None = None
    unread_hint: str = ""

    def fact(self, fact_id: str) -> Fact | None:
        """The fact of that id, if it was read."""
        return next((f for f in self.facts if f.id == fact_id), None)


def time_text(value: object | None) -> str | None:
    """A time of a record as text that can be compared and kept: the same for a text and the time it means."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return str(value)
    return value.isoformat() if isinstance(value, datetime) else None if value is None else str(value)


def baseline_of(record: DeviceRecord, at: datetime) -> Baseline:
    """The baseline that a record gives."""
    return Baseline(at, time_text(record.last_handshake_at), time_text(record.last_heard))


def device_facts(
    record: DeviceRecord, at: datetime, *, product_id: int, platform_id: int, baseline: Baseline | None = None
) -> tuple[Fact, ...]:
    """C1, C2, C3, C6 and C11 of a record. A time that the record has and the baseline, too, is no proof of a start, and
    none of the contrary."""
    source = "cloud record of the device"
    known = (baseline.last_handshake_at, baseline.last_heard) if baseline else (None, None)
    handshake = _never("C1", "handshake", record.last_handshake_at, known[0], source, at)
    heard = _never("C2", "sign of life", record.last_heard, known[1], source, at)
    facts = [handshake, heard]
    if record.online is not None:
        verdict = FactVerdict.DOUBT if record.online else FactVerdict.WEAK
        facts.append(Fact("C3", verdict, f"online: {str(record.online).lower()}", source, at))
    told = [*(record.functions or ()), *(name for name, _ in record.variables or ())]
    known_before = handshake.verdict is FactVerdict.SINCE_BASELINE
    if told and not known_before:
        statement = f"the device has told its functions and variables: {', '.join(told)}"
        facts.append(Fact("C6", FactVerdict.DOUBT, statement, source, at))
    elif not told:
        facts.append(Fact("C6", FactVerdict.WEAK, "no functions, no variables", source, at))
    facts.append(membership(record, at, product_id=product_id, platform_id=platform_id))
    return tuple(facts)


def membership(record: DeviceRecord, at: datetime, *, product_id: int, platform_id: int) -> Fact:
    """C11: DOUBT unless the device is an approved member of that product, of its platform."""
    problems = []
    if record.product_id != product_id:
        problems.append(f"it is in product {record.product_id}, not in {product_id}")
    if record.platform_id != platform_id:
        problems.append(f"the cloud has it as platform {record.platform_id}, the board is {platform_id}")
    problems += [name for name in ("quarantined", "denied") if getattr(record, name)]
    verdict = FactVerdict.DOUBT if problems else FactVerdict.PASS
    statement = "; ".join(problems) or f"approved member of product {product_id}"
    return Fact("C11", verdict, statement, "cloud record of the device", at)


def sim_fact(record: SimRecord, at: datetime) -> tuple[SimState, Fact | None]:
    """C7. No fact about a SIM that is active, or that a carrier is busy with: it holds nothing back."""
    state = SimState(record.status, record.activations_count, time_text(record.first_activated_on))
    if not state.is_off:
        return state, None
    often = "never" if state.was_never_active else f"activated {state.activations} times before"
    return state, Fact("C7", FactVerdict.PASS, f"SIM {state.status}, {often}", "cloud record of the SIM", at)


def sim_evidence(start: Snapshot | None, end: Snapshot | None, since: datetime) -> Evidence | None:
    """C7 as evidence for a stretch of time from ``since`` at the earliest, None if it covers none.

    A SIM that nobody ever activated held its radio back always; one that was off at both readings did so in between,
    if nobody activated it meanwhile.
    """
    if end is None or end.sim is None:
        return None
    source = "cloud record of the SIM"
    if end.sim.was_never_active:
        return Evidence("sim_off", "its SIM was never active", source, since, end.at)
    if start is None or start.sim is None or not (start.sim.is_off and end.sim.is_off):
        return None
    if start.sim.activations is None or start.sim.activations != end.sim.activations:
        return None
    return Evidence("sim_off", "its SIM was not active at both readings, nor in between", source, start.at, end.at)


ONLINE_EVENTS = ("spark/device/last_reset", "spark/device/safemode", "spark/status/safe-mode")
"""Events that only a device that has connected can send."""


@dataclass(frozen=True, slots=True)
class StreamWatch:
    """What a product's event stream told about one device. ``alive_until`` None: it was never proven to be alive;
    ``gaps`` are stretches in which events may have been lost."""

    since: datetime
    alive_until: datetime | None
    gaps: tuple[tuple[datetime, datetime], ...]
    events: tuple[tuple[str, str], ...]
    """Name and data of each event of the device."""


STREAM_TOLERANCE = timedelta(seconds=2)
"""So much later than the power the stream may begin: no board is online as soon."""


def began_unwatched(watch: StreamWatch, since: datetime) -> bool:
    """Whether a device had power, from ``since`` on, before the stream was watched: nothing later makes up for that."""
    return watch.since > since + STREAM_TOLERANCE


def stream_fact(watch: StreamWatch, powered: Iterable[tuple[datetime, datetime]], at: datetime) -> Fact:
    """C4 for the time in which the device had power: FAIL with the first event that shows a connection, PASS when the
    stream was alive all along, WEAK when events may have been lost."""
    source = "event stream of the product"
    for name, data in watch.events:
        if name in ONLINE_EVENTS or (name == "spark/status" and data == "online"):
            return Fact("C4", FactVerdict.FAIL, f"event {name} {data}".rstrip(), source, at)
    # The end of a session that nobody saw begin comes late, and tells of the time before; C1 speaks about that.
    others = [name for name, data in watch.events if (name, data) != ("spark/status", "offline")]
    if others:
        names = ", ".join(dict.fromkeys(others))
        return Fact("C4", FactVerdict.DOUBT, f"events of the device: {names}", source, at)
    for since, until in powered:
        if began_unwatched(watch, since) or watch.alive_until is None or watch.alive_until < until - STREAM_TOLERANCE:
            statement = "no event, but the stream was not watched while the device had power"
            return Fact("C4", FactVerdict.WEAK, statement, source, at)
        if any(lost_since < until and since < lost_until for lost_since, lost_until in watch.gaps):
            return Fact("C4", FactVerdict.WEAK, "no event, but the stream was interrupted", source, at)
    return Fact("C4", FactVerdict.PASS, "no event while the stream was alive", source, at)


def _never(fact_id: str, what: str, value: object | None, baseline: str | None, source: str, at: datetime) -> Fact:
    found = time_text(value)
    if found is None:
        return Fact(fact_id, FactVerdict.PASS, f"no {what}, ever", source, at)
    if baseline is not None and found == baseline:
        statement = f"no {what} after that of {found}, which was known before"
        return Fact(fact_id, FactVerdict.SINCE_BASELINE, statement, source, at)
    return Fact(fact_id, FactVerdict.FAIL, f"last {what}: {found}", source, at)
