"""Endpoint 0 of an nRF52840 board that runs Device OS: which class is asked what, and how data stages are handled.

Source: device-os v2.1.0 hal/src/nRF52840/usb_hal_control.cpp, usb_hal_cdc.c; nRF5 SDK 15.0,
components/libraries/usbd app_usbd_core.c, app_usbd.c, class/cdc/acm/app_usbd_cdc_acm.c; run on an emulated chip
(particle_harness.emulator.differential.system).
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

from particle_harness.usb.cdc import NormalDevice
from particle_harness.usb.control_service import Service
from particle_harness.usb.descriptors import (
    CONFIGURATION,
    DEVICE,
    ENDPOINT,
    INTERFACE,
    MS_OS_VENDOR_CODE,
    STRING,
    descriptors_of,
)
from particle_harness.usb.transfer import (
    TO_DEVICE,
    TO_ENDPOINT,
    TO_INTERFACE,
    TYPE_CLASS,
    TYPE_STANDARD,
    TYPE_VENDOR,
    Setup,
    StallError,
    StandardRequest,
)

_ENDPOINT_HALT = 0
_CDC_INTERFACES, _CONTROL_INTERFACE = (0, 1), 2
_COMPAT_ID, _PROPERTIES = (0xC0, 4), (0xC1, 5)
SET_LINE_CODING, LINE_CODING_BYTES = 0x20, 7
_SERIAL_PORT = {SET_LINE_CODING: (False, LINE_CODING_BYTES), 0x21: (True, LINE_CODING_BYTES), 0x22: (False, 0)}
"""Requests of the serial port: whether data flow to the host, and how many. Source: CDC PSTN, table 13."""
_BUFFER_BYTES = 64
"""Of the HAL; longer data go straight into a request's own buffer."""
_OTHER = 3
_FIRST_THAT_KNOWS_VENDOR_REQUESTS = 2004
"""System version of Device OS 2.0.0-rc.1; older ones take every request to the control interface for one."""


