"""Hands at a bench on which a station works: ``sim unplug``, ``plug``, ``reset`` and ``next`` of another terminal."""

import json

import pytest
from click.testing import CliRunner
from particle_harness.bench import open_bench
from particle_harness.sim import sim

from particle_dev.errors import BenchError


@pytest.fixture
def bench():
    bench = open_bench(
        options={"clock": "virtual", "delays": "none", "hands": 0},
        slots=[{"name": "1", "platform": "boron"}, {"name": "2", "platform": "photon"}],
        state_dir=None,
        factory_modules=lambda platform: (),
    )
    yield bench
    bench.close()


@pytest.fixture
def call(bench):
    def call(*words):
        words = [*words, "--server", f"127.0.0.1:{bench.hands.port}", "--json"]
        result = CliRunner().invoke(sim, words, standalone_mode=False)
        if result.exception:
            raise result.exception
        return {board["slot"]: board for board in map(json.loads, result.stdout.splitlines())}

    return call


def test_a_board_is_pulled_and_no_switch_gives_it_power_until_it_is_plugged_in(bench, call):
    assert call("list")["1"]["mode"] == "normal"
    assert call("unplug", "1")["1"]["mode"] is None
    bench.slot("1").power.on()
    assert call("list")["1"]["mode"] is None
    assert call("plug", "1-1")["1"]["mode"] == "normal"


def test_the_next_board_is_another_one_of_its_kind(bench, call):
    before = call("list")["2"]["device_id"]
    bench.board("2").power_off()
    after = call("next", "2")["2"]
    assert (after["platform"], after["device_id"] == before) == ("photon", False)
    assert bench.board("2").state.device_id == after["device_id"]
    bench.slot("2").power.on()
    assert call("list")["2"]["mode"] == "normal"


def test_a_slot_that_is_none(call):
    with pytest.raises(Exception, match="no board in slot '7'"):
        call("next", "7")


def test_a_port_that_is_taken(bench):
    with pytest.raises(BenchError, match="Address already in use"):
        open_bench(options={"hands": bench.hands.port}, slots=(), state_dir=None, factory_modules=lambda platform: ())


@pytest.mark.parametrize("port", [True, "3240", -1, 65536, 1.5])
def test_what_is_no_port(port):
    with pytest.raises(BenchError, match="is no port"):
        open_bench(options={"hands": port}, slots=(), state_dir=None, factory_modules=lambda platform: ())
