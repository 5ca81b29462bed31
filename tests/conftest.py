"""Fixtures that several folders share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from particle_harness.selftest_boards import build_ports

from particle_dev.flash.store import FirmwareStore
from particle_dev.station.recipe import Recipe, load_recipe

RECIPE_PATH = Path(__file__).parents[1] / "recipes" / "ship.toml"


@pytest.fixture(scope="session", autouse=True)
def _users_own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the home of whoever runs it: stations make a key there on first use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


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


@pytest.fixture(scope="session")
def ship_recipe() -> Recipe:
    """The recipe that the demo uses."""
    return load_recipe(RECIPE_PATH)


@pytest.fixture(scope="session")
def release_store(particle_cli_firmware: Path, tmp_path_factory: pytest.TempPathFactory) -> FirmwareStore:
    """A firmware store with real Device OS 2.1.0 and Tinker. Shared: do not write to it."""
    store = FirmwareStore(tmp_path_factory.mktemp("store"))
    assert store.add_path(particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets").ok
    return store


@pytest.fixture
def own_probes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Virtual debug probes of another test run may have the same ids: who uses which is kept apart."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def selftest_ports() -> Path:
    """The C self-test built for this machine and for emulated Cortex-M: see particle_harness.selftest_boards. Where
    `make firmware-check` has built it already."""
    firmware = Path(__file__).parents[1] / "firmware"
    return build_ports(firmware, firmware / "build")
