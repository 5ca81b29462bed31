"""pyOCD, unmodified, on an emulated chip: its own flash algorithm runs on the core that runs the firmware, and what it
writes lies in the board's flash. No image is needed."""

import random

import pytest
from particle_harness.emulator.bench import open_bench
from particle_harness.emulator.boards.probed_chip import probed_chip
from particle_harness.swd.debug_port import DPIDR, Acknowledge, DapFaultError, WireError
from pyocd.core import exceptions
from pyocd.core.helpers import ConnectHelper
from pyocd.core.target import Target
from pyocd.flash.loader import FlashLoader

SIZE_BYTES = 24 * 1024
BOARDS = {"boron": ("nrf52840", 0x30000), "photon": ("stm32f412xg", 0x08020000)}


@pytest.fixture
def make():
    opened = []

    def make(platform, *faults):
        slot = {"name": "1", "platform": platform, "blank": True, "probe": True, "faults": faults}
        bench = open_bench(
            options={"clock": "virtual"}, slots=[slot], state_dir=None, factory_modules=lambda _platform: ()
        )
        opened.append(bench)
        return bench.board("1"), bench.slot("1").probe

    yield make
    for bench in opened:
        bench.close()


@pytest.fixture
def board(make, request):
    return make(request.param)


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


# ---- faults by script -----------------------------------------------------------------------------------------------


def port_on(made):
    """A debug port of a board that :func:`make` gives, for plain transfers."""
    return probed_chip(made[0]).debug_port


@pytest.mark.parametrize(("do", "acknowledge"), [("wait", Acknowledge.WAIT), ("parity", Acknowledge.PARITY_ERROR)])
def test_the_wire_is_as_bad_as_the_script_says(make, do, acknowledge):
    port = port_on(make("boron", {"do": do, "at": "swd_transfer", "n": 2, "count": 2}))
    assert port.read_dp(0) == DPIDR
    for _ in range(2):
        with pytest.raises(WireError) as raised:
            port.read_dp(0)
        assert raised.value.acknowledge is acknowledge
    assert port.read_dp(0) == DPIDR


def test_the_port_answers_fault_by_script_until_abort(make):
    port = port_on(make("photon", {"do": "fault", "at": "swd_transfer", "n": 2}))
    port.write_dp(4, 0x50000000)
    for _ in range(2):
        with pytest.raises(DapFaultError):
            port.read_ap(0)
    port.write_dp(0, 0x1E)
    assert port.read_ap(0)


@pytest.mark.usefixtures("own_probes")
def test_pyocd_loses_its_probe_in_the_middle(make):
    emulated, probe = make("boron", {"do": "lose_probe", "at": "swd_transfer", "n": 500})
    with pytest.raises(exceptions.ProbeError), session(probe, "nrf52840") as debugger:
        loader = FlashLoader(debugger, no_reset=True)
        loader.add_data(0x30000, random.Random(1).randbytes(SIZE_BYTES))
        loader.commit()
    assert emulated.faults.fired


def test_power_goes_at_a_transfer_of_the_probe(make):
    emulated, _ = made = make("boron", {"do": "brown_out", "at": "swd_transfer", "n": 2})
    port = port_on(made)
    assert [port.read_dp(0) for _ in range(2)] == [DPIDR] * 2
    assert (emulated.state.powered, emulated.counts.power_cuts) == (True, 1)


def test_power_that_goes_with_a_store_is_gone_for_the_next_transfer(make):
    emulated, _ = made = make("boron", {"do": "unplug", "at": "flash_write", "n": 1})
    emulated.internal.program(0x30000, b"\x12")
    with pytest.raises(WireError) as raised:
        port_on(made).read_dp(0)
    assert raised.value.acknowledge is Acknowledge.NOTHING
    assert emulated.state.unplugged


def test_false_readings_of_the_protection(make):
    port = port_on(make("boron", {"do": "read_as_locked", "at": "protection_reading", "n": 2, "count": 2}))
    port.write_dp(8, 1 << 24)
    assert [port.read_ap(0x0C) for _ in range(5)] == [1, 0, 0, 1, 1]
