"""pyOCD's own CMSIS-DAP client and flash algorithm on the time model: what takes time on a real chip takes it here."""

import os

import pytest
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.cmsis_dap import CmsisDap
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.plugged import plugged
from particle_harness.swd.wire_time import FULL_SPEED_HID, HIGH_SPEED_BULK, WireTime
from pyocd.core.session import Session
from pyocd.flash.loader import FlashLoader
from pyocd.probe.aggregator import DebugProbeAggregator

from particle_dev.catalog.flash_chips import NRF52840_FLASH

IMAGE = os.urandom(64 * 1024)
WORDS, PAGES = len(IMAGE) // 4, len(IMAGE) // 4096
PROGRAM_S, PAGE_ERASE_S, MASS_ERASE_S = 41e-6, 0.085, 0.169


def commit_s(erase, frequency_hz=4_000_000, model=HIGH_SPEED_BULK):
    time = WireTime(model)
    chip = Nrf52840(Silicon(bytes(8)), NorFlash(NRF52840_FLASH, time), time=time)
    probe = CmsisDap(chip, "T1", time)
    options = {
        "target_override": "nrf52840",
        "auto_unlock": False,
        "no_config": True,
        "hide_programming_progress": True,
        "frequency": frequency_hz,
    }
    with plugged(probe):
        (pyocd_probe,) = DebugProbeAggregator.get_all_connected_probes("T1")
        with Session(pyocd_probe, options=options) as session:
            loader = FlashLoader(session, progress=lambda _done: None, chip_erase=erase)
            loader.add_data(0, IMAGE)
            start_s = time.now_s
            loader.commit()
            assert chip.flash.read(0, len(IMAGE)) == IMAGE
            return time.now_s - start_s


def test_programming_hides_behind_the_wire_or_the_wire_behind_it():
    floor_s = WORDS * PROGRAM_S + MASS_ERASE_S
    assert floor_s < commit_s("chip") < 1.2 * floor_s
    wire_s = WORDS * 46 / 500_000
    assert commit_s("chip", 500_000) == pytest.approx(wire_s + MASS_ERASE_S, rel=0.2)


def test_erasing_page_by_page_costs_every_page():
    assert commit_s("sector") == pytest.approx(PAGES * PAGE_ERASE_S + WORDS * PROGRAM_S, rel=0.1)


def test_a_slow_probe_is_slow():
    assert commit_s("chip", model=FULL_SPEED_HID) > 2 * commit_s("chip")
