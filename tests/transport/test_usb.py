"""pyusb behind our link: its errors become ours, and polling does not disturb."""

import errno
import struct
from array import array
from contextlib import closing

import pytest
import serial
import usb.core
from particle_harness.bench import open_bench
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in
from particle_harness.usb.transfer import GoneError, Setup

from particle_dev.errors import (
    LinkAccessError,
    LinkDisconnectedError,
    LinkStallError,
    LinkTimeoutError,
    TransportError,
)
from particle_dev.transport import usb as transport
from particle_dev.transport.serial import PyserialHost
from particle_dev.transport.usb import PyusbHost, PyusbLink

BORON = {"name": "1", "platform": "boron"}


@pytest.fixture
def bench():
    made = open_bench(
        options={"clock": "virtual"},
        slots=[BORON],
        state_dir=None,
        factory_modules=lambda name: [bootloader_stand_in(hardware(name), 1005), softdevice_stand_in(hardware(name))],
    )
    yield made
    made.close()


def test_device_with_its_port_and_strings(bench):
    (info,) = PyusbHost(bench.usb_backend).enumerate()
    assert (info.vid, info.pid, info.port_path) == (0x2B04, 0xC00D, "1-1")
    assert info.serial_number == bench.board("1").state.device_id
    assert "Boron" in info.product


def test_stall_and_wrong_request(bench):
    host = PyusbHost(bench.usb_backend)
    link = host.open(host.enumerate()[0])
    with pytest.raises(LinkStallError):
        link.control_in(0xC0, 6, 0, 0, 64, 1.0)


def test_device_that_left(bench):
    host = PyusbHost(bench.usb_backend)
    info = host.enumerate()[0]
    link = host.open(info)
    bench.board("1").power_off()
    with pytest.raises(LinkDisconnectedError) as error:
        link.control_in(0xC0, 5, 0, 0, 64, 1.0)
    assert error.value.where == "1-1"
    assert host.enumerate() == ()
    with pytest.raises(LinkDisconnectedError):
        host.open(info)


def test_strings_are_read_once_per_enumeration(bench):
    host = PyusbHost(bench.usb_backend)
    host.enumerate()
    before = bench.board("1").clock.monotonic_s()
    for _ in range(10):
        host.enumerate()
    assert bench.board("1").clock.monotonic_s() == before, "a transfer would have taken time on the board's clock"


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT), LinkTimeoutError),
        (usb.core.USBError("Pipe error", -9, errno.EPIPE), LinkStallError),
        (usb.core.USBError("No such device", -4, errno.ENODEV), LinkDisconnectedError),
        (usb.core.USBError("Access denied", -3, errno.EACCES), LinkAccessError),
        (usb.core.USBError("Resource busy", -6, errno.EBUSY), LinkAccessError),
        (usb.core.USBError("Input/Output Error", -1, errno.EIO), TransportError),
        (NotImplementedError("Operation not supported or unimplemented on this platform"), LinkAccessError),
    ],
)
def test_every_error_of_libusb_has_one_of_ours(bench, error, ours):
    class Broken:
        def ctrl_transfer(self, *arguments):
            raise error

    (info,) = PyusbHost(bench.usb_backend).enumerate()
    link = PyusbLink(Broken(), info)
    with pytest.raises(TransportError) as raised:
        link.control_in(0xC0, 1, 0, 20, 64, 1.0)
    assert type(raised.value) is ours
    assert raised.value.__cause__ is error
    with pytest.raises(ours):
        link.control_out(0x40, 3, 0, 1, b"", 1.0)


class Leaving:
    """A backend whose transfers fail as those of a device that leaves, and its system notices that some looks later."""

    def __init__(self, backend, looks):
        self.backend, self.looks, self.broken = backend, looks, False

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def ctrl_transfer(self, *arguments):
        if self.broken:
            raise usb.core.USBError("Input/Output Error", -1, errno.EIO)
        return self.backend.ctrl_transfer(*arguments)

    def enumerate_devices(self):
        if self.broken:
            self.looks -= 1
        return () if self.looks < 0 else self.backend.enumerate_devices()


