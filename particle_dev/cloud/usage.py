"""Service agreements: what an account has, has used, and is billed for.

Source: cspell2k5/ParticleIoSDK CloudResource.swift (ServiceAgreement); cloud API reference, "Service Agreements".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from particle_dev.cloud.api import CloudApi, PathSegment
from particle_dev.cloud.replies import JsonObject


@dataclass(frozen=True, slots=True)
class Connectivity:
    """Use by one kind of connectivity: ``all``, ``wifi``, ``cellular``, ``asset_tracker``. None: not told.

    ``billable_devices`` is what metering counts.
    """

    kind: str
    owned_devices: int | None
    billable_devices: int | None
    device_data_mb: float | None
    device_messages: int | None


@dataclass(frozen=True, slots=True)
class ServiceAgreement:
    """One agreement of an account. Limits are None where the agreement has none or the cloud told none.

    ``agreement_type`` and ``state`` are the cloud's words. ``device_limit_reached`` means that no device can be added.
    """

    id: str
    agreement_type: str | None
    state: str | None
    period_start: datetime | None
    period_end: datetime | None
    device_limit_reached: bool | None
    max_devices: int | None
    max_messages: int | None
    max_data: float | None
    max_data_unit: str | None
    connectivity: tuple[Connectivity, ...]

    def used(self, kind: str = "all") -> Connectivity | None:
        """Use by this kind of connectivity."""
        return next((c for c in self.connectivity if c.kind == kind), None)


@dataclass(frozen=True, slots=True)
class UsageReport:
    """A report that the cloud makes; ``state`` goes from ``pending`` to ``available``, then there is a URL."""

    id: str
    state: str
    download_url: str | None


def service_agreements(api: CloudApi, organization: str | None = None) -> list[ServiceAgreement]:
    """Agreements of an organization (id or slug), or of the user. Scope ``service_agreements:list``."""
    return [_agreement(a) for a in api.get_object(_path(organization)).objects("data")]


def create_usage_report(
    api: CloudApi,
    agreement_id: str,
    report_type: str,
    start: datetime,
    end: datetime,
    organization: str | None = None,
) -> UsageReport:
    """Have the cloud report on ``devices`` or ``products``. Scope ``service_agreements.usage_reports:create``."""
    body = {"report_type": report_type, "date_period_start": start.isoformat(), "date_period_end": end.isoformat()}
    path = (*_path(organization), agreement_id, "usage_reports")
    return _report(api.object_of("POST", path, json=body, repeatable=False))


def usage_report(api: CloudApi, agreement_id: str, report_id: str, organization: str | None = None) -> UsageReport:
    """How far a report is. Scope ``service_agreements.usage_reports:get``."""
    return _report(api.get_object((*_path(organization), agreement_id, "usage_reports", report_id)))


def _path(organization: str | None) -> tuple[PathSegment, ...]:
    owner: tuple[PathSegment, ...] = ("user",) if organization is None else ("orgs", organization)
    return ("v1", *owner, "service_agreements")


def _agreement(data: JsonObject) -> ServiceAgreement:
    facts = data.object("attributes")
    summary = facts.optional_object("current_usage_summary")
    connectivity = summary.optional_object("connectivity") if summary else None
    terms = facts.optional_object("pricing_terms")
    device, messaging, traffic = (
        terms.optional_object(key) if terms else None for key in ("device", "messaging", "device_data")
    )
    kinds = []
    for kind, value in connectivity.data.items() if connectivity else ():
        if isinstance(value, dict):
            use = JsonObject(value, data.where, f"connectivity.{kind}")
            kinds.append(
                Connectivity(
                    kind,
                    use.optional_integer("owned_devices"),
                    use.optional_integer("billable_devices"),
                    use.optional_number("device_data"),
                    use.optional_integer("device_messages"),
                )
            )
    return ServiceAgreement(
        id=str(data.data.get("id", "")),
        agreement_type=facts.optional_text("agreement_type"),
        state=facts.optional_text("state"),
        period_start=facts.time("current_billing_period_start"),
        period_end=facts.time("current_billing_period_end"),
        device_limit_reached=summary.optional_flag("device_limit_reached") if summary else None,
        max_devices=device.optional_integer("max_devices") if device else None,
        max_messages=messaging.optional_integer("max_messages") if messaging else None,
        max_data=traffic.optional_number("max_data") if traffic else None,
        max_data_unit=traffic.optional_text("uom") if traffic else None,
        connectivity=tuple(kinds),
    )


def _report(data: JsonObject) -> UsageReport:
    inner = data.optional_object("data") or data
    facts = inner.optional_object("attributes") or inner
    return UsageReport(
        id=str(inner.data.get("id", "")),
        state=facts.text("state"),
        download_url=facts.optional_text("download_url"),
    )
