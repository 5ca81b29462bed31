"""One stream for many consumers: who gets what, once, in order, and is told what was lost."""

import threading
from datetime import UTC, datetime

import pytest

from particle_dev.cloud import event_hub
from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.events import CloudEvent, DeviceReread, StreamEnded, StreamGap
from particle_dev.cloud.records import DeviceRecord
from particle_dev.errors import CloudAuthError, CloudServerError, EventSourceError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def utc_now():
    return NOW


class Source:
    """Runs what a test gives it."""

    name = "a test"

    def __init__(self, act=lambda sink: None):
        self.act = act
        self.stopped = threading.Event()

    def run(self, sink):
        self.act(sink)

    def stop(self):
        self.stopped.set()


def event(n=0, name="temp", coreid="d1"):
    return CloudEvent(name=name, data=str(n), coreid=coreid, published_at=f"2026-01-01T00:00:{n:06}Z")


def hub(act=lambda sink: None, **options):
    return EventHub(Source(act), utc_now, **options)


def test_by_device_and_by_prefix():
    subject = hub()
    everything = subject.subscribe()
    one = subject.subscribe(["D1"])
    status = subject.subscribe(prefix=("spark/", "particle/"))
    both = subject.subscribe(["d2", "d3"], "spark/")
    events = [
        event(1),
        event(2, "spark/status", "d1"),
        event(3, "spark/status", "d2"),
        event(4, "temp", "d2"),
        event(5, "particle/x", "api"),
    ]
    subject.events(events)
    assert everything.get_all() == events
    assert one.get_all() == [events[0], events[1]]
    assert status.get_all() == [events[1], events[2], events[4]]
    assert both.get_all() == [events[2]]
    assert one.wants(events[0])
    assert not one.wants(events[2])


def test_each_event_once():
    subject = hub()
    queue = subject.subscribe()
    subject.events([event(1), event(2), event(1)])
    subject.events([event(2), event(3)])
    assert [e.data for e in queue.get_all()] == ["1", "2", "3"]
    assert subject.duplicates == 2


def test_events_without_a_time_cannot_be_told_apart_and_are_all_given():
    subject = hub()
    queue = subject.subscribe()
    subject.events([CloudEvent(name="x", data="1", coreid="d")] * 2)
    assert len(queue.get_all()) == 2


def test_memory_of_events_is_bounded(monkeypatch):
    monkeypatch.setattr(event_hub, "REMEMBERED", 10)
    subject = hub()
    subject.subscribe()
    subject.events([event(n) for n in range(1000)])
    assert len(subject._seen) <= 10


