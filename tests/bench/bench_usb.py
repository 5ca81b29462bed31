"""How fast is flashing over USB, as ratios within one run? Run by `make bench` after `make judges-setup`.

Usage: bench_usb.py FIRMWARE JUDGES [QUESTION…], with the folders that `make firmware-for-tests` and
`make judges-setup` fill. Questions (default: all):

transfer   a system part of 500 KB, no device delay, against dfu-util over the same mocked bus. Both from the first DFU
           request to the last, as the board sees them. Ours compares before: until the last block is written, the
           target is that dfu-util takes 1.5 × ours. And it reads back, which dfu-util does not: that stands beside it
device     the same with realistic delays against the board's own erase and write times, target 1.03 ×; and against
           these plus the time that the bus takes
set        bootloader, SoftDevice, system part and application of a Boron, realistic delays, whole commands, against
           `particle flash --local`. Target: 2 ×; 5 × when only the application differs. Beside each time stands what of
           it was the board's own: its flash at work while on the bus, and the time it was off the bus (resets, starts,
           copies by its bootloader). No host can be faster than that with the same way. particle-cli leaves the
           SoftDevice out and reads nothing back; so ours is also timed on a board that has the SoftDevice already
eight      eight boards at once with realistic delays against one. Target: 1.15 ×
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from particle_harness.bench import open_bench
from particle_harness.bench_toml import modules_in
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, build_module
from particle_harness.umockdev.testbed import UmockdevBus
from particle_harness.usb.transfer import TYPE_CLASS

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.files import read_module_files
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.plan import make_plan
from particle_dev.station.bench import open_bench as open_station_bench

SYSTEM = {"boron": ("boron-system-part1@2.1.0.bin", 0x30000), "photon": ("photon-system-part1@2.1.0.bin", 0x08020000)}
BORON_SET = ("boron-bootloader@2.1.0.bin", "boron-softdevice@2.1.0.bin", "boron-system-part1@2.1.0.bin")
TINKER = "tinker-0.8.0-rc.27-boron.bin"
ROUNDS = 5
RESET_S = 6
"""More than a board needs for the reset that ended the last command."""
GET_DESCRIPTOR, CONFIGURATION = 6, 0x0200
DNLOAD = 1
# The libusb that particle-dev brings has no udev and so cannot follow a mode change on a mocked bus; the system's can.
PARTICLE_DEV = """
import libusb_package, usb.backend.libusb1
libusb_package.get_libusb1_backend = usb.backend.libusb1.get_backend
from particle_dev.cli.main import main
main()
"""
# A DFU session by itself: what is on the board has been read before, and the plan is made.
SESSION = """
import sys
import libusb_package, usb.backend.libusb1
libusb_package.get_libusb1_backend = usb.backend.libusb1.get_backend
from pathlib import Path
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import list_devices
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.files import read_module_files
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.plan import make_plan
from particle_dev.station.bench import open_bench
host = open_bench("usb").host
(device,) = list_devices(host)
modules, contents = read_module_files([Path(name) for name in sys.argv[1:]])
with DfuSession(host, device) as session:
    plan = make_plan(inventory_by_dfu(session), modules)
with DfuSession(host, device) as session:
    for event in flash(plan, session, contents.__getitem__): pass
    for event in verify(plan, session, contents.__getitem__): pass
