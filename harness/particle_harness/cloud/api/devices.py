"""One device: record, changes, flash, ping, functions, variables, claim."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.api.lookup import device_of, own_device, product_of
from particle_harness.cloud.api.products import add_groups
from particle_harness.cloud.clock import iso
from particle_harness.cloud.errors import ApiError, bad_request, not_found
from particle_harness.cloud.network import NoAnswerError
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.rules import metering
from particle_harness.cloud.shapes import (
    ClaimRequest,
    DeviceChange,
    DeviceRecord,
    FunctionAnswer,
    FunctionRequest,
    Ok,
    PingAnswer,
    ProvisioningRequest,
    SerialAnswer,
    Shape,
    VariableAnswer,
)
from particle_harness.cloud.tables import Device, Product
from particle_harness.cloud.views import device_record

ROUTES = Routes()
_BOTH = ("/v1/devices/<device>", "/v1/products/<product>/devices/<device>")


@ROUTES.add("GET", "/v1/devices", scope="devices:list", answer=list[DeviceRecord])
def list_own(call: Call) -> list[dict[str, Any]]:
    """List devices that are claimed by whoever asks."""
    own = call.cloud.store.find(Device, owner_id=call.who.id)
    return [device_record(call.cloud, device) for device in own]


@ROUTES.add("GET", *_BOTH, scope="devices:get", answer=DeviceRecord, errors=(403, 404))
def get_device(call: Call) -> dict[str, Any]:
    """Tell about one device."""
    return device_record(call.cloud, device_of(call), detail=True)


@ROUTES.add(
    "PUT",
    *_BOTH,
    scope="devices:update",
    body=DeviceChange,
    answer=dict[str, Any],
    errors=(400, 403, 404),
    multipart=True,
)
def change_device(call: Call) -> dict[str, Any]:
    """Change a device's record, let it signal, or flash it over the air."""
    device = device_of(call)
    if call.files:
        return _flash(call, device)
    change: DeviceChange = call.body
    given = change.model_fields_set & set(DeviceChange.model_fields)
    if not given:
        raise bad_request("nothing to change")
    if "signal" in given:
        return _signal(call, device)
    changed: dict[str, Any] = {}
    for name in ("name", "notes", "development", "desired_firmware_version"):
        if name in given:
            value = getattr(change, name)
            setattr(device, name, "" if value is None and name in ("name", "notes") else value)
            changed[name] = value
    _change_more(call, device, changed)
    call.cloud.store.put(device)
    if change.flash or (device.updates_forced and device.online):
        call.cloud.sessions.push_firmware(device)
    return {"id": device.id, **changed, "updated_at": iso(call.cloud.now_s())}


def _change_more(call: Call, device: Device, changed: dict[str, Any]) -> None:
    change: DeviceChange = call.body
    if change.development is None and "development" in changed:
        device.development = False
    if change.groups is not None:
        product = call.cloud.store.get(Product, device.product_id) if device.product_id else None
        if product is None:
            raise bad_request("only devices of a product have groups")
        add_groups(call, product, change.groups)
        device.groups = changed["groups"] = list(dict.fromkeys(change.groups))
    if change.firmware_updates_forced is not None:
        device.updates_forced = changed["firmware_updates_forced"] = change.firmware_updates_forced
    if change.firmware_updates_enabled is not None:
        device.updates_enabled = changed["firmware_updates_enabled"] = change.firmware_updates_enabled


def _flash(call: Call, device: Device) -> dict[str, Any]:
    file = call.files[0]
    if not file.data:
        raise bad_request(f"{file.filename} is empty")
    if not device.online:
        raise ApiError(404, "Device is not connected", "Device is not connected")
    call.cloud.sessions.send_file(device, file.data)
    return {"id": device.id, "ok": True, "status": "Update started", "message": "Update started"}


def _signal(call: Call, device: Device) -> dict[str, Any]:
    signaling = str(call.body.signal) == "1"
    if not device.online:
        text = "Timed out, didn't hear back from device service"
        raise ApiError(500, text, text, code=500, errors=[{"error": text}])
    call.cloud.network.send(device.id, "signal", on=signaling)
    return {"id": device.id, "connected": True, "signaling": signaling}


