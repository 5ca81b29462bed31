"""particle-api-js 12.0.3, and the 11.1.7 inside particle-cli, at the simulated cloud: every call it has for what the
simulator can do; answers are held to the types that 12.0.3 declares by TypeScript's compiler."""

import json
import subprocess
import threading
import time

import pytest
from particle_harness.boards import hardware
from particle_harness.cloud import SimDevice
from particle_harness.cloud.tables import Sim
from particle_harness.factory import app_stand_in

from particle_dev.protocol.module import Product
from particle_dev.protocol.module_edit import set_product

VERSION = 7
# Result of a call, and the type that its answer has. Fields of lists and wrappers are named by JavaScript.
TYPES = {
    "login": "LoginResponse",
    "sendOtp": "LoginResponse",
    "loginAsClientOwner": "LoginResponse",
    "createCustomer": "CreateCustomerResponse",
    "mfa": "MfaRequiredResponse",
    "getUserInfo": "UserInfo",
    "trackingIdentity": "TrackingIdentityResponse",
    "trackingIdentityShort": "TrackingIdentityResponse",
    "listProducts": "{ products: T.ProductInfo[] }",
    "getProduct": "{ product: T.ProductInfo }",
    "listProductDevices": "DeviceListResponse",
    "listDevices": "DeviceInfo[]",
    "getProductDevice": "DeviceInfo",
    "getByName": "DeviceInfo",
    "provisionDevice": "DeviceInfo",
    "claimDevice": "ClaimResponse",
    "callFunction": "FunctionCallResponse",
    "getVariable": "DeviceVariableResponse",
    "getClaimCode": "ClaimCodeResponse",
    "ownClaimCode": "ClaimCodeResponse",
    "lookupSerialNumber": "SerialNumberResponse",
    "uploadProductFirmware": "ProductFirmwareInfo",
    "listProductFirmware": "ProductFirmwareInfo[]",
    "getProductFirmware": "ProductFirmwareInfo",
    "updateProductFirmware": "ProductFirmwareInfo",
    "listSIMs": "{ sims: T.SimInfo[] }",
    "getSIMDataUsage": "SimDataUsage",
    "getFleetDataUsage": "SimDataUsage",
    "listTeamMembers": "{ team: T.TeamMember[] }",
    "createOAuthClient": "{ client: T.OAuthClientInfo }",
    "updateOAuthClient": "{ client: T.OAuthClientInfo }",
    "listOAuthClients": "{ clients: T.OAuthClientInfo[] }",
    "createWebhook": "CreateWebhookResponse",
    "listWebhooks": "WebhookInfo[]",
    "createIntegration": "IntegrationInfo",
    "editIntegration": "IntegrationInfo",
    "listIntegrations": "IntegrationInfo[]",
    "setProductConfiguration": "ProductConfigurationResponse",
    "getProductConfiguration": "ProductConfigurationResponse",
    "listBuildTargets": "BuildTargetsResponse",
    "listDeviceOsVersions": "DeviceOsVersion[]",
    "getDeviceOsVersion": "DeviceOsVersion",
}
REFUSED = {
    "badLogin": (400, "User credentials are invalid"),
    "unknownProduct": (403, "Permission denied"),
    "unknownDevice": (404, "Device not found for this product"),
    "noFunction": (404, "Function none not found"),
    "uploadAgain": (400, "already exists"),
    "checkNoSIM": (404, ""),
    "compileCode": (400, "has no compiler"),
    "afterLogout": (401, "invalid"),
}
NO_CONTENT = {
    "checkSIM",
    "removeSIM",
    "removeTeamMember",
    "deleteOAuthClient",
    "deleteIntegration",
    "removeDevice",
    "downloadManufacturingBackup",
}


def run_everything(site, major):
    people, cloud = site.cloud.population, site.cloud
    people.add_account("mfa@example.com", "password", mfa_secret="123456")
    device, foreign = (people.make_device("argon") for _ in range(2))
    boron, free = (people.make_device("boron") for _ in range(2))
    borons = people.add_product("Borons", "boron", site.owner)
    with cloud.session():
        boron.product_id = 0
        cloud.take_into_product(boron, borons, "test")
        sim = next(cloud.store.select(Sim, "iccid = ?", (boron.iccid,)))
        sim.owner_product, sim.status = borons.id, "active"
        cloud.store.put(sim)
    SimDevice(cloud, boron).connect()
    online = SimDevice(cloud, device, functions={"led": len}, variables={"volts": 3.3})
    online.connect()
    SimDevice(cloud, foreign).connect()
    app = set_product(app_stand_in(hardware("argon"), 4201), Product(site.product.id, VERSION))
    results = site.api_js(
        major,
        "everything",
        device=device.id,
        foreign=foreign.id,
        boron=boron.id,
        borons=borons.id,
        iccid=boron.iccid,
        freeIccid=free.iccid,
        serial=boron.serial_number,
        firmware=app.hex(),
        version=VERSION,
    )
    return results, online, app


