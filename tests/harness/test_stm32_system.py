"""Endpoint 0 of a Photon that runs Device OS, as run on an emulated one."""

import struct

import pytest
from particle_harness.boards import hardware
from particle_harness.usb.requests.handler import BAD_DATA
from particle_harness.usb.stm32_system import Stm32NormalDevice
from particle_harness.usb.transfer import Setup, SilentError, StallError
from particle_harness.usb.wire import bytes_field, number_field

DEVICE = (0x80, 6, 0x0100, 0, 18)
GET_LINE_CODING, SET_LINE_CODING = (0xA1, 0x21, 0, 0, 7), (0x21, 0x20, 0, 0, 7)
AT_9600, AT_115200 = bytes.fromhex("80250000000000"), bytes.fromhex("00c20100000008")
WORKS_FOR_S = 5.0
"""On the longest of these requests."""
REFUSED = (0xC0, 0x50, 0, 9999, 64)
"""A raw request that there is not."""
OK, NOT_FOUND = bytes.fromhex("010000000000"), bytes.fromhex("010000000500")


@pytest.fixture
def board(make_board):
    board = make_board("photon")
    board.clock.sleep(2)
    board.advance()
    return board


@pytest.fixture
def device(board):
    device = board.usb_device
    enumerate_again(device)
    return device


@pytest.fixture
def request_to(board, device):
    """Makes a whole request: its result and its reply."""

    def make(kind, payload=b""):
        number = begin(device, kind, len(payload))
        board.clock.sleep(WORKS_FOR_S)
        if payload:
            assert answer(device, 0x40, 3, 0, number, len(payload), data=payload) == b""
            board.clock.sleep(WORKS_FOR_S)
        checked = answer(device, 0xC0, 2, 0, number, 64)
        assert checked[0] & 8, checked
        size = int.from_bytes(checked[6:10], "little") if checked[0] & 4 else 0
        reply = answer(device, 0xC0, 4, 0, number, size) if size else b""
        return int.from_bytes(checked[-4:], "little", signed=True), reply

    return make


def enumerate_again(device):
    device.bus_reset()
    device.host_enumerates()


def answer(device, *fields, data=b""):
    try:
        return device.control(Setup(*fields), data)
    except StallError:
        return "stall"
    except SilentError:
        return "silent"


def line_coding(baud):
    return struct.pack("<IBBB", baud, 0, 0, 8)


def begin(device, kind, payload_bytes=0):
    """The id of a new request."""
    return int.from_bytes(answer(device, 0xC0, 1, payload_bytes, kind, 64)[6:8], "little")


@pytest.mark.parametrize("platform", ["photon", "p1", "electron"])
def test_every_board_of_the_family_is_such_a_device(make_board, platform):
    board = make_board(platform)
    board.clock.sleep(2)
    assert isinstance(board.usb_device, Stm32NormalDevice)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ((0x80, 0, 0, 0, 2), b"\x01\x00"),
        ((0x80, 8, 0, 0, 1), b"\x01"),
        ((0x80, 8, 0, 0, 2), "stall"),
        ((0x80, 6, 0x0100, 0, 64), "eight bytes"),
        # Whom nobody answers: no data are asked for, there is no such string.
        ((0x80, 6, 0x0100, 0, 0), "silent"),
        ((0x80, 6, 0x0306, 0x0409, 255), "silent"),
        ((0x80, 6, 0x0305, 0x0409, 255), b"\x02\x03"),
        ((0x80, 6, 0x0F00, 0, 5), "stall"),
        # The serial port refuses what it does not know, the interface beside it says nothing.
        ((0x81, 0, 0, 0, 2), "stall"),
        ((0x81, 0, 0, 2, 2), "silent"),
        ((0x01, 3, 0, 0, 0), "stall"),
        ((0x01, 3, 0, 2, 0), b""),
        ((0x81, 10, 0, 1, 1), b"\x00"),
        ((0x01, 11, 10, 0, 0), "stall"),
        ((0x81, 6, 0x2400, 0, 64), b""),
        # Remote wake-up is a matter of the serial port, too; test modes and others are not.
        ((0x00, 3, 1, 0, 0), "stall"),
        ((0x00, 3, 1, 2, 0), b""),
        ((0x00, 3, 2, 0x0100, 0), b""),
        ((0x00, 3, 2, 1, 0), "silent"),
        ((0x00, 3, 7, 0, 0), "silent"),
        ((0x00, 9, 2, 0, 0), "stall"),
        ((0x00, 5, 7, 0, 0), "stall"),
        ((0xC3, 0x50, 0, 20, 64), "stall"),
        ((0x43, 0x50, 0, 20, 0), "silent"),
        ((0xC1, 0x50, 0, 20, 64), "stall"),
        ((0xC1, 0x50, 0, 2, 64), "silent"),
        ((0xC1, 0xEE, 0, 5, 10), bytes(10)),
    ],
)
def test_standard_requests(device, fields, wanted):
    assert answer(device, *fields) == (device.identity.device[:8] if wanted == "eight bytes" else wanted)


