"""Commands on virtual boards, from the command line down, with the exit status that each outcome has."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from particle_harness.dct import Dct, ModuleSlot

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli import identify
from particle_dev.cli.board_file import read_board
from particle_dev.cli.devices import choose_device
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.protocol.module import parse

pytestmark = pytest.mark.firmware
ASSETS = "particle-cli-2.12.0/package/assets"


@pytest.fixture
def run(capsys, monkeypatch, release_store):
    """Run a command line in this process: (exit status, stdout, stderr)."""
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def bench_file(tmp_path):
    def write(*slots, keep=False, **options):
        options = {"clock": "virtual", "delays": "realistic", **options}
        lines = ["[bench]", 'driver = "virtual"', *(['state_dir = "boards"'] if keep else []), "[bench.options]"]
        lines += [f"{k} = {json.dumps(v)}" for k, v in options.items()]
        tables = [{"platform": slot} if isinstance(slot, str) else slot for slot in slots]
        for number, slot in enumerate(tables, 1):
            lines += ["[[slot]]", f'name = "{number}"', *(f"{k} = {json.dumps(v)}" for k, v in slot.items())]
        path = tmp_path / "bench.toml"
        path.write_text("\n".join(lines))
        return path

    return write


def module(particle_cli_firmware, name):
    (path,) = (particle_cli_firmware / ASSETS).rglob(name)
    return path


# ---- list and id ----------------------------------------------------------------------------------------------


def test_list(run):
    status, out, _ = run("list", "--bench", "virtual")
    assert status == 0
    assert [line.split()[1] for line in out.splitlines()] == ["Boron", "B-SoM", "Asset", "Photon"]


def test_list_json_is_an_object_a_line(run):
    _, out, _ = run("list", "--bench", "virtual", "--json")
    devices = [json.loads(line) for line in out.splitlines()]
    assert [d["platform"]["name"] for d in devices] == ["boron", "bsom", "tracker", "photon"]
    assert set(devices[0]) == {"device_id", "platform", "mode", "port", "usb", "slot"}
    assert [d["slot"] for d in devices] == ["1", "2", "3", "4"]


def test_id(run):
    status, out, _ = run("id", "--bench", "virtual", "--device", "photon", "--json")
    identity = json.loads(out)
    assert status == 0
    assert (identity["device_os"], identity["device_mode"]) == ("2.0.1", "listening")
    assert {m["title"] for m in identity["modules"]} == {
        "bootloader 0 v1005",
        "system part 1 v2011",
        "system part 2 v2011",
        "user part 1 v6",
    }


def test_id_of_an_electron_that_registers_tells_what_there_is(run, bench_file, monkeypatch):
    def choose_late(bench, device):
        chosen = choose_device(bench, device)
        bench.host.clock.sleep(3)
        return chosen

    monkeypatch.setattr(identify, "choose_device", choose_late)
    path = bench_file({"platform": "electron", "factory": "online"})
    status, out, err = run("id", "--bench", path)
    assert status == ExitCode.FAILED
    assert "Device OS      2.0.1" in out
    assert "Serial number  not told" in out
    err = " ".join(err.split())
    assert "tells neither modules nor mode nor serial number: request 90: no result within 10 s" in err
    assert "its only thread waits for the modem" in err
    identity, error = map(json.loads, run("id", "--bench", path, "--json")[1].splitlines())
    assert (identity["device_os"], identity["modules"], identity["boots_into"]) == ("2.0.1", None, None)
    assert "request 90" in error["error"]["message"]


def test_id_in_dfu_mode_reads_the_flash(run, bench_file):
    status, out, _ = run("id", "--bench", bench_file({"platform": "boron", "arrives_in": "dfu"}))
    assert status == 0
    assert "system part 1 v2011" in out
    assert re.search(r"radio stack 0 v202 +size unknown", out)
    assert not re.search(r" 0 bytes", out)
    assert "Serial number  not readable in DFU mode" in out


def test_id_says_why_there_is_no_serial_number(run, bench_file):
    def identity(**slot):
        return json.loads(run("id", "--bench", bench_file({"platform": "boron", **slot}), "--json")[1])

    asked = identity()
    assert asked["serial_number_state"] == "stored"
    assert asked["serial_number"]
    unasked = identity(arrives_in="dfu")
    assert (unasked["serial_number"], unasked["serial_number_state"]) == (None, "not readable in DFU mode")


def test_id_names_the_hash_of_each_module(run, bench_file, particle_cli_firmware, tmp_path):
    """As its suffix has it: what `flash` takes a module for installed by, and `firmware check --on-board` reads."""
    bench = bench_file({"platform": "boron", "arrives_in": "dfu"}, keep=True)
    app = module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin")
    assert run("flash", app, "--bench", bench, "--may-connect")[0] == 0
    board = tmp_path / "board.json"
    board.write_text(run("id", "--bench", bench, "--json")[1])
    by_function = {m["function"]: m["sha256"] for m in json.loads(board.read_text())["modules"]}
    wanted = parse(app.read_bytes())
    assert by_function[ModuleFunction.USER_PART] == wanted.sha256.stored.hex()
    read = {m.function: m.sha256 for m in read_board(board).modules}
    assert read[ModuleFunction.USER_PART] == wanted.sha256.stored
    assert read[ModuleFunction.RADIO_STACK] is None is by_function[ModuleFunction.RADIO_STACK]


def test_steps_are_counted_and_what_stays_is_none(run, bench_file, particle_cli_firmware):
    bench = bench_file("photon", keep=True)
    bootloader = module(particle_cli_firmware, "photon-bootloader@2.1.0+lto.bin")
    app = module(particle_cli_firmware, "tinker-0.4.5-photon.bin")
    status, out, _ = run("flash", bootloader, app, "--dry-run", "--bench", bench)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "already there, not written: bootloader 0 v1005 (photon-bootloader@2.1.0+lto.bin)"
    numbered = [line for line in lines if re.match(r"\d+\. ", line)]
    assert [line.split(".")[0] for line in numbered] == [str(n) for n in range(1, len(numbered) + 1)]
    assert not any("already there" in line or "note:" in line for line in numbered)
    steps = json.loads(run("flash", bootloader, app, "--dry-run", "--json", "--bench", bench)[1])["steps"]
    assert [f"{n}. {step}" for n, step in enumerate(steps, 1)] == numbered
    assert any(line.startswith("note: a board that loses power meanwhile") for line in lines)


def test_one_reset_is_one_reset(run, bench_file, particle_cli_firmware):
    app = module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin")
    assert ", 1 reset; " in run("flash", app, "--dry-run", "--bench", bench_file("boron"))[1]


def test_several_devices_are_listed_and_nothing_is_guessed(run):
    status, out, err = run("id", "--bench", "virtual")
    assert status == ExitCode.NO_DEVICE
    assert out == ""
    assert all(name in err for name in ("Boron", "B-SoM", "Photon"))
    assert "--device" in err


def test_errors_as_json(run):
    status, out, _ = run("id", "--bench", "virtual", "--device", "argon", "--json")
    error = json.loads(out)
    assert status == error["exit_code"] == ExitCode.NO_DEVICE
    assert error["error"]["type"] == "DeviceNotFoundError"
    assert error["error"]["selector"] == "argon"


# ---- flash ----------------------------------------------------------------------------------------------------


def test_flash_and_what_is_there_afterwards(run, bench_file, particle_cli_firmware):
    bench = bench_file("boron", keep=True)
    system = module(particle_cli_firmware, "boron-system-part1@2.1.0.bin")
    app = module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin")
    status, out, _ = run("flash", system, app, "--bench", bench)
    assert status == 0
    assert "499132 bytes at 0x00030000 read back and equal" in out
    assert "stays in DFU mode" in out
    _, out, _ = run("id", "--bench", bench, "--json")
    identity = json.loads(out)
    assert (identity["mode"], identity["device_os"]) == ("dfu", "2.1.0")
    assert (identity["boots_into"], identity["boot_findings"]) == ("application", [])


def test_progress_that_is_no_terminal_is_a_line_per_phase_and_module(run, bench_file, particle_cli_firmware):
    assets = particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets"
    system = assets / "updates" / "boron-system-part1@2.1.0.bin"
    bench = bench_file({"platform": "boron", "arrives_in": "dfu"}, {"platform": "boron"})
    status, _, err = run("flash", system, "--bench", bench, "--device", "slot:1")
    size = system.stat().st_size
    assert (status, err.splitlines()) == (
        0,
        [
            f"[1/2] flash: {system.name}",
            f"{system.name}: {size} of {size} bytes to write",
            f"{system.name}: read back and equal",
            f"[2/2] prove: {system.name}",
        ],
    )
    assert run("flash", system, "--bench", bench, "--device", "slot:1", "--json")[2] == ""


def test_slot_that_the_bench_lacks(run, bench_file):
    status, _, err = run("id", "--bench", bench_file("boron"), "--device", "slot:2")
    assert (status, "the bench has no slot '2'" in err, "slots: 1" in err) == (4, True, True)


def test_dry_run_touches_nothing(run, bench_file, particle_cli_firmware):
    bench = bench_file("boron", keep=True)
    app = module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin")
    status, out, _ = run("flash", app, "--bench", bench, "--dry-run")
    assert status == 0
    assert "erase and write 0x000d4000 11972" not in out
    assert "11412 bytes" in out
    assert json.loads((bench.parent / "boards" / "1" / "board.json").read_text())["truth"]["erases"] == 0


@pytest.mark.parametrize("by", ["control", "touch"])
def test_flash_by_both_ways_into_dfu(run, bench_file, particle_cli_firmware, by):
    app = module(particle_cli_firmware, "tinker-0.4.5-photon.bin")
    status, _, _ = run("flash", app, "--bench", bench_file("photon"), "--by", by, "--may-connect")
    assert status == 0


def test_leaving_needs_the_permission(run, bench_file, particle_cli_firmware):
    app = module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin")
    status, _, err = run("flash", app, "--bench", bench_file("boron"), "--leave")
    assert status == ExitCode.REFUSED
    assert "--may-connect" in err
    status, out, _ = run("flash", app, "--bench", bench_file("boron"), "--leave", "--may-connect")
    assert status == 0
    assert "boots now" in out


def test_set_that_the_board_would_answer_with_safe_mode(run, bench_file, particle_cli_firmware):
    bench = bench_file({"platform": "boron", "bootloader": "old"}, keep=True)
    system = module(particle_cli_firmware, "boron-system-part1@2.1.0.bin")
    status, _, err = run("flash", system, "--bench", bench)
    assert status == ExitCode.REFUSED
    assert "needs bootloader 0 v1005, the board would have v501" in err
    assert json.loads((bench.parent / "boards" / "1" / "board.json").read_text())["truth"]["erases"] == 0


def test_wrong_platform(run, bench_file, particle_cli_firmware):
    app = module(particle_cli_firmware, "tinker-0.4.5-photon.bin")
    status, _, err = run("flash", app, "--bench", bench_file("boron"))
    assert status == ExitCode.REFUSED
    assert "is for Photon, not for Boron" in err


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d[:-1], "truncated"),
        (lambda d: d[:2000], "truncated"),
        (lambda d: d + b"\0", "trailing_data"),
        (lambda d: d[:5000] + bytes([d[5000] ^ 1]) + d[5001:], "crc_mismatch"),
        (lambda d: b"", "empty"),
        (lambda d: bytes(300), "no_prefix"),
    ],
    ids=["one byte short", "cut", "one byte long", "flipped bit", "zero bytes", "zeros"],
)
def test_bad_files(run, bench_file, particle_cli_firmware, tmp_path, change, word):
    path = tmp_path / "bad.bin"
    path.write_bytes(change(module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin").read_bytes()))
    status, out, _ = run("flash", path, "--bench", bench_file("boron"), "--json")
    error = json.loads(out)["error"]
    assert status == ExitCode.BAD_INPUT
    assert (error["code"], error["file"]) == (word, str(path))


def test_folder_instead_of_a_file(run, bench_file, tmp_path):
    status, _, err = run("flash", tmp_path, "--bench", bench_file("boron"))
    assert status == ExitCode.BAD_INPUT
    assert str(tmp_path) in err


def test_unplugged_half_way_and_again(run, bench_file, particle_cli_firmware):
    path = bench_file({"platform": "boron"}, keep=True)
    text = path.read_text() + '\nfaults = [{do = "unplug", at = "dfu_transfer", n = 400}]\n'
    path.write_text(text)
    files = [
        module(particle_cli_firmware, "boron-system-part1@2.1.0.bin"),
        module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin"),
    ]
    status, _, err = run("flash", *files, "--bench", path)
    assert status == ExitCode.FAILED
    device_id = json.loads((path.parent / "boards" / "1" / "board.json").read_text())["device_id"]
    state, error, hint = err.splitlines()[-3:]
    assert re.fullmatch(
        rf"Boron {device_id}: not finished, \d+ of 510544 bytes written: each boot of it ends in DFU mode, offline, .*",
        state,
    )
    assert error == f"error: Boron {device_id} at port 1-1 left the bus: unplugged, without power, or reset"
    assert "type the same command again" in hint
    path.write_text(text.partition("faults")[0])
    status, out, _ = run("flash", *files, "--bench", path)
    assert status == 0
    assert out.count("read back and equal") == 2


def test_unplugged_in_the_read_back(run, bench_file, particle_cli_firmware):
    """The brake is off by then, so the board would boot what it has got."""
    path = bench_file({"platform": "boron"}, keep=True)
    path.write_text(path.read_text() + '\nfaults = [{do = "unplug", at = "dfu_transfer", n = 900}]\n')
    names = ("boron-system-part1@2.1.0.bin", "tinker-0.8.0-rc.27-boron.bin")
    status, _, err = run("flash", *(module(particle_cli_firmware, name) for name in names), "--bench", path)
    assert status == ExitCode.FAILED
    assert "510544 of 510544 bytes written" in err
    assert "ends in DFU mode" not in err
    assert "a reset boots the application, which may connect. Hold its MODE button" in err
    assert json.loads(run("id", "--bench", path, "--json")[1])["boots_into"] == "application"


def test_progress_ends_its_line_and_goes_on_where_it_stopped(run, bench_file, particle_cli_firmware, monkeypatch):
    path = bench_file({"platform": "boron"}, keep=True)
    text = path.read_text()
    path.write_text(text + '\nfaults = [{do = "unplug", at = "dfu_transfer", n = 400}]\n')
    names = ("boron-system-part1@2.1.0.bin", "tinker-0.8.0-rc.27-boron.bin")
    files = [module(particle_cli_firmware, name) for name in names]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    written = []
    for faults in (True, False):
        path.write_text(path.read_text() if faults else text)
        err = run("flash", *files, "--bench", path)[2]
        written.append([int(n) for n in re.findall(r"\rwrite +\d+ %  (\d+) bytes ", err)])
        if faults:
            assert f"\rwrite{written[0][-1] * 100 // 510544:5d} %  {written[0][-1]} bytes \nBoron" in err
    before, after = written
    assert before[0] == 4096
    assert before[-1] < after[0] <= before[-1] + 2 * 4096, "one block was on its way"


def test_module_that_is_there_already_is_named_and_the_board_left_alone(run, bench_file, particle_cli_firmware):
    bench = bench_file("photon", keep=True)
    bootloader = module(particle_cli_firmware, "photon-bootloader@2.1.0+lto.bin")
    status, out, _ = run("flash", bootloader, "--bench", bench)
    assert status == 0
    assert "already there, not written: bootloader 0 v1005" in out
    assert json.loads((bench.parent / "boards" / "1" / "board.json").read_text())["truth"]["dfu_entries"] == 0


def test_application_alone_has_no_brake_and_needs_the_permission(run, bench_file, particle_cli_firmware):
    """Losing power in the middle, the board would boot safe mode and connect."""
    bench = bench_file("boron", keep=True)
    app = module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin")
    _, out, _ = run("flash", app, "--bench", bench, "--dry-run", "--json")
    plan = json.loads(out)
    assert plan["harmless_if_interrupted"] is False
    assert plan["permissions_needed"] == ["may_connect"]
    assert "--device-os" in plan["notes"][0]
    status, _, err = run("flash", app, "--bench", bench)
    assert status == ExitCode.REFUSED
    assert "boots into safe mode, which connects" in err
    truth = json.loads((bench.parent / "boards" / "1" / "board.json").read_text())["truth"]
    assert (truth["erases"], truth["dfu_entries"]) == (0, 0)
    system = module(particle_cli_firmware, "boron-system-part1@2.1.0.bin")
    _, out, _ = run("flash", app, system, "--bench", bench, "--dry-run")
    assert "cannot bill" in out


def test_application_that_is_cut_short_says_how_to_plug_the_board_in(run, bench_file, particle_cli_firmware):
    path = bench_file({"platform": "boron"}, keep=True)
    path.write_text(path.read_text() + '\nfaults = [{do = "unplug", at = "dfu_transfer", n = 24}]\n')
    app = module(particle_cli_firmware, "tinker-0.8.0-rc.27-boron.bin")
    status, _, err = run("flash", app, "--bench", path, "--may-connect")
    assert status == ExitCode.FAILED
    assert "Hold its MODE button" in err
    _, out, _ = run("id", "--bench", path)
    assert "safe mode, which connects" in out
    assert json.loads(run("id", "--bench", path, "--json")[1])["boots_into"] == "safe mode"


def test_id_tells_what_a_board_in_dfu_mode_installs_first(run, bench_file):
    path = bench_file({"platform": "boron", "arrives_in": "dfu"}, keep=True)
    assert json.loads(run("id", "--bench", path, "--json")[1])["installed_first"] == []
    kept = path.parent / "boards" / "1" / "dct.bin"
    dct = Dct(bytearray(kept.read_bytes()))
    dct.add_module(ModuleSlot(1, 0, 0x289000, 0x30000, 499132, 0x0E, ModuleFunction.SYSTEM_PART))
    kept.write_bytes(dct.read(0, 0x4000))
    _, out, _ = run("id", "--bench", path)
    assert "Before that    update slot 1 copies 499132 bytes to 0x00030000, and what it starts then may connect" in out
    identity = json.loads(run("id", "--bench", path, "--json")[1])
    assert identity["installed_first"] == ["update slot 1 copies 499132 bytes to 0x00030000"]


def test_leave_of_a_board_that_has_everything(run, bench_file, particle_cli_firmware):
    bench = bench_file({"platform": "photon", "arrives_in": "dfu"}, keep=True)
    bootloader = module(particle_cli_firmware, "photon-bootloader@2.1.0+lto.bin")
    assert run("flash", bootloader, "--bench", bench, "--leave")[0] == ExitCode.REFUSED
    status, out, _ = run("flash", bootloader, "--bench", bench, "--leave", "--may-connect", "--json")
    result = json.loads(out)
    assert (status, result["left_dfu_mode"], result["proven"]) == (0, True, [])
    assert result["satisfied"] == ["photon-bootloader@2.1.0+lto.bin"]
    assert run("list", "--bench", bench)[1].split()[2] == "normal"


# ---- station --------------------------------------------------------------------------------------------------

RECIPE = Path(__file__).parents[2] / "recipes" / "ship.toml"


def test_station_run(run, bench_file, tmp_path):
    out_dir = tmp_path / "run"
    arguments = ("station", "run", "--recipe", RECIPE, "--bench", bench_file("boron", "photon"), "--out", out_dir)
    status, out, _ = run(*arguments, "--operator", "Ada")
    assert status == 0
    assert "2 of 2 units passed" in out
    assert str(out_dir / "report.html") in out
    status, out, _ = run("report", out_dir, "--json")
    record = json.loads(out)
    assert status == 0
    assert record["operator"] == "Ada"
    assert [u["billing"]["verdict"] for u in record["units"]] == ["not_started", "not_started"]


def test_station_json_is_one_event_a_line(run, bench_file, tmp_path):
    status, out, _ = run(
        "station", "run", "--recipe", RECIPE, "--bench", bench_file("boron"), "--out", tmp_path / "run", "--json"
    )
    types = [json.loads(line)["type"] for line in out.splitlines()]
    assert status == 0
    assert (types[0], types[-1]) == ("run_started", "run_finished")
    assert "step_progress" in types


def test_station_with_an_empty_slot_does_not_exit_0(run, bench_file, tmp_path):
    bench = bench_file("boron", {"platform": "photon", "connected": False})
    status, out, _ = run("station", "run", "--recipe", RECIPE, "--bench", bench, "--out", tmp_path / "run")
    assert status == ExitCode.INCOMPLETE
    assert "empty" in out


def test_station_with_a_refused_slot(run, bench_file, tmp_path):
    bench = bench_file("boron", {"platform": "photon", "bootloader": "old"})
    status, out, _ = run("station", "run", "--recipe", RECIPE, "--bench", bench, "--out", tmp_path / "run")
    assert status == ExitCode.FAILED
    assert "refused" in out
    assert "what to do" in out


def test_next_tray_needs_a_new_folder(run, bench_file, tmp_path):
    arguments = ("station", "run", "--recipe", RECIPE, "--bench", bench_file("boron"), "--out", tmp_path / "run")
    assert run(*arguments)[0] == 0
    status, out, _ = run(*arguments, "--json")
    assert status == ExitCode.REFUSED
    assert json.loads(out)["error"]["type"] == "RunFinishedError"


def test_folder_that_takes_no_files(run, bench_file):
    status, _, err = run("station", "run", "--recipe", RECIPE, "--bench", bench_file("boron"), "--out", "/proc/run")
    assert status == ExitCode.BAD_INPUT
    assert "--out" in err


def test_a_journal_that_cannot_be_written_is_a_file_that_cannot_be_used(run, bench_file, tmp_path, monkeypatch):
    def full(_descriptor, _content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("particle_dev.station.journal._write_all", full)
    arguments = ("station", "run", "--recipe", RECIPE, "--bench", bench_file("boron"), "--out", tmp_path / "run")
    status, out, _ = run(*arguments, "--json")
    assert status == ExitCode.BAD_INPUT
    ended = json.loads(out.splitlines()[-1])
    assert (ended["error"]["type"], ended["exit_code"]) == ("JournalError", 3)
    assert "No space left on device" in ended["error"]["message"]
    assert "make room" in ended["error"]["hint"]


def test_reader_that_goes_away_does_not_end_the_run(release_store, bench_file, tmp_path):
    command = [sys.executable, "-m", "particle_dev", "station", "run", "--recipe", str(RECIPE)]
    command += ["--bench", str(bench_file("boron")), "--store", str(release_store.root), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stderr.readline()
    process.stderr.close()
    assert process.wait(60) == 0
    process.stdout.close()


def test_a_label_is_scanned_back_on_standard_input(release_store, bench_file, tmp_path):
    recipe = tmp_path / "label.toml"
    recipe.write_text(RECIPE.read_text() + "\n[label]\nscan_back = true\n")
    command = [sys.executable, "-m", "particle_dev", "station", "run", "--recipe", str(recipe), "--json"]
    command += ["--bench", str(bench_file("boron")), "--store", str(release_store.root), "--out", str(tmp_path / "run")]
    command += ["--site", str(tmp_path / "site")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event.get("type") == "operator_message" and "then scan it" in event["data"]["message"]:
                process.stdin.write(event["unit"] + "\n")
                process.stdin.flush()
        assert "the label of slot 1 was read" in process.stderr.read()
    assert process.returncode == 0
    assert list((tmp_path / "run" / "attachments").glob("*/label.svg"))


def test_unusable_recipe(run, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('[recipe]\nname = "x"\nfinnish = "dfu"\n')
    status, out, _ = run("station", "run", "--recipe", path, "--bench", "virtual", "--json")
    error = json.loads(out)["error"]
    assert (status, error["line"], error["key"]) == (ExitCode.BAD_INPUT, 3, "recipe.finnish")


def test_unknown_bench(run):
    status, _, err = run("list", "--bench", "nowhere")
    assert status == ExitCode.BAD_INPUT
    assert "virtual" in err


# ---- the command itself ---------------------------------------------------------------------------------------


def test_usage_and_version(run):
    assert run("flash")[0] == ExitCode.USAGE
    assert run("nonsense")[0] == ExitCode.USAGE
    assert run("--version")[1].startswith("particle-dev, version")


@pytest.mark.parametrize("command", [[], ["flash"], ["station", "run"], ["inspect"], ["firmware", "add"], ["report"]])
def test_help_fits_a_screen(command):
    result = subprocess.run(
        [sys.executable, "-m", "particle_dev", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"},
    )
    lines = result.stdout.splitlines()
    # One line for each command, and for each of the station's options.
    assert len(lines) <= {(): 36, ("station", "run"): 38}.get(tuple(command), 32)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", [["inspect", __file__], ["--help"], ["firmware", "list"]])
def test_output_that_cannot_be_written_is_an_error_without_a_traceback(command):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "particle_dev", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == ExitCode.FAILED
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_name_that_the_terminal_cannot_show(tmp_path):
    path = tmp_path / "ü.bin"
    path.write_bytes(bytes(100))
    environment = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "particle_dev", "inspect", str(path)]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == ExitCode.BAD_INPUT
    assert b"no readable firmware module" in done.stdout
