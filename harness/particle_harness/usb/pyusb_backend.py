"""All boards of a bench behind pyusb's backend interface, with libusb's manners and error codes.

Source: libusb 1.0 API documentation (libusb_error, control and interface functions), pyusb usb/backend/__init__.py.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import usb.backend
import usb.core

from particle_harness.usb.bus_device import BoardOnBus
from particle_harness.usb.descriptors import ENDPOINT, INTERFACE, UsbIdentity, descriptors_of
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

_DEVICE = struct.Struct("<BBHBBBBHHHBBBB")
_DEVICE_FIELDS = (
    "bLength",
    "bDescriptorType",
    "bcdUSB",
    "bDeviceClass",
    "bDeviceSubClass",
    "bDeviceProtocol",
    "bMaxPacketSize0",
    "idVendor",
    "idProduct",
    "bcdDevice",
    "iManufacturer",
    "iProduct",
    "iSerialNumber",
    "bNumConfigurations",
)
_CONFIGURATION = struct.Struct("<BBHBBBBB")
_CONFIGURATION_FIELDS = (
    "bLength",
    "bDescriptorType",
    "wTotalLength",
    "bNumInterfaces",
    "bConfigurationValue",
    "iConfiguration",
    "bmAttributes",
    "bMaxPower",
)
_INTERFACE_FIELDS = (
    "bLength",
    "bDescriptorType",
    "bInterfaceNumber",
    "bAlternateSetting",
    "bNumEndpoints",
    "bInterfaceClass",
    "bInterfaceSubClass",
    "bInterfaceProtocol",
    "iInterface",
)
_ENDPOINT = struct.Struct("<BBBBHB")
_ENDPOINT_FIELDS = (
    "bLength",
    "bDescriptorType",
    "bEndpointAddress",
    "bmAttributes",
    "wMaxPacketSize",
    "bInterval",
)
_FULL_SPEED = 2
_CDC_CLASSES = (0x02, 0x0A)


@dataclass(frozen=True, slots=True, eq=False)
class _BusDevice:
    """One enumeration of a board: gone for ever once the board leaves the bus."""

    board: BoardOnBus
    address: int
    identity: UsbIdentity
    bus: int
    ports: tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Handle:
    device: _BusDevice
    claimed: set[int] = field(default_factory=set)
    configuration: int = 1


@dataclass(slots=True)
class _Alternate:
    interface: bytes
    endpoints: list[bytes] = field(default_factory=list)
    extra: bytes = b""


class VirtualBackend(usb.backend.IBackend):  # type: ignore[misc]  # pyusb has no types
    """``usb.core.find(backend=VirtualBackend(boards))`` sees the boards that are on the bus at that moment.

    Transfers to a board that left raise USBError with ENODEV (libusb -4), a STALL gives EPIPE (-9), flash work that
    outlasts the time-out USBTimeoutError (-7). The serial port's interfaces belong to the kernel driver until it is
    detached, as on Linux.
    """

    def __init__(self, boards: Sequence[BoardOnBus]) -> None:
        super().__init__()
        self.boards: tuple[BoardOnBus, ...] = tuple(boards)
        self._kernel_detached: set[tuple[str, int, int]] = set()
        self._owners: dict[tuple[str, int, int], _Handle] = {}

    # pyusb names and orders the arguments of all methods below.

    def enumerate_devices(self) -> Iterator[_BusDevice]:
        """Devices on the bus."""
        for board in self.boards:
            present = board.on_bus()
            if present:
                bus, *ports = (int(part) for part in board.port_path.replace("-", ".").split("."))
                yield _BusDevice(board, present[0], present[1], bus, tuple(ports))

    def get_parent(self, dev: _BusDevice) -> None:  # noqa: ARG002
        """Nothing is known of hubs."""
        return

    def get_device_descriptor(self, dev: _BusDevice) -> SimpleNamespace:
        """Device descriptor with address and port."""
        values = dict(zip(_DEVICE_FIELDS, _DEVICE.unpack(dev.identity.device), strict=True))
        return SimpleNamespace(
            **values,
            bus=dev.bus,
            address=dev.address,
            port_number=dev.ports[-1],
            port_numbers=dev.ports,
            speed=_FULL_SPEED,
        )

    def get_configuration_descriptor(self, dev: _BusDevice, config: int) -> SimpleNamespace:
        """The only configuration; IndexError for another."""
        if config:
            raise IndexError(config)
        values = _CONFIGURATION.unpack(dev.identity.configuration[: _CONFIGURATION.size])
        return SimpleNamespace(**dict(zip(_CONFIGURATION_FIELDS, values, strict=True)), extra_descriptors=[])

    def get_interface_descriptor(self, dev: _BusDevice, intf: int, alt: int, config: int) -> SimpleNamespace:
        """One alternate setting; IndexError when there is none. ``config`` is always the first."""
        self.get_configuration_descriptor(dev, config)
        alternate = _alternates(dev.identity)[intf][alt]
        values = dict(zip(_INTERFACE_FIELDS, alternate.interface, strict=True))
        return SimpleNamespace(**values, extra_descriptors=list(alternate.extra))

    def get_endpoint_descriptor(self, dev: _BusDevice, ep: int, intf: int, alt: int, config: int) -> SimpleNamespace:
        """One endpoint of an alternate setting; IndexError when there is none."""
        self.get_configuration_descriptor(dev, config)
        values = _ENDPOINT.unpack(_alternates(dev.identity)[intf][alt].endpoints[ep])
        return SimpleNamespace(
            **dict(zip(_ENDPOINT_FIELDS, values, strict=True)), bRefresh=0, bSynchAddress=0, extra_descriptors=[]
        )

    def open_device(self, dev: _BusDevice) -> _Handle:
        """A handle. ENODEV when the device left since it was found."""
        handle = _Handle(dev)
        self._require_present(handle)
        return handle

    def close_device(self, dev_handle: _Handle) -> None:
        """Give back interfaces that are still claimed."""
        for interface in tuple(dev_handle.claimed):
            self._owners.pop(_key(dev_handle.device, interface), None)
        dev_handle.claimed.clear()

    def get_configuration(self, dev_handle: _Handle) -> int:
        """What the operating system has set; no transfer."""
        return dev_handle.configuration

    def set_configuration(self, dev_handle: _Handle, config_value: int) -> None:
        """SET_CONFIGURATION."""
        self._control(dev_handle, Setup(0x00, 9, config_value, 0, 0), b"", 0)
        dev_handle.configuration = config_value

    def set_interface_altsetting(self, dev_handle: _Handle, intf: int, altsetting: int) -> None:
        """SET_INTERFACE; the interface must be claimed."""
        if intf not in dev_handle.claimed:
            raise usb.core.USBError("Entity not found", -5, errno.ENOENT)
        self._control(dev_handle, Setup(0x01, 11, altsetting, intf, 0), b"", 0)

    def claim_interface(self, dev_handle: _Handle, intf: int) -> None:
        """Claim an interface. EBUSY when a kernel driver or another handle has it."""
        self._require_present(dev_handle)
        key = _key(dev_handle.device, intf)
        owner = self._owners.get(key)
        if self.is_kernel_driver_active(dev_handle, intf) or owner not in (None, dev_handle):
            raise usb.core.USBError("Resource busy", -6, errno.EBUSY)
        self._owners[key] = dev_handle
        dev_handle.claimed.add(intf)

    def release_interface(self, dev_handle: _Handle, intf: int) -> None:
        """Give an interface back."""
        if intf not in dev_handle.claimed:
            raise usb.core.USBError("Entity not found", -5, errno.ENOENT)
        dev_handle.claimed.discard(intf)
        self._owners.pop(_key(dev_handle.device, intf), None)

    def is_kernel_driver_active(self, dev_handle: _Handle, intf: int) -> bool:
        """The kernel drives serial ports."""
        alternates = _alternates(dev_handle.device.identity)
        is_cdc = intf < len(alternates) and alternates[intf][0].interface[5] in _CDC_CLASSES
        return is_cdc and _key(dev_handle.device, intf) not in self._kernel_detached

    def detach_kernel_driver(self, dev_handle: _Handle, intf: int) -> None:
        """Take the interface from the kernel."""
        if not self.is_kernel_driver_active(dev_handle, intf):
            raise usb.core.USBError("Entity not found", -5, errno.ENOENT)
        self._kernel_detached.add(_key(dev_handle.device, intf))

    def attach_kernel_driver(self, dev_handle: _Handle, intf: int) -> None:
        """Give the interface back to the kernel."""
        self._kernel_detached.discard(_key(dev_handle.device, intf))

    def clear_halt(self, dev_handle: _Handle, ep: int) -> None:
        """CLEAR_FEATURE(ENDPOINT_HALT)."""
        self._control(dev_handle, Setup(0x02, 1, 0, ep, 0), b"", 0)

    def reset_device(self, dev_handle: _Handle) -> None:
        """Reset the port; the device keeps its address."""
        try:
            dev_handle.device.board.bus_reset(dev_handle.device.address)
        except GoneError:
            raise _no_device() from None

    def ctrl_transfer(
        self,
        dev_handle: _Handle,
        bmRequestType: int,  # noqa: N803
        bRequest: int,  # noqa: N803
        wValue: int,  # noqa: N803
        wIndex: int,  # noqa: N803
        data: Any,
        timeout: int,
    ) -> int:
        """One control transfer; ``data`` is sent, or filled."""
        setup = Setup(bmRequestType, bRequest, wValue, wIndex, len(data) * data.itemsize)
        if not setup.is_in:
            self._control(dev_handle, setup, data.tobytes(), timeout)
            return setup.w_length
        reply = self._control(dev_handle, setup, b"", timeout)
        data[: len(reply)] = type(data)("B", reply)
        return len(reply)

    def bulk_write(self, dev_handle: _Handle, ep: int, intf: int, data: Any, timeout: int) -> int:  # noqa: ARG002
        """Bytes to the serial port, or a time-out when its core is halted."""
        try:
            dev_handle.device.board.serial_write(dev_handle.device.address, data.tobytes())
        except SilentError:
            dev_handle.device.board.clock.sleep(timeout / 1000)
            raise _timeout() from None
        except GoneError:
            raise _no_device() from None
        return len(data) * int(data.itemsize)

    def bulk_read(self, dev_handle: _Handle, ep: int, intf: int, buff: Any, timeout: int) -> int:  # noqa: ARG002
        """Bytes from the serial port, or a time-out when there are none."""
        board, address = dev_handle.device.board, dev_handle.device.address
        size_bytes = len(buff) * buff.itemsize
        try:
            data = board.serial_read(address, size_bytes)
            if not data:
                board.clock.sleep(timeout / 1000)
                data = board.serial_read(address, size_bytes)
        except GoneError:
            raise _no_device() from None
        if not data:
            raise _timeout()
        buff[: len(data)] = type(buff)("B", data)
        return len(data)

    intr_write = bulk_write
    intr_read = bulk_read

    def _require_present(self, handle: _Handle) -> None:
        present = handle.device.board.on_bus()
        if present is None or present[0] != handle.device.address:
            raise _no_device()

    def _control(self, handle: _Handle, setup: Setup, data: bytes, timeout_ms: int) -> bytes:
        board = handle.device.board
        started_s = board.clock.monotonic_s()
        try:
            reply = board.control(handle.device.address, setup, data)
        except StallError:
            raise usb.core.USBError("Pipe error", -9, errno.EPIPE) from None
        except SilentError:
            # Without a time limit libusb would wait for ever; here it is over at once.
            board.clock.sleep(timeout_ms / 1000)
            raise _timeout() from None
        except GoneError as gone:
            if gone.during and board.state.powered:
                # A device that resets in the middle of a transfer: the host controller sees a protocol error.
                raise usb.core.USBError("Input/Output Error", -1, errno.EIO) from None
            raise _no_device() from None
        if timeout_ms and (board.clock.monotonic_s() - started_s) * 1000 > timeout_ms:
            raise _timeout()
        return reply


def _key(device: _BusDevice, interface: int) -> tuple[str, int, int]:
    return device.board.port_path, device.address, interface


def _no_device() -> Exception:
    return usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)  # type: ignore[no-any-return]


def _timeout() -> Exception:
    return usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)  # type: ignore[no-any-return]


def _alternates(identity: UsbIdentity) -> list[list[_Alternate]]:
    """Alternate settings by interface, in the order of the configuration descriptor."""
    interfaces: dict[int, list[_Alternate]] = {}
    current: _Alternate | None = None
    for descriptor in descriptors_of(identity.configuration):
        if descriptor[1] == INTERFACE:
            current = _Alternate(descriptor)
            interfaces.setdefault(descriptor[2], []).append(current)
        elif current is not None and descriptor[1] == ENDPOINT:
            current.endpoints.append(descriptor)
        elif current is not None:
            current.extra += descriptor
    return [interfaces[number] for number in sorted(interfaces)]
