"""pytest plugin: tests on Particle boards, virtual ones or those of a bench. Found by every pytest of the environment.

    def test_it_knows_its_name(particle_board):
        with particle_board.control() as session:
            assert session.device_id() == particle_board.device_id

Fixtures: ``particle_board``, ``particle_boards``, ``particle_bench``, ``particle_cloud``, ``particle_faults``; none is
used unasked. Markers: particle_harness/hil/wanted.py. ``--bench`` names the bench, virtual by default; a test that no
board of it may run is skipped, and a run in which that happened does not end with 0 but with 6.

Importing this imports pytest and nothing else of others: what needs the host library is imported when a test asks for
it.
"""

from __future__ import annotations

import argparse
import getpass
import math
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from particle_harness.hil.run_report import (
    EXIT_NOT_RUN,
    PROPERTY_NOT_RUN,
    PROPERTY_VIRTUAL,
    CausesOnce,
    Tally,
    print_summary,
    shorten,
)
from particle_harness.hil.wanted import MARKERS, Wanted, wanted_by

if TYPE_CHECKING:
    from particle_harness.hil.bench import HilBench, Taken
    from particle_harness.hil.board import Board
    from particle_harness.hil.cloud import HilCloud
    from particle_harness.hil.faults import Faults

DEVICE_TESTS_SUFFIX = ".device-tests.toml"
_FIXTURE = "particle_"
_bench_key = pytest.StashKey["HilBench"]()
_taken_key = pytest.StashKey["Taken"]()
_tally_key = pytest.StashKey["Tally"]()


# ---- options --------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--bench`` and its companions."""
    group = parser.getgroup("particle", "Particle boards")
    group.addoption(
        "--bench",
        metavar="FILE|NAME",
        help="the bench with the boards: a bench file (TOML), or a driver by its name; default: virtual",
    )
    group.addoption(
        "--particle-firmware",
        metavar="DIR",
        help="module files whose newest bootloader and SoftDevice virtual boards leave the factory with; "
        "default: stand-ins",
    )
    group.addoption("--particle-logs", metavar="DIR", help="a log for each board there, USB transfers included")
    group.addoption(
        "--particle-lease-timeout",
        metavar="SECONDS",
        type=_seconds,
        default=600.0,
        help="how long a test waits for boards that another run has; default: 600",
    )
    parser.addini("particle_bench", "the bench when --bench is not given", default="virtual")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 on")
    return seconds


def pytest_configure(config: pytest.Config) -> None:
    """Makes the markers known."""
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    config.stash[_tally_key] = Tally()
    config.pluginmanager.register(config.stash[_tally_key], "particle-tally")
    config.pluginmanager.register(CausesOnce(), "particle-causes-once")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Which bench, when one was named."""
    return f"particle bench: {_spec(config)}" if config.getoption("--bench") else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """A bench that was named and cannot be used ends the run before it begins."""
    # With workers each opens it: held here too, some drivers' boards would be nobody's.
    config = session.config
    if config.getoption("--bench") and not hasattr(config, "workerinput") and not _has_workers(config):
        bench_of(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """So does one that pytest's ini file names, when a test wants it."""
    config = session.config
    if not hasattr(config, "workerinput") and any(_is_on_boards(item) for item in session.items):
        bench_of(config)


def _has_workers(config: pytest.Config) -> bool:
    return bool(config.getoption("numprocesses", None))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """With ``-n auto`` and a bench that was named: a worker for each board."""
    return len(bench_of(config).places) if config.getoption("--bench") else None


def _spec(config: pytest.Config) -> str:
    return str(config.getoption("--bench") or config.getini("particle_bench"))


