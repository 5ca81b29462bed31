"""Our half of USB/IP against a client written here; a real kernel judges it in tests/judges/usb."""

import errno
import select
import socket
import struct
import threading
import time

import pytest
from particle_harness.bench import open_bench
from particle_harness.bench_toml import stand_ins
from particle_harness.usbip import Server
from particle_harness.vhci import devices

SUBMIT, UNLINK = 1, 2
IN, OUT = 1, 0


class Client:
    """A kernel that attached one device."""

    def __init__(self, port, bus_id):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.connection.sendall(struct.pack(">HHI32s", 0x0111, 0x8003, 0, bus_id.encode()))
        self.status = struct.unpack(">HHI", self.read(8))[2]
        if self.status == 0:
            self.record = struct.unpack(">256s32sIIIHHHBBBBBB", self.read(312))
        self.number = 0
        self.directions = {}

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def send(self, direction, endpoint, length, setup=bytes(8), data=b""):
        self.number += 1
        self.directions[self.number] = direction
        head = struct.pack(">IIIII", SUBMIT, self.number, 0, direction, endpoint)
        self.connection.sendall(head + struct.pack(">IiiiI8s", 0, length, 0, 0, 0, setup) + data)
        return self.number

    def unlink(self, wanted):
        self.number += 1
        head = struct.pack(">IIIII", UNLINK, self.number, 0, 0, 0)
        self.connection.sendall(head + struct.pack(">I24x", wanted))
        return self.number

    def reply(self):
        """Command, sequence number, status, data."""
        command, number, *_ = struct.unpack(">IIIII", self.read(20))
        status, length, *_ = struct.unpack(">iiiii8x", self.read(28))
        data = self.read(length) if command == 3 and self.directions[number] == IN else b""
        return command, number, status, data

    def control(self, *setup, data=b""):
        packet = struct.pack("<BBHHH", *setup)
        direction = IN if setup[0] & 0x80 else OUT
        number = self.send(direction, 0, setup[4], packet, data)
        command, got, status, reply = self.reply()
        assert (command, got) == (3, number)
        return reply if status == 0 else status


@pytest.fixture
def serve():
    opened = []

    def make(*slots, delays="none"):
        bench = open_bench(options={"delays": delays}, slots=slots, state_dir=None, factory_modules=stand_ins)
        server = Server(bench.boards, ("127.0.0.1", 0))
        opened.extend((server, bench))
        return bench, server

    yield make
    for closable in opened:
        closable.close()


@pytest.fixture
def served(serve):
    return serve({"platform": "boron"}, {"platform": "photon", "arrives_in": "dfu"})


@pytest.fixture
def attach():
    clients = []

    def make(port, bus_id):
        clients.append(Client(port, bus_id))
        return clients[-1]

    yield make
    for client in clients:
        client.connection.close()


def test_list(served):
    bench, server = served
    assert devices(("127.0.0.1", server.port)) == ["1-1", "1-2"]
    bench.boards[0].power_off()
    assert devices(("127.0.0.1", server.port)) == ["1-2"]


def test_import_describes_the_device(served, attach):
    client = attach(served[1].port, "1-1")
    _, bus_id, bus, number, speed, vid, pid, release, *classes, value, count, interfaces = client.record
    assert (bus_id.rstrip(b"\0"), bus, speed) == (b"1-1", 1, 2)
    assert number == served[0].boards[0].state.address
    assert (vid, pid, release, classes) == (0x2B04, 0xC00D, 0x0102, [0xEF, 2, 1])
    assert (value, count, interfaces) == (1, 1, 3)


@pytest.mark.parametrize("bus_id", ["1-3", "nonsense", ""])
def test_import_of_something_else_is_refused(served, bus_id, attach):
    assert attach(served[1].port, bus_id).status == 1


def test_a_device_is_attached_once(served, attach):
    first = attach(served[1].port, "1-1")
    assert attach(served[1].port, "1-1").status == 1
    first.connection.close()
    until(lambda: attach(served[1].port, "1-1").status == 0)


