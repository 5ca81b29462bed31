"""What is wrong in a bench file or a state folder is refused in a sentence, before any image is read."""

import re
import subprocess
import sys

import pytest
from particle_harness.bench import open_bench as open_virtual
from particle_harness.boards import hardware
from particle_harness.emulator.bench import open_bench as open_emulated
from particle_harness.emulator.boards import chips, new_board
from particle_harness.emulator.boards.starting_point import kept_chip
from particle_harness.factory import bootloader_stand_in, release_stand_ins, softdevice_stand_in

from particle_dev.errors import BenchError
from particle_dev.station.bench import no_factory_modules
from tests.harness.emulator.fakes import FakeChip

BORON = hardware("boron")
BENCHES = {"virtual": open_virtual, "emulated": open_emulated}


@pytest.fixture(params=BENCHES)
def driver(request, monkeypatch):
    """With neither images nor an emulator: nothing here needs them."""
    if request.param == "emulated":
        monkeypatch.setattr("particle_harness.emulator.boards.image_source.images_folder", None)
        monkeypatch.setattr(chips, "emulated_chip", None)
    return request.param


def refused(driver, slot, state_dir=None, **options):
    modules = no_factory_modules if driver == "emulated" else lambda name: release_stand_ins(hardware(name))
    with pytest.raises(BenchError) as error:
        BENCHES[driver](
            options={"clock": "virtual", **options},
            slots=[{"name": "left", "platform": "boron", **slot}],
            state_dir=state_dir,
            factory_modules=modules,
        )
    assert error.value.hint
    return error.value


@pytest.mark.parametrize("name", ["../../x", "..", ".", "a/b", "a\\b", "/x", ".lock", "a\0b", ""])
def test_a_slot_whose_name_is_no_file_name_is_not_kept(driver, tmp_path, name):
    state = tmp_path / "in" / "side"
    error = refused(driver, {"name": name}, state)
    assert f"slot {name!r} cannot be kept in {state}" in str(error)
    assert error.slot == name
    assert [file.name for file in tmp_path.rglob("*") if not file.name.startswith(".")] in ([], ["in", "side"])


CUT = {"do": "unplug", "at": "dfu_transfer"}


@pytest.mark.parametrize(
    ("faults", "wanted"),
    [
        (["unplug"], "faults must be a list such as"),
        ("unplug", "faults must be a list such as"),
        (CUT, "faults must be a list such as"),
        (5, "faults must be a list such as"),
        ([{"at": "dfu_transfer"}], "has no 'do'; there are unplug"),
        ([{"do": "unplug"}], "fault 'unplug' has no 'at'; it can be at dfu_transfer"),
        ([{**CUT, "n": -1}], "fault 'unplug': n is a whole number from 1 on, not -1"),
        ([{**CUT, "n": 0}], "n is a whole number from 1 on, not 0"),
        ([{**CUT, "n": 1.5}], "n is a whole number from 1 on, not 1.5"),
        ([{**CUT, "n": "x"}], "n is a whole number from 1 on, not 'x'"),
        ([{**CUT, "n": True}], "n is a whole number from 1 on, not True"),
        ([{**CUT, "replug_after_s": "x"}], "replug_after_s is a number of seconds from 0 to 86400, not 'x'"),
        ([{**CUT, "replug_after_s": -1}], "replug_after_s is a number of seconds"),
        ([{**CUT, "replug_after_s": float("inf")}], "replug_after_s is a number of seconds"),
        ([{**CUT, "replug_after_s": float("nan")}], "replug_after_s is a number of seconds"),
        ([{**CUT, "replug_after_s": 86401}], "replug_after_s is a number of seconds"),
        ([{"do": "slow", "at": "dfu_transfer", "delay_s": "x"}], "delay_s is a number of seconds"),
        (
            [{"do": "slow", "at": "control_transfer", "delay_s": 1e308}],
            "delay_s is a number of seconds from 0 to 86400",
        ),
        ([{"do": "short_reply", "at": "dfu_transfer", "size_bytes": -1}], "size_bytes is a whole number from 0 on"),
        ([{"do": "flip_byte", "at": "write", "address": "x"}], "address is a whole number from 0 on, not 'x'"),
        ([{"do": "wait", "at": "swd_transfer", "count": 0}], "count is a whole number from 1 on, not 0"),
    ],
)
def test_faults_that_are_no_faults(driver, faults, wanted):
    error = refused(driver, {"faults": faults})
    assert str(error).startswith("slot 'left': ")
    assert wanted in str(error)
    assert error.slot == "left"


