"""Devices of a product: list, import, remove, approve, deny."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.api.lookup import member_of, per_page_of, product_of
from particle_harness.cloud.api.products import add_groups
from particle_harness.cloud.errors import ApiError, bad_request
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.rules import metering
from particle_harness.cloud.rules.membership import ImportResult, import_result
from particle_harness.cloud.shapes import (
    DevicesPage,
    DevicesQuery,
    GroupsRequest,
    ImportAnswer,
    ImportRequest,
    Ok,
    RemoveRequest,
)
from particle_harness.cloud.tables import Account, Customer, Device, Product, Sim
from particle_harness.cloud.views import device_record, pages

ROUTES = Routes()
_DEVICES = "/v1/products/<product>/devices"
_ORDER = {
    "deviceid": "id",
    "firmwareversion": "firmware_version",
    "lastconnection": "last_handshake_at",
}


@ROUTES.add("GET", _DEVICES, scope="devices:list", query=DevicesQuery, answer=DevicesPage, errors=(403,))
def list_devices(call: Call) -> dict[str, Any]:
    """List members and quarantined devices of a product, a page at a time."""
    cloud, product = call.cloud, product_of(call)
    where, values = _condition(product, call.query)
    column = _ORDER.get(call.query.sortAttr.lower(), "last_handshake_at")
    direction = "ASC" if call.query.sortDir.lower() == "asc" else "DESC"
    per_page = per_page_of(call)
    total = cloud.store.count(Device, where, values)
    devices = cloud.store.select(
        Device,
        where,
        values,
        order=f"{column} {direction}, id ASC",
        limit=per_page,
        offset=(call.query.page - 1) * per_page,
    )
    customers = cloud.store.find(Customer, product_id=product.id)
    return {
        "devices": [device_record(cloud, device) for device in devices],
        "customers": [{"id": customer.id, "username": customer.email} for customer in customers],
        "meta": pages(total, call.query.page, per_page),
    }


def _condition(product: Product, query: DevicesQuery) -> tuple[str, list[Any]]:
    where = ["(product_id = ? OR quarantined_in = ?)"]
    values: list[Any] = [product.id, product.id]
    parts = {"id": query.deviceId.lower(), "name": query.deviceName, "serial_number": query.serialNumber}
    for column, text in parts.items():
        if text:
            where.append(f"instr(lower({column}), lower(?)) > 0")
            values.append(text)
    for group in filter(None, query.groups.split(",")):
        where.append("EXISTS (SELECT 1 FROM json_each(groups) WHERE value = ?)")
        values.append(group)
    if query.quarantined is not None:
        where.append("quarantined_in != 0" if query.quarantined else "quarantined_in = 0")
    return " AND ".join(where), values


@ROUTES.add(
    "POST", _DEVICES, scope="devices:import", body=ImportRequest, answer=ImportAnswer, errors=(400, 403), multipart=True
)
def import_devices(call: Call) -> dict[str, Any]:
    """Import devices by id, serial number, IMEI or ICCID, and their SIMs with them; approve quarantined ones."""
    cloud, product, body = call.cloud, product_of(call), call.body
    wanted = [*([body.id] if body.id else []), *body.ids]
    for file in call.files:
        wanted += [line.strip() for line in file.data.decode(errors="replace").splitlines()]
    wanted = [text for text in wanted if text]
    if not wanted:
        raise bad_request("no device ids were given")
    owner = _team_member(call, product, body.claim_user)
    results: dict[str, list[str]] = {result: [] for result in ImportResult}
    taken: list[Device] = []
    for text in dict.fromkeys(wanted):
        device = _identified(call, text)
        result = _result(call, device, product)
        results[result].append(device.id if device and result != ImportResult.INVALID else text)
        if device is not None and result == ImportResult.UPDATED:
            taken.append(device)
    payer, plan = cloud.ledger.payer_of_product(product)
    if plan is not None and not metering.has_room(plan, cloud.ledger.counted(payer), len(taken)):
        raise ApiError(403, "Device limit reached", "The free plan has room for 100 devices")
    for device in taken:
        device.owner_id = owner.id if owner else device.owner_id
        cloud.take_into_product(device, product, "imported")
        if body.import_sims and device.iccid:
            _import_embedded_sim(call, product, device.iccid)
        if device.online and not device.quarantined_in:
            cloud.sessions.push_firmware(device)
    return {
        "updated": len(taken),
        "updatedDeviceIds": results[ImportResult.UPDATED],
        "existingDeviceIds": results[ImportResult.EXISTING],
        "nonmemberDeviceIds": [],
        "invalidDeviceIds": results[ImportResult.INVALID],
    }


def _team_member(call: Call, product: Product, username: str) -> Account | None:
    if not username:
        return None
    account = next(call.cloud.store.find(Account, username=username), None)
    if account is None or account.id not in (product.owner_id, *product.team):
        raise bad_request(f"{username} is no member of the product's team")
    return account


def _identified(call: Call, text: str) -> Device | None:
    store = call.cloud.store
    device = store.get(Device, text.lower())
    for column in ("serial_number", "imei", "iccid"):
        device = device or next(store.find(Device, **{column: text}), None)
    return device


def _result(call: Call, device: Device | None, product: Product) -> str:
    if device is not None and call.cloud.faults.for_device("invalid_id", device.id):
        return ImportResult.INVALID
    return import_result(
        known=device is not None,
        device_platform=device.platform_id if device else 0,
        product_platform=product.platform_id,
        member_of=device.product_id if device else 0,
        product=product.id,
    )


def _import_embedded_sim(call: Call, product: Product, iccid: str) -> None:
    sim = call.cloud.store.get(Sim, iccid)
    if sim is not None and not sim.plastic:
        import_sim(call, product, iccid)


def import_sim(call: Call, product: Product, iccid: str, country: str = "US") -> bool:
    """Give a product a SIM and activate it. False: it belongs to somebody else."""
    sim = call.cloud.store.get(Sim, iccid)
    if sim is None:
        return False
    team = (product.owner_id, *product.team)
    is_others = sim.owner_product not in (0, product.id) or (sim.owner_account and sim.owner_account not in team)
    if is_others:
        return False
    sim.owner_product, sim.owner_account, sim.country = product.id, "", country
    call.cloud.store.put(sim)
    return call.cloud.change_sim(sim, "activate")


@ROUTES.add("DELETE", f"{_DEVICES}/<device>", scope="devices:remove", body=RemoveRequest, status=204, errors=(404,))
def remove_device(call: Call) -> Reply:
    """Remove a device from a product, or deny a quarantined one. Its SIM stays active."""
    cloud, product = call.cloud, product_of(call)
    device = member_of(call, product)
    if call.body.deny:
        device.denied_in = product.id
    elif device.denied_in == product.id:
        device.denied_in = 0
    if device.product_id == product.id:
        if device.owner_id and cloud.store.get(Account, device.owner_id) is None:
            device.owner_id = ""
        device.development, device.desired_firmware_version, device.groups = False, None, []
        device.product_id = 0
        cloud.ledger.removed(device, f"removed from product {product.id}")
    device.quarantined_in = 0
    cloud.store.put(device)
    if cloud.store.get(Account, device.owner_id) if device.owner_id else None:
        # A user's own device again.
        cloud.ledger.added(device, "in its owner's account after removal")
    return Reply(204)


@ROUTES.add("DELETE", f"{_DEVICES}/<device>/owner", scope="devices:release", answer=Ok, errors=(404,))
def unclaim(call: Call) -> dict[str, Any]:
    """Unclaim a device of a product."""
    device = member_of(call, product_of(call))
    device.owner_id = ""
    call.cloud.store.put(device)
    return {"ok": True}


@ROUTES.add("PUT", _DEVICES, scope="devices:update", body=GroupsRequest, answer=Ok, errors=(400, 404))
def change_groups(call: Call) -> dict[str, Any]:
    """Add several devices to groups, or take them out."""
    product = product_of(call)
    add, remove = call.body.metadata.get("add", []), call.body.metadata.get("remove", [])
    add_groups(call, product, add)
    devices = [member_of(call, product, device_id) for device_id in call.body.devices]
    for device in devices:
        device.groups = [name for name in dict.fromkeys([*device.groups, *add]) if name not in remove]
        call.cloud.store.put(device)
    return {"ok": True}
