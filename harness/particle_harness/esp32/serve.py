"""Ports behind which a virtual ESP32 answers: a pseudo-terminal, or a TCP port.

Neither carries the lines DTR and RTS, by which esptool resets a chip, so the chip waits in its loader, as if somebody
had put it there by hand. :mod:`particle_harness.esp32.rfc2217` carries them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import tty
from types import TracebackType
from typing import Self

from particle_harness.esp32.loader import LineCutError, RomLoader

CHUNK_BYTES = 1 << 16


class PtyPort:
    """A pseudo-terminal; ``url`` is what programs open. Use as a context manager."""

    def __init__(self, loader: RomLoader) -> None:
        self._loader = loader
        self._device, self._far = os.openpty()
        # What is written to it must come out as it went in, also before anybody has opened it.
        tty.setraw(self._far)
        self.url = os.ttyname(self._far)
        self._cut = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name=f"ESP32 at {self.url}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()
        self._thread.join(5)

    def _serve(self) -> None:
        # A closed terminal ends it.
        with contextlib.suppress(OSError, LineCutError):
            while True:
                answer = self._loader.feed(os.read(self._device, CHUNK_BYTES))
                while answer:
                    answer = answer[os.write(self._device, answer) :]
        self._close()

    def _close(self) -> None:
        with self._cut:
            for name in ("_far", "_device"):
                descriptor = getattr(self, name)
                setattr(self, name, -1)
                if descriptor >= 0:
                    os.close(descriptor)


class SocketPort:
    """A TCP port on loopback, for one connection after the other. Use as a context manager."""

    scheme = "socket"

    def __init__(self, loader: RomLoader, host: str = "127.0.0.1", port: int = 0) -> None:
        self._loader = loader
        self._server = socket.create_server((host, port))
        self._connection: socket.socket | None = None
        self.url = f"{self.scheme}://{host}:{self._server.getsockname()[1]}"
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

    def _serve(self) -> None:
        # A closed server ends it.
        with contextlib.suppress(OSError):
            while True:
                self._connection, _ = self._server.accept()
                with self._connection, contextlib.suppress(OSError, LineCutError):
                    self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._talk(self._connection)

    def _talk(self, connection: socket.socket) -> None:
        """One connection, until the far end closes it."""
        while data := connection.recv(CHUNK_BYTES):
            connection.sendall(self._loader.feed(data))