def test_a_blank_board_has_no_system(driver):
    error = refused(driver, {"blank": True, "device_os": "2.1.0"})
    assert "slot 'left' has blank = true" in str(error)
    assert "device_os = '2.1.0'" in str(error)


@pytest.mark.parametrize("key", ["images", "begin_from"])
@pytest.mark.parametrize("value", [5, "", ["a"]])
def test_options_that_are_no_folders(key, value):
    assert f"option {key} = {value!r} is no folder" in str(refused("emulated", {}, **{key: value}))


@pytest.mark.parametrize("keys", [{"device_os": 5}, {"device_os": ""}, {"device_id": "12"}, {"device_id": 5}])
def test_texts_of_an_emulated_slot(keys, monkeypatch):
    monkeypatch.setattr("particle_harness.emulator.boards.image_source.images_folder", None)
    (key,) = keys
    assert f"slot 'left': {key} is " in str(refused("emulated", keys))


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Opens a board of either driver in the same folder again and again; chips are fakes."""
    monkeypatch.setattr(chips, "emulated_chip", lambda *_: FakeChip())
    folder = tmp_path / "images"
    folder.mkdir()
    for number, module in enumerate((bootloader_stand_in(BORON, 1005), softdevice_stand_in(BORON))):
        (folder / f"{number}.bin").write_bytes(module)
    monkeypatch.setenv("PARTICLE_DEV_FIRMWARE_DIR", str(folder))

    def opened(driver, *names):
        return BENCHES[driver](
            options={"clock": "virtual"},
            slots=[{"name": name, "platform": "boron"} for name in names or ("left",)],
            state_dir=tmp_path / "state",
            factory_modules=lambda name: release_stand_ins(hardware(name)),
        )

    return opened, tmp_path / "state" / "left"


DAMAGED = [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"platform": "boron", "powered": 5}']


@pytest.mark.parametrize(
    ("driver", "file", "content", "why"),
    [
        *(("emulated", "emulated.json", content, "damaged") for content in DAMAGED),
        *(("virtual", "board.json", content, "damaged") for content in DAMAGED),
        *((driver, "internal.bin", bytes(size), f"{size} bytes") for driver in BENCHES for size in (0, 5, 2 << 20)),
        ("emulated", "uicr.bin", b"12", "2 bytes"),
        ("virtual", "external.bin", b"12", "2 bytes"),
    ],
)
def test_a_damaged_state_is_named(kept, driver, file, content, why):
    opened, folder = kept
    opened(driver).close()
    opened(driver).close()
    (folder / file).write_bytes(content)
    with pytest.raises(BenchError, match=re.escape(str(folder / file))) as error:
        opened(driver)
    assert why in str(error.value)
    assert (folder / file).read_bytes() == content


@pytest.mark.parametrize("file", ["internal.bin", "external.bin", "uicr.bin", "emulated.json"])
def test_a_part_of_a_kept_board_that_is_missing_is_named(kept, file):
    opened, folder = kept
    opened("emulated").close()
    whole = (folder / file).read_bytes()
    (folder / file).unlink()
    there = sorted(path.name for path in folder.iterdir())
    for open_it in (lambda: opened("emulated"), lambda: kept_chip(folder).__enter__()):
        with pytest.raises(BenchError, match=re.escape(str(folder / file)) + ".*: it is missing") as error:
            open_it()
        assert "remove the slot's folder" in error.value.hint
    assert sorted(path.name for path in folder.iterdir()) == there
    (folder / file).write_bytes(whole)
    bench = opened("emulated")
    assert bench.board("left").chip.powers == []
    bench.close()


def test_a_board_that_was_never_finished_is_made_anew(kept, monkeypatch):
    opened, folder = kept
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
        patch.setattr(new_board, "make_chip", fails_with(OSError("no more")))
        opened("emulated")
    assert (folder / "internal.bin").exists()
    bench = opened("emulated")
    assert bench.board("left").internal.read(0xF4000, 4) != b"\xff" * 4
    bench.close()
    opened("emulated").close()
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".unfinished") == []


@pytest.mark.parametrize(("made_by", "opened_by"), [("emulated", "virtual"), ("virtual", "emulated")])
def test_boards_that_another_driver_has_kept_are_left_alone(kept, made_by, opened_by):
    opened, folder = kept
    opened(made_by).close()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BenchError, match=f"{re.escape(str(folder))} holds a board of the driver '{made_by}'") as error:
        opened(opened_by, "new", "left")
    assert f'driver = "{made_by}"' in error.value.hint
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (folder.parent / "new").exists()
    opened(made_by).close()


def test_a_damaged_board_costs_the_others_nothing(kept):
    opened, folder = kept
    opened("emulated", "left", "right").close()
    damaged = folder.parent / "right" / "emulated.json"
    good = damaged.read_bytes()
    damaged.write_bytes(b"{")
    with pytest.raises(BenchError, match="right"):
        opened("emulated", "left", "right")
    damaged.write_bytes(good)
    bench = opened("emulated", "left", "right")
    assert [bench.board(name).chip.powers for name in ("left", "right")] == [[], []]
    bench.close()


def fails_with(error):
    def fail(*_arguments):
        raise error

    return fail


def test_a_damaged_state_is_no_place_to_begin_from(kept):
    opened, folder = kept
    opened("emulated").close()
    (folder / "emulated.json").write_bytes(b"{")
    with pytest.raises(BenchError, match=r"emulated\.json, which cannot be used"), kept_chip(folder):
        pass


@pytest.mark.parametrize("driver", BENCHES)
def test_a_file_where_the_slots_folder_would_be(kept, driver):
    opened, folder = kept
    folder.parent.mkdir()
    folder.write_bytes(b"")
    with pytest.raises(BenchError, match="left, which cannot be used"):
        opened(driver)


def test_a_board_that_boots_for_want_of_its_snapshot_says_so(kept, caplog):
    opened, folder = kept
    opened("emulated").close()
    opened("emulated").close()
    assert caplog.messages == []
    (folder / "emulated.snapshot").write_bytes(b"fak")
    bench = opened("emulated")
    (message,) = caplog.messages
    assert message.startswith("slot left: the board boots instead of going on where it stood: ")
    assert str(folder / "emulated.snapshot") in message
    assert caplog.records[0].levelname == "WARNING"
    assert bench.board("left").chip.powers == ["on"]
    bench.close()


def test_a_snapshot_that_is_no_file_is_named(kept):
    opened, folder = kept
    opened("emulated").close()
    snapshot = folder / "emulated.snapshot"
    snapshot.unlink()
    snapshot.mkdir()
    with pytest.raises(BenchError, match=re.escape(str(snapshot)) + ", which cannot be used: Is a directory"):
        opened("emulated")
    with pytest.raises(BenchError, match="does not go on from where it stood"), kept_chip(folder):
        pass


def test_a_warning_is_seen_on_standard_error():
    code = (
        "import logging; from particle_harness.emulator.boards import new_board; new_board._LOGGER.warning('it boots')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("", "it boots\n")


@pytest.mark.parametrize("driver", BENCHES)
@pytest.mark.parametrize("line", ['faults = "unplug"', "blank = true\ndevice_os = '2.1.0'"])
def test_the_command_ends_with_status_3_and_a_sentence(tmp_path, driver, line):
    file = tmp_path / "bench.toml"
    file.write_text(f'[bench]\ndriver = "{driver}"\n[[slot]]\nname = "left"\nplatform = "boron"\n{line}\n', "utf-8")
    command = [sys.executable, "-m", "particle_dev", "list", "--bench", str(file)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 3
    assert "slot 'left'" in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr
