"""The USB OTG core: what its driver reads, and what the host sees."""

import pytest
from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.stm32f205.dwc2 import Dwc2
from particle_harness.emulator.usb.controller import STALLED, Handshake

GAHBCFG, GRSTCTL, GINTSTS, GINTMSK, GRXSTSP, GCCFG, DCFG, DCTL = 0x08, 0x10, 0x14, 0x18, 0x20, 0x38, 0x800, 0x804
DIEPMSK, DOEPMSK, DAINT, DAINTMSK, DIEPEMPMSK = 0x810, 0x814, 0x818, 0x81C, 0x834
DIEPCTL, DIEPINT, DIEPTSIZ, DTXFSTS, DOEPCTL, DOEPINT, DOEPTSIZ = 0x900, 0x908, 0x910, 0x918, 0xB00, 0xB08, 0xB10
ENABLE, CLEAR_NAK, STALL = 1 << 31, 1 << 26, 1 << 21
SOF, RXFLVL, USBRST, ENUMDNE, IEPINT, OEPINT = 1 << 3, 1 << 4, 1 << 12, 1 << 13, 1 << 18, 1 << 19


class Port:
    def __init__(self):
        self.timeline = Timeline(120_000_000)
        self.rises = 0
        self.line = InterruptLine(77, self.on_rise)
        self.usb = Dwc2("OTG_HS", self.timeline, self.line, endpoints=6)

    def on_rise(self, _number):
        self.rises += 1

    def write(self, offset, value):
        self.usb.write(offset, 4, value)

    def read(self, offset):
        return self.usb.read(offset, 4)

    def wait(self, duration_s):
        self.timeline.pass_until(self.timeline.cycles + self.timeline.cycles_of(duration_s))

    def pop(self):
        status = self.read(GRXSTSP)
        size = status >> 4 & 0x7FF
        words = [self.read(0x1000).to_bytes(4, "little") for _ in range(-(-size // 4))]
        return status & 0xF, status >> 17 & 0xF, b"".join(words)[:size]

    def send(self, endpoint, data):
        for start in range(0, len(data), 4):
            self.write(0x1000 * (endpoint + 1), int.from_bytes(data[start : start + 4], "little"))


@pytest.fixture
def port():
    port = Port()
    port.write(GCCFG, 1 << 16)
    port.write(GAHBCFG, 1)
    port.write(GINTMSK, RXFLVL | USBRST | ENUMDNE | IEPINT | OEPINT)
    port.write(DIEPMSK, 1)
    port.write(DOEPMSK, 9)
    port.write(DAINTMSK, 0x10001)
    return port


def test_on_the_bus_with_transceiver_and_supply(port):
    assert port.usb.connected
    port.write(DCTL, 2)
    assert not port.usb.connected
    port.write(DCTL, 0)
    port.usb.detach_vbus()
    assert not port.usb.connected


def test_bus_reset_then_speed(port):
    port.usb.bus_reset()
    assert port.read(GINTSTS) & (USBRST | ENUMDNE) == USBRST
    assert port.line.level
    port.write(GINTSTS, USBRST)
    assert not port.line.level
    port.wait(0.001)
    assert port.read(GINTSTS) & ENUMDNE
    assert port.read(0x808) >> 1 & 3 == 3


def test_setup_goes_through_the_receive_fifo(port):
    packet = bytes.fromhex("8006000100004000")
    port.usb.setup(packet)
    assert port.read(GINTSTS) & RXFLVL
    assert port.pop() == (0, 6, packet)
    assert not port.read(DOEPINT) & 8
    assert port.pop() == (0, 4, b"")
    assert port.read(DOEPINT) == 8
    assert port.read(GINTSTS) & (RXFLVL | OEPINT) == OEPINT
    assert port.read(DAINT) == 0x10000
    port.write(DOEPINT, 8)
    assert not port.line.level


def arm_in(port, endpoint, size, packets=1):
    port.write(DIEPTSIZ + 0x20 * endpoint, packets << 19 | size)
    control = port.read(DIEPCTL + 0x20 * endpoint)
    port.write(DIEPCTL + 0x20 * endpoint, control | ENABLE | CLEAR_NAK)


def test_in_data_is_sent_when_it_is_in_the_fifo(port):
    arm_in(port, 0, 5)
    port.write(DIEPEMPMSK, 1)
    assert port.read(DIEPINT) & 1 << 7
    assert port.read(DAINT) & 1
    assert port.usb.in_token(0) is None
    port.send(0, b"hello")
    assert not port.read(DIEPINT) & 1 << 7
    assert port.usb.in_token(0) == b"hello"
    assert port.read(DIEPINT) & 1
    assert port.usb.in_token(0) is None


def test_an_in_transfer_of_several_packets(port):
    port.write(DIEPCTL + 0x20, 64 | 1 << 15 | 2 << 18)
    data = bytes(range(150))
    arm_in(port, 1, len(data), packets=3)
    for start in range(0, 150, 64):
        port.send(1, data[start : start + 64])
    assert [port.usb.in_token(1) for _ in range(4)] == [data[:64], data[64:128], data[128:], None]
    assert port.read(DIEPINT + 0x20) & 1


def test_out_data_needs_an_armed_endpoint(port):
    assert port.usb.out_data(0, b"x") is Handshake.NAK
    port.write(DOEPTSIZ, 1 << 19 | 64)
    port.write(DOEPCTL, ENABLE | CLEAR_NAK)
    assert port.usb.out_data(0, b"four") is Handshake.ACK
    assert port.usb.out_data(0, b"more") is Handshake.NAK
    assert port.pop() == (0, 2, b"four")
    assert port.pop() == (0, 3, b"")
    assert port.read(DOEPINT) & 1
    assert not port.read(DOEPCTL) & ENABLE


def test_a_stall_lasts_until_the_next_setup(port):
    port.write(DIEPCTL, STALL)
    port.write(DOEPCTL, STALL)
    assert port.usb.in_token(0) is STALLED
    assert port.usb.out_data(0, b"") is Handshake.STALL
    port.usb.setup(bytes(8))
    assert port.usb.in_token(0) is None
    assert port.usb.out_data(0, b"") is Handshake.NAK


def test_setup_takes_the_floor_from_data_that_was_armed(port):
    arm_in(port, 0, 4)
    port.send(0, b"data")
    port.usb.setup(bytes(8))
    port.pop()
    port.pop()
    assert port.usb.in_token(0) is None
    arm_in(port, 0, 2)
    port.send(0, b"ok")
    assert port.usb.in_token(0) == b"ok"


def test_address_and_fifo_space(port):
    port.write(DCFG, 9 << 4)
    assert port.usb.address == 9
    free = port.read(DTXFSTS)
    arm_in(port, 0, 8)
    port.send(0, bytes(8))
    assert port.read(DTXFSTS) == free - 2
    port.write(GRSTCTL, 0x20)
    assert port.read(DTXFSTS) == free


def test_one_frame_a_millisecond_after_any_number_of_bus_resets(port):
    port.write(GINTMSK, SOF)
    for _ in range(6):
        port.usb.bus_reset()
        # Then a frame of the time before would be due behind the end of the next enumeration.
        port.wait(0.0107)
    port.write(GINTSTS, SOF)
    rises = port.rises
    for _ in range(1000):
        port.wait(0.0001)
        port.write(GINTSTS, SOF)
    assert port.rises - rises == 100


def test_frames_tick_while_the_bus_is_alive(port):
    port.usb.bus_reset()
    port.wait(0.01)
    first = port.read(0x808) >> 8
    assert port.read(GINTSTS) & 8
    port.wait(0.005)
    assert (port.read(0x808) >> 8) - first == 5
    port.usb.detach_vbus()
    port.wait(0.002)
    port.write(GINTSTS, 8)
    port.wait(0.01)
    assert not port.read(GINTSTS) & 8
