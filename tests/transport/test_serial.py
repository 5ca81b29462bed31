"""The pyserial link on a pseudo-terminal, and what becomes of its errors."""

import errno
import os
import pty
import subprocess
import sys
import termios
import tty
from types import SimpleNamespace

import pytest
import serial

from particle_dev.errors import LinkAccessError, LinkDisconnectedError, LinkTimeoutError, TransportError
from particle_dev.transport import serial as transport
from particle_dev.transport.serial import PyserialHost, port_holders


@pytest.fixture
def terminal():
    """(file descriptor of the device's side, path of the host's side); the latter stays open so that the kernel keeps
    what one side writes while the other is closed."""
    device, host = pty.openpty()
    tty.setraw(device)
    yield device, os.ttyname(host)
    for fd in (device, host):
        try:
            os.close(fd)
        except OSError as e:
            assert e.errno == errno.EBADF


def test_bytes_go_through_unchanged(terminal):
    device, path = terminal
    link = PyserialHost().open(path)
    everything = bytes(range(256))
    link.write(everything)
    got = b""
    while len(got) < 256:
        got += os.read(device, 4096)
    assert got == everything
    os.write(device, everything)
    got = b""
    while len(got) < 256:
        got += link.read(1.0)
    assert got == everything
    assert link.read(0.01) == b""
    assert link.read(0) == b""
    link.close()
    link.close()


def test_opening_and_closing_sends_nothing(terminal):
    device, path = terminal
    for _ in range(3):
        PyserialHost().open(path).close()
    os.set_blocking(device, False)
    with pytest.raises(BlockingIOError):
        os.read(device, 1)


def test_opening_leaves_magic_speeds_alone(terminal):
    device, path = terminal
    link = PyserialHost().open(path)
    assert termios.tcgetattr(device)[4] == termios.B9600
    link.close()
    assert termios.tcgetattr(device)[4] == termios.B9600


@pytest.mark.parametrize("act", [lambda link: link.read(1.0), lambda link: link.write(b"x")], ids=["read", "write"])
def test_device_that_leaves(act):
    device, host = pty.openpty()
    link = PyserialHost().open(os.ttyname(host))
    os.close(host)
    os.close(device)
    with pytest.raises(LinkDisconnectedError):
        act(link)
    link.close()


def test_port_that_is_not_there():
    for act in (PyserialHost().open, lambda url: PyserialHost().touch(url, 14400)):
        with pytest.raises(LinkDisconnectedError):
            act("/dev/ttyACM_not_there")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (serial.SerialException(errno.EACCES, "denied"), LinkAccessError),
        (serial.SerialException(errno.EBUSY, "busy"), LinkAccessError),
        (termios.error(errno.EIO, "io"), LinkDisconnectedError),
        (serial.SerialException("odd"), TransportError),
    ],
)
def test_errors_on_opening(monkeypatch, error, expected):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(transport.serial, "serial_for_url", fail)
    with pytest.raises(expected):
        PyserialHost().open("port")


class Port:
    """A port that fails when its speed is set, as pyserial does on Linux."""

    def __init__(self, cause=None):
        self.cause, self.log = cause, []

    @property
    def baudrate(self):
        return 0

    @baudrate.setter
    def baudrate(self, value):
        self.log.append(value)
        if self.cause:
            try:
                raise self.cause
            except OSError as e:
                raise ValueError(f"failed to set custom baud rate: {e}")  # noqa: B904  # as pyserial

    def close(self):
        self.log.append("closed")


def touching(monkeypatch, port):
    monkeypatch.setattr(
        transport.serial, "serial_for_url", lambda url, **options: port.log.append(options["baudrate"]) or port
    )
    PyserialHost().touch("port", 14400)


def test_touch_changes_the_speed_after_opening(monkeypatch):
    port = Port()
    touching(monkeypatch, port)
    assert port.log == [9600, 115200, 14400, 9600, "closed"]


def test_device_that_leaves_while_touched_is_no_error(monkeypatch):
    port = Port(OSError(errno.ENODEV, "gone"))
    touching(monkeypatch, port)
    assert port.log == [9600, 115200]


def test_speed_that_the_driver_refuses(monkeypatch):
    with pytest.raises(TransportError, match="custom baud rate"):
        touching(monkeypatch, Port(OSError(errno.EINVAL, "no")))


READER = """
import sys, time
from particle_dev.transport.serial import PyserialHost
link = PyserialHost().open(sys.argv[1])
print("open", flush=True)
time.sleep(60)
"""


