"""What differs between two modules."""

from dataclasses import replace

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import Dependency, Product
from particle_dev.protocol.module_build import ModuleParts, build
from particle_dev.protocol.module_diff import diff_modules
from particle_dev.protocol.module_edit import set_product

PARTS = ModuleParts(
    ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(10_000),
    dependencies=(Dependency(ModuleFunction.SYSTEM_PART, 1, 3102),),
)  # fmt: skip
APP = build(PARTS)
CHECKSUMS = {"sha256", "crc32.stored", "crc32.computed", "suffix_sha256.stored", "suffix_sha256.computed"}


def test_equal_files():
    difference = diff_modules(APP, APP)
    assert difference.identical
    assert (difference.fields, difference.ranges) == ((), ())


def test_fields_and_ranges_with_addresses():
    other = set_product(APP, Product(1234, 7))
    difference = diff_modules(APP, other)
    assert not difference.identical
    assert {field.name for field in difference.fields} == CHECKSUMS | {"product"}
    assert [(r.region, r.offset, r.address) for r in difference.ranges] == [
        ("product id and version", len(APP) - 44, 0xB4000 + len(APP) - 44),
        ("suffix with SHA-256", len(APP) - 40 + 2, 0xB4000 + len(APP) - 38),
        ("CRC-32", len(APP) - 4, 0xB4000 + len(APP) - 4),
    ]


def test_far_apart_bytes_make_their_own_ranges():
    body = bytearray(10_000)
    body[100] = body[110] = 1
    body[4095 - 24] = body[4096 - 24] = 1
    body[9000] = 1
    ranges = diff_modules(APP, build(replace(PARTS, body=bytes(body)))).ranges
    assert [(r.offset, r.size_bytes) for r in ranges if r.region == "body"] == [(124, 11), (4095, 2), (9024, 1)]


def test_longer_files():
    longer = build(replace(PARTS, body=bytes(10_100)))
    for a, b, only_in in ((APP, longer, "B"), (longer, APP, "A")):
        tail = [r for r in diff_modules(a, b).ranges if r.only_in]
        assert {r.only_in for r in tail} == {only_in}
        assert sum(r.size_bytes for r in tail) == 100
        assert tail[0].offset == len(APP)
        assert tail[0].address == 0xB4000 + len(APP)


def test_a_changed_dependency():
    other = build(replace(PARTS, dependencies=(Dependency(ModuleFunction.SYSTEM_PART, 1, 5500),)))
    (field,) = (f for f in diff_modules(APP, other).fields if f.name == "dependencies")
    assert (field.a[0]["version"], field.b[0]["version"]) == (3102, 5500)


def test_no_module():
    with pytest.raises(ModuleFormatError):
        diff_modules(APP, b"text")
