"""Faults by script on a debug probe: plain transfers first, then what pyOCD makes of them."""

import os

import pytest
from particle_harness.bench import open_bench
from particle_harness.boards import hardware
from particle_harness.factory import release_stand_ins
from particle_harness.swd.debug_port import DPIDR, Acknowledge, DapFaultError, ProbeGoneError, WireError
from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.flash.loader import FlashLoader
from pyocd.probe.aggregator import DebugProbeAggregator

from particle_dev.errors import BenchError

NVMC_CONFIG, NVMC_ERASE_PAGE = 0x4001E504, 0x4001E508
DHCSR, DCRSR, DCRDR, HALT, GO = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xA05F0003, 0xA05F0001
S_HALT = 1 << 17
IMAGE = os.urandom(3 * 4096)


@pytest.fixture
def make_slot():
    opened = []

    def make(*faults, **slot):
        bench = open_bench(
            options={"clock": "virtual", "delays": "none"},
            slots=[{"name": "1", "platform": "boron", "probe": True, "faults": faults, **slot}],
            state_dir=None,
            factory_modules=lambda platform: release_stand_ins(hardware(platform)),
        )
        opened.append(bench)
        return bench.slots[0]

    yield make
    for bench in opened:
        bench.close()


def pyocd_session(slot, **options):
    (probe,) = DebugProbeAggregator.get_all_connected_probes(slot.probe.serial_number)
    chosen = {
        "target_override": "nrf52840",
        "auto_unlock": False,
        "no_config": True,
        "hide_programming_progress": True,
        "resume_on_disconnect": False,
        "flash.timeout.erase_sector": 0.3,
        "flash.timeout.program": 0.3,
        "flash.timeout.init": 0.3,
        **options,
    }
    return Session(probe, options=chosen)


def flash_by_pyocd(slot, address=0x40000, **options):
    with pyocd_session(slot, **options) as session:
        loader = FlashLoader(session, progress=lambda _done: None, chip_erase="sector")
        loader.add_data(address, IMAGE)
        loader.commit()


@pytest.mark.parametrize(("word", "acknowledge"), [("wait", Acknowledge.WAIT), ("parity", Acknowledge.PARITY_ERROR)])
def test_a_storm_is_as_long_as_the_script_says(make_slot, word, acknowledge):
    port = make_slot({"do": word, "at": "swd_transfer", "n": 3, "count": 2}).board.chip.debug_port
    assert [port.read_dp(0), port.read_dp(0)] == [DPIDR] * 2
    for _ in range(2):
        with pytest.raises(WireError) as raised:
            port.read_dp(0)
        assert raised.value.acknowledge is acknowledge
    assert port.read_dp(0)


def test_fault_answers_are_sticky(make_slot):
    port = make_slot({"do": "fault", "at": "swd_transfer", "n": 2}).board.chip.debug_port
    port.write_dp(4, 0x50000000)
    with pytest.raises(DapFaultError):
        port.read_ap(0)
    with pytest.raises(DapFaultError):
        port.read_ap(0)
    port.write_dp(0, 0x1E)
    assert port.read_ap(0)


def test_a_lost_probe_stays_lost_until_it_is_plugged_in(make_slot):
    slot = make_slot({"do": "lose_probe", "at": "swd_transfer", "n": 2})
    port = slot.board.chip.debug_port
    port.read_dp(0)
    for _ in range(2):
        with pytest.raises(ProbeGoneError):
            port.read_dp(0)
    assert not DebugProbeAggregator.get_all_connected_probes(slot.probe.serial_number)
    port.probe_gone = False
    assert DebugProbeAggregator.get_all_connected_probes(slot.probe.serial_number)


def test_power_cut_at_a_write_keeps_what_was_written_before(make_slot, probe):
    board = make_slot({"do": "power_off", "at": "flash_write", "n": 3}).board
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    link.write(NVMC_CONFIG, 1)
    for n in range(2):
        link.write(0xE0000 + 4 * n, 0)
    link.write(0xE0008, 0)
    with pytest.raises(WireError):
        link.write(0xE000C, 0)
    assert board.internal.read(0xE0000, 16) == bytes(8) + b"\xff" * 8
    assert not board.state.powered
    board.power_on()
    assert board.on_bus() is not None


def test_power_cut_in_an_erase_leaves_half(make_slot, probe):
    board = make_slot({"do": "brown_out", "at": "flash_erase", "n": 1}).board
    board.internal.load(0xE0000, bytes(4096))
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    link.write(NVMC_CONFIG, 2)
    link.write(NVMC_ERASE_PAGE, 0xE0000)
    power_cycles = board.truth.power_cycles
    # The brown-out is over at once: the board answers again, and has booted.
    assert link.port.read_dp(0) == DPIDR
    assert board.truth.power_cycles == power_cycles + 1
    assert board.internal.read(0xE0000, 4096) == b"\xff" * 2048 + bytes(2048)


