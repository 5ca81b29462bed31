"""Claim codes, customers, diagnostics, integrations, usage of the service agreement."""

from __future__ import annotations

import json
from typing import Any

from particle_harness.cloud.api.lookup import device_of, org_of, product_of
from particle_harness.cloud.clock import iso, month_of
from particle_harness.cloud.errors import ApiError, bad_request, not_found
from particle_harness.cloud.population import TOKEN_LIFE_S, hash_of
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.rules import metering
from particle_harness.cloud.rules.metering import Plan
from particle_harness.cloud.shapes import (
    AgreementList,
    ClaimCodeAnswer,
    CustomerRequest,
    DiagnosticsAnswer,
    DiagnosticsQuery,
    IntegrationRecord,
    IntegrationRequest,
    ReportAnswer,
    ReportRequest,
    Shape,
)
from particle_harness.cloud.tables import (
    ClaimCode,
    Customer,
    Device,
    Diagnostics,
    Integration,
    OAuthClient,
    Product,
    Token,
    UsageReport,
)

ROUTES = Routes()
CLAIM_CODE_CHARACTERS = 63
REPORT_AFTER_S = 5.0

# -- claim codes and customers -------------------------------------------------------------------------------------


@ROUTES.add(
    "POST", "/v1/device_claims", "/v1/products/<product>/device_claims", scope=None, body=Shape, answer=ClaimCodeAnswer
)
def make_claim_code(call: Call) -> dict[str, Any]:
    """Make a code that claims the device which brings it along."""
    product_id = product_of(call).id if "product" in call.params else 0
    code = (call.cloud.new_id(40) + call.cloud.new_id(40))[:CLAIM_CODE_CHARACTERS]
    call.cloud.store.put(ClaimCode(code, call.who.id, product_id))
    own = [device.id for device in call.cloud.store.find(Device, owner_id=call.who.id)]
    return {"claim_code": code, "device_ids": own}


@ROUTES.add(
    "POST",
    "/v1/products/<product>/customers",
    auth=False,
    body=CustomerRequest,
    answer=dict[str, Any],
    errors=(400, 401),
)
def make_customer(call: Call) -> dict[str, Any]:
    """Make a customer, by the secret of an OAuth client of the product."""
    store, body = call.cloud.store, call.body
    name, secret = call.basic or (body.client_id, body.client_secret)
    client = store.get(OAuthClient, name)
    product = store.get(Product, client.product_id) if client else None
    if client is None or client.secret != secret or product is None:
        raise ApiError(401, "invalid_client", "Invalid client credentials")
    if call.params["product"] not in (str(product.id), product.slug):
        raise ApiError(401, "invalid_client", "The client is another product's")
    key = f"{product.id}:{body.email}"
    if store.get(Customer, key):
        raise bad_request("customer exists")
    customer = Customer(key, call.cloud.new_id(), product.id, body.email, hash_of(body.password))
    store.put(customer)
    token = call.cloud.new_id(40)
    store.put(Token(hash_of(token), client.account_id, client.id, call.cloud.now_s() + TOKEN_LIFE_S, customer.email))
    return {
        "ok": True,
        "id": customer.id,
        "username": customer.email,
        "token_type": "bearer",
        "access_token": token,
        "expires_in": int(TOKEN_LIFE_S),
        "refresh_token": call.cloud.new_id(40),
    }


@ROUTES.add("GET", "/v1/products/<product>/customers", scope="customers:list", answer=dict[str, Any])
def list_customers(call: Call) -> dict[str, Any]:
    """List customers."""
    found = call.cloud.store.find(Customer, product_id=product_of(call).id)
    return {"customers": [{"id": customer.id, "username": customer.email} for customer in found]}


@ROUTES.add("DELETE", "/v1/products/<product>/customers/<email>", scope="customers:remove", status=204, errors=(404,))
def remove_customer(call: Call) -> Reply:
    """Remove a customer."""
    customer = call.cloud.store.get(Customer, f"{product_of(call).id}:{call.params['email']}")
    if customer is None:
        raise not_found("Customer")
    call.cloud.store.delete(customer)
    return Reply(204)


# -- diagnostics ---------------------------------------------------------------------------------------------------

_VITALS = ("/v1/diagnostics/<device>", "/v1/products/<product>/diagnostics/<device>")


@ROUTES.add(
    "POST",
    *(f"{path}/update" for path in _VITALS),
    scope="devices.diagnostics:update",
    body=Shape,
    answer=dict[str, Any],
    errors=(403, 404),
)
def refresh(call: Call) -> dict[str, Any]:
    """Ask a device for its vitals, which come as an event."""
    device = device_of(call)
    if not device.online:
        raise ApiError(404, "Device is not connected")
    call.cloud.network.send(device.id, "diagnostics")
    return {"ok": True}


@ROUTES.add(
    "GET",
    *(f"{path}/last" for path in _VITALS),
    scope="devices.diagnostics:get",
    answer=DiagnosticsAnswer,
    errors=(403, 404),
)
def last_vitals(call: Call) -> dict[str, Any]:
    """Tell the newest vitals; 404 for a device that never sent any."""
    found = list(call.cloud.store.find(Diagnostics, device_id=device_of(call).id))
    if not found:
        raise not_found("Diagnostics")
    return {"diagnostics": _vitals(found[-1])}


