"""Gate verdicts and their facts as JSON data of events; what they mean stands in ``cloud.gate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from particle_dev.cloud.facts import Baseline, Fact, FactVerdict
from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.station.events import JsonObject, parse_timestamp, timestamp


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
