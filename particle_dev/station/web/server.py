"""Serves the page from a thread of the station's process."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from particle_dev.errors import PageError
from particle_dev.station.web.live import LiveRun

MOST_CONNECTIONS = 200
_CLOSE_S = 1


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files for TLS (PEM)."""

    chain: Path
    key: Path


def is_loopback(host: str) -> bool:
    """Whether only programs of this computer reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class PageServer:
    """``make``: the application, by the port that was taken (of 0). PageError from the constructor: the address is
    taken or none of this computer, or the certificate cannot be used; then nothing runs.

    Use it as a context; leaving it closes streams and the thread.
    """

    def __init__(
        self,
        live: LiveRun,
        host: str,
        port: int,
        make: Callable[[int], ASGIApp],
        certificate: Certificate | None = None,
    ) -> None:
        self._live = live
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{'https' if certificate else 'http'}://{shown}:{self.port}/"
        try:
            if certificate is not None:
                _check(certificate)
            config = uvicorn.Config(
                make(self.port),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=_CLOSE_S,
                ssl_certfile=certificate.chain if certificate else None,
                ssl_keyfile=certificate.key if certificate else None,
            )
        except BaseException:
            self._socket.close()
            raise
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="page", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.close()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        # uvicorn leaves by SystemExit when it cannot start; whatever ends the page, the station goes on.
        with contextlib.suppress(SystemExit):
            self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise PageError(
            f"cannot serve the page on {host}:{port}: {error.strerror or error}",
            hint="no board was touched; give --page an address of this computer and a free port, or port 0",
        ) from error
    # Connections inherit it. asyncio sets it for sockets that name their protocol alone; without it the second part of
    # each answer waits 40 ms for an acknowledgement of the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _check(certificate: Certificate) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate.chain, certificate.key)
    except OSError as error:
        raise PageError(
            f"cannot use the certificate {certificate.chain} with the key {certificate.key}: {error.strerror or error}",
            hint="no board was touched; give --page-tls a certificate and its key, both PEM",
        ) from error
