"""The transfers of the oldest recordings in tests/golden/usb, in their order, said to the bootloaders and systems that
are executed here and to their models. What other firmware answered then is in those files; here both must agree."""

import json
from pathlib import Path

import pytest
from particle_harness.boards import hardware
from particle_harness.emulator.conversations.acts import ALL, Enumerate, Step, Transfer
from particle_harness.emulator.conversations.system import whole
from particle_harness.emulator.differential.comparison import compare
from particle_harness.emulator.differential.dfu import Subject
from particle_harness.emulator.differential.system import SystemSubject
from particle_harness.usb.control_service import Service
from particle_harness.usb.dfu_terms import Request
from particle_harness.usb.transfer import Setup

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]
GOLDEN = Path(__file__).parents[1] / "golden" / "usb"
DEVICE_ID = "e00fce680123456789abcdef"
SET_ADDRESS, MICROSOFT = 5, 0xEE
MODULE_INFO, SERIAL_NUMBER = 90, 21
LONGEST_PROPERTY_BYTES = 40
"""Asked for more, some bootloaders give what lies behind it in flash."""


def log_of(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))["log"]


def transfer_of(setup, entry):
    sent = bytes(n & 0xFF for n in range(setup.w_length))
    return Transfer(setup, bytes.fromhex(entry["out"]) if "out" in entry else b"" if setup.is_in else sent)


def is_sayable(setup):
    """The host's own business, and what is known to differ, is left out."""
    if setup.bm_request_type == 0 and setup.b_request == SET_ADDRESS:
        return False
    return setup.b_request != MICROSOFT or setup.w_length <= LONGEST_PROPERTY_BYTES


def dfu_acts(name):
    fields = ("bmRequestType", "bRequest", "wValue", "wIndex", "wLength")
    entries = [entry for entry in log_of(name) if "bmRequestType" in entry]
    pairs = [(Setup(*(entry[field] for field in fields)), entry) for entry in entries]
    return [Enumerate(), *(transfer_of(setup, entry) for setup, entry in pairs if is_sayable(setup))]


def system_acts(name):
    """Requests that a stand-in for a network processor or a serial flash cannot answer as theirs did are left out."""
    acts = [Enumerate()]
    for number, entry in enumerate(log_of(name)):
        if "setup" in entry:
            setup = Setup(*[*entry["setup"], 0][:4], entry["length"])
            acts += [transfer_of(setup, entry)] if is_sayable(setup) else []
        elif entry["type"] not in (MODULE_INFO, SERIAL_NUMBER):
            acts += whole(number, entry["type"], bytes.fromhex(entry["payload"]))
    return [*acts, Step(Service.RESET, ALL, 0)]


@pytest.mark.parametrize(
    ("name", "platform"),
    [
        ("golden-dfu-photon-rc4", "photon"),
        ("golden-dfu-photon-rc4", "p1"),
        ("golden-dfu-photon-rc4", "electron"),
        ("golden-dfu-tracker560", "tracker"),
        ("golden-dfu-tracker560", "boron"),
        ("golden-dfu-xenon080", "xenon"),
        ("golden-dfu-xenon080", "argon"),
    ],
)
def test_a_bootloader_and_its_model_agree_on_a_recorded_sequence(bootloaders_of, name, platform):
    acts = dfu_acts(name)
    assert {act.setup.b_request for act in acts[1:]} >= {Request.DNLOAD, Request.UPLOAD, Request.ABORT}
    for images in bootloaders_of(platform):
        subject = Subject(hardware(platform), images, DEVICE_ID)
        difference, transfers = compare(*subject.pair(), acts, subject.known)
        assert difference is None, f"{images.bootloader.prefix.version}: {difference}"
        assert transfers > 60


@pytest.mark.parametrize(("platform", "release"), [("argon", "2.1.0"), ("argon", "2.2.0"), ("tracker", "2.1.0")])
def test_device_os_and_its_model_agree_on_the_recorded_sequence(images_of, platform, release):
    subject = SystemSubject(hardware(platform), images_of(platform, release), DEVICE_ID)
    difference, transfers = compare(*subject.pair(), system_acts("golden-deviceos-argon410"), subject.known)
    assert difference is None, str(difference)
    assert transfers > 40