@ROUTES.add(
    "GET",
    *_VITALS,
    scope="devices.diagnostics:get",
    query=DiagnosticsQuery,
    answer=DiagnosticsAnswer,
    errors=(403, 404),
)
def all_vitals(call: Call) -> dict[str, Any]:
    """Tell vitals of a stretch of time."""
    found = (_vitals(row) for row in call.cloud.store.find(Diagnostics, device_id=device_of(call).id))
    query = call.query
    kept = [v for v in found if v["updated_at"] >= query.start_date and v["updated_at"] <= (query.end_date or "9")]
    return {"diagnostics": kept}


def _vitals(row: Diagnostics) -> dict[str, Any]:
    return {"updated_at": iso(row.at) or "", "deviceID": row.device_id, "payload": row.payload}


# -- integrations --------------------------------------------------------------------------------------------------

_INTEGRATIONS = ("/v1/integrations", "/v1/products/<product>/integrations", "/v1/orgs/<org>/integrations")
_WEBHOOKS = ("/v1/webhooks", "/v1/products/<product>/webhooks")
_ALL = (*_INTEGRATIONS, *_WEBHOOKS)


def _place(call: Call) -> tuple[int, str]:
    """Product and organization of the path."""
    product_id = product_of(call).id if "product" in call.params else 0
    return product_id, org_of(call).id if "org" in call.params else ""


def _in_place(call: Call) -> list[Integration]:
    product_id, org_id = _place(call)
    found = call.cloud.store.find(Integration, product_id=product_id)
    return [i for i in found if i.org_id == org_id and (product_id or org_id or i.account_id == call.who.id)]


def _integration(call: Call) -> Integration:
    found = next((i for i in _in_place(call) if i.id == call.params["integration"]), None)
    if found is None:
        raise not_found("Webhook")
    return found


def _integration_record(integration: Integration) -> dict[str, Any]:
    place = f"/v1/products/{integration.product_id}" if integration.product_id else "/v1"
    return {
        "id": integration.id,
        "created_at": iso(integration.created_at),
        "hookUrl": f"{place}/webhooks/{integration.id}",
        "product_id": integration.product_id or None,
        **integration.settings,
    }


@ROUTES.add("GET", *_ALL, scope="integrations:list", answer=list[IntegrationRecord])
def list_integrations(call: Call) -> list[dict[str, Any]]:
    """List webhooks."""
    return [_integration_record(integration) for integration in _in_place(call)]


@ROUTES.add(
    "POST",
    *_ALL,
    scope="integrations:create",
    body=IntegrationRequest,
    answer=dict[str, Any],
    status=201,
    errors=(400,),
)
def make_integration(call: Call) -> dict[str, Any]:
    """Make a webhook."""
    product_id, org_id = _place(call)
    integration = Integration(call.cloud.new_id(), call.who.id, product_id, org_id, call.cloud.now_s())
    integration.settings = call.body.model_dump()
    call.cloud.store.put(integration)
    return {"ok": True, **_integration_record(integration)}


@ROUTES.add(
    "GET", *(f"{path}/<integration>" for path in _ALL), scope="integrations:get", answer=dict[str, Any], errors=(404,)
)
def get_integration(call: Call) -> dict[str, Any]:
    """Tell about a webhook."""
    record = _integration_record(_integration(call))
    return {"integration": record, "webhook": record}


@ROUTES.add(
    "PUT",
    *(f"{path}/<integration>" for path in _INTEGRATIONS),
    scope="integrations:update",
    body=IntegrationRequest,
    answer=dict[str, Any],
    errors=(400, 404),
)
def change_integration(call: Call) -> dict[str, Any]:
    """Change a webhook."""
    integration = _integration(call)
    integration.settings = call.body.model_dump()
    call.cloud.store.put(integration)
    return {"ok": True, **_integration_record(integration)}


@ROUTES.add(
    "DELETE",
    *(f"{path}/<integration>" for path in _INTEGRATIONS),
    scope="integrations:remove",
    status=204,
    errors=(404,),
)
def remove_integration(call: Call) -> Reply:
    """Remove a webhook."""
    call.cloud.store.delete(_integration(call))
    return Reply(204)


@ROUTES.add(
    "DELETE",
    *(f"{path}/<integration>" for path in _WEBHOOKS),
    scope="integrations:remove",
    answer=dict[str, Any],
    errors=(404,),
)
def remove_webhook(call: Call) -> dict[str, Any]:
    """Remove a webhook; here the answer has a body, without which particle-cli waits for ever."""
    call.cloud.store.delete(_integration(call))
    return {"ok": True}


@ROUTES.add(
    "POST",
    *(f"{path}/<integration>/test" for path in _INTEGRATIONS),
    scope="integrations:test",
    body=Shape,
    answer=dict[str, Any],
    errors=(404,),
)
def test_integration(call: Call) -> dict[str, Any]:
    """Let a webhook fire: nothing leaves the simulated cloud, its events come."""
    integration = _integration(call)
    return {"ok": True, "tested": integration.id, "payload": json.dumps({"event": integration.settings["event"]})}


# -- service agreements --------------------------------------------------------------------------------------------

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
