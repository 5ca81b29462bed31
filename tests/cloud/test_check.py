"""Lints of a product, from facts alone. Pure: no cloud."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cloud.check import Severity, check_product, worst
from particle_dev.cloud.check_facts import (
    LineFirmware,
    Members,
    ProductFacts,
    Unread,
    UploadedFirmware,
)
from particle_dev.cloud.integrations import Integration
from particle_dev.cloud.order_file import read_order
from particle_dev.cloud.records import DeviceRecord, Product
from particle_dev.protocol.module import Product as ProductStore
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_build import ModuleParts, Suffix, build

NOW = datetime(2026, 1, 31, tzinfo=UTC)
BORON, TRACKER = 13, 26
PRODUCT = Product(id=1234, name="Widget", slug="widget", platform_id=BORON, quarantine=True)
FIRMWARE = LineFirmware("app.bin", product_id=1234, version=7, sha256="ab" * 32, is_wildcard=False)
A, B = "e00fce68000000000000000a", "e00fce68000000000000000b"
NOT_READ = Unread("the token may not", "ask for the scope")


def device(device_id=A, **fields):
    return DeviceRecord(device_id, **{"platform_id": BORON, "owner": "me@example.com", **fields})


def members(*records, bench_devices=(), wanted=()):
    roll = Members(BORON, bench_devices, wanted)
    for record in records:
        roll.take(record)
    return roll


GOOD = ProductFacts(
    PRODUCT,
    owner="me@example.com",
    members=members(device(firmware_version=7, last_handshake_at=NOW), device(B)),
    firmware=(UploadedFirmware(6, False), UploadedFirmware(7, True, sha256="ab" * 32)),
    product_integrations=(),
    organization_integrations=(),
    owner_integrations=(),
)


def findings(facts=GOOD, firmware=FIRMWARE, **options):
    return {finding.code: finding for finding in check_product(facts, firmware, **options)}


def severity(code, facts=GOOD, firmware=FIRMWARE, **options):
    return findings(facts, firmware, **options)[code].severity


def test_a_product_without_fault_is_ok_in_every_check():
    found = findings()
    assert {f.severity for f in found.values()} == {Severity.OK}
    codes = "auto_approve wrong_platform wildcard default_firmware golden_device development integrations"
    assert set(found) == set(codes.split())
    assert worst(found.values()) is Severity.OK


@pytest.mark.parametrize(
    ("quarantine", "is_"), [(True, Severity.OK), (False, Severity.PROBLEM), (None, Severity.UNKNOWN)]
)
def test_auto_approve(quarantine, is_):
    assert severity("auto_approve", replace(GOOD, product=replace(PRODUCT, quarantine=quarantine))) is is_


def test_members_of_another_platform():
    finding = findings(replace(GOOD, members=members(device(), device(B, platform_id=TRACKER))))["wrong_platform"]
    assert finding.severity is Severity.PROBLEM
    assert finding.devices == (B,)
    assert "Boron" in finding.message


def test_devices_in_quarantine_are_noted_and_not_counted_as_members():
    facts = replace(GOOD, members=members(device(), device(B, quarantined=True, development=True, platform_id=TRACKER)))
    found = findings(facts)
    assert found["quarantined"].devices == (B,)
    assert found["development"].severity is Severity.OK
    assert found["wrong_platform"].severity is Severity.OK


@pytest.mark.parametrize(("bench", "words"), [((), "device"), ((B,), "device but those named")])
def test_devices_of_the_bench_are_spoken_of_when_some_are_named(bench, words):
    facts = replace(GOOD, members=members(device(), device(B, development=bool(bench)), bench_devices=bench))
    assert findings(facts)["development"].message.endswith(f"development {words}")


class TestWildcardFirmware:
    WILD = replace(FIRMWARE, product_id=None, is_wildcard=True)

    def test_without_an_order_it_is_not_known_whether_units_are_members(self):
        finding = findings(firmware=self.WILD)["wildcard"]
        assert finding.severity is Severity.UNKNOWN
        assert "--ids" in finding.fix

    def test_a_product_without_devices_lets_nobody_in(self):
        assert severity("wildcard", replace(GOOD, members=members()), self.WILD) is Severity.PROBLEM

    @pytest.mark.parametrize(("listed", "is_"), [(f"{A}\n{B}", Severity.OK), (f"{A}\n{B[:-1]}0", Severity.PROBLEM)])
    def test_units_of_the_order_must_be_members(self, listed, is_):
        order = read_order([("order.txt", listed.encode())])
        facts = replace(GOOD, members=members(device(), device(B), wanted=order.entries))
        finding = findings(facts, self.WILD, order=order)["wildcard"]
        assert finding.severity is is_
        assert finding.devices == (() if is_ is Severity.OK else (B[:-1] + "0",))

    def test_a_serial_number_finds_its_member(self):
        order = read_order([("order.txt", b"P044AF12345ABCD")])
        facts = replace(GOOD, members=members(device(serial_number="P044AF12345abcd"), wanted=order.entries))
        assert severity("wildcard", facts, self.WILD, order=order) is Severity.OK

    def test_a_line_that_cannot_be_read_is_no_member(self):
        order = read_order([("order.txt", f"{A}\n{A}0".encode())])
        facts = replace(GOOD, members=members(device(), wanted=order.entries))
        assert severity("wildcard", facts, self.WILD, order=order) is Severity.PROBLEM

    def test_firmware_of_another_product(self):
        assert severity("other_product", firmware=replace(FIRMWARE, product_id=99)) is Severity.PROBLEM


class TestDefaultFirmware:
    @pytest.mark.parametrize(
        ("uploaded", "is_"),
        [
            ((UploadedFirmware(7, True, sha256="ab" * 32),), Severity.OK),
            ((UploadedFirmware(7, False, sha256="ab" * 32),), Severity.OK),
            ((UploadedFirmware(7, True, sha256="cd" * 32),), Severity.PROBLEM),
            ((UploadedFirmware(7, True),), Severity.UNKNOWN),
            ((UploadedFirmware(7, False), UploadedFirmware(8, True)), Severity.PROBLEM),
            ((UploadedFirmware(6, True),), Severity.PROBLEM),
            ((), Severity.PROBLEM),
        ],
    )
    def test_it_must_be_what_the_line_flashes(self, uploaded, is_):
        assert severity("default_firmware", replace(GOOD, firmware=uploaded)) is is_

    @pytest.mark.parametrize(("default", "is_"), [(True, Severity.PROBLEM), (False, Severity.NOTE)])
    def test_firmware_without_version_is_replaced_by_a_default(self, default, is_):
        facts = replace(GOOD, firmware=(UploadedFirmware(7, default),))
        assert severity("default_firmware", facts, replace(FIRMWARE, version=None)) is is_


class TestGoldenDevice:
    def test_a_version_that_no_member_runs_cannot_be_released(self):
        facts = replace(GOOD, firmware=(UploadedFirmware(7, False),), members=members(device(firmware_version=6)))
        finding = findings(facts)["golden_device"]
        assert finding.severity is Severity.PROBLEM
        assert "golden" in finding.fix and "--may-connect" in finding.fix

    @pytest.mark.parametrize(("handshake", "is_"), [(NOW, Severity.OK), (None, Severity.PROBLEM)])
    def test_the_member_must_have_connected_with_it(self, handshake, is_):
        record = device(firmware_version=8, last_handshake_at=handshake)
        facts = replace(GOOD, members=members(record))
        assert severity("golden_device", facts, release=8) is is_

    @pytest.mark.parametrize("released", [UploadedFirmware(7, True), UploadedFirmware(7, False, ("pilot",))])
    def test_a_released_version_needs_none(self, released):
        facts = replace(GOOD, firmware=(released,), members=members())
        assert severity("golden_device", facts) is Severity.OK


def test_development_marks_but_those_of_the_bench():
    records = (device(development=True), device(B, development=True))
    finding = findings(replace(GOOD, members=members(*records, bench_devices={A})))["development"]
    assert (finding.severity, finding.devices) == (Severity.PROBLEM, (B,))
    assert severity("development", replace(GOOD, members=members(*records, bench_devices={A, B}))) is Severity.OK


def hook(number, event):
    return Integration(number, event, "Webhook", None, False, None, None)


class TestIntegrations:
    HOOK = hook("1", "temp")

    def test_one_of_the_owner_does_not_hear_unclaimed_devices(self):
        facts = replace(GOOD, owner_integrations=(self.HOOK,), members=members(device(owner=None)))
        finding = findings(facts)["owner_webhook"]
        assert finding.severity is Severity.PROBLEM
        assert "1 devices" in finding.message

    def test_with_claimed_devices_alone_it_may_stay(self):
        assert severity("integrations", replace(GOOD, owner_integrations=(self.HOOK,))) is Severity.OK

    @pytest.mark.parametrize("event", ["temp", "temperature", "te"])
    def test_two_that_one_event_triggers(self, event):
        facts = replace(GOOD, owner_integrations=(self.HOOK,), product_integrations=(hook("2", event),))
        assert severity("doubled_webhook", facts) is Severity.PROBLEM

    def test_one_of_the_organization_and_one_of_the_product(self):
        facts = replace(GOOD, organization_integrations=(self.HOOK,), product_integrations=(hook("2", "temp"),))
        assert severity("doubled_webhook", facts) is Severity.PROBLEM

    def test_two_for_different_events(self):
        facts = replace(GOOD, owner_integrations=(self.HOOK,), product_integrations=(hook("2", "humidity"),))
        assert severity("integrations", facts) is Severity.OK

    @pytest.mark.parametrize("part", ["owner_integrations", "product_integrations", "organization_integrations"])
    def test_those_that_cannot_be_read(self, part):
        assert severity("integrations", replace(GOOD, **{part: NOT_READ})) is Severity.UNKNOWN


@pytest.mark.parametrize(
    ("part", "codes"),
    [
        ("members", {"wrong_platform", "golden_device", "development"}),
        ("firmware", {"default_firmware", "golden_device"}),
        ("owner_integrations", {"integrations"}),
        ("product_integrations", {"integrations"}),
        ("organization_integrations", {"integrations"}),
    ],
)
def test_what_cannot_be_read_is_unknown_and_no_pass(part, codes):
    found = check_product(replace(GOOD, **{part: NOT_READ}), FIRMWARE)
    assert {f.code for f in found if f.severity is Severity.UNKNOWN} == codes
    assert worst(found) is Severity.UNKNOWN
    assert all(f.fix for f in found if f.severity is Severity.UNKNOWN)


@pytest.mark.parametrize(
    ("named", "line_names", "is_"),
    [
        (1234, 1234, Severity.OK),
        (None, 1234, Severity.OK),
        (BORON, 1234, Severity.UNKNOWN),
        (BORON, None, Severity.OK),
        (4321, 1234, Severity.PROBLEM),
        (4321, None, Severity.PROBLEM),
    ],
)
def test_the_golden_device_runs_firmware_of_this_product(named, line_names, is_):
    golden = device(firmware_version=7, last_handshake_at=NOW, product_id=1234, firmware_product_id=named)
    facts = replace(GOOD, members=members(golden), firmware=(UploadedFirmware(7, False),))
    found = findings(facts, replace(FIRMWARE, product_id=line_names))["golden_device"]
    assert found.severity is is_
    assert is_ is Severity.OK or found.fix
    if is_ is not Severity.PROBLEM:
        assert "1 device " in found.message


def test_without_a_recipe_firmware_is_unknown():
    found = check_product(GOOD, Unread("no recipe was given", "give --recipe"))
    assert {f.code for f in found if f.severity is Severity.UNKNOWN} == {"wildcard", "default_firmware"}


def test_nothing_checked_is_no_pass():
    assert worst(()) is Severity.UNKNOWN


@pytest.mark.parametrize(
    ("product", "device_os", "product_id", "version", "wildcard"),
    [
        (ProductStore(1234, 7), "2.1.0", 1234, 7, False),
        (ProductStore(1234, 7), "4.0.0", 1234, 7, True),
        (ProductStore(BORON, 7), "2.1.0", None, 7, True),
        (ProductStore(0xFFFF, 0xFFFF), "6.2.1", None, None, True),
    ],
)
def test_what_an_application_says_of_itself(product, device_os, product_id, version, wildcard):
    data = build(
        ModuleParts(ModuleFunction.USER_PART, 1, 6, BORON, 0xD4000, bytes(400), Suffix().with_product(product))
    )
    firmware = LineFirmware.of("app.bin", parse(data), device_os)
    assert (firmware.product_id, firmware.version, firmware.is_wildcard) == (product_id, version, wildcard)
    assert len(firmware.sha256) == 64
