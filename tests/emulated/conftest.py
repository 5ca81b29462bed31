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
