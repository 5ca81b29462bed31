"""A virtual ESP32 behind a port of RFC 2217, which carries DTR, RTS and rates: as behind a bridge that maps RTS to the
chip's enable line and DTR to GPIO0. So esptool can reset it into its loader, and out of it.

The telnet side is pyserial's own server, which none of us wrote.
"""

from __future__ import annotations

import socket
import threading
from typing import cast

from serial.rfc2217 import PortManager, Serial

from particle_harness.esp32.chip import Runs
from particle_harness.esp32.loader import RomLoader
from particle_harness.esp32.serve import CHUNK_BYTES, SocketPort

_RATE_TOLERANCE = 0.03


class _Lines:
    """What pyserial's server takes for a serial port: the bridge's lines to the chip."""

    bytesize, parity, stopbits = 8, "N", 1
    xonxoff = rtscts = dsrdtr = break_condition = False
    cts = dsr = cd = True
    ri = False

    def __init__(self, loader: RomLoader, *, follows_baud: bool) -> None:
        self._loader = loader
        self._follows_baud = follows_baud
        self._baudrate = self._line_rate = 115_200
        self._rts = self._dtr = False

    @property
    def baudrate(self) -> int:
        """What the host asked the bridge for."""
        return self._baudrate

    @baudrate.setter
    def baudrate(self, rate: int) -> None:
        self._baudrate = rate
        if self._follows_baud:
            self._line_rate = rate

    @property
    def rts(self) -> bool:
        """Asserted: the chip is held in reset."""
        return self._rts

    @rts.setter
    def rts(self, asserted: bool) -> None:
        if self._rts and not asserted:
            self._loader.baud = None
            self._loader.chip.reset(into_loader=self._dtr)
        elif asserted:
            self._loader.chip.runs = Runs.NOTHING
        self._rts = asserted

    @property
    def dtr(self) -> bool:
        """Asserted: GPIO0 is low."""
        return self._dtr

    @dtr.setter
    def dtr(self, asserted: bool) -> None:
        self._dtr = asserted

    @property
    def is_garbled(self) -> bool:
        """Whether bridge and chip run at different rates."""
        rate = self._loader.baud
        return rate is not None and abs(rate - self._line_rate) > rate * _RATE_TOLERANCE

    def reset_input_buffer(self) -> None:
        """Nothing waits here."""

    def reset_output_buffer(self) -> None:
        """Nothing waits here."""


class Rfc2217Port(SocketPort):
    """A port on loopback, for one connection after the other. ``follows_baud`` False: a bridge that stays at 115200.
    Use as a context manager."""

    scheme = "rfc2217"

    def __init__(self, loader: RomLoader, *, follows_baud: bool = True, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(loader, host, port)
        self._lines = _Lines(loader, follows_baud=follows_baud)
        self._sending = threading.Lock()

    def write(self, data: bytes) -> None:
        """To the host; pyserial's server calls it for its own answers."""
        assert self._connection is not None
        with self._sending:
            self._connection.sendall(data)

    def _talk(self, connection: socket.socket) -> None:
        # Its type stubs ask for whole serial ports, of which it uses a little.
        manager = PortManager(cast(Serial, self._lines), cast(Serial, self))
        while data := connection.recv(CHUNK_BYTES):
            was_garbled = self._lines.is_garbled
            received = b"".join(manager.filter(data))
            answer = b"" if was_garbled else self._loader.feed(received)
            if answer:
                self.write(b"".join(manager.escape(answer)))
