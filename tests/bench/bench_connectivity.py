"""What the engine of connectivity tests adds to the times of boards and network.

Run by `make bench`. Usage: bench_connectivity.py FIRMWARE JUDGES [QUESTION…]; the folders are not used. Questions
(default: both):

alone    one board on a virtual clock, on which nothing but waits takes time: the whole test against the sum of what
         board, radio and network take. Target: at most 2 % more
crowd    32 boards at once on a real clock, a thread each in two processes, radio and network at a tenth of their times,
         the simulated cloud in a process of its own behind an event stream for each: each stage against the same stage
         on a virtual clock, less what the cloud took to answer and, where a stage waits for an event, to bring it.
         Target: the 99th percentile of the difference is at most 100 ms. A simulated board's boot takes 11 ms of CPU in
         the engine's own process, so the boards of one begin 80 ms after each other; all are under way at once. What
         else runs on the machine is in the figure
"""

import json
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from particle_harness.bench_toml import stand_ins
from particle_harness.cloud import SimCloud
from particle_harness.cloud.links import RemoteLink
from particle_harness.cloud.tables import Sim
from particle_harness.timing import NETWORK_TIMING, REALISTIC
from particle_harness.usb.requests.modules import CRC_OF_ALL_MODULES_S

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.board import Board
from particle_dev.connectivity.cloud_link import CloudLink, SiteStream, cloud_scope
from particle_dev.connectivity.engine import ConnectivityTest
from particle_dev.connectivity.outcome import StageFinished, StageStarted
from particle_dev.connectivity.plan import ConnectivityOptions, make_plan
from particle_dev.device.discovery import wait_for_device
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.http import HttpxLink
from tests.connectivity.world import World

BOARDS = 32
PROCESSES = 2
APART_S = 0.08
SCALE = 0.1
MOST_OVERHEAD = 0.02
MOST_DELAY_S = 0.1
MAY_CONNECT = Permissions(may_connect=True)
FEATURES = ["configurable_logging", "selftest"]


def line(name, text, good):
    print(f"{name:<8} {text} [{'ok' if good else 'MISSED'}]", flush=True)
    return good


def alone():
    world = World("boron")
    try:
        result = world.test()
    finally:
        world.close()
    assert result.verdict == "pass", result.failed
    # The modem's 8 s and the boot are inside of what passes from the reset to the session.
    expected_s = REALISTIC.restart_s + NETWORK_TIMING["cellular"].connected_s + CRC_OF_ALL_MODULES_S
    overhead = result.duration_s / expected_s - 1
    text = f"{result.duration_s:.2f} s for {expected_s:.2f} s of board and network: {overhead:+.2%}"
    return line("alone", text, overhead <= MOST_OVERHEAD)


class CloudTime:
    """Seconds that a thread has waited for answers of the cloud: those of the API, and those to its virtual board."""

    def __init__(self):
        self._local = threading.local()

    @property
    def spent_s(self):
        return getattr(self._local, "spent_s", 0.0)

    def measured(self, call):
        def wrapped(*args, **kwargs):
            begun_s = time.monotonic()
            try:
                return call(*args, **kwargs)
            finally:
                self._local.spent_s = self.spent_s + time.monotonic() - begun_s

        return wrapped


def noted_arrivals(feed):
    """When events came for a board; the list is filled while they do."""
    arrived_s, put = [], feed._subscription.put

    def noted(items, now):
        arrived_s.append(time.monotonic())
        put(items, now)

    feed._subscription.put = noted
    return arrived_s


def device_id_of(number):
    return f"e00fce68{number:016x}"


def serve():
    """The cloud's process: tells where it is, and ends with its standard input."""
    cloud = SimCloud(keep_alive_s=1.0, limits=False)
    people = cloud.population
    owner = people.add_account("me@example.com", plan="enterprise")
    product = people.add_product("Sensors", "boron", owner)
    for device in people.make_devices("boron", [device_id_of(n) for n in range(BOARDS)]):
        with cloud.session():
            cloud.take_into_product(device, product, "bench")
            sim = cloud.store.get(Sim, device.iccid)
            sim.status, sim.owner_product = "active", product.id
            cloud.store.put(sim)
    with cloud.serve() as server:
        told = {"url": server.url, "link": f"{server.url}/#{cloud.link_token}", "product": product.id}
        print(json.dumps(told | {"token": people.make_token(owner)}), flush=True)
        sys.stdin.read()


