"""The API over HTTP on loopback: HTTP/1.1 with connections that stay, chunked bodies both ways, a thread a stream."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from cheroot.wsgi import Server

from particle_harness.cloud.limits import MOST_OPEN_STREAMS

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

_LOGGER = logging.getLogger(__name__)
_THREADS_FOR_REQUESTS = 32
_QUEUE = 128
"""Connections that wait to be taken; with more, a client tries again after a second."""
_STOP_TIMEOUT_S = 5


class _Server(Server):
    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """A client that went away is no error."""
        _LOGGER.log(min(level, logging.DEBUG), "%s", msg, exc_info=traceback)


class CloudServer:
    """Serves from the moment it is made. ``stop`` or leaving the context ends it. Raises OSError: no such address."""

    def __init__(self, cloud: SimCloud, host: str, port: int) -> None:
        self._cloud = cloud
        cloud.network.let_wait(True)
        threads = MOST_OPEN_STREAMS + _THREADS_FOR_REQUESTS
        self._server = _Server(
            (host, port), cloud.app, numthreads=threads, request_queue_size=_QUEUE, shutdown_timeout=_STOP_TIMEOUT_S
        )
        self._server.prepare()
        self.host, self.port = host, int(self._server.bind_addr[1])
        self._thread = threading.Thread(target=self._server.serve, name="simulated cloud", daemon=True)
        self._thread.start()
        self._is_stopped = False

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://{self.host}:{self.port}"

    def stop(self) -> None:
        """End all streams and connections."""
        if not self._is_stopped:
            self._is_stopped = True
            self._cloud.hub.close_all()
            self._cloud.network.let_wait(False)
            self._server.stop()
            self._thread.join()

    def __enter__(self) -> CloudServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
