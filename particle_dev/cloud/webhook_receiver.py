"""Events by webhook: the cloud posts each to an HTTPS server, which hands them on to this receiver.

The receiver listens on this machine only, speaks plain HTTP and belongs behind a reverse proxy that holds the
certificate. The cloud tries a post again after 30 s and 60 s, so a short restart loses nothing; it slows down for a
host that answers with errors. Who posts must know the key.

Source: particle-iot/docs src/content/reference/cloud-apis/webhooks.md, "Limits", "Errors".
"""

from __future__ import annotations

import hmac
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from particle_dev.cloud.event_hub import EventSink
from particle_dev.cloud.events import CloudEvent
from particle_dev.errors import EventSourceError
from particle_dev.protocol.secret import Secret

KEY_HEADER = "X-Particle-Dev-Key"
MAX_BODY_BYTES = 64 * 1024
READ_TIMEOUT_S = 10.0


class _Body(msgspec.Struct):
    """What ``integrations.WEBHOOK_BODY`` makes the cloud send; numbers come as texts."""

    name: str
    coreid: str
    data: str | None = None
    published_at: str = ""
    version: str | int | None = None


_decode = msgspec.json.Decoder(_Body).decode


class WebhookSource:
    """An EventSource: a small HTTP server at ``127.0.0.1:port`` (0: any, see :attr:`port`).

    The webhook must send ``key`` in the header ``X-Particle-Dev-Key`` and the body that
    ``Integrations.create_webhook`` asks for. It answers 200 when the event has been given out, 403 for a wrong key,
    400 for a body that is none. Raises EventSourceError when the port is taken.
    """

    name = "webhook"

    def __init__(self, key: Secret[str], port: int = 0) -> None:
        self.refused = 0
        self._key = key
        self._sink: EventSink | None = None
        self._one_at_a_time = threading.Lock()
        self._running = threading.Event()
        source = self

        class Handler(BaseHTTPRequestHandler):
            timeout = READ_TIMEOUT_S

            def do_POST(self) -> None:
                status = source._receive(self)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Paths can hold keys."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as e:
            raise EventSourceError(
                f"Port {port} cannot be listened on: {e.strerror}", source=self.name, hint="give another port"
            ) from e
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def run(self, sink: EventSink) -> None:
        """As :class:`EventSource` says."""
        self._sink = sink
        self._running.set()
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._server.server_close()

    def stop(self) -> None:
        """As :class:`EventSource` says."""
        if self._running.is_set():
            self._server.shutdown()
        else:
            self._server.server_close()

    def _receive(self, request: BaseHTTPRequestHandler) -> int:
        """The status of an answer to a post."""
        given = request.headers.get(KEY_HEADER, "")
        length = request.headers.get("Content-Length", "")
        if not hmac.compare_digest(given.encode(), self._key.reveal().encode()):
            self.refused += 1
            request.close_connection = True
            return 403
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.refused += 1
            request.close_connection = True
            return 413 if length.isdecimal() else 411
        try:
            body = _decode(request.rfile.read(int(length)))
        except msgspec.MsgspecError:
            self.refused += 1
            return 400
        version = int(str(body.version)) if str(body.version).isdecimal() else None
        event = CloudEvent(body.name, body.data, body.coreid, body.published_at, version=version)
        assert self._sink is not None
        with self._one_at_a_time:
            self._sink.events([event])
        return 200
