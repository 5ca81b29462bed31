"""Device OS on the emulated STM32F205, with a Wi-Fi chip's stand-in."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from particle_harness.usb.transfer import Setup

from tests.emulated.air import SystemBoard

pytestmark = [pytest.mark.images, pytest.mark.timeout(1200)]
RELEASES = ["1.5.0", "2.1.0", "2.2.0"]
PRODUCTS = {"photon": 0xC006, "p1": 0xC008}
LISTENING = (0, b"\x08\x01")
"""Reply of request 72."""


@pytest.fixture
def board_with(images: Path):
    """A board with Device OS and power; closed afterwards."""
    made: list[SystemBoard] = []

    def make(platform: str, release: str, application: bytes | None = None) -> SystemBoard:
        made.append(SystemBoard(images, platform, release, application))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("platform", PRODUCTS)
@pytest.mark.parametrize("release", RELEASES)
def test_control_requests_are_answered_in_listening_mode(platform, release, board_with):
    board = board_with(platform, release)
    identity = board.appear("app")
    assert identity.device[8:12] == struct.pack("<HH", 0x2B04, PRODUCTS[platform])
    texts = {index: text[2:].decode("utf-16-le") for index, text in identity.strings.items()}
    assert "Control Interface" in texts[9]
    assert "Serial" in texts[10]
    device_id = board.board.state.device_id
    assert board.host.control(Setup(0xC0, 0x50, 0, 20, 64)).decode() == device_id.upper()
    assert board.request(20) == (0, b"\n\x18" + device_id.encode())
    result, version = board.request(30)
    assert (result, version[2:].decode()) == (0, release)
    wlan = board.chip.wifi.wlan
    assert board.board.run_until(lambda: wlan.access_point_is_up, 4)
    assert board.request(72) == LISTENING
    assert board.request(9999) == (-120, b"")
    assert not wlan.radio_requests
    # Blue, and no fault on the way.
    assert {light > 0 for light in board.chip.lights[:2]} == {False}
    assert not board.chip.processor.faults.reports
