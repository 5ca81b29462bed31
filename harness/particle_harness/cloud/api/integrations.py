"""Webhooks."""

from __future__ import annotations

import json
from typing import Any

from particle_harness.cloud.api.lookup import org_of, product_of
from particle_harness.cloud.clock import iso
from particle_harness.cloud.errors import not_found
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.shapes import (
    IntegrationRecord,
    IntegrationRequest,
    Shape,
)
from particle_harness.cloud.tables import (
    Integration,
)

ROUTES = Routes()

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
