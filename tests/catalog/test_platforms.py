from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from particle_dev.catalog.flash_chips import FLASH_BY_FAMILY
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import (
    PLATFORMS,
    Layout,
    MemoryMap,
    Platform,
    UsbMode,
    platform_by_id,
    platform_by_name,
    platform_by_usb_id,
)

BORON, B5SOM, TRACKER, XENON, P2 = 13, 25, 26, 14, 32
LAYOUTS = {p.layout.name: p.layout for p in PLATFORMS if p.layout is not None}
MAPS = [(layout, memory_map) for layout in LAYOUTS.values() for memory_map in layout.memory_maps]


def platform(platform_id: int) -> Platform:
    found = platform_by_id(platform_id)
    assert found is not None
    return found


def test_all_platforms_are_there_once_and_sorted_by_id() -> None:
    ids = [p.id for p in PLATFORMS]
    assert ids == sorted(set(ids))
    assert ids == [0, 3, 6, 8, 10, 11, 12, 13, 14, 15, 22, 23, 24, 25, 26, 28, 31, 32, 35, 37, 38, 42, 43, 82, 88, 103]


def test_every_fact_names_a_public_source() -> None:
    sources = [p.source for p in PLATFORMS]
    for p in PLATFORMS:
        sources += [slot.source for slot in p.module_slots] + [alt.source for alt in p.dfu_alts]
        sources += [p.assets.source] if p.assets else []
    for layout in LAYOUTS.values():
        sources += [layout.source]
        sources += [layout.former_user_part.source] if layout.former_user_part else []
        sources += [region.source for memory_map in layout.memory_maps for region in memory_map.regions]
    starts = ("device-os v", "device-os commit ", "npm @particle/", "nRF52840 Product Specification")
    assert [source for source in sources if not source.startswith(starts)] == []


@pytest.mark.parametrize(("layout", "memory_map"), MAPS, ids=lambda value: getattr(value, "era", None) or value.name)
def test_regions_do_not_overlap_and_stay_within_their_memory(layout: Layout, memory_map: MemoryMap) -> None:
    # Offsets in external flash begin at 0, whatever DFU adds.
    limits = {
        a.name: (a.base_address % 0x80000000, a.base_address % 0x80000000 + a.size_bytes)
        for a in layout.dfu_alts
        if a.name != "dct"
    }
    for storage in {region.storage for region in memory_map.regions}:
        regions = sorted((r.start_address, r.end_address) for r in memory_map.regions if r.storage == storage)
        assert all(low < high for low, high in regions)
        assert all(end <= start for (_, end), (start, _) in pairwise(regions))
        if storage in limits:
            # Flash is described without holes: each address belongs to exactly one region.
            assert (regions[0][0], regions[-1][1]) == limits[storage]
            assert sum(high - low for low, high in regions) == limits[storage][1] - limits[storage][0]
    assert len({(r.storage, r.name) for r in memory_map.regions}) == len(memory_map.regions)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_every_slot_lies_in_a_region_of_each_era_it_lives_in(layout: Layout) -> None:
    for slot in layout.module_slots:
        assert slot.end_address is not None
        start = slot.start_address if slot.start_address is not None else slot.end_address - slot.max_size_bytes
        assert slot.end_address - start == slot.max_size_bytes
        eras = [
            m
            for m in layout.memory_maps
            if slot.covers(m.since_device_os or "0.4.0") or slot.covers(m.until_device_os or "99.0.0")
        ]
        assert eras, slot
        for memory_map in eras:
            names = {
                r.name
                for r in memory_map.regions
                if r.storage == slot.storage and r.start_address < slot.end_address and start < r.end_address
            }
            if slot.function == ModuleFunction.MONO_FIRMWARE:
                assert not names & {"bootloader", "softdevice", "mbr_parameters", "filesystem", "dct_1"}
            else:
                assert len(names) == 1, (slot, memory_map.era, names)


