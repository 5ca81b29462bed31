"""What a station sees the world through, and where it may be deceived: its clock, and the product's event stream."""

from datetime import timedelta

from particle_dev.cloud.event_canary import Canary
from particle_dev.cloud.events import CloudEvent, StreamGap, StreamScope


class StationClock:
    """The clock of the station's computer: it runs with the boards' time, and somebody may set it."""

    def __init__(self, true):
        self.true = true
        self._set = [(true.monotonic_s(), timedelta())]

    def monotonic_s(self):
        return self.true.monotonic_s()

    def sleep(self, duration_s):
        self.true.sleep(duration_s)

    def utc_now(self):
        return self.true.utc_now() + self._set[-1][1]

    def jump(self, seconds):
        """What the time service does, or summer time."""
        self._set.append((self.true.monotonic_s(), self._set[-1][1] + timedelta(seconds=seconds)))

    def shows(self, at_s):
        """What it showed at a moment of ``monotonic_s``."""
        offset = [o for since_s, o in self._set if since_s <= at_s]
        return self.true.utc_now() + timedelta(seconds=at_s - self.true.monotonic_s()) + (offset or [timedelta()])[-1]


class ProductStream:
    """The stream of a product as the station's reader has it: source and subscription of a ``ProductWatch`` in one.

    The canary is the real one and goes through the simulated cloud; events come as the cloud lets them through. What
    is left out are threads and sockets: time passes only when somebody asks.
    """

    def __init__(self, cloud, api, product, clock):
        self._cloud, self._clock = cloud, clock
        self._product_id = product.id
        self._canary = Canary(api, StreamScope(product_ref=product.id))
        self._items = []
        self._hears = None
        self._cut_at = None
        self.is_deaf = False
        """It loses what devices say, and nothing else."""
        self.open()

    def open(self):
        """(Again) connected; a gap is over."""
        if self._hears is None:
            self._hears = self._cloud.hub.subscribe(lambda event: event.product_id == self._product_id)
            self._canary.stream_opened()
            self._beat()
        if self._cut_at is not None:
            self._items.append(StreamGap(self._cut_at, self._clock.utc_now(), "connection lost"))
            self._cut_at = None

    def cut(self):
        """The connection is lost, which the reader notices."""
        if self._hears is not None:
            self._pull()
            self._cloud.hub.unsubscribe(self._hears)
            self._hears = None
            self._canary.stream_closed()
            self._cut_at = self._clock.utc_now()
            self._items.append(StreamGap(self._cut_at, None, "connection lost"))

    def finds_it_was_blind(self, since):
        """Only now it is noticed that events are missing from then on: a canary did not come back."""
        self._items.append(StreamGap(since, self._clock.utc_now(), "an event of our own did not come back"))

    def proven(self):
        """As ``SseSource``."""
        self._beat()
        return self._canary.proven()

    def get_all(self):
        """As ``Subscription``."""
        self._beat()
        self._pull()
        items, self._items = self._items, []
        return items

    def _beat(self):
        """One canary out, and in again if the cloud lets it through."""
        if self._hears is None:
            return
        if self._canary.tick():
            # It did not come back: the reader closes the stream and opens it again.
            since = self._canary.blind_since()
            self.cut()
            self._cut_at = since
            self.open()
            return
        self._pull()

    def _pull(self):
        for event in self._hears.take(0) if self._hears is not None else ():
            told = CloudEvent(event.name, event.data, event.coreid)
            if not self._canary.takes(told) and not self.is_deaf:
                self._items.append(told)
