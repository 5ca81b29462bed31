"""The event stream: reconnecting, limits, canaries, gaps. Streams are scripts here, so that time is virtual; that a
real connection dies, stalls and is closed as they say is in tests/transport/test_http.py."""

import json
import random
from datetime import timedelta

import pytest
from particle_harness.clock import VirtualClock

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.event_access import check_scope
from particle_dev.cloud.event_canary import EVERY_S, PREFIX, WITHIN_S, Canary
from particle_dev.cloud.event_stream import ReconnectDelay, SseSource
from particle_dev.cloud.events import CloudEvent, StreamScope, event_from_json
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.records import DeviceRecord
from particle_dev.errors import (
    CloudAuthError,
    CloudDeniedError,
    ConfigError,
    EventSourceError,
    LinkDisconnectedError,
    LinkTimeoutError,
    LinkUnreachableError,
)
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import HttpReply


def event(name="temp", data="1", coreid="d1", at="2026-01-01T00:00:00.000Z"):
    body = {"data": data, "ttl": 60, "published_at": at, "coreid": coreid}
    return f"event: {name}\ndata: {json.dumps(body)}\n\n".encode()


class Script:
    """A link whose streams are lists: bytes are read, numbers are seconds that pass, errors are raised."""

    where = "https://cloud"

    def __init__(self, clock, streams):
        self.clock = clock
        self.streams = list(streams)
        self.opened_at = []
        self.published = []
        self.answer = HttpReply(200, {}, b'{"ok": true}')

    def open_stream(self, request, timeout_s, silence_s):
        self.opened_at.append(self.clock.monotonic_s())
        stream = self.streams.pop(0) if len(self.streams) > 1 else self.streams[0]
        if isinstance(stream, Exception):
            raise stream
        if isinstance(stream, HttpReply):
            return Stream(self.clock, [stream.body], silence_s, stream.status, stream.headers)
        return Stream(self.clock, stream, silence_s)

    def send(self, request, timeout_s):
        self.published.append(request.json)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self):
        pass


class Stream:
    def __init__(self, clock, parts, silence_s, status=200, headers=None):
        self.clock, self.parts, self.silence_s = clock, list(parts), silence_s
        self.status, self.headers = status, headers or {}
        self.closed = False

    def read(self):
        waited_s = 0.0
        while self.parts:
            part = self.parts.pop(0)
            if isinstance(part, bytes):
                return part
            if isinstance(part, Exception):
                raise part
            if callable(part):
                part()
                continue
            waited_s += part
            self.clock.sleep(min(part, self.silence_s))
            if waited_s > self.silence_s:
                raise LinkTimeoutError("silent", where="cloud", hint="x")
        return b""

    def close(self):
        self.closed = True


class Sink:
    def __init__(self):
        self.got = []
        self.gaps = []

    def events(self, events):
        self.got += events

    def gap(self, since, until, reason):
        self.gaps.append((since, until, reason))


class Bench:
    def __init__(self, *streams, max_pauses=50, **options):
        self.clock = VirtualClock()
        self.link = Script(self.clock, streams)
        limiter = RateLimiter(MemoryLimitStore(), self.clock, boot="one")
        self.api = CloudApi(
            self.link, limiter, token=Secret("t" * 40), clock=self.clock, rng=random.Random(7), max_wait_s=0
        )
        self.sink = Sink()
        self.pauses = []
        self.max_pauses = max_pauses
        self.source = SseSource(self.api, StreamScope(product_ref=100), pause=self.pause, **options)

    def pause(self, duration_s):
        self.pauses.append(duration_s)
        self.clock.sleep(duration_s)
        return len(self.pauses) >= self.max_pauses

    def run(self):
        self.source.run(self.sink)
        return self


def most_in_any(times, window_s):
    return max(sum(1 for t in times if start <= t < start + window_s) for start in times)


