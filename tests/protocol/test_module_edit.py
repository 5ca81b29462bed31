"""Changes to existing modules."""

import struct
from dataclasses import replace

import pytest

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import Dependency, ExtensionType, Product, parse
from particle_dev.protocol.module_build import ModuleParts, Suffix, Tlv, build, product_data, take_apart
from particle_dev.protocol.module_edit import (
    add_extensions,
    combine,
    protect_bootloader,
    remove_extensions,
    set_product,
    split,
)

BORON, P2, PHOTON = 13, 32, 6
SYSTEM_5500 = (Dependency(ModuleFunction.SYSTEM_PART, 1, 5500),)
BORON_APP = build(
    ModuleParts(ModuleFunction.USER_PART, 2, 6, BORON, 0xB4000, bytes(range(200)), dependencies=SYSTEM_5500)
)
RTL_SUFFIX = Suffix(
    (Tlv(ExtensionType.DYNAMIC_LOCATION, struct.pack("<III", 0x085F0000, 1, 2)), product_data(Product(32, 3))), b""
)
P2_APP = build(ModuleParts(ModuleFunction.USER_PART, 1, 6, P2, 0x085F0000, bytes(0x10000 - 90), RTL_SUFFIX))
SYSTEM_PART = build(
    ModuleParts(
        ModuleFunction.SYSTEM_PART, 1, 5500, BORON, 0x30000, b"x" * 99, head=bytes.fromhex("00f00320").ljust(512)
    )
)
SOFTDEVICE = build(
    ModuleParts(
        ModuleFunction.RADIO_STACK, 0, 202, BORON, 0x1000, b"y" * 99, Suffix(raw_product=b""),
        flags=ModuleFlag.DROP_MODULE_INFO,
    )
)  # fmt: skip


def bootloader(version=3001, platform=BORON):
    head = bytes.fromhex("00f00320").ljust(512)
    return build(ModuleParts(ModuleFunction.BOOTLOADER, 0, version, platform, 0xF4000, bytes(300), head=head))


def error_of(function, *arguments):
    with pytest.raises(ModuleFormatError) as caught:
        function(*arguments)
    return caught.value


def test_set_product_changes_nothing_else():
    changed = set_product(BORON_APP, Product(1234, 7))
    assert parse(changed).ok
    assert parse(changed).product == Product(1234, 7)
    assert changed[:-44] == BORON_APP[:-44]
    assert len(changed) == len(BORON_APP)
    assert set_product(changed, Product(0xFFFF, 0xFFFF)) == BORON_APP


def test_set_product_in_a_tlv():
    changed = set_product(P2_APP, Product(99, 8))
    assert parse(changed).ok
    assert parse(changed).product == Product(99, 8)
    assert changed[:-44] == P2_APP[:-44]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (SYSTEM_PART, "not_application"),
        (build(replace(take_apart(BORON_APP), suffix=Suffix(raw_product=b""))), "no_product_data"),
        (build(replace(take_apart(BORON_APP), suffix=None, body=bytes(200))), "no_product_data"),
        (build(replace(take_apart(BORON_APP), flags=ModuleFlag.COMPRESSED)), "compressed"),
        (build(replace(take_apart(BORON_APP), flags=ModuleFlag.COMBINED)), "combined"),
        (BORON_APP[:-1], "not_intact"),
    ],
)
def test_set_product_refuses(data, code):
    assert error_of(set_product, data, Product(1, 1)).code == code


def test_extensions_of_a_legacy_suffix_stand_before_product_data_and_end():
    added = add_extensions(BORON_APP, [Tlv(0x11, b"one"), Tlv(0x11, b"two")])
    module = parse(added)
    assert module.ok
    assert [e.payload for e in module.extensions] == [b"one", b"two"]
    assert module.suffix_size_bytes == 40 + 14 + 4
    assert (module.start_address, module.end_address) == (0xB4000, 0xB4000 + len(BORON_APP) - 4 + 18)
    assert remove_extensions(added, [0x11]) == BORON_APP


@pytest.mark.parametrize("name", ["BORON_APP", "P2_APP", "SOFTDEVICE"])
def test_adding_no_extension_changes_nothing(name):
    data = globals()[name]
    assert add_extensions(data, []) == data
    added = add_extensions(data, [Tlv(0x11, b"name")])
    assert add_extensions(added, [], replace_same_type=False) == added


def test_new_extensions_come_first_and_replace_their_like():
    first = add_extensions(BORON_APP, [Tlv(0x11, b"name"), Tlv(0x15, b"keep")])
    second = add_extensions(first, [Tlv(0x11, b"newer")])
    assert [(e.type, e.payload) for e in parse(second).extensions] == [(0x11, b"newer"), (0x15, b"keep")]
    third = add_extensions(second, [Tlv(0x11, b"more")], replace_same_type=False)
    assert [e.payload for e in parse(third).extensions] == [b"more", b"newer", b"keep"]