@pytest.mark.parametrize("looks", [0, 3])
def test_a_device_that_leaves_in_the_middle_of_a_transfer_is_told_from_a_bad_cable(bench, looks):
    leaving = Leaving(bench.usb_backend, looks)
    host = PyusbHost(leaving)
    link = host.open(host.enumerate()[0])
    leaving.broken = True
    with pytest.raises(LinkDisconnectedError):
        link.control_in(0xC0, 5, 0, 0, 64, 1.0)


def test_a_device_that_stays_has_a_bad_cable(bench):
    staying = Leaving(bench.usb_backend, 10_000)
    host = PyusbHost(staying)
    link = host.open(host.enumerate()[0])
    staying.broken = True
    with pytest.raises(TransportError) as error:
        link.control_out(0x40, 3, 0, 1, b"", 1.0)
    assert type(error.value) is TransportError
    assert "check cable" in error.value.hint


def test_a_look_at_the_bus_does_not_wait_for_a_device_whose_strings_fail(bench, monkeypatch):
    """All slots wait for a look, and a device that stays is read again at the next one."""
    staying = Leaving(bench.usb_backend, 10_000)
    staying.broken = True
    monkeypatch.setattr(transport.time, "sleep", lambda _s: pytest.fail("waits"))
    host = PyusbHost(staying)
    assert host.enumerate() == ()
    staying.broken = False
    assert [info.port_path for info in host.enumerate()] == ["1-1"]


class Garbling:
    """A backend one of whose devices answers every request for a string with ``answer``, or raises that."""

    def __init__(self, backend, answer):
        self.backend, self.answer, self.device = backend, answer, None

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def open_device(self, device):
        self.device = self.device or device
        handle = self.backend.open_device(device)
        return (handle, device is self.device)

    def close_device(self, handle):
        self.backend.close_device(handle[0])

    def ctrl_transfer(self, handle, request_type, request, value, index, data, timeout):
        if handle[1] and (request_type, request, value >> 8) == (0x80, 6, 3):
            if isinstance(self.answer, Exception):
                raise self.answer
            data[: len(self.answer)] = array("B", self.answer)
            return len(self.answer)
        return self.backend.ctrl_transfer(handle[0], request_type, request, value, index, data, timeout)


@pytest.fixture
def two_boards():
    slots = [{"name": "1", "platform": "boron"}, {"name": "2", "platform": "boron"}]
    made = open_bench(
        options={"clock": "virtual"},
        slots=slots,
        state_dir=None,
        factory_modules=lambda name: [bootloader_stand_in(hardware(name), 1005), softdevice_stand_in(hardware(name))],
    )
    yield made
    made.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x04", bytes(2), bytes([2, 1]), bytes([4, 3, 0, 0xD8]), NotImplementedError("Operation not supported")],
    ids=["nothing", "one byte", "zeros", "another descriptor", "half a pair", "no driver"],
)
def test_a_board_with_odd_strings_is_listed_and_hides_no_other(two_boards, tmp_path, answer):
    odd, good = PyusbHost(Garbling(two_boards.usb_backend, answer), sysfs=tmp_path).enumerate()
    assert (odd.serial_number, odd.port_path) == ("", "1-1")
    assert "Boron at port 1-1" in odd.access_problem
    assert (good.serial_number, good.access_problem) == (two_boards.board("2").state.device_id, "")


@pytest.mark.parametrize("answer", [bytes([5, 3, 65, 0, 66]), bytes([4, 3, 65, 0, 9, 9])], ids=["half", "junk"])
def test_what_follows_the_last_whole_character_of_a_string_is_left_out(two_boards, answer):
    odd, _ = PyusbHost(Garbling(two_boards.usb_backend, answer)).enumerate()
    assert (odd.serial_number, odd.access_problem) == ("a", "")


