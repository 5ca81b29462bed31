"""Serial ports through pyserial."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

import serial
from serial.tools import list_ports

from particle_dev.errors import LinkAccessError, LinkDisconnectedError, TransportError
from particle_dev.transport.base import SerialPortInfo

PortLister = Callable[[], Sequence[tuple[str, int, int, str]]]
"""Gives (pyserial URL, VID, PID, USB serial number) of each port."""
_GONE = {errno.ENODEV, errno.EIO, errno.ENXIO, errno.ENOENT}


def _system_ports() -> Sequence[tuple[str, int, int, str]]:
    return [
        (p.device, p.vid, p.pid, p.serial_number or "")
        for p in list_ports.comports()
        if p.vid is not None and p.pid is not None
    ]


class PyserialHost:
    """Serial ports of this machine, or those that ``lister`` gives."""

    def __init__(self, lister: PortLister | None = None) -> None:
        self._lister = lister or _system_ports

    def ports(self) -> Sequence[SerialPortInfo]:
        """Ports of USB devices that are there now."""
        return tuple(SerialPortInfo(url, vid, pid, number.lower()) for url, vid, pid, number in self._lister())

    def touch(self, url: str, baud: int) -> None:
        """Open at ``baud`` and close. Raises LinkDisconnectedError when the port is not there to begin with,
        LinkAccessError when it may not be opened; a device that leaves while the port is open is no error."""
        try:
            port = serial.serial_for_url(url, baudrate=baud, timeout=1)
        except serial.SerialException as e:
            if e.errno == errno.EACCES:
                raise LinkAccessError(
                    f"{url}: access denied", where=url, hint="add your user to the group dialout"
                ) from e
            if e.errno in _GONE:
                raise LinkDisconnectedError(f"{url} is gone", where=url, hint="plug the board in again") from e
            raise TransportError(f"{url}: {e}", where=url) from e
        try:
            port.close()
        except (OSError, serial.SerialException) as e:
            if getattr(e, "errno", None) not in _GONE:
                raise TransportError(f"{url}: {e}", where=url) from e
