"""The station's page at 32 slots, with three browsers: real HTTP on loopback, real Device OS 2.1.0 and Tinker on
virtual Borons that take the time of real ones. Each browser is a process of its own.

Usage: bench_page.py FIRMWARE …, with the folder that `make firmware-for-tests` fills.

first     a page with style, scripts and the first frame of its stream, by three browsers at once while 32 slots work.
          Target: 0.5 s
updates   frames a second that each browser got while units were flashed. Target: 5
processor what page and streams add to the process, as a share of one core: with three browsers, less without a page.
          Target for engine and page: 30 %
slots     the median slot with the page against the one without. Target: 1.15 x at most, of all that runs beside it
memory    the highest resident size of the process, with 32 virtual boards of 5 MB each in it. Target: 300 MB

Exits with 1 when a unit did not pass, or a browser did not see that.
"""

import http.client
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from particle_dev.flash.store import FirmwareStore
from particle_dev.station.bench import open_bench
from particle_dev.station.engine import MOST_SLOTS, Station
from particle_dev.station.events import EventType, parse_timestamp
from particle_dev.station.recipe import load_recipe
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.station_key import StationKey
from particle_dev.station.web.opening import PageSettings, StationPage

RECIPE = Path(__file__).parents[2] / "recipes" / "ship.toml"
BROWSERS = 3
FILES = ("/", "/static/page.css", "/static/page.js", "/static/operator.js", "/static/symbols.svg")


def browse(place, go, results):
    """One browser: what a page needs, then its stream until the run has ended."""
    go.wait()
    began_s = time.perf_counter()
    connection = http.client.HTTPConnection(place)
    for path in FILES:
        connection.request("GET", path)
        connection.getresponse().read()
    connection.request("GET", "/events")
    first_s, times, modes, verdict = None, [], {}, None
    for line in connection.getresponse():
        if not line.startswith(b"data: "):
            continue
        frame = json.loads(line.removeprefix(b"data: "))
        first_s = first_s or time.perf_counter() - began_s
        modes |= {slot["slot"]: slot["mode"] for slot in frame["slots"]}
        if any(slot["percent"] not in (None, 100) for slot in frame["slots"]):
            times.append(time.perf_counter())
        verdict = frame.get("run", {}).get("verdict", verdict)
        if verdict:
            break
    results.put((first_s, len(times) / (times[-1] - times[0]), modes))


def measured(store_folder, folder, with_page):
    """In a process of its own: seconds of the median slot, of the wall and of the processor for one run of 32 Borons,
    what browsers saw, and the highest resident size."""
    store, recipe = FirmwareStore(store_folder), load_recipe(RECIPE)
    with ExitStack() as opened:
        page = None
        if with_page:
            page = opened.enter_context(StationPage(PageSettings("127.0.0.1", 0), folder / "site", None, folder, {}))
        found = run(recipe, store, folder, page)
    return *found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(recipe, store, folder, page):
    """One run; as :func:`measured`."""

    def factory_modules(platform):
        return [store.read(m.sha256) for m in store.device_os_set(platform, "2.1.0").factory_modules]

    slots = [{"name": str(number), "platform": "boron"} for number in range(1, MOST_SLOTS + 1)]
    bench = open_bench("virtual", slots=slots, factory_modules=factory_modules)
    began, times_s = {}, []
    context = multiprocessing.get_context("spawn")
    go, results, browsers = context.Event(), context.Queue(), []
    if page is not None:
        place = page.address.split("/")[2]
        browsers = [context.Process(target=browse, args=(place, go, results)) for _ in range(BROWSERS)]
        for browser in browsers:
            browser.start()

    def show(event):
        if page is not None:
            page.handle(event)
        if event.type == EventType.UNIT_STARTED:
            began[event.slot] = parse_timestamp(event.at)
            if len(began) == MOST_SLOTS:
                go.set()  # All work: now people come.
        elif event.type == EventType.UNIT_FINISHED:
            times_s.append((parse_timestamp(event.at) - began[event.slot]).total_seconds())

    wall_s, processor_s = time.perf_counter(), time.process_time()
    try:
        record = Station(recipe, bench, store, folder, show, keeper=RecordKeeper(StationKey(folder / "site"))).run()
    finally:
        bench.close()
    wall_s, processor_s = time.perf_counter() - wall_s, time.process_time() - processor_s
    if record.verdict != "pass" or len(record.units) != MOST_SLOTS:
        sys.exit(f"{record.verdict}, {len(record.units)} units")
    seen = [results.get(timeout=60) for _ in browsers]
    for browser in browsers:
        browser.join()
    return statistics.median(times_s), wall_s, processor_s, seen


def main():
    assets = Path(sys.argv[1]) / "particle-cli-2.12.0" / "package" / "assets"
    with tempfile.TemporaryDirectory() as folder:
        store = FirmwareStore(Path(folder) / "store")
        if not store.add_path(assets).ok:
            sys.exit(f"{assets} holds no firmware")
        # Each in a process that has seen nothing else.
        processes = [ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) for _ in range(2)]
        folders = [Path(folder) / name for name in ("without", "with")]
        without, with_page = (
            process.submit(measured, store.root, own, own.name == "with").result()
            for process, own in zip(processes, folders, strict=True)
        )
        for process in processes:
            process.shutdown()
    alone_s, _, alone_processor_s, _, alone_memory_bytes = without
    slot_s, wall_s, processor_s, seen, memory_bytes = with_page
    for _, _, modes in seen:
        if list(modes.values()) != ["pass"] * MOST_SLOTS:
            sys.exit(f"a browser saw {modes}")
    print(f"first: {', '.join(f'{first_s:.2f}' for first_s, _, _ in seen)} s; target 0.5 s")
    print(f"updates: {', '.join(f'{rate:.1f}' for _, rate, _ in seen)} a second; target 5")
    added = (processor_s - alone_processor_s) / wall_s
    print(f"processor: {processor_s / wall_s:.0%} of a core, {added:.0%} of it for the page; target 30 %")
    print(f"slots: {slot_s / alone_s:.2f} x of without the page; target 1.15 x")
    print(f"memory: {memory_bytes / 1e6:.0f} MB, {alone_memory_bytes / 1e6:.0f} MB without the page; target 300 MB")


if __name__ == "__main__":
    main()
