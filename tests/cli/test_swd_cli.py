"""``particle-dev swd`` on virtual chips that are served over TCP; sessions are processes of their own."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from intelhex import IntelHex
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.factory import build_module
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.core import Idle
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.probe_server import ProbeServer
from particle_harness.swd.stm32f205 import Stm32f205

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main

pytestmark = [pytest.mark.usefixtures("own_probes"), pytest.mark.timeout(300)]
DEVICE_ID = "e00fce680001020304050607"
APP = "tinker-0.8.0-rc.27-boron.bin"


@pytest.fixture
def boron():
    """A blank chip and the id of the probe on it."""
    chip = Nrf52840(Silicon(bytes(range(8))), NorFlash(NRF52840_FLASH, VirtualClock(), delays=False))
    chip.core.firmware = Idle()
    with ProbeServer(chip) as server:
        yield chip, f"remote:127.0.0.1:{server.port}"


@pytest.fixture
def photon():
    chip = Stm32f205(bytes(range(12)), NorFlash(STM32F205_FLASH, VirtualClock(), delays=False))
    chip.core.firmware = Idle()
    with ProbeServer(chip) as server:
        yield chip, f"remote:127.0.0.1:{server.port}"


@pytest.fixture
def restore_file(tmp_path):
    file = IntelHex()
    file.puts(0, bytes.fromhex("0004002001050000") + bytes(1000))
    file.write_hex_file(str(tmp_path / "boron.hex"))
    return tmp_path / "boron.hex"


@pytest.fixture
def swd(capsys, monkeypatch, tmp_path, release_store):
    """Run a command; its exit status and what it printed, as JSON."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(["swd", *map(str, words), "--json"])
        printed = capsys.readouterr().out
        return ended.value.code or 0, json.loads(printed)

    return run


def test_flash_dump_restore_and_id(boron, swd, restore_file, tmp_path):
    chip, probe = boron
    wanted = ("--device-os", "2.1.0", "--app", APP)
    code, answer = swd("flash", "--probe", probe, "--platform", "boron", *wanted)
    assert code == ExitCode.REFUSED
    assert "--restore" in answer["error"]["hint"]
    blank = bytes(chip.flash.cells)

    code, plan = swd("flash", "--probe", probe, "--platform", "boron", *wanted, "--restore", restore_file, "--dry-run")
    assert (code, plan["method"], plan["device_id"]) == (0, "pages", DEVICE_ID)
    assert any("serial flash stays as it is" in step for step in plan["steps"])
    assert bytes(chip.flash.cells) == blank

    code, result = swd("flash", "--probe", probe, "--platform", "boron", *wanted, "--restore", restore_file)
    assert (code, result["left"]) == (0, "halted")
    assert len(result["proven"]) == 5
    assert chip.core.halted

    code, identity = swd("id", "--probe", probe)
    assert (code, identity["device_id"], identity["platform"]["name"]) == (0, DEVICE_ID, "boron")
    assert [p["version"] for p in identity["prefixes"]] == [1005, 2101, 5]
    assert identity["uicr"]["0x10001014"] == 0xF4000

    flashed = bytes(chip.flash.cells)
    code, _ = swd("dump", tmp_path / "board.zip", "--probe", probe)
    assert code == 0
    chip.flash.load(0x50000, bytes(5000))
    code, answer = swd("restore", tmp_path / "board.zip", "--probe", probe)
    assert (code, answer["error"]["permission"]) == (ExitCode.REFUSED, "may_erase")
    code, result = swd("restore", tmp_path / "board.zip", "--probe", probe, "--may-erase")
    assert code == 0
    assert bytes(chip.flash.cells) == flashed
    code, result = swd("restore", tmp_path / "board.zip", "--probe", probe)
    assert (code, result["method"], result["permissions_needed"]) == (0, "nothing", []), "nothing is lost"
    assert not (tmp_path / "data" / "particle-dev" / "swd-backup" / f"{DEVICE_ID}.zip").exists()

    code, result = swd("park", "dfu", "--probe", probe)
    assert (code, result["parked"]) == (0, "dfu")
    assert chip.ram[0x3F380:0x3F384] == bytes.fromhex("faed0000")


