"""``particle-dev sim cloud`` as a process, and the commands that go with it."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner
from particle_harness.cloud.command import _faults_set, _print_start, cloud, ledger

PARTICLE_DEV = Path(sys.executable).with_name("particle-dev")


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(*arguments):
        argv = [PARTICLE_DEV, "sim", "cloud", "--port", "0", "--json", *arguments]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        running.append(process)
        return process, json.loads(process.stdout.readline())

    yield begin
    for process in running:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        process.stdout.close()


def run(*arguments, code=0):
    done = subprocess.run([PARTICLE_DEV, *arguments, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def text(*arguments):
    done = subprocess.run([PARTICLE_DEV, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_ledger_fits_its_terminal(start, tmp_path):
    (tmp_path / "order.txt").write_text("e00fce68aaaaaaaaaaaaaaaa\n")
    _, told = start("--plan", "free", "--product", "boron", "--made", "boron:order.txt")
    with httpx2.Client(base_url=told["url"], headers={"Authorization": f"Bearer {told['token']}"}) as http:
        http.post(f"/v1/products/{told['products'][0]['id']}/devices", json={"id": "e00fce68aaaaaaaaaaaaaaaa"})
    shown = on_a_terminal(60, PARTICLE_DEV, "sim", "ledger", "--link", told["link"])
    assert shown[-1] == "metered: 1 of 1 device"
    assert max(map(len, shown)) < 60
    assert sum("e00fce68aaaaaaaaaaaaaaaa" in line for line in shown) == 2


def on_a_terminal(columns, *arguments):
    """The lines that a program shows on a terminal of that width."""
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(arguments, stdout=terminal, stdin=terminal, env=environment) as program:
        os.close(terminal)
        shown = b""
        # The end of a terminal is an error on Linux.
        with suppress(OSError):
            while part := os.read(master, 4096):
                shown += part
        assert program.wait(30) == 0
    os.close(master)
    return shown.decode().splitlines()


def test_a_cloud_with_its_devices_ledger_faults_and_time(start, tmp_path):
    order = tmp_path / "order.txt"
    order.write_text("Device IDs\r\nE00FCE68AAAAAAAAAAAAAAAA\r\ne00fce68bbbbbbbbbbbbbbbb\r\n")
    state = tmp_path / "cloud.sqlite"
    arguments = ("--state", str(state), "--plan", "free", "--product", "boron", "--made", f"boron:{order}")
    process, told = start(*arguments)
    link = ("--link", told["link"])
    http = httpx2.Client(base_url=told["url"], headers={"Authorization": f"Bearer {told['token']}"})
    devices = f"/v1/products/{told['products'][0]['id']}/devices"
    assert run("sim", "ledger", *link) == []
    assert text("sim", "ledger", *link) == ["metered: 0 of 2 devices"]
    assert (
        "no device e00fce68" in run("sim", "ledger", *link, "--device", "e00fce68" * 3, code=4)[0]["error"]["message"]
    )
    with http:
        assert http.post(devices, json={"id": "e00fce68aaaaaaaaaaaaaaaa"}).json()["updated"] == 1
        assert [entry["event"] for entry in run("sim", "ledger", *link)] == ["added", "metering started"]
        shown = text("sim", "ledger", *link)
        assert (len(shown), shown[-1]) == (3, "metered: 1 of 2 devices")
        assert text("sim", "ledger", *link, "--device", "e00fce68bbbbbbbbbbbbbbbb") == ["metered: 0 of 1 device"]
        for beyond in ("9999999d", "1" + "0" * 300 + "h"):
            error = run("sim", "wait", beyond, *link, code=3)[0]["error"]
            assert error["message"] == "the time of a simulated cloud ends with the year 8999"
        run("sim", "wait", "31d", *link)
        sim = http.get(f"/v1/products/{told['products'][0]['id']}/sims").json()["sims"][0]
        assert sim["status"] == "active"
        http.post(devices, json={"id": "e00fce68bbbbbbbbbbbbbbbb"})
        added = [datetime.fromisoformat(e["at"]) for e in run("sim", "ledger", *link) if e["event"] == "added"]
        assert added[1] - added[0] >= timedelta(days=31)
        assert run("sim", "fault", '{"do": "status", "status": 529, "count": 1}', *link)[0]["faults"] == 1
        assert http.get("/v1/user").status_code == 529
        assert http.get("/v1/user").json()["username"] == told["user"]
        assert run("sim", "fault", "clear", *link) == [{"ok": True, "faults": 0}]
    process.send_signal(signal.SIGINT)
    process.wait(20)
    _, again = start(*arguments)
    entries = run("sim", "ledger", "--link", again["link"], "--device", "E00FCE68AAAAAAAAAAAAAAAA")
    assert [entry["event"] for entry in entries] == ["added", "metering started"]
    assert again["products"] == told["products"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("sim", "ledger", "--link", "nonsense"), 3),
        (("sim", "ledger", "--link", "http://127.0.0.1:9/#0"), 3),
        (("sim", "ledger"), 2),
        (("sim", "wait", "soon", "--link", "http://127.0.0.1:9/#0"), 2),
        (("sim", "wait", "1" + "0" * 400 + "h", "--link", "http://127.0.0.1:9/#0"), 2),
        (("sim", "fault", "{", "--link", "http://127.0.0.1:9/#0"), 2),
        (("sim", "cloud", "--made", "boron"), 2),
        (("sim", "cloud", "--product", "toaster"), 2),
        (("sim", "cloud", "--made", "boron:missing.txt"), 3),
    ],
)
def test_what_cannot_be_is_said(arguments, code):
    assert "error" in run(*arguments, code=code)[0]


@pytest.mark.parametrize(("number", "words"), [(0, "0 faults are set"), (1, "1 fault is set"), (2, "2 faults are set")])
def test_faults_are_counted(number, words):
    assert _faults_set(number) == words


def test_help_names_the_parts_of_made():
    assert "PLATFORM:FILE|COUNT" in CliRunner().invoke(cloud, ["--help"]).output


def test_new_devices_are_named_and_known(start):
    _, told = start("--made", "boron:3")
    assert len(set(told["made"])) == 3
    for device_id in told["made"]:
        assert text("sim", "ledger", "--link", told["link"], "--device", device_id) == ["metered: 0 of 1 device"]


def test_text_names_the_first_of_many_new_devices(capsys):
    table = {"url": "u", "link": "l", "user": "n", "password": "p", "token": "t", "products": []}
    _print_start({**table, "made": [f"{n:024x}" for n in range(22)]}, as_json=False)
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("made")]
    assert shown[0] == f"made      {0:024x}"
    assert shown[20:] == ["made      … and 2 more; --json names all"]


def test_without_a_link_the_variable_is_named(monkeypatch):
    monkeypatch.delenv("PARTICLE_DEV_SIM_LINK", raising=False)
    result = CliRunner().invoke(ledger, [])
    assert result.exit_code == 2
    assert "PARTICLE_DEV_SIM_LINK" in result.output
    assert "sim cloud` prints" in " ".join(result.output.replace("│", " ").split())


def test_a_wrong_token_is_refused(start):
    _, told = start()
    link = told["link"].split("#")[0] + "#" + "0" * 40
    assert "invalid" in run("sim", "ledger", "--link", link, code=3)[0]["error"]["message"]
    assert os.environ.get("PARTICLE_DEV_SIM_LINK") is None