def test_events_in_order_with_keep_alives():
    bench = Bench(
        [b":ok\n\n", event(data="1"), b"\n", 12, b"\n", event(data="2") + event(data="3")], max_pauses=1
    ).run()
    assert [e.data for e in bench.sink.got] == ["1", "2", "3"]
    first = bench.sink.got[0]
    assert (first.name, first.coreid, first.at.year) == ("temp", "d1", 2026)


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b'{"a":' + b"[" * 100_000, b'"x"', b'{"data": 7}', b'{"coreid": null}', b"\xff", b'{"version": "x"}'],
)
def test_what_is_no_event_is_counted_and_passed_over(data):
    assert event_from_json("x", data) is None
    bench = Bench([b"event: x\ndata: " + data + b"\n\n" + event()], max_pauses=1).run()
    assert (len(bench.sink.got), bench.source.malformed) == (1, 1)


def test_events_with_what_the_future_adds_and_with_nothing():
    assert event_from_json(
        "x", b'{"data": null, "ttl": "60", "coreid": "api", "new": [1], "productID": 3}'
    ) == CloudEvent(name="x", ttl="60", coreid="api", productID=3)
    assert event_from_json("x", b"{}").at is None
    assert event_from_json("x", b'{"published_at": "2026-01-01T00:00:00"}').at.tzinfo


FLAPPING = {
    "closes at once": [b":ok\n\n"],
    "an event, then closed": [b":ok\n\n", event(), 5],
    "a broken connection": [b":ok\n\n", 1, LinkDisconnectedError("x", where="c")],
    "refuses connections": LinkUnreachableError("x", where="c"),
    "closes after a minute": [b"\n", 15, b"\n", 15, b"\n", 15, b"\n", 16, b"\n"],
    "529": HttpReply(529, {}, b""),
    "529 that tells": HttpReply(529, {"retry-after": "1"}, b""),
    "an html page": HttpReply(502, {"content-type": "text/html"}, b"<html>"),
    "half an event": [b"event: x\ndata: {", 1],
    "a silent stream": [b":ok\n\n", 100],
    "an event without end": [b"data: " + b"x" * 300_000],
}


@pytest.mark.parametrize("name", FLAPPING)
def test_a_flapping_server_is_never_asked_a_hundred_times_in_five_minutes(name):
    bench = Bench(FLAPPING[name], max_pauses=120).run()
    opens = most_in_any(bench.link.opened_at, 300)
    print(f"{name}: at most {opens} opens in any 5 minutes")
    assert len(bench.pauses) == 120
    assert opens <= 30
    # And it does not give up: streams are tried again within a few minutes.
    assert max(bench.pauses) <= 310


def test_a_hundred_programs_behind_one_address():
    """All processes of a site share the count, however they behave."""
    clock = VirtualClock()
    link = Script(clock, [[b":ok\n\n"]])
    limiter = RateLimiter(MemoryLimitStore(), clock, boot="one")
    for n in range(300):
        api = CloudApi(link, limiter, token=Secret("t"), clock=clock, rng=random.Random(n), max_wait_s=0)
        source = SseSource(api, StreamScope(product_ref=n), pause=lambda s: (clock.sleep(1), True)[1])
        source.run(Sink())
    assert len(link.opened_at) >= 90
    assert most_in_any(link.opened_at, 300) <= 90


def test_a_steady_stream_that_breaks_is_back_in_two_seconds():
    hour = [b"\n", *[part for _ in range(360) for part in (10, b"\n")]]
    bench = Bench(hour, max_pauses=5).run()
    assert all(1 <= pause <= 2 for pause in bench.pauses)


def test_what_the_cloud_tells_goes_before():
    bench = Bench(HttpReply(529, {"retry-after": "200"}, b""), max_pauses=4).run()
    assert bench.pauses[0] >= 200
    assert bench.link.opened_at[1] >= 200


def test_waits_that_nobody_tells_grow():
    bench = Bench(HttpReply(529, {}, b""), max_pauses=12).run()
    gaps = [b - a for a, b in zip(bench.link.opened_at, bench.link.opened_at[1:], strict=False)]
    assert gaps[0] >= 60
    assert max(gaps) >= 240
    assert max(gaps) <= 310


