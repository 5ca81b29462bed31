"""Virtual boards over USB/IP: a server that a Linux kernel with vhci_hcd attaches to.

``Server(boards)`` listens on loopback; ``usbip attach -r 127.0.0.1 -b 1-1`` plugs the board of port 1-1 in. A board
that leaves the bus (reset, power, mode change) ends its connection, which is how a kernel learns of an unplugged
device; it must be attached again afterwards. Closing the connection on the other side unplugs it there only.
One operation of our own on the same port, ``ask()``, is for the hand that pulls cables. A port that others can reach
lets them do that.
Source: Linux Documentation/usb/usbip_protocol.rst (version 1.1.1), drivers/usb/usbip/usbip_common.h.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from particle_harness.usb.bus_device import BusDevice
from particle_harness.usb.descriptors import INTERFACE, UsbIdentity, descriptors_of
from particle_harness.usb.transfer import Setup
from particle_harness.usb.urbs import DIRECTION_IN, Urb, UrbQueue

VERSION, PORT = 0x0111, 3240
_REQUEST_LIST, _REPLY_LIST, _REQUEST_IMPORT, _REPLY_IMPORT = 0x8005, 0x0005, 0x8003, 0x0003
_REQUEST_OURS, _REPLY_OURS = 0x8F00, 0x0F00
"""Numbers that USB/IP does not use: each is followed by the length of a JSON object and the object."""
_SUBMIT, _UNLINK, _SUBMITTED, _UNLINKED = 1, 2, 3, 4
_OPERATION = struct.Struct(">HHI")
_DEVICE = struct.Struct(">256s32sIIIHHHBBBBBB")
_HEADER = struct.Struct(">IIIII")
"""command, sequence number, device id, direction (1 is IN), endpoint"""
_SUBMIT_FIELDS = struct.Struct(">IiiiI8s")
"""flags, length, start frame, packets, interval, SETUP packet; UNLINK has a sequence number in place of the flags"""
_REPLY_FIELDS = struct.Struct(">iiiii8x")
"""status, length, start frame, packets, errors"""
_BUS_ID_SIZE_BYTES = 32
_FULL_SPEED = 2
_LARGEST_TRANSFER_BYTES = 1 << 20
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_LOOK_S = 0.005
_QUIET_S, _LONGEST_GOODBYE_S = 0.1, 1.0
"""Linux' vhci_hcd forgets URBs that are under way when a connection ends; their drivers wait 5 s for each, and block
the removal of the device meanwhile. So URBs of a board that left are answered until no more come."""


class Server:
    """Offers boards at ``address``; a context manager. Port 0 chooses a free one, see :attr:`port`. ``answer`` takes
    what :func:`ask` sends. OSError when the address is taken."""

    def __init__(
        self,
        boards: Iterable[BusDevice],
        address: tuple[str, int] = ("127.0.0.1", PORT),
        answer: Answer | None = None,
    ) -> None:
        self._boards = {board.port_path: board for board in boards}
        self._answer = answer
        self._listener = socket.create_server(address)
        self.port: int = self._listener.getsockname()[1]
        self._sessions: set[Session] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        for work in (self._accept, self._watch):
            threading.Thread(target=work, name=f"usbip {work.__name__}", daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Unplug everything and stop."""
        self._stop.set()
        # accept() of another thread ends by a shutdown only.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self._present_sessions():
            session.close()

    def _present_sessions(self) -> list[Session]:
        with self._lock:
            self._sessions = {session for session in self._sessions if not session.closed}
            return list(self._sessions)

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            for session in self._present_sessions():
                session.look()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), name="usbip connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            _, operation, _ = _OPERATION.unpack(_receive(connection, _OPERATION.size))
            if operation == _REQUEST_LIST:
                connection.sendall(self._list())
                connection.close()
            elif operation == _REQUEST_IMPORT:
                self._import(connection)
            elif operation == _REQUEST_OURS and self._answer:
                reply = self._answer(_receive_object(connection))
                connection.sendall(_OPERATION.pack(VERSION, _REPLY_OURS, 0) + _packed_object(reply))
                connection.close()
            else:
                connection.close()
        except (EOFError, OSError, ValueError):
            connection.close()

    def _list(self) -> bytes:
        devices = [(board, *found) for board in self._boards.values() if (found := board.on_bus())]
        text = _OPERATION.pack(VERSION, _REPLY_LIST, 0) + len(devices).to_bytes(4, "big")
        for board, address, identity in devices:
            interfaces = {d[2]: d[5:8] for d in descriptors_of(identity.configuration) if d[1] == INTERFACE}
            text += device_record(board.port_path, address, identity)
            text += b"".join(interfaces[number] + b"\0" for number in sorted(interfaces))
        return text

    def _import(self, connection: socket.socket) -> None:
        bus_id = _receive(connection, _BUS_ID_SIZE_BYTES).rstrip(b"\0").decode("ascii", "replace")
        board = self._boards.get(bus_id)
        found = board.on_bus() if board else None
        session = self._open(connection, board, found[0]) if board and found else None
        if found is None or session is None:
            connection.sendall(_OPERATION.pack(VERSION, _REPLY_IMPORT, 1))
            connection.close()
            return
        connection.sendall(_OPERATION.pack(VERSION, _REPLY_IMPORT, 0) + device_record(bus_id, *found))
        session.run()

    def _open(self, connection: socket.socket, board: BusDevice, address: int) -> Session | None:
        """A session for a device that has none."""
        with self._lock:
            if self._stop.is_set() or any(s.bus_id == board.port_path and not s.closed for s in self._sessions):
                return None
            session = Session(connection, board, address)
            self._sessions.add(session)
            return session


