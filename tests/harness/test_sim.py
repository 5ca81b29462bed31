"""Bench files for other programs, and the server that offers their boards."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from particle_harness.bench_toml import modules_in, open_bench_file
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in
from particle_harness.sim import sim as sim_group
from particle_harness.vhci import attach_all, devices

from particle_dev.errors import BenchError, ConfigError

BENCH = '[bench]\ndriver = "virtual"\n[bench.options]\ndelays = "none"\n[[slot]]\nname = "A"\nplatform = "boron"\n'

PARTICLE_DEV = Path(sys.executable).with_name("particle-dev")


def until(condition):
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.fixture
def bench_file(tmp_path):
    file = tmp_path / "bench.toml"
    file.write_text(BENCH, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "line 1"),
        ("[slot]\n", r"table \[bench\] is missing"),
        ('[bench]\ndriver = "usb"\n', "only virtual and emulated boards"),
        ('[bench]\ndriver = "virtual"\noptions = {clock = "virtual"}\n', "real time"),
    ],
)
def test_bench_file_that_cannot_be_served(bench_file, text, message):
    bench_file.write_text(text, encoding="utf-8")
    with pytest.raises((BenchError, ConfigError), match=message) as error:
        open_bench_file(bench_file)
    assert str(error.value).startswith(str(bench_file))


def test_state_is_kept_beside_the_file(bench_file):
    bench_file.write_text(BENCH.replace("[bench.options]", 'state_dir = "boards"\n[bench.options]'), encoding="utf-8")
    open_bench_file(bench_file).close()
    assert (bench_file.parent / "boards" / "A" / "internal.bin").stat().st_size == 1 << 20


def test_new_boards_get_the_newest_modules_of_their_platform(bench_file, tmp_path):
    boron, folder = hardware("boron"), tmp_path / "firmware"
    folder.mkdir()
    newest = bootloader_stand_in(boron, 1200)
    modules = [bootloader_stand_in(boron, 900), newest, bootloader_stand_in(hardware("argon"), 1300)]
    for number, module in enumerate([*modules, softdevice_stand_in(boron)]):
        (folder / f"{number}.bin").write_bytes(module)
    assert modules_in(folder)("boron") == [newest, softdevice_stand_in(boron)]
    bench = open_bench_file(bench_file, firmware=folder)
    assert bench.board("A").internal.read(0xF4000, len(newest)) == newest
    bench.close()


EMULATED = '[bench]\ndriver = "emulated"\n[[slot]]\nname = "A"\nplatform = "boron"\n'


def test_emulated_boards_of_a_bench_file_get_no_stand_ins(bench_file, tmp_path, monkeypatch):
    monkeypatch.delenv("PARTICLE_DEV_FIRMWARE_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    bench_file.write_text(EMULATED, encoding="utf-8")
    with pytest.raises(BenchError, match="no folder of firmware images is named"):
        open_bench_file(bench_file)
    (tmp_path / "images").mkdir()
    with pytest.raises(BenchError, match="images holds no bootloader") as empty:
        open_bench_file(bench_file, images=tmp_path / "images")
    assert str(empty.value.hint).startswith("fill the folder, by `particle-dev firmware add ")
    with pytest.raises(BenchError, match="none is no folder") as missing:
        open_bench_file(bench_file, images=tmp_path / "none")
    assert str(missing.value.hint).endswith("it is to name a folder of module files")
    bench_file.write_text(EMULATED + '[bench.options]\nimages = "others"\n', encoding="utf-8")
    with pytest.raises(BenchError, match="others"):
        open_bench_file(bench_file, images=tmp_path / "images")


@pytest.mark.parametrize("option", [("--images", "."), ("--emulated",)])
def test_options_of_emulated_boards_are_refused_where_there_are_none(bench_file, option):
    result = CliRunner().invoke(sim_group, ["serve", "--port", "0", *option, str(bench_file)])
    assert result.exit_code == 2
    assert f'{option[0]} is about emulated boards, and {bench_file} has driver = "virtual"' in result.stderr


def test_images_alone_make_no_emulated_boards(tmp_path):
    result = CliRunner().invoke(sim_group, ["serve", "--port", "0", "--images", str(tmp_path)])
    assert (result.exit_code, "--images is about emulated boards: add --emulated" in result.stderr) == (2, True)


@pytest.mark.parametrize("options", [("--emulated",), ("--emulated", "--images", "images"), ("--images", "images")])
def test_a_bench_file_of_emulated_boards_takes_the_options_of_those(bench_file, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    bench_file.write_text(EMULATED, encoding="utf-8")
    if "--images" not in options:
        monkeypatch.setenv("PARTICLE_DEV_FIRMWARE_DIR", "images")
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(BenchError, match="images holds no bootloader") as error:
            CliRunner().invoke(sim_group, ["serve", *options, str(bench_file)], catch_exceptions=False)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert str(bench_file) in str(error.value)


def test_what_a_folder_lacks_is_a_stand_in(tmp_path):
    boron = hardware("boron")
    (tmp_path / "bootloader.bin").write_bytes(bootloader_stand_in(boron, 900))
    assert modules_in(tmp_path)("boron") == [bootloader_stand_in(boron, 900), softdevice_stand_in(boron)]


@pytest.fixture
def serve():
    """Start `sim serve` with these arguments in a process of its own; its boards and its address."""
    processes = []

    def make(*arguments):
        command = [PARTICLE_DEV, "sim", "serve", "--port", "0", "--json", *map(str, arguments)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        boards = []
        for line in processes[-1].stdout:
            found = json.loads(line)
            if "port" in found:
                return boards, f"{found['host']}:{found['port']}"
            boards.append(found)
        pytest.fail("it ended")

    yield make
    for process in processes:
        process.terminate()
        assert process.wait(timeout=10) == 130
        process.stdout.close()


def sim(*arguments):
    done = subprocess.run([PARTICLE_DEV, "sim", *arguments, "--json"], capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_serve_offers_four_boards_of_its_own(serve):
    boards, address = serve()
    assert [board["platform"] for board in boards] == ["boron", "bsom", "tracker", "photon"]
    host, port = address.split(":")
    assert devices((host, int(port))) == ["1-1", "1-2", "1-3", "1-4"]


def test_serve_keeps_boards_in_a_folder(serve, tmp_path):
    boards, _ = serve("--platform", "boron", "--platform", "photon", "--state", tmp_path)
    assert [(board["slot"], board["platform"]) for board in boards] == [("1", "boron"), ("2", "photon")]
    assert (tmp_path / "2" / "internal.bin").stat().st_size == 1 << 20


def test_serve_keeps_emulated_boards_when_it_is_ended(tmp_path):
    command = [PARTICLE_DEV, "sim", "serve", "--port", "0", "--json", "--emulated", "--platform", "boron", "--blank"]
    with subprocess.Popen([*command, "--state", tmp_path], stdout=subprocess.PIPE, text=True) as server:
        lines = [json.loads(line) for line in (server.stdout.readline(), server.stdout.readline())]
        assert sim("unplug", "1", "--server", f"127.0.0.1:{lines[1]['port']}")[0] == 0
        server.terminate()
        assert server.wait(timeout=30) == 130
    kept = json.loads((tmp_path / "1" / "emulated.json").read_text(encoding="utf-8"))
    assert (kept["platform"], kept["unplugged"]) == ("boron", True)


def test_cables_are_pulled_and_plugged_while_it_serves(serve, bench_file):
    (board,), address = serve(bench_file)
    server = ("127.0.0.1", int(address.split(":")[1]))
    assert (board["mode"], board["runs"]) == ("normal", "listening"), "as `list` shows it"
    assert devices(server) == ["1-1"]
    assert sim("unplug", "A", "--server", address) == (0, [{**board, "mode": None, "runs": None}])
    assert devices(server) == []
    assert sim("plug", board["bus_id"], "--server", address)[1][0]["runs"] == "listening", "a port is a name, too"
    assert sim("reset", "A", "--server", address)[0] == 0
    assert sim("list", "--server", address) == (0, [board])
    until(lambda: devices(server) == ["1-1"])


def test_what_there_is_nothing_to_do_about_is_said(serve, bench_file):
    _, address = serve(bench_file)
    for act, note in (("plug", "plugged in already"), ("unplug", None), ("unplug", "unplugged already")):
        words = [PARTICLE_DEV, "sim", act, "A", "--server", address]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert done.stderr == (f"the board in slot A was {note}\n" if note else "")


def test_a_blank_board_has_nothing_to_boot(serve):
    _, address = serve("--platform", "boron", "--blank")
    listed = subprocess.run(
        [PARTICLE_DEV, "sim", "list", "--server", address], capture_output=True, text=True, check=True
    )
    assert listed.stdout.rstrip().endswith("blank: nothing to boot")


def test_a_slot_that_is_not_there(serve, bench_file):
    _, address = serve(bench_file)
    status, (error,) = sim("unplug", "B", "--server", address)
    assert (status, error["error"]["message"]) == (4, "there is no board in slot 'B'")
    assert error["error"]["devices"] == ["A (boron, port 1-1)"]
    assert "A (boron, port 1-1)" in error["error"]["hint"]


def test_a_new_board_is_put_in_at_a_station_alone(serve, bench_file):
    (board,), address = serve(bench_file)
    status, (error,) = sim("next", "A", "--server", address)
    assert (status, error["error"]["message"]) == (3, "next is for a running station")
    assert "hands" in error["error"]["hint"]
    assert sim("list", "--server", address) == (0, [board])
    assert sim("next", "B", "--server", address)[0] == 4


def test_no_server_and_another_kind_of_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def hang_up():
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        status, (error,) = sim("list", "--server", address)
        thread.join()
        assert (status, error["error"]["hint"]) == (3, "particle-dev sim serve")
        assert "no boards are served" in error["error"]["message"]
    assert sim("list", "--server", address)[0] == 3


def test_port_that_is_taken(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        status, (error,) = sim("serve", "--port", str(listener.getsockname()[1]))
    assert (status, error["error"]["hint"]) == (3, "--port 0 takes a free one")
    assert error["error"]["message"].endswith(": Address already in use"), "once"


@pytest.mark.parametrize("arguments", [("list", "--server", "here:there"), ("serve", "x.toml", "--platform", "boron")])
def test_usage(arguments):
    done = subprocess.run([PARTICLE_DEV, "sim", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2


def test_attach_needs_the_kernel_module(monkeypatch, tmp_path):
    monkeypatch.setattr("particle_harness.vhci._CONTROLLER", tmp_path / "missing")
    with pytest.raises(BenchError, match="modprobe"):
        attach_all(("127.0.0.1", 1), threading.Event(), print)


@pytest.fixture
def controller(monkeypatch, tmp_path):
    """A stand-in for the kernel's files, with one free port for full-speed devices."""
    monkeypatch.setattr("particle_harness.vhci._CONTROLLER", tmp_path)
    (tmp_path / "status").write_text(
        "hub port sta spd dev      sockfd local_busid\n"
        "hs  0000 006 002 00010002 000003 1-1\nhs  0001 004 000 00000000 000000 0-0\n"
        "ss  0008 004 000 00000000 000000 0-0\n"
    )
    return tmp_path


