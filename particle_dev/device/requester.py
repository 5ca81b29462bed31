"""What the groups of typed requests need from a session."""

from __future__ import annotations

from typing import Protocol

from particle_dev.catalog.requests import ControlRequest


class Requester(Protocol):
    """Sends control requests; the session checks permissions and what the device knows."""

    def request(self, request: ControlRequest, payload: bytes = b"", timeout_s: float = 10.0) -> bytes:
        """Reply data. Raises RequestRefusedError, RequestUnsupportedError, PermissionMissingError, TransportError."""
        ...