def test_second_reader_is_told_who_the_first_one_is(terminal):
    _, path = terminal
    with subprocess.Popen([sys.executable, "-c", READER, path], stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert reader.stdout.readline() == "open\n"
            with pytest.raises(LinkAccessError, match=rf"in use by .*python\S* \(process {reader.pid}\)") as error:
                PyserialHost().open(path)
            assert error.value.hint == "close that program"
            PyserialHost().touch(path, 19200)
        finally:
            reader.kill()
    PyserialHost().open(path).close()


def test_second_reader_in_the_same_program(terminal):
    _, path = terminal
    link = PyserialHost().open(path)
    with pytest.raises(LinkAccessError, match="in use"):
        PyserialHost().open(path)
    link.close()


def test_holders_where_the_system_does_not_tell(tmp_path):
    assert port_holders("/dev/ttyACM0", proc=tmp_path) == ()
    (tmp_path / "7" / "fd").mkdir(parents=True)
    (tmp_path / "7" / "fd" / "3").symlink_to("/dev/ttyACM0")
    assert port_holders("/dev/ttyACM0", proc=tmp_path) == (), "a process without a name has just ended"
    (tmp_path / "7" / "comm").write_text("minicom\n")
    assert port_holders("/dev/ttyACM0", proc=tmp_path) == ("minicom (process 7)",)


class Comports:
    """pyserial's list of ports, which a device leaves in the middle of some looks."""

    def __init__(self, stumbles):
        self.stumbles = stumbles

    def __call__(self):
        if self.stumbles:
            self.stumbles -= 1
            return [SimpleNamespace(vid=int(None, 16))]
        return [
            SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None, serial_number=None, location=None),
            SimpleNamespace(device="/dev/ttyACM0", vid=0x2B04, pid=0xC00D, serial_number="E00F", location="1-1:1.0"),
        ]


def test_a_device_that_leaves_while_ports_are_listed_hides_no_other(monkeypatch):
    monkeypatch.setattr(transport.list_ports, "comports", Comports(2))
    assert [port.url for port in PyserialHost().ports()] == ["/dev/ttyACM0"]


def test_ports_of_one_board_come_in_the_order_of_its_interfaces(monkeypatch):
    """The kernel gives names in the order of opening drivers, and glob() gives them in none."""
    places = {"ttyACM1": "1-2:1.0", "ttyACM0": "1-2:1.3", "ttyACM3": "1-10:1.0", "ttyACM2": "1-2.1:1.0"}
    ports = [SimpleNamespace(device=d, vid=1, pid=2, serial_number="", location=p) for d, p in places.items()]
    for order in (ports, ports[::-1]):
        monkeypatch.setattr(transport.list_ports, "comports", lambda order=order: order)
        urls = [port.url for port in PyserialHost().ports()]
        assert urls.index("ttyACM1") < urls.index("ttyACM0")
        assert urls.index("ttyACM2") < urls.index("ttyACM3")


def test_ports_that_cannot_be_listed(monkeypatch):
    monkeypatch.setattr(transport.list_ports, "comports", Comports(10**9))
    monkeypatch.setattr(transport, "_LOOK_AGAIN_S", 0.0)
    with pytest.raises(TransportError, match="cannot be listed: int") as raised:
        PyserialHost().ports()
    assert isinstance(raised.value.__cause__, TypeError)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_ports_that_cannot_be_listed_for_another_reason(monkeypatch, number):
    looks = []

    def refused():
        looks.append(1)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(transport.list_ports, "comports", refused)
    with pytest.raises(TransportError, match=os.strerror(number)) as raised:
        PyserialHost().ports()
    assert (len(looks), "unplug" in raised.value.hint) == (1, False), "nothing left meanwhile"


class Deaf:
    """A port whose device takes nothing: the system keeps what is written, and tcdrain(3) waits until it is gone."""

    def __init__(self, waiting):
        self.out_waiting, self.thrown_away = waiting, False

    def write(self, data):
        self.out_waiting += len(data)

    def flush(self):
        assert not self.out_waiting, "this would wait for ever"

    def reset_output_buffer(self):
        self.thrown_away = True

    def close(self):
        pass


def test_a_device_that_takes_nothing_is_not_waited_for_without_end(monkeypatch):
    port = Deaf(0)
    monkeypatch.setattr(transport.serial, "serial_for_url", lambda *_, **__: port)
    monkeypatch.setattr(transport, "_WRITE_TIMEOUT_S", 0.05)
    link = PyserialHost().open("port")
    with pytest.raises(LinkTimeoutError, match="takes no data"):
        link.write(b"x")
    assert port.thrown_away


@pytest.mark.parametrize("url", ["foo://bench:1", "http://bench", "loop://?debug=1"])
def test_urls_that_pyserial_does_not_know(url):
    with pytest.raises(LinkAccessError, match="cannot be opened"):
        PyserialHost().open(url)


@pytest.mark.parametrize("baud", [12_345_678_901, -1])
def test_rates_that_no_port_has(terminal, baud):
    with pytest.raises(LinkAccessError, match=str(baud)):
        PyserialHost().open(terminal[1], baud)
