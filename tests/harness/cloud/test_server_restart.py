"""The simulated cloud's server goes away and comes back from its file, at the same address: who was there finds it
again. Client, boards and cloud are our own; npm's particle-api-js judges reconnects elsewhere."""

import random
import socket
import threading

from particle_harness.boards import hardware
from particle_harness.cloud import SimCloud
from particle_harness.cloud.clock import MovableClock
from particle_harness.cloud.tables import Device, Sim
from particle_harness.factory import release_stand_ins

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import publish
from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import CloudEvent, StreamGap, StreamScope
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.http import HttpxLink

WAIT_S = 30
DEVICE = "e00fce680000000000000001"


def until(holds):
    pause = threading.Event()
    for _ in range(WAIT_S * 50):
        if holds():
            return
        pause.wait(0.02)
    raise AssertionError("it did not happen")


def test_clients_and_boards_find_a_restarted_server(tmp_path):
    file = tmp_path / "cloud.sqlite"
    first = SimCloud(MovableClock(), path=file, keep_alive_s=0.05)
    owner = first.population.add_account("me@example.com", plan="basic")
    product = first.population.add_product("Widget", "boron", owner)
    token = first.population.make_token(owner)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = first.serve(port=port)  # One that was asked for by number can be had again at once.
    url = server.url
    clock = SystemClock()
    api = CloudApi(
        HttpxLink(url),
        RateLimiter(MemoryLimitStore(), clock, boot="one"),
        token=Secret(token),
        clock=clock,
        rng=random.Random(1),
    )
    members = ProductDevices(api, product.id)
    bench = open_bench(
        "virtual",
        options={"clock": "virtual", "cloud": f"{url}/#{first.link_token}"},
        slots=[{"name": "1", "platform": "boron", "factory": "online", "device_os": "4.0.0", "device_id": DEVICE}],
        factory_modules=lambda _: release_stand_ins(hardware("boron")),
    )
    board = bench.driver.board("1")
    with first.session():
        device = first.store.get(Device, DEVICE)
        first.take_into_product(device, product, "test")
        sim = first.store.get(Sim, device.iccid)
        sim.status = "active"
        first.store.put(sim)
    board.clock.sleep(60)
    board.advance()
    assert members.get(DEVICE).online is True
    link_token = first.link_token

    hub = EventHub(SseSource(api, StreamScope(product_ref=product.id)), clock.utc_now)
    heard = hub.subscribe()
    got = []

    def drain():
        got.extend(heard.get_all())
        return got

    with hub:
        until(lambda: first.hub.listeners == 1)
        server.stop()
        first.close()
        until(lambda: any(isinstance(item, StreamGap) for item in drain()))
        again = SimCloud(MovableClock(), path=file, keep_alive_s=0.05)
        assert again.link_token == link_token
        with again.serve(port=port):
            # The board takes its session up again, and the stream tells of it or of the gap that it fell into.
            until(lambda: again.hub.listeners == 1)
            until(lambda: again.hub.history)
            assert members.get(DEVICE).online is True
            assert again.ledger.metered(DEVICE)
            publish(api, ("v1", "products", product.id, "events"), "after", "1", ttl_s=60)
            until(lambda: [i for i in drain() if isinstance(i, CloudEvent) and i.name == "after"])
            answer = api.object_of(
                "POST", ("v1", "products", product.id, "devices", DEVICE, "digitalwrite"), json={"args": "D7 HIGH"}
            )
            assert answer.optional_integer("return_value") == 1
    bench.close()
    again.close()
    api.link.close()
    ends = [item for item in got if isinstance(item, StreamGap)]
    assert ends[-1].until is not None, "the gap has an end"
