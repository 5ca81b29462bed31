"""Our own DFU session through libusb on a mocked bus: transfers handed over several at a time, faults among them."""

import json
import sys

import pytest
from particle_harness.usb.trace import describe

# The libusb of the wheel has no udev and cannot follow a mocked bus; the system's can.
FLASH = """
import sys
import libusb_package, usb.backend.libusb1
libusb_package.get_libusb1_backend = usb.backend.libusb1.get_backend
from pathlib import Path
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import list_devices
from particle_dev.errors import ParticleDevError
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.files import read_module_files
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.plan import make_plan
from particle_dev.station.bench import open_bench
from particle_dev.transport.usb import PyusbLink

if "one by one" in sys.argv:
    PyusbLink.can_queue = False
host = open_bench("usb").host
(device,) = list_devices(host)
modules, contents = read_module_files([Path(sys.argv[1])])
try:
    with DfuSession(host, device) as session:
        assert session._link.can_queue == ("one by one" not in sys.argv)
        plan = make_plan(inventory_by_dfu(session), modules)
        list(flash(plan, session, contents.__getitem__))
        list(verify(plan, session, contents.__getitem__))
except ParticleDevError as error:
    print(type(error).__name__)
"""
SYSTEM = {"boron": "boron-system-part1@2.1.0.bin", "photon": "photon-system-part1@2.1.0.bin"}


@pytest.fixture
def flash(foreign_bench, assets, tmp_path):
    def run(platform, *more, name="bench", fault=None):
        bench = foreign_bench(platform, name=name, arrives_in="dfu")
        if fault:
            bench.file.write_text(bench.file.read_text() + f"faults = [{fault}]\n", encoding="utf-8")
        file, trace = assets / "updates" / SYSTEM[platform], tmp_path / f"{name}.jsonl"

        def once():
            said = bench.run(sys.executable, "-c", FLASH, file, *more, trace=trace)
            return said.strip(), [describe(json.loads(line)) for line in trace.read_text().splitlines()]

        return bench, file.read_bytes(), once

    return run


@pytest.mark.parametrize("platform", SYSTEM)
def test_device_sees_the_same_transfers_in_the_same_order(flash, platform):
    said, queued = flash(platform)[2]()
    assert said == ""
    said, singly = flash(platform, "one by one", name="singly")[2]()
    assert said == ""
    assert queued == singly
    assert len(queued) > 200


@pytest.mark.parametrize(
    ("platform", "do", "n", "error"),
    [
        ("boron", "stall", 151, "DfuProtocolError"),  # while the inventory is read
        ("boron", "stall", 500, "DfuProtocolError"),
        ("boron", "unplug", 501, "LinkDisconnectedError"),
        ("boron", "unplug", 502, "LinkDisconnectedError"),
        ("photon", "stall", 350, "DfuProtocolError"),
        ("photon", "unplug", 351, "LinkDisconnectedError"),
    ],
)
def test_fault_within_a_queue_costs_only_a_second_run(flash, platform, do, n, error):
    bench, data, once = flash(platform, fault=f'{{do = "{do}", at = "dfu_transfer", n = {n}}}')
    said, _ = once()
    assert said == error
    assert data not in bench.flash(platform)
    assert once()[0] == ""
    assert data in bench.flash(platform)


AT_ONCE = (
    FLASH.split("host = ", maxsplit=1)[0]
    + """
import threading
host = open_bench("usb").host
devices = list_devices(host)
modules, contents = read_module_files([Path(sys.argv[1])])
done = []

def work(device):
    with DfuSession(host, device) as session:
        plan = make_plan(inventory_by_dfu(session), modules)
        list(flash(plan, session, contents.__getitem__))
        list(verify(plan, session, contents.__getitem__))
    done.append(device)

threads = [threading.Thread(target=work, args=(device,)) for device in devices]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(done) == len(devices) == 4, done
"""
)


def test_threads_of_one_process_share_libusb(foreign_bench, assets):
    slots = [f"boron-{n}" for n in range(4)]
    bench = foreign_bench(*slots, arrives_in="dfu")
    file = assets / "updates" / SYSTEM["boron"]
    bench.run(sys.executable, "-c", AT_ONCE, file, timeout_s=110)
    assert all(file.read_bytes() in bench.flash(slot) for slot in slots)


def test_ctrl_c_is_heard_within_a_queue(foreign_bench, assets):
    """Sectors of a Photon take seconds to erase; the queue is taken back, and another run goes on."""
    bench = foreign_bench("photon", arrives_in="dfu", delays="realistic")
    file = assets / "updates" / SYSTEM["photon"]
    script = 'env --default-signal=INT timeout -s INT --preserve-status 4 "$1" -c "$2" "$3" || test $? = 130'
    bench.shell(script, sys.executable, FLASH, file)
    assert file.read_bytes() not in bench.flash("photon")
    bench.run(sys.executable, "-c", FLASH, file)
    assert file.read_bytes() in bench.flash("photon")
