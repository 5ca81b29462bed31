"""Product firmware: upload, release, impact."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from particle_harness.cloud.api.lookup import product_of
from particle_harness.cloud.api.products import add_groups
from particle_harness.cloud.errors import ApiError, bad_request, not_found
from particle_harness.cloud.firmware_file import product_of_file
from particle_harness.cloud.hub import Event
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.rules import firmware as rules
from particle_harness.cloud.rules.firmware import Release
from particle_harness.cloud.shapes import FirmwareChange, FirmwareRecord, FirmwareUpload, ImpactQuery, ReleaseRequest
from particle_harness.cloud.tables import Device, Firmware, Product
from particle_harness.cloud.views import firmware_record

ROUTES = Routes()
_FIRMWARE = "/v1/products/<product>/firmware"
_ONE = f"{_FIRMWARE}/<version>"


def _version_of(call: Call) -> Firmware:
    product = product_of(call)
    firmware = call.cloud.store.get(Firmware, f"{product.id}:{call.params['version']}")
    if firmware is None:
        raise not_found("Firmware version")
    return firmware


def _tell(call: Call, product: Product, name: str, data: dict[str, Any]) -> None:
    event = Event(name, json.dumps(data), "api", call.cloud.now_s(), product_id=product.id, publisher_id=call.who.id)
    call.cloud.hub.publish(event)


@ROUTES.add("GET", _FIRMWARE, scope="firmware:list", answer=list[FirmwareRecord])
def list_firmware(call: Call) -> list[dict[str, Any]]:
    """List firmware versions, the newest first."""
    found = sorted(call.cloud.store.find(Firmware, product_id=product_of(call).id), key=lambda f: -f.version)
    return [firmware_record(call.cloud, firmware) for firmware in found]


@ROUTES.add(
    "POST",
    _FIRMWARE,
    scope="firmware:create",
    body=FirmwareUpload,
    answer=FirmwareRecord,
    status=201,
    errors=(400,),
    multipart=True,
)
def upload(call: Call) -> dict[str, Any]:
    """Upload a firmware version."""
    product, body = product_of(call), call.body
    if not call.files or not call.files[0].data:
        raise bad_request("the field file with the firmware is missing")
    file = call.files[0]
    key = f"{product.id}:{body.version}"
    if call.cloud.store.get(Firmware, key):
        raise bad_request(f"version {body.version} already exists")
    told = product_of_file(file.data, product.platform_id)
    if told is None:
        raise bad_request("the file is no firmware of the product's platform")
    if told.version != body.version:
        raise bad_request(f"the firmware says version {told.version}, not {body.version}")
    firmware = Firmware(
        key,
        product.id,
        body.version,
        body.title,
        body.description,
        file.filename or "firmware.bin",
        file.data,
        hashlib.sha256(file.data).hexdigest(),
        call.cloud.now_s(),
        call.who.username,
    )
    firmware.ran_on = [
        device.id
        for device in call.cloud.store.find(Device, product_id=product.id)
        if device.firmware_version == body.version and device.online
    ]
    call.cloud.store.put(firmware)
    _tell(call, product, "particle/firmware/create", {"version": body.version})
    return firmware_record(call.cloud, firmware)


@ROUTES.add("GET", _ONE, scope="firmware:get", answer=FirmwareRecord, errors=(404,))
def get_version(call: Call) -> dict[str, Any]:
    """Tell about a version."""
    return firmware_record(call.cloud, _version_of(call))


@ROUTES.add("PUT", _ONE, scope="firmware:update", body=FirmwareChange, answer=FirmwareRecord, errors=(400, 404))
def change_version(call: Call) -> dict[str, Any]:
    """Change title and description."""
    firmware = _version_of(call)
    firmware.title = call.body.title if call.body.title is not None else firmware.title
    firmware.description = call.body.description if call.body.description is not None else firmware.description
    call.cloud.store.put(firmware)
    return firmware_record(call.cloud, firmware)


@ROUTES.add("DELETE", _ONE, scope="firmware:remove", status=204, errors=(400, 404))
def delete_version(call: Call) -> Reply:
    """Delete a version that was never released."""
    firmware = _version_of(call)
    if firmware.was_released:
        raise bad_request("a version that was released stays")
    call.cloud.store.delete(firmware)
    return Reply(204)


@ROUTES.add("GET", f"{_ONE}/binary", scope="firmware.binary:get", errors=(404,))
def binary(call: Call) -> bytes:
    """Download a version."""
    return _version_of(call).data


@ROUTES.add(
    "PUT",
    f"{_FIRMWARE}/release",
    scope="firmware:release",
    body=ReleaseRequest,
    answer=FirmwareRecord,
    errors=(400, 404),
)
def release(call: Call) -> dict[str, Any]:
    """Release a version to groups, or to all as the product's default."""
    cloud, product, body = call.cloud, product_of(call), call.body
    call.params = {**call.params, "version": str(body.version)}
    firmware = _version_of(call)
    if not firmware.ran_on:
        raise ApiError(400, f"version {body.version} has not run on a device of this product that came online with it")
    # Older clients name neither and mean all devices.
    is_default = body.product_default or (not body.groups and "product_default" not in body.model_fields_set)
    if not is_default and not body.groups:
        raise bad_request("product_default or groups must be given")
    add_groups(call, product, body.groups)
    for other in cloud.store.find(Firmware, product_id=product.id):
        other.product_default = other.product_default and not is_default
        other.groups = [name for name in other.groups if name not in body.groups]
        if other.version == body.version:
            other.product_default = other.product_default or is_default
            other.groups = sorted({*other.groups, *body.groups})
            other.was_released = True
        cloud.store.put(other)
    _tell(call, product, "particle/firmware/release", {"immediate": body.intelligent, "version": body.version})
    if body.intelligent:
        for device in cloud.store.find(Device, product_id=product.id):
            if device.online:
                cloud.sessions.push_firmware(device)
    return firmware_record(cloud, _version_of(call))


@ROUTES.add(
    "GET",
    "/v1/products/<product>/impact",
    scope="groups.impact:get",
    query=ImpactQuery,
    answer=dict[str, Any],
    errors=(400,),
)
def impact(call: Call) -> dict[str, Any]:
    """Tell how many devices a release would update."""
    product, query = product_of(call), call.query
    groups = {name for name in query.groups.split(",") if name}
    releases = []
    for firmware in call.cloud.store.find(Firmware, product_id=product.id):
        is_it = firmware.version == query.firmware_version
        default = is_it if query.product_default else firmware.product_default
        releases.append(Release(firmware.version, default, tuple(groups if is_it else set(firmware.groups) - groups)))
    updated = online = 0
    for device in call.cloud.store.find(Device, product_id=product.id):
        target = rules.target_version(
            releases,
            is_member=True,
            development=device.development,
            desired=device.desired_firmware_version,
            groups=device.groups,
        )
        if target == query.firmware_version and rules.must_update(target, device.firmware_version):
            updated += 1
            online += device.online
    return {"impact": {"devices": updated, "online": online}, "device_count": updated}
