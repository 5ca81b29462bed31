"""How the cloud client compares with npm's particle-api-js, as counts and as ratios within one run.

Run by `make bench`. Usage: bench_cloud.py FIRMWARE JUDGES [QUESTION…], with the folders that `make judges-setup` and
`make firmware-for-tests` fill; only the second is used. Questions (default: all):

list     requests for a product of 10 000 devices, from the simulated cloud at its paging limit. Target: none too many
stream   events per second of one stream, ours against particle-api-js, each in a process of its own on the same CPU,
         the server on another. Target: 1.0 ×
memory   growth of our process over a million events of that stream. Target: under 5 MB
fanout   one stream given out to 200 stations' queues, each with its own device. Target: nothing lost
opens    streams opened in any 5 minutes while the server refuses or closes all. Target: under 100, where
         particle-api-js has 150
"""

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from particle_harness.clock import VirtualClock
from particle_harness.cloud import SimCloud

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import CloudEvent, StreamScope
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.errors import LinkUnreachableError
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.http import HttpxLink

DEVICES = 200
SERVER_CPU, CLIENT_CPU = 0, 1
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSAL = b"HTTP/1.1 529 Busy\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def line(name, text, good):
    print(f"{name:<8} {text} [{'ok' if good else 'MISSED'}]", flush=True)
    return good


def event_bytes(n):
    body = {
        "data": f"{n}:{'x' * 40}",
        "ttl": 60,
        "published_at": f"2026-01-01T00:{n // 60_000 % 60:02}:{n // 1000 % 60:02}.{n % 1000:03}Z",
        "coreid": f"e00fce68{n % DEVICES:016x}",
        "userid": "0123456789abcdef01234567",
        "version": 7,
        "public": False,
        "productID": 1234,
    }
    return f"event: line/measurement\ndata: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


class StreamServer:
    """Sends ``count`` events as fast as they are taken, 32 kB at a time as busy servers do, to each that asks."""

    def __init__(self, count):
        self.count = count
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.process = None

    def __enter__(self):
        self.process = os.fork()
        if self.process == 0:
            os.sched_setaffinity(0, {SERVER_CPU})
            while True:
                self.serve(*self.socket.accept())
        return self

    def serve(self, connection, _address):
        blocks = []
        for start in range(0, 100_000, 200):
            data = b"".join(event_bytes(n) for n in range(start, start + 200))
            blocks.append(b"%x\r\n%s\r\n" % (len(data), data))
        try:
            connection.recv(65536)
            connection.sendall(HEAD + b"5\r\n:ok\n\n\r\n")
            for n in range(self.count // 200):
                connection.sendall(blocks[n % len(blocks)])
            connection.sendall(b"0\r\n\r\n")
        except OSError:
            pass
        connection.close()

    def __exit__(self, *_):
        os.kill(self.process, 9)
        os.waitpid(self.process, 0)
        self.socket.close()


def api_for(url):
    clock = SystemClock()
    limiter = RateLimiter(MemoryLimitStore(), clock)
    return CloudApi(HttpxLink(url), limiter, token=Secret("t" * 40), clock=clock, rng=random.Random(1))


OURS = """
import resource, sys, time
sys.path.insert(0, {here!r})
from bench_cloud import api_for
from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import CloudEvent, StreamScope
count = {count}
api = api_for({url!r})
hub = EventHub(SseSource(api, StreamScope(product_ref=1)), api.clock.utc_now)
queue = hub.subscribe()
got, first_s, early_kb = 0, 0.0, 0
rss = lambda: int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 1024
with hub:
    while got < count:
        for item in queue.get_all() or [queue.get(30)]:
            if type(item) is CloudEvent:
                if not first_s:
                    first_s = time.perf_counter()
                got += 1
                if got == count // 10:
                    early_kb = rss()
    took_s = time.perf_counter() - first_s
    print(count / took_s, rss() - early_kb, hub.duplicates, flush=True)
import os
os._exit(0)
"""

THEIRS = """
const Particle = require({api_js!r});
const particle = new Particle({{ baseUrl: {url!r} }});
let got = 0, first = 0;
particle.getEventStream({{ product: 1, auth: 't' }}).then((stream) => {{
    stream.on('event', () => {{
        if (!got) first = performance.now();
        if (++got === {count}) {{
            console.log({count} / ((performance.now() - first) / 1000));
            process.exit(0);
        }}
    }});
}});
"""


def on_client_cpu(*words):
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=600,
        preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CPU}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [float(n) for n in done.stdout.split()]


def ours(url, count):
    code = OURS.format(here=str(Path(__file__).parent), url=url, count=count)
    rate, grown_kb, duplicates = on_client_cpu(sys.executable, "-c", code)
    assert duplicates == 0, duplicates
    return rate, grown_kb / 1024


def theirs(api_js, url, count):
    (rate,) = on_client_cpu("node", "-e", THEIRS.format(api_js=str(api_js), url=url, count=count))
    return rate


def stream(api_js):
    count = 100_000
    with StreamServer(count) as server:
        rounds = [(ours(server.url, count)[0], theirs(api_js, server.url, count)) for _ in range(3)]
    best, peer = max(r[0] for r in rounds), max(r[1] for r in rounds)
    return line("stream", f"{best:,.0f} events/s, particle-api-js {peer:,.0f}: {best / peer:.2f} ×", best >= peer)


