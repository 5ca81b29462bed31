"""Standard requests as the bootloaders of nRF52840 boards handle them.

Source: device-os v2.1.0 bootloader/src/nRF52840/usbd_device.cpp, usbd_dfu.cpp; run on an emulated chip
(particle_harness.emulator.differential).
"""

from __future__ import annotations

from particle_harness.usb.descriptors import CONFIGURATION, DEVICE, MS_OS_VENDOR_CODE, STRING
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.transfer import (
    TO_DEVICE,
    TO_ENDPOINT,
    TO_INTERFACE,
    TYPE_CLASS,
    TYPE_STANDARD,
    Setup,
    StallError,
    StandardRequest,
)

_ENDPOINT_HALT, _REMOTE_WAKEUP = 0, 1


class NrfUsbDevice(UsbDevice):
    """Endpoint 0 of an nRF52840 in a bootloader. It takes itself for addressed from the bus reset on."""

    configuration_when_addressed = 1
    configuration_when_set = 0

    _halted: frozenset[int] = frozenset()

    def bus_reset(self) -> None:
        """Endpoints go on."""
        super().bus_reset()
        self._halted = frozenset()

    def _answer(self, setup: Setup, data: bytes) -> bytes:
        if setup.recipient == TO_ENDPOINT:
            return self._to_endpoint(setup)
        if setup.recipient == TO_INTERFACE and not self.configured:
            raise StallError
        if setup.recipient not in (TO_DEVICE, TO_INTERFACE):
            raise StallError
        if setup.recipient == TO_DEVICE and setup.kind == TYPE_STANDARD:
            return self._to_device(setup)
        return self._to_driver(setup, data)

    def _to_device(self, setup: Setup) -> bytes:
        match setup.b_request:
            case StandardRequest.GET_STATUS:
                return self.identity.self_powered_status.to_bytes(2, "little")
            case StandardRequest.CLEAR_FEATURE | StandardRequest.SET_FEATURE if setup.w_value == _REMOTE_WAKEUP:
                return b""
            case StandardRequest.SET_ADDRESS:
                self.addressed, self.configured = True, False
                return b""
            case StandardRequest.GET_DESCRIPTOR:
                return self._descriptor(setup)
            case StandardRequest.GET_CONFIGURATION:
                return bytes([self.configuration_when_set if self.configured else self.configuration_when_addressed])
            case StandardRequest.SET_CONFIGURATION:
                self.configured = setup.w_value != 0
                if self.configured:
                    self.on_configured()
                return b""
        raise StallError

    def _descriptor(self, setup: Setup) -> bytes:
        kind, found = setup.w_value >> 8, None
        if kind == DEVICE:
            found = self.identity.device
        elif kind == CONFIGURATION:
            found = self.identity.configuration
        elif kind == STRING:
            found = self.string(setup.w_value & 0xFF)
        if not found or not setup.w_length:
            raise StallError
        return found

    def _to_driver(self, setup: Setup, data: bytes) -> bytes:
        """What the class driver is asked, by the device or by its interface."""
        if setup.b_request == MS_OS_VENDOR_CODE and (setup.bm_request_type, setup.w_index) in ((0xC0, 4), (0xC1, 5)):
            return self._microsoft(setup)
        if setup.kind == TYPE_CLASS:
            return self.class_request(setup, data)
        match setup.b_request if setup.kind == TYPE_STANDARD else None:
            case StandardRequest.GET_DESCRIPTOR:
                return self.class_descriptor(setup.w_value >> 8)
            case StandardRequest.GET_INTERFACE:
                return bytes([self.alternate])
            case StandardRequest.SET_INTERFACE if setup.w_value < self.alternate_settings:
                self.alternate = setup.w_value
                return b""
        raise StallError

    def _to_endpoint(self, setup: Setup) -> bytes:
        """There is none but endpoint 0. Of others the controller keeps halts all the same."""
        endpoint = setup.w_index & 0xFF
        is_there, is_halt = not endpoint & 0x7F, setup.w_value == _ENDPOINT_HALT
        match setup.b_request:
            case StandardRequest.GET_STATUS if is_there or self.configured:
                return int(endpoint in self._halted).to_bytes(2, "little")
            case StandardRequest.SET_FEATURE:
                if is_halt and not is_there:
                    self._halted |= {endpoint}
                return b""
            case StandardRequest.CLEAR_FEATURE if is_there or not self.configured or not is_halt:
                return b""
            case StandardRequest.CLEAR_FEATURE:
                # Carried out, and refused.
                self._halted -= {endpoint}
        raise StallError
