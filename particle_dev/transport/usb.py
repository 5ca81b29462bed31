"""USB through pyusb: who is on the bus, and endpoint 0 of one device. Every pyusb error is translated here."""

from __future__ import annotations

import contextlib
import errno
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import usb.core
import usb.util

from particle_dev.catalog.platforms import platform_by_usb_id
from particle_dev.errors import (
    LinkAccessError,
    LinkDisconnectedError,
    LinkStallError,
    LinkTimeoutError,
    TransportError,
)
from particle_dev.protocol.usb import ControlIn, ControlOut, TransferReply
from particle_dev.transport import usb_queue
from particle_dev.transport.base import UsbDeviceInfo

_GONE = {errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN}
_UDEV_HINT = "type `sudo particle-dev doctor --install` for the udev rules, or run as root; then plug it in again"
_SYSFS = Path("/sys/bus/usb/devices")
_STRING_DESCRIPTOR = 3
_LEAVES_WITHIN_S = 0.5
"""How late the system notices that a device has left: a hub tells it up to 256 ms later. Source: USB 2.0, 11.12.1."""
_LOOK_S = 0.05
_PYUSB_ERRORS = (usb.core.USBError, NotImplementedError)
"""pyusb reports LIBUSB_ERROR_NOT_SUPPORTED, as of Windows without a driver that lets programs in, by the second one."""
_Key = tuple[int, int, int, int, str]


@functools.cache
def _libusb_backend() -> Any:
    """libusb from the wheel libusb-package. Raises TransportError when it does not load."""
    # Imported late: virtual benches need no libusb at all.
    import libusb_package  # noqa: PLC0415

    backend = libusb_package.get_libusb1_backend()
    if backend is None:
        raise TransportError("libusb could not be loaded", hint="reinstall the package libusb-package")
    return backend


def _name_of(info: UsbDeviceInfo) -> str:
    """The board as people know it."""
    platform = platform_by_usb_id(info.vid, info.pid)
    words = (platform[0].display_name if platform else "USB device", info.serial_number, f"at port {info.port_path}")
    return " ".join(word for word in words if word)


def _key_of(info: UsbDeviceInfo) -> _Key:
    return info.vid, info.pid, info.bus, info.address, info.port_path


