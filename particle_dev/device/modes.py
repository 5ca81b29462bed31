"""How a device gets from one mode into another, and what proves that it arrived."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from particle_dev.catalog.console import DFU_SPEED
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import POLL_INTERVAL_S, wait_for_mode
from particle_dev.device.model import Device
from particle_dev.errors import ControlProtocolError, DeviceModeError, DeviceNotFoundError, LinkTimeoutError
from particle_dev.transport.base import Host

DFU_TOUCH_BAUD = DFU_SPEED.baud


class DfuEntry(StrEnum):
    """Ways into DFU mode."""

    CONTROL_REQUEST = "control request 50"
    SERIAL_TOUCH = "14400 baud"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the mode table. ``delay_s`` passes on the device before it acts; ``boots_application`` means that
    the application may run afterwards and, if it connects by itself, start billing."""

    source: UsbMode
    target: UsbMode
    how: str
    delay_s: float
    boots_application: bool


TRANSITIONS = (
    Transition(UsbMode.NORMAL, UsbMode.DFU, DfuEntry.CONTROL_REQUEST, 1.0, boots_application=False),
    Transition(UsbMode.NORMAL, UsbMode.DFU, DfuEntry.SERIAL_TOUCH, 0.0, boots_application=False),
    Transition(UsbMode.DFU, UsbMode.NORMAL, "DNLOAD of length 0", 0.5, boots_application=True),
)
"""Source: device-os v6.2.0 system/src/system_control_internal.cpp (1 s before the reset), system_update.cpp
system_lineCodingBitRateHandler, bootloader/src/nRF52840/usbd_dfu.cpp (500 ms after manifest)."""


def enter_dfu(
    host: Host, device: Device, by: DfuEntry | None = None, timeout_s: float = 30.0
) -> tuple[Device, DfuEntry]:
    """The same board in DFU mode, and the way that led there.

    ``by`` None asks by control request first and, when the device does not answer it, by 14400 baud on its serial
    port; a device that refuses is not asked twice. Arrival is proven by the DFU product id at the same port with the
    same Device ID. Raises DeviceModeError (also for a device that is in DFU mode already), WrongDeviceError,
    TransportError.
    """
    if device.mode is UsbMode.DFU:
        raise DeviceModeError(f"{device} is in DFU mode already", expected=UsbMode.NORMAL, actual=UsbMode.DFU)
    used = by or DfuEntry.CONTROL_REQUEST
    if used is DfuEntry.CONTROL_REQUEST:
        try:
            with ControlSession(host, device) as session:
                session.enter_dfu_mode()
        except (LinkTimeoutError, ControlProtocolError):
            if by is not None:
                raise
            used = DfuEntry.SERIAL_TOUCH
    if used is DfuEntry.SERIAL_TOUCH:
        touch_serial_port(host, device)
    return wait_for_mode(host, device, UsbMode.DFU, timeout_s), used


def touch_serial_port(host: Host, device: Device, timeout_s: float = 5.0, baud: int = DFU_TOUCH_BAUD) -> None:
    """Open the board's serial port at 14400 baud, which resets it into DFU mode at once, or at another speed that is a
    command (catalog.console). Raises DeviceNotFoundError when it has no serial port."""
    deadline_s = host.clock.monotonic_s() + timeout_s
    while True:
        for port in host.serial.ports():
            if port.serial_number == device.usb.serial_number and (port.vid, port.pid) == (
                device.usb.vid,
                device.usb.pid,
            ):
                host.serial.touch(port.url, baud)
                return
        if host.clock.monotonic_s() >= deadline_s:
            raise DeviceNotFoundError(
                f"{device} has no serial port",
                selector=device.device_id,
                hint="use the control request, or hold MODE while tapping RESET until the LED blinks yellow",
            )
        host.clock.sleep(POLL_INTERVAL_S)
