"""Typed requests about log handlers."""

from __future__ import annotations

from particle_dev.catalog.requests import ControlRequest
from particle_dev.device.requester import Requester
from particle_dev.protocol import messages_logging as messages
from particle_dev.protocol.messages_logging import LogHandler


class LogRequests:
    """``session.logs``: log handlers by requests newer than Device OS 6.2.0. No device that answers them is known; up
    to 6.2.0 use ``session.add_log_handler`` and its neighbours. Handlers go with the next reset."""

    def __init__(self, session: Requester) -> None:
        self._session = session

    def add(self, handler: LogHandler) -> None:
        """Let the device log to a serial port. Raises ValueError for level ``panic``, which the request lacks."""
        self._session.request(ControlRequest.ADD_LOG_HANDLER, messages.encode_add_handler_message(handler))

    def remove(self, handler_id: str) -> None:
        """Remove a handler that was added."""
        self._session.request(ControlRequest.REMOVE_LOG_HANDLER, messages.encode_remove_handler_message(handler_id))

    def handlers(self) -> tuple[str, ...]:
        """Ids of the handlers that were added."""
        return messages.decode_handlers_message(self._session.request(ControlRequest.GET_LOG_HANDLERS))
