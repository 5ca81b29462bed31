"""The API over HTTP on loopback, a thread a connection: HTTP/1.1 with keep-alive and chunked bodies."""

from __future__ import annotations

import logging
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

_LOGGER = logging.getLogger(__name__)


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    # Answers are small and come in two writes; waiting for more costs 40 ms each.
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Requests to this module's log, without headers or bodies."""
        _LOGGER.debug("%s: %s", type, message % args if args else message)

    def handle_error(self) -> None:
        """Nobody reads a traceback here."""


class _Server(ThreadedWSGIServer):
    daemon_threads = True
    # Streams end when the hub closes them; nobody waits for a client that stays.
    block_on_close = False
    request_queue_size = 256

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """As above."""
        _LOGGER.debug("%s: %s", type, message % args if args else message)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # the base class has both
        """A client that went away is no error."""
        _LOGGER.debug("connection of %s ended", client_address, exc_info=True)


class CloudServer:
    """Serves from the moment it is made. ``stop`` or leaving the context ends it. Raises OSError: no such address."""

    def __init__(self, cloud: SimCloud, host: str, port: int) -> None:
        self._cloud = cloud
        # Bound here: werkzeug would print and exit where the port is taken.
        with socket.create_server((host, port), backlog=256) as bound:
            self._server = _Server(host, port, cloud.app, _Handler, fd=bound.fileno())
        self.host, self.port = host, int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://{self.host}:{self.port}"

    def stop(self) -> None:
        """End all streams and connections."""
        self._cloud.hub.close_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> CloudServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
