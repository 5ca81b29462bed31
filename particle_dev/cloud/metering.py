"""Billing guard: has metering of a device started while we had it in hand?

Metering starts the first time a device comes online. Evidence covers stretches of time; the verdict is
``not_started`` only when evidence without a gap covers the whole window, from the boot in which the unit was first
seen until it was parked. What happened before that window only the cloud's records can tell.

Source: device-os v6.2.0 system/src/system_cloud_connection.cpp and services/inc/diagnostics.h (counters; they start at
0 at each boot and again after a session that connected and dropped, so the disconnect counters count too).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

GAP_TOLERANCE_S = 2.0
"""Largest gap between two pieces of evidence: less than any board needs from reset to a network."""
ZERO_COUNTERS = ("cloud:stat", "cloud:connatt", "cloud:dconn", "net:connatt", "net:dconn")
"""Diagnostics that are all 0 on a device that has not tried to connect since it booted."""
_LONGEST_UPTIME_S = 0xFFFF_FFFF
SEEN = "seen"
EVIDENCE_IDS = {
    "counters": "the device's own counters since its boot: sessions, attempts to connect, disconnects",
    "dfu": "in DFU mode, or unable to boot anything but the bootloader: no application, no connection",
    "off": "without power, which the bench had switched off",
    "halted": "held by a debug probe: nothing ran",
    "listening": "in listening mode, without an attempt to connect since its boot",
    "no_credentials": "no Wi-Fi network is stored",
    "own_application": "an application of ours runs, which connects only when told to",
    "sim_off": "the SIM was not active",
    SEEN: "it was here, and had power: the window begins then at the latest",
}
"""Kinds of evidence by id. ``dfu``, ``off``, ``halted`` and ``listening`` each keep a unit off the air; what the others
are worth, :mod:`particle_dev.cloud.gate` says."""
NETWORK_CONNECTING = frozenset({3, 4})
"""``net:stat`` values connecting and connected."""


class BillingFinding(StrEnum):
    """What one piece of evidence shows."""

    OFFLINE = "offline"
    ONLINE = "online"
    INCONCLUSIVE = "inconclusive"


class BillingVerdict(StrEnum):
    """Whether cloud billing of a unit has begun. ``unknown`` is never reported as ``not_started``."""

    NOT_STARTED = "not_started"
    STARTED = "started"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation that holds for the stretch from ``since`` to ``until`` (UTC)."""

    id: str
    statement: str
    source: str
    since: datetime
    until: datetime
    finding: BillingFinding = BillingFinding.OFFLINE


@dataclass(frozen=True, slots=True)
class Billing:
    """The verdict for a window with its evidence; ``missing`` says what stands in the way of a clearer one."""

    verdict: BillingVerdict
    since: datetime | None
    until: datetime | None
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...]


def read_counters(diagnostics: Mapping[str, int], at: datetime) -> Evidence:
    """What the diagnostics of the present boot show, for the time since that boot.

    Online: a session exists, or one existed and dropped. Inconclusive: it tried, or a number is missing.
    """
    source = "control request 100"
    uptime_s = diagnostics.get("sys:uptime")
    if uptime_s is not None and not 0 <= uptime_s <= _LONGEST_UPTIME_S:
        # What is no uptime covers no time.
        diagnostics = {name: value for name, value in diagnostics.items() if name != "sys:uptime"}
        uptime_s = None
    since = at - timedelta(seconds=uptime_s or 0)
    missing = [n for n in (*ZERO_COUNTERS, "net:stat", "sys:uptime") if n not in diagnostics]
    tried = [f"{n} = {diagnostics[n]}" for n in ZERO_COUNTERS if diagnostics.get(n)]
    if diagnostics.get("net:stat") in NETWORK_CONNECTING:
        tried.append(f"net:stat = {diagnostics['net:stat']}")
    if diagnostics.get("cloud:stat") == 2 or diagnostics.get("cloud:dconn"):
        return Evidence(
            "counters",
            f"the device has been online since it booted: {', '.join(tried)}",
            source,
            since,
            at,
            BillingFinding.ONLINE,
        )
    if tried:
        statement = f"the device has tried to connect since it booted: {', '.join(tried)}"
        return Evidence("counters", statement, source, since, at, BillingFinding.INCONCLUSIVE)
    if missing:
        statement = f"the device does not report {', '.join(missing)}"
        return Evidence("counters", statement, source, since, at, BillingFinding.INCONCLUSIVE)
    statement = f"no attempt to connect since the device booted: {', '.join(f'{n} = 0' for n in ZERO_COUNTERS)}"
    return Evidence("counters", statement, source, since, at)


def held_in_dfu(since: datetime, until: datetime) -> Evidence:
    """In DFU mode for the whole stretch: no code path of the bootloader connects."""
    return Evidence(
        "dfu", "in DFU mode or unable to boot anything else", "USB product id and enumeration", since, until
    )


