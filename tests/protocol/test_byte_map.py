"""The layout of modules as regions."""

import random
from itertools import pairwise

import pytest

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.asset import Asset, make_asset_module
from particle_dev.protocol.byte_map import RegionKind, byte_map
from particle_dev.protocol.module import Product, parse
from particle_dev.protocol.module_build import ModuleParts, Suffix, Tlv, build, end_of_extensions, product_data

STACK = bytes.fromhex("00f00320")
FULL = build(
    ModuleParts(
        ModuleFunction.SYSTEM_PART, 1, 2101, 13, 0x30000, bytes(1000),
        Suffix((Tlv(0x13, b"\1"), end_of_extensions())),
        head=STACK.ljust(0x200),
        prefix_extensions=(Tlv(0x11, b"name"), end_of_extensions(3)),
    )
)  # fmt: skip


def regions(data):
    return byte_map(parse(data), data)


def test_every_region_of_a_module():
    size = len(FULL)
    assert [(r.kind, r.label, r.offset, r.size_bytes, r.address) for r in regions(FULL + b"\xff" * 9)] == [
        (RegionKind.HEAD, "vector table", 0, 0x200, 0x30000),
        (RegionKind.PREFIX, "prefix", 0x200, 24, 0x30200),
        (RegionKind.EXTENSION, "extension NAME", 0x218, 8, 0x30218),
        (RegionKind.EXTENSION, "END of extensions", 0x220, 7, 0x30220),
        (RegionKind.BODY, "body", 0x227, 1000, 0x30227),
        (RegionKind.EXTENSION, "extension SECURITY_MODE", 0x60F, 5, 0x3060F),
        (RegionKind.EXTENSION, "END of extensions", 0x614, 4, 0x30614),
        (RegionKind.PRODUCT, "suffix data", 0x618, 4, 0x30618),
        (RegionKind.SUFFIX, "suffix with SHA-256", 0x61C, 36, 0x3061C),
        (RegionKind.CRC, "CRC-32", 0x640, 4, 0x30640),
        (RegionKind.TRAILING, "behind the module", size, 9, None),
    ]


def test_addresses_where_bytes_do_not_go_as_they_are():
    flags = ModuleFlag.DROP_MODULE_INFO
    dropped = build(ModuleParts(ModuleFunction.RADIO_STACK, 0, 202, 13, 0x1000, bytes(9), flags=flags))
    assert [r.address for r in regions(dropped)][:2] == [None, 0x1000]
    assert {r.address for r in regions(make_asset_module(Asset("a", bytes(99))))} == {None}


def test_compressed_and_rtl_modules():
    labels = [r.label for r in regions(make_asset_module(Asset("a", bytes(99))))]
    assert labels[1:3] == ["compression header", "compressed data"]
    vendor = bytes.fromhex("999996963fcc66fc").ljust(32)
    suffix = Suffix((Tlv(2, bytes(12)), product_data(Product(1, 1))), b"")
    rtl = build(ModuleParts(ModuleFunction.BOOTLOADER, 0, 9, 32, 0x08004000, bytes(9), suffix, head=vendor))
    assert [r.label for r in regions(rtl)] == [
        "vendor header", "prefix", "body", "extension DYNAMIC_LOCATION", "extension PRODUCT_DATA",
        "suffix with SHA-256", "CRC-32",
    ]  # fmt: skip


def test_a_module_without_suffix():
    bare = build(ModuleParts(ModuleFunction.USER_PART, 1, 1, 13, 0xD4000, bytes(4), None))
    assert [r.label for r in regions(bare)] == ["prefix", "body", "CRC-32"]


def assert_covers(data):
    found = regions(data)
    assert found[0].offset == 0
    assert found[-1].offset + found[-1].size_bytes == len(data)
    assert all(a.offset + a.size_bytes == b.offset for a, b in pairwise(found))
    assert all(r.size_bytes > 0 for r in found)


def test_damage_leaves_no_gap():
    rng = random.Random(3)
    checked = 0
    for _ in range(3000):
        data = bytearray(FULL)
        for _ in range(rng.randint(1, 4)):
            data[rng.choice([*range(0x200, 0x230), *range(0x600, len(data))])] = rng.randrange(256)
        try:
            parse(data)
        except ModuleFormatError:
            continue
        assert_covers(bytes(data))
        checked += 1
    assert checked > 500


@pytest.mark.firmware
def test_real_modules_are_covered(particle_cli_firmware):
    for path in particle_cli_firmware.glob("particle-cli-*/**/*.bin"):
        data = path.read_bytes()
        try:
            parse(data)
        except ModuleFormatError:
            continue
        assert_covers(data)
