"""Checks of the libraries that boards are reached through, on every system."""

from __future__ import annotations

from particle_dev.doctor.finding import Finding, Status
from particle_dev.errors import TransportError
from particle_dev.transport.base import UsbHost


def check_usb_library(host: UsbHost) -> Finding:
    """Whether libusb loads and lists devices."""
    try:
        devices = host.enumerate()
    except TransportError as error:
        return Finding("libusb", Status.PROBLEM, error.message, error.hint)
    count = len(devices)
    return Finding("libusb", Status.OK, f"loads and sees {count} Particle device{'' if count == 1 else 's'}")