"""


def run(boards, argv):
    """Run a command that must succeed with these boards on its bus; wall-clock seconds."""
    with UmockdevBus(boards) as bus:
        start_s = time.perf_counter()
        done = subprocess.run(argv, env={**os.environ, **bus.environment}, capture_output=True, text=True, check=False)
        elapsed_s = time.perf_counter() - start_s
    if done.returncode != 0:
        sys.exit(f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return elapsed_s


def dfu_times(board):
    """Moments at which DFU requests of the last session begin and end, from now on, and what they are."""
    control, moments = board.control, []

    def timed(address, setup, data=b""):
        if (setup.b_request, setup.w_value) == (GET_DESCRIPTOR, CONFIGURATION):
            moments.clear()
        begin_s = time.perf_counter()
        try:
            return control(address, setup, data)
        finally:
            if setup.kind == TYPE_CLASS:
                moments.append((begin_s, time.perf_counter(), setup.b_request))

    board.control = timed
    return moments


def transfer(assets):
    for platform, (name, address) in SYSTEM.items():
        file = assets / "updates" / name

        def once(argv, platform=platform, file=file, address=address):
            slots = [{"platform": platform, "arrives_in": "dfu"}]
            modules = modules_in(assets / "updates")
            bench = open_bench(options={"delays": "none"}, slots=slots, state_dir=None, factory_modules=modules)
            moments = dfu_times(bench.boards[0])
            run(bench.boards, argv)
            bench.close()
            assert file.read_bytes() in bench.boards[0].internal.read(
                bench.boards[0].internal.chip.base_address, 1 << 20
            )
            written = max(n for n, (_, _, request) in enumerate(moments) if request == DNLOAD)
            return moments[-1][1] - moments[0][0], moments[written][1] - moments[0][0], len(moments)

        theirs, ours = [], []
        for _ in range(ROUNDS):
            theirs.append(once(["dfu-util", "-a", "0", "-s", hex(address), "-D", str(file)]))
            ours.append(once([sys.executable, "-c", SESSION, str(file)]))
        theirs_s = statistics.median(seconds for seconds, _, _ in theirs)
        proven_s = statistics.median(seconds for seconds, _, _ in ours)
        written_s = statistics.median(seconds for _, seconds, _ in ours)
        print(
            f"DFU of {file.stat().st_size} bytes to a {platform}, no device delay: dfu-util {theirs_s:.2f} s in "
            f"{theirs[0][2]} transfers; ours, compared and written, {written_s:.2f} s, ratio "
            f"{theirs_s / written_s:.2f} (target 1.5); with the read-back, which dfu-util has not, {proven_s:.2f} s "
            f"in {ours[0][2]} transfers, ratio {theirs_s / proven_s:.2f}"
        )


def flash_in_process(slot, modules, contents, *times):
    """Flash and verify over the in-process seam; seconds from compare to read-back."""
    device = wait_for_device(slot.host, slot.port_path, 10)
    with DfuSession(slot.host, device) as session:
        plan = make_plan(inventory_by_dfu(session), modules)
        for counted in times:
            counted.clear()
        start_s = time.perf_counter()
        for _ in flash(plan, session, contents.__getitem__):
            pass
        for _ in verify(plan, session, contents.__getitem__):
            pass
        return time.perf_counter() - start_s


def boards_in_dfu_mode(assets, platforms):
    return open_station_bench(
        "virtual",
        options={"clock": "real"},
        slots=[{"name": str(n), "platform": p, "arrives_in": "dfu"} for n, p in enumerate(platforms)],
        factory_modules=modules_in(assets / "updates"),
    )


def device(assets):
    for platform, (name, _) in SYSTEM.items():
        modules, contents = read_module_files([assets / "updates" / name])
        bench = boards_in_dfu_mode(assets, [platform])
        board, busy_s, all_s = bench.driver.board("0"), [], []
        board.internal._busy = busy_time(board.internal._busy, busy_s)
        board.clock.sleep = busy_time(board.clock.sleep, all_s)
        elapsed_s = flash_in_process(bench.slots[0], modules, contents, busy_s, all_s)
        bench.close()
        print(
            f"{name} to a {platform} with realistic delays: {elapsed_s:.2f} s; erase and write times of its flash "
            f"{sum(busy_s):.2f} s, ratio {elapsed_s / sum(busy_s):.3f} (target 1.03); with the bus {sum(all_s):.2f} s, "
            f"ratio {elapsed_s / sum(all_s):.3f}"
        )


def busy_time(work, busy_s):
    def timed(duration_s):
        busy_s.append(duration_s)
        work(duration_s)

    return timed


def old_softdevice(platform):
    """Another SoftDevice than that of the set, so that it must be replaced."""
    kind, body = hardware(platform), bytearray(0x2100)
    body[0x200C:0x200E] = (169).to_bytes(2, "little")
    module = build_module(
        kind, ModuleFunction.RADIO_STACK, 0, 169, start_address=0x1000, size_bytes=140000, flags=1, body=bytes(body)
    )
    return [bootloader_stand_in(kind, 501), module]


class OwnTime:
    """What a board spends by itself: flash at work while it is on the bus, and absence from it between the first and
    the last transfer of a command."""

    def __init__(self, board):
        self._board, self.busy_s, self.absent_s, self._left_s = board, 0.0, 0.0, None
        for chip in (board.internal, board.external):
            self._time(chip)
        control = board.control

        def timed(address, setup, data=b""):
            if self._left_s is not None:
                self.absent_s += time.perf_counter() - self._left_s
                self._left_s = None
            return control(address, setup, data)

        board.control = timed
        threading.Thread(target=self._watch, daemon=True).start()

    def _time(self, chip):
        work = chip._busy

        def busy(duration_s):
            if self._board.state.attached:
                self.busy_s += duration_s
            work(duration_s)

        chip._busy = busy

    def _watch(self):
        while True:
            if self._left_s is None and not self._board.state.attached:
                self._left_s = time.perf_counter()
            time.sleep(0.005)

    def take(self):
        """Seconds since the last call."""
        own_s, self.busy_s, self.absent_s, self._left_s = self.busy_s + self.absent_s, 0.0, 0.0, None
        return own_s


def whole_set(assets, judges):
    files = [str(assets / "updates" / name) for name in BORON_SET] + [str(assets / "binaries" / TINKER)]
    particle = judges / "node" / "node_modules" / "particle-cli" / "src" / "index.js"
    with tempfile.TemporaryDirectory() as folder:
        home = ["env", f"HOME={folder}"]
        commands = {
            "ours": lambda board: [sys.executable, "-c", PARTICLE_DEV, "flash", "--may-connect", *files],
            "particle-cli": lambda board: [
                *(*home, "node", str(particle), "flash", "--local", board.state.device_id),
                *files,
            ],
        }
        times = {}
        softdevice = (assets / "updates" / BORON_SET[1]).read_bytes()
        boards = {
            "ours": ("ours", old_softdevice),
            "particle-cli": ("particle-cli", old_softdevice),
            "ours, without the SoftDevice": (
                "ours",
                lambda platform: [bootloader_stand_in(hardware(platform), 501), softdevice],
            ),
        }
        for name, (tool, modules) in boards.items():
            command = commands[tool]
            slots = [{"platform": "boron", "bootloader": "old"}]
            bench = open_bench(options={}, slots=slots, state_dir=None, factory_modules=modules)
            board = bench.boards[0]
            own = OwnTime(board)
            first_s = run(bench.boards, command(board))
            first_own_s = own.take()
            time.sleep(RESET_S)
            # Without its first page the application is another one.
            board.internal.erase_sector(0xD4000)
            own.take()
            times[name] = (first_s, first_own_s), (run(bench.boards, command(board)), own.take())
            time.sleep(RESET_S)
            board.advance()
            flash_now = board.internal.read(0, 1 << 20)
            # The SoftDevice lies there without its prefix.
            lacking = [Path(file).name for file in files if Path(file).read_bytes()[24:] not in flash_now]
            if lacking:
                print(f"{name} leaves the board without {', '.join(lacking)}")
            bench.close()
    for what, index, target in (("whole Boron", 0, 2), ("only the application differs", 1, 5)):
        (ours_s, our_own_s), (theirs_s, their_own_s) = times["ours"][index], times["particle-cli"][index]
        print(
            f"{what}, realistic delays: particle-cli {theirs_s:.1f} s (the board's own {their_own_s:.1f} s), ours "
            f"{ours_s:.1f} s (own {our_own_s:.1f} s); ratio {theirs_s / ours_s:.2f} (target {target}), of the board's "
            f"own times {their_own_s / our_own_s:.2f}"
        )
    (same_s, same_own_s), (theirs_s, _) = times["ours, without the SoftDevice"][0], times["particle-cli"][0]
    print(
        f"whole Boron, the modules that particle-cli flashes: ours {same_s:.1f} s (own {same_own_s:.1f} s); ratio "
        f"{theirs_s / same_s:.2f}"
    )


def eight(assets):
    modules, contents = read_module_files([assets / "updates" / SYSTEM["boron"][0]])

    def together(count):
        bench = boards_in_dfu_mode(assets, ["boron"] * count)
        work = [threading.Thread(target=flash_in_process, args=(s, modules, contents)) for s in bench.slots]
        start_s = time.perf_counter()
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        bench.close()
        return time.perf_counter() - start_s

    one_s, eight_s = together(1), together(8)
    print(
        f"eight Borons at once, realistic delays: {eight_s:.1f} s; one {one_s:.1f} s; ratio {eight_s / one_s:.2f} "
        f"(target 1.15)"
    )


def main():
    if "libumockdev-preload" not in os.environ.get("LD_PRELOAD", ""):
        os.execvp("umockdev-wrapper", ["umockdev-wrapper", sys.executable, *sys.argv])
    assets = Path(sys.argv[1]) / "particle-cli-2.12.0" / "package" / "assets"
    questions = {
        "transfer": lambda: transfer(assets),
        "device": lambda: device(assets),
        "set": lambda: whole_set(assets, Path(sys.argv[2])),
        "eight": lambda: eight(assets),
    }
    for name in sys.argv[3:] or questions:
        questions[name]()


if __name__ == "__main__":
    main()
