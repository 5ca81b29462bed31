"""Seconds on the chip's and probe's own time line (``particle_harness.swd.wire_time``), against what the chip itself
needs at least: Device OS 2.1.0 and Tinker on a blank Boron and a blank Photon, by pyOCD's flash loader.

Usage: bench_swd.py FOLDER, with the folder that ``make firmware-for-tests`` fills, by the Python of an environment with
particle-dev[swd,emulator]. Wire, packets, page erases and stores take modelled time, so the seconds do not depend on
this machine; the host's processor time does. Exits with 1 when what lies in flash is not the image.
"""

import os
import sys
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
        best = row("pyOCD at 4 MHz", flash_once(platform, image, frequency=4 * MHZ))
        if platform == "boron":
            mass = {"loader": {"chip_erase": "chip"}}
            best = row("pyOCD at 4 MHz, chip erase", flash_once(platform, image, frequency=4 * MHZ, **mass))
            slow = flash_once(platform, image, frequency=4 * MHZ, model=FULL_SPEED_HID, **mass)
            row("the same by a full-speed HID probe", slow)
        row("unchanged, pages read back", flash_once(platform, image, again=True, frequency=4 * MHZ))
        trusting = {"loader": {"trust_crc": True}}
        row("unchanged, CRCs by the chip", flash_once(platform, image, again=True, frequency=4 * MHZ, **trusting))
        # Each chip has a probe of its own; what they share is this machine.
        seconds, host_s = best
        together_s = max(seconds, SLOTS * host_s / (os.cpu_count() or 1))
        print(f"  eight at once, limited by chip or by host: {together_s / seconds:.2f} x one")


if __name__ == "__main__":
    main()
