"""Server-sent events: bytes in, events out.

Lines end with CR, LF or CR LF; a line that begins with a colon is a comment; an empty line ends an event. Particle's
cloud sends each event as one ``event`` and one ``data`` line, and an empty line every 9 to 13 seconds.

Source: WHATWG HTML, section "Server-sent events", "Interpreting an event stream".
"""

from __future__ import annotations

from typing import NamedTuple

from particle_dev.errors import ProtocolError

MAX_EVENT_BYTES = 256 * 1024
"""Longest event that is kept; an event of the Particle cloud has a few kilobytes at most."""
_BOM = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    """One event: its type, ``message`` where the stream names none, and its data with lines joined by LF."""

    name: str
    data: bytes


class SseParser:
    """Parses one stream from its beginning. Feeding byte by byte gives the same as feeding at once."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self._at_start = True
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Events that ``chunk`` completes. Raises ProtocolError for one that is too long; the parser is dead then."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        data = self._rest + chunk
        if self._at_start:
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._rest = data
                return []
            data = data.removeprefix(_BOM)
            self._at_start = False
        # An event ends where a line feed ends a line and another follows; between events one alone is an empty line.
        end = data.rfind(b"\n\n", max(0, len(data) - len(chunk) - 1))
        if end < 0:
            self._rest = data.lstrip(b"\n")
            if len(self._rest) > self._max_event_bytes:
                raise ProtocolError(
                    f"An event of the stream is longer than {self._max_event_bytes} bytes.", hint="open it again"
                )
            return []
        self._rest = data[end + 2 :].lstrip(b"\n")
        events = []
        for block in data[:end].split(b"\n\n"):
            event = _event(block)
            if event is not None:
                events.append(event)
        return events

    def _with_lf(self, chunk: bytes) -> bytes:
        """``chunk`` with LF for every end of line. A CR LF may be cut in two."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if chunk.endswith(b"\r"):
            self._after_cr = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _event(block: bytes) -> SseEvent | None:
    """The event of the lines of a block, None without data: comments, keep-alives, events of no use."""
    # The one form that the Particle cloud sends, at a fraction of the time.
    first_end = block.find(b"\n")
    if (
        first_end > 7
        and block.startswith(b"event: ")
        and block.startswith(b"data: ", first_end + 1)
        and block.find(b"\n", first_end + 7) < 0
    ):
        data = block[first_end + 7 :]
        return SseEvent(block[7:first_end].decode("utf-8", "replace"), data) if data else None
    name = b""
    lines = []
    for line in block.split(b"\n"):
        field, colon, value = line.partition(b":")
        if not field:
            continue
        if colon and value.startswith(b" "):
            value = value[1:]
        if field == b"event":
            name = value
        elif field == b"data":
            lines.append(value)
    data = b"\n".join(lines)
    if not data:
        return None
    return SseEvent(name.decode("utf-8", "replace") or "message", data)
