"""HTTP through httpx2, and the only module that imports it and its httpcore2.

httpx2's errors become TransportErrors that name the server, never a URL: URLs can hold tokens. Its own log lines are
switched off for the same reason; this module's logger tells method, path without secrets, status and time.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import httpcore2
import httpx2

from particle_dev import __version__
from particle_dev.errors import (
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    LinkUnreachableError,
    TransportError,
)
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import Clock, HttpReply, HttpRequest, HttpStream
from particle_dev.transport.clock import SystemClock

CONNECT_TIMEOUT_S = 15.0
"""As long as Particle's own clients wait. Source: particle-api-js 12.0.3 EventStream.timeout."""
MAX_REPLY_BYTES = 64 * 1024 * 1024
"""More than any firmware file or page of a list; what is larger is not what was asked for."""
USER_AGENT = f"particle-dev/{__version__}"

_log = logging.getLogger(__name__)


class _Silent(logging.Filter):
    """Drops everything: httpx2 tells whole URLs at level INFO, and httpcore2 heads at level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - logging's signature
        return False


for _name in ("httpx2", "httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy"):
    logging.getLogger(_name).addFilter(_Silent())


class HttpxLink:
    """An HttpLink to the server at ``base_url``, such as ``https://api.particle.io``.

    ``transport`` replaces the network in tests. A server of this machine is reached without the proxies that the
    environment names. Raises LinkAccessError for a URL that is none, or that would send tokens in the clear to another
    machine, unless ``allow_plain`` says that there are none; and for a proxy or certificates of the environment that
    cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx2.BaseTransport | None = None,
        clock: Clock | None = None,
        allow_plain: bool = False,
    ) -> None:
        parts = _split(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise LinkAccessError(
                "That is no URL of a cloud.", where=parts.hostname, hint="give one such as https://api.particle.io"
            )
        local = _is_this_machine(parts.hostname)
        if parts.scheme == "http" and not local and not allow_plain:
            raise LinkAccessError(
                f"http://{parts.hostname} would send the access token in the clear.",
                where=parts.hostname,
                hint="give an https URL; plain http is for a simulated cloud on this machine",
            )
        self.where = f"{parts.scheme}://{parts.netloc}"
        self._base = self.where + parts.path.rstrip("/")
        self._clock = clock or SystemClock()
        try:
            self._client = httpx2.Client(
                transport=transport,
                trust_env=not local,
                follow_redirects=False,
                headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=30),
            )
        except ImportError:
            raise LinkAccessError(
                "The environment names a SOCKS proxy, for which a package is missing.",
                where=parts.hostname,
                hint="install it with: pip install socksio; or take ALL_PROXY, HTTPS_PROXY and HTTP_PROXY away",
            ) from None
        except (OSError, ValueError, httpx2.InvalidURL) as e:
            # Its text can hold a proxy's password.
            raise LinkAccessError(
                f"The proxy or the certificates that the environment names cannot be used: {type(e).__name__}.",
                where=parts.hostname,
                hint="mend SSL_CERT_FILE, SSL_CERT_DIR, ALL_PROXY, HTTPS_PROXY and HTTP_PROXY, or take them away",
            ) from None

    def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        """As :class:`HttpLink` says. ``timeout_s`` is for the whole; an answer that trickles in may take twice that."""
        start_s = self._clock.monotonic_s()
        with _translated(self.where, request.shown(), timeout_s):
            response = self._open(request, timeout_s)
            try:
                body = b"".join(self._chunks(response, request, start_s + timeout_s))
            finally:
                response.close()
        took_ms = (self._clock.monotonic_s() - start_s) * 1000
        _log.debug("%s: %d, %d bytes, %.0f ms", request.shown(), response.status_code, len(body), took_ms)
        return HttpReply(response.status_code, _headers(response), body)

    def open_stream(self, request: HttpRequest, timeout_s: float, silence_s: float) -> HttpStream:
        """As :class:`HttpLink` says."""
        with _translated(self.where, request.shown(), timeout_s):
            response = self._open(request, timeout_s, {"Accept-Encoding": "identity"})
        # Read by httpcore2 when the body begins: its head may take longer than silence in it.
        response.request.extensions["timeout"]["read"] = silence_s
        _log.debug("%s: %d, stream open", request.shown(), response.status_code)
        return HttpxStream(response, self.where, request.shown(), silence_s)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _open(
        self, request: HttpRequest, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        url = self._base + "".join(f"/{quote(str(_revealed(s)), safe='')}" for s in request.path)
        content: dict[str, Any] = {}
        if request.json is not None:
            content["json"] = _revealed(request.json)
        if request.form is not None:
            content["data"] = _revealed(request.form)
        if request.files:
            content["files"] = [(f.field, (f.name, f.content, "application/octet-stream")) for f in request.files]
        all_headers = {**request.headers, **(headers or {})}
        if request.token is not None:
            all_headers["Authorization"] = f"Bearer {request.token.reveal()}"
        timeout = httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
        built = self._client.build_request(
            request.method,
            url,
            params={k: str(v) for k, v in request.query.items()} or None,
            headers=all_headers,
            timeout=timeout,
            **content,
        )
        return self._client.send(built, stream=True)

    def _chunks(self, response: httpx2.Response, request: HttpRequest, deadline_s: float) -> Iterator[bytes]:
        size_bytes = 0
        for chunk in response.iter_bytes():
            size_bytes += len(chunk)
            if size_bytes > MAX_REPLY_BYTES:
                raise TransportError(
                    f"{self.where} answered {request.shown()} with more than {MAX_REPLY_BYTES} bytes.",
                    where=self.where,
                    hint="check that the URL is that of the Particle cloud",
                )
            yield chunk
            if self._clock.monotonic_s() > deadline_s:
                raise httpx2.ReadTimeout("the answer came too slowly", request=response.request)


_SAID_AT_CLOSE = (
    TransportError,
    httpx2.HTTPError,
    httpx2.StreamError,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    OSError,
    RuntimeError,
    ValueError,
    AttributeError,
)
"""What reading and closing say when another thread has shut the socket down. ValueError and AttributeError: shutdown()
takes the encryption off a socket, and its read() finds none, before or after it looked. Source: CPython Lib/ssl.py."""


class HttpxStream:
    """An HttpStream. One thread reads; any thread may close."""

    def __init__(self, response: httpx2.Response, where: str, shown: str, silence_s: float) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = _headers(response)
        self._response = response
        self._where = where
        self._shown = shown
        self._silence_s = silence_s
        self._chunks = response.iter_raw()
        self._closed = False

    def read(self) -> bytes:
        """As :class:`HttpStream` says."""
        chunk = b""
        try:
            with _translated(self._where, self._shown, self._silence_s):
                chunk = next(self._chunks, b"")
        except _SAID_AT_CLOSE:
            # What a socket says that another thread shut down differs by moment and encryption.
            if not self._closed:
                raise
        if self._closed:
            raise LinkDisconnectedError(
                f"The stream from {self._where} was closed here.", where=self._where, hint="open it again"
            )
        if not chunk:
            self._response.close()
        return chunk

    def close(self) -> None:
        """End the answer. The reading thread sees it at once."""
        self._closed = True
        network = self._response.extensions.get("network_stream")
        link = network.get_extra_info("socket") if network is not None else None
        with suppress(OSError, ValueError):
            if isinstance(link, socket.socket):
                # Closing alone does not wake a thread that waits for bytes.
                link.shutdown(socket.SHUT_RDWR)
        with suppress(*_SAID_AT_CLOSE):
            self._response.close()


def _split(base_url: str) -> SplitResult:
    try:
        return urlsplit(base_url)
    except ValueError:
        return urlsplit("")


@contextmanager
def _translated(where: str, shown: str, timeout_s: float) -> Iterator[None]:
    """Turn what httpx2 raises into our errors, without any text of its that could hold a URL or a header."""
    again = "check the network of this computer, then run it again"
    try:
        yield
    except httpx2.ConnectTimeout as e:
        raise LinkUnreachableError(f"{where} took no connection in time.", where=where, hint=again) from e
    except httpx2.TimeoutException as e:
        raise LinkTimeoutError(
            f"{where} did not answer {shown} within {timeout_s:g} s.",
            where=where,
            hint="run it again; whether the request was carried out is not known",
        ) from e
    except httpx2.ConnectError as e:
        raise LinkUnreachableError(f"{where} cannot be reached: {_reason(e)}.", where=where, hint=again) from e
    except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError, httpx2.CloseError) as e:
        raise LinkDisconnectedError(
            f"The connection to {where} broke during {shown}.",
            where=where,
            hint="run it again; whether the request was carried out is not known",
        ) from e
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, UnicodeError, RuntimeError) as e:
        # These can quote what was to be sent. RuntimeError: another thread has closed the link.
        raise TransportError(
            f"{shown} could not be sent to {where}: {type(e).__name__}.",
            where=where,
            hint="check the URL and proxy settings of this computer",
        ) from None


def _reason(error: httpx2.ConnectError) -> str:
    """The system's words for it, such as "Connection refused"."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return "no connection"


def _headers(response: httpx2.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _revealed(value: Any) -> Any:
    """``value`` with Secrets at any depth replaced by what they hold."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {k: _revealed(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(v) for v in value]
    return value


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
