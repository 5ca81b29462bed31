"""Console sessions and log capture on a scripted serial link, and on virtual boards."""

import threading
import time
from collections import deque
from datetime import UTC, datetime

import pytest

from particle_dev.catalog.platforms import platform_by_name
from particle_dev.device.console import ConsoleSession, LogCapture, open_serial_port, touch_into_listening
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import device_at, wait_for_device
from particle_dev.errors import (
    DeviceModeError,
    DeviceNotFoundError,
    LinkDisconnectedError,
    LinkTimeoutError,
    PermissionMissingError,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench
from particle_dev.transport.base import Host, SerialPortInfo, UsbDeviceInfo


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def monotonic_s(self):
        return self.now_s

    def sleep(self, duration_s):
        self.now_s += duration_s

    def utc_now(self):
        return datetime.fromtimestamp(self.now_s, UTC)


class Link:
    """Gives one piece for each read; ``answers`` adds pieces when something is written."""

    where = "scripted"

    def __init__(self, clock, pieces=(), answers=None):
        self.clock, self.pieces, self.answers = clock, deque(pieces), answers or {}
        self.written, self.closed = b"", False

    def read(self, timeout_s):
        if not self.pieces:
            self.clock.sleep(timeout_s)
            return b""
        piece = self.pieces.popleft()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def write(self, data):
        self.written += data
        self.pieces.extend(self.answers.get(data, ()))

    def close(self):
        self.closed = True


def test_console_ignores_what_was_left_unread():
    link = Link(Clock(), [b"0000000001 [app] INFO: old\r\n"], {b"v": [b"system firmware", b" version: 6.2.0\n\r\n"]})
    with ConsoleSession(link) as console:
        assert console.version() == "6.2.0"
    assert link.closed


def test_console_answers():
    answers = {
        b"i": [b"Device ID: e00fce680123456789abcdef\r\n"],
        b"c": [b"Device claimed: yes\r\n"],
        b"m": [b"Your device MAC address is\r\n00:11:22:33:44:55\r\n"],
        b"d": [b'{"sys:uptime":3}\r\n'],
        b"s": [b'{"p":13,"m":[]}\r\n'],
    }
    console = ConsoleSession(Link(Clock(), answers=answers))
    assert console.identify().device_id == "e00fce680123456789abcdef"
    assert console.is_claimed()
    assert console.mac_address() == "00:11:22:33:44:55"
    assert console.diagnostics() == {"sys:uptime": 3}
    assert console.describe().platform_id == 13


def test_claim_code():
    code = b"c" * 63
    answers = {
        b"C": [b"Enter 63-digit claim code: "],
        code + b"\r": [code + b"\r\n", b"Claim code set to: " + code + b"\r\n"],
    }
    ConsoleSession(Link(Clock(), answers=answers)).set_claim_code(Secret(code.decode()))


class Chattering(Link):
    """A board that does not listen: its application prints without end, faster than any silence lasts."""

    def read(self, timeout_s):
        if timeout_s:
            self.clock.sleep(0.1)
        return b"temperature: 21.5\r\n"


@pytest.mark.parametrize("ask", [ConsoleSession.identify, ConsoleSession.version, ConsoleSession.describe])
def test_a_board_that_prints_without_end_is_not_asked_without_end(ask):
    clock = Clock()
    console = ConsoleSession(Chattering(clock), clock=clock)
    with pytest.raises(LinkTimeoutError, match="goes on printing"):
        ask(console)
    assert clock.monotonic_s() < 20


def test_wifi_may_take_as_long_as_a_scan():
    clock = Clock()
    scan = [b"."] * 100
    answers = {
        b"w": [*scan, b"SSID: "],
        b"net\r": [b"net\r\nPassword: "],
        b"pw\r": [b"pw\r\n", b"Particle <3 you!\r\n\r\n"],
    }
    link = Link(clock, answers=answers)
    read = link.read
    link.read = lambda timeout_s: (clock.sleep(0.2), read(timeout_s))[1]
    assert ConsoleSession(link, Permissions(may_connect=True), clock).join_wifi(NET)


NET = WifiCredentials("net", WifiSecurity.WPA2, Secret("pw"))


def test_what_goes_online_needs_permission():
    link = Link(Clock())
    console = ConsoleSession(link)
    with pytest.raises(PermissionMissingError):
        console.join_wifi(NET)
    with pytest.raises(PermissionMissingError):
        console.leave_listening()
    assert link.written == b""


def test_with_permission():
    answers = {
        b"w": [b"SSID: "],
        b"net\r": [b"net\r\nPassword: "],
        b"pw\r": [b"pw\r\nThanks!\r\n    Particle <3 you!\r\n\r\n"],
    }
    link = Link(Clock(), answers=answers)
    console = ConsoleSession(link, Permissions(may_connect=True))
    assert console.join_wifi(NET)
    console.leave_listening()
    assert link.written == b"wnet\rpw\rx"


def lines_of(reader):
    found = []
    while line := reader.next_line(0.2):
        found.append(line)
    return found


def test_lines_with_time_stamps_for_every_reader():
    clock = Clock()
    capture = LogCapture(
        Link(clock, [b"0000000001 [app] INFO: a\r", b"\n0000000002 [app] IN", b"", b"FO: b\r\nplain\n"]), clock
    )
    first, second = capture.reader(), capture.reader()
    clock.sleep(100)
    lines = lines_of(first)
    assert [line.text for line in lines] == ["0000000001 [app] INFO: a", "0000000002 [app] INFO: b", "plain"]
    assert [line.log and line.log.message for line in lines] == ["a", "b", None]
    assert (lines[0].monotonic_s, lines[0].at) == (100, datetime.fromtimestamp(100, UTC))
    assert lines_of(second) == lines
    third = capture.reader()
    assert lines_of(third) == []


def test_a_closed_reader_gets_nothing():
    clock = Clock()
    link = Link(clock)
    capture = LogCapture(link, clock)
    staying, leaving = capture.reader(), capture.reader()
    leaving.close()
    link.pieces.append(b"x\n")
    assert [line.text for line in lines_of(staying)] == ["x"]
    assert lines_of(leaving) == []


def test_secrets_do_not_reach_readers():
    clock = Clock()
    pieces = [b"Device Secret: SEC", b"RET\r\n[app] INFO: the password is pw!\r\n"]
    reader = LogCapture(Link(clock, pieces), clock, [Secret("pw!")]).reader()
    assert [line.text for line in lines_of(reader)] == ["Device Secret: ***", "[app] INFO: the password is ***"]


def test_unfinished_line_at_the_end():
    clock = Clock()
    link = Link(clock, [b"no end"])
    capture = LogCapture(link, clock)
    reader = capture.reader()
    assert lines_of(reader) == []
    capture.close()
    assert reader.next_line(0.1).text == "no end"
    assert link.closed


def test_lines_before_the_device_left_are_still_there():
    clock = Clock()
    capture = LogCapture(Link(clock, [b"last\n", LinkDisconnectedError("gone")]), clock)
    reader = capture.reader()
    capture.poll(0.1)
    with pytest.raises(LinkDisconnectedError):
        capture.poll(0.1)
    assert reader.next_line(0.1).text == "last"


def test_endless_line_is_cut():
    clock = Clock()
    reader = LogCapture(Link(clock, [b"\xff" * 1024] * 40), clock).reader()
    assert len(lines_of(reader)) == 2


class RealClock:
    monotonic_s = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    @staticmethod
    def utc_now():
        return datetime.now(UTC)


def test_readers_in_several_threads():
    clock = RealClock()
    link = Link(clock, [f"{n}\n".encode() for n in range(500)])
    capture = LogCapture(link, clock)
    readers = [capture.reader() for _ in range(4)]
    found = [[] for _ in readers]
    threads = [
        threading.Thread(target=lambda r, f: f.extend(line.text for line in lines_of(r)), args=(reader, texts))
        for reader, texts in zip(readers, found, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[str(n) for n in range(500)]] * 4


@pytest.fixture
def boron():
    bench = open_bench(
        "virtual",
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": "boron"}],
        factory_modules=lambda _: [],
    )
    host = bench.slots[0].host
    yield host, wait_for_device(host, "1-1", 10)
    bench.close()


def test_console_of_a_virtual_board(boron):
    host, device = boron
    with ControlSession(host, device) as session:
        serial_number = session.serial_number()
    with ConsoleSession(open_serial_port(host, device)) as console:
        identity = console.identify()
        assert (identity.device_id, identity.serial_number) == (device.device_id, serial_number)
        assert console.version() == "2.0.1"
        assert console.is_claimed() is False


def test_opening_and_closing_changes_nothing(boron):
    host, device = boron
    for _ in range(3):
        open_serial_port(host, device).close()
    assert wait_for_device(host, "1-1", 1) == device


def test_listening_by_speed_is_for_old_releases(boron):
    host, device = boron
    with pytest.raises(DeviceModeError, match="28800"):
        touch_into_listening(host, device, "6.0.0")
    touch_into_listening(host, device, "2.0.1")
    with ConsoleSession(open_serial_port(host, device)) as console:
        assert console.version() == "2.0.1"


def test_device_without_a_serial_port(boron):
    host, device = boron

    class NoPorts:
        def ports(self):
            return [SerialPortInfo("other", device.usb.vid, device.usb.pid, "0" * 24)]

    with pytest.raises(DeviceNotFoundError):
        open_serial_port(Host(host.usb, NoPorts(), host.clock), device)


def test_an_application_with_a_second_port_does_not_hide_the_first():
    """USBSerial1.begin() of a Photon: two ports with one serial number, and no defect of the board."""
    usb = platform_by_name("photon").usb_normal
    info = UsbDeviceInfo(usb.vid, usb.pid, 1, 5, "1-1", "3c001f000947343432313031", "Photon")
    opened = []

    class Bus:
        def enumerate(self):
            return [info]

        def ports(self):
            return [SerialPortInfo(url, info.vid, info.pid, info.serial_number) for url in ("ACM0", "ACM1")]

        def open(self, url):
            opened.append(url)
            return Link(clock)

    bus, clock = Bus(), Clock()
    host = Host(bus, bus, clock)
    open_serial_port(host, device_at(host, "1-1"))
    assert opened == ["ACM0"]
