"""Boards of a farm, through labgrid's own coordinator and exporters: taken, used, given back; and a coordinator that
restarts meanwhile. The boards are virtual; what they answer to is proven elsewhere."""

import json
import subprocess
import textwrap

import pytest

from .conftest import until

QUIET = ("-p", "no:cacheprovider", "-p", "no:pytest_embedded")
"""pytest-embedded, which is in the same environment for other tests, asks for labgrid's fixture ``target`` unasked."""
HOLD = """
import sys
from particle_dev.errors import BenchError
from particle_dev.station.bench import open_bench

bench = open_bench("labgrid", options={"reacquire_s": float(sys.argv[2])}, slots=[{"name": sys.argv[1]}])
print("held", flush=True)
for line in sys.stdin:
    try:
        bench.driver.require()
        print(bench.driver.lease.interruptions, flush=True)
    except BenchError as error:
        print(error, flush=True)
try:
    bench.close()
    print("given back", flush=True)
except BenchError as error:
    print(error, flush=True)
"""

BROKEN = """
from labgrid.remote.client import ClientSession

start, starts = ClientSession.start, []

async def only_once(self):
    starts.append(self)
    if len(starts) > 1:
        raise KeyError("nobody thought of this")
    await start(self)

ClientSession.start = only_once
"""
"""In front of HOLD: what goes wrong when the places are taken again is none of what the lease expects."""
LOCKS = """
from pathlib import Path
from particle_dev.errors import BenchError
from particle_dev.station.labgrid_lease import Lease

def locked(coordinator):
    lease = Lease(coordinator, ["p"])
    lease._lock_here()
    return lease

first, other_farm = locked("north"), locked("south")
for again in (lambda: locked("north:20408"), lambda: locked("south")):
    try:
        again()
        print("got it")
    except BenchError as error:
        print(error.message)
folder = Path(first._locks[0].lock_file).parent
first._unlock_here()
other_farm._unlock_here()
for file in folder.iterdir():
    file.unlink()
folder.rmdir()
folder.write_text("no folder")
try:
    locked("north")
except BenchError as error:
    print(error.message, error.hint)
"""


@pytest.fixture
def hold(farm):
    """A process that holds a place until it is told to give it back."""
    started = []

    class Holder:
        def __init__(self, place, reacquire_s=30.0, program=HOLD):
            self.process = farm.popen("-c", program, place, reacquire_s)
            started.append(self.process)
            assert self.process.stdout.readline() == "held\n", self.process.stderr.read()

        def ask(self):
            self.process.stdin.write("?\n")
            self.process.stdin.flush()
            return self.process.stdout.readline().strip()

        def leave(self):
            self.process.stdin.close()
            return self.process.stdout.read().strip()

    yield Holder
    for process in started:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()


def test_a_self_test_over_the_serial_line_of_a_place(farm):
    status, out, err = farm.run("selftest", "run", "--bench", "labgrid:line-1", "--test", "adc", "--json")
    assert status == 0, err
    done = json.loads(out)
    assert (done["verdict"], done["where"].partition(":")[0]) == ("passed", "socket")
    assert farm.holder("line-1") == "None"


def test_a_board_behind_the_probe_of_a_place(farm):
    status, out, err = farm.run("swd", "id", "--bench", "labgrid:boron-1", "--json")
    assert status == 0, err
    assert json.loads(out)["platform"]["name"] == "boron"
    assert farm.holder("boron-1") == "None"


def test_particle_board_of_the_pytest_plugin(farm, tmp_path):
    """Our plugin, beside labgrid's, on a place: the same fixtures as everywhere."""
    (tmp_path / "test_line.py").write_text(
        textwrap.dedent(
            """
            import pytest


            @pytest.mark.particle_link("serial")
            def test_self_test(particle_board):
                with particle_board.selftest() as session:
                    assert "adc" in {test.name for test in session.describe()}
            """
        )
    )
    (tmp_path / "farm.toml").write_text('[bench]\ndriver = "labgrid"\n[[slot]]\nname = "line-1"\nplatform = "photon"\n')
    words = ["-m", "pytest", "-q", *QUIET, "--bench", tmp_path / "farm.toml", tmp_path]
    with farm.popen(*words) as process:
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0, out + err
    assert "1 passed" in out
    assert farm.holder("line-1") == "None"


def test_what_a_place_does_not_have(farm):
    status, _, err = farm.run("swd", "id", "--bench", "labgrid:line-1")
    assert (status, "has no such probe" in err) == (4, True), err
    status, out, err = farm.run("list", "--bench", "labgrid:line-1", "--json")
    assert (status, out.strip()) == (0, ""), "no USB goes through labgrid"


def test_a_place_of_somebody_else_and_places_that_are_not_there(farm):
    farm.client("-p", "line-1", "acquire", user="bob")
    try:
        status, out, _ = farm.run("selftest", "list", "--bench", "labgrid:line-1", "--json")
        error = json.loads(out)["error"]
        assert (status, error["type"], error["slot"]) == (3, "BenchError", "line-1")
        assert "desk/bob" in error["message"]
        assert farm.holder("line-1") == "desk/bob"
    finally:
        farm.client("-p", "line-1", "release", user="bob")
    status, _, err = farm.run("selftest", "list", "--bench", "labgrid:nowhere")
    assert (status, "no place nowhere" in err, "boron-1, line-1" in err) == (3, True, True), err


