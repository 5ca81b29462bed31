from __future__ import annotations

import pytest

from particle_dev.catalog.device_os import (
    RELEASES,
    release_by_name,
    releases_by_system_version,
    version_key,
)


def test_order_of_releases_and_pre_releases() -> None:
    ordered = ["0.9.0", "3.0.0", "3.1.0-alpha.2", "3.1.0-rc.1", "3.1.0-rc.2", "3.1.0-rc.10", "3.1.0", "6.1.2", "6.2.0"]
    assert sorted(sorted(ordered), key=version_key) == ordered


def test_upper_bound_x_is_above_every_release_of_that_line_only() -> None:
    assert version_key("6.1.2") < version_key("6.1.x") < version_key("6.2.0-rc.1") < version_key("6.2.0")


def test_build_metadata_does_not_count() -> None:
    assert version_key("5.4.0+ledger") == version_key("5.4.0")


@pytest.mark.parametrize("name", ["", "6", "6.2", "6.2.0.1", "unknown", "v6.2.0", "6.2.0-rc.x", "6.x.0"])
def test_what_is_no_version_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no Device OS version"):
        version_key(name)


def test_table_has_no_name_twice_and_every_name_is_a_version() -> None:
    names = [release.name for release in RELEASES]
    assert len(names) == len(set(names)) == 203
    for name in names:
        version_key(name)
    assert {release.origin for release in RELEASES} == {"table", "tag", "docs", "binary"}


def test_final_releases_rise_in_version_and_module_number() -> None:
    finals = [release for release in RELEASES if "-" not in release.name]
    assert finals == sorted(finals, key=lambda release: version_key(release.name))
    assert [r.system_version for r in finals] == sorted(r.system_version for r in finals)


@pytest.mark.parametrize(
    ("name", "system", "bootloader"),
    [("0.4.9", 11, 7), ("1.1.1", 1104, 301), ("2.1.0", 2101, 1005), ("3.1.0", 3103, 1100), ("6.2.0", 6200, 3100)],
)
def test_lookup_by_name(name: str, system: int, bootloader: int) -> None:
    release = release_by_name(name)
    assert release is not None
    assert (release.system_version, release.bootloader_version) == (system, bootloader)


def test_lookup_by_system_version_may_give_several() -> None:
    assert [r.name for r in releases_by_system_version(13)] == ["0.5.0-rc.2", "0.5.0"]
    assert [r.name for r in releases_by_system_version(2101)] == ["2.1.0"]


def test_unknown_lookups() -> None:
    assert release_by_name("9.9.9") is None
    assert releases_by_system_version(65535) == ()
