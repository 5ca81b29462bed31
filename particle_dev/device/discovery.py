"""Which devices are there, and waiting for one of them to come back."""

from __future__ import annotations

from particle_dev.catalog.platforms import UsbMode, platform_by_usb_id
from particle_dev.device.model import Device
from particle_dev.errors import DeviceModeError, DeviceNotFoundError, LinkAccessError, WrongDeviceError
from particle_dev.protocol.identifiers import is_device_id
from particle_dev.transport.base import Host

POLL_INTERVAL_S = 0.1
SECOND_ENUMERATION_S = 3.0
"""How long a second enumeration is waited for."""
_ABSENT_HINT = "check cable and power; hold MODE while tapping RESET until the LED blinks yellow for DFU mode"
_IN_DFU_HINT = "it is in DFU mode: `particle-dev id` tells what it boots into, and why"


def list_devices(host: Host) -> tuple[Device, ...]:
    """Particle devices on the bus, by port. One that the system refuses to open is there, too, with its
    ``usb.access_problem``; opening it raises LinkAccessError."""
    devices = []
    for info in host.usb.enumerate():
        found = platform_by_usb_id(info.vid, info.pid)
        if found is not None:
            platform, mode = found
            device_id = info.serial_number if is_device_id(info.serial_number) else ""
            devices.append(Device(device_id, platform, mode, info))
    return tuple(sorted(devices, key=lambda d: d.usb.port_path))


def device_at(host: Host, port_path: str) -> Device | None:
    """The device plugged into a port now."""
    return next((d for d in list_devices(host) if d.usb.port_path == port_path), None)


def wait_for_device(host: Host, port_path: str, timeout_s: float) -> Device:
    """Any device at a port. Raises DeviceNotFoundError when none appears in time, LinkAccessError when there is one
    that the system does not let us open: rights may come a moment after the device."""
    deadline_s = host.clock.monotonic_s() + timeout_s
    while True:
        device = device_at(host, port_path)
        if device is not None and not device.usb.access_problem:
            return device
        if host.clock.monotonic_s() >= deadline_s:
            if device is not None:
                raise _no_access(device)
            raise DeviceNotFoundError(
                f"no Particle device at port {port_path} within {timeout_s:.0f} s",
                selector=port_path,
                hint="plug the board in, check cable and power",
            )
        host.clock.sleep(POLL_INTERVAL_S)


def is_same_enumeration(one: Device, other: Device) -> bool:
    """Whether a board at a port never left between two looks. Some systems give an address again at once, but a board
    in another mode has enumerated anew."""
    return (one.usb.bus, one.usb.address, one.mode) == (other.usb.bus, other.usb.address, other.mode)


def wait_for_mode(host: Host, device: Device, mode: UsbMode, timeout_s: float) -> Device:
    """The same board (Device ID and port) in ``mode``, in an enumeration other than ``device``.

    Raises WrongDeviceError as soon as another board shows up at the port, DeviceModeError when nothing arrives,
    LinkAccessError when what arrived cannot be opened by then.
    """
    deadline_s = host.clock.monotonic_s() + timeout_s
    seen: Device | None = device
    while True:
        seen = device_at(host, device.usb.port_path)
        if seen is not None and not is_same_enumeration(seen, device):
            is_nameless = seen.usb.access_problem and not seen.usb.serial_number
            if seen.device_id != device.device_id and not is_nameless:
                raise WrongDeviceError(
                    f"port {device.usb.port_path}: {device.device_id} left and {seen.device_id or 'an unknown board'} "
                    "came back",
                    expected=device.device_id,
                    actual=seen.device_id or seen.usb.serial_number,
                    hint="nothing was written; put the first board back or start this slot anew",
                )
            if seen.mode is mode and not seen.usb.access_problem:
                return seen
        if host.clock.monotonic_s() >= deadline_s:
            if seen is not None and seen.mode is mode and seen.usb.access_problem:
                raise _no_access(seen)
            raise DeviceModeError(
                f"{device.device_id} did not reach {mode} mode at port {device.usb.port_path} within {timeout_s:.0f} s",
                expected=mode,
                actual=seen.mode if seen else None,
                hint=_IN_DFU_HINT if seen and seen.mode is UsbMode.DFU and mode is not UsbMode.DFU else _ABSENT_HINT,
            )
        host.clock.sleep(POLL_INTERVAL_S)


def wait_until_settled(host: Host, device: Device, timeout_s: float) -> Device:
    """A board that has just booted into normal mode, in the enumeration that lasts: some platforms leave the bus once
    more to add their serial port (Platform.enumerates_twice). An application may do without one: then it has settled
    ``SECOND_ENUMERATION_S`` later. Raises as :func:`wait_for_mode`."""
    if not device.platform.enumerates_twice:
        return device
    deadline_s = host.clock.monotonic_s() + SECOND_ENUMERATION_S
    while not _has_serial_port(host, device) and host.clock.monotonic_s() < deadline_s:
        host.clock.sleep(POLL_INTERVAL_S)
    here = device_at(host, device.usb.port_path)
    if here is not None and here.usb.address == device.usb.address:
        return device
    return wait_for_mode(host, device, UsbMode.NORMAL, timeout_s)


def _has_serial_port(host: Host, device: Device) -> bool:
    usb = (device.usb.vid, device.usb.pid, device.usb.serial_number)
    return any((port.vid, port.pid, port.serial_number) == usb for port in host.serial.ports())


def _no_access(device: Device) -> LinkAccessError:
    return LinkAccessError(
        f"{device} cannot be opened: {device.usb.access_problem}",
        where=device.usb.port_path,
        hint="`particle-dev doctor` shows what is in the way",
    )