def test_the_serial_port_shows_its_descriptors_at_once(device):
    assert answer(device, 0x81, 6, 0x2100, 1, 255) == device.identity.configuration[9 : 9 + 66]


def test_an_alternate_setting_is_kept(device):
    assert answer(device, 0x01, 11, 3, 0, 0) == b""
    enumerate_again(device)
    assert answer(device, 0x81, 10, 0, 1, 1) == b"\x03"


def test_each_endpoint_has_its_halt(device):
    assert answer(device, 0x02, 3, 0, 0x82, 0) == b""
    assert answer(device, 0x82, 0, 0, 0x82, 2) == b"\x01\x00"
    assert answer(device, 0x82, 0, 0, 0x81, 2) == b"\x00\x00"
    enumerate_again(device)
    assert answer(device, 0x82, 0, 0, 0x82, 2) == b"\x01\x00"
    assert answer(device, 0x02, 1, 0, 0x82, 0) == b""
    assert answer(device, 0x82, 0, 0, 0x82, 2) == b"\x00\x00"


def test_endpoint_1_is_taken_for_the_interface_of_that_number(device):
    assert answer(device, 0x02, 3, 0, 1, 0) == "stall"
    assert answer(device, 0x82, 0, 0, 1, 2) == b"\x01\x00"
    assert answer(device, 0x82, 0, 0, 0x80, 2) == b"\x01\x00", "a stall of endpoint 0 counts as a halt of it"


def test_a_stall_of_one_direction_halts_that_one(device):
    assert answer(device, 0xC3, 0x50, 0, 20, 64) == "stall"
    assert answer(device, 0x82, 0, 0, 0, 2) == b"\x00\x00"
    assert answer(device, 0x82, 0, 0, 0x80, 2) == b"\x01\x00"


def test_without_a_configuration_whoever_asks_for_an_endpoint_halts_it(device):
    assert answer(device, 0x00, 9, 0, 0, 0) == b""
    assert answer(device, 0x82, 0, 0, 0x81, 2) == "silent"
    assert answer(device, 0x80, 6, 0x030A, 0x0409, 255) == "silent", "the serial port's name"
    assert answer(device, 0x00, 9, 1, 0, 0) == b""
    assert answer(device, 0x82, 0, 0, 0x81, 2) == b"\x01\x00"
    assert answer(device, 0x80, 6, 0x030A, 0x0409, 2) == b"\x1c\x03"


def test_remote_wake_up_is_noted_all_the_same(device):
    assert answer(device, 0x00, 3, 1, 0, 0) == "stall"
    assert answer(device, 0x80, 0, 0, 0, 2) == b"\x03\x00"


def test_the_serial_port_keeps_its_command_buffer(device):
    assert answer(device, *SET_LINE_CODING, data=line_coding(115200)) == b""
    assert answer(device, 0xA1, 0x7F, 0, 0, 8) == AT_115200 + b"\x00"
    # Six bytes are filled up to two words, and the seventh is zero.
    assert answer(device, 0x21, 0x20, 0, 1, 6, data=line_coding(9600)[:6]) == b""
    assert answer(device, *GET_LINE_CODING) == AT_9600
    assert answer(device, 0x21, 0x40, 0, 0, 4, data=b"abcd") == b""
    assert answer(device, 0xA1, 0x7F, 0, 0, 8) == b"abcd" + bytes(4)


def test_replies_are_as_long_as_they_are_asked_for(device):
    assert len(answer(device, 0xC0, 0xEE, 0, 4, 255)) == 255
    assert len(answer(device, 0xA1, 0x21, 0, 0, 64)) == 64


def test_a_speed_behind_a_refused_request_is_acknowledged_and_lost(board, device):
    assert answer(device, *REFUSED) == "stall"
    assert answer(device, *SET_LINE_CODING, data=line_coding(14400)) == b""
    assert answer(device, *GET_LINE_CODING) == AT_9600
    assert board.state.runs == "listening"
    assert answer(device, *SET_LINE_CODING, data=line_coding(14400)) == b""
    assert board.state.runs == "dfu"


