"""Virtual boards against recordings that `particle-dev sim record --mode normal` made of Device OS, reply by reply."""

import json
from pathlib import Path

import click
import pytest
import serial
from click.testing import CliRunner
from particle_harness import sim_record
from particle_harness.bench import open_bench
from particle_harness.bench_toml import stand_ins
from particle_harness.boards import hardware
from particle_harness.emulator.conversations.acts import Step
from particle_harness.emulator.recordings.form import FORM, transfers_of, written
from particle_harness.emulator.recordings.system import NORMAL, carried_out, conversation, let_listen, record_system
from particle_harness.factory import known_release
from particle_harness.serial_port import SCHEME
from particle_harness.sim_record import record_command, recorded
from particle_harness.usb.control_service import Service

from particle_dev.errors import BenchError

RECORDINGS = sorted((Path(__file__).parents[1] / "golden" / "usb" / "system").glob("*.json"))


def load(file):
    return json.loads(file.read_text(encoding="utf-8"))


def board_of(recording):
    """A new board with stand-ins of that release, in listening mode."""
    slot = {"name": "1", "platform": recording["platform"], "device_os": recording["device_os"]}
    bench = open_bench(
        options={"clock": "virtual"},
        slots=[slot | {"device_id": recording["device_id"]}],
        state_dir=None,
        factory_modules=stand_ins,
    )
    board = bench.board("1")
    let_listen(board)
    assert board.state.listening
    return board


def assert_replays(recording):
    board = board_of(recording)
    for (transfer, wanted), entry in zip(transfers_of(recording), recording["log"], strict=True):
        got = carried_out(board, transfer, entry)
        assert {field: got[field] for field in wanted} == wanted, str(transfer)
        assert got.keys() >= wanted.keys() >= got.keys() & {"in", "ok", "stall", "silent"}, str(transfer)


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_virtual_board_answers_as_device_os_did(file):
    assert_replays(load(file))


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_recordings_are_whole(file):
    recording = load(file)
    assert (recording["form"], recording["mode"]) == (FORM, NORMAL)
    assert f"{recording['platform']}-{recording['device_os']}" == file.stem
    acts = list(conversation(hardware(recording["platform"]), known_release(recording["device_os"])[0]))
    assert len(recording["log"]) == len(acts)
    repeated = [isinstance(act, Step) and act.until_done for act in acts]
    assert [entry.get("until_done", False) for entry in recording["log"]] == repeated
    # Every step was answered by the device, not by a lack of an id.
    begun = [entry["in"] for entry in recording["log"] if (entry["bmRequestType"], entry["bRequest"]) == (0xC0, 1)
             and "in" in entry]  # fmt: skip
    assert sum(reply[8:12] in ("0000", "0200") for reply in begun) > 60


def test_there_are_recordings_of_the_releases_that_were_run():
    recorded_ones = {
        "argon-1.5.0",
        "argon-2.1.0",
        "argon-2.2.0",
        "b5som-2.1.0",
        "boron-2.1.0",
        "boron-2.2.0",
        "bsom-2.1.0",
        "electron-2.1.0",
        "electron-2.2.0",
        "p1-2.1.0",
        "photon-1.5.0",
        "photon-2.1.0",
        "photon-2.2.0",
        "tracker-2.1.0",
        "tracker-2.2.0",
        "xenon-1.5.2",
    }
    assert recorded_ones <= {file.stem for file in RECORDINGS}


def test_a_wrong_reply_is_noticed():
    recording = load(RECORDINGS[0])
    entry = next(entry for entry in recording["log"] if entry.get("in", "").startswith("0a18"))
    entry["in"] = entry["in"][:-2] + "00"
    with pytest.raises(AssertionError):
        assert_replays(recording)


def test_a_virtual_board_can_be_recorded_and_replays_itself(tmp_path):
    recording = recorded("boron", "virtual", None, "2.1.0")
    with pytest.raises(serial.SerialException):
        serial.serial_for_url(f"{SCHEME}://1-1")
    file = tmp_path / "recording.json"
    file.write_text(written(recording), encoding="utf-8")
    assert load(file) == recording
    assert_replays(recording)


def test_a_board_in_dfu_mode_is_no_system(make_board):
    board = make_board("boron", arrives_in="dfu")
    board.clock.sleep(2)
    with pytest.raises(BenchError, match="no Device OS runs"):
        record_system(board, "2.1.0")


def test_the_command_wants_mode_and_release_together(tmp_path):
    file = tmp_path / "boron.json"
    lone = CliRunner().invoke(record_command, ["boron", str(file), "--bench", "virtual", "--mode", "normal"])
    assert lone.exit_code == click.UsageError.exit_code
    done = CliRunner().invoke(
        record_command,
        ["boron", str(file), "--bench", "virtual", "--mode", "normal", "--device-os", "2.1.0", "--json"],
    )
    assert json.loads(done.output)["device_os"] == "2.1.0"
    assert json.loads(done.output)["transfers"] == len(load(file)["log"])


@pytest.mark.parametrize(("name", "reason"), [("boron.json", "File exists"), ("none/boron.json", "No such file")])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, name, reason):
    (tmp_path / "boron.json").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(sim_record, "recorded", lambda *_: pytest.fail("it has begun"))
    with pytest.raises(BenchError, match=f"cannot write .*{reason}"):
        CliRunner().invoke(record_command, ["boron", str(tmp_path / name)], catch_exceptions=False)
    assert (tmp_path / "boron.json").read_text(encoding="utf-8") == "mine"


def test_a_recording_that_does_not_come_about_leaves_no_file(tmp_path):
    with pytest.raises(BenchError, match="no chip of a p2 is emulated"):
        CliRunner().invoke(record_command, ["p2", str(tmp_path / "p2.json")], catch_exceptions=False)
    assert not any(tmp_path.iterdir())


def test_the_conversation_goes_through_every_service():
    steps = [act for act in conversation(hardware("boron"), 2101) if isinstance(act, Step)]
    assert {step.service for step in steps} == set(Service)
    assert len({step.kind for step in steps}) > 30
