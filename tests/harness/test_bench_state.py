"""What a bench keeps: across benches, and when its process is killed."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import usb.core
from particle_harness.bench import open_bench
from particle_harness.clock import RealClock
from particle_harness.factory import bootloader_stand_in
from particle_harness.state import read_truth
from particle_harness.usb.transfer import Setup

from particle_dev.errors import BenchError

ROOT = Path(__file__).parents[2]
BORON = {"platform": "boron"}


def to_dfu(bench):
    board = bench.board("1")
    board.clock.sleep(2)
    board.control(board.on_bus()[0], Setup(0xC0, 1, 0, 50, 64))
    board.clock.sleep(0.1)
    board.control(board.on_bus()[0], Setup(0xC0, 2, 0, 1, 64))
    board.clock.sleep(2)
    board.advance()
    return board


def test_board_in_dfu_is_still_there(make_bench, tmp_path):
    first = to_dfu(make_bench(BORON, state_dir=tmp_path))
    address, time_s = first.on_bus()[0], first.clock.monotonic_s()
    again = make_bench(BORON, state_dir=tmp_path).board("1")
    assert (again.state.runs, again.on_bus()[0]) == ("dfu", address)
    assert again.clock.monotonic_s() >= time_s
    assert again.truth.power_cycles == 1
    assert again.state.device_id == first.state.device_id


def test_half_a_block_is_still_on_its_way(make_bench, tmp_path):
    first = to_dfu(make_bench(BORON, state_dir=tmp_path))
    address = first.on_bus()[0]
    first.control(address, Setup(0x01, 11, 1, 0, 0))
    first.control(address, Setup(0x21, 1, 0, 0, 5), b"\x21" + (8134).to_bytes(4, "little"))
    first.control(address, Setup(0xA1, 3, 0, 0, 6))
    first.control(address, Setup(0xA1, 3, 0, 0, 6))
    first.control(address, Setup(0x21, 1, 2, 0, 1), b"\x01")
    again = make_bench(BORON, state_dir=tmp_path).board("1")
    assert not again.dct.setup_done
    again.control(address, Setup(0xA1, 3, 0, 0, 6))
    assert again.dct.setup_done


def test_board_without_power_waits_for_the_bench_to_switch_it_on(make_bench, tmp_path):
    first = to_dfu(make_bench(BORON, state_dir=tmp_path))
    first.power_off()
    again = make_bench(BORON, state_dir=tmp_path).board("1")
    assert (again.state.runs, again.on_bus()) == ("off", None)
    again.power_on()
    assert again.state.runs == "listening"
    assert again.truth.power_cycles == 2


def test_board_of_a_bench_without_power_control_is_plugged_in_again(make_bench, tmp_path):
    first = to_dfu(make_bench(BORON, state_dir=tmp_path, power_control=False))
    first.power_off()
    again = make_bench(BORON, state_dir=tmp_path, power_control=False).board("1")
    assert again.state.runs == "listening"
    assert again.on_bus() is not None


def test_what_was_due_meanwhile_happens(make_bench, tmp_path):
    slot = {**BORON, "factory": "online"}
    make_bench(slot, state_dir=tmp_path).board("1").clock.sleep(2)
    again = make_bench(slot, state_dir=tmp_path).board("1")
    again.clock.sleep(30)
    again.advance()
    assert again.truth.went_online
    assert read_truth(tmp_path / "1").went_online


def test_fault_fires_once_in_a_lifetime(make_bench, tmp_path):
    slot = {**BORON, "arrives_in": "dfu", "faults": [{"do": "unplug", "at": "dfu_transfer", "n": 1}]}
    bench = make_bench(slot, state_dir=tmp_path)
    bench.slots[0].clock.sleep(2)
    device = usb.core.find(backend=bench.usb_backend)
    with pytest.raises(usb.core.USBError):
        device.ctrl_transfer(0xA1, 3, 0, 0, 6)
    again = make_bench(slot, state_dir=tmp_path)
    board = again.board("1")
    board.clock.sleep(2)
    assert board.truth.power_cycles == 2
    to_dfu_again = usb.core.find(backend=again.usb_backend)
    assert len(to_dfu_again.ctrl_transfer(0xC0, 1, 0, 20, 64)) == 8
    assert board.state.fired_faults


def test_wrong_board_is_taken_out_again(make_bench, tmp_path):
    slot = {**BORON, "faults": [{"do": "wrong_device_id", "at": "re_enumeration", "n": 1}]}
    first = to_dfu(make_bench(slot, state_dir=tmp_path))
    assert first.state.device_id != first.settings.device_id
    assert make_bench(slot, state_dir=tmp_path).board("1").state.device_id == first.settings.device_id


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from particle_harness.bench import open_bench
    from particle_harness.boards import hardware
    from particle_harness.factory import bootloader_stand_in, softdevice_stand_in
    from particle_harness.usb.transfer import Setup

    kind = hardware("boron")
    bench = open_bench(
        options={"clock": "virtual"}, slots=[{"name": "1", "platform": "boron", "arrives_in": "dfu"}],
        state_dir=Path(sys.argv[1]),
        factory_modules=lambda platform: [bootloader_stand_in(kind, 1005), softdevice_stand_in(kind)],
    )
    board = bench.board("1")
    board.clock.sleep(2)
    address = board.on_bus()[0]

    def status():
        return board.control(address, Setup(0xA1, 3, 0, 0, 6))

    def dnload(block, data):
        board.control(address, Setup(0x21, 1, block, 0, len(data)), data)
        status(), status()

    dnload(0, b"\\x41\\x00\\x00\\x03\\x00")
    dnload(0, b"\\x21\\x00\\x00\\x03\\x00")
    dnload(2, bytes(range(256)) * 16)
    print(address, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_flash_mode_and_truth_survive_sigkill(make_bench, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert read_truth(tmp_path / "1").erases == 1
    board = make_bench({**BORON, "arrives_in": "dfu"}, state_dir=tmp_path).board("1")
    assert board.state.runs == "dfu"
    assert board.on_bus()[0] == int(done.stdout)
    assert board.internal.read(0x30000, 4096) == bytes(range(256)) * 16
    assert board.internal.read(0x31000, 16) != b"\xff" * 16
    assert (board.truth.erases, board.truth.programs, board.truth.dfu_transfers) == (1, 1, 9)
    assert board.decide_boot().runs == "dfu"  # the system part is broken now


def test_default_bench_has_four_boards(make_bench):
    bench = make_bench()
    assert [board.hardware.name for board in bench.boards] == ["boron", "bsom", "tracker", "photon"]
    assert [slot.port_path for slot in bench.slots] == ["1-1", "1-2", "1-3", "1-4"]
    ids = [board.state.device_id for board in bench.boards]
    assert all(i.startswith("e00fce68") and len(i) == 24 for i in ids[:3])
    assert len(ids[3]) == 24
    assert len(set(ids)) == 4
    assert [board.state.device_id for board in make_bench().boards] == ids


def test_clocks_of_slots_are_their_own(make_bench):
    bench = make_bench()
    bench.slots[0].clock.sleep(5)
    assert bench.slots[1].clock.monotonic_s() == 0


def test_real_clock_is_the_default():
    bench = open_bench(options={}, slots=[{"connected": False}], state_dir=None, factory_modules=lambda _: [])
    assert isinstance(bench.slots[0].clock, RealClock)
    bench.close()


def test_real_clock_does_not_run_back():
    ahead = RealClock(not_before_s=1e9)
    assert ahead.monotonic_s() >= 1e9


def test_without_delays_boards_are_there_at_once(make_bench):
    bench = make_bench({**BORON, "factory": "online"}, delays="none")
    board = bench.board("1")
    assert board.on_bus() is not None
    board.clock.sleep(1.4)
    board.advance()
    assert board.truth.network_attempts == 0


def test_power_control_can_be_missing(make_bench):
    assert make_bench(BORON, power_control=False).slots[0].power is None


@pytest.mark.parametrize(
    ("slot", "options"),
    [
        ({"platform": "toaster"}, {}),
        ({}, {}),
        ({"platform": "boron", "bootlader": "old"}, {}),
        ({"platform": "boron", "bootloader": "ancient"}, {}),
        ({"platform": "boron"}, {"clock": "sundial"}),
        ({"platform": "boron"}, {"speed": 2}),
    ],
)
def test_words_that_mean_nothing_are_refused(make_bench, slot, options):
    with pytest.raises(BenchError):
        make_bench(slot, **options)


def test_two_slots_of_one_name_are_refused(make_bench):
    with pytest.raises(BenchError, match="two slots"):
        make_bench({"name": "a", **BORON}, {"name": "a", **BORON})


def test_factory_uses_the_given_bootloader_unless_an_old_one_is_asked_for(make_bench):
    bench = make_bench(BORON, {**BORON, "bootloader": "old"})
    new, old = (board.internal.read(0xF4000, 41948) for board in bench.boards)
    assert new == bootloader_stand_in(bench.boards[0].hardware, 1005)
    assert old == bootloader_stand_in(bench.boards[0].hardware, 501)


def test_rtl872x_between_its_two_enumerations_goes_on_in_another_process(make_bench, tmp_path):
    slot = {"platform": "p2", "device_os": "5.9.0"}
    bench = make_bench(slot, state_dir=tmp_path)
    board = bench.board("1")
    board.clock.sleep(10)
    board.advance()
    board.reset_pin()
    board.clock.sleep(board.timing.system_usb_s + board.timing.serial_port_s / 2)
    board.advance()
    assert (board.state.attached, board.state.has_serial_port) == (True, False)
    address = board.state.address
    bench.close()
    again = make_bench(slot, state_dir=tmp_path)
    board = again.board("1")
    assert (board.state.attached, board.state.has_serial_port, board.state.address) == (True, False, address)
    board.clock.sleep(board.timing.serial_port_s)
    board.advance()
    assert (board.state.attached, board.state.has_serial_port) == (True, True)
    assert board.state.address != address


HOLDS = """
    import signal, sys
    from pathlib import Path
    from particle_harness.bench import open_bench
    from particle_harness.bench_toml import stand_ins

    slots = [{"name": "1", "platform": "boron"}]
    bench = open_bench(options={}, slots=slots, state_dir=Path(sys.argv[1]), factory_modules=stand_ins)
    print("held", flush=True)
    sys.stdin.read()
    bench.close()
    print("given back", flush=True)
    signal.pause()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the boards."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDS), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_process_is_told_who_has_the_boards(make_bench, tmp_path, holder):
    kept = (tmp_path / "1" / "board.json").read_bytes()
    with pytest.raises(BenchError, match=f"in use by process {holder.pid} ") as error:
        make_bench(BORON, state_dir=tmp_path)
    assert str(tmp_path) in error.value.message
    assert (tmp_path / "1" / "board.json").read_bytes() == kept


def test_a_file_is_no_state_folder(make_bench, tmp_path):
    file = tmp_path / "boards"
    file.write_bytes(b"mine")
    with pytest.raises(BenchError, match="boards is a file, not a folder"):
        make_bench(BORON, state_dir=file)
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize("end", ["close", "SIGKILL"])
def test_boards_are_free_once_their_holder_ends(make_bench, tmp_path, holder, end):
    if end == "close":
        holder.stdin.close()
        # The bench is closed, the process goes on.
        assert holder.stdout.readline() == "given back\n"
        assert holder.poll() is None
    else:
        holder.kill()
        holder.wait()
    assert make_bench(BORON, state_dir=tmp_path).board("1").state.powered
