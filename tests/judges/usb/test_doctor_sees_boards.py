"""``particle-dev doctor`` on a bus as Linux shows it (here as umockdev does)."""

import json
import sys


def test_boards_of_a_mocked_bus_are_found_in_sysfs(foreign_bench):
    bench = foreign_bench("boron", "photon")
    text = bench.shell(f"{sys.executable} -m particle_dev doctor --json || true")
    findings = json.loads(text.splitlines()[-1])["findings"]
    boards = [f for f in findings if f["subject"] == "boards"]
    assert [f["status"] for f in boards] == ["ok", "ok"]
    for platform in ("boron", "photon"):
        assert any(bench.device_id(platform) in f["message"] for f in boards)
    library = next(f for f in findings if f["subject"] == "libusb")
    assert "sees 2 Particle devices" in library["message"]
    assert not [f for f in findings if f["subject"] == "kernel modules" and f["status"] == "problem"]
