"""Service agreements: plan, usage, and reports of it."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.api.lookup import org_of
from particle_harness.cloud.clock import month_of
from particle_harness.cloud.errors import not_found
from particle_harness.cloud.population import hash_of
from particle_harness.cloud.routes import Call, Routes
from particle_harness.cloud.rules import metering
from particle_harness.cloud.rules.metering import Plan
from particle_harness.cloud.shapes import (
    AgreementList,
    ReportAnswer,
    ReportRequest,
)
from particle_harness.cloud.tables import (
    UsageReport,
)

ROUTES = Routes()
REPORT_AFTER_S = 5.0

_AGREEMENTS = ("/v1/user/service_agreements", "/v1/orgs/<org>/service_agreements")


def _payer(call: Call) -> tuple[str, Plan]:
    if "org" in call.params:
        org = org_of(call)
        return f"org:{org.id}", Plan(org.plan)
    payer, plan = call.cloud.ledger.payer_of_account(call.who.id)
    return payer, plan or Plan.FREE


def _agreement_id(payer: str) -> int:
    return int(hash_of(payer)[:7], 16)


@ROUTES.add("GET", *_AGREEMENTS, scope="service_agreements:list", answer=AgreementList)
def list_agreements(call: Call) -> dict[str, Any]:
    """Tell plan, usage and limits of the present month."""
    cloud = call.cloud
    payer, plan = _payer(call)
    month = month_of(cloud.now_s())
    usage, billable = cloud.ledger.usage(payer), cloud.ledger.billable(payer, month)
    owned = cloud.ledger.counted(payer)
    blocks = max(1, metering.blocks_of(plan, len(billable)))
    most = metering.FREE_DEVICES if plan is Plan.FREE else blocks * 100
    by_kind = {
        "all": {
            "owned_devices": owned,
            "billable_devices": len(billable),
            "device_data": round(usage.cellular_bytes / 1e6, 3),
            "device_messages": usage.data_operations,
        }
    }
    attributes = {
        "agreement_type": "sandbox" if plan is Plan.FREE else "self-service" if plan is Plan.BASIC else "contract",
        "name": str(plan),
        "state": "active",
        "current_billing_period_start": f"{month}-01",
        "current_billing_period_end": f"{month}-28",
        "next_billing_period_start": f"{month}-28",
        "current_usage_summary": {
            "device_limit_reached": plan is Plan.FREE and owned >= metering.FREE_DEVICES,
            "paused": metering.is_paused(plan, usage.data_operations, usage.cellular_bytes),
            "connectivity": by_kind,
        },
        "pricing_terms": {
            "blocks": blocks,
            "device": {"max_devices": most},
            "messaging": {"max_messages": metering.FREE_DATA_OPERATIONS if plan is Plan.FREE else blocks * 720_000},
            "device_data": {"max_data": 100 if plan is Plan.FREE else blocks * 540, "uom": "MB"},
        },
    }
    return {"data": [{"id": _agreement_id(payer), "type": "service_agreement", "attributes": attributes}]}


@ROUTES.add(
    "GET",
    *(f"{path}/<agreement>/notifications" for path in _AGREEMENTS),
    scope="service_agreements.notifications:list",
    answer=AgreementList,
)
def notifications(call: Call) -> dict[str, Any]:
    """Tell which thresholds of the allowance were passed."""
    payer, plan = _payer(call)
    usage = call.cloud.ledger.usage(payer)
    share = max(
        usage.data_operations / metering.FREE_DATA_OPERATIONS, usage.cellular_bytes / metering.FREE_CELLULAR_BYTES
    )
    passed = [percent for percent in (70, 90, 100) if plan is Plan.FREE and share * 100 >= percent]
    return {"data": [{"type": "notification", "attributes": {"kind": "usage", "threshold": p}} for p in passed]}


@ROUTES.add(
    "POST",
    *(f"{path}/<agreement>/usage_reports" for path in _AGREEMENTS),
    scope="service_agreements.usage_reports:create",
    body=ReportRequest,
    answer=ReportAnswer,
    status=202,
    errors=(400, 404),
)
def ask_report(call: Call) -> dict[str, Any]:
    """Ask for a usage report."""
    payer = _own_agreement(call)
    report = UsageReport(call.cloud.new_id(), payer, call.cloud.now_s(), call.body.model_dump())
    call.cloud.store.put(report)
    return {"data": _report(call, report)}


@ROUTES.add(
    "GET",
    *(f"{path}/<agreement>/usage_reports/<report>" for path in _AGREEMENTS),
    scope="service_agreements.usage_reports:get",
    answer=ReportAnswer,
    errors=(404,),
)
def get_report(call: Call) -> dict[str, Any]:
    """Tell whether a usage report is there."""
    payer = _own_agreement(call)
    report = call.cloud.store.get(UsageReport, call.params["report"])
    if report is None or report.payer != payer:
        raise not_found("Usage report")
    return {"data": _report(call, report)}


def _own_agreement(call: Call) -> str:
    payer, _ = _payer(call)
    if call.params["agreement"] != str(_agreement_id(payer)):
        raise not_found("Service agreement")
    return payer


def _report(call: Call, report: UsageReport) -> dict[str, Any]:
    is_there = call.cloud.now_s() - report.created_at >= REPORT_AFTER_S
    attributes: dict[str, Any] = {**report.request, "state": "available" if is_there else "pending"}
    if is_there:
        attributes["download_url"] = f"/sim/v1/usage_reports/{report.id}.csv"
    return {"id": report.id, "type": "usage_report", "attributes": attributes}


@ROUTES.add("GET", "/sim/v1/usage_reports/<file>", auth=False, public=False)
def download_report(call: Call) -> bytes:
    """Download a usage report."""
    report = call.cloud.store.get(UsageReport, call.params["file"].removesuffix(".csv"))
    if report is None:
        raise not_found("Usage report")
    month = str(report.request["date_period_start"])[:7]
    rows = [f"{device_id},1" for device_id in call.cloud.ledger.billable(report.payer, month)]
    return "\n".join(["device_id,billable", *rows, ""]).encode()
