"""Virtual boards against recordings of Particle's own firmware, reply by reply.

Every difference that is allowed stands in ``EXEMPT``, by recording and note, with its reason.
"""

import json
from pathlib import Path

import pytest
from particle_harness.board import BoardSettings, VirtualBoard
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in, system_stand_ins
from particle_harness.usb.transfer import Setup, StallError

RECORDINGS = Path(__file__).parents[1] / "golden" / "usb"

NOT_A_TRANSFER = "says whether the emulated chip reset within the recorder's patience; no transfer"
EXEMPT = {
    "golden-dfu-tracker560.json": {
        "MS OS vendor ee index 4": "the firmware sends 255 bytes, its 40-byte descriptor and what lies behind it "
        "in flash: only the descriptor is compared",
        "resets within 500 ms after leave": NOT_A_TRANSFER,
    },
    "golden-dfu-xenon080.json": {
        "config": "the firmware sends as many bytes as asked for, with what lies behind the descriptor in RAM: only "
        "the descriptor is compared",
        "resets within 500 ms after leave": NOT_A_TRANSFER,
    },
    "golden-dfu-photon-rc4.json": {
        "string 238": "the first bootloader has no Microsoft string and reads past its table of strings",
        "resets within 500 ms after leave": NOT_A_TRANSFER,
    },
    "golden-deviceos-argon410.json": {
        "GET_SERIAL_NUMBER": "the emulated flash chip has no serial number, a virtual board has one",
        "MODULE_INFO": "never answered: the emulated board has no second processor to ask",
        "IS_CLAIMED": "never answered, as MODULE_INFO before it blocks the system",
        "GET_NCP_FIRMWARE_VERSION": "never answered, as MODULE_INFO before it blocks the system",
    },
}
WITHOUT_STATUS_STAGE = {"golden-dfu-tracker560.json", "golden-dfu-xenon080.json", "golden-dfu-photon-rc4.json"}
"""Their recorder did not look at the last handshake of a transfer: whether it stalled after its data is not known."""
PREFIX_ONLY = {"MS OS vendor ee index 4", "config"}


def board_with(platform, device_id, modules):
    board = VirtualBoard(
        hardware(platform),
        BoardSettings(device_id, arrives_in_dfu=True),
        VirtualClock(),
        port_path="1-1",
        delays=True,
        release_modules=lambda: modules,
        next_address=lambda: 2,
    )
    board.clock.sleep(2)
    board.advance()
    return board


def dfu_board(platform, device_id, bootloader_version):
    kind = hardware(platform)
    modules = [bootloader_stand_in(kind, bootloader_version)]
    return board_with(platform, device_id, [*modules, softdevice_stand_in(kind)] if kind.is_gen3 else modules)


DFU_BOARDS = {
    "golden-dfu-tracker560.json": ("tracker", "e00fce680123456789abcdef", 2400),
    "golden-dfu-xenon080.json": ("xenon", "e00fce680123456789abcdef", 211),
    "golden-dfu-photon-rc4.json": ("photon", "00000000010C", 7),
}


def entries(recording):
    return json.loads((RECORDINGS / recording).read_text(encoding="utf-8"))["log"]


def sent(entry):
    if "out" in entry:
        return bytes.fromhex(entry["out"])
    return bytes(n & 0xFF for n in range(entry["wLength"])) if not entry["bmRequestType"] & 0x80 else b""


def answer(device, setup, data=b"", *, status_stage=True):
    try:
        return device.control(setup, data)
    except StallError as stall:
        return stall.data if stall.data and not status_stage else "stall"


def assert_same(entry, got, exempt):
    note = entry["note"]
    if entry.get("stall"):
        assert got == "stall", note
    elif entry.get("ok"):
        assert got == b"", note
    elif note in exempt and note in PREFIX_ONLY:
        assert got and entry["in"].startswith(got.hex()), note
    elif entry["in"].endswith("..."):
        assert got.hex().startswith(entry["in"][:-3]), note
    else:
        assert got.hex() == entry["in"], note