def _translate(
    error: usb.core.USBError | NotImplementedError, info: UsbDeviceInfo, what: str, is_there: Callable[[], bool]
) -> TransportError:
    """The error of ours that fits a pyusb error; ``what`` was tried. ``is_there``: whether the device is on the bus."""
    name, where = _name_of(info), info.port_path
    if isinstance(error, NotImplementedError):
        hint = "its driver lets no program in: on Windows, give it the driver WinUSB"
        return LinkAccessError(f"{name}: {what}: {error}", where=where, hint=hint)
    if isinstance(error, usb.core.USBTimeoutError) or error.errno == errno.ETIMEDOUT:
        return LinkTimeoutError(
            f"{name} does not answer ({what}: no answer in time)",
            where=where,
            hint="reset the board, or plug it in again; then run again",
        )
    if error.errno == errno.EPIPE:
        return LinkStallError(
            f"{name} refuses that ({what}: stalled)",
            where=where,
            hint="it does not do that in its present mode, or does not know it; `particle-dev id` shows both",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return LinkAccessError(f"{name}: access denied", where=where, hint=_UDEV_HINT)
    if error.errno == errno.EBUSY:
        return LinkAccessError(f"{name}: in use by another program", where=where, hint="close that program")
    # libusb reports EIO for a device that is just leaving, and nothing in it tells the two apart; the bus does.
    if error.errno in _GONE or not _stays(is_there):
        return LinkDisconnectedError(
            f"{name} left the bus: unplugged, without power, or reset",
            where=where,
            hint="check cable and power, plug it in again, then type the same command again",
        )
    return TransportError(f"{name}: {what}: {error}", where=where, hint="check cable and power, then run again")


def _stays(is_there: Callable[[], bool]) -> bool:
    """Whether a device is still on the bus when the system must have noticed that it left."""
    end_s = time.monotonic() + _LEAVES_WITHIN_S
    while is_there():
        if time.monotonic() >= end_s:
            return True
        time.sleep(_LOOK_S)
    return False


class PyusbLink:
    """Endpoint 0 of one enumeration. ``is_there`` says whether that is still on the bus."""

    def __init__(self, device: Any, info: UsbDeviceInfo, is_there: Callable[[], bool] = lambda: True) -> None:
        self._device = device
        self._is_there = is_there
        self.info = info

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except _PYUSB_ERRORS as e:
            raise _translate(e, self.info, what, self._is_there) from e

    def control_in(
        self,
        bm_request_type: int,
        b_request: int,
        w_value: int,
        w_index: int,
        w_length: int,
        timeout_s: float,
    ) -> bytes:
        """Bytes that the device returned. Raises LinkStallError, LinkTimeoutError, LinkDisconnectedError."""
        try:
            data = self._device.ctrl_transfer(
                bm_request_type, b_request, w_value, w_index, w_length, round(timeout_s * 1000)
            )
        except _PYUSB_ERRORS as e:
            raise _translate(e, self.info, f"control IN 0x{b_request:02x}", self._is_there) from e
        return bytes(data)

    def control_out(
        self, bm_request_type: int, b_request: int, w_value: int, w_index: int, data: bytes, timeout_s: float
    ) -> None:
        """Send ``data``. Raises as :meth:`control_in`."""
        try:
            self._device.ctrl_transfer(bm_request_type, b_request, w_value, w_index, data, round(timeout_s * 1000))
        except _PYUSB_ERRORS as e:
            raise _translate(e, self.info, f"control OUT 0x{b_request:02x}", self._is_there) from e

    @property
    def can_queue(self) -> bool:
        """Whether :meth:`control_queue` works: with libusb 1.0."""
        return usb_queue.can_queue(self._device)

    def control_queue(self, transfers: Sequence[ControlIn | ControlOut]) -> tuple[TransferReply, ...]:
        """Several transfers handed to the bus at once; the device's answers, stalls included. The interface must be
        claimed. Raises LinkTimeoutError, LinkDisconnectedError."""
        with self._translated(f"{len(transfers)} control transfers"):
            return tuple(usb_queue.control_queue(self._device, transfers))

    def claim_interface(self, number: int) -> None:
        """Take the interface for this process. Raises LinkAccessError when another program has it."""
        with self._translated(f"claim interface {number}"):
            usb.util.claim_interface(self._device, number)

    def set_interface_altsetting(self, number: int, alternate: int) -> None:
        """Choose an alternate setting."""
        with self._translated(f"alternate setting {alternate}"):
            self._device.set_interface_altsetting(number, alternate)

    def configuration_descriptor(self) -> bytes:
        """The raw configuration descriptor (GET_DESCRIPTOR, type 2, index 0)."""
        header = self.control_in(0x80, 6, 0x0200, 0, 9, 1.0)
        return self.control_in(0x80, 6, 0x0200, 0, int.from_bytes(header[2:4], "little"), 1.0)

    def string_descriptor(self, index: int) -> str:
        """String ``index`` in US English. Raises LinkAccessError for an answer that is no string descriptor."""
        data = self.control_in(0x80, 6, 0x0300 | index, 0x0409, 255, 1.0)
        # As Linux reads it: of some devices junk follows, or half a character.
        size_bytes = min(len(data), data[0]) & ~1 if data else 0
        try:
            if size_bytes < 2 or data[1] != _STRING_DESCRIPTOR:
                raise ValueError(size_bytes)
            return data[2:size_bytes].decode("utf-16-le")
        except ValueError as e:
            raise LinkAccessError(
                f"{_name_of(self.info)} tells no name of itself (string {index}: {data[:8].hex(' ') or 'no data'})",
                where=self.info.port_path,
                hint="reset it, or plug it in again; a board that does so each time needs its bootloader anew, by a "
                "debug probe",
            ) from e

    def close(self) -> None:
        """Release interfaces and the handle."""
        # The device may be gone already; there is nothing left to release then.
        with contextlib.suppress(*_PYUSB_ERRORS):
            usb.util.dispose_resources(self._device)


class PyusbHost:
    """The bus behind one pyusb backend; None is libusb. ``sysfs`` is where the system tells serial numbers without
    opening devices; by default Linux' own folder, and none for another backend."""

    def __init__(self, backend: Any | None = None, sysfs: Path | None = None) -> None:
        self._backend: Callable[[], Any] = _libusb_backend if backend is None else lambda: backend
        self._sysfs = sysfs or (_SYSFS if backend is None else None)
        # Strings are read once per enumeration: polling the bus must not disturb a board that another thread flashes.
        self._known: dict[_Key, UsbDeviceInfo] = {}
        # A tray of slots polls the bus from a thread each: who asks while somebody looks gets the next look.
        self._looking = threading.Lock()
        self._looks_begun = 0
        self._latest: tuple[int, Sequence[UsbDeviceInfo]] = (0, ())

    def _devices(self) -> Iterator[tuple[Any, _Key]]:
        try:
            for device in usb.core.find(find_all=True, backend=self._backend()) or ():
                if platform_by_usb_id(device.idVendor, device.idProduct) is None:
                    continue
                ports = ".".join(str(n) for n in device.port_numbers or ())
                key = (device.idVendor, device.idProduct, device.bus, device.address, f"{device.bus}-{ports}")
                yield device, key
        except _PYUSB_ERRORS as e:
            hint = "run again; `particle-dev doctor` shows what is in the way"
            raise TransportError(f"the USB bus cannot be read: {e}", where="USB", hint=hint) from e

    def enumerate(self) -> Sequence[UsbDeviceInfo]:
        """Particle devices on the bus. One that vanishes meanwhile is left out; one that may not be opened says so in
        its ``access_problem``. The look at the bus began after this call did, maybe by another thread's."""
        begun_before = self._looks_begun
        with self._looking:
            number, found = self._latest
            if number > begun_before:
                return found
            self._looks_begun += 1
            found = self._look()
            self._latest = (self._looks_begun, found)
            return found

    def _look(self) -> Sequence[UsbDeviceInfo]:
        present: dict[_Key, UsbDeviceInfo] = {}
        for device, key in self._devices():
            info = self._known.get(key) or self._read_info(device, key)
            if info is not None:
                present[key] = info
        # A right to open may come later: udev grants it some milliseconds after the device appeared.
        self._known = {key: info for key, info in present.items() if not info.access_problem}
        return tuple(present.values())

    def _read_info(self, device: Any, key: _Key) -> UsbDeviceInfo | None:
        # Every slot waits for this look, and the next one asks again: no waiting here for a device that is leaving.
        link = PyusbLink(device, UsbDeviceInfo(*key, "", ""), is_there=lambda: False)
        try:
            serial_number = link.string_descriptor(device.iSerialNumber).strip().lower()
            product = link.string_descriptor(device.iProduct).strip()
        except LinkAccessError as e:
            return UsbDeviceInfo(
                *key, self._from_sysfs(key, "serial").lower(), self._from_sysfs(key, "product"), str(e)
            )
        except TransportError:
            # It just appeared or just left; the next enumeration tells.
            return None
        finally:
            link.close()
        return UsbDeviceInfo(*key, serial_number, product)

    def _from_sysfs(self, key: _Key, name: str) -> str:
        """A string that the kernel read at enumeration, empty when it is not to be had."""
        if self._sysfs is None:
            return ""
        *_, address, port_path = key
        folder = self._sysfs / port_path
        try:
            if int((folder / "devnum").read_text(encoding="ascii")) != address:
                return ""
            return (folder / name).read_text(encoding="utf-8", errors="replace").strip()
        except (OSError, ValueError):
            # Without sysfs, or of a device that just left.
            return ""

    def _has(self, key: _Key) -> bool:
        return any(found == key for _, found in self._devices())

    def open(self, info: UsbDeviceInfo) -> PyusbLink:
        """A link to exactly that enumeration. Raises LinkDisconnectedError when it is gone."""
        for device, key in self._devices():
            if key == _key_of(info):
                return PyusbLink(device, info, functools.partial(self._has, key))
        raise LinkDisconnectedError(
            f"{_name_of(info)} left the bus",
            where=info.port_path,
            hint="plug it in again",
        )
