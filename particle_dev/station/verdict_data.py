"""Verdicts of the billing guard, with their evidence and facts, as JSON data of events; what they mean stands in
``cloud.metering`` and ``cloud.gate``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from particle_dev.cloud.facts import Baseline, Fact, FactVerdict
from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import Billing, BillingFinding, BillingVerdict, Evidence
from particle_dev.station.events import JsonObject, parse_timestamp, timestamp


def billing_data(billing: Billing) -> JsonObject:
    """``billing`` of a unit_finished event."""
    return {
        "verdict": str(billing.verdict),
        "window": {"from": _time_data(billing.since), "until": _time_data(billing.until)},
        "evidence": [evidence_data(item) for item in billing.evidence],
        "missing": list(billing.missing),
    }


def billing_from_data(data: Mapping[str, Any]) -> Billing:
    """The reverse of ``billing_data``. KeyError, TypeError, ValueError: no such data."""
    return Billing(
        BillingVerdict(data["verdict"]),
        _time_from_data(data["window"]["from"]),
        _time_from_data(data["window"]["until"]),
        tuple(evidence_from_data(item) for item in data["evidence"]),
        tuple(data["missing"]),
    )


def evidence_data(evidence: Evidence) -> JsonObject:
    """One piece of billing evidence as JSON data."""
    return {
        "id": evidence.id,
        "statement": evidence.statement,
        "source": evidence.source,
        "from": timestamp(evidence.since),
        "until": timestamp(evidence.until),
        "finding": str(evidence.finding),
    }


def evidence_from_data(data: Mapping[str, Any]) -> Evidence:
    """The reverse of ``evidence_data``. KeyError, TypeError, ValueError: no such data."""
    since, until = parse_timestamp(data["from"]), parse_timestamp(data["until"])
    return Evidence(data["id"], data["statement"], data["source"], since, until, BillingFinding(data["finding"]))


def gate_data(gate: Gate) -> JsonObject:
    """``gate`` of a unit_finished event."""
    return {
        "verdict": str(gate.verdict),
        "since_baseline": str(gate.since_baseline),
        "facts": [fact_data(fact) for fact in gate.facts],
        "missing": list(gate.missing),
        "started_by": list(gate.started_by),
    }


def gate_from_data(data: Mapping[str, Any]) -> Gate:
    """The reverse of ``gate_data``. KeyError, TypeError, ValueError: no such data."""
    return Gate(
        BillingVerdict(data["verdict"]),
        BillingVerdict(data["since_baseline"]),
        tuple(fact_from_data(item) for item in data["facts"]),
        tuple(data["missing"]),
        tuple(data["started_by"]),
    )


def fact_data(fact: Fact) -> JsonObject:
    """One fact as JSON data."""
    return {
        "id": fact.id,
        "verdict": str(fact.verdict),
        "statement": fact.statement,
        "source": fact.source,
        "at": timestamp(fact.at),
    }


def baseline_data(baseline: Baseline | None) -> JsonObject | None:
    """A baseline as JSON data; None: there is none, since the device is in no product that can be read."""
    if baseline is None:
        return None
    return {
        "taken_at": timestamp(baseline.at),
        "last_handshake_at": baseline.last_handshake_at,
        "last_heard_at": baseline.last_heard,
    }


def fact_from_data(data: Mapping[str, Any]) -> Fact:
    """The reverse of ``fact_data``. KeyError, TypeError, ValueError: no such data."""
    verdict = FactVerdict(data["verdict"])
    return Fact(data["id"], verdict, data["statement"], data["source"], parse_timestamp(data["at"]))


def _time_data(time: datetime | None) -> str | None:
    return timestamp(time) if time else None


def _time_from_data(text: str | None) -> datetime | None:
    return parse_timestamp(text) if text else None
