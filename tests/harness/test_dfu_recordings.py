"""Virtual boards against recordings that `particle-dev sim record` made of Particle's bootloaders, reply by reply."""

import json
from pathlib import Path

import pytest
from particle_harness.board import BoardSettings, VirtualBoard
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.recordings.dfu import conversation
from particle_harness.emulator.recordings.form import (
    FORM,
    filled,
    reply_of,
    sparse,
    transfers_of,
    written,
)
from particle_harness.factory import bootloader_stand_in
from particle_harness.sim_record import recorded
from particle_harness.usb.transfer import SilentError, StallError
from particle_harness.user_information import factory_uicr, mbr_stand_in

RECORDINGS = sorted((Path(__file__).parents[1] / "golden" / "usb" / "dfu").glob("*.json"))


def load(file):
    return json.loads(file.read_text(encoding="utf-8"))


def board_of(recording):
    """A board with nothing but a stand-in of the bootloader, and the configuration that was found."""
    kind = hardware(recording["platform"])
    board = VirtualBoard(
        kind,
        BoardSettings(recording["device_id"], blank=True),
        VirtualClock(),
        port_path="1-1",
        delays=True,
        release_modules=tuple,
        next_address=lambda: 2,
    )
    board.internal.load(kind.bootloader_address, bootloader_stand_in(kind, recording["bootloader_version"]))
    if board.uicr is not None:
        board.internal.load(0, mbr_stand_in())
        board.uicr[:] = factory_uicr(recording["bootloader_version"], was_protected=False)
    if recording["configuration"] is not None:
        board.dct.write(0, filled(recording["configuration"]))
    board.reset_pin()
    board.clock.sleep(2)
    board.advance()
    return board


def outcome(device, transfer):
    try:
        return reply_of(transfer.setup, device.control(transfer.setup, transfer.data))
    except StallError as stall:
        return (reply_of(transfer.setup, stall.data) if stall.data else {}) | {"stall": True}
    except SilentError:
        return {"silent": True}


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_virtual_board_answers_as_the_bootloader_did(file):
    recording = load(file)
    device = board_of(recording).usb_device
    for transfer, wanted in transfers_of(recording):
        assert outcome(device, transfer) == wanted, str(transfer)


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_recordings_are_whole_and_hold_no_long_replies(file):
    recording = load(file)
    assert recording["form"] == FORM
    assert [transfer for transfer, _ in transfers_of(recording)] == list(conversation(hardware(recording["platform"])))
    uploads = [entry["in"] for entry in recording["log"] if entry["bRequest"] == 2 and "in" in entry]
    assert all(len(reply) <= 128 for reply in uploads)


def test_there_are_recordings_of_every_emulated_board():
    assert {load(file)["platform"] for file in RECORDINGS} == {
        "argon", "b5som", "boron", "bsom", "electron", "p1", "photon", "tracker", "xenon"
    }  # fmt: skip


@pytest.mark.parametrize("platform", ["boron", "photon", "p1"])
def test_a_virtual_board_can_be_recorded_and_replays_itself(platform, tmp_path):
    recording = recorded(platform, "virtual")
    file = tmp_path / "recording.json"
    file.write_text(written(recording), encoding="utf-8")
    assert load(file) == recording
    device = board_of(recording).usb_device
    assert all(outcome(device, transfer) == wanted for transfer, wanted in transfers_of(recording))
    assert len(recording["log"]) > 300


def test_sparse_and_filled_are_opposites():
    data = bytearray(b"\xff" * 100)
    data[3:6] = b"\x00\x01\xff"
    data[10] = 7
    data[60:100] = bytes(40)
    assert filled(sparse(bytes(data)), 100) == data
    assert sparse(b"\xff" * 64) == []
