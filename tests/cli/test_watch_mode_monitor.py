"""``list --watch``, ``mode`` and ``monitor`` from the command line down, on virtual boards."""

import errno
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import usb.core
from particle_harness.board import VirtualBoard
from particle_harness.usb.pyusb_backend import VirtualBackend

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.device.modes import Target

pytestmark = pytest.mark.firmware


@pytest.fixture(autouse=True)
def environment(monkeypatch, release_store, tmp_path):
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PARTICLE_DEV_DEVICES", raising=False)


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def bench(tmp_path):
    """A bench file; its boards keep their state from command to command."""

    def write(*platforms, clock="virtual", **slot):
        lines = ["[bench]", 'driver = "virtual"', 'state_dir = "boards"', "[bench.options]", f'clock = "{clock}"']
        for name, platform in zip("ABCD", platforms, strict=False):
            lines += ["[[slot]]", f'name = "{name}"', f'platform = "{platform}"']
            lines += [f"{key} = {json.dumps(value)}" for key, value in slot.items()]
        path = tmp_path / "bench.toml"
        path.write_text("\n".join(lines))
        return path

    return write


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


# ---- list -----------------------------------------------------------------------------------------------------


def test_list_names_the_slot(run, bench):
    status, out, _ = run("list", "--bench", bench("boron", "photon"))
    assert status == 0
    assert [line.split()[-2:] for line in out.splitlines()] == [["slot", "A"], ["slot", "B"]]


def test_board_that_may_not_be_opened_does_not_hide_the_others(run, bench, monkeypatch):
    def refuse(backend, device):
        if device.board.port_path == "1-1":
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        return open_device(backend, device)

    open_device = VirtualBackend.open_device
    monkeypatch.setattr(VirtualBackend, "open_device", refuse)
    file = bench("boron", "photon")
    status, out, _ = run("list", "--bench", file)
    assert status == ExitCode.INCOMPLETE
    assert "(unknown)" in out
    assert "cannot be opened" in out
    assert "doctor --install" in out
    assert "Photon" in out
    first, second = objects(run("list", "--bench", file, "--json")[1])
    assert (first["device_id"], first["port"]) == (None, "1-1")
    assert "denied" in first["access_problem"]
    assert "access_problem" not in second
    assert run("id", "--bench", file, "--device", "boron")[0] == ExitCode.FAILED


def test_watch_ends_after_its_duration(run, bench):
    status, out, _ = run("list", "--watch", "--duration", 3, "--json", "--bench", bench("boron"))
    assert status == 0
    (event,) = objects(out)
    assert (event["event"], event["identity"], event["slot"]) == ("appeared", event["device_id"], "A")
    assert event["at"].endswith("Z")


