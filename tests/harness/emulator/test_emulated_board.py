"""A board around a chip: power, presence on the bus, transfers, faults; the chip's firmware is a fake."""

import time

import pytest
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.boards.board import DEBOUNCE_S, EmulatedBoard
from particle_harness.faults import FaultScript, parse_faults
from particle_harness.nor_flash import NorFlash
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

from tests.harness.emulator.fakes import SERIAL_CONFIGURATION, SERIAL_DEVICE, FakeChip

BORON = hardware("boron")
ASK = Setup(0xA1, 3, 0, 0, 6)


def make(*faults, paced=False):
    addresses = iter(range(5, 100))
    internal = NorFlash(BORON.internal_chip, VirtualClock(), delays=False)
    board = EmulatedBoard(
        BORON,
        "e00fce68aabbccddeeff0011",
        FakeChip(),
        internal=internal,
        external=None,
        port_path="1-1",
        next_address=lambda: next(addresses),
        faults=FaultScript(parse_faults(faults)),
        paced=paced,
    )
    board.chip.usb.replies[3] = bytes(6)
    return board


@pytest.fixture
def board():
    board = make()
    board.power_on()
    board.clock.sleep(0.5)
    return board


def test_it_shows_itself_after_boot_and_debounce():
    board = make()
    assert (board.on_bus(), board.state.runs) == (None, "off")
    board.power_on()
    board.clock.sleep(0.04 + DEBOUNCE_S)
    assert (board.on_bus(), board.state.runs) == (None, "booting")
    board.clock.sleep(0.1)
    address, identity = board.on_bus()
    assert (address, identity.device[8:12].hex(), board.state.runs) == (5, "042b0dd0", "dfu")


def test_sleeping_lets_the_chips_time_pass_with_and_without_power():
    board = make()
    board.clock.sleep(1.5)
    assert board.clock.monotonic_s() == pytest.approx(1.5)
    board.power_on()
    board.clock.sleep(1.5)
    assert board.clock.monotonic_s() >= 3.0


def test_a_transfer_reaches_the_firmware_of_the_address_it_is_for(board):
    assert board.control(5, ASK) == bytes(6)
    with pytest.raises(GoneError):
        board.control(6, ASK)
    with pytest.raises(StallError):
        board.control(5, Setup(0xA1, 0x77, 0, 0, 6))


def test_power_off_takes_it_from_the_bus_and_power_on_gives_it_a_new_address(board):
    board.power_off()
    assert board.on_bus() is None
    assert board.chip.powers == ["on", "off"]
    assert not board.chip.vbus
    with pytest.raises(GoneError):
        board.control(5, ASK)
    board.power_on()
    board.clock.sleep(0.5)
    assert board.on_bus()[0] == 6


def test_a_pulled_cable_is_not_helped_by_the_switch(board):
    board.pull()
    board.power_on()
    assert not board.state.powered
    board.plug_in()
    board.clock.sleep(0.5)
    assert board.on_bus()


def test_the_reset_button_makes_it_leave_and_come_back(board):
    board.reset_pin()
    assert board.on_bus() is None
    board.clock.sleep(0.5)
    assert board.on_bus()[0] == 6
    assert board.counts.enumerations == 2


def test_a_device_that_resets_itself_in_a_transfer_is_gone_in_it(board):
    board.chip.usb.drop_at = 3
    with pytest.raises(GoneError) as gone:
        board.control(5, ASK)
    assert gone.value.during
    assert board.on_bus() is None


def test_a_halted_core_stays_on_the_bus_and_answers_nothing(board):
    board.chip.runs = False
    assert board.on_bus()
    with pytest.raises(SilentError):
        board.control(5, ASK)


def test_a_device_that_cannot_be_enumerated_is_given_up_after_three_tries():
    board = make()
    board.chip.usb.configuration = None
    board.power_on()
    board.clock.sleep(3)
    assert board.on_bus() is None
    assert len(board.counts.failed_enumerations) == 3


def test_a_bus_reset_keeps_the_address(board):
    board.bus_reset(5)
    assert board.on_bus()[0] == 5
    assert board.chip.usb.address == 5


