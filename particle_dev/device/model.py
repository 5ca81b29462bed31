"""A device as seen on the bus."""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.platforms import Platform, UsbMode
from particle_dev.transport.base import UsbDeviceInfo

LEAVE_DFU_FIRST = (
    "leave DFU mode first: `particle-dev mode normal --may-connect`. That boots the application, which can go online "
    "and start billing"
)
"""The hint for what only the running system does."""


@dataclass(frozen=True, slots=True)
class Device:
    """One board in one enumeration. ``device_id`` is empty when its USB serial number is no Device ID, as with very
    old firmware."""

    device_id: str
    platform: Platform
    mode: UsbMode
    usb: UsbDeviceInfo

    def __str__(self) -> str:
        name = self.device_id or f"serial number '{self.usb.serial_number}'"
        return f"{self.platform.display_name} {name} ({self.mode} mode, port {self.usb.port_path})"
