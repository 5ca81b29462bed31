"""The hands at a bench on which a station works: cables are pulled, buttons pressed and boards exchanged by
``particle-dev sim`` from another terminal, while the station knows nothing of it.

A bench has them by its option ``hands``, a port on loopback.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from particle_dev.errors import BenchError
from particle_harness.served import answer, boards_of
from particle_harness.usbip import Server

if TYPE_CHECKING:
    from particle_harness.bench import VirtualBench


class Hands:
    """Does what is asked at a port of loopback, until it is closed. BenchError: the port is taken."""

    def __init__(self, bench: VirtualBench, port: int) -> None:
        self._bench = bench
        try:
            self._server = Server((), ("127.0.0.1", port), self.do)
        except OSError as error:
            raise BenchError(
                f"the hands of this bench cannot have port {port}: {error.strerror}",
                hint="end the other `particle-dev sim serve` or station, or give the option `hands` another port",
            ) from error
        self.port = self._server.port

    def do(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One request, as :func:`particle_harness.usbip.ask` sends it; its answer is that of ``sim serve``."""
        wanted = request.get("slot")
        slot = next((s for s in self._bench.slots if s.board and wanted in (s.name, s.port_path)), None)
        if request.get("do") != "next" or slot is None or slot.board is None:
            return answer(self._bench, request)
        kind = slot.board.hardware
        prefix = kind.layout.device_id_prefix
        device_id = prefix + secrets.token_hex(12)[: 24 - len(prefix)]
        self._bench.put_in(slot.name, {"platform": kind.name, "device_id": device_id})
        return {"boards": boards_of(self._bench)}

    def close(self) -> None:
        """Nobody is heard any more."""
        self._server.close()