# -- things that wait for the device -------------------------------------------------------------------------------


def _ask(call: Call, device: Device, do: str, **arguments: Any) -> Any:
    """The device's answer; raises NoAnswerError. Runs without the cloud's lock."""
    if not device.online or call.cloud.faults.for_device("no_answer", device.id):
        raise NoAnswerError("not connected")
    return call.cloud.network.ask(device.id, do, call.cloud.answer_timeout_s, **arguments)


def _device_apart(call: Call) -> Device:
    with call.cloud.session():
        return device_of(call)


@ROUTES.add(
    "PUT",
    *(f"{path}/ping" for path in _BOTH),
    scope="devices:ping",
    body=Shape,
    answer=PingAnswer,
    errors=(403, 404),
    waits=True,
)
def ping(call: Call) -> dict[str, Any]:
    """Ask a device for a sign of life."""
    device = _device_apart(call)
    try:
        _ask(call, device, "ping")
        return {"online": True, "ok": True}
    except NoAnswerError:
        return {"online": False, "ok": True}


@ROUTES.add(
    "POST",
    *(f"{path}/<function>" for path in _BOTH),
    scope="devices.function:call",
    body=FunctionRequest,
    answer=FunctionAnswer,
    errors=(400, 403, 404, 408),
    waits=True,
)
def call_function(call: Call) -> dict[str, Any]:
    """Call a function of the application."""
    device, name = _device_apart(call), call.params["function"]
    argument = call.body.args or call.body.arg
    if device.online and name not in (device.functions or ()):
        raise not_found(f"Function {name}")
    try:
        value = _ask(call, device, "function", name=name, argument=argument)
    except NoAnswerError as error:
        raise ApiError(408, "Timed out.", "Timed out.") from error
    return {"id": device.id, "name": device.name or None, "connected": True, "return_value": int(value)}


@ROUTES.add(
    "GET",
    *(f"{path}/<variable>" for path in _BOTH),
    scope="devices.variable:get",
    answer=VariableAnswer,
    errors=(403, 404, 408),
    waits=True,
)
def read_variable(call: Call) -> dict[str, Any]:
    """Read a variable of the application."""
    device, name = _device_apart(call), call.params["variable"]
    if device.online and name not in (device.variables or {}):
        raise ApiError(404, "Variable not found")
    try:
        value = _ask(call, device, "variable", name=name)
    except NoAnswerError as error:
        raise ApiError(408, "Timed out.", "Timed out.") from error
    info = {
        "deviceID": device.id,
        "connected": True,
        "name": device.name or None,
        "last_app": "",
        "last_heard": iso(device.last_heard),
        "last_handshake_at": iso(device.last_handshake_at),
        "product_id": device.product_id or device.platform_id,
    }
    return {"name": name, "result": value, "coreInfo": info}


# -- claims --------------------------------------------------------------------------------------------------------


@ROUTES.add("POST", "/v1/devices", body=ClaimRequest, answer=dict[str, Any], errors=(400, 403, 404))
def claim(call: Call) -> dict[str, Any]:
    """Claim a device, or make a virtual one for a product."""
    cloud, body = call.cloud, call.body
    if body.product_id and not body.id:
        return _make_virtual(call, body.product_id)
    device = cloud.store.get(Device, body.id.lower())
    if device is None:
        raise ApiError(404, "device does not exist", errors=["device does not exist"])
    if device.owner_id and device.owner_id != call.who.id:
        if body.request_transfer:
            return {"ok": True, "transfer_id": cloud.new_id(), "id": device.id}
        text = "That belongs to someone else. To request a transfer add ?request_transfer=true"
        raise ApiError(403, text, errors=[text])
    if not device.owner_id:
        if not device.online:
            raise ApiError(404, "Core isn't online", errors=[["Core isn't online", 404]])
        payer, plan = cloud.ledger.payer_of_account(call.who.id)
        if plan is not None and not metering.has_room(plan, cloud.ledger.counted(payer), 1):
            raise ApiError(403, "Device limit reached", "The free plan has room for 100 devices")
        device.owner_id = call.who.id
        cloud.store.put(device)
        if not device.product_id:
            cloud.ledger.added(device, "claimed")
    return {
        "user_id": call.who.id,
        "id": device.id,
        "deviceID": device.id,
        "claimed": True,
        "connected": device.online,
        "ok": True,
    }


