"""Commands that change a board leave it alone while a station has it, and a station while such a command has it.

The boards are virtual; that other programs could reach them is put in their slots' mouths.
"""

from types import SimpleNamespace

import pytest
from particle_harness.bench import VirtualSlot

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.errors import SlotBusyError
from particle_dev.station.lease import Leases, board_leases, probe_lease, probe_leases, usb_lease

pytestmark = pytest.mark.firmware
BENCH = """
[bench]
driver = "virtual"
[bench.options]
clock = "virtual"
delays = "none"
[[slot]]
name = "1"
platform = "boron"
probe = true
"""
COMMANDS = (
    ("flash", "--device-os", "2.1.0"),
    ("mode", "dfu"),
    ("power", "off", "1"),
    ("selftest", "list"),
    ("swd", "park", "halted"),
    ("swd", "lock", "--may-lock"),
    ("test", "connectivity", "boron", "--strategy", "C"),
)


@pytest.fixture
def run(capsys, monkeypatch, release_store, tmp_path, own_probes):
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))
    monkeypatch.setattr(VirtualSlot, "leases", property(lambda slot: (usb_lease(slot.port_path),)), raising=False)
    path = tmp_path / "bench.toml"

    def call(*words):
        # A blank board needs no firmware of the store, which commands for probes do not ask for.
        path.write_text(BENCH + ("blank = true\n" if words[0] == "swd" else ""))
        with pytest.raises(SystemExit) as end:
            main([*map(str, words), "--bench", str(path)])
        return end.value.code or 0, capsys.readouterr().err

    return call


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_board_of_a_running_station_is_left_alone(run, words):
    places = [SimpleNamespace(name="", port_path=port, leases=(usb_lease(port),)) for port in ("1-1", "1-2")]
    with Leases(places, "run in line-1"):
        status, said = run(*words)
    assert status == ExitCode.BAD_INPUT, said
    assert "another run or command works on" in said
    assert "run in line-1" in said
    assert "wait until it ends" in said


def test_afterwards_it_is_free(run):
    for _ in range(2):
        assert run("mode", "dfu")[0] == 0


def bench(usb_backend=None, slots=()):
    return SimpleNamespace(slots=slots, driver=SimpleNamespace(usb_backend=usb_backend))


def test_a_board_of_no_bench_file_is_known_by_its_port():
    with board_leases(bench(), "1-9", "`particle-dev flash`"), pytest.raises(SlotBusyError) as caught:
        board_leases(bench(slots=[SimpleNamespace(name="3", port_path="1-9", leases=("usb-1-9",))]), "1-9", "a station")
    assert caught.value.slot == "3"
    assert "`particle-dev flash`" in caught.value.message


def test_boards_that_nobody_else_can_reach_need_no_lease():
    with board_leases(bench(object()), "1-9", "one"), board_leases(bench(object()), "1-9", "another"):
        pass


def test_a_probe_is_one_thing_for_stations_and_commands():
    station = [SimpleNamespace(name="1", port_path="1-2", leases=("usb-1-2", probe_lease("A1")))]
    with Leases(station, "run in there"), pytest.raises(SlotBusyError, match=r"works on probe A1 .*run in there"):
        probe_leases("A1", "`particle-dev swd`")
    with probe_leases("A1", "`particle-dev swd`"), pytest.raises(SlotBusyError, match="slot 1: "):
        Leases(station, "run in there")