class NrfNormalDevice(NormalDevice):
    """As :class:`NormalDevice`, with the nRF5 SDK below it."""

    _halted: frozenset[int] = frozenset()

    def bus_reset(self) -> None:
        """Endpoints go on."""
        super().bus_reset()
        self._halted = frozenset()

    def _answer(self, setup: Setup, data: bytes) -> bytes:
        match setup.recipient:
            case n if n == TO_DEVICE:
                return self._to_device(setup) if setup.kind == TYPE_STANDARD else self._to_classes(setup, data)
            case n if n == TO_INTERFACE:
                return self._to_interface(setup, data)
            case n if n == TO_ENDPOINT and setup.kind == TYPE_STANDARD:
                return self._to_endpoint(setup)
            case n if n == _OTHER:
                return self._to_classes(setup, data)
        raise StallError

    # ---- the device -------------------------------------------------------------------------------------------------

    def _to_device(self, setup: Setup) -> bytes:
        if setup.is_in:
            match setup.b_request:
                case StandardRequest.GET_STATUS:
                    return self.identity.self_powered_status.to_bytes(2, "little")
                case StandardRequest.GET_DESCRIPTOR:
                    return self._descriptor(setup)
                case StandardRequest.GET_CONFIGURATION:
                    return bytes([self.configured])
        elif setup.b_request == StandardRequest.SET_ADDRESS:
            self.addressed, self.configured = True, False
            return b""
        elif setup.b_request == StandardRequest.SET_CONFIGURATION and setup.w_value & 0xFF <= 1:
            self.configured = bool(setup.w_value & 0xFF)
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
            if found is None and not setup.w_length:
                # Those that are not there are taken for empty, and only data of theirs are refused.
                return b""
        if found is None:
            raise StallError
        return found

    # ---- interfaces and endpoints -----------------------------------------------------------------------------------

    def _to_interface(self, setup: Setup, data: bytes) -> bytes:
        # Particle's SDK takes the interface of vendor requests from wValue.
        number = (setup.w_value if setup.kind == TYPE_VENDOR else setup.w_index) & 0xFF
        if setup.kind == TYPE_VENDOR and number == _CONTROL_INTERFACE:
            return self._vendor(setup, data)
        if number == _CONTROL_INTERFACE and self._system.version < _FIRST_THAT_KNOWS_VENDOR_REQUESTS:
            raise StallError
        if setup.kind == TYPE_CLASS and number in _CDC_INTERFACES:
            return self.class_request(setup, data)
        if setup.kind != TYPE_STANDARD or number not in (*_CDC_INTERFACES, _CONTROL_INTERFACE):
            raise StallError
        if setup.is_in and setup.b_request == StandardRequest.GET_DESCRIPTOR and number in _CDC_INTERFACES:
            return self._cdc_descriptor(setup.w_value >> 8, setup.w_value & 0xFF)
        if not self.configured:
            raise StallError
        match setup.is_in, setup.b_request:
            case True, StandardRequest.GET_STATUS:
                return b"\x00\x00"
            case True, StandardRequest.GET_INTERFACE:
                return b"\x00"
            case False, StandardRequest.SET_INTERFACE if setup.w_value == 0:
                return b""
        raise StallError

    def _cdc_descriptor(self, kind: int, index: int) -> bytes:
        """The descriptors of the serial port, one by one."""
        own: list[bytes] = []
        for descriptor in islice(descriptors_of(self.identity.configuration), 1, None):
            if descriptor[1] == INTERFACE and descriptor[2] == _CONTROL_INTERFACE:
                break
            own.append(descriptor)
        alike = [descriptor for descriptor in own if descriptor[1] == kind]
        if index >= len(alike):
            raise StallError
        return alike[index]

    def _to_endpoint(self, setup: Setup) -> bytes:
        endpoint = setup.w_index & 0xFF
        known = {d[2] for d in descriptors_of(self.identity.configuration) if d[1] == ENDPOINT}
        if endpoint & 0x7F and (endpoint not in known or not self.configured):
            raise StallError
        if setup.b_request == StandardRequest.GET_STATUS:
            return int(endpoint in self._halted).to_bytes(2, "little")
        if (
            setup.b_request in (StandardRequest.SET_FEATURE, StandardRequest.CLEAR_FEATURE)
            and setup.w_value == _ENDPOINT_HALT
        ):
            halts = setup.b_request == StandardRequest.SET_FEATURE
            self._halted = self._halted | {endpoint} if halts else self._halted - {endpoint}
            return b""
        raise StallError

    # ---- classes ----------------------------------------------------------------------------------------------------

    def _to_classes(self, setup: Setup, data: bytes) -> bytes:
        if setup.kind == TYPE_CLASS:
            return self.class_request(setup, data)
        if setup.kind == TYPE_VENDOR:
            return self._vendor(setup, data)
        raise StallError

    def _vendor(self, setup: Setup, data: bytes) -> bytes:
        if setup.b_request == MS_OS_VENDOR_CODE and (setup.bm_request_type, setup.w_index) in (_COMPAT_ID, _PROPERTIES):
            return self._microsoft(setup)
        if setup.is_in and setup.w_length > _BUFFER_BYTES and setup.b_request != Service.RECV:
            # There is no buffer for the reply.
            raise StallError
        if setup.is_in or not setup.w_length:
            return self.vendor_request(setup, data)
        if setup.w_length > _BUFFER_BYTES:
            if setup.b_request != Service.SEND:
                raise StallError
            return self.vendor_request(setup, data)
        # It is asked when the data are there, and nobody heeds what it says.
        with suppress(StallError):
            self.vendor_request(setup, data)
        return b""

    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """Requests of exactly the length that they have; SEND_BREAK is refused."""
        direction, length = _SERIAL_PORT.get(setup.b_request, (None, 0))
        if setup.is_in is not direction or setup.w_length != length:
            raise StallError
        return super().class_request(setup, data)

    def data_announced(self, setup: Setup, arrived: bytes) -> None:
        """A new speed is heeded before it is there; long data are refused before they are."""
        super().data_announced(setup, arrived)
        if setup.kind == TYPE_VENDOR and setup.w_length > _BUFFER_BYTES:
            if setup.b_request != Service.SEND:
                raise StallError
            self.service.require_room(setup)
        if setup.kind == TYPE_CLASS and setup.b_request == SET_LINE_CODING and setup.w_length == LINE_CODING_BYTES:
            self._on_baud(self.baud)

    def _set_line_coding(self, data: bytes) -> None:
        # Device OS is told of the new speed at SETUP, and looks at once: it sees the one before.
        self._on_baud(self.baud)
        self._line_coding = data
