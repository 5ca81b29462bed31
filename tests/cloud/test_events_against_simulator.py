"""Event streams over real connections to the simulated cloud's server, which Particle's own clients judge."""

import random
import threading

import httpx2
import pytest
from particle_harness.clock import VirtualClock
from particle_harness.cloud import SimCloud, SimDevice

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import CloudEvent, DeviceReread, StreamEnded, StreamGap, StreamScope
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.errors import CloudAuthError
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.http import HttpxLink

WAIT_S = 20


class Site:
    def __init__(self, **settings):
        self.sim = SimCloud(VirtualClock(), keep_alive_s=0.05, **settings)
        people = self.sim.population
        owner = people.add_account("me@example.com", plan="basic")
        self.product = people.add_product("Widget", "boron", owner)
        self.token = people.make_token(owner)
        self.server = self.sim.serve()
        self.server.__enter__()
        self.api = self.api_for(self.token)
        self.devices = people.make_devices("boron", [f"e00fce68{n:016x}" for n in range(3)])
        self.members = ProductDevices(self.api, self.product.id)
        self.members.import_devices([d.id for d in self.devices], Permissions(may_bill=True))
        self.sim.clock.sleep(60)
        self.boards = [SimDevice(self.sim, d) for d in self.devices]

    def api_for(self, token):
        clock = SystemClock()
        limiter = RateLimiter(MemoryLimitStore(), clock, boot="one")
        return CloudApi(HttpxLink(self.server.url), limiter, token=Secret(token), clock=clock, rng=random.Random(1))

    def close(self):
        self.server.__exit__(None, None, None)
        self.api.link.close()
        self.sim.close()

    def hub(self, *, opened, **options):
        """A hub that has an open stream; ``opened`` is set by the first byte of each."""
        source = SseSource(self.api, StreamScope(product_ref=self.product.id), **options)
        open_ = source._open

        def open_and_tell():
            stream = open_()
            read = stream.read

            def read_and_tell():
                chunk = read()
                opened.set()
                return chunk

            stream.read = read_and_tell
            return stream

        source._open = open_and_tell
        return EventHub(source, self.api.clock.utc_now, reread=self.reread)

    def reread(self, ids):
        return [d for d in self.members.list(sort="deviceId") if ids is None or d.id in ids]


@pytest.fixture
def site():
    made = Site()
    yield made
    made.close()


def until(queue, wanted):
    """Items up to the first for which ``wanted`` holds."""
    items = []
    while True:
        item = queue.get(WAIT_S)
        assert item is not None, items
        items.append(item)
        if wanted(item):
            return items


def test_a_board_s_events_reach_those_who_asked(site):
    opened = threading.Event()
    hub = site.hub(opened=opened)
    first, second = (hub.subscribe([d.id]) for d in site.devices[:2])
    status = hub.subscribe(prefix="spark/status")
    with hub:
        assert opened.wait(WAIT_S)
        for board in site.boards:
            board.connect()
            board.publish("temp", board.id[-1])
        (*_, temp) = until(first, lambda i: i.name == "temp")
        assert (temp.data, temp.coreid) == ("0", site.devices[0].id)
        assert temp.at is not None
        (*_, temp) = until(second, lambda i: i.name == "temp")
        assert temp.data == "1"
        seen = [until(status, lambda i: i.name == "spark/status")[-1] for _ in range(3)]
        assert {(e.coreid, e.data) for e in seen} == {(d.id, "online") for d in site.devices}
    assert isinstance(until(first, lambda i: isinstance(i, StreamEnded))[-1], StreamEnded)


def test_a_stream_that_the_cloud_closes_is_a_gap_and_records_are_read_again(site):
    site.sim.add_fault({"do": "close_stream", "on": "GET /v1/products/*/events*", "events": 1})
    opened = threading.Event()
    hub = site.hub(opened=opened, pause=lambda _s: hub.source._stopping.is_set())
    queue = hub.subscribe([site.devices[0].id])
    with hub:
        assert opened.wait(WAIT_S)
        site.boards[0].connect()
        items = until(queue, lambda i: isinstance(i, DeviceReread))
        gaps = [i for i in items if isinstance(i, StreamGap)]
        assert [g.until is None for g in gaps] == [True, False]
        assert items[-1].record.ever_online
        site.boards[0].publish("after", "x")
        until(queue, lambda i: isinstance(i, CloudEvent) and i.name == "after")


