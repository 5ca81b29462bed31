"""USBD: what firmware writes to its registers is what a host sees on the wire."""

import struct

import pytest
from particle_harness.emulator.nrf52840.usbd import Usbd
from particle_harness.emulator.usb.controller import STALLED, Handshake

from .rig import INTENSET, RAM, SHORTS, Rig

USBRESET, ENDEPIN, EP0DATADONE, ENDEPOUT, USBEVENT, EP0SETUP, EPDATA = 0x100, 0x108, 0x128, 0x130, 0x158, 0x15C, 0x160
STARTEPIN, STARTEPOUT, EP0RCVOUT, EP0STATUS, EP0STALL = 0x004, 0x028, 0x04C, 0x050, 0x054
EVENTCAUSE, EPDATASTATUS, USBADDR, ENABLE, USBPULLUP, EPINEN, EPOUTEN, EPSTALL = (
    0x400, 0x46C, 0x470, 0x500, 0x504, 0x510, 0x514, 0x518,
)  # fmt: skip
GET_STATUS = struct.pack("<BBHHH", 0x80, 0, 0, 0, 2)
SET_ADDRESS = struct.pack("<BBHHH", 0, 5, 42, 0, 0)
DOWNLOAD = struct.pack("<BBHHH", 0x21, 1, 2, 0, 70)


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def usb(rig):
    usb = Usbd(rig.timeline, rig.line, rig.wires, rig.bus)
    usb.vbus = True
    return usb


@pytest.fixture
def registers(rig, usb):
    registers = rig.add(usb)
    registers[ENABLE] = registers[USBPULLUP] = 1
    return registers


def start_in(registers, rig, endpoint, data):
    rig.bus.write(RAM, data)
    registers[0x600 + 0x14 * endpoint], registers[0x604 + 0x14 * endpoint] = RAM, len(data)
    registers.trigger(STARTEPIN + 4 * endpoint)


def start_out(registers, endpoint, room=64):
    registers[0x700 + 0x14 * endpoint], registers[0x704 + 0x14 * endpoint] = RAM + 0x100, room
    registers.trigger(STARTEPOUT + 4 * endpoint)
    return registers[0x708 + 0x14 * endpoint]


def test_it_shows_itself_with_supply_controller_and_pull_up(rig, usb):
    registers = rig.add(usb)
    assert not usb.connected
    registers[ENABLE] = 1
    assert registers.take(USBEVENT)
    assert registers[EVENTCAUSE] == 1 << 11
    registers[EVENTCAUSE] = 1 << 11
    assert not registers[EVENTCAUSE]
    assert not usb.connected
    registers[USBPULLUP] = 1
    assert usb.connected
    usb.vbus = False
    assert not usb.connected


def test_setup_packets_are_reported_with_their_fields(registers, usb):
    usb.setup(struct.pack("<BBHHH", 0xC0, 0x50, 0x1234, 0x5678, 0x9ABC))
    assert registers.take(EP0SETUP)
    fields = [registers[0x480 + 4 * n] for n in range(8)]
    assert fields == [0xC0, 0x50, 0x34, 0x12, 0x78, 0x56, 0xBC, 0x9A]


def test_a_control_read_waits_for_data_and_for_leave_to_end(rig, registers, usb):
    usb.setup(GET_STATUS)
    assert usb.in_token(0) is None
    start_in(registers, rig, 0, b"\x01\x00")
    assert registers[ENDEPIN]
    assert registers[0x608] == 2
    assert usb.in_token(0) == b"\x01\x00"
    assert registers.take(EP0DATADONE)
    assert usb.in_token(0) is None
    assert usb.out_data(0, b"") is Handshake.NAK
    registers.trigger(EP0STATUS)
    assert usb.out_data(0, b"") is Handshake.ACK


def test_the_host_gets_data_only_after_the_driver_saw_the_end_of_its_dma(rig, registers, usb):
    registers[INTENSET] = 1 << 2
    usb.setup(GET_STATUS)
    start_in(registers, rig, 0, b"\x01\x00")
    assert usb.in_token(0) is None
    assert registers.take(ENDEPIN)
    assert usb.in_token(0) == b"\x01\x00"


