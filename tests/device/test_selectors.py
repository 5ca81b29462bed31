"""Selectors: what each kind of term means, and that nothing is ever guessed."""

import pytest

from particle_dev.catalog.platforms import UsbMode, platform_by_name
from particle_dev.device.model import Device
from particle_dev.device.selectors import Kind, is_possible_name, parse_selector, select_device
from particle_dev.errors import DeviceAmbiguousError, DeviceNotFoundError
from particle_dev.protocol.identifiers import is_device_id
from particle_dev.transport.base import UsbDeviceInfo


def device(serial_number, platform, port, mode=UsbMode.NORMAL, problem=""):
    kind = platform_by_name(platform)
    usb = kind.usb_normal if mode is UsbMode.NORMAL else kind.usb_dfu
    info = UsbDeviceInfo(usb.vid, usb.pid, 1, 7, port, serial_number, kind.display_name, problem)
    return Device(serial_number if is_device_id(serial_number) else "", kind, mode, info)


BORON = device("e00fce68aaaa0123456789ab", "boron", "1-1")
BORON_DFU = device("e00fce68aaaa99996789abcd", "boron", "1-2.3", UsbMode.DFU)
PHOTON = device("3f0023000f47343432313031", "photon", "1-2.4")
OLD = device("8d7c23a54", "electron", "1-10")
PHOTON_2 = device("0a10aced202194944a042f04", "p2", "1-4")
ALL = (BORON, BORON_DFU, PHOTON, OLD)
NAMES = {"bench-left": BORON_DFU.device_id, "Tom's": PHOTON.device_id}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (BORON.device_id, BORON),
        (BORON.device_id.upper(), BORON),
        ("e00fce68aaaa0", BORON),
        ("id:e00fce68aaaa9", BORON_DFU),
        ("3f00", PHOTON),
        ("photon", PHOTON),
        ("Photon", PHOTON),
        ("platform:Electron", OLD),
        ("dfu", BORON_DFU),
        ("mode:DFU", BORON_DFU),
        ("platform:boron,mode:dfu", BORON_DFU),
        ("boron , dfu", BORON_DFU),
        ("platform:boron,mode:normal", BORON),
        ("1-2.3", BORON_DFU),
        ("port:1-1", BORON),
        ("1-1", BORON),
        ("bench-left", BORON_DFU),
        ("name:Bench-Left", BORON_DFU),
        ("name:tom's", PHOTON),
        ("serial:8d7c23a54", OLD),
        ("8d7c23a54", OLD),
        ("3f*", PHOTON),
        ("e00fce*,mode:normal", BORON),
        ("glob:*89ab", BORON),
        ("1-1?", OLD),
        ("port:1-2.4,photon,normal", PHOTON),
    ],
)
def test_one_board(selector, expected):
    assert select_device(ALL, selector, NAMES) == expected


SLOTS = {"1": "1-1", "Left": "1-2.3", "photon": "1-10", "empty": "1-9"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("slot:1", BORON), ("slot:LEFT", BORON_DFU), ("slot:photon", OLD), ("slot:left,dfu", BORON_DFU)],
)
def test_slots_of_the_bench_are_named_with_their_kind_only(selector, expected):
    assert select_device(ALL, selector, NAMES, slots=SLOTS) == expected
    assert select_device(ALL, "photon", NAMES, slots=SLOTS) == PHOTON


def test_slot_that_is_empty_or_not_there():
    with pytest.raises(DeviceNotFoundError, match="no device matches 'slot:empty'"):
        select_device(ALL, "slot:empty", slots=SLOTS)
    with pytest.raises(DeviceNotFoundError, match="the bench has no slot '2'") as error:
        select_device(ALL, "slot:2", slots=SLOTS)
    assert error.value.hint == "slots: 1, left, photon, empty"
    with pytest.raises(DeviceNotFoundError, match="no slot '1'") as error:
        select_device(ALL, "slot:1")
    assert "--bench FILE" in error.value.hint


@pytest.mark.parametrize("selector", ["photon2", "platform:photon2", "Platform:P2", "p2"])
def test_every_name_of_a_platform_counts(selector):
    assert select_device((*ALL, PHOTON_2), selector) == PHOTON_2


def test_another_name_is_no_other_platform():
    assert select_device((*ALL, PHOTON_2), "photon") == PHOTON


@pytest.mark.parametrize(
    "selector", ["boron", "e00fce68", "e00fce68aaaa", "e00fce*", "mode:normal", "normal", "*", "1-2.*"]
)
def test_several_are_listed_and_none_is_chosen(selector):
    with pytest.raises(DeviceAmbiguousError) as error:
        select_device(ALL, selector, NAMES)
    assert len(error.value.candidates) > 1
    assert all(candidate in {d.device_id or d.usb.port_path for d in ALL} for candidate in error.value.candidates)


@pytest.mark.parametrize(
    "selector", ["argon", "port:1-2", "1-2", "boron,photon", "e00fce68b", "mode:dfu,photon", "serial:x"]
)
def test_none_fits(selector):
    with pytest.raises(DeviceNotFoundError) as error:
        select_device(ALL, selector, NAMES)
    assert error.value.selector == selector
    assert BORON.device_id in error.value.hint


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("mode:listening", "no mode that the bus shows"),
        ("colour:red", "no 'colour:'"),
        ("name:nobody", "named 'nobody'"),
        ("id:e00", "begins no Device ID"),
        ("id:xyz", "begins no Device ID"),
        ("", "empty"),
        ("boron,", "empty"),
        ("platform:", "empty"),
    ],
)
def test_what_fits_nothing_ever(selector, why):
    with pytest.raises(DeviceNotFoundError, match=why):
        parse_selector(selector, NAMES)


def test_three_digits_are_no_device_id():
    with pytest.raises(DeviceNotFoundError):
        select_device(ALL, "3f0")


def test_the_only_one():
    assert select_device([PHOTON], None) == PHOTON
    with pytest.raises(DeviceAmbiguousError):
        select_device(ALL, None)


def test_label_is_asked_only_of_boards_that_the_other_terms_leave():
    asked = []

    def label_of(one):
        asked.append(one)
        return {BORON: "B40HAB1", PHOTON: "PHHMAB2"}.get(one)

    assert select_device(ALL, "serial:phhmab2", label_of=label_of) == PHOTON
    assert BORON_DFU not in asked
    asked.clear()
    assert select_device(ALL, "platform:boron,serial:b40hab1", label_of=label_of) == BORON
    assert asked == [BORON]
    asked.clear()
    with pytest.raises(DeviceNotFoundError):
        select_device(ALL, "serial:none", label_of=label_of)
    select_device(ALL, "serial:8d7c23a54", label_of=label_of)
    assert asked == [BORON, PHOTON, OLD], "a USB serial number is known without asking"


def test_board_that_cannot_be_opened_is_not_asked_for_its_label():
    closed = device(BORON.device_id, "boron", "1-1", problem="denied")
    with pytest.raises(DeviceNotFoundError):
        select_device([closed], "serial:b40hab1", label_of=lambda _: pytest.fail("asked"))


@pytest.mark.parametrize("name", ["left", "bench-left", "A1", "line 3.b", "tray_2"])
def test_names(name):
    assert is_possible_name(name)


@pytest.mark.parametrize(
    "name", ["", "e00f", "cafe", "boron", "BORON", "dfu", "normal", "1-2.3", "1-2", "a*", "a,b", "a:b", "[x]", *Kind]
)
def test_names_that_could_be_something_else(name):
    assert not is_possible_name(name)
