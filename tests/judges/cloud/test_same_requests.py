"""Our client sends what particle-api-js 12.0.3 sends for the same act: method, path, query, body and credentials.

Both talk to a server that only writes down. Differences on purpose are in DIFFERENCES, each with its reason.
"""

import email
import json
import random
import subprocess
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from particle_dev.cloud import device_os, tokens
from particle_dev.cloud.api import BackOff, CloudApi
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.firmware import ProductFirmwares
from particle_dev.cloud.integrations import Integrations
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product, products
from particle_dev.cloud.serial_numbers import SerialNumbers
from particle_dev.cloud.sims import Sims
from particle_dev.errors import ParticleDevError
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.http import HttpxLink

ID = "e00fce68aaaaaaaaaaaaaaaa"
P = 1234
ALL = Permissions(may_bill=True, may_update_devices=True)
PAGE = {"page": 1, "perPage": 100}


def members(api):
    return ProductDevices(api, P)


# name: (what api-js is called, its options, what we call)
CALLS = {
    "login": (
        "login",
        {"username": "me", "password": "pw"},
        lambda api: tokens.log_in(api, "me", Secret("pw")),
    ),
    "revoke current": ("deleteCurrentAccessToken", {}, tokens.revoke_current),
    "user": ("getUserInfo", {}, tokens.user_name),
    "my devices": ("listDevices", {}, lambda api: AccountDevices(api).list()),
    "members": (
        "listDevices",
        {"product": P, "deviceName": "x", "groups": ["a", "b"], "sortAttr": "deviceId", "sortDir": "asc", **PAGE},
        lambda api: list(members(api).list(name="x", groups=["a", "b"], sort="deviceId", descending=False)),
    ),
    "device": ("getDevice", {"deviceId": ID}, lambda api: AccountDevices(api).get(ID)),
    "member": ("getDevice", {"deviceId": ID, "product": P}, lambda api: members(api).get(ID)),
    "claim": (
        "claimDevice",
        {"deviceId": ID, "requestTransfer": True},
        lambda api: AccountDevices(api).claim(ID, ALL, request_transfer=True),
    ),
    "approve": ("addDeviceToProduct", {"deviceId": ID, "product": P}, lambda api: members(api).approve(ID, ALL)),
    "import": (
        "addDeviceToProduct",
        {"file": f"{ID}\nP1", "product": P},
        lambda api: members(api).import_devices([ID, "P1"], ALL),
    ),
    "remove": ("removeDevice", {"deviceId": ID, "product": P}, lambda api: members(api).remove(ID)),
    "deny": ("removeDevice", {"deviceId": ID, "deny": True, "product": P}, lambda api: members(api).deny(ID)),
    "unclaim mine": ("removeDevice", {"deviceId": ID}, lambda api: AccountDevices(api).unclaim(ID)),
    "unclaim": ("removeDeviceOwner", {"deviceId": ID, "product": P}, lambda api: members(api).unclaim(ID)),
    "rename": ("renameDevice", {"deviceId": ID, "name": "n", "product": P}, lambda api: members(api).rename(ID, "n")),
    "notes": (
        "setDeviceNotes",
        {"deviceId": ID, "notes": "n", "product": P},
        lambda api: members(api).set_notes(ID, "n"),
    ),
    "signal": ("signalDevice", {"deviceId": ID, "signal": True}, lambda api: AccountDevices(api).signal(ID, True)),
    "signal off": (
        "signalDevice",
        {"deviceId": ID, "signal": False},
        lambda api: AccountDevices(api).signal(ID, False),
    ),
    "development": (
        "markAsDevelopmentDevice",
        {"deviceId": ID, "development": True, "product": P},
        lambda api: members(api).set_development(ID, True),
    ),
    "lock": (
        "lockDeviceProductFirmware",
        {"deviceId": ID, "desiredFirmwareVersion": 7, "flash": True, "product": P},
        lambda api: members(api).lock_firmware(ID, 7, ALL, flash_now=True),
    ),
    "unlock": (
        "unlockDeviceProductFirmware",
        {"deviceId": ID, "product": P},
        lambda api: members(api).unlock_firmware(ID, ALL),
    ),
    "claim code": (
        "getClaimCode",
        {"iccid": "89", "product": P},
        lambda api: members(api).claim_code(iccid="89"),
    ),
    "variable": (
        "getVariable",
        {"deviceId": ID, "name": "v", "product": P},
        lambda api: members(api).variable(ID, "v"),
    ),
    "function": (
        "callFunction",
        {"deviceId": ID, "name": "f", "argument": "a"},
        lambda api: AccountDevices(api).call_function(ID, "f", "a"),
    ),
    "publish": (
        "publishEvent",
        {"name": "n", "data": "d", "isPrivate": True, "product": P},
        lambda api: members(api).publish("n", "d"),
    ),
    "over the air": (
        "flashDevice",
        {"deviceId": ID, "files": "binary", "targetVersion": None},
        lambda api: AccountDevices(api).update_over_the_air(ID, b"binary", ALL),
    ),
    "SIMs": (
        "listSIMs",
        {"iccid": "89", "deviceId": ID, "product": P, **PAGE},
        lambda api: list(Sims(api, P).list(iccid="89", device_id=ID)),
    ),
    "my SIMs": ("listSIMs", {}, lambda api: list(Sims(api).list())),
    "SIM exists": ("checkSIM", {"iccid": "89"}, lambda api: Sims(api).exists("89")),
    "release SIM": ("removeSIM", {"iccid": "89", "product": P}, lambda api: Sims(api, P).release("89")),
    "SIM data": ("getSIMDataUsage", {"iccid": "89", "product": P}, lambda api: Sims(api, P).usage("89")),
    "products": ("listProducts", {}, products),
    "product": ("getProduct", {"product": P}, lambda api: product(api, P)),
    "firmware list": ("listProductFirmware", {"product": P}, lambda api: ProductFirmwares(api, P).list()),
    "firmware": ("getProductFirmware", {"product": P, "version": 3}, lambda api: ProductFirmwares(api, P).get(3)),
    "firmware edit": (
        "updateProductFirmware",
        {"product": P, "version": 3, "title": "t", "description": "d"},
        lambda api: ProductFirmwares(api, P).edit(3, title="t", description="d"),
    ),
    "firmware binary": (
        "downloadProductFirmware",
        {"product": P, "version": 3},
        lambda api: ProductFirmwares(api, P).binary(3),
    ),
    "release": (
        "releaseProductFirmware",
        {"product": P, "version": 3, "product_default": False, "groups": ["a"], "intelligent": True},
        lambda api: ProductFirmwares(api, P).release(3, ALL, groups=["a"], flash_now=True),
    ),
    "team": ("listTeamMembers", {"product": P}, lambda api: tokens.team(api, product=P)),
    "out of the team": (
        "removeTeamMember",
        {"product": P, "username": "a+b@example.com"},
        lambda api: tokens.remove_api_user(api, "a+b@example.com", product=P),
    ),
    "serial number": ("lookupSerialNumber", {"serialNumber": "P1"}, lambda api: SerialNumbers(api).look_up("P1")),
    "integrations": ("listIntegrations", {"product": P}, lambda api: Integrations(api, product_ref=P).list()),
    "integration": (
        "createIntegration",
        {"event": "e", "settings": {"integration_type": "Webhook", "url": "https://x"}, "product": P},
        lambda api: Integrations(api, product_ref=P).create_webhook("e", Secret("https://x")),
    ),
    "integration away": (
        "deleteIntegration",
        {"integrationId": "h", "product": P},
        lambda api: Integrations(api, product_ref=P).remove("h"),
    ),
    "Device OS": (
        "getDeviceOsVersion",
        {"version": "latest", "platformId": 13},
        lambda api: device_os.release(api, "latest", 13),
    ),
    "Device OS list": (
        "listDeviceOsVersions",
        {"platformId": 13, "perPage": 1000},
        lambda api: device_os.releases(api, 13),
    ),
}