def bench_of(config: pytest.Config) -> HilBench:
    """The bench of a run, opened when it is asked for. Raises UsageError."""
    if _bench_key not in config.stash:
        from particle_dev.errors import ParticleDevError  # noqa: PLC0415  # see the module's docstring
        from particle_harness.hil.bench import HilBench  # noqa: PLC0415

        firmware, logs = (config.getoption(f"--particle-{what}") for what in ("firmware", "logs"))
        if firmware and not any(Path(firmware).rglob("*.bin")):
            raise pytest.UsageError(
                f"--particle-firmware {firmware}: no module files (*.bin) are there; boards would leave the factory "
                "with stand-ins, as they do without this option"
            )
        try:
            bench = HilBench(
                _spec(config),
                firmware=Path(firmware) if firmware else None,
                log_folder=Path(logs) if logs else None,
                lease_timeout_s=config.getoption("--particle-lease-timeout"),
                holder=f"pytest of {_user()} in {config.rootpath}",
            )
        except ParticleDevError as error:
            raise pytest.UsageError(str(error)) from error
        config.stash[_bench_key] = bench
        config.add_cleanup(bench.close)
    return config.stash[_bench_key]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "somebody"


# ---- collection -----------------------------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """On-target tests of a Device OS test application: ``*.device-tests.toml``."""
    if not file_path.name.endswith(DEVICE_TESTS_SUFFIX):
        return None
    from particle_harness.hil.device_tests import DeviceTestFile  # noqa: PLC0415

    return DeviceTestFile.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``particle_each_board``: one run on each board that the bench file does not rule out."""
    if "particle_board" not in metafunc.fixturenames or not metafunc.definition.get_closest_marker(
        "particle_each_board"
    ):
        return
    bench = bench_of(metafunc.config)
    places = [place for place in bench.places if not bench.suits(place, _wanted(metafunc.definition))]
    ids = [f"{place.platform or 'board'}-{place.name}" for place in places]
    # With none left one run stays, which is skipped and says why.
    metafunc.parametrize("particle_board", [p.name for p in places] or [None], ids=ids or ["no-board"], indirect=True)


def _wanted(item: pytest.Item) -> Wanted:
    try:
        return wanted_by(item)
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from error


# ---- fixtures -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def particle_bench(pytestconfig: pytest.Config) -> HilBench:
    """The bench of this run: its places, and what its file says. Boards come by ``particle_board``."""
    return bench_of(pytestconfig)


@pytest.fixture
def particle_cloud(pytestconfig: pytest.Config) -> Iterator[HilCloud]:
    """A cloud: simulated, and reached by the boards of the test, on a virtual bench; else Particle's, by the profile
    that the bench file names."""
    from particle_harness.hil.cloud import particle_cloud as real_cloud  # noqa: PLC0415
    from particle_harness.hil.cloud import simulated_cloud  # noqa: PLC0415

    bench = bench_of(pytestconfig)
    with simulated_cloud() if bench.is_virtual else real_cloud(bench.file.rules) as cloud:
        yield cloud


@pytest.fixture
def particle_board(request: pytest.FixtureRequest) -> Iterator[Board]:
    """A board that suits the markers of the test, and nobody else's while it runs."""
    if "particle_boards" in request.fixturenames:
        raise pytest.UsageError("a test has particle_board or particle_boards, not both: each waits for the other")
    with ExitStack() as stack:
        yield _take(request, stack, only=getattr(request, "param", None)).boards[0]


@pytest.fixture
def particle_boards(request: pytest.FixtureRequest) -> Iterator[tuple[Board, ...]]:
    """All boards that suit the markers of the test, in the order of the bench file; one at least."""
    with ExitStack() as stack:
        yield _take(request, stack, every=True).boards


