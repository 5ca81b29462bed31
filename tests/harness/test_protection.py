"""Device protection: what a locked board refuses, and how it is opened. Rules of Device OS 6.0.0 to 6.2.0."""

import pytest
from particle_harness.factory import bootloader_stand_in, install, system_stand_ins
from particle_harness.protection import ANSWER_WITHIN_S, SERVICE_MODE_S
from particle_harness.protection_keys import fingerprint, server_key, server_signature
from particle_harness.usb.dfu_terms import Command, State, Status
from particle_harness.usb.transfer import GoneError, Setup, StallError

from particle_dev.errors import BenchError
from particle_dev.protocol.messages_config import (
    decode_protected_state,
    decode_protection_challenge,
    encode_protection_confirm,
    encode_protection_prepare,
    encode_protection_reset,
)

NONCE = bytes(range(32))
SET_LINE_CODING = Setup(0x21, 0x20, 0, 0, 7)
PROTECTED, INVALID_STATE, INVALID_ARGUMENT = -1801, -210, -270
TIMED_OUT, KEY_MISMATCH, INVALID_SIGNATURE, NOT_SUPPORTED = -160, -1802, -1803, -120


class Host:
    def __init__(self, board):
        self.board = board

    def control(self, *setup, data=b""):
        return self.board.control(self.board.on_bus()[0], Setup(*setup), data)

    def request(self, request, payload=b""):
        reply = self.control(0xC0, 1, len(payload), request, 64)
        request_id = int.from_bytes(reply[6:8], "little")
        if payload:
            self.board.clock.sleep(0.01)
            self.control(0x40, 3, 0, request_id, len(payload), data=payload)
        self.board.clock.sleep(0.1)
        reply = self.control(0xC0, 2, 0, request_id, 64)
        size = int.from_bytes(reply[6:10], "little") if reply[0] & 4 else 0
        return int.from_bytes(reply[-4:], "little", signed=True), self.control(
            0xC0, 4, 0, request_id, size
        ) if size else b""

    def state(self):
        return decode_protected_state(self.request(76)[1])

    def string(self, index):
        return self.control(0x80, 6, 0x300 | index, 0x409, 255)[2:].decode("utf-16-le")

    def download(self, block, data):
        self.control(0x21, 1, block, 0, len(data), data=data)
        try:
            return self.status()
        except StallError as stall:
            # What fails stalls the status stage; the next status tells.
            return stall.data[0], stall.data[4], stall.data[5]

    def status(self):
        reply = self.control(0xA1, 3, 0, 0, 6)
        return reply[0], reply[4], reply[5]

    def command(self, command, address=None):
        argument = b"" if address is None else address.to_bytes(4, "little")
        return self.download(0, bytes([command]) + argument)

    def enter_dfu(self):
        self.board.state.dfu_requested = True
        self.board.reset_pin()
        self.board.clock.sleep(2)
        self.board.advance()
        assert self.board.state.runs == "dfu"


@pytest.fixture
def protected(make_board):
    def make(platform="boron", device_os="6.2.0", **slot):
        return Host(make_board(platform, device_os=device_os, **({"protected": True} | slot)))

    return make


def sign(host, challenge, nonce=NONCE):
    return server_signature(
        host.board.state.device_id, nonce, challenge.device_nonce, challenge.device_public_key_fingerprint
    )


def prepare(host):
    result, data = host.request(77, encode_protection_prepare(NONCE))
    assert result == 0
    return decode_protection_challenge(data)


def confirm(host, signature, key_fingerprint=None):
    return host.request(77, encode_protection_confirm(signature, key_fingerprint or fingerprint(server_key())))[0]


def test_only_four_requests_are_looked_at(protected):
    host = protected()
    assert host.request(20)[0] == host.request(76)[0] == 0
    assert host.request(10)[0] == NOT_SUPPORTED  # it got as far as the application
    for refused in (1, 21, 30, 40, 50, 60, 70, 72, 80, 90, 100, 200, 250, 300, 400, 554, 9999):
        assert host.request(refused) == (PROTECTED, b""), refused
    assert host.state().locked


def test_refused_resets_neither_act_nor_cut_the_connection(protected):
    host = protected(factory="online")
    host.board.clock.sleep(30)
    host.board.advance()
    assert host.board.state.cloud_status == 2
    assert host.request(50) == (PROTECTED, b"")
    host.board.clock.sleep(5)
    host.board.advance()
    assert (host.board.state.runs, host.board.state.cloud_status) == ("app", 2)


def test_raw_requests_are_not_filtered(protected):
    host = protected()
    assert host.control(0xC0, 0x50, 0, 30, 64) == b"6.2.0"


