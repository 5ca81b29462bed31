"""Attaches all devices of a USB/IP server to this Linux kernel, and again whenever one comes back after a mode change.

What ``usbip attach`` of Debian's package ``usbip`` does once. Needs root and the module vhci_hcd.
Source: Linux drivers/usb/usbip/vhci_sysfs.c (files ``attach``, ``detach`` and ``status``),
Documentation/usb/usbip_protocol.rst.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from particle_dev.errors import BenchError

_CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")
_VERSION, _LIST, _IMPORT = 0x0111, 0x8005, 0x8003
_DEVICE = struct.Struct(">256s32sIIIHHHBBBBBB")
_FREE_PORT = 4
_HUB_OF_FULL_SPEED = "hs"
_LOOK_S = 0.1


def attach_all(server: tuple[str, int], stop: threading.Event, tell: Callable[[str, str], object]) -> None:
    """Keep every device of ``server`` attached until ``stop`` is set or the wait is interrupted; then detach them.

    ``tell`` hears a bus id and ``attached`` or ``left``. Raises BenchError without vhci_hcd, without the right to use
    it, or when all its ports are taken; OSError when the server does not answer at first.
    """
    attached: dict[int, str] = {}
    _free_ports()  # without the kernel module nothing is asked of the server
    offered = devices(server)
    try:
        while True:
            free = _free_ports()
            for port in [port for port in attached if port in free]:
                tell(attached.pop(port), "left")
            for bus_id in sorted(set(offered) - set(attached.values())):
                taken = _attach(server, bus_id, free)
                if taken is not None:
                    attached[taken] = bus_id
                    tell(bus_id, "attached")
            # A server may pause at any moment: the next look is soon.
            with contextlib.suppress(OSError):
                offered = devices(server)
            if stop.wait(_LOOK_S):
                return
    finally:
        for port in attached.keys() - _free_ports():
            (_CONTROLLER / "detach").write_text(str(port))


def devices(server: tuple[str, int]) -> list[str]:
    """Bus ids that the server offers now. OSError when it does not answer."""
    with socket.create_connection(server, timeout=5) as connection, connection.makefile("rb") as stream:
        connection.sendall(struct.pack(">HHI", _VERSION, _LIST, 0))
        head = stream.read(12)
        if len(head) < 12 or head[2:4] != b"\0\x05":
            raise ConnectionError("this is no USB/IP server")
        found = []
        for _ in range(int.from_bytes(head[8:12], "big")):
            record = _DEVICE.unpack(stream.read(_DEVICE.size))
            stream.read(4 * record[-1])
            found.append(record[1].rstrip(b"\0").decode())
        return found


def _attach(server: tuple[str, int], bus_id: str, free: list[int]) -> int | None:
    """Hand a connection over to the kernel. None: the device left meanwhile, is attached elsewhere, or the port is."""
    if not free:
        raise BenchError("all ports of the virtual host controller are taken", hint="usbip port; usbip detach -p PORT")
    imported = _import(server, bus_id)
    if imported is None:
        return None
    connection, device_id, speed = imported
    port = free.pop(0)
    with connection:
        try:
            (_CONTROLLER / "attach").write_text(f"{port} {connection.fileno()} {device_id} {speed}")
        except OSError as error:
            if error.errno != errno.EBUSY:
                hint = "sudo" if isinstance(error, PermissionError) else ""
                raise BenchError(f"the kernel does not take {bus_id}: {error}", hint=hint) from error
            return None
    return port


def _import(server: tuple[str, int], bus_id: str) -> tuple[socket.socket, int, int] | None:
    """A connection on which URBs can follow, number of the device and its speed; None when the server refuses."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as undo:
        connection = undo.enter_context(socket.create_connection(server, timeout=5))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(struct.pack(">HHI32s", _VERSION, _IMPORT, 0, bus_id.encode()))
        with connection.makefile("rb") as stream:
            record = stream.read(_DEVICE.size) if stream.read(8)[4:] == bytes(4) else b""
        if len(record) == _DEVICE.size:
            bus, number, speed = _DEVICE.unpack(record)[2:5]
            # The kernel reads as it finds the socket: a time-out would have left it non-blocking.
            connection.settimeout(None)
            undo.pop_all()
            return connection, bus << 16 | number, speed
    return None


def _free_ports() -> list[int]:
    try:
        lines = (_CONTROLLER / "status").read_text(encoding="ascii").splitlines()[1:]
    except OSError as error:
        raise BenchError(
            f"no virtual host controller: {error}",
            hint="sudo modprobe vhci-hcd; on a machine without that module, or without root: `make guest`",
        ) from error
    rows = [line.split() for line in lines]
    return [int(row[1]) for row in rows if row[0] == _HUB_OF_FULL_SPEED and int(row[2]) == _FREE_PORT]