# What differs, as (key of the request, reason). Everything else is equal.
DIFFERENCES = {
    "login": {"body": "a client of its own; the same grant", "authorization": "a login needs no token"},
    "remove": {"body": "theirs is an empty object, ours none"},
    "products": {"path": "the API reference's place for the products of a user's sandbox"},
    "publish": {"body": "ours names the time to live that the cloud would take anyway"},
    "over the air": {"body": "ours says that it is a binary, theirs which compiler to use for sources"},
    "integration": {"body": "ours asks for the body that our receiver takes"},
}


class Recorder:
    """Writes requests down and answers each with the same JSON."""

    def __init__(self):
        self.requests = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                recorder.requests.append(normalized(self, body_of(self)))
                answer = b'{"ok": true}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def body_of(request):
    if request.headers.get("Transfer-Encoding") == "chunked":
        data = b""
        while size := int(request.rfile.readline(), 16):
            data += request.rfile.read(size)
            request.rfile.readline()
        request.rfile.readline()
        return data
    return request.rfile.read(int(request.headers.get("Content-Length", 0)))


def normalized(request, data):
    parts = urlsplit(request.path)
    kind = request.headers.get_content_type() if request.headers.get("Content-Type") else None
    if not data:
        body = None
    elif kind == "application/json":
        body = json.loads(data)
    elif kind == "application/x-www-form-urlencoded":
        body = dict(parse_qsl(data.decode()))
    else:
        head = f"Content-Type: {request.headers['Content-Type']}\n\n".encode()
        fields = email.message_from_bytes(head + data).get_payload()
        body = {f.get_param("name", header="content-disposition"): f.get_payload(decode=True).decode() for f in fields}
    return {
        "method": request.command,
        "path": unquote(parts.path),
        "query": dict(parse_qsl(parts.query)),
        "body": body,
        "authorization": request.headers.get("Authorization"),
    }


