"""A debug probe as a bench file asks for it, and where it can be reached."""

import json
import socket
import subprocess
import sys

import pytest
from particle_harness.bench import open_bench as open_virtual_bench
from particle_harness.clock import RealClock

from particle_dev.errors import BenchError
from particle_dev.station.bench import open_bench

BENCH = """
[bench]
driver = "virtual"
[[slot]]
name = "1"
platform = "boron"
probe = true
faults = [{ do = "lose_probe", at = "swd_transfer", n = 5 }]
[[slot]]
name = "2"
platform = "photon"
"""


def test_slots_know_their_probe():
    slots = [{"name": "1", "platform": "boron", "probe": True}, {"name": "2", "platform": "p2"}]
    bench = open_bench("virtual", options={"clock": "virtual"}, slots=slots, factory_modules=lambda _: [])
    try:
        first, second = bench.slots
        host, port = first.probe_id.removeprefix("remote:").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(b'{"id": 0, "request": "readprop", "arguments": ["unique_id"]}\n')
            assert json.loads(connection.makefile().readline())["result"].startswith("Ve00fce68")
        assert second.probe_id is None
    finally:
        bench.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=5)


@pytest.mark.parametrize("keys", [{"probe": "yes"}, {"silicon": "AAD1"}, {"blank": 1.5}])
def test_words_that_mean_nothing_are_refused(keys):
    with pytest.raises(BenchError):
        open_virtual_bench(
            options={}, slots=[{"name": "1", "platform": "boron", **keys}], state_dir=None, factory_modules=lambda _: []
        )


def test_sim_serve_says_where_the_probes_are(tmp_path):
    file = tmp_path / "bench.toml"
    file.write_text(BENCH)
    words = [sys.executable, "-m", "particle_dev", "sim", "serve", "--port", "0", "--json", str(file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as serving:
        try:
            first, second, _served = (json.loads(serving.stdout.readline()) for _ in range(3))
        finally:
            serving.terminate()
    assert first["pyocd_probe"].startswith("remote:127.0.0.1:")
    assert first["openocd_port"] > 0
    assert "pyocd_probe" not in second


class Timer:
    """A system that sleeps 60 us longer than asked."""

    now_s = 100.0

    def monotonic(self):
        return self.now_s

    def sleep(self, duration_s):
        self.now_s += duration_s + 60e-6


def test_many_short_waits_last_as_long_as_one_long_wait(monkeypatch):
    timer = Timer()
    monkeypatch.setattr("particle_harness.clock.time", timer)
    clock = RealClock()
    for _ in range(5000):
        clock.sleep(41e-6)
    assert timer.now_s - 100.0 == pytest.approx(5000 * 41e-6, abs=0.002)