def test_module_slots_of_one_release_do_not_overlap_except_the_two_user_slots() -> None:
    for release in ("3.0.0", "3.1.0", "6.1.1", "6.1.2", "6.2.0"):
        slots = [
            s
            for s in platform(BORON).module_slots
            if s.covers(release) and s.function != ModuleFunction.MONO_FIRMWARE and s.storage == "internal_flash"
        ]
        for a in slots:
            for b in slots:
                if a is b or {a.function, b.function} == {ModuleFunction.USER_PART}:
                    continue
                assert a.start_address is not None and b.start_address is not None
                assert a.end_address is not None and b.end_address is not None
                assert a.end_address <= b.start_address or b.end_address <= a.start_address


@pytest.mark.parametrize(
    ("device_os", "system", "radio_end", "era"),
    [
        ("0.9.0", (0x30000, 0xD4000), 0x2F000, "to 3.0"),
        ("3.0.0", (0x30000, 0xD4000), 0x2F000, "to 3.0"),
        ("3.1.0-rc.1", (0x30000, 0xB4000), 0x2F000, "3.1 to 5.4"),
        ("3.1.0", (0x30000, 0xB4000), 0x2F000, "3.1 to 5.4"),
        ("5.4.1", (0x30000, 0xB4000), 0x2F000, "3.1 to 5.4"),
        ("5.5.0", (0x30000, 0xB4000), 0x2F000, "5.5 to 6.1.1"),
        ("5.9.0", (0x30000, 0xB4000), 0x2F000, "5.5 to 6.1.1"),
        ("6.1.1", (0x30000, 0xB4000), 0x2F000, "5.5 to 6.1.1"),
        ("6.1.2", (0x28000, 0xB4000), 0x27000, "6.1.2 and later"),
        ("6.2.0", (0x28000, 0xB4000), 0x27000, "6.1.2 and later"),
        ("6.3.4", (0x28000, 0xB4000), 0x27000, "6.1.2 and later"),
    ],
)
def test_gen3_era_at_the_boundaries(device_os: str, system: tuple[int, int], radio_end: int, era: str) -> None:
    boron = platform(BORON)
    slot = boron.slot_for(ModuleFunction.SYSTEM_PART, 1, device_os)
    radio = boron.slot_for(ModuleFunction.RADIO_STACK, 0, device_os)
    assert slot is not None
    assert radio is not None
    assert (slot.start_address, slot.end_address) == system
    assert radio.end_address == radio_end
    memory_map = boron.memory_map(device_os)
    assert memory_map.era == era
    assert (memory_map.region("system_part").start_address, memory_map.region("system_part").end_address) == system


def test_user_part_index_2_exists_since_3_1_only_and_index_1_stays() -> None:
    boron = platform(BORON)
    assert boron.slot_for(ModuleFunction.USER_PART, 2, "3.0.0") is None
    new = boron.slot_for(ModuleFunction.USER_PART, 2, "3.1.0")
    assert new is not None
    assert (new.start_address, new.max_size_bytes) == (0xB4000, 256 * 1024)
    old = boron.slot_for(ModuleFunction.USER_PART, 1, "6.2.0")
    assert old is not None
    assert old.start_address == 0xD4000
    assert platform(XENON).slot_for(ModuleFunction.USER_PART, 2) is None


def test_newest_era_is_the_default() -> None:
    slot = platform(BORON).slot_for(ModuleFunction.SYSTEM_PART, 1)
    assert slot is not None
    assert slot.start_address == 0x28000
    floating = platform(P2).slot_for(ModuleFunction.USER_PART, 1)
    assert floating is not None
    assert (floating.start_address, floating.end_address, floating.fixed_end) == (None, 0x08600000, True)


