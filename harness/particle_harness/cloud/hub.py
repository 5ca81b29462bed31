"""Events: who may hear which, and queues of those who listen."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from particle_harness.cloud.clock import iso


@dataclass(frozen=True, slots=True)
class Event:
    """What was published. ``owner_id`` and ``product_id`` say whose streams have it, ``publisher_id`` is the account
    whose token published it."""

    name: str
    data: str | None
    coreid: str
    at_s: float
    ttl: int = 60
    owner_id: str = ""
    product_id: int = 0
    publisher_id: str = ""
    firmware_version: int | None = None
    public: bool = False

    def body(self) -> dict[str, Any]:
        """As it stands in the stream's ``data:`` line."""
        body: dict[str, Any] = {
            "data": self.data,
            "ttl": self.ttl,
            "published_at": iso(self.at_s),
            "coreid": self.coreid,
        }
        if self.owner_id or self.publisher_id:
            body["userid"] = self.owner_id or self.publisher_id
        if self.firmware_version is not None:
            body["version"] = self.firmware_version
        body["public"] = self.public
        if self.product_id:
            body["productID"] = self.product_id
        return body

    def wire(self) -> bytes:
        """Its lines in a stream of server-sent events."""
        return f"event: {self.name}\ndata: {json.dumps(self.body())}\n\n".encode()


class Subscription:
    """The queue of one listener."""

    def __init__(self, wants: Callable[[Event], bool]) -> None:
        self.wants = wants
        self._queue: deque[Event] = deque()
        self._changed = threading.Condition()
        self.closed = False

    def put(self, event: Event) -> None:
        """Add an event."""
        with self._changed:
            self._queue.append(event)
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[Event, ...]:
        """What has come; waits for the first, real seconds. Empty: nothing came, or the subscription is closed."""
        with self._changed:
            if not self._queue and not self.closed:
                self._changed.wait(timeout_s)
            events = tuple(self._queue)
            self._queue.clear()
            return events

    def close(self) -> None:
        """Wake up whoever waits; nothing comes any more."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class Hub:
    """All listeners, and the last events, which no real cloud keeps, for tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self.history: deque[Event] = deque(maxlen=10_000)
        self.tampering: Callable[[Event], Iterator[Event]] = lambda event: iter((event,))
        """What the way to listeners does to an event: nothing, unless a fault says so."""

    def subscribe(self, wants: Callable[[Event], bool]) -> Subscription:
        """Listen."""
        subscription = Subscription(wants)
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening."""
        subscription.close()
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def close_all(self) -> None:
        """End all streams, as a server that restarts does."""
        with self._lock:
            subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            subscription.close()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._subscriptions)

    def publish(self, event: Event) -> None:
        """Tell everybody who wants it."""
        self.history.append(event)
        with self._lock:
            subscriptions = tuple(self._subscriptions)
        for told in self.tampering(event):
            for subscription in subscriptions:
                # Filters look at what was published, not at what a fault made of it.
                if subscription.wants(replace(event, name=told.name)):
                    subscription.put(told)
