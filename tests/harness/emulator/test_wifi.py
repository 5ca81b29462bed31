"""The stand-in of the Wi-Fi chip, from the controller's registers: found, loaded, started, asked."""

import struct

import pytest
from particle_harness.emulator.parts.wifi.bcm43362 import RAM_BYTES
from particle_harness.emulator.parts.wifi.wlan import VERSION

from tests.harness.emulator.sdio_host import (
    CARD_INTERRUPT,
    DCTRL,
    GPIO_C,
    IO_MODE,
    MASK,
    TIMED_OUT,
    SdioHost,
    new_chip,
)

ADDRESS = bytes.fromhex("020011223344")
IO_ENABLE, IO_READY, INTERRUPT_ENABLE, PENDING = 2, 3, 4, 5
WINDOW, FRAME_CONTROL, CLOCK = 0x1000A, 0x1000D, 0x1000E
STATUS, HOST_MASK, ARM_CONTROL, ARM_RESET = 0x18002020, 0x18002024, 0x18103408, 0x18103800
UP, GET_BSSID, SSID, GET_VARIABLE, SET_VARIABLE = 2, 23, 26, 262, 263
CONTROL, EVENT, DATA = 0, 1, 2
SET_SSID, LINK, ESCAN_RESULT = 0, 16, 69
FIRMWARE = struct.pack("<II", 0, 0xC9E9) + bytes(range(256)) * 132