@pytest.mark.parametrize("size", range(8))
def test_an_rtl_application_grows_down_to_a_multiple_of_eight(size):
    added = add_extensions(P2_APP, [Tlv(ExtensionType.NAME, bytes(size))])
    module, before = parse(added), parse(P2_APP)
    assert module.ok
    assert module.end_address == before.end_address
    assert module.start_address % 8 == 0
    assert module.start_address + len(added) - 4 == module.end_address
    located = [e.payload[:4] for e in module.extensions if e.type == ExtensionType.DYNAMIC_LOCATION]
    assert located == [module.start_address.to_bytes(4, "little")]
    assert ModuleFlag.PREFIX_EXTENSIONS in module.flags
    twice = add_extensions(added, [Tlv(0x12, b"2")])
    assert [e.type for e in parse(twice).extensions] == [ExtensionType.NAME, 0x12, 2, 1]
    assert remove_extensions(twice, [ExtensionType.NAME, 0x12]) == P2_APP


def test_a_suffix_without_product_data_gets_it_with_its_first_extension():
    module = parse(add_extensions(SOFTDEVICE, [Tlv(0x11, b"n")]))
    assert module.ok
    assert module.suffix_size_bytes == 36 + 5 + 4 + 4


def test_extensions_are_refused_where_they_do_not_fit():
    wide = build(replace(take_apart(BORON_APP), suffix=Suffix(raw_product=bytes(6))))
    assert error_of(add_extensions, wide, [Tlv(0x11)]).code == "product_u32"
    assert (
        error_of(add_extensions, build(replace(take_apart(BORON_APP), suffix=None, body=bytes(200))), [Tlv(0x11)]).code
        == "no_suffix"
    )
    full = build(replace(take_apart(BORON_APP), body=bytes(262144 - 24 - 44)))
    assert error_of(add_extensions, full, [Tlv(0x11)]).code == "too_large"
    too_many = [Tlv(0x12, bytes(300))] * 220
    assert error_of(add_extensions, BORON_APP, too_many).code == "too_large"
    with pytest.raises(ValueError):
        remove_extensions(P2_APP, [ExtensionType.PRODUCT_DATA])


@pytest.mark.parametrize(("certificate", "size"), [(b"", 49), (bytes(300), 349)])
def test_a_protected_bootloader(certificate, size):
    protected = protect_bootloader(bootloader(), certificate)
    module = parse(protected)
    assert module.ok
    assert module.suffix_size_bytes == size
    assert protected[-4 - size :].startswith(struct.pack("<HHB", 0x13, 5 + len(certificate), 1) + certificate)
    assert protect_bootloader(protected, certificate) == protected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (BORON_APP, "not_bootloader"),
        (bootloader(version=2999), "not_protectable"),
        (bootloader(platform=PHOTON), "not_protectable"),
    ],
)
def test_other_modules_cannot_protect(data, code):
    assert error_of(protect_bootloader, data).code == code


def test_combined_modules_come_apart_as_they_were():
    combined = combine([SYSTEM_PART, BORON_APP])
    first = parse(combined)
    assert first.flags == ModuleFlag.COMBINED
    assert first.crc32.ok
    assert first.sha256.ok
    assert combined.endswith(BORON_APP)
    assert split(combined) == (SYSTEM_PART, BORON_APP)
    assert split(BORON_APP) == (BORON_APP,)
    assert split(combine([SOFTDEVICE, SYSTEM_PART])) == (SOFTDEVICE, SYSTEM_PART)


def test_what_cannot_be_combined():
    assert error_of(combine, [BORON_APP]).code == "too_many"
    assert error_of(combine, [BORON_APP] * 3).code == "too_many"
    assert error_of(combine, [BORON_APP, P2_APP]).code == "mixed_platforms"
    flagged = build(replace(take_apart(BORON_APP), flags=ModuleFlag.COMBINED))
    assert error_of(combine, [flagged, BORON_APP]).code == "combined"


def test_damaged_combined_files():
    combined = combine([SYSTEM_PART, BORON_APP])
    missing = error_of(split, combined[: len(SYSTEM_PART)])
    assert (missing.code, missing.offset) == ("combined_incomplete", len(SYSTEM_PART))
    cut = error_of(split, combined[:-1])
    assert (cut.code, cut.offset) == ("truncated", len(combined) - 1)
    longer = error_of(split, combined + b"\0")
    assert (longer.code, longer.offset) == ("trailing_data", len(combined))