def held_halted(since: datetime, until: datetime) -> Evidence:
    """Halted by a debug probe for the whole stretch."""
    return Evidence("halted", "halted by a debug probe", "debug port", since, until)


def held_off(since: datetime, until: datetime) -> Evidence:
    """Without power for the whole stretch, by the switch of the bench."""
    return Evidence("off", "without power", "power switch of the bench", since, until)


def seen_here(at: datetime) -> Evidence:
    """Known to a station at that moment, of which nothing else tells: it holds nothing back, and begins the window."""
    return Evidence(SEEN, "seen in the station", "USB", at, at)


def held_listening(counters: Evidence) -> Evidence | None:
    """For a device that says it is listening when these counters are read: None when they do not show a quiet boot. All
    connections are down while it listens, and the counters speak for the time before."""
    if counters.id != "counters" or counters.finding is not BillingFinding.OFFLINE:
        return None
    return replace(
        counters,
        id="listening",
        statement="in listening mode, no attempt to connect since it booted",
        source="control requests 72 and 100",
    )


def no_credentials(networks: Sequence[str], since: datetime, until: datetime) -> Evidence | None:
    """From the list of stored Wi-Fi networks (control request 502), for a stretch in which nobody stored any. None when
    there are some: that is no fault, they just hold nothing back."""
    if networks:
        return None
    return Evidence("no_credentials", "no Wi-Fi network is stored", "control request 502", since, until)


def own_application(sha256: str, known: Iterable[str], since: datetime, until: datetime) -> Evidence | None:
    """From the hash of the application on the device: None unless it is one of ours, of which we know that it connects
    only when told to. Nobody can see that in a binary. Whether it ran, or safe mode did, the counters tell."""
    if sha256.lower() not in {item.lower() for item in known}:
        return None
    statement = f"its application is {sha256[:16]}…, which connects only when told to"
    return Evidence("own_application", statement, "control request 90", since, until)


def judge(evidence: Iterable[Evidence], parked_at: datetime | None, now: datetime | None = None) -> Billing:
    """The verdict from the earliest evidence until ``parked_at`` (None: the unit was never parked). ``now`` is when it
    is judged, after all that was observed, by the clock of the evidence; None: nobody tells."""
    pieces = tuple(sorted(evidence, key=lambda e: e.since))
    since = pieces[0].since if pieces else None
    until = parked_at or max((e.until for e in pieces), default=None)
    online = [e for e in pieces if e.finding is BillingFinding.ONLINE]
    if online:
        return Billing(BillingVerdict.STARTED, since, until, pieces, ())
    missing = [e.statement for e in pieces if e.finding is BillingFinding.INCONCLUSIVE]
    if not pieces:
        missing.append("nothing was observed")
    if parked_at is None:
        missing.append("the unit was not parked")
    elif since is not None:
        missing += _gaps([e for e in pieces if e.finding is BillingFinding.OFFLINE], since, parked_at)
        missing += clock_set_back(pieces, now) if now is not None else []
    verdict = BillingVerdict.UNKNOWN if missing else BillingVerdict.NOT_STARTED
    return Billing(verdict, since, until, _merged(pieces), tuple(missing))


def _gaps(offline: Sequence[Evidence], since: datetime, until: datetime) -> list[str]:
    gaps = []
    covered = since
    tolerance = timedelta(seconds=GAP_TOLERANCE_S)
    for piece in offline:
        if piece.since - covered > tolerance:
            gaps.append(_gap(covered, piece.since))
        covered = max(covered, piece.until)
    if until - covered > tolerance:
        gaps.append(_gap(covered, until))
    return gaps


def clock_set_back(pieces: Iterable[Evidence], end: datetime) -> list[str]:
    """Why pieces of evidence cannot be put in order, if one is from after the ``end`` of all: what lay between two of
    them then no time of day tells. Empty: nothing says so."""
    latest = max((piece.until for piece in pieces), default=end)
    if latest - end <= timedelta(seconds=GAP_TOLERANCE_S):
        return []
    shown = [at.isoformat(timespec="seconds") for at in (latest, end)]
    return [f"the clock was set back: there is evidence until {shown[0]}, after the end of all at {shown[1]}"]


def _gap(since: datetime, until: datetime) -> str:
    stretch = f"{since.isoformat(timespec='seconds')} to {until.isoformat(timespec='seconds')}"
    return f"nobody watched the unit from {stretch}"


def _merged(pieces: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Pieces that say the same and touch each other, as one."""
    merged: list[Evidence] = []
    tolerance = timedelta(seconds=GAP_TOLERANCE_S)
    for piece in pieces:
        for n, earlier in enumerate(merged):
            same = (earlier.id, earlier.statement, earlier.finding) == (piece.id, piece.statement, piece.finding)
            if same and piece.since - earlier.until <= tolerance:
                merged[n] = replace(earlier, until=max(earlier.until, piece.until))
                break
        else:
            merged.append(piece)
    return tuple(merged)
