"""What a transfer of a trace is in words."""

import pytest
from particle_harness.usb.trace import describe


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bmRequestType": 0xA1, "bRequest": 3, "wLength": 6, "in": "000000000200"}, "GETSTATUS -> dfuIDLE"),
        ({"bmRequestType": 0xA1, "bRequest": 3, "wLength": 6, "in": "000000000500"}, "GETSTATUS -> dfuDNLOAD-IDLE"),
        ({"bmRequestType": 0x21, "bRequest": 1, "out": "4100400d00"}, "DNLOAD ERASE 0x000d4000"),
        ({"bmRequestType": 0x21, "bRequest": 1, "out": "7700400d00"}, "DNLOAD 0x77 0x000d4000"),
        ({"bmRequestType": 0xA1, "bRequest": 0x40, "wLength": 8, "error": "stall"}, "class request 64 stall"),
        ({"bmRequestType": 0x21, "bRequest": 6, "out": ""}, "ABORT"),
        ({"bmRequestType": 0x21, "bRequest": 7, "out": ""}, "class request 7"),
    ],
)
def test_class_requests_in_dfu_mode(fields, words):
    assert describe({"mode": "dfu", "wValue": 0, "wIndex": 0, "wLength": 0, **fields}) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bmRequestType": 0x80, "bRequest": 6, "wValue": 0x0302}, "GET_DESCRIPTOR string 2"),
        ({"bmRequestType": 0x00, "bRequest": 9, "wValue": 1}, "standard request 9 1 0"),
        ({"bmRequestType": 0xC0, "bRequest": 1, "wValue": 5, "wIndex": 20, "in": "00"}, "INIT 20 with 5 bytes -> 00"),
        ({"bmRequestType": 0xC0, "bRequest": 2, "wIndex": 1, "in": "09"}, "CHECK 1 -> 09"),
        ({"bmRequestType": 0xC0, "bRequest": 0x50, "wIndex": 20, "error": "stall"}, "raw request 20 -> stall"),
        ({"bmRequestType": 0x21, "bRequest": 0x20, "out": "00"}, "serial request 32 00"),
    ],
)
def test_other_requests(fields, words):
    assert describe({"mode": "app", "wValue": 0, "wIndex": 0, "wLength": 0, **fields}) == words
