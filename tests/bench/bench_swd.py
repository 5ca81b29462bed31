"""Seconds on the chip's and probe's own time line (``particle_harness.swd.wire_time``), against what the chip itself
needs at least: Device OS 2.1.0 and Tinker on a Boron and a Photon, by pyOCD's flash loader and by ours.

Usage: bench_swd.py FOLDER, with the folder that ``make firmware-for-tests`` fills, by the Python of an environment with
particle-dev[swd,emulator]. Wire, packets, page erases and stores take modelled time, so the seconds do not depend on
this machine; the host's processor time does. Eight at once are stated twice: by the time model, and by the clock on the
wall, eight processes with a chip each that takes its time in earnest and has no emulator, see swd_slot.py. Exits with 1
when what lies in flash is not the image.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from particle_harness.nor_flash import NorFlash
from particle_harness.swd.cmsis_dap import CmsisDap
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.plugged import plugged
from particle_harness.swd.stm32f205 import Stm32f205
from particle_harness.swd.wire_time import FULL_SPEED_HID, HIGH_SPEED_BULK, WireTime
from pyocd.core.session import Session
from pyocd.flash.loader import FlashLoader
from pyocd.probe.aggregator import DebugProbeAggregator

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.device.swd import swd_session
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.swd_execute import carry_out_swd
from particle_dev.flash.swd_image import Segment, module_segments
from particle_dev.flash.swd_inventory import chip_state
from particle_dev.flash.swd_plan import make_swd_plan
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol.module import parse

FILES = {
    "boron": (
        "updates/boron-bootloader@2.1.0.bin",
        "updates/boron-softdevice@2.1.0.bin",
        "updates/boron-system-part1@2.1.0.bin",
        "binaries/tinker-0.8.0-rc.27-boron.bin",
    ),
    "photon": (
        "updates/photon-bootloader@2.1.0+lto.bin",
        "updates/photon-system-part1@2.1.0.bin",
        "updates/photon-system-part2@2.1.0.bin",
        "binaries/tinker-0.4.5-photon.bin",
    ),
}
SLOTS = 8
MHZ = 1_000_000
CHIPS = {"boron": NRF52840_FLASH, "photon": STM32F205_FLASH}
TARGETS = {"boron": "nrf52840", "photon": "stm32f412xg"}


@dataclass
class Timed(CmsisDap):
    """A probe that counts how much of the processor's time its chip's emulation took."""

    emulation_s: float = 0.0

    def handle(self, packet):
        start_s = time.process_time()
        try:
            return super().handle(packet)
        finally:
            self.emulation_s += time.process_time() - start_s


MBR = Segment("boot record", 0, bytes.fromhex("0004002001050000") + bytes(range(256)) * 10)


def segments_of(assets, platform):
    """What ours is given: the boot record of a Boron, Device OS, Tinker."""
    contents = {name: (assets / name).read_bytes() for name in FILES[platform]}
    files = [ModuleFile(parse(data), name, Path(name).name) for name, data in contents.items()]
    board = platform_by_name(platform)
    return (*([MBR] if platform == "boron" else []), *module_segments(board, files, contents.__getitem__))


def older(segment):
    """Another module of that size in that place: right in nothing."""
    return Segment("older", segment.address, bytes(b ^ 0x55 for b in segment.data))


def ours(platform, before, wanted, permissions=NOTHING):
    """Modelled seconds of carrying the plan out, of the whole session, and host seconds."""
    chip, wire = blank(platform, HIGH_SPEED_BULK)
    for segment in before:
        chip.flash.load(segment.address, segment.data)
    if platform == "boron" and before:
        for address, word in ((0x14, 0xF4000), (0x200, 0x12), (0x204, 0x12)):
            chip.uicr[address : address + 4] = word.to_bytes(4, "little")
    chip.bus.code_changed = True
    probe, board = Timed(chip, "BENCH", wire), platform_by_name(platform)

    def now_s():
        return max(wire.now_s, wire.monotonic_s())

    with plugged(probe):
        cpu_s = time.process_time()
        with swd_session("BENCH", board, in_process=True, clock=wire.host_clock) as session:
            replaced = {s.part.key for s in wanted if s.part}
            state = chip_state(session, session.identity(), board, replaced=replaced)
            plan = make_swd_plan(state, wanted, permissions)
            start_s = now_s()
            for _ in carry_out_swd(session, plan, permissions=permissions, save_backup=lambda _pages: ""):
                pass
            carried_out_s = now_s() - start_s
        host_s = time.process_time() - cpu_s - probe.emulation_s
    for segment in wanted:
        if chip.flash.read(segment.address, len(segment.data)) != segment.data:
            sys.exit(f"{platform}: flash differs from the image at 0x{segment.address:08x}")
    return carried_out_s, now_s(), host_s


def page_floor_s(platform, segments, more_pages=0):
    """Page by page: the sectors of these pieces and their words; ``more_pages`` of a Boron whole."""
    chip = CHIPS[platform]
    flash = NorFlash(chip, WireTime())
    starts = [a for s in segments for a in range(s.address, s.end_address, 4096)]
    erases_s = sum(erase_s for _, erase_s in {flash.sector(a)[::2] for a in starts})
    words = sum(-(-len(s.data) // 4) for s in segments) + 1024 * more_pages
    return erases_s + more_pages * chip.sectors[0].erase_s + words * chip.program_s


def eight_at_once(segments):
    """Seconds on the wall for one board, and for the last of eight."""
    slot = Path(__file__).with_name("swd_slot.py")
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, segment in enumerate(segments):
            files.append(f"{segment.address}:{folder}/{number}")
            Path(folder, str(number)).write_bytes(segment.data)

        def run(count):
            started = [
                subprocess.Popen(
                    [sys.executable, slot, str(n), *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                for n in range(count)
            ]
            for process in started:
                process.stdout.readline()
            for process in started:
                process.stdin.write("go\n")
                process.stdin.flush()
            answers = [process.communicate()[0].split() for process in started]
            if any(process.returncode for process in started):
                sys.exit("a slot has failed")
            return [(float(wall), float(cpu)) for wall, cpu in answers]

        ((one_s, cpu_s),) = run(1)
        together = run(SLOTS)
        return one_s, max(wall for wall, _ in together), cpu_s


def modules(assets, platform):
    for name in FILES[platform]:
        data = (assets / name).read_bytes()
        module = parse(data)
        yield module.start_address, data[module.payload_offset : module.size_bytes]


def floor_s(platform, image):
    """Every word once, everything erased in the cheapest way: one mass erase, or the sectors that the image touches."""
    chip = CHIPS[platform]
    words_s = sum(-(-len(data) // 4) for _, data in image) * chip.program_s
    if platform == "boron":
        return words_s + chip.mass_erase_s
    flash = NorFlash(chip, WireTime())
    sectors = {flash.sector(a)[::2] for start, data in image for a in range(start, start + len(data), 4096)}
    return words_s + sum(erase_s for _, erase_s in sectors)


def blank(platform, model):
    wire = WireTime(model)
    flash = NorFlash(CHIPS[platform], wire)
    if platform == "boron":
        return Nrf52840(Silicon(bytes(8)), flash, time=wire), wire
    return Stm32f205(bytes(12), flash, time=wire), wire


def flash_once(platform, image, *, again=False, model=HIGH_SPEED_BULK, loader=None, **options):
    """Modelled seconds, host seconds. ``again``: the image lies there already."""
    chip, wire = blank(platform, model)
    if again:
        for address, data in image:
            chip.flash.load(address, data)
    probe = Timed(chip, "BENCH", wire)
    chosen = {"target_override": TARGETS[platform], "auto_unlock": False, "no_config": True, **options}
    with plugged(probe):
        cpu_s = time.process_time()
        (found,) = DebugProbeAggregator.get_all_connected_probes("BENCH")
        with Session(found, options={"hide_programming_progress": True, **chosen}) as session:
            flash_loader = FlashLoader(session, progress=lambda _done: None, **(loader or {}))
            for address, data in image:
                flash_loader.add_data(address, data)
            flash_loader.commit()
        host_s = time.process_time() - cpu_s - probe.emulation_s
    for address, data in image:
        if chip.flash.read(address, len(data)) != data:
            sys.exit(f"{platform}: flash differs from the image at 0x{address:08x}")
    return wire.now_s, host_s


def main():
    assets = Path(sys.argv[1]) / "particle-cli-2.12.0" / "package" / "assets"
    for platform in FILES:
        image = list(modules(assets, platform))
        floor = floor_s(platform, image)
        size_bytes = sum(len(data) for _, data in image)
        print(f"{platform}: {size_bytes} bytes, floor {floor:.2f} s")

        def row(what, took, floor=floor):
            seconds, host_s = took
            print(f"  {what:<58}{seconds:7.2f} s, {seconds / floor:5.2f} x floor; host {host_s:.2f} s")
            return took

        row("pyOCD, its defaults (1 MHz, page by page)", flash_once(platform, image))
        row("pyOCD at 4 MHz", flash_once(platform, image, frequency=4 * MHZ))
        if platform == "boron":
            mass = {"loader": {"chip_erase": "chip"}}
            row("pyOCD at 4 MHz, chip erase", flash_once(platform, image, frequency=4 * MHZ, **mass))
            slow = flash_once(platform, image, frequency=4 * MHZ, model=FULL_SPEED_HID, **mass)
            row("the same by a full-speed HID probe", slow)
        row("unchanged, pages read back", flash_once(platform, image, again=True, frequency=4 * MHZ))
        trusting = {"loader": {"trust_crc": True}}
        row("unchanged, CRCs by the chip", flash_once(platform, image, again=True, frequency=4 * MHZ, **trusting))
        compare_ours(platform, segments_of(assets, platform))


def compare_ours(platform, whole):
    """Our own rows, each against the floor of what it has to do."""

    def row(what, floor, took):
        carried_out_s, session_s, host_s = took
        ratio = f"{carried_out_s / floor:5.2f} x its floor of {floor:.2f} s" if floor else " " * 27
        print(f"  ours: {what:<52}{carried_out_s:7.2f} s, {ratio}; session {session_s:.2f} s, host {host_s:.2f} s")
        return took

    set_floor = floor_s(platform, [(s.address, s.data) for s in whole])
    used_floor = page_floor_s(platform, whole)
    app = whole[-1:]
    stale = (*whole[:-1], *map(older, app))
    took = row("blank, full set", set_floor if platform == "boron" else None, ours(platform, (), whole))
    row("used, full set", used_floor, ours(platform, (*whole[:1], *map(older, whole[1:])), whole))
    row("unchanged, proven by CRCs of the chip", None, ours(platform, whole, whole))
    may_connect = Permissions(may_connect=True)
    row("only the application, --may-connect", page_floor_s(platform, app), ours(platform, stale, whole, may_connect))
    if platform == "boron":
        braked = page_floor_s(platform, app, more_pages=1)
        row("only the application, with the page that is the brake", braked, ours(platform, stale, whole))
        one_s, eight_s, cpu_s = eight_at_once(whole)
        busy_s, load = SLOTS * cpu_s / (os.cpu_count() or 1), os.getloadavg()[0]
        model = max(took[0], SLOTS * took[2] / (os.cpu_count() or 1)) / took[0]
        print("  ours: eight slots at once")
        print(f"    by the time model, limited by chip or by host: {model:.2f} x one")
        print(
            f"    by the wall clock: the last after {eight_s:.2f} s, one alone {one_s:.2f} s: {eight_s / one_s:.2f} x"
        )
        print(
            f"      says something of slots only on an idle machine: {os.cpu_count()} cores, load {load:.1f}; the eight"
        )
        print(f"      chips that it plays, too, keep it busy, with {cpu_s:.2f} s each for {busy_s:.2f} s")


if __name__ == "__main__":
    main()
