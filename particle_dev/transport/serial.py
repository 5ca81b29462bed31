"""Serial ports through pyserial. Every pyserial error is translated here."""

from __future__ import annotations

import contextlib
import errno
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import serial
from serial.tools import list_ports

from particle_dev.errors import LinkAccessError, LinkDisconnectedError, LinkTimeoutError, TransportError
from particle_dev.transport.base import SerialPortInfo

PortLister = Callable[[], Sequence[tuple[str, int, int, str]]]
"""Gives (pyserial URL, VID, PID, USB serial number) of each port."""
OPEN_BAUD, _OTHER_BAUD = 9600, 115200
"""The rate that devices report by themselves. On USB it has no effect, except that some rates are commands."""
_GONE = {errno.ENODEV, errno.EIO, errno.ENXIO, errno.ENOENT}
_LEAVING = _GONE | {errno.EINVAL}
"""As the list of ports has it; EINVAL is what Python makes of errors of Windows that have no number of their own."""
_WRITE_TIMEOUT_S = 5.0
_CHUNK_BYTES = 4096
_DRAIN_POLL_S = 0.001
_LOOKS_AT_PORTS, _LOOK_AGAIN_S = 10, 0.02
try:
    from termios import error as _termios_error
except ImportError:
    _termios_error = OSError  # type: ignore[misc,assignment]  # no termios on Windows
_PORT_ERRORS = (serial.SerialException, OSError, _termios_error)


def _system_ports() -> Sequence[tuple[str, int, int, str]]:
    looks = 0
    while True:
        looks += 1
        try:
            return [
                (p.device, p.vid, p.pid, p.serial_number or "")
                for p in sorted(list_ports.comports(), key=_place_of)
                if p.vid is not None and p.pid is not None
            ]
        except (TypeError, OSError) as e:
            # pyserial stumbles with a TypeError over any device that leaves while it looks. Source: pyserial 3.5
            # tools/list_ports_linux.py SysFS, whose read_line gives None then.
            is_leaving = isinstance(e, TypeError) or e.errno in _LEAVING
            if not is_leaving or looks == _LOOKS_AT_PORTS:
                raise TransportError(
                    f"the serial ports of this computer cannot be listed: {e}",
                    where="serial ports",
                    hint="unplug what comes and goes all the time, then run again"
                    if is_leaving
                    else "mend that, then run again",
                ) from e
        time.sleep(_LOOK_AGAIN_S)


def _place_of(port: Any) -> tuple[list[int], str]:
    """What sorts ports by hub, socket and interface (``1-2.3:1.0``), and by name where the system tells no place."""
    return [int(number) for number in re.findall(r"\d+", port.location or "")], port.device


def _errno(error: BaseException | None) -> int | None:
    # termios.error has the number as its first argument only.
    number = getattr(error, "errno", None) or (error.args[0] if error and error.args else None)
    return number if isinstance(number, int) else None


def _gone(url: str) -> LinkDisconnectedError:
    return LinkDisconnectedError(f"{url} is gone", where=url, hint="plug the board in again")


def _translate(error: Exception, url: str) -> TransportError:
    number = _errno(error)
    if number == errno.EACCES:
        return LinkAccessError(f"{url}: access denied", where=url, hint="add your user to the group dialout")
    # EAGAIN: another program holds the lock that pyserial asks for; EBUSY: it has closed the port to all others.
    if number in (errno.EBUSY, errno.EAGAIN):
        holders = ", ".join(port_holders(url)) or "another program"
        return LinkAccessError(f"{url}: in use by {holders}", where=url, hint="close that program")
    if number in _GONE:
        return _gone(url)
    return TransportError(f"{url}: {error}", where=url, hint="plug the board in again, then run again")


