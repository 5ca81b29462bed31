"""Events by Google Pub/Sub: the integration puts them into a topic, which keeps them while nobody is there.

The only source that loses nothing over a restart: a message is acknowledged once it has been given out.

Source: particle-iot/docs google-cloud-platform.md (``device_id``, ``event``, ``published_at`` as attributes).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from datetime import datetime

from particle_dev.cloud.event_hub import EventSink
from particle_dev.cloud.event_stream import ReconnectDelay
from particle_dev.cloud.events import CloudEvent
from particle_dev.errors import LinkAccessError, TransportError
from particle_dev.transport.pubsub import MessageQueue, PulledMessage

PULL_TIMEOUT_S = 5.0
MAX_MESSAGES = 500
_log = logging.getLogger(__name__)


class PubSubSource:
    """An EventSource that pulls from ``queue``, which it closes at its end. ``pause`` is replaced in tests.

    A break is told as a gap, since events are late, though none is lost. Raises LinkAccessError when the subscription
    is none or may not be read.
    """

    def __init__(
        self,
        queue: MessageQueue,
        utc_now: Callable[[], datetime],
        rng: random.Random,
        *,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        self.name = queue.where
        self.malformed = 0
        self._queue = queue
        self._utc_now = utc_now
        self._delay = ReconnectDelay(rng)
        self._stopping = threading.Event()
        self._pause = pause or self._stopping.wait

    def run(self, sink: EventSink) -> None:
        """As :class:`EventSource` says."""
        broken_since: datetime | None = None
        try:
            while not self._stopping.is_set():
                try:
                    self._take(sink)
                except LinkAccessError:
                    raise
                except TransportError as e:
                    if broken_since is None:
                        broken_since = self._utc_now()
                        sink.gap(broken_since, None, e.message)
                    if self._pause(self._delay.after(0)):
                        return
                    continue
                if broken_since is not None:
                    sink.gap(broken_since, self._utc_now(), "the queue was not reached")
                    broken_since = None
                    self._delay.after(float("inf"))
        finally:
            self._queue.close()

    def stop(self) -> None:
        """As :class:`EventSource` says; takes up to one pull."""
        self._stopping.set()

    def _take(self, sink: EventSink) -> None:
        messages = self._queue.pull(MAX_MESSAGES, PULL_TIMEOUT_S)
        if not messages:
            return
        events = [event for event in map(self._event, messages) if event is not None]
        if events:
            sink.events(events)
        # After they were given out: what is lost here comes again, and duplicates are dropped.
        self._queue.acknowledge([m.ack_id for m in messages])

    def _event(self, message: PulledMessage) -> CloudEvent | None:
        name, device_id = message.attributes.get("event"), message.attributes.get("device_id")
        if not name or not device_id:
            # Acknowledged all the same, or it would come for ever.
            self.malformed += 1
            _log.warning("a message of %s names no event or device", self.name)
            return None
        data = message.data.decode("utf-8", "replace") if message.data else None
        return CloudEvent(name, data, device_id, message.attributes.get("published_at", ""))
