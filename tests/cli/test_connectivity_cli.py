"""``test connectivity`` from the command line to a virtual board and a simulated cloud's server, over a real event
stream on a real clock; radio and network take a fiftieth of their times."""

import errno
import io
import json
import os
from pathlib import Path

import pytest
from particle_harness.cloud import SimCloud
from particle_harness.cloud.tables import Sim
from rich.console import Console

from particle_dev.catalog.platforms import platform_by_name
from particle_dev.cli.connectivity_view import ConnectivityView
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.cli.test_connectivity import EVENTS_NAME
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.failures import CATALOGUE, FailureCode
from particle_dev.connectivity.measurements import Limit, Measurement
from particle_dev.connectivity.outcome import StageFinished, StageProgress, StageResult, StageStarted, StageStatus
from particle_dev.connectivity.plan import ConnectivityOptions, make_plan
from particle_dev.connectivity.stages import Stage

SCALE = 0.02
DEVICE_ID = "e00fce68" + "0" * 15 + "1"


def toml(table):
    """Lines of a TOML table; JSON's values are TOML's."""
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


class Desk:
    def __init__(self, folder):
        self.folder = folder
        self.cloud = SimCloud(keep_alive_s=0.2)
        people = self.cloud.population
        self.owner = people.add_account("me@example.com", "password", plan="basic")
        self.product = people.add_product("Sensors", "boron", self.owner)
        self.server = self.cloud.serve()
        self.server.__enter__()
        self.token = folder / "token"
        self.token.write_text(people.make_token(self.owner))
        self.profile = folder / "home" / ".particle"
        self.profile.mkdir(parents=True)
        (self.profile / "particle.config.json").write_text(
            json.dumps({"apiUrl": self.server.url, "access_token": self.token.read_text()})
        )

    def bench(self, **slot):
        table = {
            "name": "1",
            "platform": "boron",
            "factory": "online",
            "device_os": "5.8.2",
            "device_id": DEVICE_ID,
            "application": ["configurable_logging", "selftest"],
        }
        options = {
            "delays": "none",
            "network_scale": SCALE,
            "cloud": f"{self.server.url}/#{self.cloud.link_token}",
        }
        lines = ["[bench]", 'driver = "virtual"', "[bench.options]", *toml(options), "[[slot]]", *toml(table | slot)]
        path = self.folder / "bench.toml"
        path.write_text("\n".join(lines))
        device = self.cloud.population.make_device("boron", DEVICE_ID)
        with self.cloud.session():
            self.cloud.take_into_product(device, self.product, "test")
            sim = self.cloud.store.get(Sim, device.iccid)
            sim.status, sim.owner_product = "active", self.product.id
            self.cloud.store.put(sim)
        self.device_id = device.id
        return str(path)

    def close(self):
        self.server.__exit__(None, None, None)
        self.cloud.close()