def test_the_delay_starts_anew_after_a_stream_that_lasted():
    delay = ReconnectDelay(random.Random(1))
    for _ in range(10):
        delay.after(0)
    assert delay.after(1) >= 30
    assert delay.after(61) <= 2
    assert ReconnectDelay(random.Random(1)).after(0, 99) >= 99


@pytest.mark.parametrize(("status", "error"), [(401, CloudAuthError), (403, CloudDeniedError), (404, EventSourceError)])
def test_what_trying_again_cannot_mend_ends_it(status, error):
    body = {401: b'{"error":"invalid_token","error_description":"expired"}'}.get(status, b'{"error":"no"}')
    bench = Bench([event()], HttpReply(status, {"content-type": "application/json"}, body))
    with pytest.raises(error if status != 404 else Exception):
        bench.run()
    assert len(bench.sink.got) == 1
    assert len(bench.link.opened_at) == 2


def test_a_gap_is_told_when_it_begins_and_when_it_ends():
    bench = Bench(
        [b":ok\n\n", 10, event(), 100],
        LinkUnreachableError("nobody there", where="c"),
        [b":ok\n\n", LinkDisconnectedError("gone", where="c")],
        max_pauses=3,
    ).run()
    (since, none, reason), (again, until, _), (third, last, _) = bench.sink.gaps
    assert (none, reason) == (None, "silent")
    zero = VirtualClock().utc_now()
    assert since == again == zero + timedelta(seconds=10)
    assert until > since + timedelta(seconds=20)
    assert (third, last) == (until, None)


def test_a_clock_that_is_set_back_makes_no_gap_of_negative_length():
    bench = Bench([b":ok\n\n", 100], [b":ok\n\n", 5], max_pauses=3)
    real = bench.clock.utc_now

    def set_back():
        bench.clock.utc_now = lambda: real() - timedelta(hours=1)

    bench.link.streams.insert(1, [set_back, 1])
    bench.run()
    assert all(until is None or until >= since for since, until, _ in bench.sink.gaps)
    assert any(until is not None for _, until, _ in bench.sink.gaps)


def test_stopping_closes_the_stream_and_ends_the_run():
    bench = Bench([b":ok\n\n", lambda: bench.source.stop() or None, event(data="1"), event(data="2")])
    bench.run()
    assert bench.pauses == []
    assert bench.sink.gaps == []


# ---- canaries ---------------------------------------------------------------------------------------------------


def canary(on_proven=lambda: None):
    clock = VirtualClock()
    link = Script(clock, [[]])
    limiter = RateLimiter(MemoryLimitStore(), clock, boot="one")
    api = CloudApi(link, limiter, token=Secret("t"), clock=clock, rng=random.Random(1))
    return clock, link, Canary(api, StreamScope(product_ref=100), on_proven=on_proven)


def back(link):
    sent = link.published[-1]
    return CloudEvent(name=sent["name"], data=sent["data"], coreid="api")


def test_canaries_that_return_prove_a_stretch():
    clock, link, bird = canary()
    zero = clock.utc_now()
    assert bird.tick() is False
    bird.stream_opened()
    for _ in range(3):
        assert bird.tick() is False
        assert bird.takes(back(link))
        clock.sleep(EVERY_S)
    assert len(link.published) == 3
    (proven,) = bird.proven()
    assert (proven.since, proven.until) == (zero, zero + timedelta(seconds=2 * EVERY_S))
    bird.stream_closed()
    bird.stream_opened()
    bird.tick()
    bird.takes(back(link))
    assert len(bird.proven()) == 2


def test_the_first_canary_that_returns_on_a_stream_is_told():
    told = []
    clock, link, bird = canary(lambda: told.append(clock.monotonic_s()))
    for streams in (1, 2):
        bird.stream_opened()
        for _ in range(3):
            bird.tick()
            bird.takes(back(link))
            clock.sleep(EVERY_S)
        bird.stream_closed()
        assert len(told) == streams


