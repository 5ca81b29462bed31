"""Tests that execute firmware images which the person at the keyboard holds: `make emulated`. CI runs none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from particle_harness.boards import hardware
from particle_harness.emulator.images import ImagesFolder, images_folder

from particle_dev.errors import BenchError
from tests.emulated.work import Desk, desk_with

APPLICATIONS = {"boron": "tinker-0.8.0-rc.27-boron.bin", "argon": "tinker-0.8.0-rc.27-argon.bin"}


@pytest.fixture(scope="session")
def images() -> Path:
    """The user's folder. Its absence is an error: whoever asks for these tests wants them run."""
    try:
        return images_folder().folder
    except BenchError as error:
        pytest.fail(f"{error}")


@pytest.fixture
def application(images: Path):
    """An application for a platform out of the folder, or none."""

    def find(platform: str) -> Path:
        found = next(iter(sorted(images.rglob(APPLICATIONS[platform]))), None)
        return found or pytest.skip(f"{images} has no {APPLICATIONS[platform]}")

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
