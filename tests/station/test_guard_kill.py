"""kill -9 of the real command in the middle of a run that asks a cloud over HTTP, and the same command again.

Boards keep flash and mode in files; the cloud is in the test's process and lives on. One slot holds a board that waits
in DFU mode, one a board that goes online as soon as it runs long enough. Where the killed command leaves it running,
it may: then the verdict has to be what the ledger says. Board and cloud are models of ours.

The wait for the cloud's record is made short, so that a run takes seconds.
"""

import subprocess
import sys

import pytest
from particle_harness.cloud import SimCloud

from particle_dev.cloud.metering import BillingVerdict
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal
from tests.station.test_station_kill import KILLED

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(600)]
BENCH = """
[bench]
driver = "virtual"
[bench.options]
delays = "none"
cloud = "{link}"
[[slot]]
name = "1"
platform = "boron"
arrives_in = "dfu"
device_id = "e00fce680000000000000001"
[[slot]]
name = "2"
platform = "boron"
factory = "online"
device_os = "4.0.0"
device_id = "e00fce680000000000000002"
"""
RECIPE = """
[recipe]
name = "ship-cloud"
finish = "dfu"
strategy = "C"
[cloud]
product = {product}
plan = "basic"
[firmware.boron]
device_os = "2.1.0"
app = "tinker-0.8.0-rc.27-boron.bin"
"""
SHORT = """
from particle_dev.cloud import event_canary, gate
from particle_dev.station import cloud_steps
event_canary.EVERY_S = 0.5
gate.SETTLE_S = cloud_steps.SETTLE_S = 2.0
"""
UNDISTURBED = "from particle_dev.cli.main import main\nimport sys\nmain(sys.argv[1:])\n"
NOT_STARTED = BillingVerdict.NOT_STARTED


class Line:
    """One station, its cloud and its folder."""

    def __init__(self, folder, store):
        self.folder = folder
        self.cloud = SimCloud()
        self.server = self.cloud.serve()
        people = self.cloud.population
        owner = people.add_account("me@example.com", "password", plan="basic")
        product = people.add_product("Sensors", "boron", owner)
        token = people.make_token(owner)
        link = f"{self.server.url}/#{self.cloud.link_token}"
        (folder / "bench.toml").write_text(BENCH.format(link=link))
        (folder / "recipe.toml").write_text(RECIPE.format(product=product.id))
        (folder / ".particle").mkdir()
        (folder / ".particle" / "profile.json").write_text('{"name": "sim"}')
        login = f'{{"apiUrl": "{self.server.url}", "access_token": "{token}", "username": "me@example.com"}}'
        (folder / ".particle" / "sim.config.json").write_text(login)
        self.device_ids = [f"e00fce68000000000000000{n}" for n in (1, 2)]
        for device_id in self.device_ids:
            device = people.make_device("boron", device_id)
            with self.cloud.session():
                self.cloud.take_into_product(device, product, "order")
        self.command = [
            *("station", "run", "--recipe", folder / "recipe.toml", "--bench", folder / "bench.toml"),
            *("--store", store.root, "--site", folder / "site", "--out", folder / "run"),
        ]

    def run(self, program, *arguments):
        words = [sys.executable, "-c", program, *map(str, (*arguments, *self.command))]
        environment = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin"}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    def units(self):
        events, torn = read_journal(self.folder / "run" / JOURNAL_NAME)
        assert not torn
        return {unit.device_id: unit for unit in fold(events).units}

    def close(self):
        self.server.stop()
        self.cloud.close()


@pytest.fixture
def line(tmp_path, release_store):
    made = Line(tmp_path, release_store)
    yield made
    made.close()


@pytest.mark.parametrize("lines", [4, 13, 33])
def test_a_killed_station_never_calls_a_metered_board_not_started(line, lines):
    killed = line.run(SHORT + KILLED, lines, 3 * (lines % 4))
    assert killed.returncode == -9, killed.stderr
    done = line.run(SHORT + UNDISTURBED)
    units = line.units()
    assert set(units) == set(line.device_ids), done.stdout + done.stderr
    for device_id, unit in units.items():
        is_metered = line.cloud.ledger.metered(device_id)
        assert unit.gate is not None, done.stderr
        assert not (is_metered and unit.gate.verdict is NOT_STARTED), (device_id, unit.gate)
    held = units[line.device_ids[0]]
    assert not line.cloud.ledger.metered(held.device_id), "nothing booted it"
    if held.gate.verdict is not NOT_STARTED:
        # Nobody listened to the events, or looked at the board, between the two commands.
        assert any(text.startswith("C4:") for text in held.gate.missing), held.gate
    assert (str(held.verdict) == "pass") is (held.gate.verdict is NOT_STARTED), held.error