def _make_virtual(call: Call, product_id: int) -> dict[str, Any]:
    call.params = {**call.params, "product": str(product_id)}
    product = product_of(call)
    device = call.cloud.population.make_device(product.platform_id, has_modem=False)
    device.owner_id, device.is_virtual = call.who.id, True
    call.cloud.store.put(device)
    call.cloud.take_into_product(device, product, "virtual device made")
    return {"ok": True, "device_id": device.id, "user_id": call.who.id, **device_record(call.cloud, device)}


@ROUTES.add("DELETE", "/v1/devices/<device>", scope="devices:release", answer=Ok, errors=(403,))
def unclaim(call: Call) -> dict[str, Any]:
    """Unclaim a device. Its SIM stays active."""
    device = own_device(call)
    if not device.product_id:
        call.cloud.ledger.removed(device, "unclaimed")
    device.owner_id = ""
    call.cloud.store.put(device)
    return {"ok": True}


# -- more ----------------------------------------------------------------------------------------------------------


@ROUTES.add("POST", "/v1/provisioning/<device>", body=ProvisioningRequest, answer=dict[str, Any], errors=(400, 403))
def set_key(call: Call) -> dict[str, Any]:
    """Replace a device's public key."""
    device = call.cloud.store.get(Device, call.params["device"].lower())
    if device is None or device.owner_id not in ("", call.who.id):
        raise ApiError(403, "Permission Denied")
    if not call.body.publicKey:
        raise bad_request("publicKey is missing")
    # Boards here tell their private key's hash, which nobody can derive from this: the next handshake sets it.
    device.key_fingerprint = ""
    call.cloud.store.put(device)
    return {"ok": True, "message": "Success!"}


@ROUTES.add("GET", "/v1/serial_numbers/<serial>", scope=None, answer=SerialAnswer, errors=(404,))
def look_up_serial(call: Call) -> dict[str, Any]:
    """Find the device that has a serial number; 50 an hour for each account."""
    call.cloud.limits.take("serials", call.who.id)
    device = next(call.cloud.store.find(Device, serial_number=call.params["serial"]), None)
    if device is None:
        raise not_found("Serial number")
    answer = {
        "ok": True,
        "serial_number": device.serial_number,
        "device_id": device.id,
        "deviceID": device.id,
        "platform_id": device.platform_id,
    }
    return answer | ({"iccid": device.iccid} if device.iccid else {})


@ROUTES.add(
    "GET",
    "/v1/products/<product>/devices/<device>/docs/<document>",
    scope="devices:get",
    answer=dict[str, Any],
    errors=(404,),
)
def get_document(call: Call) -> dict[str, Any]:
    """Tell a document that is kept with a device."""
    device = device_of(call)
    if call.params["document"] not in device.documents:
        raise not_found("Document")
    return {"doc": device.documents[call.params["document"]]}


@ROUTES.add(
    "PATCH",
    "/v1/products/<product>/devices/<device>/docs/<document>",
    scope="devices:update",
    body=Shape,
    answer=dict[str, Any],
    errors=(404,),
)
def change_document(call: Call) -> dict[str, Any]:
    """Change fields of a document that is kept with a device."""
    device, name = device_of(call), call.params["document"]
    device.documents = {**device.documents, name: {**device.documents.get(name, {}), **call.body.model_dump()}}
    call.cloud.store.put(device)
    return {"doc": device.documents[name]}


@ROUTES.add("PUT", "/v1/devices/<device>/backup_files", status=204, errors=(403,))
def backup(call: Call) -> Reply:
    """Ask for the manufacturing backup of a device: there is none here."""
    own_device(call)
    return Reply(204)


@ROUTES.add(
    "PUT",
    "/v1/products/<product>/devices/<device>/target_profile",
    scope="devices:update",
    body=Shape,
    answer=Ok,
    errors=(404,),
)
def set_profile(call: Call) -> dict[str, Any]:
    """Choose the eSIM profile by country."""
    device_of(call)
    return {"ok": True}