def test_serial_data_goes_through_the_bulk_endpoints():
    board = make()
    board.chip.usb.device, board.chip.usb.configuration = SERIAL_DEVICE, SERIAL_CONFIGURATION
    board.power_on()
    board.clock.sleep(0.5)
    assert board.state.runs == "app"
    board.serial_write(5, b"hello")
    assert board.chip.usb.bulk_out == [b"hello"]
    board.chip.usb.bulk_in.append(b"world")
    assert board.serial_read(5, 100) == b"world"
    assert board.serial_read(5, 100) == b""


@pytest.mark.parametrize("do", ["unplug", "power_off", "brown_out"])
def test_power_goes_at_a_transfer_of_the_script(do):
    board = make({"do": do, "at": "dfu_transfer", "n": 2})
    board.power_on()
    board.clock.sleep(0.5)
    board.control(5, ASK)
    with pytest.raises(GoneError) as gone:
        board.control(5, ASK)
    assert gone.value.during
    assert (board.state.powered, board.state.unplugged) == (do == "brown_out", do == "unplug")


def test_transfers_count_as_those_of_a_virtual_board_do():
    stall = {"do": "stall", "at": "control_transfer", "n": 1}
    board = make(stall)
    board.power_on()
    board.clock.sleep(0.5)
    assert board.control(5, ASK) == bytes(6)
    assert board.faults.fired == set()
    board = make(stall)
    board.chip.usb.device, board.chip.usb.configuration = SERIAL_DEVICE, SERIAL_CONFIGURATION
    board.chip.usb.replies[0x50] = b"id"
    board.power_on()
    board.clock.sleep(0.5)
    board.control(5, Setup(0x21, 0x20, 0, 0, 0))
    with pytest.raises(StallError):
        board.control(5, Setup(0xC0, 0x50, 0, 20, 64))
    assert board.control(5, Setup(0xC0, 0x50, 0, 20, 64)) == b"id"


def test_a_slow_board_takes_its_time_for_each_transfer_from_then_on():
    board = make({"do": "slow", "at": "dfu_transfer", "n": 2, "delay_s": 1.5})
    board.power_on()
    board.clock.sleep(0.5)
    durations_s = []
    for _ in range(3):
        start_s = board.clock.monotonic_s()
        assert board.control(5, ASK) == bytes(6)
        durations_s.append(board.clock.monotonic_s() - start_s)
    assert durations_s[0] < 0.1
    assert all(1.5 <= duration_s < 1.6 for duration_s in durations_s[1:])


def test_after_a_power_cut_in_flash_nothing_is_written_any_more():
    board = make({"do": "power_off", "at": "flash_write", "n": 2})
    board.power_on()
    board.clock.sleep(0.5)
    for number in range(4):
        board.internal.program(0x30000 + number, b"\x00")
    board.internal.erase_sector(0x30000)
    assert board.internal.read(0x30000, 4) == b"\x00\xff\xff\xff"
    board.clock.sleep(0.01)
    assert not board.state.powered


def test_somebody_plugs_it_in_again():
    board = make({"do": "unplug", "at": "dfu_transfer", "n": 1, "replug_after_s": 2.0})
    board.power_on()
    board.clock.sleep(0.5)
    with pytest.raises(GoneError):
        board.control(5, ASK)
    board.clock.sleep(1.0)
    assert board.on_bus() is None
    board.clock.sleep(2.0)
    assert board.on_bus()


def test_a_snapshot_is_taken_up_on_the_bus(board):
    other = make()
    other.take_up(board.chip.snapshot())
    assert other.on_bus()[0] == 5
    with pytest.raises(ValueError, match="another chip's"):
        make().take_up(b"something else")


def test_at_a_bench_in_real_time_the_hosts_limits_are_in_the_chips_time_and_the_wall_keeps_up():
    board = make(paced=True)
    board.power_on()
    start_s, wall_s = board.clock.monotonic_s(), time.monotonic()
    board.clock.sleep(0.2)
    assert board.chip.timeline.now_s - start_s >= 0.2
    assert board.clock.monotonic_s() == board.chip.timeline.now_s
    assert time.monotonic() - wall_s >= 0.19
    assert board.on_bus(), "it has run meanwhile"
