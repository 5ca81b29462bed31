"""Attaches all devices of a USB/IP server to this Linux kernel, and again whenever one comes back after a mode change.

What ``usbip attach`` of Debian's package ``usbip`` does once. Needs root and the module vhci_hcd.
Source: Linux drivers/usb/usbip/vhci_sysfs.c (files ``attach`` and ``status``), Documentation/usb/usbip_protocol.rst.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path

from particle_dev.errors import BenchError

_CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")
_VERSION, _LIST, _IMPORT = 0x0111, 0x8005, 0x8003
_DEVICE = struct.Struct(">256s32sIIIHHHBBBBBB")
_FREE_PORT = 4
_HUB_OF_FULL_SPEED = "hs"
_LOOK_S = 0.1


def attach_all(server: tuple[str, int], stop: threading.Event) -> None:
    """Keep every device of ``server`` attached until ``stop`` is set. Raises BenchError without vhci_hcd, OSError when
    the server does not answer at first."""
    attached: dict[int, str] = {}
    _free_ports()  # without the kernel module nothing is asked of the server
    offered = devices(server)
    while True:
        free = _free_ports()
        attached = {port: bus_id for port, bus_id in attached.items() if port not in free}
        # A device may leave, and a server pause, at any moment: the next look is soon.
        with contextlib.suppress(OSError):
            for bus_id in offered:
                if bus_id not in attached.values():
                    port = _attach(server, bus_id, free)
                    if port is not None:
                        attached[port] = bus_id
            offered = devices(server)
        if stop.wait(_LOOK_S):
            return


def devices(server: tuple[str, int]) -> list[str]:
    """Bus ids that the server offers now. OSError when it does not answer."""
    with socket.create_connection(server, timeout=5) as connection, connection.makefile("rb") as stream:
        connection.sendall(struct.pack(">HHI", _VERSION, _LIST, 0))
        _, _, _, count = struct.unpack(">HHII", stream.read(12))
        found = []
        for _ in range(count):
            record = _DEVICE.unpack(stream.read(_DEVICE.size))
            stream.read(4 * record[-1])
            found.append(record[1].rstrip(b"\0").decode())
        return found


def _attach(server: tuple[str, int], bus_id: str, free: list[int]) -> int | None:
    """Hand a connection over to the kernel; None when the server refuses or all ports are taken."""
    with socket.create_connection(server, timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(struct.pack(">HHI32s", _VERSION, _IMPORT, 0, bus_id.encode()))
        with connection.makefile("rb", buffering=0) as stream:
            status = int.from_bytes((stream.read(8) or b"\xff" * 8)[4:8], "big")
            if status or not free:
                return None
            record = b""
            while len(record) < _DEVICE.size:
                record += stream.read(_DEVICE.size - len(record)) or b"\0"
        bus, number, speed = _DEVICE.unpack(record)[2:5]
        # The kernel reads as it finds the socket: a time-out would have left it non-blocking.
        connection.settimeout(None)
        port = free.pop(0)
        (_CONTROLLER / "attach").write_text(f"{port} {connection.fileno()} {bus << 16 | number} {speed}")
        return port


def _free_ports() -> list[int]:
    try:
        lines = (_CONTROLLER / "status").read_text(encoding="ascii").splitlines()[1:]
    except OSError as error:
        raise BenchError(f"no virtual host controller: {error}", hint="sudo modprobe vhci-hcd") from error
    rows = [line.split() for line in lines]
    return [int(row[1]) for row in rows if row[0] == _HUB_OF_FULL_SPEED and int(row[2]) == _FREE_PORT]
