"""Standard requests as ST's device library handles them, gaps included: some requests it neither answers nor refuses.

Source: device-os v2.1.0 platform/MCU/STM32F2xx/STM32_USB_Device_Driver/src/usbd_req.c, usbd_core.c; run on an emulated
chip (particle_harness.emulator.differential).
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
    TYPE_VENDOR,
    Setup,
    SilentError,
    StallError,
    StandardRequest,
)

_ENDPOINT_HALT, _REMOTE_WAKEUP = 0, 1
_REMOTE_WAKEUP_ON = 2
_HIGHEST_INTERFACE, _HIGHEST_CONFIGURATION = 10, 1


class Stm32UsbDevice(UsbDevice):
    """Endpoint 0 of an STM32F2 in a bootloader. Requests that nobody answers raise SilentError."""

    short_first_descriptor = True
    remote_wakeup = False

    has_stalled = False
    """The library takes endpoint 0 for halted ever after, and says so."""

    def control(self, setup: Setup, data: bytes = b"") -> bytes:
        """As any device, and stalls are remembered."""
        try:
            return super().control(setup, data)
        except StallError:
            self.has_stalled = True
            raise

    def on_deconfigured(self) -> None:
        """SET_CONFIGURATION 0 arrived."""

    def _answer(self, setup: Setup, data: bytes) -> bytes:
        if setup.recipient == TO_DEVICE:
            return self._vendor(setup) if setup.kind == TYPE_VENDOR else self._to_device(setup)
        if setup.recipient == TO_INTERFACE:
            return self._to_interface(setup, data)
        if setup.recipient == TO_ENDPOINT:
            return self._to_endpoint(setup)
        if setup.is_in:
            raise StallError
        raise SilentError

    # ---- to the device ----------------------------------------------------------------------------------------------

    def _to_device(self, setup: Setup) -> bytes:
        """Standard and class requests alike: the library looks at the number only."""
        match setup.b_request:
            case StandardRequest.GET_DESCRIPTOR:
                return self._descriptor(setup)
            case StandardRequest.SET_ADDRESS:
                self._require(setup.w_index == 0 and setup.w_length == 0 and not self.configured)
                self.addressed = bool(setup.w_value & 0x7F)
                return b""
            case StandardRequest.SET_CONFIGURATION:
                self._require(setup.w_value & 0xFF <= _HIGHEST_CONFIGURATION and (self.addressed or self.configured))
                self._configure(bool(setup.w_value & 0xFF))
                return b""
            case StandardRequest.GET_CONFIGURATION:
                self._require(setup.w_length == 1 and self.addressed)
                return bytes([self.configured])
            case StandardRequest.GET_STATUS:
                self._require(self.addressed)
                status = self.identity.self_powered_status | (_REMOTE_WAKEUP_ON if self.remote_wakeup else 0)
                return status.to_bytes(2, "little")
            case StandardRequest.SET_FEATURE | StandardRequest.CLEAR_FEATURE as n:
                self._require(n == StandardRequest.SET_FEATURE or self.addressed)
                if setup.w_value != _REMOTE_WAKEUP:
                    raise SilentError
                self.remote_wakeup = n == StandardRequest.SET_FEATURE
                return b""
        raise StallError

    def _configure(self, wanted: bool) -> None:
        if wanted == self.configured:
            return
        self.configured = wanted
        if wanted:
            self.on_configured()
        else:
            self.on_deconfigured()

    def _vendor(self, setup: Setup) -> bytes:
        # Only the compat id, and only with wValue 0: the bootloader hands that on to its class driver.
        self._require(setup.b_request == MS_OS_VENDOR_CODE and setup.w_index == 4 and setup.w_value == 0)
        return self._microsoft(setup) if setup.is_in else self._nothing(setup)

    def _descriptor(self, setup: Setup) -> bytes:
        kind, index = setup.w_value >> 8, setup.w_value & 0xFF
        if kind == DEVICE:
            short = setup.w_length == 64 or not self.addressed
            return self.identity.device[:8] if short else self.identity.device
        if kind == CONFIGURATION:
            return self.identity.configuration
        if kind == STRING and (text := self.string(index)) is not None:
            return text
        raise StallError

    # ---- to interfaces and endpoints --------------------------------------------------------------------------------

    def _to_interface(self, setup: Setup, data: bytes) -> bytes:
        self._require(self.configured and setup.w_index & 0xFF <= _HIGHEST_INTERFACE)
        if setup.kind == TYPE_CLASS:
            return self.class_request(setup, data)
        if setup.kind == TYPE_VENDOR:
            if setup.b_request == MS_OS_VENDOR_CODE and setup.bm_request_type == 0xC1 and setup.w_index == 5:
                return self._microsoft(setup)
            return self._nothing(setup)
        match setup.b_request if setup.kind == TYPE_STANDARD else None:
            case StandardRequest.GET_DESCRIPTOR:
                return self.class_descriptor(setup.w_value >> 8)[: setup.w_length]
            case StandardRequest.GET_INTERFACE:
                return bytes([self.alternate])
            case StandardRequest.SET_INTERFACE:
                self._require(setup.w_value & 0xFF < self.alternate_settings)
                self.alternate = setup.w_value & 0xFF
                return self._nothing(setup)
        return self._nothing(setup)

    def class_descriptor(self, kind: int) -> bytes:  # noqa: ARG002
        """Of types that it does not know, a descriptor of no bytes."""
        return b""

    def _to_endpoint(self, setup: Setup) -> bytes:
        if setup.b_request not in (
            StandardRequest.GET_STATUS,
            StandardRequest.CLEAR_FEATURE,
            StandardRequest.SET_FEATURE,
        ):
            raise SilentError
        self._require(self.addressed)
        if not self.configured:
            raise SilentError
        if setup.b_request == StandardRequest.GET_STATUS:
            return int(self.has_stalled and not setup.w_index & 0x7F).to_bytes(2, "little")
        if setup.b_request == StandardRequest.CLEAR_FEATURE and setup.w_value != _ENDPOINT_HALT:
            raise SilentError
        return b""

    @staticmethod
    def _require(allowed: bool) -> None:
        if not allowed:
            raise StallError

    @staticmethod
    def _nothing(setup: Setup) -> bytes:
        """The class driver did not care: a status stage where no data was asked for, else nothing."""
        if setup.w_length:
            raise SilentError
        return b""
