"""The catalogue against the maker's own table, npm package @particle/device-constants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from particle_dev.catalog.platforms import PLATFORMS, Platform, UsbId, platform_by_id

Constants = dict[str, dict[str, Any]]

# Disagreements, with the reason why the catalogue differs.
FACTORY_AT_0X600000 = {"esomx", "electron2"}
"""Device OS 6.2.0 flash_mal.h puts the factory image of 8 MiB boards at 0x600000, the constants at 0x200000."""

NEVER_HAD_A_SECOND_SLOT = {"xenon", "asom", "xsom"}
"""Their last releases (1.4.4, 1.5.2) are older than the 256 KiB slot: 0xD4000 is their only application slot, and
blanking it, as the constants' formerUserPart has it, would erase the application."""


@pytest.fixture(scope="module")
def constants(node_modules: Path) -> Constants:
    package = node_modules / "@particle" / "device-constants"
    assert json.loads((package / "package.json").read_text())["version"] == "4.2.1"
    table: Constants = json.loads((package / "src" / "constants.json").read_text())
    assert len(table) == 26
    return table


def usb_id(entry: dict[str, Any] | None) -> UsbId | None:
    """No USB shows as a missing entry or as vendor 0."""
    vid = int(entry["vendorId"], 16) if entry else 0
    return UsbId(vid, int(entry["productId"], 16)) if entry and vid else None


def pairs(constants: Constants) -> list[tuple[Platform, dict[str, Any]]]:
    return [(platform, constants[platform.name]) for platform in PLATFORMS]


def test_same_platforms(constants: Constants) -> None:
    assert {p.name: p.id for p in PLATFORMS} == {name: entry["id"] for name, entry in constants.items()}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("display_name", "displayName"),
        ("generation", "generation"),
        ("product_eligible", "productEligible"),
        ("public", "public"),
        ("billing", "billingConnectivity"),
    ],
)
def test_same_plain_fields(constants: Constants, ours: str, theirs: str) -> None:
    assert {p.name: getattr(p, ours) for p, _ in pairs(constants)} == {p.name: e[theirs] for p, e in pairs(constants)}


def test_same_features(constants: Constants) -> None:
    assert {p.name: p.features for p in PLATFORMS} == {p.name: tuple(e["features"]) for p, e in pairs(constants)}
    assert platform_by_id(13) in [p for p in PLATFORMS if p.device_protection]


def test_same_aliases_apart_from_a_platforms_own_name(constants: Constants) -> None:
    theirs = {p.name: set(e.get("aliases", [])) - {p.name} for p, e in pairs(constants)}
    assert {p.name: set(p.aliases) for p in PLATFORMS} == theirs


def test_same_usb_ids_and_quirks(constants: Constants) -> None:
    for platform, entry in pairs(constants):
        assert platform.usb_normal == usb_id(entry.get("usb")), platform.name
        assert platform.usb_dfu == usb_id(entry.get("dfu")), platform.name
        quirks = entry.get("usb", {}).get("quirks", {})
        assert set(platform.quirks) == {name for name, on in quirks.items() if on}, platform.name


def test_same_dfu_areas(constants: Constants) -> None:
    compared = 0
    for platform, entry in pairs(constants):
        segments = entry.get("dfu", {}).get("segments", {})
        layout = platform.layout
        if "factoryReset" in segments:
            assert layout is not None
            factory = layout.memory_maps[-1].region("factory")
            theirs = int(segments["factoryReset"]["address"], 16)
            if platform.name in FACTORY_AT_0X600000:
                assert (theirs, factory.start_address) == (0x200000, 0x600000)
            else:
                assert factory.start_address == theirs, platform.name
            assert {a.name: a.alt for a in layout.dfu_alts}[factory.storage] == segments["factoryReset"]["alt"]
            compared += 1
        former = segments.get("formerUserPart")
        area = layout.former_user_part if layout else None
        if platform.name in NEVER_HAD_A_SECOND_SLOT:
            assert (former is None, area) == (False, None)
            continue
        assert (former is None) == (area is None), platform.name
        if former and area:
            assert (area.alt, area.address, area.size_bytes) == (
                former["alt"],
                int(former["address"], 16),
                former["size"],
            )
    assert compared >= 10


def test_same_user_part_sizes_and_encrypted_modules(constants: Constants) -> None:
    compared = 0
    for platform, entry in pairs(constants):
        for module in entry.get("firmwareModules", []):
            if module["type"] == "userPart":
                slots = [s for s in platform.module_slots if s.function == 5 and s.until_device_os is None]
                assert max(s.max_size_bytes for s in slots) == module["maxSize"], platform.name
                assert all(s.fixed_end == module.get("growsLeft", False) for s in slots), platform.name
                compared += 1
            if module["type"] == "bootloader":
                slot = platform.slot_for(2, module.get("index", 0))
                assert slot is not None, platform.name
                assert slot.encrypted == module.get("encrypted", False), platform.name
    assert compared >= 15


def test_same_asset_storage(constants: Constants) -> None:
    for platform, entry in pairs(constants):
        assert (platform.assets is None) == ("assets" not in entry), platform.name
        if platform.assets:
            theirs = entry["assets"]
            assert (
                platform.assets.block_size_bytes,
                platform.assets.total_blocks,
                platform.assets.reserved_blocks,
                platform.assets.per_block_overhead_bytes,
                platform.assets.declared_max_module_bytes,
            ) == (
                theirs["blockSize"],
                theirs["storageTotalBlocks"],
                theirs["reservedBlocks"],
                theirs["assetPerBlockOverhead"],
                theirs["maxSingleAssetSize"],
            )
