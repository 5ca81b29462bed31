"""A CMSIS-DAP v2 probe as a USB device: one vendor interface, a bulk pipe each way.

Source: CMSIS-DAP 2.1 documentation (ARM-software/CMSIS-DAP), "USB peripheral connection".
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

from particle_harness.swd.cmsis_dap import CmsisDap
from particle_harness.swd.debug_port import ProbeGoneError
from particle_harness.usb.descriptors import (
    ENDPOINT,
    INTERFACE,
    LANGUAGES,
    UsbIdentity,
    configuration_descriptor,
    device_descriptor,
    string_descriptor,
)
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.transfer import GoneError, Setup

_VENDOR_ID, _PRODUCT_ID = 0x1209, 0x0001
"""pid.codes, for private tests."""
_OUT, _IN, _BULK, _PACKET_SIZE_BYTES = 0x01, 0x82, 2, 64
_NAME = "CMSIS-DAP v2"


def probe_identity(serial_number: str) -> UsbIdentity:
    """Descriptors of the probe."""
    interface = struct.pack("<BBBBBBBBB", 9, INTERFACE, 0, 0, 2, 0xFF, 0, 0, 4)
    endpoints = b"".join(struct.pack("<BBBBHB", 7, ENDPOINT, e, _BULK, _PACKET_SIZE_BYTES, 0) for e in (_OUT, _IN))
    texts = ("particle-dev", "Virtual CMSIS-DAP", serial_number, _NAME)
    return UsbIdentity(
        device=device_descriptor(_VENDOR_ID, _PRODUCT_ID, 0x0100),
        configuration=configuration_descriptor(interface + endpoints, 1, string=0, attributes=0x80, max_power_ma=100),
        strings={0: LANGUAGES, **{n: string_descriptor(text) for n, text in enumerate(texts, start=1)}},
        ms_os_compat_interface=None,
        ms_os_guid="",
        ms_os_properties_value=0,
    )


@dataclass(frozen=True, slots=True)
class _HostPower:
    powered: bool = True


class UsbProbe:
    """A probe in a port of the bus, as the USB seams take it; it leaves when its own cable is pulled."""

    def __init__(self, probe: CmsisDap, port_path: str, address: int) -> None:
        self.port_path = port_path
        self.answers_at_once = False
        self.state = _HostPower()
        self._probe = probe
        self._address = address
        self._device = UsbDevice(probe_identity(probe.serial_number))
        self._device.host_enumerates()
        self._replies: deque[bytes] = deque()

    def on_bus(self) -> tuple[int, UsbIdentity] | None:
        """Its address and descriptors; None while it is unplugged."""
        return None if self._probe.chip.debug_port.probe_gone else (self._address, self._device.identity)

    def control(self, address: int, setup: Setup, data: bytes = b"") -> bytes:
        """Standard requests. Raises StallError, GoneError."""
        self._require_present(address)
        return self._device.control(setup, data)

    def bus_reset(self, address: int) -> None:
        """Replies that nobody took are gone. Raises GoneError."""
        self._require_present(address)
        self._replies.clear()
        self._device.bus_reset()
        self._device.host_enumerates()

    def serial_write(self, address: int, data: bytes) -> None:
        """One packet to the probe. Raises GoneError."""
        self._require_present(address)
        try:
            self._replies.append(self._probe.handle(data))
        except ProbeGoneError as error:
            raise GoneError(during=True) from error

    def serial_read(self, address: int, size_bytes: int) -> bytes:
        """The next reply, or nothing. Raises GoneError."""
        self._require_present(address)
        return self._replies.popleft()[:size_bytes] if self._replies else b""

    def _require_present(self, address: int) -> None:
        if self.on_bus() is None or address != self._address:
            raise GoneError
