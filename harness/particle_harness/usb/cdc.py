"""A running board on USB: serial port with its touch speeds, listening console, vendor requests."""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum

from particle_harness.running import BoardSystem
from particle_harness.usb.console import ListeningConsole
from particle_harness.usb.control_requests import RESTARTS, START_LISTENING, answer, duration_s
from particle_harness.usb.control_service import ControlService
from particle_harness.usb.descriptors import MS_OS_VENDOR_CODE, UsbIdentity
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.request_pool import pool_of
from particle_harness.usb.requests.protection import is_closed
from particle_harness.usb.transfer import TYPE_VENDOR, Setup, StallError

RAW_REQUEST = 0x50
DFU_TOUCH_BAUD = 14400
LISTENING_TOUCH_BAUD = 28800
FIRST_WITHOUT_LISTENING_TOUCH = 6000
"""Device OS 6.0.0."""
FIRST_WITH_RAW_ORDERS = 2000
"""Device OS 2.0.0-alpha.1."""
_LINE_CODING = struct.Struct("<IBBB")


class _Cdc(IntEnum):
    SET_LINE_CODING = 0x20
    GET_LINE_CODING = 0x21
    SET_CONTROL_LINE_STATE = 0x22
    SEND_BREAK = 0x23


class NormalDevice(UsbDevice):
    """Vendor requests on endpoint 0 and one serial port. ``reset_now(into)`` resets without any delay.

    Source: device-os v2.1.0 to v6.2.0 system/src/usb_control_request_channel.cpp, system/src/system_update.cpp
    (system_lineCodingBitRateHandler), hal/src/nRF52840/usb_hal.cpp (what protection closes).
    """

    def __init__(
        self,
        identity: UsbIdentity,
        system: BoardSystem,
        *,
        now_s: Callable[[], float],
        reset_now: Callable[[str], None],
        delays: bool,
    ) -> None:
        super().__init__(identity)
        self._system = system
        self._reset_now = reset_now
        self._line_coding = _LINE_CODING.pack(9600, 0, 0, 0)
        self.port_open = False
        self.output = bytearray()
        """What the device has written to its serial port and the host has not read."""
        self._console = ListeningConsole(system, lambda text: self._write(text.encode("utf-8")), reset_now)
        system.application.write_serial = self._write
        self.service = ControlService(
            lambda request_type, payload: answer(system, request_type, payload),
            lambda request_type, payload: duration_s(system, request_type, payload) if delays else 0.0,
            now_s,
            self._on_init,
            lambda: bool(system.busy_s),
            pool_of(system.version, is_rtl872x=system.hardware.is_rtl872x),
        )

    def bus_reset(self) -> None:
        """USB reset: all requests are aborted."""
        super().bus_reset()
        self.service.abort_all()

    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """Serial port control."""
        match setup.b_request:
            case _Cdc.SET_LINE_CODING if setup.w_length == len(data) == _LINE_CODING.size:
                self._set_line_coding(data)
                return b""
            case _Cdc.GET_LINE_CODING:
                return self._line_coding
            case _Cdc.SET_CONTROL_LINE_STATE:
                self.port_open = bool(setup.w_value & 1)
                return b""
            case _Cdc.SEND_BREAK:
                return b""
        raise StallError

    def vendor_request(self, setup: Setup, data: bytes) -> bytes:
        """Service requests 1 to 15 and raw requests."""
        if 1 <= setup.b_request <= 15:
            return self.service.request(setup, data)
        if setup.b_request == RAW_REQUEST:
            return self._raw_in(setup) if setup.is_in else self._raw_out(setup)
        raise StallError

    def data_stage_done(self, setup: Setup) -> None:
        """A request may end with this transfer."""
        if setup.is_in and setup.kind == TYPE_VENDOR and setup.b_request != MS_OS_VENDOR_CODE:
            self.service.data_stage_done()

    def type_keys(self, keys: bytes) -> None:
        """Bytes that the host sends to the serial port. Only the console of listening mode takes them; a protected
        board has none."""
        # Data stand for an open port, too.
        self.port_open = True
        if not is_closed(self._system):
            self._console.type(keys)

    def _write(self, data: bytes) -> None:
        # Nobody has the port open: what is written is lost.
        if self.port_open and not is_closed(self._system):
            self.output += data

    def _raw_in(self, setup: Setup) -> bytes:
        texts = {20: self._system.device_id.upper(), 30: self._system.device_os}
        text = texts.get(setup.w_index)
        if text is None or not len(text) <= setup.w_length <= 64:
            raise StallError
        return text.encode()

    def _raw_out(self, setup: Setup) -> bytes:
        if self._system.version < FIRST_WITH_RAW_ORDERS:
            raise StallError
        if setup.w_index == 40:
            self._reset_now("app")
        elif setup.w_index == 302:
            self._system.set_auto_connect(False)
        else:
            raise StallError
        return b""

    def _on_init(self, request_type: int) -> None:
        if is_closed(self._system):
            return
        if request_type in RESTARTS:
            if self._system.registers_until_s is None or self._system.busy_s:
                self._system.set_auto_connect(False)
        elif request_type == START_LISTENING:
            self._system.abort_connecting()

    @property
    def baud(self) -> int:
        """The speed that the host has set."""
        baud: int = _LINE_CODING.unpack(self._line_coding)[0]
        return baud

    def _set_line_coding(self, data: bytes) -> None:
        self._line_coding = data
        self._on_baud(self.baud)

    def _on_baud(self, baud: int) -> None:
        if baud == DFU_TOUCH_BAUD:
            self._reset_now("dfu")
        elif baud == LISTENING_TOUCH_BAUD and self._system.version < FIRST_WITHOUT_LISTENING_TOUCH:
            self._system.set_listening(True)
