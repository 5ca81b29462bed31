"""Boards made of stand-ins: no firmware file is needed here."""

import pytest
from particle_harness.bench import open_bench
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in


def factory_modules(platform):
    board = hardware(platform)
    modules = [bootloader_stand_in(board, 1005)]
    return [*modules, softdevice_stand_in(board)] if board.is_gen3 else modules


@pytest.fixture
def make_bench():
    """Open a bench by its slots; virtual clock, realistic delays. Closes what it opened."""
    opened = []

    def make(*slots, state_dir=None, **options):
        bench = open_bench(
            options={"clock": "virtual", **options},
            slots=[{"name": str(n), **slot} for n, slot in enumerate(slots, 1)],
            state_dir=state_dir,
            factory_modules=factory_modules,
        )
        opened.append(bench)
        return bench

    yield make
    for bench in opened:
        bench.close()


@pytest.fixture
def make_board(make_bench):
    """One board on a bench of its own."""

    def make(platform="boron", **slot):
        return make_bench({"platform": platform, **slot}).board("1")

    return make
