"""An order of 100 000 Device IDs, from file to report, in a process of its own. The cloud is a stub."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 100_000
MAX_MB = 200
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_an_order_of_100_000_devices_fits_into_memory(tmp_path, record_property, capsys):
    # All SIMs stay inactive: that remembers and reports the most.
    command = [sys.executable, str(Path(__file__).with_name("import_at_scale.py")), str(COUNT), str(tmp_path), "slow"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    with capsys.disabled():
        print("\n{} Device IDs: {max_rss_mb:.0f} MB, {cpu_s:.1f} s CPU, {requests} requests".format(COUNT, **figures))
    record_property("max_rss_mb", figures["max_rss_mb"])
    assert (figures["added"], figures["slow_sims"]) == (COUNT, COUNT)
    # 200 batches; 1000 pages to read back; then the list of SIMs, as often as the schedule lets it.
    assert figures["requests"] <= 5000
    assert figures["max_rss_mb"] <= MAX_MB
