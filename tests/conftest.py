"""Fixtures that several folders share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_firmware() -> Path:
    """The folder that `make firmware-for-tests` fills. Its absence is an error: a test that is left out proves
    nothing."""
    folder = os.environ.get("PARTICLE_DEV_TEST_FIRMWARE")
    if not folder or not Path(folder, ".ready").exists():
        pytest.fail(
            "run the tests by `make test`, or set PARTICLE_DEV_TEST_FIRMWARE to what `make firmware-for-tests` made"
        )
    return Path(folder)


@pytest.fixture(scope="session")
def particle_cli_firmware(test_firmware: Path) -> Path:
    """Holds particle-cli-2.12.0/package/assets and particle-cli-3.43.1/package/assets."""
    return test_firmware


@pytest.fixture(scope="session")
def node_modules(test_firmware: Path) -> Path:
    """npm packages that serve as judges."""
    return test_firmware / "node" / "node_modules"
