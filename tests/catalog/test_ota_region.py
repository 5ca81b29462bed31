"""The update area: what each release keeps where, so that nothing else lies in it."""

import pytest

from particle_dev.catalog.ota_region import ota_region, update_area
from particle_dev.catalog.platforms import PLATFORMS, platform_by_name

HARMLESS = {"ota", "reserved", "unused"}
WITH_AREA = [p for p in PLATFORMS if update_area(p)]


def test_all_nrf52840_boards_have_one_and_no_others():
    assert {p.name for p in WITH_AREA} == {p.name for p in PLATFORMS if p.family == "nrf52840" and p.dfu_alts}
    assert {"boron", "bsom", "b5som", "tracker", "argon", "xenon", "esomx"} <= {p.name for p in WITH_AREA}


@pytest.mark.parametrize("platform", WITH_AREA, ids=lambda p: p.name)
def test_no_release_keeps_anything_else_there(platform):
    area = update_area(platform)
    end = area.flash_address + area.safe_size_bytes
    if platform.layout.name == "nrf52840-8m":
        # 1.5.2 and earlier use the lower half alone.
        assert area.flash_address >= 0x400000
    for memory_map in platform.layout.memory_maps:
        inside = {
            r.name
            for r in memory_map.regions
            if r.storage == "external_flash" and r.start_address < end and r.end_address > area.flash_address
        }
        assert inside <= HARMLESS, memory_map.era
    # What the bootloader of any release keeps of an application while it is replaced: 48 KiB behind the factory slot.
    for memory_map in platform.layout.memory_maps:
        assert memory_map.region("factory").end_address + 0xC000 <= area.flash_address


# flash address, safe size; from EXTERNAL_FLASH_OTA_ADDRESS and _SAFE_LENGTH of the tags named
@pytest.mark.parametrize(
    ("platform", "device_os", "address", "safe_size_bytes"),
    [
        ("boron", "2.1.0", 0x289000, 0x2E0000 - 0x289000),
        ("boron", "5.4.1", 0x289000, 0x2E0000 - 0x289000),
        ("boron", "5.5.0", 0x24C000, 606208),
        ("boron", "6.2.0", 0x24C000, 606208),
        ("tracker", "2.1.0", 0x689000, 1500 * 1024),
        ("b5som", "6.2.0", 0x689000, 1500 * 1024),
        ("xenon", "1.5.2", 0x289000, 1500 * 1024),
    ],
)
def test_where_a_release_looks(platform, device_os, address, safe_size_bytes):
    region = ota_region(platform_by_name(platform), device_os)
    assert (region.flash_address, region.safe_size_bytes) == (address, safe_size_bytes)
    assert (region.dfu_alt, region.dfu_address) == (2, 0x80000000 + address)
    assert region.size_bytes == 1500 * 1024
    assert region.source.startswith("device-os v")


@pytest.mark.parametrize(
    ("platform", "device_os"), [("b5som", "1.5.2"), ("photon", "2.1.0"), ("electron", "3.3.1"), ("p2", "6.2.0")]
)
def test_unproven_ones_are_none(platform, device_os):
    assert ota_region(platform_by_name(platform), device_os) is None
