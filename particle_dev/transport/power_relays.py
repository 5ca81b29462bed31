"""Power switched by relays: on a serial line, or behind HTTP. The bench file describes them, since no two agree."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl, unquote, urlsplit

from particle_dev.errors import PowerSwitchError
from particle_dev.transport.base import HttpRequest, SerialHost

_ANSWER_TIMEOUT_S = 2.0
_LONGEST_ANSWER_BYTES = 4096
"""A relay that prints by itself, and not what it should, is not listened to for ever."""
_SHOWN_BYTES = 32
_HTTP_TIMEOUT_S = 10.0


class SerialRelayPower:
    """A relay on a serial port, which takes ``on`` and ``off`` and, where it has ``answer_on`` and ``answer_off``, must
    say so."""

    def __init__(
        self,
        host: SerialHost,
        url: str,
        baud: int,
        *,
        on: bytes,
        off: bytes,
        answer_on: bytes = b"",
        answer_off: bytes = b"",
    ) -> None:
        self.where = f"relay at {url}"
        self._host = host
        self._url = url
        self._baud = baud
        self._on = on, answer_on
        self._off = off, answer_off

    def on(self) -> None:
        """Raises TransportError."""
        self._send(*self._on)

    def off(self) -> None:
        """Raises TransportError."""
        self._send(*self._off)

    def _send(self, command: bytes, answer: bytes) -> None:
        link = self._host.open(self._url, self._baud)
        try:
            link.write(command)
            heard = b""
            while answer not in heard and len(heard) < _LONGEST_ANSWER_BYTES:
                more = link.read(_ANSWER_TIMEOUT_S)
                if not more:
                    break
                heard += more
        finally:
            link.close()
        if answer not in heard:
            said = heard[:_SHOWN_BYTES].hex(" ") or "nothing"
            raise PowerSwitchError(
                f"{self.where} answered {said} to {command.hex(' ')}, not {answer.hex(' ')}",
                where=self.where,
                hint="check its port, baud rate and commands in the bench file",
            )


class HttpRelayPower:
    """A relay that is switched by getting a URL, as Tasmota's and Shelly's are. Its answer must have status 2xx and,
    where it is given, the text ``answer_on`` or ``answer_off``. URLs may hold a password and are not shown."""

    def __init__(self, on: str, off: str, *, answer_on: str = "", answer_off: str = "") -> None:
        self.where = f"relay at {urlsplit(on).hostname}"
        self._on = on, answer_on
        self._off = off, answer_off

    def on(self) -> None:
        """Raises TransportError."""
        self._get(*self._on)

    def off(self) -> None:
        """Raises TransportError."""
        self._get(*self._off)

    def _get(self, url: str, answer: str) -> None:
        # A bench without such a relay does not pay for HTTP.
        from particle_dev.transport.http import HttpxLink  # noqa: PLC0415

        parts = urlsplit(url)
        user, _, place = parts.netloc.rpartition("@")
        link = HttpxLink(f"{parts.scheme}://{place}", allow_plain=True)
        # RFC 7617; Shelly's relays ask for it.
        headers = {"Authorization": f"Basic {base64.b64encode(unquote(user).encode()).decode()}"} if user else {}
        try:
            path = tuple(unquote(p) for p in parts.path.split("/") if p)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            reply = link.send(HttpRequest("GET", path, query, headers=headers), _HTTP_TIMEOUT_S)
        finally:
            link.close()
        said = reply.body.decode("utf-8", "replace")
        if not 200 <= reply.status < 300 or answer not in said:
            raise PowerSwitchError(
                f"{self.where} answered {reply.status}: {said[:80]!r}" + (f", without {answer!r}" if answer else ""),
                where=self.where,
                hint="get the URL of the bench file by hand and look at the answer",
            )