@pytest.mark.parametrize("fault", ["silent_stream", "half_event"])
def test_a_stream_that_is_open_but_dead_is_opened_again(site, fault):
    site.sim.add_fault({"do": fault, "on": "GET /v1/products/*/events*"})
    opened = threading.Event()
    hub = site.hub(opened=opened, silence_s=0.5, pause=lambda _s: hub.source._stopping.is_set())
    queue = hub.subscribe()
    with hub:
        assert opened.wait(WAIT_S)
        if fault == "half_event":
            site.boards[0].connect()
        until(queue, lambda i: isinstance(i, StreamGap) and i.until is not None)
        site.boards[1].connect()
        until(queue, lambda i: isinstance(i, CloudEvent) and i.coreid == site.devices[1].id)


def test_canaries_come_back_and_prove_it(site):
    opened = threading.Event()
    hub = site.hub(opened=opened, canary=True)
    queue = hub.subscribe()
    bird = hub.source._canary
    with hub:
        assert opened.wait(WAIT_S)
        bird.tick()
        site.boards[0].connect()
        until(queue, lambda i: isinstance(i, CloudEvent) and i.name == "spark/status")
        for _ in range(200):
            if bird.proven():
                break
            hub.source._stopping.wait(0.05)
        assert len(bird.proven()) == 1
    assert bird.unsent == 0


def test_lost_events_are_noticed_by_the_canary_alone(site):
    site.sim.add_fault({"do": "lose", "count": 0})
    opened = threading.Event()
    hub = site.hub(opened=opened, canary=True, pause=lambda _s: True)
    queue = hub.subscribe()
    clock = hub.source._canary._api.clock = LateClock()
    with hub:
        assert opened.wait(WAIT_S)
        hub.source._canary.tick()
        clock.late_s = 11
        gap = until(queue, lambda i: isinstance(i, StreamGap))[-1]
    assert "did not come back" in gap.reason


class LateClock(SystemClock):
    late_s = 0.0

    def monotonic_s(self):
        return super().monotonic_s() + self.late_s


def test_duplicates_are_dropped(site):
    site.sim.add_fault({"do": "duplicate", "count": 0})
    opened = threading.Event()
    hub = site.hub(opened=opened)
    queue = hub.subscribe(prefix="count/")
    with hub:
        assert opened.wait(WAIT_S)
        site.boards[0].connect()
        for n in range(20):
            site.sim.clock.sleep(1)
            site.boards[0].publish("count/up", str(n))
        got = [until(queue, lambda i: isinstance(i, CloudEvent))[-1].data for _ in range(20)]
        assert got == [str(n) for n in range(20)]
        assert queue.get(0) is None
    assert hub.duplicates >= 20


def test_a_wrong_token_ends_it_with_the_reason(site):
    site.api.token = Secret("f" * 40)
    hub = site.hub(opened=threading.Event())
    queue = hub.subscribe()
    with hub:
        (end,) = until(queue, lambda i: isinstance(i, StreamEnded))
    assert isinstance(end.error, CloudAuthError)


def test_closing_a_hub_ends_its_thread_at_once(site):
    opened = threading.Event()
    hub = site.hub(opened=opened)
    with hub:
        assert opened.wait(WAIT_S)
    assert not hub._thread.is_alive()


def test_a_server_that_refuses_streams_for_its_limit(site):
    """The cloud's own count, which Particle's clients run into, is never reached by this one."""
    with httpx2.Client(trust_env=False) as client:
        for _ in range(110):
            with client.stream(
                "GET",
                f"{site.server.url}/v1/products/{site.product.id}/events",
                headers={"Authorization": f"Bearer {site.token}"},
            ) as answer:
                status = answer.status_code
    assert status == 529
    pauses = []
    hub = site.hub(opened=threading.Event(), pause=lambda s: (pauses.append(s), len(pauses) == 2)[1])
    queue = hub.subscribe()
    with hub:
        gap = until(queue, lambda i: isinstance(i, StreamGap))[-1]
    assert "limit" in gap.reason
    assert pauses[0] >= 60
    assert hub.source.opens == 2
