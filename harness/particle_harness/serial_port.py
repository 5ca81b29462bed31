"""Virtual serial ports for pyserial: ``serial.serial_for_url("virtual-particle://1-1")``.

The port behaves like Linux' cdc_acm: opening raises DTR and sends the line coding, a changed speed sends it again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import serial

from particle_harness.usb.bus_device import BoardOnBus
from particle_harness.usb.descriptors import INTERFACE, UsbIdentity, descriptors_of
from particle_harness.usb.transfer import GoneError, Setup, StallError

SCHEME = "virtual-particle"
_SET_LINE_CODING, _SET_CONTROL_LINE_STATE = 0x20, 0x22
_CDC_CLASS = 0x02
_DTR_AND_RTS = 3
_boards: dict[str, BoardOnBus] = {}


def register(boards: Iterable[BoardOnBus]) -> None:
    """Make these boards' ports known to pyserial; a later bench replaces an earlier one on the same port."""
    # pyserial imports "protocol_<scheme>" from each package in its list; the scheme has a hyphen, which no file name
    # of a Python module may have, so this module is entered under that name.
    sys.modules[f"{__package__}.protocol_{SCHEME}"] = sys.modules[__name__]
    if __package__ not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(__package__)
    _boards.update({board.port_path: board for board in boards})


def unregister(boards: Iterable[BoardOnBus]) -> None:
    """Forget these boards' ports."""
    for board in boards:
        if _boards.get(board.port_path) is board:
            del _boards[board.port_path]


def has_serial_port(identity: UsbIdentity) -> bool:
    """Whether a device of those descriptors is driven as a serial port."""
    return any(d[1] == INTERFACE and d[5] == _CDC_CLASS for d in descriptors_of(identity.configuration))


def serial_class_for_url(url: str) -> tuple[str, type[Serial]]:
    """pyserial's hook."""
    return url, Serial


class Serial(serial.SerialBase):
    """A port on a virtual board. SerialException once the board left the bus, as with a real one."""

    BAUDRATES = (*serial.SerialBase.BAUDRATES, 14400, 28800)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._board: BoardOnBus | None = None
        self._address = 0
        self._sent_baudrate = 0
        super().__init__(*args, **kwargs)

    def open(self) -> None:
        """Open the port. SerialException when no board with a serial port is there."""
        port_path = str(self.portstr).partition("://")[2]
        board = _boards.get(port_path)
        present = board.on_bus() if board else None
        if board is None or present is None or not has_serial_port(present[1]):
            raise serial.SerialException(f"could not open port {self.portstr}: no such device")
        self._board, self._address, self._sent_baudrate = board, present[0], 0
        self.is_open = True
        self._transfer(Setup(0x21, _SET_CONTROL_LINE_STATE, _DTR_AND_RTS, 0, 0))
        self._reconfigure_port()

    def close(self) -> None:
        """Close the port; quietly when the board is gone."""
        if self.is_open:
            self._transfer(Setup(0x21, _SET_CONTROL_LINE_STATE, 0, 0, 0))
            self.is_open = False

    @property
    def in_waiting(self) -> int:
        """Bytes are handed out by read() only."""
        return 0

    def read(self, size: int = 1) -> bytes:
        """Bytes that wait, else what comes within the time-out."""
        board = self._require_open()
        try:
            data = board.serial_read(self._address, size)
            if not data and self.timeout:
                board.clock.sleep(self.timeout)
                data = board.serial_read(self._address, size)
        except GoneError:
            raise serial.SerialException("device reports readiness to read but returned no data") from None
        return data

    def write(self, b: Any, /) -> int:
        """Send bytes."""
        data = bytes(b)
        try:
            self._require_open().serial_write(self._address, data)
        except GoneError:
            raise serial.SerialException("write failed: [Errno 5] Input/output error") from None
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def reset_input_buffer(self) -> None:
        """Throw away what waits."""
        while self.read(4096):
            pass

    def reset_output_buffer(self) -> None:
        """Nothing is held back."""

    def _reconfigure_port(self, force_update: bool = False) -> None:  # noqa: ARG002
        # cdc_acm sends a line coding only when it differs from the last one.
        if not self.is_open or self._sent_baudrate == self.baudrate:
            return
        self._sent_baudrate = self.baudrate
        coding = int(self.baudrate).to_bytes(4, "little") + bytes([0, 0, self.bytesize])
        self._transfer(Setup(0x21, _SET_LINE_CODING, 0, 0, len(coding)), coding)

    def _update_dtr_state(self) -> None:
        self._transfer(Setup(0x21, _SET_CONTROL_LINE_STATE, int(self.dtr) | int(self.rts) << 1, 0, 0))

    _update_rts_state = _update_dtr_state

    def _require_open(self) -> BoardOnBus:
        if not self.is_open or self._board is None:
            raise serial.PortNotOpenError
        return self._board

    def _transfer(self, setup: Setup, data: bytes = b"") -> None:
        # The kernel driver tells no program whether these requests arrived.
        try:
            self._require_open().control(self._address, setup, data)
        except (GoneError, StallError):
            return