def reference():
    """Seconds of each stage on a virtual clock, radio and network as in the crowd."""
    world = World("boron", network_scale=SCALE, delays="none")
    try:
        result = world.test()
    finally:
        world.close()
    assert result.verdict == "pass", result.failed
    return {r.stage: r.duration_s for r in result.stages}


def crowd():
    expected = reference()
    cloud = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        told = cloud.stdout.readline()
        share = BOARDS // PROCESSES
        workers = [
            subprocess.Popen(
                [sys.executable, __file__, "--work", str(n * share), str((n + 1) * share), told],
                stdout=subprocess.PIPE,
                text=True,
            )
            for n in range(PROCESSES)
        ]
        results = [result for worker in workers for result in json.loads(worker.communicate()[0])]
    finally:
        cloud.stdin.close()
        cloud.wait(10)
    failed = [verdict for verdict, _ in results if verdict != "pass"]
    found = [
        (later_s if since_event_s is None else min(later_s, since_event_s), stage)
        for _, stages in results
        for stage, took_s, since_event_s in stages
        for later_s in [took_s - expected[stage]]
    ]
    delays = [delay_s for delay_s, _ in found]
    percentiles = statistics.quantiles(delays, n=100)
    worst = max(found)
    text = (
        f"{len(results)} boards, {len(delays)} stages later by {percentiles[49] * 1000:.0f} ms (median), "
        f"{percentiles[98] * 1000:.0f} ms (99th percentile), {worst[0] * 1000:.0f} ms at most ({worst[1]}); "
        f"{len(failed)} failed"
    )
    return line("crowd", text, percentiles[98] <= MOST_DELAY_S and len(results) == BOARDS and not failed)


def work(first, end, told):
    """A process with some of the boards: verdict, and of each stage its name, seconds less those of the cloud, and
    seconds since the last event that came in it."""
    slots = [
        {
            "name": str(n),
            "platform": "boron",
            "factory": "online",
            "device_os": "5.8.2",
            "application": FEATURES,
            "device_id": device_id_of(n),
        }
        for n in range(first, end)
    ]
    options = {"delays": "none", "network_scale": SCALE, "cloud": told["link"]}
    bench = open_bench("virtual", options=options, slots=slots, factory_modules=stand_ins)
    clock, cloud_time = SystemClock(), CloudTime()
    RemoteLink._ask = cloud_time.measured(RemoteLink._ask)
    limiter = RateLimiter(MemoryLimitStore(), clock, boot="one")
    http = HttpxLink(told["url"])
    http.send = cloud_time.measured(http.send)
    api = CloudApi(http, limiter, token=Secret(told["token"]), clock=clock, rng=random.Random(1))
    results = []
    try:
        scope = cloud_scope(api, told["product"])
        with SiteStream(scope) as stream:
            feeds = {slot.name: stream.feed(device_id_of(int(slot.name))) for slot in bench.slots}

            def test(slot):
                device = wait_for_device(slot.host, slot.port_path, 10)
                plan = make_plan(device.platform, Strategy.A, ConnectivityOptions())
                link = CloudLink(scope, device.device_id, feeds[slot.name])
                arrived_s, waited_s, since_event_s = noted_arrivals(feeds[slot.name]), {}, {}

                def on_event(event):
                    if isinstance(event, StageStarted):
                        waited_s[event.stage] = -cloud_time.spent_s
                        arrived_s.clear()
                    elif isinstance(event, StageFinished):
                        stage = event.result.stage
                        waited_s[stage] += cloud_time.spent_s
                        since_event_s[stage] = time.monotonic() - arrived_s[-1] if arrived_s else None

                with Board(slot.host, device, MAY_CONNECT) as board:
                    one = ConnectivityTest(
                        board, link, plan, run_id=f"b{slot.name}", permissions=MAY_CONNECT, on_event=on_event
                    )
                    results.append((one.run(), waited_s, since_event_s))

            threads = [threading.Thread(target=test, args=(slot,)) for slot in bench.slots]
            for thread in threads:
                thread.start()
                time.sleep(APART_S)
            for thread in threads:
                thread.join()
    finally:
        bench.close()
        api.link.close()
    told = [
        (
            r.verdict,
            [(s.stage, s.duration_s - waited_s[s.stage], since_event_s[s.stage]) for s in r.stages],
        )
        for r, waited_s, since_event_s in results
    ]
    print(json.dumps(told), flush=True)


QUESTIONS = {"alone": alone, "crowd": crowd}

if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve()
    elif "--work" in sys.argv:
        work(int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
    else:
        chosen = sys.argv[3:] or list(QUESTIONS)
        good = [QUESTIONS[name]() for name in chosen]
        sys.exit(not all(good))
