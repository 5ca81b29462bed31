"""A virtual ESP32 behind a port of RFC 2217, which carries DTR, RTS and rates: as behind a bridge that maps RTS to the
chip's enable line and DTR to GPIO0. So esptool can reset it into its loader, and out of it.

The telnet side is pyserial's own server, which none of us wrote.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self, cast

from serial.rfc2217 import PortManager, Serial

from particle_harness.esp32.chip import Runs
from particle_harness.esp32.loader import LineCutError, RomLoader

_CHUNK_BYTES = 1 << 16
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


class Rfc2217Port:
    """A port on loopback, for one connection after the other. ``follows_baud`` False: a bridge that stays at 115200.
    Use as a context manager."""

    def __init__(self, loader: RomLoader, *, follows_baud: bool = True, host: str = "127.0.0.1", port: int = 0) -> None:
        self._loader = loader
        self._lines = _Lines(loader, follows_baud=follows_baud)
        self._server = socket.create_server((host, port))
        self._connection: socket.socket | None = None
        self._sending = threading.Lock()
        self.url = f"rfc2217://{host}:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name=f"ESP32 at {self.url}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in (self._server, self._connection):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._thread.join(5)

    def write(self, data: bytes) -> None:
        """To the host; pyserial's server calls it for its own answers."""
        assert self._connection is not None
        with self._sending:
            self._connection.sendall(data)

    def _serve(self) -> None:
        # A closed server ends it.
        with contextlib.suppress(OSError):
            while True:
                self._connection, _ = self._server.accept()
                with self._connection, contextlib.suppress(OSError, LineCutError):
                    self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    # Its type stubs ask for whole serial ports, of which it uses a little.
                    lines, far_end = cast(Serial, self._lines), cast(Serial, self)
                    self._talk(self._connection, PortManager(lines, far_end))

    def _talk(self, connection: socket.socket, manager: PortManager) -> None:
        while data := connection.recv(_CHUNK_BYTES):
            was_garbled = self._lines.is_garbled
            received = b"".join(manager.filter(data))
            answer = b"" if was_garbled else self._loader.feed(received)
            if answer:
                self.write(b"".join(manager.escape(answer)))