def port_holders(url: str, proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Programs that have the port open, as ``minicom (process 4711)``; only those that the system shows to this user,
    and none where there is no /proc."""
    wanted = Path(url).resolve()
    return tuple(
        f"{name} (process {folder.name})"
        for folder in sorted(proc.glob("[0-9]*"))
        if (name := _name_if_holding(folder, wanted))
    )


def _name_if_holding(process: Path, wanted: Path) -> str:
    # A process that ended meanwhile, or belongs to somebody else, tells nothing.
    with contextlib.suppress(OSError):
        if any(fd.readlink() == wanted for fd in (process / "fd").iterdir()):
            return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    return ""


def _open(url: str, *, baud: int = OPEN_BAUD, exclusive: bool | None = None) -> Any:
    try:
        return serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=_WRITE_TIMEOUT_S, exclusive=exclusive)
    except _PORT_ERRORS as e:
        raise _translate(e, url) from e
    except (ValueError, KeyError, OverflowError) as e:
        # Of a port that has left, the rate cannot be set; else pyserial does not know such a URL or such a rate.
        if _errno(e.__context__) in _GONE:
            raise _gone(url) from e
        raise LinkAccessError(
            f"{url} at {baud} baud cannot be opened: {e}",
            where=url,
            hint="give a path such as /dev/ttyUSB0, or COM3, or socket://HOST:PORT, and a rate that the port has",
        ) from e


class PyserialLink:
    """One open port. Opening raises DTR, which tells a device that somebody reads; it resets none. Neither opening nor
    closing sends a rate that is a command.

    The port is locked meanwhile, against those who ask for the lock: two readers would each get half of the bytes.
    """

    def __init__(self, url: str, baud: int = OPEN_BAUD) -> None:
        self.where = url
        self._port = _open(url, baud=baud, exclusive=True)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, at least one byte, or nothing after ``timeout_s``. Raises LinkDisconnectedError."""
        try:
            self._port.timeout = timeout_s
            data = bytes(self._port.read(1))
            if data:
                self._port.timeout = 0
                data += bytes(self._port.read(_CHUNK_BYTES))
        except (*_PORT_ERRORS, TypeError) as e:
            # pyserial stumbles with a TypeError over a port that another thread closed.
            raise _gone(self.where) from e
        return data

    def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises LinkTimeoutError when the device takes none, LinkDisconnectedError."""
        try:
            self._port.write(data)
            self._drain()
        except serial.SerialTimeoutException as e:
            raise LinkTimeoutError(
                f"{self.where}: the device takes no data", where=self.where, hint="reset the board, then run again"
            ) from e
        except _PORT_ERRORS as e:
            raise _gone(self.where) from e

    def _drain(self) -> None:
        """Wait until the system holds nothing back. pyserial's flush() alone would wait for ever for a device that
        takes nothing: what write() gave away by then is in the system's buffers, past its time-out."""
        end_s = time.monotonic() + _WRITE_TIMEOUT_S
        # Ports of some URLs have no such buffer.
        while getattr(self._port, "out_waiting", 0):
            if time.monotonic() >= end_s:
                # Else closing the port waits for it, too.
                self._port.reset_output_buffer()
                raise serial.SerialTimeoutException("the device takes nothing")
            time.sleep(_DRAIN_POLL_S)
        self._port.flush()

    def close(self) -> None:
        """Give the port back."""
        # A device that left cannot be told.
        with contextlib.suppress(*_PORT_ERRORS):
            self._port.close()


class PyserialHost:
    """Serial ports of this machine, or those that ``lister`` gives."""

    def __init__(self, lister: PortLister | None = None) -> None:
        self._lister = lister or _system_ports

    def ports(self) -> Sequence[SerialPortInfo]:
        """Ports of USB devices that are there now, those of one device in the order of its interfaces. Raises
        TransportError when the system does not tell."""
        return tuple(SerialPortInfo(url, vid, pid, number.lower()) for url, vid, pid, number in self._lister())

    def open(self, url: str, baud: int = OPEN_BAUD) -> PyserialLink:
        """The port as a stream; ``baud`` is for real serial lines. Raises LinkDisconnectedError when it is not there;
        LinkAccessError when it may not be opened or another program reads it, by name where the system tells."""
        return PyserialLink(url, baud)

    def touch(self, url: str, baud: int) -> None:
        """Open, change to ``baud`` and close. Raises LinkDisconnectedError when the port is not there to begin with,
        LinkAccessError when it may not be opened; a device that leaves while the port is open is no error.

        The rate is changed after opening: a driver that has sent the same one before sends nothing. Another one comes
        first: an STM32F2 board takes a rate behind a vendor request that it refused, and loses it. Then it is changed
        back: an nRF52840 board heeds the rate that was set before the one it is sent. A reader's lock is no obstacle.
        Source: Particle's nRF5 SDK, app_usbd_cdc_acm.c; device-os v2.1.0 hal/src/stm32f2xx/usb_hal.c; docs/emulator.md.
        """
        port = _open(url)
        try:
            for rate in (_OTHER_BAUD, baud, OPEN_BAUD):
                port.baudrate = rate
            port.close()
        except (*_PORT_ERRORS, ValueError) as e:
            # A failure to set a rate outside of termios' list is a ValueError with the cause in its context.
            if _errno(e) not in _GONE and _errno(e.__context__) not in _GONE:
                raise _translate(e, url) from e
