"""Which devices are there, and waiting for one of them to come back."""

from __future__ import annotations

from collections.abc import Sequence

from particle_dev.catalog.platforms import UsbMode, platform_by_usb_id
from particle_dev.device.model import Device, is_device_id
from particle_dev.errors import DeviceAmbiguousError, DeviceModeError, DeviceNotFoundError, WrongDeviceError
from particle_dev.transport.base import Host

POLL_INTERVAL_S = 0.1


def list_devices(host: Host) -> tuple[Device, ...]:
    """Particle devices on the bus, by port. Raises LinkAccessError when the system refuses to open one."""
    devices = []
    for info in host.usb.enumerate():
        found = platform_by_usb_id(info.vid, info.pid)
        if found is not None:
            platform, mode = found
            device_id = info.serial_number if is_device_id(info.serial_number) else ""
            devices.append(Device(device_id, platform, mode, info))
    return tuple(sorted(devices, key=lambda d: d.usb.port_path))


def select_device(devices: Sequence[Device], selector: str | None) -> Device:
    """The one device that ``selector`` names: a Device ID, a platform name or a port path; None stands for the only
    device there is. Raises DeviceNotFoundError or DeviceAmbiguousError; never guesses."""
    wanted = selector.lower() if selector else None
    matches = [
        d
        for d in devices
        if wanted is None
        or wanted in (d.device_id, d.usb.port_path, d.platform.name)
        or wanted == d.platform.display_name.lower()
    ]
    if len(matches) == 1:
        return matches[0]
    listed = "; ".join(str(d) for d in (matches or devices))
    if not matches:
        raise DeviceNotFoundError(
            f"no device matches '{selector}'" if selector else "no Particle device is connected",
            selector=selector,
            hint=f"connected: {listed}" if devices else "plug one in; `particle-dev list` shows what is there",
        )
    raise DeviceAmbiguousError(
        f"{len(matches)} devices match: {listed}",
        candidates=[d.device_id or d.usb.port_path for d in matches],
        hint="choose one with --device and its Device ID",
    )


def device_at(host: Host, port_path: str) -> Device | None:
    """The device plugged into a port now."""
    return next((d for d in list_devices(host) if d.usb.port_path == port_path), None)


def wait_for_device(host: Host, port_path: str, timeout_s: float) -> Device:
    """Any device at a port. Raises DeviceNotFoundError when none appears in time."""
    deadline_s = host.clock.monotonic_s() + timeout_s
    while True:
        device = device_at(host, port_path)
        if device is not None:
            return device
        if host.clock.monotonic_s() >= deadline_s:
            raise DeviceNotFoundError(
                f"no Particle device at port {port_path} within {timeout_s:.0f} s",
                selector=port_path,
                hint="plug the board in, check cable and power",
            )
        host.clock.sleep(POLL_INTERVAL_S)


def wait_for_mode(host: Host, device: Device, mode: UsbMode, timeout_s: float) -> Device:
    """The same board (Device ID and port) in ``mode``, in an enumeration other than ``device``.

    Raises WrongDeviceError as soon as another board shows up at the port, DeviceModeError when nothing arrives.
    """
    deadline_s = host.clock.monotonic_s() + timeout_s
    seen: Device | None = device
    while True:
        seen = device_at(host, device.usb.port_path)
        if seen is not None and seen.usb.address != device.usb.address:
            if seen.device_id != device.device_id:
                raise WrongDeviceError(
                    f"port {device.usb.port_path}: {device.device_id} left and {seen.device_id or 'an unknown board'} "
                    "came back",
                    expected=device.device_id,
                    actual=seen.device_id or seen.usb.serial_number,
                    hint="nothing was written; put the first board back or start this slot anew",
                )
            if seen.mode is mode:
                return seen
        if host.clock.monotonic_s() >= deadline_s:
            raise DeviceModeError(
                f"{device.device_id} did not reach {mode} mode at port {device.usb.port_path} within {timeout_s:.0f} s",
                expected=mode,
                actual=seen.mode if seen else None,
                hint="check cable and power; hold MODE while tapping RESET until the LED blinks yellow for DFU mode",
            )
        host.clock.sleep(POLL_INTERVAL_S)
