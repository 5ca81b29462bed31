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

_ENDPOINT_HALT, _REMOTE_WAKEUP, _TEST_MODE = 0, 1, 2
_REMOTE_WAKEUP_ON = 2
_HIGHEST_INTERFACE, _HIGHEST_CONFIGURATION = 10, 1


class Stm32UsbDevice(UsbDevice):
    """Endpoint 0 of an STM32F2. Requests that nobody answers raise SilentError."""

    remote_wakeup = False

    halted: frozenset[int] = frozenset()
    """Endpoints that the library takes for halted, by address. A stall of endpoint 0 counts, and nothing ends that."""

    def control(self, setup: Setup, data: bytes = b"") -> bytes:
        """As any device, and stalls are remembered."""
        try:
            return super().control(setup, data)
        except StallError:
            self._remember_stall(setup)
            raise

    def abandon(self, setup: Setup, data: bytes = b"", packets: int = 0) -> bytes:
        """As any device, and stalls are remembered."""
        try:
            return super().abandon(setup, data, packets)
        except StallError:
            self._remember_stall(setup)
            raise

    def _remember_stall(self, setup: Setup) -> None:
        one_way = 0x80 if setup.is_in else 0x00
        self.halted |= {one_way} if setup.recipient > TO_ENDPOINT else {0x00, 0x80}

    def on_deconfigured(self) -> None:
        """SET_CONFIGURATION 0 arrived."""

    def _answer(self, setup: Setup, data: bytes) -> bytes:
        if setup.recipient == TO_DEVICE:
            return self._vendor(setup, data) if setup.kind == TYPE_VENDOR else self._to_device(setup)
        if setup.recipient == TO_INTERFACE:
            return self._to_interface(setup, data)
        if setup.recipient == TO_ENDPOINT:
            return self._to_endpoint(setup)
        if setup.is_in or setup.w_length:
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
                return self._feature(setup, n == StandardRequest.SET_FEATURE)
        raise StallError

    def _feature(self, setup: Setup, wanted: bool) -> bytes:
        self._require(wanted or self.addressed)
        if setup.w_value == _REMOTE_WAKEUP:
            self.remote_wakeup = wanted
            self.class_feature(setup)
        elif not (wanted and setup.w_value == _TEST_MODE and not setup.w_index & 0xFF):
            raise SilentError
        return b""

    def _configure(self, wanted: bool) -> None:
        if wanted == self.configured:
            return
        self.configured = wanted
        if wanted:
            self.on_configured()
        else:
            self.on_deconfigured()

    def _vendor(self, setup: Setup, data: bytes) -> bytes:  # noqa: ARG002
        # Only the compat id, and only with wValue 0: the bootloader hands that on to its class driver.
        self._require(setup.b_request == MS_OS_VENDOR_CODE and setup.w_index == 4 and setup.w_value == 0)
        return self._microsoft(setup) if setup.is_in else self._nothing(setup)

    def _descriptor(self, setup: Setup) -> bytes:
        found = self._found(setup.w_value >> 8, setup.w_value & 0xFF, setup.w_length)
        if not setup.w_length:
            raise SilentError
        return found

    def _found(self, kind: int, index: int, length: int) -> bytes:
        if kind == DEVICE:
            short = length == 64 or not self.addressed
            return self.identity.device[:8] if short else self.identity.device
        if kind == CONFIGURATION:
            return self.identity.configuration
        self._require(kind == STRING)
        text = self.string(index)
        return self.missing_string() if text is None else text

    def missing_string(self) -> bytes:
        """What becomes of a string that there is none of."""
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

    def class_feature(self, setup: Setup) -> None:
        """A feature of device or endpoint is set or cleared: the class driver hears of it, and may raise StallError."""

    def _to_endpoint(self, setup: Setup) -> bytes:
        if setup.b_request not in (
            StandardRequest.GET_STATUS,
            StandardRequest.CLEAR_FEATURE,
            StandardRequest.SET_FEATURE,
        ):
            raise SilentError
        self._require(self.addressed)
        endpoint = setup.w_index & 0xFF
        own = {endpoint} if endpoint & 0x7F else frozenset[int]()
        if not self.configured:
            self.halted |= own
            raise SilentError
        if setup.b_request == StandardRequest.GET_STATUS:
            return int(endpoint in self.halted).to_bytes(2, "little")
        halts = setup.w_value == _ENDPOINT_HALT
        if setup.b_request == StandardRequest.SET_FEATURE:
            self.halted |= own if halts else frozenset()
            self.class_feature(setup)
        elif not halts:
            raise SilentError
        elif own:
            self.halted -= own
            self.class_feature(setup)
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