@pytest.mark.parametrize("recording", DFU_BOARDS)
def test_dfu_conversation_is_the_recorded_one(recording):
    board = dfu_board(*DFU_BOARDS[recording])
    if recording != "golden-dfu-tracker560.json":
        # The recorded chips had used configurations.
        used = next(bytes.fromhex(e["in"].rstrip(".")) for e in entries(recording) if "UPLOAD DCT" in e["note"])
        board.dct.write(0, used)
    device = board.usb_device
    device.bus_reset()
    exempt = EXEMPT[recording]
    compared = 0
    for entry in entries(recording):
        if entry["note"] in exempt and entry["note"] not in PREFIX_ONLY:
            continue
        setup = Setup(*(entry[k] for k in ("bmRequestType", "bRequest", "wValue", "wIndex", "wLength")))
        got = answer(device, setup, sent(entry), status_stage=recording not in WITHOUT_STATUS_STAGE)
        assert_same(entry, got, exempt)
        compared += 1
    assert compared >= len(entries(recording)) - len(exempt)


def test_leave_resets_the_board_half_a_second_later():
    board = dfu_board(*DFU_BOARDS["golden-dfu-tracker560.json"])
    address = board.on_bus()[0]
    for setup in (Setup(0x21, 1, 0, 0, 0), Setup(0xA1, 3, 0, 0, 6)):
        board.control(address, setup)
    board.clock.sleep(0.45)
    assert board.on_bus() is not None
    board.clock.sleep(0.1)
    assert board.on_bus() is None


ARGON = "golden-deviceos-argon410.json"


@pytest.fixture
def argon():
    kind = hardware("argon")
    modules = [bootloader_stand_in(kind, 1200), softdevice_stand_in(kind)]
    board = board_with("argon", "e00fce680123456789abcdef", modules)
    for module in system_stand_ins(kind, 4100, 1200):
        board.internal.load(0x30000, module)
    board.reset_pin()
    board.clock.sleep(2)
    assert board.decide_boot().runs == "listening"
    return board


def test_descriptors_and_single_requests_of_device_os_are_the_recorded_ones(argon):
    device = argon.usb_device
    device.bus_reset()
    for entry in entries(ARGON):
        if "setup" in entry:
            request_type, request, value, index = (*entry["setup"], 0)[:4]
            setup = Setup(request_type, request, value, index, entry["length"])
            assert_same(entry, answer(device, setup), EXEMPT[ARGON])


def parse(reply):
    flags, status, rest = int.from_bytes(reply[:4], "little"), int.from_bytes(reply[4:6], "little"), reply[6:]
    fields = {"status": status}
    for bit, name, size, signed in ((2, "id", 2, False), (4, "size", 4, False), (8, "result", 4, True)):
        if flags & bit:
            fields[name] = int.from_bytes(rest[:size], "little", signed=signed)
            rest = rest[size:]
    return fields


def test_control_requests_of_device_os_are_the_recorded_ones(argon):
    device = argon.usb_device
    for entry in (e for e in entries(ARGON) if "type" in e and e["note"] not in EXEMPT[ARGON]):
        payload = bytes.fromhex(entry["payload"])
        init = parse(device.control(Setup(0xC0, 1, len(payload), entry["type"], 64)))
        assert init["status"] == entry["steps"][0][1]["status"]
        if payload:
            device.control(Setup(0x40, 3, 0, init["id"], len(payload)), payload)
        argon.clock.sleep(0.01)
        assert parse(device.control(Setup(0xC0, 2, 0, init["id"], 64))) == entry["result"], entry["note"]
        if entry["reply"]:
            reply = device.control(Setup(0xC0, 4, 0, init["id"], len(entry["reply"]) // 2))
            assert reply.hex() == entry["reply"]


def test_request_ids_count_from_one(argon):
    for expected in (1, 2, 3):
        assert parse(argon.usb_device.control(Setup(0xC0, 1, 0, 20, 64)))["id"] == expected


def test_each_exemption_names_an_entry():
    for recording, exempt in EXEMPT.items():
        notes = {entry["note"] for entry in entries(recording)}
        assert set(exempt) - {"resets within 500 ms after leave"} <= notes