def test_a_control_write_takes_packets_when_firmware_lets_it(rig, registers, usb):
    usb.setup(DOWNLOAD)
    assert usb.out_data(0, bytes(64)) is Handshake.NAK
    registers.trigger(EP0RCVOUT)
    assert usb.out_data(0, b"A" * 64) is Handshake.ACK
    assert registers.take(EP0DATADONE)
    assert usb.out_data(0, b"B" * 6) is Handshake.NAK
    assert start_out(registers, 0) == 64
    assert registers.take(ENDEPOUT)
    assert rig.bus.read(RAM + 0x100, 64) == b"A" * 64
    registers.trigger(EP0RCVOUT)
    assert usb.out_data(0, b"B" * 6) is Handshake.ACK
    assert start_out(registers, 0) == 6
    assert usb.in_token(0) is None
    registers.trigger(EP0STATUS)
    assert usb.in_token(0) == b""


def test_shortcuts_move_a_control_write_along(registers, usb):
    registers[SHORTS] = 1 << 1 | 1 << 3
    registers[0x700], registers[0x704] = RAM + 0x100, 64
    usb.setup(DOWNLOAD)
    registers.trigger(EP0RCVOUT)
    assert usb.out_data(0, b"C" * 64) is Handshake.ACK
    assert registers[0x708] == 64
    assert usb.in_token(0) == b""


def test_a_refused_request_stalls_until_the_next(rig, registers, usb):
    usb.setup(GET_STATUS)
    registers.trigger(EP0STALL)
    assert usb.in_token(0) is STALLED
    assert usb.out_data(0, b"") is Handshake.STALL
    usb.setup(GET_STATUS)
    start_in(registers, rig, 0, b"\x00\x00")
    assert usb.in_token(0) == b"\x00\x00"


def test_the_chip_takes_its_address_itself_and_says_so(registers, usb):
    usb.setup(SET_ADDRESS)
    assert registers.take(EP0SETUP)
    assert usb.in_token(0) == b""
    assert usb.address == registers[USBADDR] == 42
    usb.bus_reset()
    assert registers.take(USBRESET)
    assert usb.address == 0


def test_bulk_in(rig, registers, usb):
    start_in(registers, rig, 2, b"hello")
    assert usb.in_token(2) is None
    registers[EPINEN] = 1 | 1 << 2
    assert usb.in_token(2) == b"hello"
    assert registers.take(EPDATA)
    assert registers[EPDATASTATUS] == 1 << 2
    registers[EPDATASTATUS] = 1 << 2
    assert registers[EPDATASTATUS] == 0
    assert usb.in_token(2) is None


def test_bulk_out_takes_one_packet_until_firmware_has_it(rig, registers, usb):
    registers[EPOUTEN] = 1 | 1 << 3
    assert usb.out_data(3, b"one") is Handshake.ACK
    assert usb.out_data(3, b"two") is Handshake.NAK
    assert registers[EPDATASTATUS] == 1 << 19
    assert registers[0x4A0 + 12] == 3
    assert start_out(registers, 3) == 3
    assert rig.bus.read(RAM + 0x100, 3) == b"one"
    assert usb.out_data(3, b"two") is Handshake.ACK
    registers[0x4A0 + 12] = 0
    assert usb.out_data(3, b"three") is Handshake.ACK


def test_halted_endpoints_stall(registers, usb):
    registers[EPSTALL] = 0x100 | 0x80 | 2
    registers[EPSTALL] = 0x100 | 3
    assert usb.in_token(2) is STALLED
    assert usb.out_data(3, b"x") is Handshake.STALL
    assert registers[0x420 + 8] == registers[0x444 + 12] == 1
    registers[EPSTALL] = 0x80 | 2
    assert usb.in_token(2) is None


def test_frames_are_told_where_firmware_asks(rig, registers, usb):
    registers[INTENSET] = 1 << 21
    usb.bus_reset()
    frames = 0
    for _ in range(5):
        rig.pass_s(0.001)
        frames += registers.take(0x154)
    assert frames == 5
    assert registers[0x520] == 5
