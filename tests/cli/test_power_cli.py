"""``particle-dev power`` on virtual boards, whose supply really ends. Host and board are ours."""

import json

import pytest
from particle_harness.bench import VirtualSlot

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.transport.power import OperatorPower

BENCH = """
[bench]
driver = "virtual"
[bench.options]
clock = "virtual"
power_control = {power}
[[slot]]
name = "A"
platform = "tracker"
connected = {connected}
"""


@pytest.fixture
def run(capsys, release_store, tmp_path):
    def call(*arguments, power=True, connected=True):
        bench = tmp_path / "bench.toml"
        bench.write_text(BENCH.format(power=str(power).lower(), connected=str(connected).lower()))
        with pytest.raises(SystemExit) as end:
            main(["power", *arguments, "--bench", str(bench), "--store", str(release_store.root)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.mark.parametrize("action", ["on", "cycle"])
def test_what_boots_the_board_needs_a_permission(run, action):
    status, _, err = run(action, "A")
    assert status == ExitCode.REFUSED
    assert "giving power to a board can bring the device online" in err


def test_off(run):
    assert run("off", "A") == (ExitCode.OK, "slot A: off, nothing is on USB\n", "")


def test_cycle_is_proven_by_the_uptime(run):
    status, out, _ = run("cycle", "A", "--may-connect", "--json")
    value = json.loads(out)
    assert (status, value["power_loss_proven"], value["why_not_proven"]) == (ExitCode.OK, True, None)
    assert value["device"]["platform"]["name"] == "tracker"


def test_a_hub_that_only_drops_the_port_is_found_out(run, monkeypatch):
    """It leaves the bus and comes back, and keeps its supply."""

    class Pretends:
        def on(self):
            """Nothing."""

        off = on

    made = VirtualSlot.__init__

    def without_switch(self, *arguments, **keywords):
        made(self, *arguments, **keywords)
        self.power = Pretends()

    monkeypatch.setattr(VirtualSlot, "__init__", without_switch)
    status, out, _ = run("cycle", "A", "--may-connect", "--off", "20")
    assert status == ExitCode.INCOMPLETE
    assert "not proven: it is up for" in out
    assert "it was never off" in out


def test_on(run):
    status, out, _ = run("on", "A", "--may-connect", "--json")
    assert status == ExitCode.OK
    assert json.loads(out)["power_loss_proven"] is None


def test_slots_without_a_switch_and_slots_that_are_not_there(run):
    status, _, err = run("off", "A", power=False)
    assert (status, "add its key power" in err) == (ExitCode.BAD_INPUT, True)
    status, _, err = run("off", "Z")
    assert (status, "slots: A" in err) == (ExitCode.BAD_INPUT, True)


def test_nobody_unplugs_what_is_not_on_usb(run, monkeypatch):
    """Nobody is asked, so nobody knows whether the board has power."""
    made = VirtualSlot.__init__

    def with_operator(self, *arguments, **keywords):
        made(self, *arguments, **keywords)
        self.power = OperatorPower("A", lambda: False, arguments[2])

    monkeypatch.setattr(VirtualSlot, "__init__", with_operator)
    status, out, err = run("off", "A", connected=False)
    assert (status, err) == (ExitCode.INCOMPLETE, "")
    assert "its power is unknown" in out
    assert "off, nothing is on USB" not in out
    status, out, _ = run("off", "A", "--json", connected=False)
    assert (status, json.loads(out)["power"]) == (ExitCode.INCOMPLETE, "unknown")


def test_a_slot_needs_a_bench_file(capsys):
    with pytest.raises(SystemExit) as end:
        main(["power", "on", "1"])
    assert end.value.code == ExitCode.USAGE
    assert "--bench FILE" in capsys.readouterr().err
