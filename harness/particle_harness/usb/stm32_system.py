"""Endpoint 0 of an STM32F2 board that runs Device OS: its control requests, and the serial port beside them.

Source: device-os v2.1.0 hal/src/stm32f2xx/usb_hal.c, platform/MCU/STM32F2xx/SPARK_Firmware_Driver/src/usbd_composite.c,
usbd_mcdc.c, STM32_USB_Device_Driver/src/usbd_core.c; run on an emulated chip
(particle_harness.emulator.differential.system_stm32f205).
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from typing import Any

from particle_harness.usb.cdc import NormalDevice
from particle_harness.usb.control_service import Service
from particle_harness.usb.descriptors import MS_OS_VENDOR_CODE
from particle_harness.usb.stm32_requests import Stm32UsbDevice
from particle_harness.usb.transfer import (
    TYPE_CLASS,
    TYPE_STANDARD,
    Setup,
    SilentError,
    StallError,
    StandardRequest,
)

_SET_LINE_CODING, _GET_LINE_CODING, _SET_CONTROL_LINE_STATE = 0x20, 0x21, 0x22
_LINE_CODING_BYTES, _COMMAND_BYTES = 7, 8
_BUFFER_BYTES, _WORD_BYTES = 64, 4
"""The first of the HAL; longer data go straight into a request's own buffer."""
_SERIAL_INTERFACES, _HIGHEST_INTERFACE = (0, 1), 10
_SERIAL_STRING = 10
_SERIAL_DESCRIPTORS, _SERIAL_DESCRIPTORS_BYTES = 0x21, 66
_COMPAT_ID, _PROPERTIES = (4, 0), (0xC1, 5)


class _Note(Enum):
    """What the HAL expects of the next data stage that ends, whosever it is."""

    REPLY_IS_SENT = auto()
    DATA_ARE_THERE = auto()


