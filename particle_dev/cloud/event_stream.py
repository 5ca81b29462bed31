"""Server-sent events of the cloud: stays connected without ever opening too many streams, and proves that it listens.

Rules (each with its reason):

- A stream that is silent for :data:`SILENCE_S` is dead: the cloud writes something every 9 to 13 s.
- It is opened again after a delay that doubles while streams do not last; the delay starts anew only after one has
  lasted :data:`STEADY_S`. Particle's own client opens every 2 s for ever, and the cloud locks the address out.
- What the cloud says about waiting (429, 529, Retry-After) goes before, for all programs of the machine.
- A canary, an event of our own, must come back: bytes that arrive do not prove that events do.
- What was published between the last byte of one stream and the first of the next may be lost: that is a gap, told.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime

from particle_dev.cloud.api import BackOff, CloudApi
from particle_dev.cloud.event_canary import Canary, Proven
from particle_dev.cloud.event_hub import EventSink
from particle_dev.cloud.events import StreamScope, event_from_json
from particle_dev.errors import (
    CloudDeviceTimeoutError,
    CloudLimitError,
    CloudReplyError,
    CloudServerError,
    ProtocolError,
    TransportError,
)
from particle_dev.protocol.sse import SseParser
from particle_dev.transport.base import HttpStream

OPEN_TIMEOUT_S = 15.0
SILENCE_S = 20.0
STEADY_S = 60.0
TICK_S = 1.0
RECONNECT = BackOff(first_s=2.0, longest_s=60.0)
_PASSING = (TransportError, ProtocolError, CloudServerError, CloudLimitError, CloudReplyError, CloudDeviceTimeoutError)
"""What may be over when it is tried again; others (wrong token, no such product) end the stream."""
_log = logging.getLogger(__name__)

Pause = Callable[[float], bool]
"""Waits that many seconds, or until it is to stop, and says whether it is."""


class ReconnectDelay:
    """How long to wait before the next stream. Sans-I/O; fed with what became of each."""

    def __init__(self, rng: random.Random, back_off: BackOff = RECONNECT) -> None:
        self._rng = rng
        self._back_off = back_off
        self._failures = 0

    def after(self, lasted_s: float, told_wait_s: float | None = None) -> float:
        """Seconds to wait after a stream that lasted so long (0: it was not opened); at least what the cloud told."""
        if lasted_s >= STEADY_S:
            self._failures = 0
        self._failures += 1
        # Half of the delay at least: a random one near zero would make a storm of its own.
        full_s = self._back_off.full_s(self._failures)
        return max(self._rng.uniform(full_s / 2, full_s), told_wait_s or 0.0)


class SseSource:
    """An EventSource over server-sent events.

    With ``canary`` (scope ``events:send``), an event of our own goes out every 15 s and must come back within 10 s;
    :meth:`proven` tells for which stretches it did. ``pause`` and ``rng`` are replaced in tests.
    """

    def __init__(
        self,
        api: CloudApi,
        scope: StreamScope,
        *,
        canary: bool = False,
        silence_s: float = SILENCE_S,
        pause: Pause | None = None,
    ) -> None:
        self.name = str(scope)
        self.opens = 0
        self.malformed = 0
        self.on_open: Callable[[], None] = lambda: None
        """Called each time that a stream is open."""
        self.on_proven: Callable[[], None] = lambda: None
        """Called when a canary came back, the first one of each stream."""
        self._refusals = 0
        self._api = api
        self._scope = scope
        self._silence_s = silence_s
        self._stopping = threading.Event()
        self._pause = pause or self._stopping.wait
        self._lock = threading.Lock()
        self._stream: HttpStream | None = None
        self._canary = Canary(api, scope, on_proven=self._tell_proven) if canary else None

    def run(self, sink: EventSink) -> None:
        """As :class:`EventSource` says. Raises CloudAuthError, CloudDeniedError, CloudNotFoundError and such."""
        clock = self._api.clock
        delay = ReconnectDelay(self._api.rng)
        blind_since = clock.utc_now()
        in_gap = False
        with self._watched_canary():
            while not self._stopping.is_set():
                opened_s: float | None = None
                told_s: float | None = None
                try:
                    stream = self._open()
                    opened_s = clock.monotonic_s()
                    self.on_open()
                    if in_gap:
                        # The time of day may have been set back meanwhile.
                        sink.gap(blind_since, max(blind_since, clock.utc_now()), "the stream was interrupted")
                        in_gap = False
                    blind_since = self._pump(stream, sink)
                    reason = "the cloud closed the stream"
                except _Broken as e:
                    blind_since, reason = e.last_byte_at, e.reason
                except _PASSING as e:
                    reason = e.message
                    if isinstance(e, CloudLimitError):
                        told_s = e.wait_s
                        self._refusals += e.status is not None
                finally:
                    self._close()
                if self._stopping.is_set():
                    return
                if not in_gap:
                    sink.gap(blind_since, None, reason)
                    in_gap = True
                lasted_s = 0.0 if opened_s is None else clock.monotonic_s() - opened_s
                wait_s = delay.after(lasted_s, told_s)
                _log.info("events of %s: %s; again in %.1f s", self.name, reason, wait_s)
                if self._pause(wait_s):
                    return

    def _tell_proven(self) -> None:
        # Who listens says so after this was made.
        self.on_proven()

    def stop(self) -> None:
        """As :class:`EventSource` says."""
        self._stopping.set()
        self._close()

    def proven(self) -> tuple[Proven, ...]:
        """Stretches in which the stream is proven to have carried events, oldest first; none without a canary."""
        return self._canary.proven() if self._canary else ()

    def _open(self) -> HttpStream:
        self.opens += 1
        # Waiting for a limit is done by pausing, which stop() ends.
        stream = self._api.open_stream(
            self._scope.path(),
            timeout_s=OPEN_TIMEOUT_S,
            silence_s=self._silence_s,
            max_wait_s=0,
            refusals=self._refusals,
        )
        self._refusals = 0
        with self._lock:
            self._stream = stream
        if self._stopping.is_set():
            stream.close()
        if self._canary:
            self._canary.stream_opened()
        return stream

    def _pump(self, stream: HttpStream, sink: EventSink) -> datetime:
        """Events until the stream ends; when its last byte came. Raises _Broken."""
        clock = self._api.clock
        parser = SseParser()
        last_byte_at = clock.utc_now()
        while True:
            try:
                chunk = stream.read()
                if not chunk:
                    return last_byte_at
                last_byte_at = clock.utc_now()
                found = parser.feed(chunk)
            except (TransportError, ProtocolError) as e:
                if self._canary and self._canary.complaint:
                    raise _Broken(self._canary.blind_since(), self._canary.complaint) from e
                raise _Broken(last_byte_at, e.message) from e
            if found:
                events = []
                for name, data in found:
                    event = event_from_json(name, data)
                    if event is None:
                        self.malformed += 1
                    elif self._canary is None or not self._canary.takes(event):
                        events.append(event)
                if events:
                    sink.events(events)

    def _close(self) -> None:
        with self._lock:
            stream, self._stream = self._stream, None
        if self._canary:
            self._canary.stream_closed()
        if stream is not None:
            stream.close()

    @contextlib.contextmanager
    def _watched_canary(self) -> Iterator[None]:
        canary = self._canary
        if canary is None:
            yield
            return
        done = threading.Event()

        def watch() -> None:
            while not done.wait(TICK_S):
                if canary.tick():
                    with self._lock:
                        stream = self._stream
                    if stream is not None:
                        stream.close()

        thread = threading.Thread(target=watch, name=f"canary of {self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            # A canary that is being sent is not waited for.
            thread.join(TICK_S)


class _Broken(Exception):  # noqa: N818  never seen outside
    """A stream broke off; what was published after ``last_byte_at`` may be lost."""

    def __init__(self, last_byte_at: datetime, reason: str) -> None:
        super().__init__(reason)
        self.last_byte_at = last_byte_at
        self.reason = reason
