"""What each call sends and what it makes of the answer. Shapes are those of particle-api-js 12.0.3, as recorded.

The cloud here is a script of answers, so this shows that requests are what we believe they should be.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime

import httpx2
import pytest

from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import organizations, product, products
from particle_dev.cloud.records import DeviceRecord, ImportResult
from particle_dev.cloud.replies import JsonObject
from particle_dev.cloud.serial_numbers import SerialNumbers
from particle_dev.cloud.sims import Sims
from particle_dev.errors import (
    CloudLimitError,
    CloudNotFoundError,
    CloudRefusedError,
    CloudReplyError,
    ConfigError,
    PermissionMissingError,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.identifiers import is_device_id

from .conftest import DEVICE_ID as ID

BILL = Permissions(may_bill=True)
UPDATE = Permissions(may_update_devices=True)
DEVICE = {
    "id": ID.upper(),
    "name": None,
    "platform_id": 13,
    "product_id": 100,
    "firmware_product_id": 13,
    "online": False,
    "connected": False,
    "last_heard": None,
    "last_handshake_at": None,
    "serial_number": "P044AB0123456789",
    "mobile_secret": "topsecret",
    "iccid": "8934076500002589174",
    "imei": "352753090000000",
    "functions": None,
    "variables": {"t": "double"},
    "firmware_version": 0,
    "groups": ["a"],
    "development": True,
    "quarantined": False,
    "a_field_of_next_year": [1],
}
SIM = {"_id": "8934076500002589174", "status": "inactive", "activations_count": 0, "first_activated_on": None}
PRODUCT = {"id": 100, "name": "Widget", "slug": "widget-v100", "platform_id": 13, "settings": {"quarantine": True}}


def test_a_device_record(cloud):
    cloud.answer(DEVICE)
    record = ProductDevices(cloud.api(), "widget").get(ID)
    assert cloud.sent()[:2] == ("GET", f"/v1/products/widget/devices/{ID}")
    assert (record.id, record.platform_id, record.online, record.development) == (ID, 13, False, True)
    assert (record.functions, record.variables, record.groups) == (None, (("t", "double"),), ("a",))
    assert not record.ever_online
    assert "topsecret" not in repr(record)
    assert record.mobile_secret.reveal() == "topsecret"


@pytest.mark.parametrize(
    ("fields", "online"),
    [({}, None), ({"online": False}, False), ({"connected": True, "online": False}, True), ({"connected": True}, True)],
)
def test_online_by_any_of_its_names(fields, online):
    assert DeviceRecord.from_json(JsonObject({"id": ID, **fields}, "GET /")).online is online


@pytest.mark.parametrize("field", ["last_heard", "last_handshake_at"])
def test_ever_online(field):
    record = DeviceRecord.from_json(JsonObject({"id": ID, field: "2026-01-02T03:04:05.678Z"}, "GET /"))
    assert record.ever_online
    assert getattr(record, field) == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def test_a_time_that_is_none_does_not_look_like_never():
    with pytest.raises(CloudReplyError, match="last_handshake_at"):
        DeviceRecord.from_json(JsonObject({"id": ID, "last_handshake_at": "?"}, "GET /"))


def test_members_of_a_product(cloud):
    cloud.answer({"devices": [DEVICE], "customers": [], "meta": {"total_pages": 2}})
    cloud.answer({"devices": [DEVICE], "meta": {"total_pages": 2}})
    found = list(
        ProductDevices(cloud.api(), 100).list(groups=["a", "b"], quarantined=False, sort="deviceId", descending=False)
    )
    assert len(found) == 2
    assert cloud.sent(0) == (
        "GET",
        "/v1/products/100/devices",
        {
            "groups": "a,b",
            "quarantined": "false",
            "sortAttr": "deviceId",
            "sortDir": "asc",
            "page": "1",
            "per_page": "100",
        },
    )
    assert cloud.sent(1)[2]["page"] == "2"


def test_a_member_by_serial_number(cloud):
    cloud.answer({"devices": [DEVICE, DEVICE | {"serial_number": "P044AB01234567890"}], "meta": {"total_pages": 1}})
    devices = ProductDevices(cloud.api(), 100)
    assert devices.find_serial_number("p044ab01234567890").serial_number == "P044AB01234567890"
    assert devices.find_serial_number("P044") is None


IMPORT_ANSWER = {
    "updated": 1,
    "updatedDeviceIds": [ID, "e00fce680000000000000009"],
    "existingDeviceIds": ["e00fce680000000000000002"],
    "nonmemberDeviceIds": [],
    "invalidDeviceIds": ["E00FCE680000000000000003"],
    "protectedDeviceIds": ["e00fce680000000000000004"],
}


def test_an_import_is_what_became_of_each_id(cloud):
    cloud.answer(IMPORT_ANSWER)
    ids = [ID.upper(), *(f"e00fce68000000000000000{n}" for n in (2, 3, 4, 5))]
    result = ProductDevices(cloud.api(), 100).import_devices(ids, BILL, import_sims=False)
    assert result == ImportResult(
        asked=tuple(ids),
        added=(ids[0],),
        present=(ids[1],),
        invalid=(ids[2],),
        not_member=(),
        protected=(ids[3],),
        unexplained=(ids[4],),
        unasked=("e00fce680000000000000009",),
    )
    assert not result.complete
    (request,) = cloud.requests
    assert request.url.path == "/v1/products/100/devices"
    assert "\n".join(ids).encode() in request.content
    assert b'name="file"; filename=' in request.content
    assert b'name="import_sims"\r\n\r\nfalse' in request.content


def test_all_imported(cloud):
    cloud.answer({"updatedDeviceIds": [ID]})
    assert ProductDevices(cloud.api(), 100).approve(ID, BILL).complete
    assert cloud.sent() == ("POST", "/v1/products/100/devices", {"id": ID})


def test_what_bills_needs_the_permission(cloud):
    api = cloud.api()
    devices, sims = ProductDevices(api, 100), Sims(api, 100)
    for act in (
        lambda: devices.import_devices([ID], UPDATE),
        lambda: devices.approve(ID),
        lambda: AccountDevices(api).claim(ID),
        lambda: sims.import_sims(["89"]),
        lambda: sims.activate("89"),
        lambda: sims.reactivate("89"),
    ):
        with pytest.raises(PermissionMissingError, match="--may-bill"):
            act()
    for act in (lambda: devices.lock_firmware(ID, 3, BILL), lambda: devices.update_over_the_air(ID, b"")):
        with pytest.raises(PermissionMissingError, match="--may-update-devices"):
            act()
    assert cloud.requests == []


@pytest.mark.parametrize(
    ("act", "sent"),
    [
        (lambda d: d.set_development(ID, True), ("PUT", f"/{ID}", {"development": True})),
        (lambda d: d.set_groups(ID, ["a"], UPDATE), ("PUT", f"/{ID}", {"groups": ["a"]})),
        (lambda d: d.set_notes(ID, "n"), ("PUT", f"/{ID}", {"notes": "n"})),
        (lambda d: d.rename(ID, "x"), ("PUT", f"/{ID}", {"name": "x"})),
        (lambda d: d.signal(ID, True), ("PUT", f"/{ID}", {"signal": "1"})),
        (lambda d: d.lock_firmware(ID, 7, UPDATE), ("PUT", f"/{ID}", {"desired_firmware_version": 7})),
        (
            lambda d: d.lock_firmware(ID, 7, UPDATE, flash_now=True),
            ("PUT", f"/{ID}", {"desired_firmware_version": 7, "flash": True}),
        ),
        (lambda d: d.unlock_firmware(ID, UPDATE), ("PUT", f"/{ID}", {"desired_firmware_version": None})),
        (
            lambda d: d.change_groups([ID], UPDATE, add=["a"], remove=["b"]),
            ("PUT", "", {"action": "groups", "devices": [ID], "metadata": {"add": ["a"], "remove": ["b"]}}),
        ),
        (lambda d: d.deny(ID), ("DELETE", f"/{ID}", {"deny": True})),
        (lambda d: d.remove(ID), ("DELETE", f"/{ID}", {})),
        (lambda d: d.unclaim(ID), ("DELETE", f"/{ID}/owner", {})),
    ],
)
def test_changes_of_a_member(cloud, act, sent):
    cloud.answer({"ok": True})
    act(ProductDevices(cloud.api(), 100))
    method, path, body = sent
    assert cloud.sent() == (method, f"/v1/products/100/devices{path}", body)


@pytest.mark.parametrize(("base", "of"), [("/v1/devices", AccountDevices), ("/v1/products/100/devices", None)])
def test_talking_to_a_device(cloud, base, of):
    devices = of(cloud.api()) if of else ProductDevices(cloud.api(), 100)
    cloud.answer({"online": True, "ok": True})
    cloud.answer({"id": ID, "name": "f", "connected": True, "return_value": -3})
    cloud.answer({"name": "v", "result": 21.5, "coreInfo": {}})
    cloud.answer({"name": "v"})
    assert devices.ping(ID) is True
    assert devices.call_function(ID, "led", "on") == -3
    assert devices.variable(ID, "t/x") == 21.5
    assert [cloud.sent(n) for n in range(3)] == [
        ("PUT", f"{base}/{ID}/ping", {}),
        ("POST", f"{base}/{ID}/led", {"args": "on"}),
        ("GET", f"{base}/{ID}/t%2Fx", {}),
    ]
    with pytest.raises(CloudReplyError, match="no result"):
        devices.variable(ID, "t")


def test_publishing(cloud):
    cloud.answer({"ok": True})
    AccountDevices(cloud.api()).publish("hil/x", "1")
    ProductDevices(cloud.api(), 100).publish("hil/x", ttl_s=5)
    assert cloud.sent(0) == (
        "POST",
        "/v1/devices/events",
        {"name": "hil/x", "data": "1", "private": True, "ttl": 60},
    )
    assert cloud.sent(1)[1:] == ("/v1/products/100/events", {"name": "hil/x", "data": "", "private": True, "ttl": 5})


def test_claiming(cloud):
    cloud.answer({"ok": True, "claim_code": "secretcode", "device_ids": []})
    devices = AccountDevices(cloud.api())
    devices.claim(ID, BILL)
    devices.unclaim(ID)
    assert devices.claim_code(iccid="89").reveal() == "secretcode"
    assert ProductDevices(cloud.api(), 100).claim_code().reveal() == "secretcode"
    assert [cloud.sent(n) for n in range(4)] == [
        ("POST", "/v1/devices", {"id": ID, "request_transfer": False}),
        ("DELETE", f"/v1/devices/{ID}", {}),
        ("POST", "/v1/device_claims", {"iccid": "89"}),
        ("POST", "/v1/products/100/device_claims", {}),
    ]


def test_devices_of_the_account(cloud):
    cloud.answer([DEVICE])
    assert [d.id for d in AccountDevices(cloud.api()).list()] == [ID]


def test_a_binary_over_the_air(cloud):
    cloud.answer({"id": ID, "status": "Update started"})
    cloud.answer({"ok": False, "errors": ["compile"]})
    devices = ProductDevices(cloud.api(), 100)
    assert devices.update_over_the_air(ID, b"\1\2", UPDATE) == "Update started"
    assert b"\1\2" in cloud.requests[0].content
    with pytest.raises(CloudRefusedError, match="compile"):
        devices.update_over_the_air(ID, b"\1\2", UPDATE)


def test_serial_numbers_are_looked_up_once(cloud):
    cloud.answer({"ok": True, "deviceID": ID.upper(), "platform_id": 13})
    numbers = SerialNumbers(cloud.api())
    assert numbers.look_up(" p044ab0123456789 ") == (ID, 13)
    assert numbers.look_up("P044AB0123456789") == (ID, 13)
    assert cloud.sent()[1] == "/v1/serial_numbers/P044AB0123456789"
    record = replace(DeviceRecord.from_json(JsonObject(DEVICE, "GET /")), serial_number="P1")
    numbers.remember([record])
    assert numbers.look_up("P1") == (ID, 13)
    assert len(cloud.requests) == 1


def test_what_was_looked_up_is_kept_for_all_programs(cloud, tmp_path):
    cloud.answer({"ok": True, "device_id": ID, "platform_id": 13})
    file = tmp_path / "folder" / "cloud.jsonl"
    assert SerialNumbers(cloud.api(), file).look_up("P1") == (ID, 13)
    with file.open("a") as out:
        out.write('not json\n{"serial_number": "P2"}\n')
    assert SerialNumbers(cloud.api(), file).look_up("p1") == (ID, 13)
    assert len(cloud.requests) == 1
    SerialNumbers(cloud.api(), file).look_up("P2")
    assert len(cloud.requests) == 2
    with pytest.raises(ConfigError, match="cannot be"):
        SerialNumbers(cloud.api(), file / "x" / "y").look_up("P1")


def test_the_hour_s_look_ups_run_out_before_the_cloud_says_so(cloud):
    cloud.answer({"ok": True, "device_id": ID, "platform_id": 13})
    numbers = SerialNumbers(cloud.api())
    for n in range(45):
        numbers.look_up(f"P{n}")
    with pytest.raises(CloudLimitError, match="look-ups"):
        numbers.look_up("P45")
    assert len(cloud.requests) == 45


def test_products(cloud):
    cloud.answer({"products": [PRODUCT]})
    cloud.answer({"products": [PRODUCT | {"slug": None}]})
    cloud.answer({"product": PRODUCT})
    cloud.answer({"product": [PRODUCT]})
    cloud.answer({"product": []})
    cloud.answer({"organizations": [{"id": "o1", "name": "Org", "slug": "org"}]})
    api = cloud.api()
    assert products(api)[0].quarantine is True
    assert products(api, "org")[0].slug == ""
    assert product(api, "widget").id == 100
    assert product(api, 100).platform_id == 13
    with pytest.raises(CloudReplyError, match="0 products"):
        product(api, 100)
    assert organizations(api) == [("o1", "org", "Org")]
    assert [cloud.sent(n)[1] for n in range(6)] == [
        "/v1/user/products",
        "/v1/orgs/org/products",
        "/v1/products/widget",
        "/v1/products/100",
        "/v1/products/100",
        "/v1/orgs",
    ]


def test_sims(cloud):
    cloud.answer({"sims": [SIM], "meta": {"total_pages": 1}})
    cloud.answer(SIM | {"status": "active", "activations_count": 1, "first_activated_on": "2026-01-01T00:00:00Z"})
    cloud.answer({"error": "SIM not found"}, status=404)
    sims = Sims(cloud.api(), 100)
    (never,) = sims.list(device_id=ID)
    assert (never.status, never.ever_active) == ("inactive", False)
    assert sims.get(never.iccid).ever_active
    assert sims.find(never.iccid) is None
    assert cloud.sent(0) == (
        "GET",
        "/v1/products/100/sims",
        {"deviceId": ID, "page": "1", "per_page": "100"},
    )


def test_changes_of_a_sim(cloud):
    cloud.answer({"ok": True})
    sims = Sims(cloud.api(), 100)
    sims.import_sims(["89"], BILL)
    sims.reactivate("89", BILL, mb_limit=3)
    sims.deactivate("89")
    sims.release("89")
    Sims(cloud.api()).activate("89", BILL)
    assert [cloud.sent(n) for n in range(5)] == [
        ("POST", "/v1/products/100/sims", {"sims": ["89"], "country": "US"}),
        ("PUT", "/v1/products/100/sims/89", {"action": "reactivate", "mb_limit": 3}),
        ("PUT", "/v1/products/100/sims/89", {"action": "deactivate"}),
        ("DELETE", "/v1/products/100/sims/89", {}),
        ("PUT", "/v1/sims/89", {"action": "activate"}),
    ]


def test_a_sim_the_carrier_is_asked_for(cloud):
    cloud.answer({"ok": True, "meta": {"state": "pending", "check_again_after": "2026-01-01T00:00:10Z"}})
    cloud.answer(
        {"ok": True, "meta": {"state": "complete"}, "sim_status": {"connected": False, "data_connection": True}}
    )
    sims = Sims(cloud.api(), 100)
    pending, done = sims.connection("89"), sims.connection("89")
    assert (pending.complete, pending.connected, pending.check_again.second) == (False, None, 10)
    assert (done.complete, done.connected, done.gsm_connection, done.data_connection) == (True, False, None, True)


def test_data_of_a_sim(cloud):
    cloud.answer(
        {
            "iccid": "89",
            "usage_by_day": [{"date": "2026-01-01", "mbs_used": 1}, {"date": "2026-01-02", "mbs_used": 0.5}],
        }
    )
    assert Sims(cloud.api()).usage("89").total_mb == 1.5


def test_a_sim_that_could_be_taken(cloud):
    cloud.answers = [httpx2.Response(200), httpx2.Response(404)]
    assert Sims(cloud.api()).exists("89") is True
    assert Sims(cloud.api()).exists("89") is False
    assert cloud.requests[0].method == "HEAD"


def test_the_id_of_another_product(cloud):
    cloud.answer({"ok": False, "error": "Device not found for this product"}, status=404)
    with pytest.raises(CloudNotFoundError, match="not found for this product") as caught:
        ProductDevices(cloud.api(), 100).get(ID)
    assert json.dumps(caught.value.fields(), default=str)


def test_ids():
    assert is_device_id(ID)
    assert not is_device_id(ID.upper())
    assert not is_device_id(ID + "\n")
