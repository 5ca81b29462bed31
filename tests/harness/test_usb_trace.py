"""What a transfer of a trace is in words."""

import pytest
from particle_harness.usb.trace import describe


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bmRequestType": 0xA1, "bRequest": 3, "wLength": 6, "in": "000000000200"}, "GETSTATUS -> dfuIDLE"),
        ({"bmRequestType": 0xA1, "bRequest": 0x40, "wLength": 8, "error": "stall"}, "class request 64 stall"),
        ({"bmRequestType": 0x21, "bRequest": 6, "out": ""}, "ABORT"),
        ({"bmRequestType": 0x21, "bRequest": 7, "out": ""}, "class request 7"),
    ],
)
def test_class_requests_in_dfu_mode(fields, words):
    assert describe({"mode": "dfu", "wValue": 0, "wIndex": 0, "wLength": 0, **fields}) == words
