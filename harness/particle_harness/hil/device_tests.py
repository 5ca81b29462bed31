"""On-target tests of a Device OS test application as pytest items.

``NAME.device-tests.toml``::

    [device-tests]
    platforms = ["boron"]        # optional
    tests = ["gpio", "i2c"]      # optional; without it a board is asked which tests its application has
    system_mode = "manual"       # optional: default, automatic, semi-automatic, manual, safe-mode
    system_thread = true         # optional
    stays_offline = true         # the application never connects; else boards must be in may_connect
    timeout_s = 600              # optional, of each test
    app = "build/tests.bin"      # optional, beside this file: flashed where the board has another; needs tests,
                                 # may_erase and may_connect. Without it the application is on the board already
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from particle_dev.device.device_tests import TEST_TIMEOUT_S, DeviceTestResult, DeviceTestSession
from particle_dev.errors import ParticleDevError
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.inventory import read_inventory
from particle_dev.flash.offers import Offer
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.protocol.device_tests import RunnerStatus, SystemMode
from particle_dev.toml_file import TomlFile, TomlTable
from particle_harness.hil.board import Board

_KEYS = ["platforms", "tests", "system_mode", "system_thread", "stays_offline", "timeout_s", "app"]


@dataclass(frozen=True, slots=True)
class DeviceTestPlan:
    """A file of device tests. ``tests`` empty: those that the application has."""

    platforms: tuple[str, ...]
    tests: tuple[str, ...]
    system_mode: SystemMode | None
    system_thread: bool | None
    stays_offline: bool
    timeout_s: float
    app: Path | None = None


class DeviceTestFailedError(Exception):
    """A device test failed on the board; the text is its log."""

    code = "device_test_failed"


class DeviceTestFile(pytest.File):
    """One item for each test of the application."""

    def collect(self) -> Iterator[pytest.Item]:
        """Reads the file and, where it names no tests, asks a board."""
        try:
            plan = load_plan(TomlFile(self.path))
        except ParticleDevError as error:
            raise self.CollectError(str(error)) from error
        if plan.platforms:
            self.add_marker(pytest.mark.particle_platform(*plan.platforms))
        if not plan.stays_offline or plan.app is not None:
            self.add_marker(pytest.mark.may_connect)
        if plan.app is not None:
            self.add_marker(pytest.mark.may_erase)
        for name in plan.tests or self._ask():
            yield DeviceTestItem.from_parent(self, name=name, plan=plan)

    def _ask(self) -> tuple[str, ...]:
        """Names of tests, from the first board that suits. A run that may not have one has one item, which says so."""
        from particle_harness.hil.bench import NoBoardError  # noqa: PLC0415
        from particle_harness.hil.wanted import wanted_by  # noqa: PLC0415
        from particle_harness.plugin import bench_of  # noqa: PLC0415

        try:
            taken = bench_of(self.config).take(wanted_by(self))
        except NoBoardError:
            return ("tests-of-the-application",)
        except ParticleDevError as error:
            raise self.CollectError(str(error)) from error
        try:
            (board,) = taken.boards
            with DeviceTestSession(board.host, board.slot.port_path, board.permissions) as session:
                names = session.names()
            if not names:
                # Beside other tests nobody would miss them.
                raise self.CollectError(f"the application on {board.device_id} has no device test: build it with them")
            return names
        except ParticleDevError as error:
            raise self.CollectError(str(error)) from error
        finally:
            taken.give_back()


class DeviceTestItem(pytest.Item):
    """One on-target test, on a board of the bench."""

    is_particle_device_test = True

    def __init__(self, *, plan: DeviceTestPlan, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.plan = plan
        self._stack = ExitStack()
        self._session: DeviceTestSession | None = None

    def setup(self) -> None:
        """Takes a board."""
        from particle_harness.plugin import take_for  # noqa: PLC0415

        (board,) = take_for(self, self._stack).boards
        if self.plan.app is not None:
            put_application(board, self.plan.app)
        self._session = self._stack.enter_context(
            DeviceTestSession(
                board.host, board.slot.port_path, board.permissions, stays_offline=self.plan.stays_offline
            )
        )

    def runtest(self) -> None:
        """Runs it, and waits for its end."""
        assert self._session is not None
        result = self._session.run(
            self.name,
            mode=self.plan.system_mode,
            threaded=self.plan.system_thread,
            timeout_s=self.plan.timeout_s,
        )
        _report(result)

    def teardown(self) -> None:
        """Gives the board back."""
        self._stack.close()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The board's log instead of a traceback of ours."""
        if isinstance(excinfo.value, DeviceTestFailedError | ParticleDevError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where it stands."""
        return self.path, None, f"device test {self.name}"


def put_application(board: Board, path: Path) -> None:
    """Flash an application where the board has another, and boot it; before Device OS 5.6.0, which tells no hashes,
    each time. Raises what flashing raises."""
    offer = Offer()
    offer.add_paths([path], board.platform)
    device = board.device()
    inventory = read_inventory(board.host, device)
    plan = make_update_plan(inventory, list(offer.files), mode=device.mode, leave=True)
    board.log.add(f"{path.name}: {'; '.join(str(phase.kind) for phase in plan.phases) or 'it is there'}")
    for _ in carry_out(board.host, device, plan, offer.contents.__getitem__, permissions=board.permissions):
        pass


def _report(result: DeviceTestResult) -> None:
    if result.status is RunnerStatus.SKIPPED:
        pytest.skip(f"the application skipped it: {result.log or 'it does not say why'}")
    if result.status is not RunnerStatus.PASSED:
        raise DeviceTestFailedError(f"device test {result.test} failed on the board:\n{result.log}")


def load_plan(file: TomlFile) -> DeviceTestPlan:
    """What a file says. Raises ConfigError."""
    file.root.allow_only(["device-tests"])
    table = file.root.table("device-tests")
    table.allow_only(_KEYS)
    mode = table.text("system_mode") if "system_mode" in table.values else None
    if mode is not None and mode not in list(SystemMode):
        raise table.error("system_mode", f"no system mode {mode!r}", hint=f"one of {', '.join(SystemMode)}")
    app = file.path.parent / table.text("app") if "app" in table.values else None
    tests = _names(table, "tests")
    if app is not None and not tests:
        raise table.error("app", "app without tests", hint="name the tests: it is flashed when the first of them runs")
    return DeviceTestPlan(
        _names(table, "platforms"),
        tests,
        SystemMode(mode) if mode is not None else None,
        _switch(table, "system_thread"),
        bool(_switch(table, "stays_offline")),
        table.seconds("timeout_s", TEST_TIMEOUT_S),
        app,
    )


def _names(table: TomlTable, key: str) -> tuple[str, ...]:
    values = table.values.get(key, [])
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise table.error(key, f"{key} must be a list of names", hint=f'such as {key} = ["gpio"]')
    return tuple(values)


def _switch(table: TomlTable, key: str) -> bool | None:
    value = table.values.get(key)
    if value is not None and type(value) is not bool:
        raise table.error(key, f"{key} must be true or false", hint="without quotes")
    return value
