"""Tests that execute firmware images which the person at the keyboard holds: `make emulated`. CI runs none of them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from particle_harness.boards import hardware
from particle_harness.emulator.boards.images import FOLDER_VARIABLE, BoardImages, ImagesFolder, images_folder

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import BenchError
from tests.emulated.work import Desk, desk_with

_outcomes: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Of the tests in this folder alone."""
    if report.when == "call" or not report.passed:
        _outcomes[report.outcome] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which every test was skipped proves nothing, and is not green."""
    if session.exitstatus == pytest.ExitCode.OK and _outcomes["skipped"] == _outcomes.total() > 0:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture(scope="session")
def folder() -> ImagesFolder:
    """The user's images, each file read once. Its absence is an error: whoever asks for these tests wants them run. A
    firmware store is not taken in its place: nobody has named that for this."""
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        pytest.fail(f"name a folder of firmware images of yours in {FOLDER_VARIABLE}: docs/emulator.md")
    try:
        return images_folder(named)
    except BenchError as error:
        pytest.fail(f"{error}")


@pytest.fixture(scope="session")
def images(folder: ImagesFolder) -> Path:
    """Where they lie."""
    return folder.folder


@pytest.fixture(scope="session")
def images_of(folder: ImagesFolder):
    """What a new board gets, with the system parts of a release if one is named. Skips where something is missing."""

    def find(platform: str, device_os: str | None = None) -> BoardImages:
        return _found(folder, platform, device_os)

    return find


@pytest.fixture(scope="session")
def bootloaders_of(folder: ImagesFolder):
    """All bootloaders of a board, each with a SoftDevice where the board has one. Skips where there is none."""

    def find(platform: str) -> list[BoardImages]:
        number = hardware(platform).platform_id
        mine = [image for image in folder.images() if image.prefix.platform_id == number]
        softdevices = [image for image in mine if image.prefix.function == ModuleFunction.RADIO_STACK]
        found = [image for image in mine if image.prefix.function == ModuleFunction.BOOTLOADER]
        if not found:
            pytest.skip(f"{folder.folder} has no bootloader of a {platform}")
        return [BoardImages(image, softdevices[-1] if softdevices else None) for image in found]

    return find


@pytest.fixture(scope="session")
def application(folder: ImagesFolder):
    """The smallest application for a platform in the folder, as a file."""

    def find(platform: str) -> Path:
        number = hardware(platform).platform_id
        modules = [i for i in folder.images() if i.prefix.platform_id == number]
        users = [i for i in modules if i.prefix.function == ModuleFunction.USER_PART and i.file]
        if not users:
            pytest.skip(f"{folder.folder} has no application for {platform}, such as Tinker")
        smallest = min(users, key=lambda image: len(image.data))
        assert smallest.file is not None
        return smallest.file

    return find


@pytest.fixture
def desk(images: Path, images_of):
    """A new board at a host, in virtual time."""
    opened: list[Desk] = []

    def make(platform: str, device_os: str | None = None, **slot: object) -> Desk:
        images_of(platform, device_os)
        opened.append(desk_with(images, platform, device_os, **slot))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def need(images: Path, platform: str, device_os: str | None = None) -> None:
    """Skip, with what is missing, a test whose images are not in the folder."""
    _found(ImagesFolder(images), platform, device_os)


def _found(folder: ImagesFolder, platform: str, device_os: str | None) -> BoardImages:
    try:
        return folder.for_board(hardware(platform), device_os)
    except BenchError as error:
        pytest.skip(str(error))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """That nothing was executed; the table of docs/emulator.md: what was believed of a boot, and what Device OS did."""
    if _outcomes["skipped"] == _outcomes.total() > 0:
        terminalreporter.write_line("no image was executed: every test was skipped", red=True)
    rows: dict[str, dict[str, str]] = {}
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, value in getattr(report, "user_properties", ()):
            if name == "air" and report.when == "call":
                situation, guard, model, release, said = value
                rows.setdefault(f"| {situation} | {guard} | {model} |", {})[release] = said
    releases = sorted({release for row in rows.values() for release in row})
    if not rows:
        return
    terminalreporter.section("when Device OS asks for the air")
    heads = " | ".join(f"Device OS {release}" for release in releases)
    terminalreporter.write_line(f"| situation | particle_dev | particle_harness | {heads} |")
    terminalreporter.write_line("|---|---|---|" + "---|" * len(releases))
    for row, said_by in rows.items():
        terminalreporter.write_line(f"{row} {' | '.join(said_by.get(release, '–') for release in releases)} |")
