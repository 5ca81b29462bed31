"""Endpoint 0 of a Boron that runs Device OS, as run on an emulated one."""

import pytest
from particle_harness.usb.transfer import Setup, StallError

PENDING = bytes.fromhex("010000000200")


@pytest.fixture
def device(make_board):
    board = make_board("boron")
    board.clock.sleep(2)
    device = board.usb_device
    device.bus_reset()
    device.host_enumerates()
    return device


def answer(device, *fields, data=b""):
    try:
        return device.control(Setup(*fields), data)
    except StallError:
        return "stall"


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ((0x80, 0, 0, 0, 2), b"\x01\x00"),
        ((0x81, 0, 0, 2, 2), b"\x00\x00"),
        ((0x81, 0, 0, 3, 2), "stall"),
        ((0x81, 10, 0, 1, 1), b"\x00"),
        ((0x01, 11, 1, 0, 0), "stall"),
        ((0x82, 0, 0, 0x82, 2), b"\x00\x00"),
        ((0x82, 0, 0, 0x85, 2), "stall"),
        ((0x80, 8, 0, 0, 1), b"\x01"),
        ((0x00, 3, 1, 0, 0), "stall"),
        ((0x00, 9, 2, 0, 0), "stall"),
        ((0x80, 6, 0x0307, 0x0409, 0), b""),
        ((0x80, 6, 0x0307, 0x0409, 4), "stall"),
        ((0x80, 6, 0x0F00, 0, 5), "stall"),
        # The functional descriptors of the serial port, one by one.
        ((0x81, 6, 0x2400, 0, 64), bytes.fromhex("0524001001")),
        ((0x81, 6, 0x2403, 0, 64), bytes.fromhex("0524060001")),
        ((0x81, 6, 0x2404, 0, 64), "stall"),
        ((0x81, 6, 0x2400, 2, 64), "stall"),
    ],
)
def test_standard_requests(device, fields, wanted):
    assert answer(device, *fields) == wanted


def test_endpoints_halt_and_go_on(device):
    assert answer(device, 0x02, 3, 0, 0x82, 0) == b""
    assert answer(device, 0x82, 0, 0, 0x82, 2) == b"\x01\x00"
    assert answer(device, 0x02, 1, 0, 0x82, 0) == b""
    assert answer(device, 0x82, 0, 0, 0x82, 2) == b"\x00\x00"
    assert answer(device, 0x00, 9, 0, 0, 0) == b""
    assert answer(device, 0x82, 0, 0, 0x82, 2) == "stall"
    assert answer(device, 0x82, 0, 0, 0, 2) == b"\x00\x00"


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ((0xA1, 0x21, 0, 0, 7), bytes.fromhex("80250000000000")),
        ((0xA1, 0x21, 0, 1, 7), bytes.fromhex("80250000000000")),
        ((0xA0, 0x21, 0, 0, 7), bytes.fromhex("80250000000000")),
        ((0xA1, 0x21, 0, 2, 7), "stall"),
        ((0xA1, 0x21, 0, 0, 6), "stall"),
        ((0x21, 0x23, 0xFFFF, 0, 0), "stall"),
        ((0x21, 0x22, 1, 0, 0), b""),
    ],
)
def test_the_serial_port_takes_requests_of_their_length(device, fields, wanted):
    assert answer(device, *fields) == wanted


def test_vendor_requests_to_an_interface_name_it_in_wvalue(device):
    assert answer(device, 0xC1, 0x50, 2, 20, 64) == answer(device, 0xC0, 0x50, 0, 20, 64) != "stall"
    assert answer(device, 0xC3, 0x50, 0, 20, 64) != "stall"
    assert answer(device, 0xC1, 0x50, 0, 20, 64) == "stall"
    assert answer(device, 0xC2, 0x50, 0, 20, 64) == "stall"


def test_short_data_are_taken_whatever_becomes_of_them(device):
    assert answer(device, 0x40, 3, 0, 0x7777, 64, data=bytes(64)) == b""
    assert answer(device, 0x40, 3, 0, 0x7777, 65, data=bytes(65)) == "stall"
    assert answer(device, 0x40, 9, 0, 0, 8, data=bytes(8)) == b""


def test_a_service_request_has_no_buffer_for_more_than_64_bytes(device):
    assert answer(device, 0xC0, 1, 0, 20, 65) == "stall"
    assert answer(device, 0xC0, 2, 0, 1, 255) == "stall"
    assert answer(device, 0xC0, 1, 0, 20, 64).hex() == "0300000000000100"


def test_a_request_may_begin_by_data_to_the_device(device):
    """Nobody looks at the direction; the reply goes nowhere."""
    assert answer(device, 0x40, 1, 0, 20, 64, data=bytes(64)) == b""
    assert answer(device, 0xC0, 2, 0, 1, 64) == PENDING


def test_a_long_payload_is_refused_before_it_is_there(device):
    with pytest.raises(StallError):
        device.abandon(Setup(0x40, 3, 0, 1, 128), bytes(128), 1)
    answer(device, 0xC0, 1, 128, 1, 64)
    device.abandon(Setup(0x40, 3, 0, 1, 128), bytes(128), 1)
    assert answer(device, 0xC0, 2, 0, 1, 64).hex() == "010000000000"


def test_a_speed_is_heeded_when_the_next_one_is_announced(device):
    board = device._system._state
    answer(device, 0x21, 0x20, 0, 0, 7, data=(14400).to_bytes(4, "little") + bytes(3))
    assert board.runs == "listening"
    device.abandon(Setup(0x21, 0x20, 0, 0, 7))
    assert board.runs == "dfu"


def test_device_os_1_5_has_neither_raw_orders_nor_requests_to_its_control_interface(make_board):
    board = make_board("xenon", device_os="1.5.2")
    board.clock.sleep(2)
    device = board.usb_device
    device.host_enumerates()
    assert answer(device, 0x81, 10, 0, 2, 1) == "stall"
    assert answer(device, 0x81, 10, 0, 0, 1) == b"\x00"
    assert answer(device, 0x40, 0x50, 0, 302, 0) == "stall"


@pytest.mark.parametrize(
    ("platform", "device_os", "has_them"),
    [("boron", "1.5.2", False), ("xenon", "1.5.2", False), ("boron", "2.1.0", True), ("photon", "1.5.2", True)],
)
def test_gen_3_boards_count_attempts_to_join_a_network_since_2_0(make_board, platform, device_os, has_them):
    board = make_board(platform, device_os=device_os)
    board.clock.sleep(2)
    counters = board.usb_device._system.diagnostics()
    names = {"net:stat", "net:connatt", "net:dconn"}
    assert names & counters.keys() == (names if has_them else set())
    assert counters["cloud:stat"] == 0