def test_a_worn_page_has_a_dead_bit_after_every_erase(make_slot, probe):
    board = make_slot({"do": "wear", "at": "flash_erase", "address": 0xE0010}).board
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    link.write(NVMC_CONFIG, 2)
    for _ in range(2):
        link.write(NVMC_ERASE_PAGE, 0xE0000)
        assert link.read(0xE0010) == 0xFFFFFFFE
    link.write(NVMC_ERASE_PAGE, 0xE1000)
    assert link.read(0xE1010) == 0xFFFFFFFF


def test_false_readings_of_the_protection(make_slot, probe):
    link = probe(make_slot({"do": "read_as_locked", "at": "protection_reading", "n": 2, "count": 2}).board.chip)
    assert [link.access_port(1, 0x0C) for _ in range(5)] == [1, 0, 0, 1, 1]
    assert link.read(0x10000100) == 0x52840


def test_code_that_hangs_stops_only_for_the_debugger(make_slot, probe):
    link = probe(make_slot({"do": "hang", "at": "algorithm", "n": 1}).board.chip)
    link.write(DHCSR, HALT)
    link.write(0x20000000, 0xBE00BE00)
    for expected in (0, S_HALT):
        link.write(DCRDR, 0x20000000)
        link.write(DCRSR, 0x1000F)
        link.write(DHCSR, GO)
        assert link.read(DHCSR) & S_HALT == expected
        link.write(DHCSR, HALT)
        assert link.read(DHCSR) & S_HALT


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "wait", "at": "flash_write"},
        {"do": "hang", "at": "swd_transfer"},
        {"do": "wear", "at": "flash_erase"},
        {"do": "lose_probe", "at": "swd_transfer", "count": 2},
        {"do": "power_off", "at": "flash_erase", "address": 0},
    ],
)
def test_faults_that_mean_nothing_are_refused(make_slot, fault):
    with pytest.raises(BenchError):
        make_slot(fault)


# ---- pyOCD ----------------------------------------------------------------------------------------------------------


def test_pyocd_flashes_when_nothing_is_wrong(make_slot):
    slot = make_slot()
    flash_by_pyocd(slot)
    assert slot.board.internal.read(0x40000, len(IMAGE)) == IMAGE


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"do": "lose_probe", "at": "swd_transfer", "n": 1500}, exceptions.ProbeError),
        ({"do": "wait", "at": "swd_transfer", "n": 1500, "count": 10**6}, exceptions.TransferTimeoutError),
        ({"do": "parity", "at": "swd_transfer", "n": 1500, "count": 10**6}, exceptions.TransferError),
        ({"do": "hang", "at": "algorithm", "n": 3}, exceptions.FlashFailure),
        ({"do": "power_off", "at": "flash_write", "n": 1500}, exceptions.Error),
    ],
)
def test_pyocd_reports_what_went_wrong(make_slot, fault, error):
    slot = make_slot(fault)
    with pytest.raises(error):
        flash_by_pyocd(slot)
    assert slot.board.internal.read(0x40000, len(IMAGE)) != IMAGE


def test_pyocd_programs_a_worn_page_without_noticing(make_slot):
    slot = make_slot({"do": "wear", "at": "flash_erase", "address": 0x40000})
    slot.board.internal.load(0x40000, bytes(4096))
    flash_by_pyocd(slot)
    assert slot.board.internal.read(0x40000, 1)[0] == IMAGE[0] & 0xFE


def test_two_boards_have_two_probes():
    bench = open_bench(
        options={"clock": "virtual", "delays": "none"},
        slots=[{"name": n, "platform": p, "probe": True} for n, p in (("a", "boron"), ("b", "photon"))],
        state_dir=None,
        factory_modules=lambda platform: release_stand_ins(hardware(platform)),
    )
    try:
        ids = [slot.probe_id for slot in bench.slots]
        assert len(set(ids)) == 2
        assert all(probe_id.startswith("remote:127.0.0.1:") for probe_id in ids)
        serial_numbers = {slot.probe.serial_number for slot in bench.slots}
        assert serial_numbers <= {p.unique_id for p in DebugProbeAggregator.get_all_connected_probes()}
    finally:
        bench.close()
    assert not serial_numbers & {p.unique_id for p in DebugProbeAggregator.get_all_connected_probes()}
