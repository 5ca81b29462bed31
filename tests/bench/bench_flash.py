"""How fast is flashing? Run by `make bench`; argument: the folder that `make firmware-for-tests` fills.

1. Host overhead: a 500 KB system part over DFU to a virtual board that needs no time itself (target <= 0.5 s).
2. Parallel work: four boards at once with realistic delays against the slowest of them alone (target <= 1.15).
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.modes import enter_dfu
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.files import read_module_files
from particle_dev.flash.inventory import inventory_by_control
from particle_dev.flash.plan import make_plan
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.bench import open_bench
from particle_dev.station.engine import Station
from particle_dev.station.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "ship.toml"
PLATFORMS = ("boron", "bsom", "tracker", "photon")


def factory(store, recipe):
    def modules(platform):
        release = store.device_os_set(platform, recipe.firmware[platform].device_os)
        return [store.read(m.sha256) for m in release.factory_modules]

    return modules


def host_overhead(store, recipe, assets, runs=5):
    system = assets / "updates" / "boron-system-part1@2.1.0.bin"
    modules, contents = read_module_files([system])
    times = []
    for _ in range(runs):
        bench = open_bench(
            "virtual",
            options={"delays": "none", "clock": "real"},
            slots=[{"name": "1", "platform": "boron"}],
            factory_modules=factory(store, recipe),
        )
        slot = bench.slots[0]
        device = wait_for_device(slot.host, slot.port_path, 10)
        with ControlSession(slot.host, device) as session:
            plan = make_plan(inventory_by_control(session), modules)
        device, _ = enter_dfu(slot.host, device)
        with DfuSession(slot.host, device) as session:
            started = time.perf_counter()
            for _ in flash(plan, session, contents.__getitem__):
                pass
            for _ in verify(plan, session, contents.__getitem__):
                pass
            times.append(time.perf_counter() - started)
        bench.close()
    median = statistics.median(times)
    print(
        f"DFU flash of {plan.size_bytes} bytes, no device delay: median {median:.3f} s of {runs} runs "
        f"(compare, erase, write, read back; target 0.5 s)"
    )


def station_time(store, recipe, platforms):
    with tempfile.TemporaryDirectory() as folder:
        slots = [{"name": p, "platform": p} for p in platforms]
        bench = open_bench("virtual", slots=slots, factory_modules=factory(store, recipe))
        started = time.perf_counter()
        record = Station(recipe, bench, store, Path(folder), lambda event: None).run()
        elapsed = time.perf_counter() - started
        bench.close()
    assert record.verdict == "pass", record.counts()
    return elapsed


def parallel(store, recipe):
    alone = {p: station_time(store, recipe, [p]) for p in PLATFORMS}
    slowest = max(alone, key=alone.__getitem__)
    together = station_time(store, recipe, PLATFORMS)
    print(
        f"four boards at once, realistic delays: {together:.1f} s; {slowest} alone {alone[slowest]:.1f} s; "
        f"ratio {together / alone[slowest]:.2f} (target 1.15)"
    )


def main():
    assets = Path(sys.argv[1]) / "particle-cli-2.12.0" / "package" / "assets"
    recipe = load_recipe(RECIPE)
    with tempfile.TemporaryDirectory() as folder:
        store = FirmwareStore(Path(folder))
        store.add_path(assets)
        host_overhead(store, recipe, assets)
        parallel(store, recipe)


if __name__ == "__main__":
    main()
