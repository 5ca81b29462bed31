"""Endpoint 0 of a device: standard requests, Microsoft descriptors, and hooks for the rest.

Source: device-os v2.1.0 bootloader/src/nRF52840/usbd_device.cpp,
platform/MCU/STM32F2xx/STM32_USB_Device_Driver/src/usbd_req.c, and the recordings in tests/golden/usb.
"""

from __future__ import annotations

from particle_harness.usb.descriptors import MS_OS_VENDOR_CODE, UsbIdentity, ms_os_compat_id, ms_os_properties
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

_DEVICE_DESCRIPTOR, _CONFIGURATION_DESCRIPTOR, _STRING_DESCRIPTOR = 1, 2, 3
_COMPAT_ID, _PROPERTIES = 4, 5


class UsbDevice:
    """One enumeration of a device, from attach to detach.

    Subclasses answer class and vendor requests and learn when a data stage to the host is over.
    ``configuration_when_set``: what GET_CONFIGURATION says afterwards (the nRF52840 bootloader forgets it).
    """

    configuration_when_addressed = 0
    configuration_when_set = 1
    alternate_settings = 1
    control_packet_bytes = 64

    def __init__(self, identity: UsbIdentity) -> None:
        self.identity = identity
        self.addressed = False
        self.configured = False
        self.alternate = 0

    def host_enumerates(self) -> None:
        """What an operating system does with a device it finds: address it, configure it."""
        self.control(Setup(0x00, StandardRequest.SET_ADDRESS, 1, 0, 0))
        self.control(Setup(0x00, StandardRequest.SET_CONFIGURATION, 1, 0, 0))

    def bus_reset(self) -> None:
        """USB reset: back to the unaddressed state."""
        self.addressed = self.configured = False

    def control(self, setup: Setup, data: bytes = b"") -> bytes:
        """Carry out one control transfer up to its status stage; data for IN, else empty. Raises StallError."""
        reply = self._answer(setup, data)[: setup.w_length] if setup.is_in else self._answer(setup, data)
        try:
            self.data_stage_done(setup)
        except StallError:
            raise StallError(reply) from None
        return reply

    def abandon(self, setup: Setup, data: bytes = b"", packets: int = 0) -> bytes:
        """A SETUP packet arrives and so many packets of data go over the bus, then the host says nothing more: what the
        firmware does at once is done. What the host has got of the data. Raises StallError."""
        carried = packets * self.control_packet_bytes
        if setup.is_in and setup.w_length:
            reply = self._answer(setup, b"")[: setup.w_length]
            if carried > len(reply) or (carried == len(reply) == setup.w_length):
                self.data_stage_done(setup)
            return reply[:carried]
        if not setup.w_length or (packets and carried >= setup.w_length):
            return self._answer(setup, data)[:0]
        self.data_announced(setup, data[:carried])
        return b""

    def data_announced(self, setup: Setup, arrived: bytes) -> None:
        """The host means to send data, and only the first packets of it have arrived."""

    def class_request(self, setup: Setup, data: bytes) -> bytes:  # noqa: ARG002
        """A class request to an interface."""
        raise StallError

    def vendor_request(self, setup: Setup, data: bytes) -> bytes:  # noqa: ARG002
        """A vendor request to the device."""
        raise StallError

    def data_stage_done(self, setup: Setup) -> None:
        """The host has the data of this transfer. StallError stalls the status stage that follows."""

    def on_configured(self) -> None:
        """SET_CONFIGURATION arrived."""

    def _answer(self, setup: Setup, data: bytes) -> bytes:
        if setup.b_request == MS_OS_VENDOR_CODE and setup.bm_request_type & 0xE0 == 0xC0:
            return self._microsoft(setup)
        if setup.recipient == TO_INTERFACE and not self.configured:
            raise StallError
        if setup.kind == TYPE_STANDARD:
            return self._standard(setup)
        if setup.kind == TYPE_CLASS:
            return self.class_request(setup, data)
        return self.vendor_request(setup, data)

    def _microsoft(self, setup: Setup) -> bytes:
        identity = self.identity
        if setup.recipient == TO_DEVICE and setup.w_index == _COMPAT_ID and identity.ms_os_compat_interface is not None:
            return ms_os_compat_id(identity.ms_os_compat_interface)
        if setup.recipient == TO_INTERFACE and setup.w_index == _PROPERTIES:
            asked = setup.w_value & 0xFF == identity.ms_os_properties_value
            return ms_os_properties(identity.ms_os_guid) if asked else bytes(10)
        raise StallError

    def _standard(self, setup: Setup) -> bytes:
        if setup.recipient == TO_ENDPOINT:
            return b"\x00\x00" if setup.b_request == StandardRequest.GET_STATUS else b""
        match setup.b_request:
            case StandardRequest.GET_STATUS:
                return self.identity.self_powered_status.to_bytes(2, "little")
            case StandardRequest.CLEAR_FEATURE | StandardRequest.SET_FEATURE:
                return b""
            case StandardRequest.SET_ADDRESS:
                self.addressed = True
                return b""
            case StandardRequest.GET_DESCRIPTOR:
                return self._descriptor(setup)
            case StandardRequest.GET_CONFIGURATION:
                value = self.configuration_when_set if self.configured else self.configuration_when_addressed
                return bytes([value])
            case StandardRequest.SET_CONFIGURATION:
                self.configured = setup.w_value != 0
                if self.configured:
                    self.on_configured()
                return b""
            case StandardRequest.GET_INTERFACE:
                return bytes([self.alternate])
            case StandardRequest.SET_INTERFACE:
                if setup.w_value >= self.alternate_settings:
                    raise StallError
                self.alternate = setup.w_value
                return b""
        raise StallError

    def _descriptor(self, setup: Setup) -> bytes:
        kind, index = setup.w_value >> 8, setup.w_value & 0xFF
        if kind == _DEVICE_DESCRIPTOR:
            return self.identity.device
        if kind == _CONFIGURATION_DESCRIPTOR:
            return self.identity.configuration
        if kind == _STRING_DESCRIPTOR and (text := self.string(index)) is not None:
            return text
        return self.class_descriptor(kind)

    def string(self, index: int) -> bytes | None:
        """A string descriptor, None where there is none."""
        return self.identity.strings.get(index)

    def class_descriptor(self, kind: int) -> bytes:  # noqa: ARG002
        """A descriptor of another type than device, configuration and string."""
        raise StallError