class Session:
    """One attached device on a connected stream socket, from the first URB on: ``run()`` until either side leaves."""

    def __init__(self, connection: socket.socket, board: BusDevice, address: int) -> None:
        self.bus_id = board.port_path
        self.closed = False
        self._left_at_s: float | None = None
        self._last_packet_s = 0.0
        self._connection = connection
        self._board = board
        self._address = address
        self._urbs = UrbQueue(board, address, self._give_back)
        self._numbers: dict[Urb, int] = {}
        self._lock = threading.Lock()

    def look(self) -> None:
        """Say goodbye when the board left the bus or came back under another address."""
        now_s = time.monotonic()
        if self._left_at_s is None:
            present = self._board.on_bus()
            if present is None or present[0] != self._address:
                self._left_at_s = now_s
                self._urbs.close()
        elif (
            now_s - max(self._left_at_s, self._last_packet_s) > _QUIET_S or now_s - self._left_at_s > _LONGEST_GOODBYE_S
        ):
            self.close()

    def close(self) -> None:
        """Unplug the device at the other side."""
        with self._lock:
            self.closed = True
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        self._urbs.close()

    def run(self) -> None:
        """Take URBs in until the connection ends. Work is done elsewhere, so that UNLINK never waits behind it."""
        try:
            while True:
                self._take_in(_receive(self._connection, _HEADER.size + _SUBMIT_FIELDS.size))
        except (EOFError, OSError):
            self.close()
            self._connection.close()

    def _take_in(self, packet: bytes) -> None:
        self._last_packet_s = time.monotonic()
        command, number, _, direction, endpoint = _HEADER.unpack_from(packet)
        flags, length, _, _, _, setup_packet = _SUBMIT_FIELDS.unpack_from(packet, _HEADER.size)
        if command == _UNLINK:
            self._unlink(number, flags)
            return
        if command != _SUBMIT or not 0 <= length <= _LARGEST_TRANSFER_BYTES:
            raise EOFError("this is not USB/IP")
        data = b"" if direction else _receive(self._connection, length)
        if endpoint == 0:
            urb = Urb(0, length, Setup.unpack(setup_packet), data)
        else:
            urb = Urb(endpoint | (DIRECTION_IN if direction else 0), length, None, data)
        with self._lock:
            self._numbers[urb] = number
        if not self._urbs.submit(urb):
            urb.status = -errno.ESHUTDOWN
            self._give_back(urb)

    def _unlink(self, number: int, wanted: int) -> None:
        with self._lock:
            urb = next((urb for urb, known in self._numbers.items() if known == wanted), None)
            # Either the URB is given back, or it is taken back and never heard of again; a reply to SUBMIT after the
            # one to UNLINK makes Linux drop the device.
            if urb is not None:
                del self._numbers[urb]
                self._urbs.cancel(urb)
            status = 0 if urb is None else -errno.ECONNRESET
            self._send(_HEADER.pack(_UNLINKED, number, 0, 0, 0) + _REPLY_FIELDS.pack(status, 0, 0, 0, 0))

    def _give_back(self, urb: Urb) -> None:
        with self._lock:
            number = self._numbers.pop(urb, None)
            if number is not None:
                fields = _REPLY_FIELDS.pack(urb.status, urb.actual_length, 0, 0, 0)
                self._send(_HEADER.pack(_SUBMITTED, number, 0, 0, 0) + fields + urb.reply)

    def _send(self, packet: bytes) -> None:
        if not self.closed:
            with contextlib.suppress(OSError):
                self._connection.sendall(packet)


def device_record(bus_id: str, address: int, identity: UsbIdentity) -> bytes:
    """The description of a device in lists and import replies."""
    bus = int(bus_id.partition("-")[0])
    vid, pid, release = struct.unpack_from("<HHH", identity.device, 8)
    path = f"/sys/devices/virtual/usb{bus}/{bus_id}".encode()
    interfaces = identity.configuration[4]
    numbers = (bus, address, _FULL_SPEED, vid, pid, release)
    return _DEVICE.pack(path, bus_id.encode(), *numbers, *identity.device[4:7], 1, identity.device[17], interfaces)


def ask(server: tuple[str, int], request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Send an object to the ``answer`` of a server and return its reply. OSError when nobody answers."""
    with socket.create_connection(server, timeout=5) as connection:
        connection.sendall(_OPERATION.pack(VERSION, _REQUEST_OURS, 0) + _packed_object(request))
        try:
            _receive(connection, _OPERATION.size)
            return _receive_object(connection)
        except (EOFError, ValueError) as error:
            raise ConnectionError("this is another kind of server") from error


def _packed_object(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value).encode()
    return len(text).to_bytes(4, "big") + text


def _receive_object(connection: socket.socket) -> Mapping[str, Any]:
    """ValueError for what is none."""
    size_bytes = int.from_bytes(_receive(connection, 4), "big")
    if size_bytes > _LARGEST_TRANSFER_BYTES:
        raise ValueError(f"an object of {size_bytes} bytes")
    value = json.loads(_receive(connection, size_bytes))
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _receive(connection: socket.socket, size_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < size_bytes:
        piece = connection.recv(size_bytes - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