@pytest.fixture(scope="module")
def theirs(judges):
    recorder = Recorder()
    program = Path(__file__).with_name("same_requests.js")
    module = judges / "cloud" / "node_modules" / "particle-api-js"
    calls = json.dumps([[name, options] for name, options, _ in CALLS.values()])
    done = subprocess.run(
        ["node", str(program), str(module), recorder.url],
        input=calls,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    recorder.close()
    assert done.returncode == 0, done.stderr
    assert len(recorder.requests) == len(CALLS), done.stderr
    return dict(zip(CALLS, recorder.requests, strict=True))


@pytest.fixture(scope="module")
def ours():
    recorder = Recorder()
    found = {}
    for name, (_, _, act) in CALLS.items():
        clock = SystemClock()
        limiter = RateLimiter(MemoryLimitStore(), clock)
        link = HttpxLink(recorder.url)
        api = CloudApi(
            link,
            limiter,
            token=Secret("t" * 40),
            clock=clock,
            rng=random.Random(1),
            back_off=BackOff(attempts=1),
        )
        recorder.requests.clear()
        # The answer is the same for all, so few can be read.
        with suppress(ParticleDevError):
            act(api)
        link.close()
        (found[name],) = recorder.requests
    recorder.close()
    return found


@pytest.mark.parametrize("name", CALLS)
def test_the_same_request(name, ours, theirs):
    allowed = DIFFERENCES.get(name, {})
    for key, value in theirs[name].items():
        if key in allowed:
            assert ours[name][key] != value, f"{key} of {name} is equal: strike the difference"
        else:
            assert ours[name][key] == value, key


def test_what_differs_in_bodies_is_what_is_meant(ours, theirs):
    assert set(ours["login"]["body"]) == set(theirs["login"]["body"])
    assert theirs["remove"]["body"] == {}
    assert ours["publish"]["body"] == {**theirs["publish"]["body"], "ttl": 60}
    assert ours["over the air"]["body"]["file"] == theirs["over the air"]["body"]["file"] == "binary"
    assert theirs["integration"]["body"].items() <= ours["integration"]["body"].items()
