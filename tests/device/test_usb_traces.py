"""What we send for a job is what npm's particle-usb sends (recorded in tests/golden/usb-traces), but for the rows of a
table that says why."""

import difflib
import json
import re
from pathlib import Path

import pytest
from particle_harness.bench import default_device_id
from particle_harness.bench_toml import modules_in
from particle_harness.boards import hardware
from particle_harness.usb.trace import describe, trace_control_transfers

from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.modes import enter_dfu
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.files import read_module_files
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.plan import make_plan
from particle_dev.permissions import Permissions
from particle_dev.station.bench import open_bench

GOLDEN = Path(__file__).parents[1] / "golden" / "usb-traces"
TINKER = {
    "boron": "tinker-0.8.0-rc.27-boron.bin",
    "photon": "tinker-0.4.5-photon.bin",
    "tracker": "tracker-tinker@1.5.4-rc.1.bin",
}
BOOTLOADER = {
    "boron": "boron-bootloader@2.1.0.bin",
    "photon": "photon-bootloader@2.1.0+lto.bin",
    "tracker": "tracker-bootloader@2.1.0.bin",
}

OURS, THEIRS = "ours", "particle-usb"
DIFFERENCES = (
    # jobs, whose transfer, which one, why
    (
        "identify enter_dfu flash update",
        THEIRS,
        r"GET_DESCRIPTOR string [23]",
        "reads serial number and product name at each opening; discovery has read them once per enumeration",
    ),
    (
        "enter_dfu flash update",
        THEIRS,
        r"raw request 30 -> .*",
        "asks the system version at each opening, in DFU mode too, where it stalls; we ask before a request that "
        "depends on it, after the requests of dead hosts are cancelled",
    ),
    ("identify", THEIRS, r"RESET 0 -> .*", "cancels the requests of dead hosts after it asked the version"),
    ("identify", OURS, r"RESET 0 -> .*", "cancels them first"),
    (
        "enter_dfu",
        THEIRS,
        r"GET_DESCRIPTOR configuration 0|standard request 11 0 0",
        "opens the DFU interface to see that it arrived; to us the product id of the new enumeration is the proof",
    ),
    ("flash", THEIRS, r"standard request 11 0 0", "selects the alternate setting when it opens and again to write"),
    ("flash", THEIRS, r"GET_DESCRIPTOR string 6", "asks for the length of a string before the string"),
    ("flash", OURS, r"GET_DESCRIPTOR string [678]", "reads the layouts of all memories, not of the first one alone"),
    (
        "flash",
        OURS,
        r"UPLOAD .*|ABORT|GETSTATUS -> dfuIDLE",
        "compares before it erases and proves by reading back afterwards; particle-usb reads nothing",
    ),
    (
        "flash",
        OURS,
        r"DNLOAD SET_ADDRESS .*|GETSTATUS -> (dfuDNBUSY|dfuDNLOAD-IDLE)",
        "the addresses of that reading",
    ),
    (
        "flash",
        THEIRS,
        r"DNLOAD ERASE .*|GETSTATUS -> (dfuDNBUSY|dfuDNLOAD-IDLE)",
        "erases everything first; we erase a sector when its blocks follow, so that what is right stays",
    ),
    ("flash", OURS, r"DNLOAD ERASE .*", "see the row before"),
    (
        "flash",
        THEIRS,
        r"DNLOAD SET_ADDRESS .*|DNLOAD 2 .* bytes .*",
        "sets the address before each block, which is then block 2; we number blocks from the last address that stands",
    ),
    ("flash", OURS, r"DNLOAD [3-9] .* bytes .*", "see the row before"),
    (
        "update",
        THEIRS,
        r"INIT 251 with 2 bytes -> .*|SEND \d+ -> 0800",
        "validate_only = false, spelled out",
    ),
    ("update", OURS, r"INIT 251 with 0 bytes -> .*", "the same by its default, an empty message"),
)


PLATFORMS = tuple(TINKER)