def memory(_api_js):
    # The times of a hundred thousand events repeat, and remembered events are far fewer, so none is a duplicate.
    with StreamServer(1_000_000) as server:
        rate, grown_mb = ours(server.url, 1_000_000)
    return line("memory", f"{grown_mb:.1f} MB more after a million events, at {rate:,.0f} events/s", grown_mb < 5)


def fanout(_api_js):
    count = 200_000
    with StreamServer(count) as server:
        api = api_for(server.url)
        hub = EventHub(SseSource(api, StreamScope(product_ref=1)), api.clock.utc_now)
        queues = [hub.subscribe([f"e00fce68{n:016x}"]) for n in range(DEVICES)]
        got = [0] * DEVICES
        lost = []

        def consume(n):
            while got[n] < count // DEVICES:
                for item in queues[n].get_all() or [queues[n].get(30)]:
                    if isinstance(item, CloudEvent):
                        got[n] += 1
                    elif got[n] < count // DEVICES:
                        # The gap at the end of the stream comes after the last event.
                        lost.append(item)
                        return

        threads = [threading.Thread(target=consume, args=(n,)) for n in range(DEVICES)]
        start_s = time.perf_counter()
        with hub:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            took_s = time.perf_counter() - start_s
    all_there = sum(got) == count and not lost
    return line("fanout", f"{sum(got):,} of {count:,} events in 200 queues, {count / took_s:,.0f} events/s", all_there)


def list_devices(_api_js):
    clock = VirtualClock()
    sim = SimCloud(clock, limits=True)
    owner = sim.population.add_account("me@example.com", plan="basic")
    product = sim.population.add_product("Widget", "boron", owner)
    ids = [f"e00fce68{n:016x}" for n in range(10_000)]
    sim.population.make_devices("boron", ids)
    with sim.serve() as server:
        api = api_for(server.url)
        api.token = Secret(sim.population.make_token(owner))
        members = ProductDevices(api, product.id)
        for start in range(0, len(ids), 1000):
            members.import_devices(ids[start : start + 1000], Permissions(may_bill=True))
        sent = []
        send = api.link.send

        def counted(request, timeout_s):
            sent.append(request.query["page"])
            return send(request, timeout_s)

        api.link.send = counted
        start_s = time.perf_counter()
        found = [d.id for d in members.list(sort="deviceId", descending=False)]
        took_s = time.perf_counter() - start_s
    assert sorted(found) == ids
    needed = -(-len(ids) // 100)
    return line(
        "list", f"10 000 devices in {len(sent)} requests ({needed} needed), {took_s:.1f} s", len(sent) == needed
    )


class Refusing:
    """A link on a virtual clock that refuses or closes every stream."""

    where = "https://cloud"

    def __init__(self, clock, kind):
        self.clock, self.kind, self.opened_at = clock, kind, []

    def open_stream(self, request, timeout_s, silence_s):
        self.opened_at.append(self.clock.monotonic_s())
        if self.kind == "no connection":
            raise LinkUnreachableError("x", where="c", hint="x")
        return _Ended(529 if self.kind == "529" else 200)


class _Ended:
    def __init__(self, status):
        self.status, self.headers = status, {}

    def read(self):
        return b""

    def close(self):
        pass


class _NoSink:
    def events(self, events):
        pass

    def gap(self, since, until, reason):
        pass


def our_opens(kind):
    clock = VirtualClock()
    link = Refusing(clock, kind)
    limiter = RateLimiter(MemoryLimitStore(), clock, boot="one")
    api = CloudApi(link, limiter, token=Secret("t"), clock=clock, rng=random.Random(1), max_wait_s=0)

    def pause(duration_s):
        clock.sleep(duration_s)
        return clock.monotonic_s() > 3600

    SseSource(api, StreamScope(product_ref=1), pause=pause).run(_NoSink())
    at = link.opened_at
    return max(sum(1 for t in at if start <= t < start + 300) for start in at)


def their_opens(api_js, seconds):
    """Counted for ``seconds`` on the real clock; it goes on in the same way for ever."""
    opens = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536).startswith(b"GET"):
                    opens.append(time.monotonic())
                    connection.sendall(HEAD + b"5\r\n:ok\n\n\r\n0\r\n\r\n" if len(opens) == 1 else REFUSAL)

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    code = f"const P = require({str(api_js)!r}); new P({{baseUrl: {url!r}}}).getEventStream({{product: 1, auth: 't'}});"
    node = subprocess.Popen(["node", "-e", code])
    time.sleep(seconds)
    node.kill()
    node.wait()
    listener.close()
    return len(opens)


def opens(api_js):
    worst = {kind: our_opens(kind) for kind in ("529", "no connection", "closed at once")}
    seconds = 20
    peer = their_opens(api_js, seconds) * 300 // seconds
    text = ", ".join(f"{kind} {count}" for kind, count in worst.items())
    return line(
        "opens", f"in any 5 minutes: {text}; particle-api-js {peer} (from {seconds} s)", max(worst.values()) < 100
    )


QUESTIONS = {"list": list_devices, "stream": stream, "memory": memory, "fanout": fanout, "opens": opens}


def main():
    _firmware, judges, *questions = sys.argv[1:]
    api_js = Path(judges).resolve() / "cloud" / "node_modules" / "particle-api-js"
    answers = [QUESTIONS[q](api_js) for q in questions or QUESTIONS]
    sys.exit(0 if all(answers) else 1)


if __name__ == "__main__":
    main()