def test_serial_port_is_closed(protected):
    board = protected(application=["log"], factory="online").board
    address = board.on_bus()[0]
    board.control(address, Setup(0x21, 0x22, 1, 0, 0))
    board.clock.sleep(40)
    board.state.listening = True
    board.serial_write(address, b"iv")
    assert board.serial_read(address, 100) == b""


def test_the_touch_into_dfu_mode_still_works(protected):
    board = protected().board
    board.control(board.on_bus()[0], SET_LINE_CODING, (14400).to_bytes(4, "little") + bytes([0, 0, 8]))
    with pytest.raises(GoneError):
        board.control(board.on_bus()[0], SET_LINE_CODING, (9600).to_bytes(4, "little") + bytes([0, 0, 8]))
    assert board.state.runs == "dfu"


def test_older_system_or_bootloader_knows_no_protection(make_board):
    board = make_board("boron", device_os="6.2.0", protected=True)
    for module in system_stand_ins(board.hardware, 5901, 2700):
        install(board.internal, board.hardware, module)
    install(board.internal, board.hardware, bootloader_stand_in(board.hardware, 2700))
    board.internal.erase_sector(0x28000)  # where the newer system lay
    board.reset_pin()
    board.clock.sleep(2)
    host = Host(board)
    assert host.request(30) == (0, b"\x0a\x055.9.0")
    assert host.request(76)[0] == NOT_SUPPORTED


def test_6_0_0_has_no_way_to_open_it(protected):
    host = protected(device_os="6.0.0")
    assert host.state().locked
    assert host.request(77, encode_protection_prepare(NONCE))[0] == NOT_SUPPORTED


def test_cloud_opens_a_board_for_service(protected):
    host = protected()
    challenge = prepare(host)
    assert confirm(host, sign(host, challenge)) == 0
    state = host.state()
    assert (state.protected, state.overridden, state.locked) == (False, True, False)
    assert host.request(30)[0] == 0
    assert confirm(host, sign(host, challenge)) == INVALID_STATE  # one challenge, one opening
    assert host.request(77, encode_protection_reset())[0] == 0
    assert host.state().locked


def test_what_does_not_open_a_board(protected):
    host = protected()
    assert confirm(host, b"anything") == INVALID_STATE
    challenge = prepare(host)
    assert confirm(host, sign(host, challenge, bytes(32))) == INVALID_SIGNATURE
    assert confirm(host, b"no signature at all") == INVALID_SIGNATURE
    assert confirm(host, sign(host, challenge), bytes(32)) == KEY_MISMATCH
    assert host.request(77, b"\x08\x02\x1a\x00")[0] == INVALID_ARGUMENT
    assert host.request(77, b"\x08\x01\x12\x03\x0a\x01x")[0] == INVALID_ARGUMENT
    assert host.request(77, b"\x08\x07")[0] == INVALID_ARGUMENT
    assert confirm(host, sign(host, challenge)) == 0  # mistakes did not use up the challenge
    assert host.request(77, encode_protection_reset())[0] == 0
    challenge = prepare(host)
    host.board.clock.sleep(ANSWER_WITHIN_S)
    assert confirm(host, sign(host, challenge)) == TIMED_OUT
    assert confirm(host, sign(host, challenge)) == INVALID_STATE
    assert host.state().locked


def test_signature_of_one_board_does_not_open_another(make_bench):
    bench = make_bench(*({"platform": "boron", "device_os": "6.2.0", "protected": True} for _ in range(2)))
    mine, other = Host(bench.board("1")), Host(bench.board("2"))
    challenge = prepare(mine)
    prepare(other)
    assert confirm(other, sign(mine, challenge)) == INVALID_SIGNATURE


def test_open_board_has_nothing_to_prepare(protected):
    host = protected(protected=False)
    assert host.request(77, encode_protection_prepare(NONCE)) == (0, b"")
    assert not host.state().locked


def test_service_mode_ends_after_twenty_resets_or_a_day(protected):
    host = protected(service_mode=True)
    host.board.clock.sleep(1)
    for _ in range(18):
        host.board.reset_pin()
    host.board.clock.sleep(2)
    assert host.state().overridden
    host.board.reset_pin()
    host.board.clock.sleep(2)
    assert host.state().locked
    host = protected(service_mode=True)
    host.board.clock.sleep(SERVICE_MODE_S)
    assert host.state().locked


def test_bench_refuses_what_is_no_switch(make_board):
    with pytest.raises(BenchError, match="protected"):
        make_board("boron", protected="yes")
    with pytest.raises(BenchError, match="no application can do"):
        make_board("boron", application=["fly"])