def test_an_interrupted_run_leaves_a_backup_and_the_next_one_uses_it(boron, swd, restore_file, tmp_path):
    chip, probe = boron
    board = ("--probe", probe, "--platform", "boron")
    assert swd("flash", *board, "--device-os", "2.1.0", "--app", APP, "--restore", restore_file)[0] == 0
    whole = bytes(chip.flash.cells)
    chip.flash.load(0xD4000 + 6000, bytes(64))
    chip.flash.on_program = lambda _address, data: bytes(len(data))
    code, answer = swd("flash", *board, "--app", APP)
    assert (code, answer["error"]["type"]) == (ExitCode.FAILED, "VerifyError")
    backup = tmp_path / "data" / "particle-dev" / "swd-backup" / f"{DEVICE_ID}.zip"
    assert backup.exists()
    # The brake is set and stays: nothing but erased flash is where the system part began.
    chip.flash.on_program = None
    chip.flash.erase_sector(0x30000)
    code, result = swd("flash", *board, "--app", APP)
    assert code == 0, result
    assert bytes(chip.flash.cells) == whole
    assert not backup.exists()


def acts(tmp_path):
    lines = (tmp_path / "data" / "particle-dev" / "acts.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_locked_chip(boron, swd, tmp_path):
    chip, probe = boron
    chip.flash.load(0x1000, b"customer")
    chip.uicr[0x208] = 0
    chip.pin_reset()
    code, answer = swd("id", "--probe", probe)
    assert (code, answer["error"]["type"]) == (ExitCode.REFUSED, "ChipLockedError")
    code, answer = swd("recover", "--probe", probe)
    assert (code, answer["error"]["permission"]) == (ExitCode.REFUSED, "may_erase")
    assert chip.flash.read(0x1000, 8) == b"customer"
    assert not (tmp_path / "data" / "particle-dev" / "acts.jsonl").exists()
    code, answer = swd("recover", "--probe", probe, "--may-erase")
    assert (code, answer["device_id"], answer["protection"], answer["read_out"]) == (0, DEVICE_ID, "open", None)
    assert chip.flash.read(0x1000, 8) == b"\xff" * 8
    started, finished = acts(tmp_path)
    assert (started["act"], started["type"], started["probe"]) == ("recover", "act_started", probe)
    assert started["data"]["permission"] == "may_erase"
    assert (started["data"]["before"]["locked"], started["device_id"]) == (True, None)
    assert (finished["type"], finished["act_id"]) == ("act_finished", started["act_id"])
    assert (finished["data"]["status"], finished["data"]["result"]["device_id"]) == ("done", DEVICE_ID)


def test_a_board_that_can_be_read_is_read_out_before_it_is_erased(boron, swd, tmp_path):
    chip, probe = boron
    chip.flash.load(0x1000, b"customer")
    before = bytes(chip.flash.cells)
    code, answer = swd("recover", "--probe", probe, "--may-erase")
    assert code == 0
    assert set(bytes(chip.flash.cells)) == {0xFF}
    assert answer["read_out"].startswith(str(tmp_path / "data" / "particle-dev" / "swd-read-out" / DEVICE_ID))
    read_out = acts(tmp_path)[0]["data"]["before"]["read_out"]
    assert read_out["file"] == answer["read_out"]
    code, _ = swd("restore", answer["read_out"], "--probe", probe, "--platform", "boron", "--may-erase")
    assert code == 0
    assert bytes(chip.flash.cells) == before


def test_recover_says_what_to_do_next(boron, swd, flash_words, capsys):
    _, probe = boron
    assert swd(*flash_words)[0] == 0
    with pytest.raises(SystemExit):
        main(["swd", "recover", "--probe", probe, "--may-erase"])
    lines = capsys.readouterr().out.splitlines()
    assert "do not take power away before it is flashed again" in lines[2]
    command = "swd flash --platform boron --device-os RELEASE --app NAME --restore HEX"
    assert lines[3].endswith(f"`particle-dev {command} --probe {probe}`"), "the board that it was, and where it is"


def test_nothing_irreversible_without_its_journal(boron, swd, tmp_path):
    chip, probe = boron
    chip.flash.load(0x1000, b"customer")
    (tmp_path / "file").write_text("")
    words = ("--probe", probe, "--may-erase", "--journal", tmp_path / "file" / "acts.jsonl")
    code, answer = swd("recover", *words)
    assert (code, answer["error"]["type"]) == (ExitCode.BAD_INPUT, "JournalError")
    assert chip.flash.read(0x1000, 8) == b"customer"


def test_a_lock_ends_in_success_when_it_is_proven(boron, swd, restore_file, tmp_path):
    chip, probe = boron
    board = ("--probe", probe, "--platform", "boron")
    code, answer = swd("lock", *board, "--may-lock")
    assert (code, answer["error"]["type"]) == (ExitCode.FAILED, "DeviceModeError"), "blank: no bootloader to wait in"
    assert set(chip.uicr) == {0xFF}
    assert swd("flash", *board, "--device-os", "2.1.0", "--app", APP, "--restore", restore_file)[0] == 0
    code, answer = swd("lock", "--probe", probe)
    assert code == ExitCode.REFUSED
    assert "only erasing everything (swd recover --may-erase) opens it again" in answer["error"]["message"]
    assert "cloud" not in answer["error"]["message"], "that is Device Protection"
    code, answer = swd("lock", "--probe", probe, "--may-lock")
    assert (code, answer["port_closed"], answer["left"]) == (0, True, "dfu")
    assert chip.locked
    started, finished = acts(tmp_path)[-2:]
    assert (started["act"], started["device_id"], started["data"]["permission"]) == ("lock", DEVICE_ID, "may_lock")
    assert finished["data"]["result"] == {"port_closed": True, "left": "dfu"}
    assert swd("id", "--probe", probe)[0] == ExitCode.REFUSED


def test_a_lock_without_a_reset_is_not_proven(boron, swd, restore_file):
    chip, probe = boron
    board = ("--probe", probe, "--platform", "boron")
    code, answer = swd("lock", *board, "--may-lock", "--no-reset")
    assert (code, answer["port_closed"], answer["left"]) == (ExitCode.INCOMPLETE, False, "halted")
    assert not chip.locked
    assert chip.core.halted
    chip.pin_reset()
    assert chip.locked


@pytest.mark.parametrize(("park", "code", "closed"), [("dfu", 0, True), ("halted", ExitCode.INCOMPLETE, False)])
def test_a_set_that_locks_ends_as_it_is_left(boron, swd, restore_file, park, code, closed):
    chip, probe = boron
    file = IntelHex(str(restore_file))
    file.puts(0x10001208, bytes.fromhex("00ffffff"))
    file.write_hex_file(str(restore_file))
    words = ("--probe", probe, "--platform", "boron", "--device-os", "2.1.0", "--app", APP, "--restore", restore_file)
    code_without, answer = swd("flash", *words, "--park", park)
    assert code_without == ExitCode.REFUSED
    assert "only erasing everything" in answer["error"]["message"]
    ended, result = swd("flash", *words, "--park", park, "--may-lock")
    assert (ended, result["port_closed"], result["left"]) == (code, closed, park)
    assert len(result["proven"]) == 5
    assert chip.locked is closed


def test_wrong_boards(boron, photon, swd, tmp_path):
    (_, on_boron), (chip, on_photon) = boron, photon
    code, answer = swd("id", "--probe", on_photon, "--platform", "boron")
    assert (code, answer["error"]["actual"]) == (ExitCode.NO_DEVICE, "stm32f205")
    assert swd("dump", tmp_path / "boron.zip", "--probe", on_boron)[0] == 0
    before = bytes(chip.flash.cells)
    words = (tmp_path / "boron.zip", "--probe", on_photon, "--may-erase", "--platform", "photon", "--other-board")
    code, answer = swd("restore", *words)
    assert (code, answer["error"]["expected"]) == (ExitCode.NO_DEVICE, DEVICE_ID)
    assert bytes(chip.flash.cells) == before


def test_the_label_on_the_board(boron, swd):
    chip = Stm32f205(
        bytes(range(12)),
        NorFlash(STM32F205_FLASH, VirtualClock(), delays=False),
        serial_number="PHHTAB123456789",
    )
    with ProbeServer(chip) as server:
        words = ("id", "--probe", f"remote:127.0.0.1:{server.port}", "--platform", "photon")
        code, answer = swd(*words, "--label", "PHHTAB123456789")
        assert (code, answer["label_matches"], answer["serial_number"]) == (0, True, "PHHTAB123456789")
        code, answer = swd(*words, "--label", "PHHTAB123456780")
        assert (code, answer["error"]["actual"]) == (ExitCode.NO_DEVICE, "PHHTAB123456789")
    # Its serial number lies in serial flash, which a probe does not see: not compared is no match.
    code, answer = swd("id", "--probe", boron[1], "--label", "B40HAB123456789")
    assert (code, answer["label_matches"]) == (ExitCode.INCOMPLETE, None)


def test_what_a_probe_does_not_reach_is_said(boron, swd, release_store, tmp_path):
    """The firmware of an Argon's network processor, among the files of a release."""
    release = release_store.device_os_set("argon", "2.1.0")
    for stored in release.modules:
        (tmp_path / stored.file_name).write_bytes(release_store.read(stored.sha256))
    (tmp_path / "ncp.bin").write_bytes(bytes(module(ModuleFunction.NCP_FIRMWARE)))
    files = sorted(tmp_path.glob("*.bin"))
    code, answer = swd("image", tmp_path / "argon.hex", "--platform", "argon", *files)
    assert code == ExitCode.INCOMPLETE
    assert len(answer["left_out"]) == 1
    assert answer["left_out"][0].startswith("NCP firmware")
    assert (tmp_path / "argon.hex").exists()


def module(function):
    """Of an Argon, as small as can be."""
    return build_module(hardware("argon"), function, 0, 7, start_address=0, size_bytes=1024)


def test_words_that_make_no_sense(swd, boron, tmp_path):
    _, probe = boron
    assert swd("flash", "--probe", probe)[0] == ExitCode.USAGE
    assert swd("id", "--probe", probe, "--platform", "toaster")[0] == ExitCode.USAGE
    assert swd("flash", "--probe", probe, "--app", APP)[0] == ExitCode.NO_DEVICE
    (tmp_path / "x.zip").write_text("no zip")
    assert swd("restore", tmp_path / "x.zip", "--probe", probe)[0] == ExitCode.BAD_INPUT
    assert swd("flash", "--probe", probe, "--platform", "boron", "--restore", tmp_path / "x.zip")[0] == (
        ExitCode.BAD_INPUT
    )


def test_without_a_probe(swd, capsys):
    code, answer = swd("list")
    assert (code, answer) == (0, {"probes": []})
    with pytest.raises(SystemExit):
        main(["swd", "list"])
    assert "--probe remote:HOST:PORT" in capsys.readouterr().out
    assert swd("id")[0] == ExitCode.NO_DEVICE


# ---- a flash that is cut short ------------------------------------------------------------------------------------


@pytest.fixture
def flash_words(boron, restore_file):
    board = ("--probe", boron[1], "--platform", "boron", "--restore", str(restore_file))
    return "flash", *board, "--device-os", "2.1.0", "--app", APP


INCOMPLETE = "its flash is incomplete: until it is whole, no start goes further than the bootloader"


def test_a_probe_that_is_pulled_while_it_writes(boron, swd, flash_words, tmp_path):
    chip, probe = boron

    def pull(address, data):
        chip.debug_port.probe_gone = chip.debug_port.probe_gone or address >= 0x40000
        return data

    chip.flash.on_program = pull
    code, answer = swd(*flash_words)
    assert (code, answer["error"]["type"]) == (ExitCode.FAILED, "LinkDisconnectedError")
    assert f"{DEVICE_ID}: {INCOMPLETE}; the core stands as long as the board has power" in answer["error"]["message"]
    assert "run the same command again, with --platform boron: what is right stays" in answer["error"]["hint"]
    started, finished = acts(tmp_path)
    assert (started["act"], started["device_id"], started["data"]["permission"]) == ("flash", DEVICE_ID, None)
    assert (finished["data"]["status"], finished["data"]["error"]["type"]) == ("failed", "LinkDisconnectedError")
    assert finished["data"]["result"] == {"changed": True, "whole": False, "backup": None}
    chip.flash.on_program, chip.debug_port.probe_gone = None, False
    assert swd("id", "--probe", probe, "--platform", "boron")[1]["flash_cut_short_at"] == started["at"]
    written = []
    chip.flash.on_program = lambda address, data: written.append(address) or data
    code, result = swd(*flash_words)
    assert (code, len(result["proven"])) == (0, 5)
    assert min(written) >= 0x30000, "what was right stays"
    assert swd("id", "--probe", probe)[1]["flash_cut_short_at"] is None
    assert acts(tmp_path)[-1]["data"]["result"] == {"changed": True, "whole": True, "backup": None}


def test_a_flash_that_cannot_begin_has_changed_nothing(boron, swd, flash_words, tmp_path):
    assert swd(*flash_words)[0] == 0
    (tmp_path / "file").write_text("")
    code, answer = swd(*flash_words[:-4], "--device-os", "2.1.0", "--journal", tmp_path / "file" / "acts.jsonl")
    assert code == 0, "nothing is to be done, so there is nothing to keep"
    boron[0].flash.erase_sector(0x40000)
    code, answer = swd(*flash_words, "--journal", tmp_path / "file" / "acts.jsonl")
    assert (code, answer["error"]["type"]) == (ExitCode.BAD_INPUT, "JournalError")
    assert "nothing was erased or written" in answer["error"]["message"]


@pytest.fixture
def flash_until(boron, flash_words, tmp_path, release_store):
    """Run a flash in a process group of its own, signal the group in the middle of its writing; status and stderr."""

    def run(number, *words):
        chip, _ = boron
        writes = threading.Event()

        def program(address, data):
            if address >= 0x40000 and not writes.is_set():
                writes.set()
            return data

        chip.flash.on_program = program
        environment = {**os.environ, "PARTICLE_DEV_STORE": str(release_store.root)}
        # A shell's background job, which this test may be part of, inherits an ignored Ctrl-C.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "particle_dev", "swd", *flash_words, *words]
        with subprocess.Popen(
            command, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert writes.wait(60)
            with chip.lock:
                # Its session waits for an answer now, and gets none before the signal is there.
                os.killpg(process.pid, number)
                said = process.communicate(timeout=30)
        chip.flash.on_program = None
        return process.returncode, *said

    return run


@pytest.mark.parametrize(("number", "by"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "StopAtOnce")])
def test_ctrl_c_tells_how_the_board_is_left(boron, swd, flash_until, flash_words, tmp_path, number, by):
    code, _, stderr = flash_until(number)
    assert (code, stderr.count("Traceback")) == (ExitCode.INTERRUPTED, 0)
    assert f"interrupted; {DEVICE_ID}: {INCOMPLETE}" in stderr
    assert "run the same command again" in stderr
    _, finished = acts(tmp_path)
    assert (finished["data"]["status"], finished["data"]["error"]) == ("failed", {"type": by})
    assert finished["data"]["result"]["changed"]
    assert swd(*flash_words)[0] == 0
    assert [e["data"].get("status") for e in acts(tmp_path)] == [None, "failed", None, "done"]


def test_a_flash_that_is_killed_is_seen_in_the_journal(boron, swd, flash_until, flash_words, tmp_path):
    code, _, _ = flash_until(signal.SIGKILL)
    assert code == -signal.SIGKILL
    (started,) = acts(tmp_path)
    assert (started["act"], started["type"]) == ("flash", "act_started")
    words = ("id", "--probe", boron[1], "--platform", "boron")
    assert swd(*words)[1]["flash_cut_short_at"] == started["at"]
    assert swd(*flash_words)[0] == 0
    assert swd(*words)[1]["flash_cut_short_at"] is None


# ---- refusals and exit statuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("recover", "--may-erase"), ("lock", "--may-lock")])
@pytest.mark.parametrize("platform", [(), ("--platform", "photon")])
def test_what_only_an_nrf52840_has(photon, swd, tmp_path, words, platform):
    chip, probe = photon
    chip.flash.load(0x08004000, b"keys")
    before = bytes(chip.flash.cells)
    code, answer = swd(*words, "--probe", probe, *platform)
    assert (code, answer["error"]["type"]) == (ExitCode.REFUSED, "PlanRefusedError")
    assert f"{words[0]} is for nRF52840 boards, this one is an stm32f205" in answer["error"]["message"]
    assert bytes(chip.flash.cells) == before
    assert not (tmp_path / "data" / "particle-dev" / "acts.jsonl").exists()
    assert not (tmp_path / "data" / "particle-dev" / "swd-read-out").exists()


PROBELESS = {
    "id": (),
    "dump": ("never.zip",),
    "restore": ("board.zip", "--may-erase"),
    "park": ("halted",),
    "recover": ("--may-erase",),
    "lock": ("--may-lock",),
    "rtt": ("--may-connect", "--platform", "boron"),
    "flash": ("--platform", "boron", "--device-os", "2.1.0"),
}


@pytest.mark.parametrize("command", PROBELESS)
def test_a_probe_that_is_not_there(boron, swd, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    probe = "remote:127.0.0.1:1" if command in ("id", "flash") else "NOPE"
    if command == "restore":
        assert swd("dump", "board.zip", "--probe", boron[1])[0] == 0
    code, answer = swd(command, *PROBELESS[command], "--probe", probe)
    assert (code, answer["error"]["type"]) == (ExitCode.NO_DEVICE, "DeviceNotFoundError")
    assert probe in answer["error"]["message"]


@pytest.mark.parametrize("words", [("id",), ("dump", "never.zip"), ("park", "halted")])
@pytest.mark.parametrize("probe", ["NOPE", "cmsis-dap-tcp:127.0.0.1:1"])
def test_a_probe_of_openocd_that_is_not_there(swd, tmp_path, monkeypatch, words, probe):
    monkeypatch.chdir(tmp_path)
    code, answer = swd(*words, "--platform", "p2", "--probe", probe)
    assert (code, answer["error"]["type"]) == (ExitCode.NO_DEVICE, "DeviceNotFoundError")


def test_lines_fit_a_terminal(boron, photon, flash_words, capsys, monkeypatch, tmp_path, release_store):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))
    monkeypatch.chdir(tmp_path)
    probe = ("--probe", boron[1])
    park = ("park", "dfu")
    for words in (("list",), flash_words, ("id", *probe), ("dump", "a.zip", *probe), (*park, *probe)):
        with pytest.raises(SystemExit) as ended:
            main(["swd", *words])
        assert not ended.value.code
        printed = capsys.readouterr().out
        assert printed
        assert max(map(len, printed.splitlines())) <= 80, printed


def test_the_way_into_a_locked_chip_is_named_whole(boron, swd):
    chip, probe = boron
    chip.uicr[0x208] = 0
    chip.pin_reset()
    _, answer = swd("id", "--probe", probe)
    assert answer["error"]["hint"].endswith(f"`particle-dev swd recover --may-erase --probe {probe}`")
