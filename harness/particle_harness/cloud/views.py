"""Rows as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from particle_harness.cloud.clock import iso
from particle_harness.cloud.tables import Account, Customer, Device, Firmware, Product, Sim

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

_CARRIER = "Particle"


def device_record(
    cloud: SimCloud, device: Device, *, detail: bool = False, firmware_target: bool = True
) -> dict[str, Any]:
    """A device. ``detail``: with functions and variables, which only the record of one device has."""
    online = device.online
    if lie := cloud.faults.for_device("lie_online", device.id):
        online = lie.online
    hidden = cloud.faults.for_device("hide_connection", device.id) is not None
    has_connected = device.last_handshake_at is not None and not hidden
    record: dict[str, Any] = {
        "id": device.id,
        "name": device.name or None,
        "notes": device.notes or None,
        "platform_id": device.platform_id,
        "product_id": device.product_id or device.quarantined_in or device.platform_id,
        "online": online,
        "connected": online,
        "cellular": bool(device.iccid),
        "status": "normal",
        "last_app": None,
        "last_heard": iso(device.last_heard) if has_connected else None,
        "last_handshake_at": iso(device.last_handshake_at) if has_connected else None,
        "last_ip_address": device.last_ip_address or None,
        "groups": device.groups,
        "development": device.development,
        "quarantined": bool(device.quarantined_in),
        "denied": bool(device.denied_in),
        "firmware_updates_enabled": device.updates_enabled,
        "firmware_updates_forced": device.updates_forced,
        "desired_firmware_version": device.desired_firmware_version,
    }
    optional = {
        "serial_number": device.serial_number,
        "mobile_secret": device.mobile_secret,
        "imei": device.imei,
        "iccid": device.iccid,
        "last_iccid": device.iccid if has_connected else "",
        "mac_wifi": device.mac_wifi,
    }
    record |= {name: value for name, value in optional.items() if value}
    if has_connected:
        record |= {
            "system_firmware_version": device.system_firmware_version,
            "firmware_version": device.firmware_version,
            "firmware_product_id": device.firmware_product_id,
        }
    if device.product_id and firmware_target:
        record["targeted_firmware_release_version"] = cloud.sessions.target_version(device)
    record |= _owner(cloud, device)
    if detail:
        record["functions"] = device.functions if has_connected else None
        record["variables"] = device.variables if has_connected else None
    return record


def _owner(cloud: SimCloud, device: Device) -> dict[str, str]:
    if not device.owner_id:
        return {}
    account = cloud.store.get(Account, device.owner_id)
    if account is not None:
        return {"owner": account.username, "user_id": account.id}
    customer = next(cloud.store.find(Customer, id=device.owner_id), None)
    return {"owner": customer.email, "customer_id": customer.id} if customer else {}


def product_record(cloud: SimCloud, product: Product) -> dict[str, Any]:
    """A product."""
    record: dict[str, Any] = {
        "id": product.id,
        "platform_id": product.platform_id,
        "name": product.name,
        "slug": product.slug,
        "description": product.description,
        "type": "Consumer",
        "hardware_version": "v1.0.0",
        "groups": sorted(product.groups),
        "settings": {"quarantine": not product.auto_approve, "location": {"opt_in": False}},
        "device_count": cloud.store.count(Device, "product_id = ?", (product.id,)),
    }
    if product.org_id:
        record["organization"] = product.org_id
    if product.device_protection:
        record["device_protection"] = product.device_protection
    return record


def sim_record(cloud: SimCloud, sim: Sim) -> dict[str, Any]:
    """A SIM."""
    device = cloud.store.get(Device, sim.device_id) if sim.device_id else None
    owner = cloud.store.get(Account, sim.owner_account) if sim.owner_account else None
    record = {
        "_id": sim.iccid,
        "iccid": sim.iccid,
        "status": sim.status,
        "base_country_code": sim.country,
        "carrier": _CARRIER,
        "activations_count": sim.activations,
        "deactivations_count": sim.deactivations,
        "first_activated_on": iso(sim.first_activated_on),
        "last_activated_on": iso(sim.last_activated_on),
        "last_activated_via": sim.last_action or None,
        "last_status_change_action": sim.last_action or None,
        "last_status_change_action_error": None,
        "updated_at": iso(sim.updated_at),
        "user_id": sim.owner_account or None,
        "owner": owner.username if owner else None,
        "product_id": sim.owner_product or None,
        "last_device_id": device.id if device and device.last_handshake_at is not None else None,
        "last_device_name": device.name or None if device else None,
        "mb_limit": sim.mb_limit or None,
    }
    if sim.pending_status:
        record["pending_state"] = "updating"
    return record


def firmware_record(cloud: SimCloud, firmware: Firmware) -> dict[str, Any]:
    """A firmware version."""
    running = cloud.store.count(
        Device, "product_id = ? AND firmware_version = ?", (firmware.product_id, firmware.version)
    )
    return {
        "_id": firmware.sha256[:24],
        "version": firmware.version,
        "title": firmware.title,
        "description": firmware.description,
        "name": firmware.name,
        "size": len(firmware.data),
        "product_default": firmware.product_default,
        "current": firmware.product_default,
        "uploaded_on": iso(firmware.uploaded_on),
        "uploaded_at": iso(firmware.uploaded_on),
        "uploaded_by": {"username": firmware.uploaded_by},
        "product_id": firmware.product_id,
        "groups": firmware.groups,
        "device_count": running,
        "mandatory": False,
    }


def pages(total: int, page: int, per_page: int) -> dict[str, Any]:
    """The ``meta`` of a list."""
    return {"total_pages": max(1, -(-total // per_page)), "total_records": total, "page": page, "per_page": per_page}