def test_watch_ends_by_ctrl_c_as_every_command_does(bench):
    command = [sys.executable, "-m", "particle_dev", "list", "--watch", "--bench", str(bench("boron", clock="real"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert "appeared" in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        _, err = watch.communicate(timeout=20)
    assert watch.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in err


def test_polling_in_place_of_udev_is_an_event_of_the_stream(run, monkeypatch):
    monkeypatch.setattr("particle_dev.transport.usb.usb.core.find", lambda **_: [])
    monkeypatch.setattr("particle_dev.transport.usb._libusb_backend", lambda: None)
    monkeypatch.setattr("particle_dev.transport.hotplug._UDEV_SOCKET", Path("/nowhere"))
    status, out, _ = run("list", "--watch", "--duration", 0.3, "--json")
    assert status == 0
    (notice,) = objects(out)
    assert notice["event"] == "notice"
    assert "polling" in notice["message"]


def test_duration_without_watch(run):
    assert run("list", "--duration", 3)[0] == ExitCode.USAGE


# ---- mode -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["boron", "tracker", "photon"])
def test_round_trip_through_the_modes(run, bench, platform):
    file = bench(platform, factory="online")

    def mode(*arguments, ends=0):
        status, out, err = run("mode", *arguments, "--bench", file, "--json")
        assert status == ends, out + err
        return json.loads(out)

    result = mode("dfu")
    assert (result["mode"], result["way"], result["proven"], result["changed"]) == ("dfu", "control", True, True)
    assert mode("dfu")["changed"] is False
    device_id = result["device_id"]
    for target, expected in (("normal", "normal"), ("listening", "listening"), ("normal", "normal")):
        result = mode(target, *(["--may-connect"] if target == "normal" else []))
        assert (result["device_id"], result["device_mode"], result["proven"]) == (device_id, expected, True)
    assert mode("reset", "--may-connect")["evidence"] == ["product_id", "uptime"]
    safe = mode("safe", "--may-connect", ends=6)
    assert (safe["evidence"], safe["missing_evidence"]) == (["product_id", "uptime"], ["reset_reason"])


@pytest.mark.parametrize("target", [Target.NORMAL, Target.SAFE, Target.RESET])
def test_what_may_connect_is_refused(run, bench, target):
    file = bench("boron")
    before = run("list", "--bench", file, "--json")[1]
    status, out, _ = run("mode", target, "--bench", file, "--json")
    error = json.loads(out)
    assert status == error["exit_code"] == ExitCode.REFUSED
    assert error["error"]["permission"] == "may_connect"
    assert run("list", "--bench", file, "--json")[1] == before


def test_unproven_arrival_is_not_green(run, bench, monkeypatch):
    monkeypatch.setattr("particle_dev.device.control.ControlSession.diagnostics", lambda _: {})
    status, out, _ = run("mode", "reset", "--may-connect", "--bench", bench("boron"))
    assert status == ExitCode.INCOMPLETE
    assert "not proven: uptime began anew" in out


@pytest.mark.parametrize("target", ["listening", "reset"])
def test_no_way_out_of_dfu_mode_but_one(run, bench, target):
    file = bench("boron", arrives_in="dfu")
    status, _, err = run("mode", target, "--may-connect", "--bench", file)
    assert status == ExitCode.REFUSED, "nothing was changed"
    assert f"`particle-dev mode normal --may-connect --bench {file}`" in err, "the whole command, not refused"
    assert "start billing" in err
    assert run("list", "--bench", file)[1].split()[2] == "dfu"
    assert run("mode", "normal", "--may-connect", "--bench", file)[0] == 0


@pytest.mark.parametrize("target", ["normal", "safe"])
@pytest.mark.parametrize(("platform", "system_offset"), [("boron", 0x30000), ("photon", 0x20000), ("p2", 0x60000)])
def test_a_board_without_a_system_part_stays_in_dfu_mode_and_is_not_reset(run, bench, platform, system_offset, target):
    file = bench(platform, arrives_in="dfu")
    before = run("list", "--bench", file, "--json")[1]
    assert objects(before)[0]["mode"] == "dfu"
    with (file.parent / "boards" / "A" / "internal.bin").open("r+b") as flash:
        flash.seek(system_offset)
        flash.write(b"\xff" * 0x1000)
    status, out, _ = run("mode", target, "--may-connect", "--bench", file, "--json")
    error = json.loads(out)["error"]
    assert status == ExitCode.REFUSED
    assert "there is no system part: it would stay in DFU mode" in error["message"]
    assert "particle-dev flash --device-os" in error["hint"]
    assert run("list", "--bench", file, "--json")[1] == before, "the same enumeration"


def test_bootloader_without_a_way_into_safe_mode(run, bench):
    file = bench("boron", arrives_in="dfu")
    status, _, err = run("mode", "safe", "--may-connect", "--bench", file)
    assert status == ExitCode.REFUSED
    assert "6.1.1" in err
    assert f"then `particle-dev mode safe --may-connect --bench {file}`" in err


@pytest.mark.parametrize(
    ("target", "way", "known"),
    [
        *(("dfu", "raw", "control, touch"),),
        *(("listening", "raw", "control, touch"),),
        *(("normal", "raw", "control"), ("normal", "touch", "control")),
        *(("safe", "raw", "control"), ("safe", "touch", "control")),
        *(("reset", "touch", "control, raw"),),
    ],
)
def test_way_that_does_not_lead_there(run, bench, target, way, known):
    file = bench("boron")
    status, _, err = run("mode", target, "--by", way, "--may-connect", "--bench", file)
    assert status == ExitCode.REFUSED
    assert f"leave out --by, or use one of: {known}" in err
    assert run("list", "--bench", file)[1].split()[2] == "normal"


def test_device_os_that_cannot_be_asked_for_its_mode(run, bench):
    """Listening is proven by its console; that it ended by nothing."""
    file = bench("photon", device_os="1.0.0")
    status, out, _ = run("mode", "normal", "--may-connect", "--bench", file, "--json")
    assert (status, json.loads(out)["missing_evidence"]) == (ExitCode.INCOMPLETE, ["device_mode"])
    for ways in ((), ("--by", "touch")):
        status, out, err = run("mode", "listening", "--bench", file, "--json", *ways)
        assert status == 0, out + err
        assert json.loads(out)["evidence"] == ["console"]


@pytest.mark.parametrize("target", list(Target))
def test_protected_board(run, bench, target):
    file = bench("b5som", device_os="6.2.0", protected=True)
    status, _, err = run("mode", target, "--may-connect", "--bench", file)
    assert status == ExitCode.REFUSED, "nothing was changed"
    assert "is protected" in err
    assert "hold MODE while tapping RESET" in err
    assert run("list", "--bench", file)[1].split()[2] == "normal"


def test_text_output(run, bench):
    status, out, _ = run("mode", "dfu", "--bench", bench("photon"), "--by", "touch")
    assert status == 0
    assert "dfu, by touch" in out
    assert "proof: same Device ID at the same port" in out


# ---- selectors and names --------------------------------------------------------------------------------------


def devices_file(tmp_path, text):
    path = tmp_path / "config" / "particle-dev" / "devices.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_board_by_name_label_and_terms(run, bench, tmp_path):
    file = bench("boron", "boron", "photon", clock="real")
    first, second, photon = objects(run("list", "--bench", file, "--json")[1])
    devices_file(tmp_path, f'[devices]\nbench-left = "{second["device_id"].upper()}"\n')

    def chosen(selector):
        status, out, err = run("id", "--bench", file, "--device", selector, "--json")
        assert status == 0, out + err
        return json.loads(out)

    assert chosen("bench-left")["device_id"] == second["device_id"]
    assert chosen(first["device_id"][:14])["device_id"] == first["device_id"]
    assert chosen("platform:photon,mode:normal")["device_id"] == photon["device_id"]
    label = chosen("port:1-1")["serial_number"]
    assert chosen(f"serial:{label}")["device_id"] == first["device_id"]
    status, out, _ = run("id", "--bench", file, "--device", "boron", "--json")
    assert status == ExitCode.NO_DEVICE
    assert set(json.loads(out)["error"]["candidates"]) == {first["device_id"], second["device_id"]}


def test_file_of_names_from_the_environment(run, bench, tmp_path, monkeypatch):
    file = bench("boron")
    monkeypatch.setenv("PARTICLE_DEV_DEVICES", str(tmp_path / "absent.toml"))
    status, _, err = run("id", "--bench", file, "--device", "left")
    assert status == ExitCode.BAD_INPUT
    assert "absent.toml" in err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[devices]\nboron = "e00fce68aaaaaaaaaaaaaaaa"\n', "line 2: 'boron' cannot be"),
        ('[devices]\nleft = "e00f"\n', "line 2: 'e00f' is no Device ID"),
        ("[devices]\nleft = 4\n", "line 2"),
        ('[device]\nleft = "e00fce68aaaaaaaaaaaaaaaa"\n', "unknown key 'device'"),
        ("[devices\n", "line 1"),
    ],
)
def test_file_of_names_that_cannot_be_used(run, bench, tmp_path, text, complaint):
    devices_file(tmp_path, text)
    status, _, err = run("id", "--bench", bench("boron"), "--device", "left")
    assert status == ExitCode.BAD_INPUT
    assert complaint in err


# ---- monitor --------------------------------------------------------------------------------------------------


def test_monitor_reads_all_boards(run, bench, tmp_path):
    log = tmp_path / "log.txt"
    file = bench("boron", "photon", clock="real")
    status, out, _ = run("monitor", "--bench", file, "--duration", 1, "--json", "--log", log)
    assert status == 0
    found = objects(out)
    assert sorted(o["event"] for o in found) == ["appeared", "appeared", "reading", "reading"]
    assert log.read_text() == out
    run("monitor", "--bench", file, "--duration", 1, "--json", "--log", log)
    assert len(log.read_text().splitlines()) == 8, "a log is appended to"


def test_monitor_of_one_board(run, bench):
    status, out, _ = run(
        "monitor", "--bench", bench("boron", "photon", clock="real"), "--duration", 1,
        "--device", "photon", "--timestamps", "none",
    )  # fmt: skip
    assert status == 0
    assert all(line.startswith("--- Photon") for line in out.splitlines())
    assert "reading its serial port" in out


@pytest.fixture
def printing(monkeypatch):
    """Boards print this once after their port was opened."""

    def say(text):
        left = [text]
        monkeypatch.setattr(VirtualBoard, "serial_read", lambda *_: left.pop().encode() if left else b"")

    return say


def test_line_as_json(run, bench, printing):
    printing("0000001234 [app] INFO: hello\r\nclaimed\n")
    _, out, _ = run("monitor", "--bench", bench("boron"), "--duration", 1, "--json")
    log, plain = [o for o in objects(out) if o["event"] == "line"]
    assert set(log) == {"at", "event", "identity", "monotonic_s", "text", "log"}
    assert log["text"] == "0000001234 [app] INFO: hello"
    assert log["log"] == {"level": "INFO", "message": "hello", "time_ms": 1234, "category": "app"}
    assert (plain["text"], plain["log"]) == ("claimed", None)


@pytest.mark.parametrize(
    ("timestamps", "stamp"),
    [("utc", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "), ("elapsed", r" +\d\.\d{3} "), ("none", "")],
)
def test_line_as_text_with_the_boards_name_and_without_secrets(run, bench, printing, tmp_path, timestamps, stamp):
    file = bench("boron")
    (board,) = objects(run("list", "--bench", file, "--json")[1])
    devices_file(tmp_path, f'[devices]\nleft = "{board["device_id"]}"\n')
    printing("Device Secret: 0123456789ABCDE\r\n")
    log = tmp_path / "log"
    _, out, _ = run("monitor", "--bench", file, "--duration", 1, "--timestamps", timestamps, "--log", log)
    assert re.search(rf"^{stamp}left: Device Secret: \*\*\*$", out, re.MULTILINE)
    assert "0123456789ABCDE" not in out + log.read_text()


def test_monitor_that_read_nothing_is_not_green(run, bench):
    status, out, _ = run("monitor", "--bench", bench("boron", arrives_in="dfu"), "--duration", 1)
    assert status == ExitCode.INCOMPLETE
    assert "dfu mode" in out


def test_monitor_of_a_board_that_is_not_there(run, bench):
    assert run("monitor", "--bench", bench("boron"), "--duration", 1, "--device", "photon")[0] == ExitCode.NO_DEVICE


def test_log_that_cannot_be_written(run, bench, tmp_path):
    status, _, err = run("monitor", "--bench", bench("boron"), "--duration", 1, "--log", tmp_path / "no" / "log")
    assert status == ExitCode.BAD_INPUT
    assert "cannot write" in err
