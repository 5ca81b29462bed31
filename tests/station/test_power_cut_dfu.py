"""Power cut at every DFU transfer, and in the middle of every erase, of a full Boron set on the virtual clock: the next
run makes the board whole, without anybody's help, and it has never been online. The boards are our own models.

A tenth of the moments here, all of them in `make soak`. Through a debug probe: tests/flash/test_swd_power_cuts.py.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.station.test_station_virtual import Line, failed_step, never_online

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(3600)]
TENTHS = [0, *(pytest.param(tenth, marks=pytest.mark.soak) for tenth in range(1, 10))]
FEWEST = {"dfu_transfer": 600, "flash_erase": 120}


@pytest.fixture(scope="module")
def memory():
    """In memory where that is possible: virtual boards write a lot."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def whole(ship_recipe, release_store, memory):
    """The undisturbed run: its unit, and how many moments of each kind it has."""
    line = Line(ship_recipe, release_store, memory / "whole", [{"platform": "boron"}], delays="none")
    (unit,) = line.run().units
    truth = line.board().truth
    moments = {"dfu_transfer": truth.dfu_transfers, "flash_erase": truth.erases}
    line.close()
    assert str(unit.verdict) == "pass"
    return unit.comparable(), moments


def cut(ship_recipe, release_store, folder, fault):
    """Two runs of a station on one board, and whether the first one passed."""
    line = Line(ship_recipe, release_store, folder, [{"platform": "boron", "faults": [fault]}], delays="none")
    try:
        record = line.run()
        first = record.units[0]
        if str(first.verdict) != "pass":
            assert failed_step(first).error["hint"], fault
            assert str(first.billing.verdict) != "started", fault
            record = line.run()
        (unit,) = record.units
        assert str(unit.verdict) == "pass", (fault, unit.error, unit.billing.missing)
        assert never_online(line.board()), fault
        return unit.comparable(), str(first.verdict)
    finally:
        line.close()
        shutil.rmtree(folder)


@pytest.mark.parametrize("tenth", TENTHS)
@pytest.mark.parametrize("at", FEWEST)
def test_power_cut_anywhere_costs_only_the_next_run(ship_recipe, release_store, memory, whole, capsys, at, tenth):
    expected, moments = whole
    assert moments[at] >= FEWEST[at], moments
    failed = 0
    points = range(1 + tenth, moments[at] + 1, 10)
    for n in points:
        fault = {"do": "power_off", "at": at, "n": n, "replug_after_s": 2}
        unit, first = cut(ship_recipe, release_store, memory / f"{at}-{n}", fault)
        assert unit == expected, fault
        failed += first != "pass"
    with capsys.disabled():
        print(f" {len(points)} of {moments[at]} power cuts ({at}), {failed} runs failed first ", end="")
    assert failed >= len(points) * 0.9, "the cuts do not reach the board"