@pytest.mark.parametrize("major", [12, 11])
def test_every_call_is_answered(site, major):
    results, online, app = run_everything(site, major)
    for name, result in results.items():
        if name in REFUSED:
            status, text = REFUSED[name]
            assert result["failed"], name
            assert result["status"] == status, (name, result)
            assert text in result["text"], (name, result)
        elif name in NO_CONTENT:
            assert result.get("status", 204) == 204, (name, result)
        elif name != "mfa":
            assert not result.get("failed"), (name, result)
            assert "bytes" in result or result["status"] in (200, 201), (name, result)
    assert set(REFUSED) < set(results)
    imported = results["addFileToProduct"]["body"]
    assert imported["existingDeviceIds"] == [online.id]
    assert len(imported["invalidDeviceIds"]) == 1
    assert results["callFunction"]["body"]["return_value"] == 3
    assert results["getVariable"]["body"]["result"] == 3.3
    assert online.signals
    assert online.received[0] == app
    assert results["downloadProductFirmware"] == {"bytes": app.hex()}
    assert results["releaseProductFirmware"]["body"]["product_default"] is True
    assert bytes.fromhex(results["downloadFile"]["bytes"])[0x200:]
    assert results["getProductDeviceConfiguration"]["body"]["configuration"]["current"] == {"a": {"b": 2}}
    assert results["configurationOfAll"]["body"]["configuration"]["current"] == {"a": {"b": 1}}
    assert site.cloud.ledger.has_connected(online.id)


def test_answers_are_of_the_declared_types(site, judges, tmp_path):
    results, _, _ = run_everything(site, 12)
    lines = ["import type * as T from 'particle-api-js/lib/src/types/responses';"]
    for name, kind in TYPES.items():
        assert "body" in results[name], (name, results[name])
        declared = kind if kind.startswith("{") else f"T.{kind}"
        # By way of a variable, so that fields beyond those declared are no error: answers gain some over time.
        lines += [
            f"const a_{name} = {literal(results[name]['body'])};",
            f"export const b_{name}: {declared} = a_{name};",
        ]
    assert errors_of(judges, tmp_path, lines) == ""
    broken = [line.replace('"online": ', '"onlin": ') for line in lines]
    assert "online" in errors_of(judges, tmp_path, broken), "the compiler looks at the answers"


def literal(value):
    """JSON whose texts keep their own type, so that they fit where the types list words."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value) + (" as const" if isinstance(value, str) else "")


def errors_of(judges, folder, lines):
    (folder / "answers.ts").write_text("\n".join(lines) + "\n")
    modules = judges / "cloud" / "node_modules"
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(modules)
    options = ["--noEmit", "--target", "es2022", "--module", "commonjs", "--skipLibCheck"]
    compiler = modules / "typescript" / "bin" / "tsc"
    run = subprocess.run(
        ["node", str(compiler), *options, "answers.ts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return run.stdout + run.stderr


@pytest.mark.parametrize("major", [12, 11])
def test_a_stream_stays_open_and_comes_back_after_a_restart(site, major, tmp_path):
    """Silent for longer than either version stands without keep-alive bytes (13 s and 15 s); then the server drops
    every stream, and events come again."""
    device = site.cloud.population.make_device("argon")
    with site.cloud.session():
        site.cloud.take_into_product(device, site.product, "test")
    online = SimDevice(site.cloud, device)
    online.connect()
    found, listening = {}, tmp_path / "listening"
    options = {"prefix": "temperature", "seconds": 26, "listening": str(listening)}
    thread = threading.Thread(target=lambda: found.update(site.api_js(major, "listen", **options)))
    thread.start()
    wait_until(listening.exists)
    assert site.cloud.hub.listeners == 1
    online.publish("temperature", "1")
    online.publish("pressure", "1")
    ends_s = time.monotonic() + 18
    wait_until(lambda: time.monotonic() > ends_s)
    assert site.cloud.limits.most_used("streams") == 1, "no reconnect within 18 silent seconds"
    online.publish("temperature", "2")
    site.cloud.hub.close_all()
    wait_until(lambda: site.cloud.hub.listeners == 0)
    wait_until(lambda: site.cloud.hub.listeners == 1)
    online.publish("temperature", "3")
    thread.join()
    assert [event["data"] for event in found["events"]] == ["1", "2", "3"]
    assert {event["coreid"] for event in found["events"]} == {device.id}
    assert found["reconnects"] == 1


def wait_until(holds, timeout_s=30):
    ends_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < ends_s
        pause.wait(0.05)