# ---- DFU mode -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "first", "names"),
    [
        (
            "boron",
            6,
            [
                "@Internal Flash   /0x00000000/1*004Kb,47*004Kb,192*004Kb,4*004Kb,4*004Kb,8*004Kb",
                "@DCT Flash   /0x00000000/1*016Kb",
                "@External Flash   /0x80000000/1024*004Kb",
            ],
        ),
        ("p2", 5, ["@Internal Flash   /0x08000000/2048*004Kb", "@DCT Flash   /0x00000000/1*016Kb"]),
    ],
)
def test_strings_of_a_locked_board(protected, platform, first, names):
    host = protected(platform)
    host.enter_dfu()
    assert [host.string(first + n) for n in range(len(names))] == names
    assert host.string(0xFA) == "sm=p\0\0\0\0"
    with pytest.raises(StallError):
        host.string(first + len(names) + (platform == "boron"))


@pytest.mark.parametrize(
    ("slot", "text"), [({"protected": False}, "sm=o"), ({"service_mode": True}, "sm=s"), ({}, "sm=p")]
)
def test_state_string(protected, slot, text):
    host = protected(**slot)
    host.enter_dfu()
    assert host.string(0xFA).rstrip("\0") == text
    assert ("Kb" in host.string(6)) == (text == "sm=p")


def test_state_string_is_newer_than_protection(protected):
    host = protected(device_os="6.1.1")
    host.enter_dfu()
    assert "Kb" in host.string(6)
    with pytest.raises(StallError):
        host.string(0xFA)


@pytest.mark.parametrize(("platform", "error_string"), [("boron", 10), ("p2", 7)])
def test_locked_board_refuses_commands_writes_and_uploads(protected, platform, error_string):
    host = protected(platform)
    host.enter_dfu()
    before = host.board.truth.erases, host.board.truth.programs
    refused = (Status.VENDOR, State.ERROR, error_string)
    for attempt in (
        lambda: host.command(Command.SET_ADDRESS, 0xB4000),
        lambda: host.command(Command.ERASE, 0xB4000),
        lambda: host.download(2, bytes(4096)),
    ):
        assert attempt() == refused
        assert host.string(error_string) == "Device is in protected mode"
        host.control(0x21, 4, 0, 0, 0)
    assert host.control(0xA1, 2, 2, 0, 64) == b""
    assert host.status() == refused
    assert (host.board.truth.erases, host.board.truth.programs) == before


def test_locked_board_can_be_sent_into_safe_mode_and_out_of_dfu(protected):
    host = protected()
    host.enter_dfu()
    assert host.command(Command.ENTER_SAFE_MODE)[0] == Status.OK
    host.status()
    host.board.clock.sleep(3)
    host.board.advance()
    assert host.board.state.runs == "safe_mode"


def test_dfu_ends_service_mode(protected):
    host = protected(service_mode=True)
    host.enter_dfu()
    assert host.command(Command.SET_ADDRESS, 0xB4000)[0] == Status.OK
    host.status()
    assert host.command(Command.CLEAR_SECURITY_MODE_OVERRIDE)[0] == Status.OK
    assert host.status()[:2] == (Status.OK, State.DNLOAD_IDLE)
    assert host.string(0xFA).startswith("sm=p")
    assert host.command(Command.SET_ADDRESS, 0xB4000)[:2] == (Status.VENDOR, State.ERROR)


def test_service_mode_takes_no_system_without_protection(protected):
    host = protected(service_mode=True)
    hardware = host.board.hardware
    host.enter_dfu()
    whole = host.board.internal.read(0x28000, 0x2000)

    def write(address, data):
        host.command(Command.SET_ADDRESS, address)
        host.status()
        host.download(2, data)
        return host.status()

    assert host.command(Command.ERASE, 0x28000)[0] == Status.OK
    host.status()
    assert host.board.internal.read(0x28000, 0x2000) == whole  # erasing is only said to be done
    (old,) = system_stand_ins(hardware, 5901, 2700)
    assert write(0x28000, old[:4096])[:2] == (Status.VENDOR, State.ERROR)
    host.control(0x21, 4, 0, 0, 0)
    assert write(0x29000, old[4096:8192])[:2] == (Status.VENDOR, State.ERROR)  # and so is all that follows
    host.control(0x21, 4, 0, 0, 0)
    (new,) = system_stand_ins(hardware, 6200, 3100)
    assert write(0x28000, new[:4096])[0] == Status.OK
    assert write(0x29000, new[4096:8192])[0] == Status.OK
    assert host.board.internal.read(0x28000, 0x2000) == new[:8192]


def test_service_mode_keeps_its_hands_off_the_region_of_updates(protected):
    host = protected(service_mode=True)
    host.enter_dfu()
    host.control(0x01, 11, 2, 0, 0)
    for address, status in ((0x8024C000, Status.UNKNOWN), (0x80100000, Status.OK)):
        host.command(Command.ERASE, address)
        assert host.status()[0] == status
        if status != Status.OK:
            host.control(0x21, 4, 0, 0, 0)
