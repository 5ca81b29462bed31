"""Billing verdicts and their evidence as JSON data of events; what they mean stands in ``cloud.metering``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

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


def _time_data(time: datetime | None) -> str | None:
    return timestamp(time) if time else None


def _time_from_data(text: str | None) -> datetime | None:
    return parse_timestamp(text) if text else None
