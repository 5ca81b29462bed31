"""One source of events for a whole site, given out to all who asked for some of them.

The cloud sends every event once to each stream, and bans addresses that open many. So a site opens one stream for each
product, and stations subscribe here by device and by prefix of the name.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from particle_dev.cloud.events import CloudEvent, DeviceReread, StreamEnded, StreamGap, StreamItem
from particle_dev.cloud.records import DeviceRecord
from particle_dev.errors import EventSourceError, ParticleDevError

QUEUE_LENGTH = 100_000
"""Items that wait for one consumer; more are dropped, counted and told."""
CLOSE_TIMEOUT_S = 30.0
REMEMBERED = 20_000
"""Events that are told apart from their duplicates: those of minutes, on a busy product."""

Reread = Callable[[frozenset[str] | None], Iterable[DeviceRecord]]
"""Reads records again: of these Device IDs, or of all when None."""


class EventSink(Protocol):
    """Where a source puts what it gets. Used by one thread at a time."""

    def events(self, events: Sequence[CloudEvent]) -> None:
        """Events in the order in which they came; duplicates do no harm."""
        ...

    def gap(self, since: datetime, until: datetime | None, reason: str) -> None:
        """Events may be missing; once with ``until`` None when that begins, once with it when it is over."""
        ...


class EventSource(Protocol):
    """Something that events come from: a server-sent stream, a webhook, a queue."""

    name: str

    def run(self, sink: EventSink) -> None:
        """Give events to ``sink`` until :meth:`stop` is called. Raises ParticleDevError when there can be no more."""
        ...

    def stop(self) -> None:
        """Let :meth:`run` return soon; callable from any thread, any number of times."""
        ...


class Subscription:
    """The events of one consumer, in a queue of its own. Iterate, or ask with a time limit."""

    def __init__(self, hub: EventHub, devices: frozenset[str] | None, prefixes: tuple[str, ...], length: int) -> None:
        self.devices = devices
        self.prefixes = prefixes
        self._hub = hub
        self._length = length
        self._items: deque[StreamItem] = deque()
        self._ready = threading.Condition()
        self._lost: StreamGap | None = None
        self._ended = False

    def wants(self, event: CloudEvent) -> bool:
        """Whether this event is for the consumer."""
        return (self.devices is None or event.coreid in self.devices) and event.name.startswith(self.prefixes)

    def get(self, timeout_s: float | None = None) -> StreamItem | None:
        """The next item, None when none came in ``timeout_s`` seconds. After StreamEnded that is all there is."""
        with self._ready:
            if not self._items and self._lost is None and not self._ended:
                self._ready.wait(timeout_s)
            if self._items:
                return self._items.popleft()
            if self._lost is not None:
                # In front of it, the queue was full; from now on there is room again.
                lost, self._lost = self._lost, None
                return lost
        return None

    def get_all(self) -> list[StreamItem]:
        """Everything that waits now."""
        with self._ready:
            items = list(self._items)
            self._items.clear()
            if self._lost is not None:
                items.append(self._lost)
                self._lost = None
        return items

    def __iter__(self) -> Iterator[StreamItem]:
        while True:
            item = self.get()
            if item is None:
                if self._ended:
                    return
                continue
            yield item
            if isinstance(item, StreamEnded):
                return

    def close(self) -> None:
        """Take no more events."""
        self._hub.unsubscribe(self)

    def put(self, items: Sequence[StreamItem], now: datetime) -> None:
        """Add items; for the hub. What does not fit is counted and told, so that nothing is lost in silence."""
        with self._ready:
            free = self._length - len(self._items) if self._lost is None else 0
            self._items.extend(items[:free])
            for item in items[free:]:
                if isinstance(item, StreamEnded):
                    self._items.append(item)
                elif self._lost is None:
                    self._lost = StreamGap(now, now, "the consumer was too slow", 1)
                else:
                    self._lost = replace(self._lost, until=now, lost_here=self._lost.lost_here + 1)
            if items and isinstance(items[-1], StreamEnded):
                self._ended = True
            self._ready.notify_all()


class EventHub:
    """Runs a source in a thread of its own and gives its events out.

    ``reread`` reads device records again after a gap: only those that somebody subscribed to, and in another thread,
    for the stream must be read meanwhile or it breaks again. ``utc_now`` is the time of day. Use as a context manager,
    or call :meth:`start` and :meth:`close`.
    """

    def __init__(self, source: EventSource, utc_now: Callable[[], datetime], *, reread: Reread | None = None) -> None:
        self.source = source
        self.error: ParticleDevError | None = None
        self.duplicates = 0
        self._utc_now = utc_now
        self._reread = reread
        self._lock = threading.Lock()
        self._all: list[Subscription] = []
        self._by_device: dict[str, list[Subscription]] = {}
        self._seen: dict[int, None] = {}
        self._ended = False
        self._rereads_wanted = 0
        self._rereader: threading.Thread | None = None
        self._thread = threading.Thread(target=self._run, name=f"events of {source.name}", daemon=True)

    def start(self) -> None:
        """Begin. Subscribe before, so as to miss nothing."""
        self._thread.start()

    def close(self) -> None:
        """Stop the source and tell all subscribers; waits for the threads, for one request at most."""
        self.source.stop()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._end(None)
        rereader = self._rereader
        if rereader is not None:
            rereader.join(CLOSE_TIMEOUT_S)

    def __enter__(self) -> EventHub:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def subscribe(
        self, devices: Iterable[str] | None = None, prefix: str | Sequence[str] = "", *, length: int = QUEUE_LENGTH
    ) -> Subscription:
        """A queue of events of these Device IDs (None: of all) whose names begin with ``prefix`` (or with any of
        several). Raises EventSourceError when the stream has ended."""
        ids = None if devices is None else frozenset(d.lower() for d in devices)
        prefixes = (prefix,) if isinstance(prefix, str) else tuple(prefix)
        subscription = Subscription(self, ids, prefixes, length)
        with self._lock:
            if self._ended:
                raise EventSourceError(
                    f"The events of {self.source.name} have ended.", source=self.source.name, hint="open it again"
                )
            if ids is None:
                self._all.append(subscription)
            for device_id in ids or ():
                self._by_device.setdefault(device_id, []).append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Give nothing more to this one."""
        with self._lock:
            if subscription in self._all:
                self._all.remove(subscription)
            for device_id in subscription.devices or ():
                others = [s for s in self._by_device.get(device_id, []) if s is not subscription]
                if others:
                    self._by_device[device_id] = others
                else:
                    self._by_device.pop(device_id, None)

    # ---- EventSink --------------------------------------------------------------------------------------------------

    def events(self, events: Sequence[CloudEvent]) -> None:
        """Give events out, each once."""
        now = self._utc_now()
        parcels: dict[int, tuple[Subscription, list[StreamItem]]] = {}
        seen = self._seen
        with self._lock:
            for event in events:
                key = hash((event.coreid, event.name, event.published_at, event.data))
                if key in seen and event.published_at:
                    self.duplicates += 1
                    continue
                seen[key] = None
                if len(seen) > REMEMBERED:
                    del seen[next(iter(seen))]
                for subscription in self._all:
                    if event.name.startswith(subscription.prefixes):
                        parcels.setdefault(id(subscription), (subscription, []))[1].append(event)
                for subscription in self._by_device.get(event.coreid, ()):
                    if event.name.startswith(subscription.prefixes):
                        parcels.setdefault(id(subscription), (subscription, []))[1].append(event)
        for subscription, items in parcels.values():
            subscription.put(items, now)

    def gap(self, since: datetime, until: datetime | None, reason: str) -> None:
        """Tell everybody; when it is over, read the records again."""
        self._tell(StreamGap(since, until, reason))
        if until is None or self._reread is None:
            return
        with self._lock:
            self._rereads_wanted += 1
            if self._rereader is None:
                self._rereader = threading.Thread(
                    target=self._reread_until_done,
                    args=(self._reread,),
                    name=f"records of {self.source.name}",
                    daemon=True,
                )
                self._rereader.start()

    # ---- private ----------------------------------------------------------------------------------------------------

    def _reread_until_done(self, reread: Reread) -> None:
        """Read again, and once more when another gap ended meanwhile."""
        while True:
            with self._lock:
                wanted = self._rereads_wanted
            self._read_again(reread)
            with self._lock:
                if self._rereads_wanted == wanted or self._ended:
                    self._rereader = None
                    return

    def _read_again(self, reread: Reread) -> None:
        with self._lock:
            wanted = None if self._all else frozenset(self._by_device)
        if wanted is not None and not wanted:
            return
        try:
            for record in reread(wanted):
                with self._lock:
                    if self._ended:
                        return
                    to = [*self._all, *self._by_device.get(record.id, ())]
                for subscription in to:
                    subscription.put([DeviceReread(record)], self._utc_now())
        except ParticleDevError as error:
            # The gap stands: consumers must not believe that what they missed has been read.
            now = self._utc_now()
            self._tell(StreamGap(now, now, f"the device records could not be read again: {error.message}"))

    def _run(self) -> None:
        error: ParticleDevError | None = None
        try:
            self.source.run(self)
        except ParticleDevError as e:
            error = e
        except BaseException as e:
            error = EventSourceError(
                f"The events of {self.source.name} broke off: {type(e).__name__}",
                source=self.source.name,
                hint="report it",
            )
            raise
        finally:
            self._end(error)

    def _end(self, error: ParticleDevError | None) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self.error = error
        self._tell(StreamEnded(error))

    def _tell(self, item: StreamItem) -> None:
        with self._lock:
            everybody = {id(s): s for s in (*self._all, *(s for some in self._by_device.values() for s in some))}
        now = self._utc_now()
        for subscription in everybody.values():
            subscription.put([item], now)
