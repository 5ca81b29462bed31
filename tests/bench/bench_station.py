"""32 slots at once against one, in one process: whole runs of a station with journal, records, report and the view on a
terminal, real Device OS 2.1.0 and Tinker on virtual Borons that take the time of real ones.

Usage: bench_station.py FIRMWARE …, with the folder that `make firmware-for-tests` fills.

slot      from a unit's first event to its last; the median and the slowest of 32 against one alone. Target: 1.15 ×
processor of this process, as a share of one core while the 32 are at work. Target for the engine: 30 %. The virtual
          boards are in the same process, so what the engine takes is less than the figure
memory    the highest resident size of the process, with 32 virtual boards of 5 MB each in it. Target: 300 MB

Exits with 1 when a unit did not pass.
"""

import os
import pty
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from particle_dev.cli.station_view import StationView
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.bench import open_bench
from particle_dev.station.engine import MOST_SLOTS, Station
from particle_dev.station.events import parse_timestamp
from particle_dev.station.recipe import load_recipe
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.station_key import StationKey

RECIPE = Path(__file__).parents[2] / "recipes" / "ship.toml"


def measured(recipe, store, slot_count, folder):
    """Seconds of each slot, of the wall and of the processor for one run of so many Borons."""

    def factory_modules(platform):
        return [store.read(m.sha256) for m in store.device_os_set(platform, "2.1.0").factory_modules]

    slots = [{"name": str(number), "platform": "boron"} for number in range(1, slot_count + 1)]
    bench = open_bench("virtual", slots=slots, factory_modules=factory_modules)
    times = defaultdict(list)
    master, slave = pty.openpty()
    threading.Thread(target=drain, args=(master,), daemon=True).start()
    try:
        with os.fdopen(slave, "w") as terminal, StationView(terminal) as view:

            def show(event):
                view.handle(event)
                if event.slot is not None:
                    times[event.slot].append(parse_timestamp(event.at).timestamp())

            wall_s, processor_s = time.perf_counter(), time.process_time()
            record = Station(recipe, bench, store, folder, show, keeper=RecordKeeper(StationKey(folder / "site"))).run()
            wall_s, processor_s = time.perf_counter() - wall_s, time.process_time() - processor_s
    finally:
        bench.close()
    if record.verdict != "pass" or len(record.units) != slot_count:
        sys.exit(f"{slot_count} slots: {record.verdict}, {len(record.units)} units")
    return [times_s[-1] - times_s[0] for times_s in times.values()], wall_s, processor_s


def drain(descriptor):
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:
        pass  # the terminal was closed


def main():
    assets = Path(sys.argv[1]) / "particle-cli-2.12.0" / "package" / "assets"
    os.environ["TERM"] = "xterm"
    with tempfile.TemporaryDirectory() as folder:
        store = FirmwareStore(Path(folder) / "store")
        if not store.add_path(assets).ok:
            sys.exit(f"{assets} holds no firmware")
        recipe = load_recipe(RECIPE)
        (alone_s,), _, _ = measured(recipe, store, 1, Path(folder) / "one")
        slots_s, wall_s, processor_s = measured(recipe, store, MOST_SLOTS, Path(folder) / "all")
    memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    median_s = statistics.median(slots_s)
    print(f"slot: {alone_s:.1f} s alone; of {MOST_SLOTS} at once {median_s:.1f} s, {median_s / alone_s:.2f} x", end="")
    print(f", the slowest {max(slots_s) / alone_s:.2f} x; target 1.15 x")
    print(f"processor: {processor_s:.1f} s in {wall_s:.1f} s, {processor_s / wall_s:.0%} of a core; target 30 %")
    print(f"memory: {memory_bytes / 1e6:.0f} MB; target 300 MB")


if __name__ == "__main__":
    main()