def test_attach_hands_the_connection_to_the_kernel_and_takes_it_back(serve, bench_file, controller):
    _, address = serve(bench_file)
    stop, told = threading.Event(), []
    stop.set()
    attach_all(("127.0.0.1", int(address.split(":")[1])), stop, lambda *event: told.append(event))
    assert re.fullmatch(r"1 \d+ 65538 2", (controller / "attach").read_text())
    assert told == [("1-1", "attached")]
    # As the stand-in says that the port is free, there is nothing to detach.
    assert not (controller / "detach").exists()


@pytest.mark.parametrize(
    ("arguments", "line"), [((), "1-1 attached"), (("--json",), '{"event": "attached", "bus_id": "1-1"}')]
)
def test_attach_prints_what_comes(serve, bench_file, controller, monkeypatch, arguments, line):
    _, address = serve(bench_file)
    before, echo = signal.getsignal(signal.SIGTERM), click.echo

    def echo_and_press_ctrl_c(text):
        # At any other moment it could end the building of a connection, which nobody closes then.
        echo(text)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(click, "echo", echo_and_press_ctrl_c)
    try:
        result = CliRunner().invoke(sim_group, ["attach", address, *arguments])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(result.exception, SystemExit)
    assert result.output.splitlines()[0] == line


def test_attach_without_the_right_says_so(serve, bench_file, controller, monkeypatch):
    _, address = serve(bench_file)

    def refuse(self, text):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    with pytest.raises(BenchError, match="sudo"):
        attach_all(("127.0.0.1", int(address.split(":")[1])), threading.Event(), print)


def test_attach_to_more_devices_than_there_are_ports(serve, bench_file, controller):
    _, address = serve(bench_file)
    text = (controller / "status").read_text().replace("0001 004", "0001 006")
    (controller / "status").write_text(text)
    with pytest.raises(BenchError, match="all ports"):
        attach_all(("127.0.0.1", int(address.split(":")[1])), threading.Event(), print)