@pytest.mark.parametrize(
    ("platform_id", "device_os", "factory", "assets"),
    [
        (BORON, "3.0.0", (0x200000, 128 * 1024), None),
        (BORON, "3.1.0", (0x200000, 256 * 1024), None),
        (BORON, "6.2.0", (0x200000, 256 * 1024), (0x2E0000, 288 * 4096)),
        (B5SOM, "1.5.2", (0x200000, 128 * 1024), None),
        (TRACKER, "2.1.0", (0x600000, 128 * 1024), None),
        (TRACKER, "6.2.0", (0x600000, 256 * 1024), (0x400000, 512 * 4096)),
    ],
)
def test_external_flash_by_era(
    platform_id: int, device_os: str, factory: tuple[int, int], assets: tuple[int, int] | None
) -> None:
    memory_map = platform(platform_id).memory_map(device_os)
    region = memory_map.region("factory")
    assert (region.start_address, region.size_bytes) == factory
    if assets is None:
        with pytest.raises(KeyError, match="no region 'assets'"):
            memory_map.region("assets")
    else:
        assert (memory_map.region("assets").start_address, memory_map.region("assets").size_bytes) == assets


def test_dfu_addresses_and_descriptors_belong_together() -> None:
    for p in PLATFORMS:
        for alt in p.dfu_alts:
            assert f"/0x{alt.base_address:08X}/" in alt.descriptor
            sectors = [sector.split("*") for sector in alt.descriptor.rsplit("/", 1)[1].split(",")]
            assert sum(int(n) * int(size.split("K")[0]) * 1024 for n, size in sectors) == alt.size_bytes


def test_internal_flash_is_the_chips() -> None:
    for p in PLATFORMS:
        chip = FLASH_BY_FAMILY.get(p.family)
        for alt in (a for a in p.dfu_alts if chip and a.name == "internal_flash"):
            assert (alt.base_address, alt.size_bytes) == (chip.base_address, chip.size_bytes), p.name


def test_pid_rule_of_particle_usb_ids() -> None:
    with_usb = [p for p in PLATFORMS if p.usb_normal]
    assert len(with_usb) == 19
    for p in with_usb:
        assert p.usb_normal is not None
        if p.id == 0:
            assert (p.usb_normal, p.usb_dfu) == ((0x1D50, 0x607D), (0x1D50, 0x607F))
            continue
        assert p.usb_normal == (0x2B04, 0xC000 + p.id)
        assert p.usb_dfu == (None if p.family == "linux" else (0x2B04, 0xD000 + p.id))


def test_lookup_by_id_name_alias_and_usb_id() -> None:
    boron = platform(BORON)
    assert platform_by_name("boron") is boron
    assert platform_by_name("Boron") is boron
    assert platform_by_name("b") is boron
    assert platform_by_name("photon2") is platform(P2)
    assert platform_by_usb_id(0x2B04, 0xC00D) == (boron, UsbMode.NORMAL)
    assert platform_by_usb_id(0x2B04, 0xD00D) == (boron, UsbMode.DFU)
    assert str(UsbMode.DFU) == "dfu"


def test_lookup_of_unknown_things_gives_none() -> None:
    assert platform_by_id(60000) is None
    assert platform_by_name("nosuch") is None
    assert platform_by_usb_id(0x2B04, 0xFFFF) is None
    assert platform_by_usb_id(0x0403, 0xC00D) is None
    assert platform(BORON).slot_for(ModuleFunction.SETTINGS, 0) is None
    assert platform(3).module_slots == ()


def test_no_map_and_bad_version_are_errors() -> None:
    linux = platform(43)
    with pytest.raises(ValueError, match="linux has no memory map"):
        linux.memory_map("6.2.0")
    with pytest.raises(ValueError, match="no Device OS version"):
        platform(BORON).memory_map("newest")


def test_names_and_aliases_are_unique() -> None:
    words = [word for p in PLATFORMS for word in (p.name, *p.aliases)]
    assert len(words) == len(set(words))


def test_importing_the_catalogue_loads_no_input_or_output() -> None:
    code = (
        "import sys, typing, enum; before = set(sys.modules)\n"
        "import particle_dev.catalog.platforms\n"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('particle_dev')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() in ([], ["__future__"])