class Stm32NormalDevice(Stm32UsbDevice, NormalDevice):
    """As :class:`NormalDevice`, with ST's library and Particle's HAL below it.

    The HAL notes at SETUP of a vendor request with data that its data stage is to end. Who refuses or gives up that
    request leaves the note behind, and the next data stage that ends, of any transfer, is taken for it.
    """

    _note: _Note | None = None
    _asked = Setup(0, 0, 0, 0, 0)
    """The last vendor request."""
    _serial_command: int | None = None
    """Of the serial port, whose data are to come."""
    _has_classes = False
    """Since the first configuration; taking it away ends that, a bus reset does not."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._long_payload = b""
        self._command_buffer = bytearray(_COMMAND_BYTES)

    def bus_reset(self) -> None:
        """Endpoint 0 starts anew; halts, features and the serial port stay."""
        super().bus_reset()
        self._note = None

    def on_configured(self) -> None:
        """The serial port starts anew, and keeps its speed."""
        self._has_classes = True
        self._serial_command = None
        self.port_open = False

    def on_deconfigured(self) -> None:
        """It has no serial port."""
        self._has_classes = False
        self.port_open = False

    def string(self, index: int) -> bytes | None:
        """The serial port names itself while it is there."""
        return None if index == _SERIAL_STRING and not self._has_classes else super().string(index)

    def missing_string(self) -> bytes:
        """Neither data nor a stall."""
        raise SilentError

    # ---- stages -----------------------------------------------------------------------------------------------------

    def _answer(self, setup: Setup, data: bytes) -> bytes:
        reply = super()._answer(setup, b"")
        if setup.w_length and not setup.is_in:
            self._take(setup, data)
            self._end_data_stage(to_device=True)
        return reply

    def data_announced(self, setup: Setup, arrived: bytes) -> None:
        """Who is to have the data is settled at SETUP."""
        super()._answer(setup, b"")
        self._take(setup, arrived)

    def data_stage_done(self, setup: Setup) -> None:
        """Whosever it was."""
        if setup.is_in and setup.w_length:
            self._end_data_stage(to_device=False)

    def _take(self, setup: Setup, arrived: bytes) -> None:
        # The controller is read by words.
        arrived += bytes(-len(arrived) % _WORD_BYTES)
        if setup.kind == TYPE_CLASS:
            self._command_buffer[: len(arrived)] = arrived[:_COMMAND_BYTES]
        elif setup.w_length <= _BUFFER_BYTES:
            self._buffer[: len(arrived)] = arrived
        else:
            # What lay in the request's buffer before is not modelled.
            self._long_payload = arrived[: setup.w_length].ljust(setup.w_length, b"\0")

    def _end_data_stage(self, *, to_device: bool) -> None:
        if not self.configured:
            return
        note, self._note = self._note, None
        if note is _Note.REPLY_IS_SENT:
            self.service.data_stage_done()
            return
        if note is _Note.DATA_ARE_THERE:
            with suppress(StallError):
                self._call(self._asked)
                return
        if to_device and self._serial_command is not None:
            self._serial_request(self._serial_command, self._command_buffer)
            self._serial_command = None

    # ---- vendor requests to the device ------------------------------------------------------------------------------

    def _vendor(self, setup: Setup, data: bytes) -> bytes:  # noqa: ARG002
        if setup.b_request == MS_OS_VENDOR_CODE and (setup.w_index, setup.w_value) == _COMPAT_ID:
            return self._microsoft(setup).ljust(setup.w_length, b"\0")
        self._asked = setup
        if not setup.w_length:
            return self._call(setup)
        if setup.is_in:
            self._note = _Note.REPLY_IS_SENT
            return self._call(setup)
        self._note = _Note.DATA_ARE_THERE
        if setup.w_length > _BUFFER_BYTES:
            if setup.b_request != Service.SEND:
                raise StallError
            self.service.require_room(setup)
        return b""

    def _call(self, setup: Setup) -> bytes:
        """Who knows the request is asked. One of up to 64 bytes finds its data in the HAL's buffer, whichever way they
        go, and leaves its reply there."""
        fits = setup.w_length <= _BUFFER_BYTES
        if not fits and setup.b_request not in (Service.SEND, Service.RECV):
            raise StallError
        payload = bytes(self._buffer[: setup.w_length]) if fits else self._long_payload
        reply = self.vendor_request(setup, payload)
        if setup.b_request == Service.SEND:
            return payload
        if fits:
            self._buffer[: len(reply)] = reply
        return reply

    # ---- interfaces -------------------------------------------------------------------------------------------------

    def _to_interface(self, setup: Setup, data: bytes) -> bytes:  # noqa: ARG002
        self._require(self.configured and setup.w_index & 0xFF <= _HIGHEST_INTERFACE)
        if setup.b_request == MS_OS_VENDOR_CODE and (setup.bm_request_type, setup.w_index) == _PROPERTIES:
            return self._microsoft(setup).ljust(setup.w_length, b"\0")
        if setup.w_index not in _SERIAL_INTERFACES:
            return self._nothing(setup)
        if setup.kind == TYPE_CLASS:
            return self._serial_port(setup)
        self._require(setup.kind == TYPE_STANDARD)
        match setup.b_request:
            case StandardRequest.GET_DESCRIPTOR:
                return self._serial_descriptors(setup.w_value >> 8)
            case StandardRequest.GET_INTERFACE:
                return bytes([self.alternate])
            case StandardRequest.SET_INTERFACE:
                self._require(setup.w_value & 0xFF < _HIGHEST_INTERFACE)
                self.alternate = setup.w_value & 0xFF
                return self._nothing(setup)
        raise StallError

    def class_feature(self, setup: Setup) -> None:
        """The serial port takes the number of an endpoint for that of its interface, and knows no features."""
        self._require(setup.w_index not in _SERIAL_INTERFACES)

    def _serial_descriptors(self, kind: int) -> bytes:
        """All of the serial port's, from its association on; of other types none."""
        start = self.identity.configuration[0]
        all_of_them = self.identity.configuration[start : start + _SERIAL_DESCRIPTORS_BYTES]
        return all_of_them if kind == _SERIAL_DESCRIPTORS else b""

    def _serial_port(self, setup: Setup) -> bytes:
        if not setup.w_length:
            # It reads on behind wValue, where the rest of SETUP lies.
            self._serial_request(setup.b_request, bytearray(setup.pack()[2:] + bytes(2)))
            return b""
        if setup.is_in:
            self._serial_request(setup.b_request, self._command_buffer)
            return bytes(self._command_buffer).ljust(setup.w_length, b"\0")
        self._serial_command = setup.b_request
        return b""

    def _serial_request(self, request: int, buffer: bytearray) -> None:
        match request:
            case n if n == _SET_LINE_CODING:
                self._set_line_coding(bytes(buffer[:_LINE_CODING_BYTES]))
            case n if n == _GET_LINE_CODING:
                buffer[:_LINE_CODING_BYTES] = self._line_coding
            case n if n == _SET_CONTROL_LINE_STATE:
                self.port_open = bool(buffer[0] & 1)