@pytest.fixture
def desk(tmp_path, monkeypatch):
    made = Desk(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield made
    made.close()


@pytest.fixture
def run(desk, capsys, tmp_path, release_store):
    def call(*arguments, bench=None):
        bench = bench or desk.bench()
        with pytest.raises(SystemExit) as end:
            main(
                [
                    "test",
                    "connectivity",
                    "boron",
                    "--bench",
                    bench,
                    "--site",
                    str(tmp_path / "site"),
                    "--store",
                    str(release_store.root),
                    *map(str, arguments),
                ]
            )
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


def by_a(desk, *more):
    return ("--strategy", "A", "--product", desk.product.id, "--plan", "basic", *more)


def test_strategy_a(run, desk, tmp_path):
    code, out, err = run(*by_a(desk, "--may-connect", "--out", tmp_path / "out"))
    assert code == ExitCode.OK, out + err
    assert "costs at most 10 data operations" in err
    assert "7 handshake: passed" in err
    assert out.startswith(f"PASS: {desk.device_id}, strategy A")
    assert "billing: started" in out
    assert desk.cloud.ledger.has_connected(desk.device_id)
    report = (tmp_path / "out" / "connectivity.html").read_text()
    assert "board: control requests 400 and 401" in report
    assert "[&#39;" not in report
    assert "</span> no</div>" in report
    assert "at most 600 s: Device OS resets the modem after 10 min" in report
    assert report.count("<svg") == 2
    assert "http://" not in report.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in report
    events = [json.loads(line) for line in (tmp_path / "out" / "connectivity.jsonl").read_text().splitlines()]
    assert [e["type"] for e in events[:2]] == ["run_started", "unit_started"]
    assert [e["type"] for e in events[-2:]] == ["unit_finished", "run_finished"]
    assert events[-2]["data"]["gate"]["verdict"] == "started"
    remembered = (tmp_path / "site" / "devices.jsonl").read_text()
    assert '"type": "connected"' in remembered
    code, _, _ = run(*by_a(desk, "--may-connect", "--out", tmp_path / "out"), bench=str(tmp_path / "bench.toml"))
    assert code == ExitCode.BAD_INPUT, "a folder that holds a test is not written over"


def test_a_failure_as_json(run, desk):
    bench = desk.bench(network=["sim_dead"])
    code, out, _ = run(*by_a(desk, "--may-connect", "--json"), bench=bench)
    assert code == ExitCode.FAILED
    events = [json.loads(line) for line in out.splitlines()]
    failed = next(e for e in events if e["type"] == "step_finished" and e["data"]["status"] == "failed")
    assert (failed["step"], failed["data"]["error"]["code"]) == ("sim", "SIM-DEAD")
    finished = events[-2]["data"]
    assert finished["verdict"] == "fail"
    assert finished["error"]["type"] == "StageFailedError"
    assert finished["error"]["hint"]


def test_strategy_c_needs_no_cloud(run, desk):
    code, out, err = run("--strategy", "C", bench=desk.bench(factory="new", device_os="2.0.1"))
    assert code == ExitCode.OK, out + err
    assert "no attempt to connect" in out
    assert "billing: not judged" in out
    assert not desk.cloud.ledger.has_connected(desk.device_id)


def test_strategy_c_that_asks_about_billing_ends_with_6_while_that_is_unknown(run, desk):
    bench = desk.bench(factory="new", device_os="2.0.1")
    code, out, err = run("--strategy", "C", "--product", desk.product.id, bench=bench)
    assert code == ExitCode.INCOMPLETE, out + err
    assert "no attempt to connect" in out
    assert "billing: unknown, which is no pass" in out
    assert "missing: " in out
    assert "station run" in out


def test_a_pipe_tells_when_a_stage_begins_and_how_long_it_may_take(run, desk):
    code, out, err = run("--strategy", "C", bench=desk.bench(factory="new", device_os="2.0.1"))
    assert code == ExitCode.OK, out + err
    lines = err.splitlines()
    assert lines.index(" 2 modem or Wi-Fi radio: begins, at most 60 s") < next(
        number for number, line in enumerate(lines) if line.startswith(" 2 modem or Wi-Fi radio: passed")
    )


def test_what_a_failed_test_did_not_spend_is_given_back(run, desk, tmp_path):
    bench = desk.bench(network=["sim_dead"])
    for _ in range(2):
        code, out, err = run(*by_a(desk, "--may-connect"), bench=bench)
        assert code == ExitCode.FAILED
        assert "spent: 0 data operations" in out
        assert "booked this month: 10 of" in err
    (book,) = (tmp_path / "site").glob("budget-*.json")
    assert json.loads(book.read_text())["operations"] == 0


def test_a_verdict_that_lacks_the_loss_of_power_says_where_that_is_changed(run, desk):
    product = ("--product", desk.product.id, "--plan", "basic")
    _, out, err = run("--strategy", "C", *product, bench=desk.bench(factory="new", device_os="2.0.1"))
    assert "nobody saw the unit lose its power" in out, out + err
    assert "`battery = false`" in out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--strategy", "A", "--plan", "basic"), ExitCode.USAGE, "--product"),
        (("--strategy", "B"), ExitCode.USAGE, "--plan"),
        (("--strategy", "C", "--stage", "handshake"), ExitCode.REFUSED, "never connects"),
        (("--strategy", "C", "--limit", "nothing=1..2"), ExitCode.USAGE, "signal_strength"),
        (("--strategy", "C", "--function", "f:x=y"), ExitCode.USAGE, "whole number"),
        (("--strategy", "C", "--stage", "rado"), ExitCode.USAGE, "did you mean radio?"),
        (("--strategy", "C", "--stage", "zoo"), ExitCode.USAGE, "--help"),
        (("--strategy", "C", "--wifi-password-file", "x"), ExitCode.USAGE, "--wifi-ssid"),
    ],
)
def test_what_is_refused(run, arguments, code, text):
    found, out, err = run(*arguments)
    assert (found, text in out + err) == (code, True), out + err


