"""The store with every module of particle-cli 2.12.0, taken from the cached package without network."""

from __future__ import annotations

from pathlib import Path

import pytest

from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.store import FirmwareStore

pytestmark = pytest.mark.firmware
SPEC = "npm:particle-cli@2.12.0"


@pytest.fixture(scope="module")
def cache_dir(particle_cli_firmware: Path) -> Path:
    return particle_cli_firmware / "tarballs"


@pytest.fixture(scope="module")
def store(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> FirmwareStore:
    store = FirmwareStore(tmp_path_factory.mktemp("firmware"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no npm client to be found: the cached package must do
        result = store.add_npm(SPEC, cache_dir)
    assert result.refused == ()
    assert len(result.added) == 50
    assert [Path(name).name for name in result.not_modules] == [
        "cc3000-patch-programmer.bin",
        "cc3000-patch-programmer_1_14.bin",
        "deep_update_2014_06.bin",
        "ota-flag-a5.bin",
    ]
    return store


def test_every_file_comes_back_as_it_is_in_the_package(store: FirmwareStore, particle_cli_firmware: Path) -> None:
    package = particle_cli_firmware / "particle-cli-2.12.0" / "package"
    for module in store.modules():
        assert module.source.startswith(f"{SPEC}:assets/")
        assert store.read(module.sha256) == (package / module.source.removeprefix(f"{SPEC}:")).read_bytes()


@pytest.mark.parametrize(
    ("platform", "release", "system_parts", "bootloader", "radio_stack"),
    [
        ("argon", "2.1.0", 1, 1005, 202),
        ("boron", "2.1.0", 1, 1005, 202),
        ("bsom", "2.1.0", 1, 1005, 202),
        ("b5som", "2.1.0", 1, 1005, 202),
        ("tracker", "2.1.0", 1, 1005, 202),
        ("photon", "2.1.0", 2, 1005, None),
        ("p1", "2.1.0", 2, 1005, None),
        ("electron", "2.1.0", 3, 1005, None),
        ("xenon", "1.5.2", 1, 502, 202),
        ("asom", "1.4.4", 1, 501, 202),
    ],
)
def test_release_sets_of_the_package_are_complete(
    store: FirmwareStore, platform: str, release: str, system_parts: int, bootloader: int, radio_stack: int | None
) -> None:
    found = store.device_os_set(platform, release)
    assert [m.version for m in found.bootloaders] == [bootloader]
    assert len(found.system_parts) == system_parts
    assert all(m.device_os == (release,) for m in found.system_parts)
    assert (found.radio_stack.version if found.radio_stack else None) == radio_stack
    available = {(m.function, m.index): m.version for m in found.modules}
    for module in found.modules:
        for dependency in module.dependencies:
            assert available[dependency.function, dependency.index] >= dependency.version


def test_electron_indexes_do_not_follow_the_file_names(store: FirmwareStore) -> None:
    parts = store.device_os_set("electron", "2.1.0").system_parts
    assert [(m.index, m.file_name) for m in parts] == [
        (1, "electron-system-part2@2.1.0.bin"),
        (2, "electron-system-part3@2.1.0.bin"),
        (3, "electron-system-part1@2.1.0.bin"),
    ]


def test_apps_by_file_name(store: FirmwareStore) -> None:
    app = store.app("tracker", "tracker-tinker@1.5.4-rc.1.bin")
    assert (app.platform_name, app.version) == ("tracker", 6)
    with pytest.raises(FirmwareStoreError, match=r"tinker-0\.8\.0-rc\.27-boron\.bin"):
        store.app("boron", "tracker-tinker@1.5.4-rc.1.bin")


def test_a_release_that_is_not_in_the_package_is_named(store: FirmwareStore) -> None:
    with pytest.raises(FirmwareStoreError, match="system part 1 v6200, bootloader 0 v3100 missing"):
        store.device_os_set("boron", "6.2.0")
