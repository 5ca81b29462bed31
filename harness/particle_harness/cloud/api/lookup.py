"""What an endpoint's path means to whoever asks: products, members, own devices, SIMs."""

from __future__ import annotations

from particle_harness.cloud.errors import ApiError, not_your_device, permission_denied
from particle_harness.cloud.routes import Call
from particle_harness.cloud.tables import Account, Device, Org, Product, Sim

MOST_PER_PAGE = 100
"""Assumed: the documentation states no highest ``per_page``."""


def org_of(call: Call) -> Org:
    """The organization of the path, by id or slug. Raises ApiError 403."""
    wanted = call.params["org"]
    for org in call.cloud.store.find(Org):
        if wanted in (org.id, org.slug) and is_in_org(call.who, org):
            return org
    raise permission_denied()


def is_in_org(account: Account, org: Org) -> bool:
    """Whether the account is a member, or an API user of the organization."""
    return account.id in org.members or account.org_id == org.id


def may_see(call: Call, product: Product) -> bool:
    """Whether the token gives access to a product."""
    who = call.who
    if who.is_programmatic and who.product_id:
        return who.product_id == product.id
    org = call.cloud.store.get(Org, product.org_id) if product.org_id else None
    return who.id in (product.owner_id, *product.team) or (org is not None and is_in_org(who, org))


def product_named(call: Call, wanted: str) -> Product | None:
    """By number or slug; None also for one that is not to be seen."""
    store = call.cloud.store
    product = store.get(Product, int(wanted)) if wanted.isdecimal() and len(wanted) < 12 else None
    product = product or next(store.find(Product, slug=wanted), None)
    return product if product is not None and may_see(call, product) else None


def product_of(call: Call) -> Product:
    """The product of the path. Raises ApiError 403, as the real cloud does for an unknown one."""
    product = product_named(call, call.params["product"])
    if product is None:
        raise permission_denied()
    return product


def member_of(call: Call, product: Product, device_id: str | None = None) -> Device:
    """The device of the path in a product, quarantined ones too. Raises ApiError 404."""
    wanted = call.params["device"] if device_id is None else device_id
    device = call.cloud.store.get(Device, wanted.lower())
    if device is None or product.id not in (device.product_id, device.quarantined_in, device.denied_in):
        raise ApiError(404, "Device not found for this product")
    return device


def own_device(call: Call) -> Device:
    """The device of the path by id or name, claimed by whoever asks. Raises ApiError 403."""
    wanted = call.params["device"]
    store = call.cloud.store
    device = store.get(Device, wanted.lower())
    if device is None:
        device = next((d for d in store.find(Device, owner_id=call.who.id) if d.name == wanted), None)
    if device is None or device.owner_id != call.who.id:
        raise not_your_device()
    return device


def device_of(call: Call) -> Device:
    """The device of the path, in a product or one's own."""
    return member_of(call, product_of(call)) if "product" in call.params else own_device(call)


def sim_of(call: Call) -> Sim:
    """The SIM of the path. Raises ApiError 404."""
    sim = call.cloud.store.get(Sim, call.params["iccid"])
    if "product" in call.params:
        is_ours = sim is not None and sim.owner_product == product_of(call).id
    else:
        is_ours = sim is not None and sim.owner_account == call.who.id
    if sim is None or not is_ours:
        raise ApiError(404, "SIM not found")
    return sim


def per_page_of(call: Call) -> int:
    """What is asked for, and not more than the server gives."""
    return min(int(call.query.per_page), MOST_PER_PAGE)