def test_a_place_that_was_taken_by_hand_stays_taken(farm):
    farm.client("-p", "line-1", "acquire")
    status, _, err = farm.run("selftest", "list", "--bench", "labgrid:line-1")
    assert status == 0, err
    assert farm.holder("line-1") == "desk/alice"
    farm.client("-p", "line-1", "release")


def test_two_runs_of_one_user_do_not_share_a_board(farm, hold):
    holder = hold("line-1")
    assert farm.holder("line-1") == "desk/alice"
    status, _, err = farm.run("selftest", "list", "--bench", "labgrid:line-1")
    assert (status, "another run on this computer" in err) == (3, True), err
    assert holder.leave() == "given back"
    assert farm.holder("line-1") == "None"


def test_a_bench_file_with_two_places_and_none_is_kept_when_one_is_not_to_be_had(farm, tmp_path):
    bench = tmp_path / "farm.toml"
    bench.write_text(
        textwrap.dedent(
            f"""
            [bench]
            driver = "labgrid"
            options = {{ coordinator = "{farm.address}" }}
            [[slot]]
            name = "A"
            place = "line-1"
            [[slot]]
            name = "B"
            place = "boron-1"
            """
        )
    )
    status, out, err = farm.run("selftest", "list", "--bench", bench, "--json")
    assert (status, len(json.loads(out)["tests"]) > 5) == (0, True), err
    farm.client("-p", "boron-1", "acquire", user="bob")
    status, _, err = farm.run("selftest", "list", "--bench", bench)
    assert (status, "boron-1 is taken" in err) == (3, True), err
    assert farm.holder("line-1") == "None"
    farm.client("-p", "boron-1", "release", user="bob")


def test_a_coordinator_that_restarts_is_survived(farm, hold):
    holder = hold("line-1")
    farm.stop()
    farm.start()
    until(lambda: holder.ask() == "1", "the place was not taken again")
    assert farm.holder("line-1") == "desk/alice"
    assert holder.leave() == "given back"
    assert farm.holder("line-1") == "None"


def test_a_coordinator_that_stays_away_is_told(farm, hold):
    holder = hold("line-1", 0.5)
    farm.stop()
    try:
        said = until(lambda: (text := holder.ask()) != "0" and text, "nobody was told")
        assert "went away" in said
        assert "not to be had again within 0.5 s" in said
        assert "somebody else may have used the boards" in holder.leave()
        status, _, err = farm.run("selftest", "list", "--bench", "labgrid:line-1")
        assert (status, "does not answer" in err, "LG_COORDINATOR" in err) == (3, True, True), err
    finally:
        farm.start()


def test_a_lease_that_ends_by_an_error_nobody_expected_is_lost(farm, hold):
    holder = hold("line-1", program=BROKEN + HOLD)
    farm.stop()
    farm.start()
    told = until(lambda: (answer := holder.ask()) != "0" and answer, "it does not notice")
    assert "not watched any more: KeyError" in told
    assert "not watched any more: KeyError" in holder.leave()


def test_locks_of_this_computer_are_of_one_farm_and_tell_what_is_wrong_with_them(farm, tmp_path):
    environment = farm.environment() | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [farm.programs / "python", "-c", LOCKS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == second == "place p is used by another run on this computer"
    assert third.startswith("cannot tell whether another run on this computer uses place p: ")
    assert str(tmp_path) in third


def test_labgrids_own_fixtures_with_driver_and_strategy(farm, tmp_path):
    """labgrid's pytest plugin, in its environment, with an environment file of labgrid's own form."""
    for place in ("line-1", "boron-1"):
        farm.client("-p", place, "acquire")
    try:
        (tmp_path / "env.yaml").write_text(
            textwrap.dedent(
                """
                imports: [particle_dev.station.labgrid_target]
                targets:
                  main:
                    resources: {RemotePlace: {name: line-1}}
                    drivers: {ParticleBoardDriver: {}, ParticleStrategy: {}}
                  probe:
                    resources: {RemotePlace: {name: boron-1}}
                    drivers: {ParticleBoardDriver: {}, ParticleStrategy: {}}
                """
            )
        )
        (tmp_path / "test_boards.py").write_text(
            textwrap.dedent(
                """
                import pytest
                from labgrid.strategy import StrategyError
                from particle_dev.device.selftest_runner import Verdict
                from particle_dev.device.selftest_plan import plan_of_names


                def test_self_test(target):
                    board = target.get_driver("ParticleBoardDriver")
                    assert board.run_selftest(plan_of_names(["adc", "gpio"])).verdict is Verdict.PASSED


                def test_halted(env):
                    target = env.get_target("probe")
                    strategy = target.get_driver("ParticleStrategy")
                    strategy.transition("halted")
                    with target.get_driver("ParticleBoardDriver").swd() as session:
                        assert session.identity().platform.name == "boron"


                def test_what_a_place_does_not_have(env):
                    target = env.get_target("probe")
                    with pytest.raises(StrategyError):
                        target.get_driver("ParticleStrategy").transition("off")
                """
            )
        )
        words = ["-m", "pytest", "-q", *QUIET, "--lg-env", tmp_path / "env.yaml", tmp_path]
        with farm.popen(*words) as process:
            out, err = process.communicate(timeout=100)
        assert process.returncode == 0, out + err
        assert "3 passed" in out
    finally:
        for place in ("line-1", "boron-1"):
            farm.client("-p", place, "release")
