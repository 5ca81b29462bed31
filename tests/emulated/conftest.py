"""Tests that execute firmware images which the person at the keyboard holds: `make emulated`. CI runs none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from particle_harness.boards import hardware
from particle_harness.emulator.images import ImagesFolder, images_folder

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import BenchError
from tests.emulated.work import Desk, desk_with


@pytest.fixture(scope="session")
def images() -> Path:
    """The user's folder. Its absence is an error: whoever asks for these tests wants them run."""
    try:
        return images_folder().folder
    except BenchError as error:
        pytest.fail(f"{error}")


@pytest.fixture(scope="session")
def application(images: Path):
    """The smallest application for a platform in the folder, as a file."""

    def find(platform: str) -> Path:
        number = hardware(platform).platform_id
        modules = [i for i in ImagesFolder(images).images() if i.prefix.platform_id == number]
        users = [i for i in modules if i.prefix.function == ModuleFunction.USER_PART and i.file]
        if not users:
            pytest.skip(f"{images} has no application for {platform}, such as Tinker")
        smallest = min(users, key=lambda image: len(image.data))
        assert smallest.file is not None
        return smallest.file

    return find


@pytest.fixture
def desk(images: Path):
    """A new board at a host, in virtual time."""
    opened: list[Desk] = []

    def make(platform: str, device_os: str | None = None, **slot: object) -> Desk:
        need(images, platform, device_os)
        opened.append(desk_with(images, platform, device_os, **slot))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def need(images: Path, platform: str, device_os: str | None = None) -> None:
    """Skip, with what is missing, a test whose images are not in the folder."""
    try:
        ImagesFolder(images).for_board(hardware(platform), device_os)
    except BenchError as error:
        pytest.skip(str(error))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of docs/emulator.md: what was believed of a boot, and what Device OS did."""
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
