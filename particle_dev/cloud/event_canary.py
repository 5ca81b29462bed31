"""A canary on an event stream: an event of our own that has to come back, or the stream is no witness.

Bytes that arrive prove a connection; keep-alives come even when the cloud has forgotten to send events.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from particle_dev.cloud.api import BackOff, CloudApi
from particle_dev.cloud.devices import publish
from particle_dev.cloud.events import CloudEvent, StreamScope
from particle_dev.errors import ParticleDevError

EVERY_S = 15.0
WITHIN_S = 10.0
"""Particle's own test runner has the same numbers. Source: particle-iot/device-os-test-runner lib/api.js."""
PREFIX = "particle-dev/canary/"
MAX_PROVEN = 1000


@dataclass(frozen=True, slots=True)
class Proven:
    """A stretch in which events came through: canaries went out and came back, on one stream, none missing."""

    since: datetime
    until: datetime


class Canary:
    """Sends canaries while a stream is open and judges by their return. One thread ticks, another reports events.

    ``on_proven`` is called, by the thread that reports events, when the first canary of a stretch came back.
    """

    def __init__(self, api: CloudApi, scope: StreamScope, *, on_proven: Callable[[], None] = lambda: None) -> None:
        self._on_proven = on_proven
        # One try, without waiting: a canary that is late is worth nothing.
        self._api = CloudApi(
            api.link, api.limiter, token=api.token, clock=api.clock, rng=api.rng,
            back_off=BackOff(attempts=1), max_wait_s=0,
        )  # fmt: skip
        self._name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
        product = scope.product_ref
        self._path = ("v1", "devices", "events") if product is None else ("v1", "products", product, "events")
        self._lock = threading.Lock()
        self._open = False
        self._number = 0
        self._out: tuple[str, datetime, float] | None = None
        self._next_s = 0.0
        self._opened_at = api.clock.utc_now()
        self._current: Proven | None = None
        self._proven: deque[Proven] = deque(maxlen=MAX_PROVEN)
        self.complaint = ""
        self.unsent = 0

    def stream_opened(self) -> None:
        """A stream begins: the first canary goes out at once."""
        with self._lock:
            self._open = True
            self._out = None
            self.complaint = ""
            self._next_s = self._api.clock.monotonic_s()
            self._opened_at = self._api.clock.utc_now()
            self._end_stretch()

    def stream_closed(self) -> None:
        """A stream has ended, and with it what is proven."""
        with self._lock:
            self._open = False
            self._out = None
            self._end_stretch()

    def tick(self) -> bool:
        """To be called about every second. True when the stream has to be closed: a canary did not come back."""
        now_s = self._api.clock.monotonic_s()
        with self._lock:
            if not self._open or self.complaint:
                return False
            if self._out is not None:
                if now_s - self._out[2] <= WITHIN_S:
                    return False
                self.complaint = f"an event of our own did not come back within {WITHIN_S:g} s"
                return True
            if now_s < self._next_s:
                return False
            self._number += 1
            number = str(self._number)
            self._next_s = now_s + EVERY_S
            self._out = (number, self._api.clock.utc_now(), now_s)
        try:
            publish(self._api, self._path, self._name, number, ttl_s=60)
        except ParticleDevError:
            # Refused, or the counts of requests cannot be written now. The stream may be well, but nothing proves it.
            with self._lock:
                self.unsent += 1
                self._out = None
                self._end_stretch()
        return False

    def takes(self, event: CloudEvent) -> bool:
        """Whether this is a canary, of ours or of another program: nothing for consumers."""
        if not event.name.startswith(PREFIX):
            return False
        is_first = False
        with self._lock:
            if event.name == self._name and self._out is not None and event.data == self._out[0]:
                sent_at = self._out[1]
                is_first = self._current is None
                self._current = Proven(self._current.since if self._current else sent_at, sent_at)
                self._out = None
        if is_first:
            self._on_proven()
        return True

    def blind_since(self) -> datetime:
        """From when on events of this stream may be missing after a complaint."""
        with self._lock:
            return self._current.until if self._current else self._opened_at

    def proven(self) -> tuple[Proven, ...]:
        """All that is proven, oldest first."""
        with self._lock:
            return (*self._proven, *((self._current,) if self._current else ()))

    def _end_stretch(self) -> None:
        if self._current is not None and self._current.until > self._current.since:
            self._proven.append(self._current)
        self._current = None
