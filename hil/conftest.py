"""The contracts of tests/contract: ``pytest hil`` on virtual boards, ``pytest hil --bench FILE`` on your bench."""

import os
from pathlib import Path

import platformdirs
import pytest
from particle_harness.selftest_boards import build_host_port

from particle_dev.errors import ParticleDevError
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.recipe import load_recipe

pytest.register_assert_rewrite("tests.contract")
from tests.contract.firmware import Firmware  # noqa: E402

ROOT = Path(__file__).parents[1]
FIRMWARE_VARIABLE = "PARTICLE_DEV_TEST_FIRMWARE"
PACKAGES = ("particle-cli-2.12.0", "particle-cli-2.16.0")
"""npm packages with the releases of both recipes."""
VIRTUAL = """
[bench]
name = "virtual (hil)"
driver = "virtual"
[[slot]]
name = "1"
platform = "boron"
probe = true
[[slot]]
name = "2"
platform = "bsom"
[[slot]]
name = "3"
platform = "tracker"
[[slot]]
name = "4"
platform = "photon"
probe = true
[[slot]]
name = "5"
platform = "boron"
wiring = ["selftest"]
application = ["program:{selftest} --requests"]
[[slot]]
name = "6"
platform = "boron"
factory = "online"
wiring = ["online"]
application = ["configurable_logging", "selftest"]
"""


def pytest_addoption(parser):
    group = parser.getgroup("hil", "Contracts on boards")
    group.addoption("--recipe", metavar="FILE", default=str(ROOT / "recipes" / "ship.toml"), help="what is flashed")
    group.addoption(
        "--next-recipe", metavar="FILE", default=str(ROOT / "hil" / "next.toml"), help="where upgrades lead to"
    )
    group.addoption(
        "--store",
        metavar="DIR",
        help=f"firmware store with both; default: what `make firmware-for-tests` fetched, or {FIRMWARE_VARIABLE}",
    )


def pytest_configure(config):
    if config.getoption("--bench") is None:
        firmware = ROOT / "firmware"
        path = ROOT / "build" / "hil" / "virtual.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not hasattr(config, "workerinput"):
            try:
                selftest = build_host_port(firmware, firmware / "build")
            except (RuntimeError, OSError) as error:
                raise pytest.UsageError(
                    f"a virtual board's self-test firmware does not build (make, gcc): {error}"
                ) from error
            path.write_text(VIRTUAL.format(selftest=selftest), encoding="utf-8")
        config.option.bench = str(path)
        if config.option.particle_firmware is None:
            # Boards come with the bootloaders of the release: a stand-in of the same version is not the same.
            config.option.particle_firmware = str(_fetched() / PACKAGES[0] / "package" / "assets" / "updates")


@pytest.fixture(scope="session")
def firmware(pytestconfig, tmp_path_factory):
    """Real Device OS and applications, on virtual boards, too."""
    named = pytestconfig.getoption("--store")
    if named:
        store = FirmwareStore(Path(named))
    else:
        store = FirmwareStore(tmp_path_factory.mktemp("store"))
        for package in PACKAGES:
            assert store.add_path(_fetched() / package / "package" / "assets").ok
    try:
        recipes = [load_recipe(Path(pytestconfig.getoption(f"--{which}recipe"))) for which in ("", "next-")]
    except ParticleDevError as error:
        pytest.fail(str(error))
    return Firmware(store, *recipes, shown=named or "npm's particle-cli")


def _fetched():
    cache = os.environ.get("XDG_CACHE_HOME") or platformdirs.user_cache_dir()
    folder = Path(os.environ.get(FIRMWARE_VARIABLE) or Path(cache, "particle-dev", "test-firmware"))
    if not (folder / ".ready").exists():
        raise pytest.UsageError("no firmware to flash: run `make firmware-for-tests`, or give --bench and --store")
    return folder
