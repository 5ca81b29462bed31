"""USB addresses of one bus."""

from __future__ import annotations

import threading

_HIGHEST = 127


class Addresses:
    """Each enumeration gets the next one that no other port has."""

    def __init__(self) -> None:
        self._last = 1
        self._by_port: dict[str, int] = {}
        self._lock = threading.Lock()

    def seen(self, port_path: str, address: int) -> None:
        """The device in that port has that address already."""
        with self._lock:
            self._by_port[port_path] = address
            self._last = max(self._last, address)

    def next(self, port_path: str) -> int:
        """A free address for the device in that port."""
        with self._lock:
            taken = {address for port, address in self._by_port.items() if port != port_path}
            while True:
                self._last = self._last + 1 if self._last < _HIGHEST else 2
                if self._last not in taken:
                    self._by_port[port_path] = self._last
                    return self._last