def until(condition):
    deadline = time.monotonic() + 3
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_control_transfers(served, attach):
    client = attach(served[1].port, "1-1")
    assert client.control(0x80, 6, 0x0100, 0, 18)[8:12] == bytes.fromhex("042b0dc0")
    assert client.control(0xC0, 0x50, 0, 20, 64) == served[0].boards[0].state.device_id.upper().encode()
    assert client.control(0xC0, 0x50, 0, 99, 64) == -errno.EPIPE
    assert client.control(0x21, 0x20, 0, 0, 7, data=bytes.fromhex("80250000000008")) == b""
    assert client.control(0xA1, 0x21, 0, 0, 7) == bytes.fromhex("80250000000008")


def test_serial_port_by_bulk_endpoints(served, attach):
    client = attach(served[1].port, "1-1")
    notifications = client.send(IN, 2, 64)
    pending = client.send(IN, 1, 64)
    client.send(OUT, 1, 1, data=b"c")
    replies = {number: (status, data) for _, number, status, data in (client.reply(), client.reply())}
    assert replies == {pending: (0, b"Device claimed: no\r\n"), pending + 1: (0, b"")}
    client.unlink(notifications)
    assert client.reply()[2] == -errno.ECONNRESET


def test_unlink(served, attach):
    client = attach(served[1].port, "1-1")
    pending = client.send(IN, 1, 64)
    wanted = client.unlink(pending)
    assert client.reply() == (4, wanted, -errno.ECONNRESET, b"")
    # Too late: it was given back before.
    done = client.send(IN, 0, 18, struct.pack("<BBHHH", 0x80, 6, 0x0100, 0, 18))
    client.reply()
    wanted = client.unlink(done)
    assert client.reply() == (4, wanted, 0, b"")
    assert len(client.control(0x80, 6, 0x0100, 0, 18)) == 18


def test_slow_request_does_not_hold_up_the_others(serve, attach, monkeypatch):
    bench, server = serve({"platform": "tracker", "arrives_in": "dfu"}, delays="realistic")
    erasing, erased = threading.Event(), threading.Event()

    def erase_takes(duration_s):
        if duration_s > 0.01:
            erasing.set()
            assert erased.wait(10)

    monkeypatch.setattr(bench.boards[0].clock, "sleep", erase_takes)
    client = attach(server.port, "1-1")
    assert client.control(0x21, 1, 0, 0, 5, data=b"\x41\x00\x00\x03\x00") == b""
    busy = client.send(IN, 0, 6, struct.pack("<BBHHH", 0xA1, 3, 0, 0, 6))
    assert erasing.wait(10)
    wanted = client.unlink(busy)
    assert client.reply() == (4, wanted, -errno.ECONNRESET, b"")
    # The device does what it was told nevertheless, and answers the next request when it is done.
    following = client.send(IN, 0, 6, struct.pack("<BBHHH", 0xA1, 3, 0, 0, 6))
    assert not select.select([client.connection], [], [], 0.05)[0], "it answers before the erase is over"
    erased.set()
    assert client.reply() == (3, following, 0, bytes.fromhex("000000000500"))
    assert bench.boards[0].truth.erases == 1


def test_device_that_leaves_the_bus_closes_its_connection(served, attach):
    bench, server = served
    client = attach(server.port, "1-1")
    pending = client.send(IN, 1, 64)
    address = bench.boards[0].state.address
    for baud in (14400, 9600):
        client.control(0x21, 0x20, 0, 0, 7, data=baud.to_bytes(4, "little") + bytes(3))
    with pytest.raises(EOFError):
        assert client.reply()[1:3] == (pending, -errno.ESHUTDOWN)
        client.reply()
    until(lambda: devices(("127.0.0.1", server.port)) == ["1-1", "1-2"])
    again = attach(server.port, "1-1")
    assert again.record[6] == 0xD00D
    assert again.record[3] == bench.boards[0].state.address != address


def test_closing_the_server_unplugs(served, attach):
    client = attach(served[1].port, "1-1")
    client.send(IN, 1, 64)
    served[1].close()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.reply()
        client.reply()


def test_nonsense_ends_the_connection(served, attach):
    client = attach(served[1].port, "1-1")
    client.connection.sendall(b"\xff" * 48)
    with pytest.raises((EOFError, ConnectionResetError)):
        client.read(1)
