"""pyOCD's own probe server protocol over TCP, for one virtual chip: what ``pyocd -u remote:HOST:PORT`` talks to.

One client at a time, as with a probe on USB, whose interface a program claims; pyOCD's own server shares its probe.

One JSON object a line: ``{"id", "request", "arguments"}``, answered by ``{"id", "status", "result" | "error"}``.
Source: pyocd 0.46.0 pyocd/probe/tcp_probe_server.py, tcp_client_probe.py.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from typing import Any

from particle_harness.swd.chip import ProbedChip
from particle_harness.swd.claim import Claim
from particle_harness.swd.debug_port import Acknowledge, DapFaultError, ProbeGoneError, WireError

LOOPBACK = "127.0.0.1"
_POLL_S = 0.02
"""How soon the server ends when it is told to."""
_WITHOUT_PROBE = ("hello", "lock", "unlock")
_OK, _UNKNOWN_REQUEST, _PROBE_GONE, _PROBE_ERROR = 0, 1, 2, 3
_TRANSFER_ERROR, _TRANSFER_TIMEOUT, _TRANSFER_FAULT = 10, 11, 12
_STATUS = {
    Acknowledge.WAIT: _TRANSFER_TIMEOUT,
    Acknowledge.NOTHING: _TRANSFER_ERROR,
    Acknowledge.PARITY_ERROR: _TRANSFER_ERROR,
}


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: ProbeServer

    def handle(self) -> None:
        try:
            for line in self.rfile:
                request = json.loads(line)
                answer = self._answer(request["request"], request.get("arguments", []))
                self.wfile.write(json.dumps({"id": request["id"], **answer}).encode() + b"\n")
        except ConnectionError:
            pass  # Its process was ended.
        finally:
            self.server.claim.give_back(self)

    def _answer(self, name: str, arguments: list[Any]) -> dict[str, Any]:
        server = self.server
        if name == "close":
            server.claim.give_back(self)
        elif name not in _WITHOUT_PROBE and not server.claim.take(self):
            return {"status": _PROBE_ERROR, "error": "another program has the probe open"}
        with server.chip.lock:
            return server.answer(name, arguments)


class ProbeServer(socketserver.ThreadingTCPServer):
    """Serves ``chip`` on loopback; ``port`` 0 chooses one. ``claim``: who has the probe, where it is served in other
    ways too. Use as a context manager."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self, chip: ProbedChip, port: int = 0, *, unique_id: str = "virtual", claim: Claim | None = None
    ) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.chip = chip
        self.claim = claim or Claim()
        self.port = int(self.server_address[1])
        self._unique_id = unique_id
        self._reset_asserted = False
        self._protocol: str | None = None
        debug_port = chip.debug_port
        self._requests: dict[str, Callable[..., Any]] = {
            "readprop": self._property,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "reset": chip.pin_reset,
            "assert_reset": self._assert_reset,
            "is_reset_asserted": lambda: self._reset_asserted,
            "swj_sequence": self._swj_sequence,
            "read_dp": debug_port.read_dp,
            "write_dp": debug_port.write_dp,
            "read_ap": debug_port.read_ap,
            "write_ap": debug_port.write_ap,
            "read_ap_multiple": debug_port.read_ap_repeatedly,
            "write_ap_multiple": debug_port.write_ap_repeatedly,
            "set_clock": chip.set_wire_clock,
            # No memory interface of its own: all traffic goes through the access ports, as over a wire.
            "get_memory_interface_for_ap": lambda _version, _address: None,
            **{name: lambda *_arguments: None for name in ("hello", "open", "close", "lock", "unlock", "flush")},
        }

    def __enter__(self) -> ProbeServer:
        threading.Thread(target=self.serve_forever, args=(_POLL_S,), name="probe server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, name: str, arguments: list[Any]) -> dict[str, Any]:
        """Status and result of one request."""
        request = self._requests.get(name)
        if request is None:
            return {"status": _UNKNOWN_REQUEST, "error": f"unknown request '{name}'"}
        if self.chip.debug_port.probe_gone and name not in _WITHOUT_PROBE:
            return {"status": _PROBE_GONE, "error": "the probe was unplugged"}
        try:
            return {"status": _OK, "result": request(*arguments)}
        except WireError as error:
            return {"status": _STATUS[error.acknowledge], "error": f"the wire answers {error.acknowledge.name}"}
        except DapFaultError:
            return {"status": _TRANSFER_FAULT, "error": "memory transfer fault"}
        except ProbeGoneError:
            return {"status": _PROBE_GONE, "error": "the probe was unplugged"}

    def _property(self, name: str) -> object:
        return {
            "vendor_name": "particle-dev",
            "product_name": f"virtual {self.chip.name}",
            "supported_wire_protocols": ["DEFAULT", "SWD"],
            "wire_protocol": self._protocol,
            "unique_id": self._unique_id,
            "capabilities": ["SWJ_SEQUENCE", "BANKED_DP_REGISTERS", "APv2_ADDRESSES"],
        }.get(name)

    def _connect(self, _protocol: str) -> None:
        self._protocol = "SWD"

    def _disconnect(self) -> None:
        self._protocol = None

    def _swj_sequence(self, length: int, bits: int) -> None:
        if length >= 50 and bits & ((1 << 50) - 1) == (1 << 50) - 1:
            self.chip.debug_port.line_reset()

    def _assert_reset(self, asserted: bool) -> None:
        if self._reset_asserted and not asserted:
            self.chip.pin_reset()
        self._reset_asserted = asserted
