"""Events: publish, and streams by user, device, product and organization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from particle_harness.cloud.api.lookup import member_of, org_of, own_device, product_of
from particle_harness.cloud.hub import Event
from particle_harness.cloud.routes import Call, Routes
from particle_harness.cloud.shapes import EventsQuery, Ok, PublishRequest
from particle_harness.cloud.stream import EventStream
from particle_harness.cloud.tables import Device, Product

ROUTES = Routes()
_STREAM: dict[str, Any] = {"scope": "events:get", "query": EventsQuery, "is_stream": True, "errors": (403, 404, 529)}


@ROUTES.add(
    "POST",
    "/v1/devices/events",
    "/v1/products/<product>/events",
    scope="events:send",
    body=PublishRequest,
    answer=Ok,
    errors=(400,),
)
def publish(call: Call) -> dict[str, Any]:
    """Publish an event."""
    product = product_of(call) if "product" in call.params else None
    body: PublishRequest = call.body
    call.cloud.hub.publish(
        Event(
            body.name,
            body.data,
            "api",
            call.cloud.now_s(),
            ttl=body.ttl,
            product_id=product.id if product else 0,
            publisher_id=call.who.id,
        )
    )
    listeners = {"product_id": product.id} if product else {"owner_id": call.who.id}
    online = [
        device.id
        for device in call.cloud.store.find(Device, **listeners)
        if device.online and bool(device.product_id) == bool(product)
    ]
    call.cloud.network.publish(online, body.name, body.data or "")
    return {"ok": True}


def _stream(call: Call, wants: Callable[[Event], bool]) -> EventStream:
    prefix = call.params.get("prefix", "")
    return EventStream(call.cloud, lambda event: event.name.startswith(prefix) and wants(event), call.ip, call.path)


@ROUTES.add("GET", "/v1/devices/events", "/v1/devices/events/<path:prefix>", "/v1/events/<path:prefix>", **_STREAM)
def of_user(call: Call) -> EventStream:
    """Stream events of devices that are claimed by whoever asks, and of that account's own publishing."""
    user_id = call.who.id
    return _stream(
        call, lambda event: event.owner_id == user_id or (event.publisher_id == user_id and not event.product_id)
    )


@ROUTES.add("GET", "/v1/devices/<device>/events", "/v1/devices/<device>/events/<path:prefix>", **_STREAM)
def of_own_device(call: Call) -> EventStream:
    """Stream events of one claimed device."""
    device_id = own_device(call).id
    return _stream(call, lambda event: event.coreid == device_id)


@ROUTES.add("GET", "/v1/products/<product>/events", "/v1/products/<product>/events/<path:prefix>", **_STREAM)
def of_product(call: Call) -> EventStream:
    """Stream events of a product's devices, claimed or not."""
    product_id = product_of(call).id
    return _stream(call, lambda event: event.product_id == product_id)


@ROUTES.add(
    "GET",
    "/v1/products/<product>/devices/<device>/events",
    "/v1/products/<product>/devices/<device>/events/<path:prefix>",
    **_STREAM,
)
def of_product_device(call: Call) -> EventStream:
    """Stream events of one device of a product."""
    device_id = member_of(call, product_of(call)).id
    return _stream(call, lambda event: event.coreid == device_id)


@ROUTES.add(
    "GET",
    "/v1/orgs/<org>/events",
    "/v1/orgs/<org>/events/<path:prefix>",
    "/v1/orgs/<org>/products/<product>/events",
    "/v1/orgs/<org>/products/<product>/events/<path:prefix>",
    **_STREAM,
)
def of_org(call: Call) -> EventStream:
    """Stream events of an organization's products, or of one of them."""
    org = org_of(call)
    if "product" in call.params:
        ids = {product_of(call).id}
    else:
        ids = {product.id for product in call.cloud.store.find(Product) if product.org_id == org.id}
    return _stream(call, lambda event: event.product_id in ids)
