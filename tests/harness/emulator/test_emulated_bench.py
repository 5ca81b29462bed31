"""The driver `emulated`: its options, its slots, what it keeps; chips are fakes."""

import os
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from particle_harness import state_lock
from particle_harness.bench_toml import open_bench_file
from particle_harness.boards import hardware
from particle_harness.emulator.bench import open_bench
from particle_harness.emulator.boards import chips
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in, system_stand_ins

from particle_dev.cli.list_devices import list_devices as list_command
from particle_dev.device.discovery import list_devices
from particle_dev.errors import BenchError
from particle_dev.station.bench import no_factory_modules
from particle_dev.station.bench import open_bench as open_by_name
from tests.harness.emulator.fakes import FakeChip

BORON = hardware("boron")


@pytest.fixture
def images(tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    modules = [bootloader_stand_in(BORON, 1005), softdevice_stand_in(BORON), *system_stand_ins(BORON, 2101, 1005)]
    modules.append(bootloader_stand_in(hardware("xenon"), 502))
    for number, module in enumerate(modules):
        (folder / f"{number}.bin").write_bytes(module)
    monkeypatch.setenv("PARTICLE_DEV_FIRMWARE_DIR", str(folder))
    return folder


@pytest.fixture
def made(monkeypatch):
    chips_made = []

    def fake(hardware, identity, internal, external, uicr):
        chip = FakeChip()
        chips_made.append((hardware.name, identity, internal, external, uicr, chip))
        return chip

    monkeypatch.setattr(chips, "emulated_chip", fake)
    return chips_made


def opened(*slots, factory=no_factory_modules, state_dir=None, **options):
    return open_bench(
        options={"clock": "virtual", **options}, slots=slots, state_dir=state_dir, factory_modules=factory
    )


def test_boards_with_images_are_there_by_default(images, made):
    bench = opened()
    assert [(slot.name, slot.platform, slot.port_path) for slot in bench.slots] == [("1", "boron", "1-1")]
    assert bench.board("1").on_bus()
    bench.close()


def test_a_slot_that_is_called_by_a_board_is_for_it(images, made):
    assert [slot.platform for slot in opened({"name": "xenon"}).slots] == ["xenon"]


def test_a_board_has_what_the_folder_has(images, made):
    opened({"platform": "boron", "device_os": "2.1.0"}).close()
    _, identity, internal, external, uicr, _ = made[0]
    assert identity.hex().startswith("e00fce68")
    assert internal.read(0xF4000, 4) != b"\xff" * 4
    assert internal.read(0x30000, 4) != b"\xff" * 4
    assert uicr[0x14:0x18] == bytes.fromhex("00400f00")
    assert external.chip.size_bytes == 4 << 20


def test_without_a_release_no_system_starts_and_a_blank_one_has_nothing(images, made):
    opened({"platform": "boron"}, {"name": "2", "platform": "boron", "blank": True}).close()
    assert made[0][2].read(0x30000, 4) == b"\xff" * 4
    assert made[1][2].read(0, 1 << 20).strip(b"\xff") == b""


def test_the_station_library_finds_it_by_name_and_sees_its_boards(images, made):
    bench = open_by_name("emulated", options={"clock": "virtual"})
    (device,) = list_devices(bench.host)
    assert (device.platform.name, device.mode) == ("boron", "dfu")
    bench.close()


def test_power_is_switched_and_may_be_out_of_reach(images, made):
    bench = opened({"platform": "boron"})
    bench.slot("1").power.off()
    assert bench.board("1").on_bus() is None
    bench.slot("1").power.on()
    bench.board("1").clock.sleep(1)
    assert bench.board("1").on_bus()
    assert opened({"platform": "boron"}, power_control=False).slot("1").power is None


def test_boards_are_taken_up_where_they_were(images, made, tmp_path):
    state = tmp_path / "state"
    bench = opened({"platform": "boron"}, state_dir=state)
    bench.board("1").internal.program(0x30000, b"\x12")
    bench.close()
    images.rename(tmp_path / "away")
    again = opened({"platform": "boron"}, state_dir=state)
    assert again.board("1").internal.read(0x30000, 1) == b"\x12"
    assert made[1][5].powers == [], "it went on without a start"
    assert again.board("1").on_bus()
    again.slot("1").power.off()
    again.close()
    third = opened({"platform": "boron"}, state_dir=state)
    assert not third.board("1").state.powered
    third.close()


def test_a_board_keeps_the_device_id_that_its_slot_gave_it(images, made, tmp_path):
    device_id, other = "e00fce68aabbccddeeff0011", "e00fce68aabbccddeeff0022"
    booted = tmp_path / "booted"
    opened({"platform": "boron", "device_id": device_id}, state_dir=booted).close()
    for more in (
        {"state_dir": booted},
        {"begin_from": str(booted)},
        {"begin_from": str(booted), "state_dir": tmp_path / "own"},
    ):
        for slot in ({"platform": "boron"}, {"platform": "boron", "device_id": device_id}):
            bench = opened(slot, **more)
            assert (bench.board("1").state.device_id, made[-1][1].hex()) == (device_id, device_id)
            bench.close()
        with pytest.raises(BenchError, match=f"holds the board {device_id}, and the slot is for {other}"):
            opened({"platform": "boron", "device_id": other}, **more)


def test_a_chip_goes_on_with_the_device_id_that_it_had(images, tmp_path):
    device_id, booted = "e00fce68aabbccddeeff0011", tmp_path / "booted"
    opened({"platform": "boron", "blank": True, "device_id": device_id}, state_dir=booted).close()
    bench = opened({"platform": "boron"}, begin_from=str(booted))
    board = bench.board("1")
    assert board.counts.boots == 0
    assert board.chip.bus.read(0x10000060, 8).hex() == device_id[8:]
    bench.close()


def test_a_process_that_died_leaves_a_board_that_boots(images, made, tmp_path):
    state = tmp_path / "state"
    opened({"platform": "boron"}, state_dir=state).close()
    bench = opened({"platform": "boron"}, state_dir=state)
    bench._to_close.close()
    opened({"platform": "boron"}, state_dir=state).close()
    assert [chip.powers for *_, chip in made] == [["on"], [], ["on"]]


def test_a_process_that_died_before_it_closed_leaves_what_was_written(images, made, tmp_path):
    bench = opened({"platform": "boron"}, state_dir=tmp_path)
    bench.board("1").internal.load(0xF4000, b"\x12" * 64)
    bench._to_close.close()
    again = opened({"platform": "boron"}, state_dir=tmp_path)
    assert again.board("1").internal.read(0xF4000, 64) == b"\x12" * 64
    assert [chip.powers for *_, chip in made] == [["on"], ["on"]]
    again.close()


def test_boards_begin_again_and_again_where_others_stood(images, made, tmp_path):
    booted, own = tmp_path / "booted", tmp_path / "own"
    opened({"platform": "boron"}, state_dir=booted).close()
    images.rename(tmp_path / "away")
    before = (booted / "1" / "internal.bin").read_bytes()
    for state_dir in (None, None, own):
        bench = opened({"platform": "boron"}, begin_from=str(booted), state_dir=state_dir)
        assert (made[-1][5].powers, bool(bench.board("1").on_bus())) == ([], True)
        assert bench.board("1").internal.read(0x30000, 4) == b"\xff" * 4
        bench.board("1").internal.load(0x30000, b"\x12" * 4)
        bench.close()
    assert (booted / "1" / "internal.bin").read_bytes() == before
    bench = opened({"platform": "boron"}, begin_from=str(booted), state_dir=own)
    assert bench.board("1").internal.read(0x30000, 4) == b"\x12" * 4
    bench.close()


def test_nothing_to_begin_from(images, made, tmp_path):
    with pytest.raises(BenchError, match=r"no boards to begin from in .*nowhere"):
        opened({"platform": "boron"}, begin_from=str(tmp_path / "nowhere"))
    opened({"name": "left", "platform": "boron"}, state_dir=tmp_path / "booted").close()
    with pytest.raises(BenchError, match=r"no emulated board was kept in .*right") as error:
        opened({"name": "right", "platform": "boron"}, begin_from=str(tmp_path / "booted"))
    assert error.value.hint == "call yours as one of the slots whose boards are there: left"
    with pytest.raises(BenchError, match="booted/left, to begin from, holds an emulated boron, and xenon"):
        opened({"name": "left", "platform": "xenon"}, begin_from=str(tmp_path / "booted"))
    with pytest.raises(BenchError, match="booted/left, to begin from, holds the board") as other:
        opened({"name": "left", "platform": "boron", "device_id": "ab" * 12}, begin_from=str(tmp_path / "booted"))
    assert "remove" not in other.value.hint


@pytest.mark.parametrize("keys", [{"device_os": "2.2.0"}, {"blank": True}])
def test_a_copy_of_another_board_is_neither_blank_nor_of_a_release(images, made, tmp_path, keys):
    booted = tmp_path / "booted"
    opened({"platform": "boron"}, state_dir=booted).close()
    (key,) = keys
    with pytest.raises(BenchError, match=f"slot '1' has {key}, and its board is to be a copy of the one in .*booted"):
        opened({"platform": "boron", **keys}, begin_from=str(booted), state_dir=tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_boards_do_not_begin_from_themselves(images, made, tmp_path):
    opened({"platform": "boron"}, state_dir=tmp_path / "booted").close()
    same = tmp_path / "other" / ".." / "booted"
    with pytest.raises(BenchError, match="state_dir and begin_from are one folder"):
        opened({"platform": "boron"}, begin_from=str(same), state_dir=tmp_path / "booted")


READS = """
import sys
from pathlib import Path
from particle_harness.state_lock import StateLock
lock = StateLock(Path(sys.argv[1]), to_read=True)
print("reads", flush=True)
sys.stdin.readline()
lock.release()
"""


def test_whoever_reads_is_waited_for_and_nothing_in_the_folder_changes(images, made, tmp_path):
    booted = tmp_path / "booted"
    opened({"platform": "boron"}, state_dir=booted).close()
    before = {file: file.read_bytes() for file in booted.rglob("*") if file.is_file()}
    command = [sys.executable, "-c", READS, str(booted)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "reads\n"
        ends = threading.Timer(0.2, other.stdin.close)
        ends.start()
        opened({"platform": "boron"}, begin_from=str(booted)).close()
        ends.join()
    assert {file: file.read_bytes() for file in booted.rglob("*") if file.is_file()} == before


def test_boards_that_are_in_use_are_no_beginning(images, made, tmp_path, monkeypatch):
    monkeypatch.setattr(state_lock, "_READER_WAITS_S", 0.1)
    booted = tmp_path / "booted"
    opened({"platform": "boron"}, state_dir=booted).close()
    holds = READS.replace(", to_read=True", "")
    command = [sys.executable, "-c", holds, str(booted)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "reads\n"
        with pytest.raises(BenchError, match=f"in use by process {other.pid}") as error:
            opened({"platform": "boron"}, begin_from=str(booted))
        other.stdin.close()
    assert error.value.hint == "end that program first"


def test_boards_of_an_open_bench_are_no_beginning_and_no_others_have_them(images, made, tmp_path, monkeypatch):
    monkeypatch.setattr(state_lock, "_READER_WAITS_S", 0.1)
    first = opened({"platform": "boron"}, state_dir=tmp_path)
    with pytest.raises(BenchError, match="are in use by another bench of this program") as error:
        opened({"platform": "boron"}, begin_from=str(tmp_path))
    assert error.value.hint == "close that bench first"
    with pytest.raises(BenchError, match="are in use by another bench of this program") as error:
        opened({"platform": "boron"}, state_dir=tmp_path)
    assert error.value.hint == "close that bench, or choose another state folder"
    first.close()
    opened({"platform": "boron"}, begin_from=str(tmp_path)).close()
    opened({"platform": "boron"}, state_dir=tmp_path).close()


def test_the_mode_button_is_held_whenever_power_comes(images, made):
    bench = opened({"platform": "boron", "mode_button": True})
    board, (*_, chip) = bench.board("1"), made[0]
    assert (chip.buttons, board.state.runs) == ([True, False], "dfu"), "until it is in DFU mode"
    bench.slot("1").power.off()
    chip.boot_s = 60.0
    bench.slot("1").power.on()
    board.clock.sleep(4.4)
    assert chip.buttons == [True, False, True]
    board.clock.sleep(0.2)
    assert chip.buttons == [True, False, True, False], "or for as long as a hand holds it"
    bench.close()


def test_no_hand_holds_a_button_longer_than_the_program_runs(images, made, tmp_path):
    bench = opened({"platform": "boron", "mode_button": True}, state_dir=tmp_path)
    made[0][5].boot_s = 60.0
    bench.slot("1").power.off()
    bench.slot("1").power.on()
    bench.close()
    assert made[0][5].buttons == [True, False, True, False]
    opened({"platform": "boron"}, state_dir=tmp_path).close()
    assert made[1][5].buttons == []


def test_a_board_that_is_not_kept_does_not_run_on_until_its_button_is_let_go(images, made):
    bench = opened({"platform": "boron", "mode_button": True})
    made[0][5].boot_s = 60.0
    bench.slot("1").power.off()
    bench.slot("1").power.on()
    before_s = bench.board("1").clock.monotonic_s()
    bench.close()
    assert bench.board("1").clock.monotonic_s() == before_s


def test_a_blank_board_says_that_there_is_nothing_to_boot(images, made, tmp_path):
    bench = opened({"platform": "boron", "blank": True}, state_dir=tmp_path)
    made[0][5].usb.connected = False
    assert bench.slot("1").absence == "the emulated boron has power and is blank: nothing to boot"
    bench.board("1").internal.load(0, b"\x12")
    assert "not on the bus: its firmware runs; where that hangs, `power cycle`" in bench.slot("1").absence
    bench.close()


@pytest.mark.parametrize(("is_kept", "power_control"), [(False, True), (True, False), (False, False)])
def test_a_power_cycle_is_named_only_where_a_later_command_can_do_it(images, made, tmp_path, is_kept, power_control):
    opened({"platform": "boron"}, state_dir=tmp_path / "before").close()
    for number, more in enumerate(({}, {"begin_from": str(tmp_path / "before")})):
        state_dir = tmp_path / str(number) if is_kept else None
        bench = opened({"platform": "boron"}, state_dir=state_dir, power_control=power_control, **more)
        made[-1][5].usb.connected = False
        assert bench.slot("1").absence == "the emulated boron has power and is not on the bus: its firmware runs"
        bench.close()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('device_os = "2.1"', "no Device OS '2.1' is known"),
        ('platform = "p2"', "no chip of a p2 is emulated"),
        ('platform = "bron"', "no board is called 'bron'; there are boron"),
        ('colour = "red"', "has keys that mean nothing to emulated boards"),
    ],
)
def test_the_line_of_a_slot_that_cannot_be_made_is_named(images, made, tmp_path, line, message):
    file = tmp_path / "b.toml"
    platform = "" if "platform" in line else 'platform = "boron"\n'
    file.write_text(f'[bench]\ndriver = "emulated"\n\n[[slot]]\nname = "left"\n{platform}{line}\n')
    told = CliRunner().invoke(list_command, ["--bench", str(file)]).exception
    with pytest.raises(BenchError) as served:
        open_bench_file(file)
    for error in (told, served.value):
        assert isinstance(error, BenchError)
        assert str(error).startswith(f"{file}, line 4: slot 'left'")
        assert message in str(error)


@pytest.mark.parametrize("folder", ["/nowhere", "~nosuchuser/x"])
def test_the_line_of_images_that_are_not_there_is_named_and_not_that_of_a_slot(images, made, tmp_path, folder):
    file = tmp_path / "b.toml"
    options = f'[bench.options]\nimages = "{folder}"\n'
    file.write_text(f'[bench]\ndriver = "emulated"\n{options}[[slot]]\nname = "left"\nplatform = "boron"\n')
    told = CliRunner().invoke(list_command, ["--bench", str(file)]).exception
    with pytest.raises(BenchError) as served:
        open_bench_file(file)
    for error in (told, served.value):
        assert isinstance(error, BenchError)
        assert str(error).startswith(f"{file}, line 4: emulated boards run")
        assert f"{folder} is no folder" in str(error)
        assert error.key == "bench.options.images"


def test_a_folder_of_another_kind_of_board_is_refused(images, made, tmp_path):
    opened({"platform": "boron"}, state_dir=tmp_path / "s").close()
    with pytest.raises(BenchError, match="holds an emulated boron"):
        opened({"platform": "xenon"}, state_dir=tmp_path / "s")


@pytest.mark.parametrize(
    ("slot", "message"),
    [
        ({"platform": "boron", "network": ["no_sim"]}, "mean nothing to emulated boards"),
        ({"platform": "p2"}, "no chip of a p2"),
        ({"platform": "nonsense"}, "no board is called 'nonsense'; there are boron"),
        ({"name": "trakcer"}, "'trakcer' names no platform, and no board that is emulated is called so; .*tracker"),
        ({"name": "p2"}, "no chip of a p2"),
        ({"platform": "boron", "faults": [{"do": "explode"}]}, "no fault 'explode'; there are unplug, power_off"),
        (
            {"platform": "boron", "faults": [{"do": "stall", "at": "noon"}]},
            "it can be at dfu_transfer",
        ),
        (
            {"platform": "boron", "faults": [{"do": "vanish", "at": "re_enumeration"}]},
            "'vanish' at 're_enumeration' never happens to this board: .* its firmware decides; this board can have "
            "unplug, power_off, brown_out, stall, short_reply, slow, flip_byte, wear; correct",
        ),
        ({"platform": "boron", "faults": [{"do": "wrong_device_id", "at": "re_enumeration"}]}, "never happens"),
        ({"platform": "boron", "probe": True, "faults": [{"do": "hang", "at": "algorithm"}]}, "never happens"),
        (
            {"platform": "boron", "faults": [{"do": "lose_probe", "at": "swd_transfer"}]},
            "no debug probe .probe = true",
        ),
        (
            {"platform": "boron", "faults": [{"do": "unplug", "at": "swd_transfer"}]},
            "no debug probe .probe = true.; it can be at dfu_transfer, .*, flash_write, flash_erase; correct",
        ),
        ({"platform": "boron", "faults": [{"do": "unplug"}]}, "has no 'at'; it can be at .*, flash_erase; correct"),
        (
            {"platform": "boron", "faults": [{"do": "vanish", "at": "noon"}]},
            "at 'noon'; this board can have unplug, .*wear; correct",
        ),
        (
            {"platform": "boron", "probe": True, "faults": [{"do": "jam"}]},
            "no fault 'jam'; there are unplug, .*, lose_probe, wait, fault, parity, read_as_locked; correct",
        ),
        (
            {"platform": "photon", "probe": True, "faults": [{"do": "read_as_locked", "at": "protection_reading"}]},
            "a photon has no such register",
        ),
        (
            {"platform": "boron", "faults": [{"do": "flip_byte", "at": "write", "address": 0x80000000}]},
            "0x80000000 is not in its internal flash, 0x0 to 0xFFFFF; correct",
        ),
        ({"name": "left"}, "names no platform"),
        ({"platform": "boron", "blank": "yes"}, "true or false"),
        ({"platform": "argon"}, "no bootloader for argon"),
        ({"platform": "boron", "device_os": "2.2.0"}, "no system part of Device OS 2.2.0"),
    ],
)
def test_slots_that_cannot_be_made(images, made, slot, message):
    with pytest.raises(BenchError, match=message) as error:
        opened(slot)
    assert error.value.hint


@pytest.mark.parametrize("options", [{"clock": "fast"}, {"colour": "red"}])
def test_options_that_mean_nothing(images, options):
    with pytest.raises(BenchError):
        opened(**options)


def test_bootloaders_that_the_command_has_at_hand_will_do(made, monkeypatch, tmp_path):
    monkeypatch.delenv("PARTICLE_DEV_FIRMWARE_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    modules = {"boron": [bootloader_stand_in(BORON, 1005)]}
    bench = opened(factory=lambda name: modules.get(name) or no_factory_modules(name))
    assert [slot.platform for slot in bench.slots] == ["boron"]


def test_without_images_the_command_says_what_to_do_in_a_sentence(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PARTICLE_DEV_")}
    result = subprocess.run(
        [sys.executable, "-m", "particle_dev", "list", "--bench", "emulated"],
        env={**environment, "XDG_DATA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    text = " ".join(result.stderr.split())
    assert "emulated boards run firmware images of yours, and no folder of firmware images is named" in text
    assert "Traceback" not in text
    assert "particle-dev firmware add" in text


BENCH = '[bench]\ndriver = "emulated"\n[[slot]]\nname = "1"\nplatform = "boron"\n'


@pytest.mark.parametrize(
    ("words", "more", "wanted"),
    [
        (["--store", "named"], "", "named"),
        (["--store", "named"], '[bench.options]\nimages = "others"\n', "others"),
        ([], "", "in_environment"),
    ],
)
def test_a_store_that_is_named_goes_before_the_environment_and_behind_the_bench_file(
    tmp_path, monkeypatch, words, more, wanted
):
    folders = {name: tmp_path / name for name in ("named", "others", "in_environment")}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARTICLE_DEV_FIRMWARE_DIR", str(folders["in_environment"]))
    monkeypatch.delenv("PARTICLE_DEV_STORE", raising=False)
    (tmp_path / "bench.toml").write_text(BENCH.replace("[[slot]]", more + "[[slot]]"), encoding="utf-8")
    with pytest.raises(BenchError, match=rf"{wanted} holds no bootloader"):
        CliRunner().invoke(
            list_command, ["--bench", "bench.toml", *words], catch_exceptions=False, standalone_mode=False
        )


def test_in_real_time_boards_run_by_themselves_and_stand_still_in_the_end(images, made):
    bench = opened(clock="real")
    bench.board("1").reset_pin()
    # The thread runs it; nobody here does.
    deadline = [bench.board("1").clock.monotonic_s() + 60]
    while bench.board("1").on_bus() is None and bench.board("1").clock.monotonic_s() < deadline[0]:
        bench.board("1").clock.sleep(0.005)
    assert bench.board("1").on_bus()
    bench.close()
    assert "emulated boards" not in {thread.name for thread in threading.enumerate()}


def test_a_fault_that_has_fired_never_does_again_even_when_the_process_was_killed(images, made, tmp_path):
    slot = {"platform": "boron", "faults": [{"do": "unplug", "at": "flash_write", "n": 1, "replug_after_s": 1.0}]}
    first = opened(slot, state_dir=tmp_path)
    first.board("1").internal.program(0x30000, b"\x12")
    first.board("1").clock.sleep(0.01)
    assert (first.board("1").counts.power_cuts, first.board("1").on_bus()) == (1, None)
    first._to_close.close()
    again = opened(slot, state_dir=tmp_path)
    assert again.board("1").on_bus()
    again.board("1").internal.program(0x30000, b"\x12")
    again.board("1").clock.sleep(0.01)
    assert again.board("1").counts.power_cuts == 0
    assert again.board("1").internal.read(0x30000, 1) == b"\x12"
    again.close()


@pytest.mark.parametrize("content", [None, "damaged"])
def test_nothing_stands_in_for_a_folder_that_is_named(made, monkeypatch, tmp_path, content):
    folder = tmp_path / "named"
    folder.mkdir()
    if content:
        image = bytearray(bootloader_stand_in(BORON, 1005))
        image[-20] ^= 1
        (folder / "broken.bin").write_bytes(image)
    monkeypatch.setenv("PARTICLE_DEV_FIRMWARE_DIR", str(folder))
    wanted = "named holds no bootloader.*" + ("CRC is wrong: broken.bin" if content else "")
    for slots in ((), ({"platform": "boron"},)):
        with pytest.raises(BenchError, match=wanted):
            opened(*slots, factory=lambda _name: [bootloader_stand_in(BORON, 1005)])


def test_a_core_that_stands_still_boots_in_the_next_process(images, made, tmp_path):
    bench = opened({"platform": "boron"}, state_dir=tmp_path)
    made[0][5].runs = False
    made[0][5].usb.connected = False
    assert "halted by a debugger" in bench.slot("1").absence
    bench.close()
    again = opened({"platform": "boron"}, state_dir=tmp_path)
    assert made[1][5].powers == ["on"]
    assert again.slot("1").absence is None
    again.close()