def test_a_bus_that_cannot_be_read_is_an_error_of_ours():
    class Blind:
        def enumerate_devices(self):
            raise usb.core.USBError("Insufficient memory", -11, errno.ENOMEM)

    with pytest.raises(TransportError, match="bus cannot be read"):
        PyusbHost(Blind()).enumerate()


def test_serial_port_of_a_board(bench):
    host = PyserialHost(bench.serial_ports)
    (port,) = host.ports()
    assert port.serial_number == bench.board("1").state.device_id
    host.touch(port.url, 14400)
    bench.board("1").clock.sleep(2)
    assert host.ports() == ()
    assert bench.board("1").on_bus() is not None


class LinuxPort:
    """A port as cdc_acm has it: opening one that was open at that speed before sends nothing."""

    def __init__(self, board):
        self._board, self._sent = board, 9600

    @property
    def baudrate(self):
        return self._sent

    @baudrate.setter
    def baudrate(self, value):
        if value != self._sent:
            self._sent = value
            self._board.control(
                self._board.on_bus()[0], Setup(0x21, 0x20, 0, 0, 7), struct.pack("<IBBB", value, 0, 0, 8)
            )

    def close(self):
        pass


def test_a_touch_behind_a_refused_request_reaches_a_photon(monkeypatch):
    """Its HAL takes the next speed for the end of that request."""
    slot = {"name": "1", "platform": "photon"}
    modules = [bootloader_stand_in(hardware("photon"), 1005)]
    with closing(
        open_bench(options={"clock": "virtual"}, slots=[slot], state_dir=None, factory_modules=lambda _: modules)
    ) as bench:
        board = bench.board("1")
        board.clock.sleep(2)
        host = PyusbHost(bench.usb_backend)
        with pytest.raises(LinkStallError):
            host.open(host.enumerate()[0]).control_in(0xC0, 0x50, 0, 9999, 64, 1.0)
        monkeypatch.setattr(serial, "serial_for_url", lambda _url, **_options: LinuxPort(board))
        with pytest.raises(GoneError):
            PyserialHost().touch("port", 14400)
        board.clock.sleep(2)
        assert board.state.runs == "dfu"


def test_serial_port_that_is_not_there(bench):
    with pytest.raises(TransportError):
        PyserialHost().touch("/dev/ttyACM99", 14400)


class Refusing:
    """A backend whose devices are there and cannot be opened until ``allowed``."""

    def __init__(self, backend):
        self.backend, self.allowed = backend, False

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def open_device(self, device):
        if not self.allowed:
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        return self.backend.open_device(device)


def test_board_without_permission_is_listed_with_what_to_do(bench, tmp_path):
    refusing = Refusing(bench.usb_backend)
    host = PyusbHost(refusing, sysfs=tmp_path)
    (info,) = host.enumerate()
    assert (info.vid, info.port_path, info.serial_number) == (0x2B04, "1-1", "")
    assert "doctor --install" in info.access_problem
    with pytest.raises(LinkAccessError):
        host.open(info).control_in(0x80, 6, 0x0100, 0, 18, 1.0)
    refusing.allowed = True
    (info,) = host.enumerate()
    assert (info.serial_number, info.access_problem) == (bench.board("1").state.device_id, "")


def test_kernel_tells_the_serial_number_of_a_board_without_permission(bench, tmp_path):
    refusing = Refusing(bench.usb_backend)
    (before,) = PyusbHost(refusing).enumerate()
    folder = tmp_path / "1-1"
    folder.mkdir()
    (folder / "devnum").write_text(f"{before.address}\n")
    (folder / "serial").write_text("E00FCE68AAAAAAAAAAAAAAAA\n")
    (folder / "product").write_text("Boron CDC Mode\n")
    (info,) = PyusbHost(refusing, sysfs=tmp_path).enumerate()
    assert (info.serial_number, info.product) == ("e00fce68aaaaaaaaaaaaaaaa", "Boron CDC Mode")
    assert info.access_problem
    (folder / "devnum").write_text(f"{before.address + 1}\n")
    (info,) = PyusbHost(refusing, sysfs=tmp_path).enumerate()
    assert info.serial_number == "", "that is another enumeration's"
