"""OTG_HS: interrupts of endpoint 1 alone."""

import pytest
from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.stm32f205.otg_hs import OtgHs
from particle_harness.emulator.usb.controller import Handshake

GAHBCFG, GINTMSK, GRXSTSP, GCCFG = 0x08, 0x18, 0x20, 0x38
DIEPEMPMSK, DEACHINT, DEACHINTMSK, DIEPEACHMSK1, DOEPEACHMSK1 = 0x834, 0x838, 0x83C, 0x844, 0x884
DIEPCTL1, DIEPINT1, DIEPTSIZ1, DOEPCTL1, DOEPINT1, DOEPTSIZ1 = 0x920, 0x928, 0x930, 0xB20, 0xB28, 0xB30
ARM = 1 << 31 | 1 << 26 | 64
XFRC = 1
IN_1, OUT_1 = 1 << 1, 1 << 17


@pytest.fixture
def lines():
    return [InterruptLine(number, lambda _: None) for number in (77, 75, 74)]


@pytest.fixture
def usb(lines):
    usb = OtgHs(Timeline(120_000_000), lines[0], (lines[1], lines[2]))
    for register, value in ((GCCFG, 1 << 16), (GAHBCFG, 1), (DEACHINTMSK, IN_1 | OUT_1)):
        usb.write(register, 4, value)
    return usb


def receive(usb):
    usb.write(DOEPTSIZ1, 4, 1 << 19 | 64)
    usb.write(DOEPCTL1, 4, ARM)
    assert usb.out_data(1, b"data") is Handshake.ACK
    usb.read(GRXSTSP, 4)
    usb.read(GRXSTSP, 4)


def levels(lines):
    return [line.level for line in lines]


def test_a_received_packet_raises_the_interrupt_of_endpoint_1_out(usb, lines):
    usb.write(DOEPEACHMSK1, 4, XFRC)
    receive(usb)
    assert usb.read(DEACHINT, 4) == OUT_1
    assert levels(lines) == [False, False, True]
    usb.write(DOEPINT1, 4, XFRC)
    assert levels(lines) == [False, False, False]


def test_masks_keep_it_away(usb, lines):
    receive(usb)
    assert usb.read(DEACHINT, 4) == 0
    usb.write(DOEPEACHMSK1, 4, XFRC)
    assert levels(lines) == [False, False, True]
    usb.write(DEACHINTMSK, 4, IN_1)
    assert levels(lines) == [False, False, False]
    usb.write(DEACHINTMSK, 4, OUT_1)
    usb.write(GAHBCFG, 4, 0)
    assert levels(lines) == [False, False, False]


def test_an_empty_fifo_and_a_sent_packet_raise_that_of_endpoint_1_in(usb, lines):
    usb.write(DIEPEACHMSK1, 4, XFRC)
    usb.write(DIEPTSIZ1, 4, 1 << 19 | 4)
    usb.write(DIEPCTL1, 4, ARM)
    usb.write(DIEPEMPMSK, 4, 1 << 1)
    assert levels(lines) == [False, True, False]
    usb.write(0x2000, 4, 0x64636261)
    assert levels(lines) == [False, False, False]
    assert usb.in_token(1) == b"abcd"
    assert levels(lines) == [False, True, False]
    usb.write(DIEPINT1, 4, XFRC)
    assert levels(lines) == [False, False, False]


def test_a_reset_lowers_them(usb, lines):
    usb.write(DOEPEACHMSK1, 4, XFRC)
    receive(usb)
    usb.reset()
    assert levels(lines) == [False, False, False]