@pytest.fixture
def particle_faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Lets things go wrong on the boards of the test."""
    from particle_harness.hil.bench import NoBoardError  # noqa: PLC0415
    from particle_harness.hil.faults import Faults  # noqa: PLC0415

    name = "particle_boards" if "particle_boards" in request.fixturenames else "particle_board"
    found = request.getfixturevalue(name)

    class Skipping(Faults):
        """Says to pytest that a bench cannot do it."""

        def add(self, *arguments: Any, **keywords: Any) -> None:
            try:
                super().add(*arguments, **keywords)
            except NoBoardError as error:
                pytest.skip(str(error))

    yield Skipping(found if isinstance(found, tuple) else (found,))


def _take(request: pytest.FixtureRequest, stack: ExitStack, *, only: str | None = None, every: bool = False) -> Taken:
    cloud = request.getfixturevalue("particle_cloud") if "particle_cloud" in request.fixturenames else None
    return take_for(request.node, stack, only=only, every=every, cloud=cloud.sim if cloud else None)


def take_for(
    item: pytest.Item, stack: ExitStack, *, only: str | None = None, every: bool = False, cloud: object | None = None
) -> Taken:
    """Boards for a test, until ``stack`` ends; skips it when it may have none."""
    from particle_harness.hil.bench import NoBoardError  # noqa: PLC0415
    from particle_harness.hil.logs import LogCollector  # noqa: PLC0415

    bench = bench_of(item.config)
    try:
        taken = bench.take(_wanted(item), only=only, every=every, cloud=cloud)
    except NoBoardError as error:
        pytest.skip(f"no board for it on bench {bench.file.name}: {error}")
    stack.callback(taken.give_back)
    item.stash[_taken_key] = taken
    _let_operator_see(item, taken)
    for board in taken.boards:
        item.user_properties.append(("particle_board", f"{board.name} {board.platform.name} {board.device_id}"))
    item.user_properties.append((PROPERTY_VIRTUAL, "yes" if bench.is_virtual else "no"))
    logs = [board.log for board in taken.boards]
    collector = LogCollector(logs, traffic=bench.log_folder is not None)
    stack.callback(collector.stop)
    return taken


def _let_operator_see(item: pytest.Item, taken: Taken) -> None:
    """Who is asked to plug and unplug sees it although pytest captures what is printed."""
    capture: Any = item.config.pluginmanager.getplugin("capturemanager")
    for board in taken.boards:
        power: Any = board.slot.power
        if capture is not None and hasattr(power, "say"):
            power.say = _uncaptured(capture, power.say)


def _uncaptured(capture: Any, say: Callable[[str], None]) -> Callable[[str], None]:
    def told(text: str) -> None:
        with capture.global_and_fixture_disabled():
            say(f"\n{text}")

    return told


# ---- reports --------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds error code and class to what JUnit files hold, and the boards' logs to what a failure shows. Where the bench
    is to blame, one line says so instead of a traceback."""
    if not _is_on_boards(item):
        return (yield)
    summary = ""
    if call.excinfo is not None and not isinstance(call.excinfo.value, pytest.skip.Exception):
        from particle_dev.errors import ParticleDevError  # noqa: PLC0415
        from particle_harness.hil.outcome import error_code, failure_class  # noqa: PLC0415

        error = call.excinfo.value
        code, kind = error_code(error), str(failure_class(error, call.when))
        item.user_properties.append(("particle_error_code", code))
        item.user_properties.append(("particle_class", kind))
        if hint := getattr(error, "hint", ""):
            item.user_properties.append(("particle_hint", hint))
        if isinstance(error, ParticleDevError):
            summary = f"{code} ({kind}): {error}"
    if call.when == "call" and _taken_key in item.stash:
        for board in item.stash[_taken_key].boards:
            if board.log.lines:
                item.add_report_section(call.when, f"log of board {board.name}", "\n".join(board.log.lines))
    report = yield
    if summary and call.excinfo is not None and report.failed:
        shorten(report, call.excinfo, summary)
    if report.skipped and not hasattr(report, "wasxfail") and call.excinfo is not None:
        reason = str(call.excinfo.value)
        item.user_properties.append((PROPERTY_NOT_RUN, reason))
        report.user_properties = list(item.user_properties)
    return report


def _is_on_boards(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return getattr(item, "is_particle_device_test", False) or any(n.startswith(_FIXTURE) for n in names)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """What was not run is no pass."""
    tally = session.config.stash[_tally_key]
    if tally.not_run and session.exitstatus == pytest.ExitCode.OK and not hasattr(session.config, "workerinput"):
        session.exitstatus = EXIT_NOT_RUN


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Which proofs are virtual, which tests the bench kept from running, and what was not run."""
    print_summary(terminalreporter, config, config.stash[_tally_key])
