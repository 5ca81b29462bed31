"""A device as seen on the bus."""

from __future__ import annotations

import re
from dataclasses import dataclass

from particle_dev.catalog.platforms import Platform, UsbMode
from particle_dev.transport.base import UsbDeviceInfo

LEAVE_DFU_FIRST = (
    "leave DFU mode first: `particle-dev mode normal --may-connect`. That boots the application, which can go online "
    "and start billing"
)
"""The hint for what only the running system does."""
_DEVICE_ID = re.compile(r"[0-9a-f]{24}")


def is_device_id(text: str) -> bool:
    """True for 24 lower-case hex digits, the form of every Device ID."""
    return _DEVICE_ID.fullmatch(text) is not None


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
