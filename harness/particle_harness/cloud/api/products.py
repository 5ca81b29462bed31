"""Products and their groups."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.api.lookup import device_of, may_see, org_of, product_of
from particle_harness.cloud.errors import ApiError, bad_request, not_found
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.shapes import (
    GroupAnswer,
    GroupList,
    GroupRequest,
    NewProduct,
    ProductAnswer,
    ProductList,
    Shape,
)
from particle_harness.cloud.tables import Device, Product
from particle_harness.cloud.views import product_record

ROUTES = Routes()


@ROUTES.add(
    "GET", "/v1/products", "/v1/user/products", "/v1/orgs/<org>/products", scope="products:list", answer=ProductList
)
def list_products(call: Call) -> dict[str, Any]:
    """List products."""
    org = org_of(call) if "org" in call.params else None
    found = (p for p in call.cloud.store.find(Product) if may_see(call, p) and (org is None or p.org_id == org.id))
    return {"products": [product_record(call.cloud, product) for product in found]}


@ROUTES.add("GET", "/v1/products/<product>", scope="products:get", answer=ProductAnswer, errors=(403,))
def get_product(call: Call) -> dict[str, Any]:
    """Tell about one product."""
    return {"product": product_record(call.cloud, product_of(call))}


@ROUTES.add(
    "POST", "/v1/user/products", "/v1/orgs/<org>/products", body=NewProduct, answer=ProductAnswer, errors=(400,)
)
def make_product(call: Call) -> dict[str, Any]:
    """Make a product."""
    fields = call.body.product
    org = org_of(call) if "org" in call.params else None
    product = call.cloud.population.add_product(fields.name, fields.platform_id, call.who, org=org)
    product.description = fields.description
    call.cloud.store.put(product)
    return {"ok": True, "product": product_record(call.cloud, product)}


_CONFIG = ("/v1/products/<product>/config", "/v1/products/<product>/config/<device>")


@ROUTES.add("GET", *_CONFIG, scope="configuration:get", answer=dict[str, Any], errors=(404,))
def get_config(call: Call) -> dict[str, Any]:
    """Tell the configuration of a product's devices, or of one, which is the product's until it has its own."""
    product = product_of(call)
    own = product.device_configs.get(device_of(call).id) if "device" in call.params else None
    return {"configuration": {"current": product.config if own is None else own}}


@ROUTES.add("PUT", *_CONFIG, scope="configuration:update", body=Shape, answer=dict[str, Any], errors=(404,))
def put_config(call: Call) -> dict[str, Any]:
    """Change the configuration of a product's devices, or of one of them."""
    product, config = product_of(call), call.body.model_dump()
    if "device" in call.params:
        product.device_configs = product.device_configs | {device_of(call).id: config}
    else:
        product.config = config
    call.cloud.store.put(product)
    return {"configuration": {"current": config}}


# -- groups --------------------------------------------------------------------------------------------------------

_GROUPS = "/v1/products/<product>/groups"


def group_view(call: Call, product: Product, name: str) -> dict[str, Any]:
    """A group with how many devices are in it."""
    members = sum(name in device.groups for device in call.cloud.store.find(Device, product_id=product.id))
    return {"name": name, "device_count": members, **product.groups[name]}


def _group(call: Call) -> tuple[Product, str]:
    product, name = product_of(call), call.params["group"]
    if name not in product.groups:
        raise not_found("Group")
    return product, name


@ROUTES.add("GET", _GROUPS, scope="groups:list", answer=GroupList)
def list_groups(call: Call) -> dict[str, Any]:
    """List groups."""
    product = product_of(call)
    return {"groups": [group_view(call, product, name) for name in sorted(product.groups)]}


@ROUTES.add("POST", _GROUPS, scope="groups:create", body=GroupRequest, answer=GroupAnswer, errors=(400, 409))
def make_group(call: Call) -> dict[str, Any]:
    """Make a group."""
    product = product_of(call)
    if call.body.name in product.groups:
        raise ApiError(409, f"group {call.body.name} exists")
    product.groups[call.body.name] = {"description": call.body.description, "color": call.body.color}
    call.cloud.store.put(product)
    return {"group": group_view(call, product, call.body.name)}


@ROUTES.add("GET", f"{_GROUPS}/<group>", scope="groups:get", answer=GroupAnswer, errors=(404,))
def get_group(call: Call) -> dict[str, Any]:
    """Tell about a group."""
    return {"group": group_view(call, *_group(call))}


@ROUTES.add(
    "PUT", f"{_GROUPS}/<group>", scope="groups:update", body=GroupRequest, answer=GroupAnswer, errors=(400, 404)
)
def change_group(call: Call) -> dict[str, Any]:
    """Rename a group or describe it."""
    product, name = _group(call)
    if call.body.name != name and call.body.name in product.groups:
        raise bad_request(f"group {call.body.name} exists")
    del product.groups[name]
    product.groups[call.body.name] = {"description": call.body.description, "color": call.body.color}
    call.cloud.store.put(product)
    _regroup(call, product, name, call.body.name)
    return {"group": group_view(call, product, call.body.name)}


@ROUTES.add("DELETE", f"{_GROUPS}/<group>", scope="groups:remove", status=204, errors=(404,))
def remove_group(call: Call) -> Reply:
    """Remove a group."""
    product, name = _group(call)
    del product.groups[name]
    call.cloud.store.put(product)
    _regroup(call, product, name, "")
    return Reply(204)


def _regroup(call: Call, product: Product, old: str, new: str) -> None:
    for device in call.cloud.store.find(Device, product_id=product.id):
        if old in device.groups:
            device.groups = [name for name in (new if name == old else name for name in device.groups) if name]
            call.cloud.store.put(device)


def add_groups(call: Call, product: Product, names: list[str]) -> None:
    """Make groups that a device is put into and that do not exist."""
    fresh = [name for name in names if name not in product.groups]
    for name in fresh:
        if not name or not all(c.islower() or c.isdigit() or c in "-_" for c in name):
            raise bad_request(f"{name!r} is no name of a group")
        product.groups[name] = {"description": "", "color": ""}
    if fresh:
        call.cloud.store.put(product)
