"""pyOCD, unmodified, on an emulated chip: its own flash algorithm runs on the core that runs the firmware, and what it
writes lies in the board's flash. No image is needed."""

import random

import pytest
from particle_harness.emulator.bench import open_bench
from pyocd.core.helpers import ConnectHelper
from pyocd.core.target import Target
from pyocd.flash.loader import FlashLoader

SIZE_BYTES = 24 * 1024
BOARDS = {"boron": ("nrf52840", 0x30000), "photon": ("stm32f412xg", 0x08020000)}


@pytest.fixture
def board(request):
    bench = open_bench(
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": request.param, "blank": True, "probe": True}],
        state_dir=None,
        factory_modules=lambda _: (),
    )
    yield bench.board("1"), bench.slot("1").probe
    bench.close()


def session(probe, target):
    return ConnectHelper.session_with_chosen_probe(
        unique_id=probe.serial_number,
        return_first=True,
        blocking=False,
        options={"target_override": target, "auto_unlock": False, "resume_on_disconnect": False},
    )


@pytest.mark.parametrize("board", BOARDS, indirect=True)
@pytest.mark.usefixtures("own_probes")
def test_what_pyocd_programs_lies_in_the_boards_flash(board, request):
    emulated, probe = board
    target, address = BOARDS[emulated.hardware.name]
    data = random.Random(1).randbytes(SIZE_BYTES)
    with session(probe, target) as debugger:
        loader = FlashLoader(debugger, no_reset=True)
        loader.add_data(address, data)
        loader.commit()
        assert bytes(debugger.target.read_memory_block8(address, SIZE_BYTES)) == data
    assert emulated.internal.read(address, SIZE_BYTES) == data


@pytest.mark.parametrize("board", ["boron"], indirect=True)
@pytest.mark.usefixtures("own_probes")
def test_a_halted_core_is_looked_into_and_goes_on(board):
    emulated, probe = board
    with session(probe, "nrf52840") as debugger:
        core = debugger.target.cores[0]
        core.reset_and_halt()
        assert core.get_state() is Target.State.HALTED
        assert not emulated.chip.runs
        core.write_memory_block8(0x20001000, bytes.fromhex("0130fde7"))  # adds r0, #1; b . - 2
        core.write_core_register("r0", 0)
        core.write_core_register("pc", 0x20001000)
        core.write_core_register("xpsr", 0x01000000)
        core.step()
        assert (core.read_core_register("r0"), core.read_core_register("pc")) == (1, 0x20001002)
        core.resume()
        emulated.clock.sleep(0.001)
        core.halt()
        assert core.read_core_register("r0") > 1000


@pytest.mark.parametrize("board", ["boron"], indirect=True)
@pytest.mark.usefixtures("own_probes")
def test_without_power_nothing_answers(board):
    emulated, probe = board
    emulated.power_off()
    with pytest.raises(Exception, match="Target not detected"), session(probe, "nrf52840"):
        pass