def test_without_permission_nothing_is_done(run, desk):
    code, _, err = run(*by_a(desk), bench=desk.bench(factory="new", device_os="2.0.1"))
    assert code == ExitCode.REFUSED
    assert "--may-connect" in err
    assert not desk.cloud.ledger.has_connected(desk.device_id)


class FullDisk(io.RawIOBase):
    """A file on a disk that has room for so many bytes."""

    def __init__(self, name, room):
        super().__init__()
        self.name, self.room = name, room

    def writable(self):
        return True

    def write(self, data):
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return len(data)


@pytest.mark.parametrize("room", [0, 1500], ids=["first event", "later"])
def test_a_full_disk_is_said_to_be_that(run, desk, tmp_path, monkeypatch, room):
    path_open, opened = Path.open, []

    def on_a_full_disk(path, mode="r", *args, **options):
        if path.name != EVENTS_NAME:
            return path_open(path, mode, *args, **options)
        opened.append(io.TextIOWrapper(io.BufferedWriter(FullDisk(str(path), room)), encoding="ascii"))
        return opened[-1]

    monkeypatch.setattr(Path, "open", on_a_full_disk)
    code, out, err = run(*by_a(desk, "--may-connect", "--json", "--out", tmp_path / "out"))
    assert code == ExitCode.BAD_INPUT, out + err
    *events, last = [json.loads(line) for line in out.splitlines()]
    assert last["error"]["type"] == "JournalError"
    assert "No space left" in last["error"]["message"]
    assert "new --out" in last["error"]["hint"]
    assert opened[0].closed
    assert events[0]["type"] == "run_started"
    assert (events[-1]["type"] == "run_finished") == (room > 0), "who listens hears the end of what began"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_live_view_follows_the_stages(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    plan = make_plan(platform_by_name("boron"), Strategy.A, ConnectivityOptions())
    stream = Terminal()
    with ConnectivityView(plan, stream) as view:
        view.handle(StageStarted(Stage.NETWORK, 600))
        view.handle(StageProgress(Stage.NETWORK, "registering", 12.0, 600))
        shown = table_text(view)
        assert "registering" in shown
        assert "12 of 600 s" in shown
        value = Measurement("signal_strength", -92, "dBm", Limit(warn_min=-85))
        view.handle(StageFinished(StageResult(Stage.NETWORK, StageStatus.PASSED, duration_s=13, measurements=(value,))))
        view.handle(
            StageFinished(
                StageResult(Stage.IP, StageStatus.FAILED, failure=CATALOGUE[FailureCode.IP_DHCP], seen="nothing\x1b[2J")
            )
        )
        shown = table_text(view)
    assert "signal strength -92 dBm (warning)" in shown
    assert "IP-DHCP: nothing" in shown
    assert "\x1b[2J" not in shown


def table_text(view):
    console = Console(file=io.StringIO(), width=160)
    console.print(view._table())
    return console.file.getvalue()