def test_a_speed_that_was_lost_is_heeded_when_other_data_are_refused(device):
    assert answer(device, *REFUSED) == "stall"
    assert answer(device, *SET_LINE_CODING, data=line_coding(115200)) == b""
    assert answer(device, 0x40, 3, 0, 0x7777, 8, data=bytes(8)) == b"", "short data are always taken"
    assert answer(device, *GET_LINE_CODING) == AT_115200


def test_any_reply_to_the_host_takes_the_note_away(device):
    assert answer(device, *REFUSED) == "stall"
    assert answer(device, *DEVICE) == device.identity.device
    assert answer(device, *SET_LINE_CODING, data=line_coding(115200)) == b""
    assert answer(device, *GET_LINE_CODING) == AT_115200


def test_a_bus_reset_takes_the_note_away(device):
    assert answer(device, *REFUSED) == "stall"
    enumerate_again(device)
    assert answer(device, *SET_LINE_CODING, data=line_coding(115200)) == b""
    assert answer(device, *GET_LINE_CODING) == AT_115200


def test_a_payload_that_never_arrived_counts_as_sent(board, device):
    number = begin(device, 1, 8)
    assert device.abandon(Setup(0x40, 3, 0, number, 8), b"12345678") == b""
    assert answer(device, *DEVICE) == device.identity.device
    board.clock.sleep(WORKS_FOR_S)
    assert answer(device, 0xC0, 2, 0, number, 64).hex() == "0d00000000000800000000000000"
    # The buffer held the reply to INIT.
    assert answer(device, 0xC0, 4, 0, number, 8) == struct.pack("<IHH", 3, 0, number)


def test_a_reply_that_was_given_up_ends_with_another_transfer(board, device):
    number = begin(device, 20)
    board.clock.sleep(WORKS_FOR_S)
    size = int.from_bytes(answer(device, 0xC0, 2, 0, number, 64)[6:10], "little")
    assert device.abandon(Setup(0xC0, 4, 0, number, size)) == b""
    assert answer(device, *DEVICE) == device.identity.device
    assert answer(device, 0xC0, 2, 0, number, 64) == NOT_FOUND


def test_without_a_configuration_nobody_hears_that_data_are_there(board, device):
    number = begin(device, 1, 4)
    assert answer(device, 0x00, 9, 0, 0, 0) == b""
    assert answer(device, 0x40, 3, 0, number, 4, data=b"abcd") == b""
    assert answer(device, 0xC0, 2, 0, number, 64) == OK
    assert answer(device, 0x00, 9, 1, 0, 0) == b""
    assert answer(device, 0x40, 3, 0, number, 4, data=b"abcd") == b""
    board.clock.sleep(WORKS_FOR_S)
    assert answer(device, 0xC0, 2, 0, number, 64).hex() == "0d00000000000400000000000000"


def test_service_requests_have_no_buffer_for_more_than_64_bytes(device):
    assert answer(device, 0xC0, 1, 0, 20, 65) == "stall"
    assert answer(device, 0x40, 3, 0, 0x7777, 65, data=bytes(65)) == "stall"
    assert answer(device, 0x40, 1, 0, 20, 64, data=bytes(64)) == b"", "nobody looks at the direction"
    assert answer(device, 0xC0, 2, 0, 1, 64) == bytes.fromhex("010000000200")


def test_a_payload_of_any_length_goes_back(request_to):
    for size in (1, 3, 64, 65, 200):
        payload = bytes(range(size))
        assert request_to(1, payload) == (0, payload)


@pytest.mark.parametrize("kind", [210, 211, 220, 221, 222, 240])
def test_what_is_no_message_is_refused(request_to, kind):
    cut_off, too_large = b"\x0a\x05ab", number_field(1, 256)
    assert request_to(kind, cut_off)[0] == BAD_DATA
    assert request_to(kind, too_large if kind != 240 else number_field(1, 1))[0] == BAD_DATA


def test_a_key_is_stored_and_read(request_to):
    assert request_to(210, number_field(1, 2) + bytes_field(2, b"key"))[0] == 0
    result, reply = request_to(211, number_field(1, 2))
    assert (result, reply[:3], reply[3:6]) == (0, b"\x0a\x80\x03", b"key")


def test_a_piece_of_an_update_that_begins_between_words_is_acknowledged_and_not_written(board, request_to):
    start = hardware("photon").layout.ota.start_address
    pieces = (b"a", b"bc", b"defg", b"h", b"ijklmno")
    assert request_to(250, number_field(1, sum(map(len, pieces))))[0] == 0
    assert [request_to(253, bytes_field(1, piece))[0] for piece in pieces] == [0] * len(pieces)
    written = board.internal.read(start, 15)
    assert written == b"abc" + b"\xff" * 4 + b"h" + b"ijklmno"
