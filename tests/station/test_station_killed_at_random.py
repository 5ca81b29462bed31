"""kill -9 of the real command at random moments, and the same command again, until it ends: no unit is lost, none is
doubled, and what a killed run left behind says the truth. Boards keep their flash and mode in files, as real ones do in
silicon; they are our own models.

20 kills here, 200 in `make soak`.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal
from particle_dev.station.records import DATABASE_NAME, RecordDatabase

pytestmark = pytest.mark.firmware
BENCH = """
[bench]
driver = "virtual"
name = "killed"
[bench.options]
clock = "virtual"
[[slot]]
name = "1"
platform = "boron"
[[slot]]
name = "2"
platform = "boron"
faults = [{do = "stall", at = "dfu_transfer", n = 300}]
"""
RETRIES = """
[retries]
attempts = 2
[slots]
lock_after_failures = 5
"""


class Zygote:
    """Forks runs of the command."""

    def __init__(self):
        script = Path(__file__).with_name("zygote.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, words, moment=None):
        self._process.stdin.write(json.dumps({"moment": moment, "words": words}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def zygote():
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture
def tmp_path(tmp_path):
    """In memory where that is possible: what survives SIGKILL is the same, and virtual boards write a lot."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def command(tmp_path, release_store):
    (tmp_path / "bench.toml").write_text(BENCH)
    (tmp_path / "recipe.toml").write_text(Path("recipes/ship.toml").read_text() + RETRIES)

    def words(folder):
        return [
            *("station", "run", "--recipe", str(tmp_path / "recipe.toml"), "--bench", str(tmp_path / "bench.toml")),
            *("--store", str(release_store.root), "--out", str(folder), "--site", str(folder.with_suffix(".site"))),
        ]

    return words


def record_of(folder):
    path = folder / JOURNAL_NAME
    return fold(read_journal(path)[0]) if path.exists() and path.stat().st_size else None


def left_behind(folder):
    """The record after a kill: what is neither finished nor failed is interrupted, with billing unknown."""
    record = None
    path = folder / JOURNAL_NAME
    if path.exists():
        lines = path.read_bytes().rpartition(b"\n")[0]
        record = fold(read_journal(path)[0]) if lines else None
    for unit in record.units if record else ():
        assert str(unit.verdict) in ("pass", "fail", "interrupted")
        if str(unit.verdict) == "interrupted":
            assert str(unit.billing.verdict) == "unknown"
        if str(unit.verdict) == "pass":
            assert unit.modules
            assert all(m.read_back_sha256 == m.sha256 for m in unit.modules)
    return record


def kill_and_resume(zygote, command, tmp_path, count, seed):
    whole = zygote.run(command(tmp_path / "undisturbed"))
    assert whole["code"] == 0, whole["said"]
    expected = [unit.comparable() for unit in record_of(tmp_path / "undisturbed").units]
    assert len(expected) == 2
    chance = random.Random(seed)
    seen = Counter()
    for number in range(count):
        folder = tmp_path / f"killed-{number}"
        killed = 0
        for _ in range(chance.choice((1, 1, 2, 3))):
            moment = chance.randint(1, whole["moments"])
            died = zygote.run(command(folder), moment)
            killed += died["code"] == -9
            if died["code"] != -9:
                break
            record = left_behind(folder)
            seen.update(str(unit.verdict) for unit in record.units) if record else seen.update(["no record"])
        seen["kills"] += killed
        for _ in range(3):
            # A unit that had failed when the station died may need the next start: a run is one round.
            end = zygote.run(command(folder))
            record = record_of(folder)
            if record.verdict == "pass":
                break
        where = (seed, number, moment, end["said"])
        assert end["code"] in (ExitCode.OK, ExitCode.REFUSED), where
        assert [unit.comparable() for unit in record.units] == expected, where
        database = RecordDatabase(folder / DATABASE_NAME)
        stored = database.units()
        assert sorted(u.unit.device_id for u in stored) == sorted(u.device_id for u in record.units), where
        database.close()
        seen["units"] += len(record.units)
    print(f"\n{count} runs: {dict(seen)}")
    assert seen["kills"] >= count * 0.8
    assert seen["units"] == 2 * count
    return seen


@pytest.mark.timeout(600)
def test_no_unit_is_lost_none_doubled_and_all_finish(zygote, command, tmp_path):
    seen = kill_and_resume(zygote, command, tmp_path, 20, seed=1)
    assert seen["interrupted"] >= 10


@pytest.mark.soak
@pytest.mark.timeout(6000)
def test_two_hundred_kills(zygote, command, tmp_path):
    kill_and_resume(zygote, command, tmp_path, 200, seed=2)
