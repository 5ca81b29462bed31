"""Device OS on an emulated Electron: what it answers while it listens, and when it asks for the air."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from particle_harness.boards import hardware
from particle_harness.boot import decide_boot
from particle_harness.boot_view import BootView
from particle_harness.debug_side import DFU_WORD
from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.usb.transfer import Setup

from tests.emulated.air import LISTENING, SystemBoard

pytestmark = [pytest.mark.images, pytest.mark.timeout(1200)]
RELEASES = ["2.1.0", "2.2.0"]
BUTTON_LIMIT_S, AIR_LIMIT_S = 8, 5
"""Of the board's own time. It asks one to two seconds after its start."""
BLUE = (False, False, True)


@pytest.fixture
def electron(images: Path):
    """Made of a release and an application; closed afterwards."""
    made: list[SystemBoard] = []

    def make(release: str, user: bytes | None = None) -> SystemBoard:
        made.append(SystemBoard(images, "electron", release, user))
        made[-1].chip.modem.asked.clear()
        return made[-1]

    yield make
    for each in made:
        each.close()


def is_blue(board: EmulatedBoard) -> bool:
    """Listening mode blinks blue."""
    return tuple(level > 0.1 for level in board.chip.lights) == BLUE


def listen(board: SystemBoard) -> None:
    """As a person does: MODE held until it blinks blue."""
    board.board.hold_mode_button(True)
    assert board.board.run_until(lambda: is_blue(board.board), BUTTON_LIMIT_S)
    board.board.hold_mode_button(False)


@pytest.mark.parametrize("release", RELEASES)
def test_control_requests_are_answered_in_listening_mode(release, electron):
    board = electron(release)
    identity = board.appear("app")
    assert identity.device[8:12] == struct.pack("<HH", 0x2B04, 0xC00A)
    device_id = board.board.state.device_id
    assert board.host.control(Setup(0xC0, 0x50, 0, 20, 64)).decode() == device_id.upper()
    listen(board)
    assert board.request(20) == (0, b"\n\x18" + device_id.encode())
    result, version = board.request(30)
    assert (result, version[2:].decode()) == (0, release)
    assert board.request(72) == LISTENING
    assert board.request(9999) == (-120, b"")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("application_there", [False, True], ids=["no application", "Tinker"])
def test_it_asks_for_the_air_as_a_virtual_board_does(release, application_there, electron, application):
    board = electron(release, application("electron").read_bytes() if application_there else None)
    decision = decide_boot(BootView(hardware=hardware("electron"), internal=board.board.internal.read))
    assert decision.runs == ("app" if application_there else "safe_mode")
    assert decision.would_connect
    assert board.radio(AIR_LIMIT_S)[:1] == ["AT+CFUN=1,0"]


@pytest.mark.parametrize("release", RELEASES)
def test_a_board_that_went_to_dfu_mode_stays_off_the_air(release, electron):
    board = electron(release)
    board.chip.rtc.stored[0x54] = DFU_WORD
    board.chip.pin_reset()
    board.appear("dfu")
    assert not board.radio(AIR_LIMIT_S)
    assert not board.chip.modem.on
