"""Product firmware, groups, Device OS, vitals, usage and integrations. The cloud is a script of answers."""

from datetime import UTC, datetime

import httpx2
import pytest

from particle_dev.cloud import device_os, diagnostics, usage
from particle_dev.cloud.firmware import ProductFirmwares
from particle_dev.cloud.groups import create_group, groups, remove_group
from particle_dev.cloud.integrations import Integrations
from particle_dev.errors import (
    CloudDeniedError,
    CloudNotFoundError,
    CloudRefusedError,
    CloudReplyError,
    ParticleDevError,
    PermissionMissingError,
    ProductVersionError,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.module_build import ModuleParts, Suffix, build
from particle_dev.protocol.module_values import Product
from particle_dev.protocol.secret import Secret

from .conftest import DEVICE_ID as ID

UPDATE = Permissions(may_update_devices=True)


def application(version, product_id=100, code=b"\0" * 64):
    return build(
        ModuleParts(
            start_address=0xB4000,
            function=5,
            index=1,
            version=6,
            platform_id=13,
            body=code,
            suffix=Suffix(raw_product=bytes(4)).with_product(Product(product_id, version)),
        )
    )


def row(version, **fields):
    return {"version": version, "title": f"v{version}", "size": 10, "product_default": False, "groups": [], **fields}


def test_versions(cloud):
    cloud.answer([row(1), row(3, product_default=True, device_count=7, uploaded_on="2026-01-01T00:00:00Z")])
    newest, oldest = ProductFirmwares(cloud.api(), 100).list()
    assert (newest.version, newest.product_default, newest.device_count) == (3, True, 7)
    assert oldest.uploaded_on is None


def test_an_upload(cloud):
    cloud.answer([row(3)])
    cloud.answer(row(4), status=201)
    binary = application(4)
    assert ProductFirmwares(cloud.api(), 100).upload(binary, "Four", product_id=100).version == 4
    sent = cloud.requests[1]
    assert (sent.method, sent.url.path) == ("POST", "/v1/products/100/firmware")
    assert binary in sent.content
    for part in (b'name="version"\r\n\r\n4', b'name="title"\r\n\r\nFour', b'filename="firmware.bin"'):
        assert part in sent.content


def test_the_same_file_again_is_there_already(cloud):
    binary = application(4)
    cloud.answers = [httpx2.Response(200, json=[row(4), row(5)]), httpx2.Response(200, content=binary)]
    assert ProductFirmwares(cloud.api(), 100).upload(binary, "Four", product_id=100).version == 4
    assert [r.method for r in cloud.requests] == ["GET", "GET"]


@pytest.mark.parametrize(
    ("binary", "there", "words"),
    [
        (application(4), application(4, code=b"\1" * 64), "another file"),
        (application(2), None, "not higher"),
        (application(4, product_id=7), None, "for product 7"),
    ],
)
def test_an_upload_that_a_product_cannot_take(cloud, binary, there, words):
    listed = [row(4)] if there else [row(3)]
    cloud.answers = [httpx2.Response(200, json=listed), httpx2.Response(200, content=there or b"")]
    with pytest.raises(ProductVersionError, match=words):
        ProductFirmwares(cloud.api(), 100).upload(binary, "x", product_id=100)
    assert all(r.method == "GET" for r in cloud.requests)


@pytest.mark.parametrize("named", [13, 0xFFFF])
def test_firmware_that_names_no_product_can_be_uploaded(cloud, named):
    cloud.answer([row(3)])
    cloud.answer(row(4), status=201)
    assert ProductFirmwares(cloud.api(), 100).upload(application(4, named), "x", product_id=100).version == 4


def test_a_damaged_file_is_not_sent(cloud):
    with pytest.raises(ParticleDevError):
        ProductFirmwares(cloud.api(), 100).upload(application(4)[:40], "x", product_id=100)
    damaged = bytearray(application(4))
    damaged[60] ^= 1
    with pytest.raises(ParticleDevError):
        ProductFirmwares(cloud.api(), 100).upload(bytes(damaged), "x", product_id=100)
    assert cloud.requests == []


def test_a_release(cloud):
    cloud.answer({"impact": {"devices": 12, "online": 3}})
    cloud.answer({"unknown": True})
    cloud.answer({"version": 4})
    firmware = ProductFirmwares(cloud.api(), 100)
    impact = firmware.impact(4, groups=["a", "b"])
    assert (impact.affected, impact.numbers) == (12, (("impact.devices", 12), ("impact.online", 3)))
    assert firmware.impact(4, product_default=True).affected is None
    with pytest.raises(PermissionMissingError, match="--may-update-devices"):
        firmware.release(4, Permissions(may_bill=True), groups=["a"])
    with pytest.raises(ValueError, match="for groups or for the whole product"):
        firmware.release(4, UPDATE)
    firmware.release(4, UPDATE, groups=["a"], flash_now=True)
    assert cloud.sent(0)[2] == {
        "action": "edit_groups_for_firmware",
        "groups": "a,b",
        "firmware_version": "4",
        "product_default": "false",
    }
    assert cloud.sent(2) == (
        "PUT",
        "/v1/products/100/firmware/release",
        {"version": 4, "product_default": False, "groups": ["a"], "intelligent": True},
    )
    assert len(cloud.requests) == 3


def test_a_refused_release_says_why_and_other_refusals_stay_what_they_are(cloud):
    members = [{"id": "e00fce680000000000000001", "firmware_version": 4}]
    firmware = ProductFirmwares(cloud.api(), 100)
    for version, kind in ((5, ProductVersionError), (4, CloudRefusedError)):
        cloud.answers.clear()
        cloud.answer({"error": "no"}, status=400)
        cloud.answer({"devices": members, "meta": {"total_pages": 1}})
        with pytest.raises(kind) as caught:
            firmware.release(version, UPDATE, product_default=True)
        assert isinstance(caught.value.__cause__ or caught.value, CloudRefusedError)
        assert "connect" in caught.value.hint
    for status, kind in ((404, CloudNotFoundError), (403, CloudDeniedError)):
        cloud.answers.clear()
        before = len(cloud.requests)
        cloud.answer({"error": "no"}, status=status)
        with pytest.raises(kind):
            firmware.release(5, UPDATE, product_default=True)
        assert len(cloud.requests) == before + 1
    cloud.answers.clear()
    cloud.answer({"error": "the first"}, status=400)
    cloud.answer({"error": "no list"}, status=403)
    with pytest.raises(CloudRefusedError, match="the first"):
        firmware.release(5, UPDATE, product_default=True)


def test_a_version_s_own_record(cloud):
    cloud.answer(row(4))
    cloud.answer(row(4, title="new"))
    cloud.answer()
    firmware = ProductFirmwares(cloud.api(), 100)
    assert firmware.get(4).title == "v4"
    assert firmware.edit(4, title="new", description="d").title == "new"
    cloud.answers = [httpx2.Response(204)]
    firmware.remove(4)
    assert [cloud.sent(n)[:2] for n in range(3)] == [
        ("GET", "/v1/products/100/firmware/4"),
        ("PUT", "/v1/products/100/firmware/4"),
        ("DELETE", "/v1/products/100/firmware/4"),
    ]


def test_groups(cloud):
    cloud.answer({"groups": [{"name": "a", "device_count": 2, "fw_version": "3"}, {"name": "b", "fw_version": None}]})
    cloud.answer({"ok": True})
    api = cloud.api()
    first, second = groups(api, 100)
    assert (first.device_count, first.firmware_version, second.firmware_version) == (2, 3, None)
    create_group(api, 100, "20260101_1")
    remove_group(api, 100, "a", UPDATE)
    with pytest.raises(CloudRefusedError, match="no name of a group"):
        create_group(api, 100, "Not This")
    assert [cloud.sent(n)[:2] for n in (1, 2)] == [
        ("POST", "/v1/products/100/groups"),
        ("DELETE", "/v1/products/100/groups/a"),
    ]


RELEASE = {
    "version": "5.8.0",
    "internal_version": 5800,
    "base_url": "http://127.0.0.1:1/device-os/v5.8.0",
    "modules": [
        {"filename": "boron-system-part1@5.8.0.bin", "prefixInfo": {"moduleFunction": "system_part"}},
        {"filename": "../evil", "prefixInfo": {}},
    ],
}


def test_device_os_releases(cloud):
    cloud.answer([RELEASE])
    cloud.answer({"versions": [RELEASE]})
    cloud.answer(RELEASE)
    api = cloud.api()
    assert device_os.releases(api, 13)[0].internal_version == 5800
    assert len(device_os.releases(api)) == 1
    release = device_os.release(api, "latest", 13)
    assert cloud.sent(2) == ("GET", "/v1/device-os/versions/latest", {"platform_id": "13"})
    cloud.answers = [httpx2.Response(200, content=b"module")]
    assert device_os.download(release, release.files[0], lambda url: cloud.api().link) == b"module"
    assert cloud.requests[-1].url.path == "/device-os/v5.8.0/boron-system-part1@5.8.0.bin"
    assert "authorization" not in cloud.requests[-1].headers
    with pytest.raises(CloudReplyError, match="no place"):
        device_os.download(release, release.files[1], lambda url: cloud.api().link)
    cloud.answers = [httpx2.Response(404, json={"error": "nope"})]
    with pytest.raises(CloudNotFoundError, match="nope"):
        device_os.download(release, release.files[0], lambda url: cloud.api().link)


def test_vitals(cloud):
    report = {"deviceID": ID, "updated_at": "2026-01-01T00:00:00Z", "payload": {"device": {"network": {}}}}
    cloud.answer({"diagnostics": report})
    cloud.answer({"error": "No diagnostics"}, status=404)
    cloud.answer({"diagnostics": {}})
    cloud.answer({"diagnostics": [report, report]})
    cloud.answer({"ok": True})
    api = cloud.api()
    assert diagnostics.last_vitals(api, ID, 100).device == {"network": {}}
    assert diagnostics.last_vitals(api, ID, 100) is None
    assert diagnostics.last_vitals(api, ID) is None
    day = datetime(2026, 1, 1, tzinfo=UTC)
    assert len(diagnostics.vitals_between(api, ID, day, day)) == 2
    diagnostics.refresh_vitals(api, ID)
    assert cloud.sent(0)[1] == f"/v1/products/100/diagnostics/{ID}/last"
    assert cloud.sent(4)[:2] == ("POST", f"/v1/diagnostics/{ID}/update")


def test_service_agreements(cloud):
    cloud.answer(
        {
            "data": [
                {
                    "id": 7,
                    "type": "service_agreement",
                    "attributes": {
                        "agreement_type": "self_service",
                        "state": "active",
                        "current_billing_period_start": "2026-01-01",
                        "current_billing_period_end": "2026-01-31",
                        "current_usage_summary": {
                            "device_limit_reached": False,
                            "connectivity": {"all": {"owned_devices": 9, "billable_devices": 3, "device_data": 1.5}},
                        },
                        "pricing_terms": {
                            "device": {"max_devices": 100},
                            "device_data": {"max_data": 100, "uom": "MB"},
                        },
                    },
                }
            ]
        }
    )
    cloud.answer({"data": {"id": 1, "attributes": {"state": "pending"}}}, status=202)
    cloud.answer({"data": {"id": 1, "attributes": {"state": "available", "download_url": "https://x"}}})
    api = cloud.api()
    (agreement,) = usage.service_agreements(api)
    assert (agreement.id, agreement.max_devices, agreement.max_data_unit) == ("7", 100, "MB")
    assert agreement.used().billable_devices == 3
    assert agreement.used("wifi") is None
    day = datetime(2026, 1, 1, tzinfo=UTC)
    report = usage.create_usage_report(api, agreement.id, "devices", day, day, "org")
    assert report.state == "pending"
    assert usage.usage_report(api, "7", report.id, "org").download_url == "https://x"
    assert [cloud.sent(n)[1] for n in range(3)] == [
        "/v1/user/service_agreements",
        "/v1/orgs/org/service_agreements/7/usage_reports",
        "/v1/orgs/org/service_agreements/7/usage_reports/1",
    ]


def test_integrations(cloud):
    hook = {"id": "h1", "event": "temp", "integration_type": "Webhook", "url": "https://x/?key=topsecret"}
    cloud.answer([hook])
    cloud.answer({"ok": True, **hook}, status=201)
    cloud.answer({"ok": True})
    integrations = Integrations(cloud.api(), product_ref=100)
    (there,) = integrations.list()
    assert "topsecret" not in repr(there)
    made = integrations.create_webhook(
        "temp", Secret("https://x/?key=topsecret"), name="n", headers={"X-Key": Secret("k")}
    )
    integrations.remove(made.id)
    method, path, body = cloud.sent(1)
    assert (method, path) == ("POST", "/v1/products/100/integrations")
    assert body["url"] == "https://x/?key=topsecret"
    assert body["headers"] == {"X-Key": "k"}
    assert body["json"]["published_at"] == "{{{PARTICLE_PUBLISHED_AT}}}"
    assert cloud.sent(2)[:2] == ("DELETE", "/v1/products/100/integrations/h1")
    assert Integrations(cloud.api(), organization="o").list is not None