def test_200_queues_lose_nothing():
    """A station in every slot of a big line, and a few that listen to all."""
    subject = hub()
    stations = [subject.subscribe([f"d{n}"]) for n in range(200)]
    watcher = subject.subscribe()
    count = 20_000
    got = [[] for _ in stations]

    def consume(n):
        for item in stations[n]:
            got[n].append(item)

    threads = [threading.Thread(target=consume, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    for start in range(0, count, 50):
        subject.events([event(n, coreid=f"d{n % 200}") for n in range(start, start + 50)])
    subject.close()
    for thread in threads:
        thread.join(10)
    for n, items in enumerate(got):
        assert [int(i.data) for i in items[:-1]] == list(range(n, count, 200))
        assert isinstance(items[-1], StreamEnded)
    assert len(watcher.get_all()) == count + 1


def test_a_slow_consumer_is_told_what_it_lost():
    subject = hub()
    slow, quick = subject.subscribe(length=3), subject.subscribe()
    subject.events([event(n) for n in range(5)])
    subject.events([event(5)])
    assert [slow.get().data for _ in range(3)] == ["0", "1", "2"]
    assert slow.get() == StreamGap(NOW, NOW, "the consumer was too slow", 3)
    subject.events([event(6)])
    assert slow.get().data == "6"
    assert len(quick.get_all()) == 7
    subject.events([event(n) for n in range(10, 20)])
    assert slow.get_all()[-1].lost_here == 7


def test_waiting_with_a_limit():
    queue = hub().subscribe()
    assert queue.get(0.001) is None


def test_a_gap_is_told_and_the_records_are_read_again():
    asked = []

    def reread(devices):
        asked.append(devices)
        return [DeviceRecord(id="d1"), DeviceRecord(id="d2")]

    subject = hub(reread=reread)
    one = subject.subscribe(["d1"])
    subject.gap(NOW, None, "why")
    assert one.get_all() == [StreamGap(NOW, None, "why")]
    assert asked == []
    subject.gap(NOW, NOW, "why")
    assert [one.get(5), one.get(5)] == [StreamGap(NOW, NOW, "why"), DeviceReread(DeviceRecord(id="d1"))]
    reread_is_done(subject)
    everything = subject.subscribe()
    subject.gap(NOW, NOW, "why")
    assert [type(everything.get(5)) for _ in range(3)] == [StreamGap, DeviceReread, DeviceReread]
    assert asked == [frozenset({"d1"}), None]


def reread_is_done(subject):
    rereader = subject._rereader
    if rereader is not None:
        rereader.join(5)


def test_reading_again_does_not_stop_the_stream():
    """Or a product of ten thousand devices would take so long that the stream breaks, and so on for ever."""
    may_go_on, started, calls = threading.Event(), threading.Event(), []

    def reread(devices):
        calls.append(1)
        started.set()
        assert may_go_on.wait(5)
        yield DeviceRecord(id="d1")

    subject = hub(reread=reread)
    queue = subject.subscribe()
    subject.gap(NOW, NOW, "first")
    assert started.wait(5)
    subject.events([event(1)])
    subject.gap(NOW, NOW, "second")
    assert [type(queue.get(5)) for _ in range(3)] == [StreamGap, CloudEvent, StreamGap]
    may_go_on.set()
    assert [type(queue.get(5)) for _ in range(2)] == [DeviceReread, DeviceReread]
    reread_is_done(subject)
    assert len(calls) == 2


def test_records_that_cannot_be_read_again_leave_the_gap():
    def reread(devices):
        raise CloudServerError("down", hint="x")

    subject = hub(reread=reread)
    queue = subject.subscribe()
    subject.gap(NOW, NOW, "why")
    told = [queue.get(5), queue.get(5)]
    assert [type(i) for i in told] == [StreamGap, StreamGap]
    assert "down" in told[1].reason


def test_nobody_listens_nothing_is_read_again():
    subject = hub(reread=lambda devices: pytest.fail("asked"))
    subject.subscribe().close()
    subject.subscribe(["d1"]).close()
    subject.gap(NOW, NOW, "why")
    reread_is_done(subject)
    assert subject._by_device == {}


def test_the_end_is_told_with_its_reason():
    def act(sink):
        sink.events([event(1)])
        raise CloudAuthError("expired", hint="x")

    subject = hub(act)
    queue = subject.subscribe()
    with subject:
        items = list(queue)
    assert items[0].data == "1"
    assert isinstance(items[1].error, CloudAuthError)
    assert subject.error is items[1].error
    with pytest.raises(EventSourceError, match="have ended"):
        subject.subscribe()
    assert queue.get() is None


def test_closing_stops_the_source_and_ends_all_queues():
    subject = hub(lambda sink: subject.source.stopped.wait(10))
    queue, full = subject.subscribe(), subject.subscribe(length=0)
    with subject:
        pass
    assert list(queue) == [StreamEnded(None)]
    assert list(full) == [StreamEnded(None)]
    subject.close()


def test_a_source_with_a_mistake_ends_the_queues_too(monkeypatch):
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_type))

    def act(sink):
        raise ZeroDivisionError

    subject = hub(act)
    queue = subject.subscribe()
    with subject:
        (end,) = list(queue)
    assert isinstance(end.error, EventSourceError)
    assert raised == [ZeroDivisionError]