def test_a_canary_that_does_not_return_ends_the_stream_although_bytes_arrive():
    clock, link, bird = canary()
    bird.stream_opened()
    bird.tick()
    bird.takes(back(link))
    known = bird.blind_since()
    clock.sleep(EVERY_S)
    bird.tick()
    clock.sleep(WITHIN_S)
    assert bird.tick() is False
    clock.sleep(1)
    assert bird.tick() is True
    assert "did not come back" in bird.complaint
    assert bird.blind_since() == known
    assert bird.tick() is False


def test_somebody_else_s_canary_and_a_late_one_prove_nothing():
    _clock, link, bird = canary()
    bird.stream_opened()
    bird.tick()
    assert bird.takes(CloudEvent(name=f"{PREFIX}other", data="1"))
    assert bird.takes(CloudEvent(name=link.published[0]["name"], data="0"))
    assert not bird.takes(CloudEvent(name="particle-dev/other", data="1"))
    assert bird.proven() == ()


@pytest.mark.parametrize("answer", [HttpReply(500, {}, b""), ConfigError("no room for the counts")])
def test_a_canary_that_cannot_be_sent_is_no_proof_and_no_reason_to_reconnect(answer):
    clock, link, bird = canary()
    bird.stream_opened()
    bird.tick()
    bird.takes(back(link))
    clock.sleep(EVERY_S)
    link.answer = answer
    assert bird.tick() is False
    clock.sleep(WITHIN_S + 1)
    assert bird.tick() is False
    assert bird.unsent == 1
    clock.sleep(EVERY_S)
    link.answer = HttpReply(200, {}, b"{}")
    bird.tick()
    bird.takes(back(link))
    assert not any(p.until - p.since >= timedelta(seconds=EVERY_S) for p in bird.proven())


def test_consumers_see_no_canaries_and_know_what_was_watched(clock):
    bench = Bench([b":ok\n\n"], canary=True)
    bird = bench.source._canary
    bird.stream_opened()
    bird.tick()
    sent = bench.link.published[-1]
    bench.link.streams = [[event(name=sent["name"], data=sent["data"]), event(name="temp")]]
    bench.max_pauses = 1
    assert bench.source.proven() == ()
    bench.run()
    assert [e.name for e in bench.sink.got] == ["temp"]


# ---- whose events -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        (StreamScope(), "v1/devices/events"),
        (StreamScope(prefix="spark/status"), "v1/devices/events/spark/status"),
        (StreamScope(device_id="d"), "v1/devices/d/events"),
        (StreamScope(product_ref=3), "v1/products/3/events"),
        (StreamScope(product_ref=3, device_id="d", prefix="x"), "v1/products/3/devices/d/events/x"),
        (StreamScope(organization="o"), "v1/orgs/o/events"),
        (StreamScope(organization="o", product_ref="p"), "v1/orgs/o/products/p/events"),
    ],
)
def test_paths(scope, path):
    assert "/".join(str(s) for s in scope.path()) == path


def test_a_user_s_stream_is_refused_for_unclaimed_devices():
    mine = DeviceRecord(id="a", product_id=3, owner="me")
    unclaimed = DeviceRecord(id="b", product_id=3)
    foreign = DeviceRecord(id="c", product_id=3, owner="you")
    check_scope(StreamScope(), [mine], "me")
    check_scope(StreamScope(organization="o"), [unclaimed], "me")
    check_scope(StreamScope(product_ref=3), [mine, unclaimed, foreign], "me")
    with pytest.raises(EventSourceError, match=r"2 of the devices: b \(unclaimed\), c \(somebody else") as caught:
        check_scope(StreamScope(), [mine, unclaimed, foreign], "me")
    assert "--product" in caught.value.hint
    with pytest.raises(EventSourceError, match="product 4 does not carry"):
        check_scope(StreamScope(product_ref=4), [mine], "me")