class Driver(SdioHost):
    """A driver of the chip."""

    def __init__(self, chip):
        super().__init__(chip)
        self.sequence = 0

    def reset_line(self, *, high):
        self.write(GPIO_C + 0x18, 1 << (1 if high else 17))

    def backplane(self, address, size=None, data=None, block=None):
        for n in range(3):
            self.direct(1, WINDOW + n, address >> 8 * (n + 1) & (0x80 if n == 0 else 0xFF))
        return self.extended(1, address & 0x7FFF, size, data, block)

    def word(self, address, value=None):
        """Read or write one."""
        if value is not None:
            return self.backplane(address, data=value.to_bytes(4, "little"))
        return int.from_bytes(self.backplane(address, 4), "little")

    def load(self, image):
        self.direct(0, 0x110, 64)
        image = image.ljust(-(-len(image) // 64) * 64, b"\0")
        for start in range(0, len(image), 1024):
            self.backplane(start, data=image[start : start + 1024], block=64)

    def release(self):
        self.word(ARM_CONTROL, 1)
        self.word(ARM_RESET, 0)

    def bring_up(self):
        """Everything that a host does before it asks for something."""
        self.reset_line(high=True)
        self.find()
        self.direct(0, IO_ENABLE, 1 << 1)
        self.direct(1, CLOCK, 0x08)
        self.load(FIRMWARE)
        self.release()
        self.direct(0, IO_ENABLE, 1 << 1 | 1 << 2)
        self.direct(0, INTERRUPT_ENABLE, 1 | 1 << 2)
        self.word(HOST_MASK, 0xF0)
        self.write(DCTRL, IO_MODE)
        self.write(MASK, CARD_INTERRUPT)

    def send(self, channel, payload):
        length = 12 + len(payload)
        header = struct.pack("<HHBBBBBBxx", length, length ^ 0xFFFF, self.sequence, channel, 0, 12, 0, 0)
        self.sequence += 1
        self.extended(2, 0, data=(header + payload).ljust(-(-length // 4) * 4, b"\0"))

    def receive(self):
        """Channel, credit and what follows the header of the next frame, with its tag read first; None when there is
        none."""
        tag = self.extended(2, 0, 4)
        length, inverse = struct.unpack("<HH", tag)
        if not length:
            return None
        assert length ^ inverse == 0xFFFF
        # In whole words, as firmware does.
        frame = tag + self.extended(2, 0, -(-(length - 4) // 4) * 4)
        channel, header, credit = frame[5], frame[7], frame[9]
        return channel & 0xF, credit, frame[header:length]

    def request(self, number, body=b"", wanted=None, *, is_set=False):
        """Status and data of a control request."""
        wanted = len(body) if wanted is None else wanted
        flags = 0x00070000 | is_set << 1
        self.send(CONTROL, struct.pack("<IIII", number, wanted, flags, 0) + body)
        self.wait(0.001)
        channel, _, reply = self.receive()
        assert channel == CONTROL
        back, length, flags, status = struct.unpack_from("<IIIi", reply)
        assert (back, length, flags >> 16) == (number, wanted, 7)
        assert bool(flags & 1) is bool(status)
        assert len(reply) == 16 + wanted
        return status, reply[16:]

    def get(self, name, size, arguments=b""):
        body = (name.encode() + b"\0" + arguments).ljust(size, b"\0")
        return self.request(GET_VARIABLE, body, size)[1]

    def set(self, name, value):
        assert self.request(SET_VARIABLE, name.encode() + b"\0" + value, is_set=True)[0] == 0

    def event(self, after_s):
        """Type, status, flags and interface of the event that comes then."""
        self.wait(after_s)
        channel, _, payload = self.receive()
        assert channel == EVENT
        payload = payload[4 + 4 * payload[3] :]
        assert payload[12:14] == b"\x88\x6c"
        assert payload[19:22] == b"\x00\x10\x18"
        _, flags, kind, status = struct.unpack_from(">HHII", payload, 24)
        return kind, status, flags, payload[24 + 46]


@pytest.fixture
def chip():
    chip = new_chip()
    chip.wire_wifi(ADDRESS, (2, 1))
    chip.power_on()
    return chip


@pytest.fixture
def driver(chip):
    return Driver(chip)


@pytest.fixture
def up(driver):
    driver.bring_up()
    return driver


def test_in_reset_it_answers_nothing(driver):
    assert driver.command(5)[0] == TIMED_OUT
    driver.reset_line(high=True)
    driver.find()
    driver.reset_line(high=False)
    assert driver.command(52)[0] == TIMED_OUT


def test_until_it_is_selected_it_leaves_registers_alone(driver):
    driver.reset_line(high=True)
    assert driver.command(52)[0] == TIMED_OUT
    driver.find()
    assert driver.command(7, 0x20000)[0] == TIMED_OUT
    assert driver.command(52)[0] == TIMED_OUT


def test_functions_are_switched_on_one_by_one(driver):
    driver.reset_line(high=True)
    driver.find()
    assert driver.command(52, 1 << 28 | CLOCK << 9)[1] & 0x0200
    driver.direct(0, IO_ENABLE, 1 << 1 | 1 << 2)
    assert driver.direct(0, IO_READY) == 1 << 1
    assert driver.direct(0, IO_ENABLE) == 1 << 1 | 1 << 2
    driver.direct(0, 6, 1 << 3)
    assert driver.command(52)[0] == TIMED_OUT


def test_clocks_come_when_they_are_asked_for(driver):
    driver.reset_line(high=True)
    driver.find()
    driver.direct(0, IO_ENABLE, 1 << 1)
    assert driver.direct(1, CLOCK) & 0xC0 == 0
    driver.direct(1, CLOCK, 0x08)
    assert driver.direct(1, CLOCK) & 0xC0 == 0x40
    driver.direct(1, CLOCK, 0x10)
    assert driver.direct(1, CLOCK) & 0xC0 == 0xC0


def test_ram_keeps_what_is_loaded_and_registers_what_is_written(up):
    assert up.backplane(0x8000, 512, block=64) == FIRMWARE[0x8000:0x8200]
    assert up.backplane(RAM_BYTES - 4, 4) == bytes(4)
    assert up.word(0x18000000) & 0xFFFF == 43362
    up.word(0x18000000, 0)
    assert up.word(0x18000000) & 0xFFFF == 43362
    up.word(0x1800006C, 0x12345678)
    assert up.word(0x1800006C) == 0x12345678
    assert up.backplane(0x1800006E, 1, block=None)[:1] == b"\x34"


def test_firmware_starts_when_the_core_is_let_go_and_something_is_loaded(driver):
    driver.reset_line(high=True)
    driver.find()
    driver.direct(0, IO_ENABLE, 1 << 1 | 1 << 2)
    driver.release()
    assert driver.direct(0, IO_READY) == 1 << 1
    driver.load(FIRMWARE)
    driver.word(ARM_CONTROL, 1)
    assert driver.direct(0, IO_READY) == 1 << 1
    driver.word(ARM_RESET, 1)
    driver.release()
    assert driver.direct(0, IO_READY) == 1 << 1 | 1 << 2
    assert driver.direct(1, CLOCK) & 0x80
    driver.word(ARM_RESET, 1)
    assert driver.direct(0, IO_READY) == 1 << 1


def test_a_reset_needs_everything_anew(up, chip):
    up.reset_line(high=False)
    up.reset_line(high=True)
    up.find()
    up.direct(0, IO_ENABLE, 1 << 1 | 1 << 2)
    assert up.direct(0, IO_READY) == 1 << 1
    assert up.backplane(4, 4) == bytes(4)
    up.bring_up()
    assert up.get("cur_etheraddr", 20)[:6] == ADDRESS
    chip.pin_reset()
    assert up.command(52)[0] == TIMED_OUT


def test_a_frame_interrupts_until_its_indication_is_cleared(up, chip):
    line = chip.processor.interrupt_line(49)
    up.send(CONTROL, struct.pack("<IIII", UP, 0, 0x70002, 0))
    assert not line.level
    up.wait(0.001)
    assert line.level
    assert up.direct(0, PENDING) == 1 << 2
    assert up.word(STATUS) == 1 << 6
    up.word(STATUS, 1 << 6)
    assert up.direct(0, PENDING) == 0
    assert not line.level
    assert up.receive()[0] == CONTROL
    assert up.receive() is None


def test_the_host_may_give_up_a_frame_that_it_has_begun(up):
    up.send(CONTROL, struct.pack("<IIII", UP, 0, 0x70002, 0))
    up.send(CONTROL, struct.pack("<IIII", GET_BSSID, 0, 0x80000, 0))
    up.wait(0.001)
    up.extended(2, 0, 4)
    up.direct(1, FRAME_CONTROL, 1)
    assert struct.unpack_from("<I", up.receive()[2]) == (GET_BSSID,)
    assert up.receive() is None


def test_requests_are_taken_and_noted(up, chip):
    assert up.request(UP, is_set=True) == (0, b"")
    assert up.request(99, b"1234") == (0, bytes(4))
    up.set("country", b"US\0\0")
    assert up.get("country", 12)[:4] == b"US\0\0"
    assert up.get("ver", 64).rstrip(b"\0").decode() == VERSION
    assert up.get("cur_etheraddr", 20)[:6] == ADDRESS
    assert up.request(GET_BSSID, bytes(6))[0] == -17
    asked = [a.what for a in chip.wifi.wlan.asked]
    assert asked == ["up", "request 99", "set country", "get country", "get ver", "get cur_etheraddr", "get BSSID"]
    assert chip.wifi.wlan.radio_requests == []


def test_credits_follow_the_frames_of_the_host(up):
    up.sequence = 254
    up.send(DATA, bytes(60))
    up.wait(0.001)
    channel, credit, payload = up.receive()
    assert (channel, payload) == (CONTROL, b"")
    assert credit - 255 & 0xFF == 4


def test_what_is_no_frame_is_dropped(up, chip):
    up.extended(2, 0, data=bytes(64))
    up.extended(2, 0, data=struct.pack("<HHBBBBBBxx", 900, 900 ^ 0xFFFF, 0, 0, 0, 12, 0, 0))
    up.extended(2, 0, data=struct.pack("<HHBBBBBBxx", 12, 12 ^ 0xFFFF, 0, 0, 0, 12, 0, 0))
    up.wait(0.001)
    assert up.receive() is None
    assert chip.wifi.wlan.asked == []


@pytest.mark.parametrize("by", ["request", "variable"])
def test_joining_a_network_is_a_request_to_the_radio_and_finds_none(up, chip, by):
    ssid = struct.pack("<I32s", 7, b"nowhere")
    if by == "request":
        up.request(SSID, ssid, is_set=True)
    else:
        up.set("join", ssid + bytes(20))
    assert [a.what for a in chip.wifi.wlan.radio_requests] == [f"{'SSID' if by == 'request' else 'set join'} nowhere"]
    assert up.event(1.0) == (SET_SSID, 3, 0, 0)


def test_a_scan_is_over_soon_and_finds_nothing(up, chip):
    up.set("escan", bytes(40))
    assert up.event(0.4) == (ESCAN_RESULT, 0, 0, 0)
    assert chip.wifi.wlan.radio_requests == []


def test_an_access_point_comes_up_and_goes_down(up, chip):
    interface = struct.pack("<I", 1)
    assert up.get("bss", 8, interface)[:4] == bytes(4)
    up.set("bsscfg:ssid", interface + struct.pack("<I32s", 6, b"Photon"))
    up.set("bss", interface + struct.pack("<I", 1))
    assert up.event(0.4) == (LINK, 0, 1, 1)
    assert up.get("bss", 8, interface)[:4] == interface
    assert up.get("bss", 8, bytes(4))[:4] == bytes(4)
    up.set("bss", interface + bytes(4))
    assert up.event(0.4) == (LINK, 0, 0, 1)
    assert up.get("bss", 8, interface)[:4] == bytes(4)
    assert "set bsscfg:ssid Photon" in [a.what for a in chip.wifi.wlan.asked]
    assert chip.wifi.wlan.radio_requests == []


def test_what_was_on_its_way_is_lost_with_a_reset(up):
    up.set("escan", bytes(40))
    up.reset_line(high=False)
    up.bring_up()
    up.wait(0.4)
    assert up.receive() is None


def test_another_chip_goes_on_from_a_snapshot(up, chip):
    up.set("escan", bytes(40))
    up.set("country", b"JP\0\0")
    other = new_chip()
    other.wire_wifi(ADDRESS, (2, 1))
    other.restore(chip.snapshot())
    successor = Driver(other)
    successor.sequence = up.sequence
    assert successor.event(0.4) == (ESCAN_RESULT, 0, 0, 0)
    assert successor.get("country", 12)[:4] == b"JP\0\0"
    assert successor.backplane(4, 4) == FIRMWARE[4:8]