@pytest.fixture
def assets(particle_cli_firmware):
    return particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets"


@pytest.fixture
def ours(assets):
    """Our way to do a job, on a virtual board as the recorded one was; the transfers in words."""
    opened = []

    def do(job, platform):
        slot = {
            "name": platform,
            "platform": platform,
            "device_id": default_device_id(hardware(platform), platform),
            "arrives_in": "dfu" if job == "flash" else "app",
        }
        options = {"delays": "none", "clock": "virtual"}
        opened.append(
            open_bench("virtual", options=options, slots=[slot], factory_modules=modules_in(assets / "updates"))
        )
        seen = []
        WAYS[job](opened[-1], platform, assets, lambda: watch(opened[-1], platform, seen))
        return seen

    yield do
    for bench in opened:
        bench.close()


def watch(bench, platform, seen):
    trace_control_transfers(bench.driver.board(platform), lambda record: seen.append(describe(record)))


def identify(bench, platform, assets, start):
    host, device = there(bench)
    start()
    with ControlSession(host, device) as session:
        session.module_info()


def into_dfu_mode(bench, platform, assets, start):
    host, device = there(bench)
    start()
    enter_dfu(host, device)


def update(bench, platform, assets, start):
    host, device = there(bench)
    start()
    with ControlSession(host, device, Permissions(may_connect=True)) as session:
        session.update_firmware((assets / "updates" / BOOTLOADER[platform]).read_bytes())


def flash_application(bench, platform, assets, start):
    host, device = there(bench)
    modules, contents = read_module_files([assets / "binaries" / TINKER[platform]])
    with DfuSession(host, device) as session:
        plan = make_plan(inventory_by_dfu(session), modules)
    start()
    with DfuSession(host, device, Permissions(may_connect=True)) as session:
        list(flash(plan, session, contents.__getitem__))
        list(verify(plan, session, contents.__getitem__))
        session.leave()


WAYS = {"identify": identify, "enter_dfu": into_dfu_mode, "update": update, "flash": flash_application}


def there(bench):
    (slot,) = bench.slots
    return slot.host, wait_for_device(slot.host, slot.port_path, 10)


def recorded(job, platform):
    lines = (GOLDEN / f"{job}-{platform}.jsonl").read_text(encoding="utf-8").splitlines()
    return [describe(json.loads(line)) for line in lines]


def differences(theirs, ours):
    """(whose, transfer) for each that the other side lacks at that place."""
    for tag, a, b, c, d in difflib.SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from ((THEIRS, text) for text in theirs[a:b])
            yield from ((OURS, text) for text in ours[c:d])


@pytest.mark.parametrize("job", WAYS)
def test_we_differ_from_particle_usb_only_where_the_table_says_why(ours, job):
    rows = [(whose, pattern) for jobs, whose, pattern, _ in DIFFERENCES if job in jobs.split()]
    found = [pair for platform in PLATFORMS for pair in differences(recorded(job, platform), ours(job, platform))]

    def explains(row, pair):
        return row[0] == pair[0] and re.fullmatch(row[1], pair[1])

    assert [pair for pair in found if not any(explains(row, pair) for row in rows)] == []
    assert [row for row in rows if not any(explains(row, pair) for pair in found)] == [], "rows that explain nothing"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_erased_and_written_is_the_same(ours, platform):
    def effects(transfers):
        address, erased, written = None, [], []
        for text in transfers:
            if text.startswith("DNLOAD SET_ADDRESS"):
                address = int(text.split()[-1], 16)
            elif text.startswith("DNLOAD ERASE"):
                erased.append(text.split()[-1])
            elif text.startswith("DNLOAD") and "bytes" in text:
                block, content = text.removeprefix("DNLOAD ").split(" ", 1)
                written.append((address + (int(block) - 2) * 4096, content))
        return erased, written

    mine, theirs = effects(ours("flash", platform)), effects(recorded("flash", platform))
    assert mine == theirs
    assert len(mine[1]) > 1
