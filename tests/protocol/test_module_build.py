"""The construct builder and the C parser judge each other; neither knows the other's code."""

import hashlib
import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import PLATFORMS
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.extension import AssetReference, DynamicLocation, extension_value
from particle_dev.protocol.module import Dependency, Product, parse
from particle_dev.protocol.module_build import (
    HashCover,
    ModuleParts,
    Suffix,
    Tlv,
    asset_dependency,
    build,
    dynamic_location,
    end_of_extensions,
    product_data,
    take_apart,
)

FUNCTIONS = [function for function in ModuleFunction if function]
PLATFORM_IDS = [platform.id for platform in PLATFORMS]
APPLICATIONS = (ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
HEADS = {
    0: b"",
    0x20: bytes.fromhex("999996963fcc66fc"),
    0xC0: b"",
    0x10C: bytes.fromhex("00500020"),
    0x184: bytes.fromhex("00000220"),
    0x200: bytes.fromhex("00f00320"),
}


def random_tlvs(rng):
    kinds = [1, 2, 3, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x7FFF, 0xFFFE]
    return tuple(
        Tlv(rng.choice(kinds), rng.randbytes(rng.choice([0, 1, 2, 12, 36, 200]))) for _ in range(rng.randint(1, 4))
    )


def random_suffix(rng):
    hash_cover = rng.choice(list(HashCover))
    product = rng.randbytes(4) if rng.random() < 0.8 else b"\xff" * 4
    suffix = rng.choice(
        [
            None,
            Suffix(raw_product=b""),
            Suffix(raw_product=product),
            Suffix(raw_product=product + rng.randbytes(2)),
            Suffix((Tlv(2, rng.randbytes(12)), product_data(Product(rng.randrange(65536), 3))), raw_product=b""),
            Suffix((*random_tlvs(rng), product_data(Product(32, rng.randrange(65536)))), raw_product=b""),
            Suffix((*random_tlvs(rng), end_of_extensions(rng.randrange(9))), raw_product=product),
        ]
    )
    return suffix and replace(suffix, hash_cover=hash_cover, reserved=rng.choice([0, 0, rng.randrange(65536)]))


def random_dependency(rng):
    return Dependency(rng.choice(FUNCTIONS), rng.randrange(256), rng.randrange(65536))


def random_parts(rng):
    offset = rng.choice(list(HEADS))
    suffix = random_suffix(rng)
    body = rng.randbytes(rng.choice([2, 3, 50, 500]))
    flags = ModuleFlag(0)
    for flag in (ModuleFlag.DROP_MODULE_INFO, ModuleFlag.COMPRESSED, ModuleFlag.COMBINED, ModuleFlag.ENCRYPTED):
        flags |= flag if rng.random() < 0.15 else 0
    return ModuleParts(
        function=rng.choice(FUNCTIONS),
        index=rng.randrange(256),
        version=rng.randrange(65536),
        platform_id=rng.choice(PLATFORM_IDS),
        start_address=rng.choice([0, 0x30000, 0x08020000, rng.randrange(0xF0000000)]),
        body=body if suffix else body[:-2] + rng.choice([b"\0\0", b"\xff\xff"]),
        suffix=suffix,
        head=HEADS[offset].ljust(offset, b"\x5a"),
        mcu_target=rng.choice([0, 0x21, 0xFF]),
        flags=flags,
        dependencies=tuple(random_dependency(rng) for _ in range(rng.randrange(3))),
        prefix_extensions=(*random_tlvs(rng), end_of_extensions(rng.randrange(8))) if rng.random() < 0.3 else (),
    )


def expected_extensions(parts, size):
    expected = []
    areas = [(len(parts.head) + 24, parts.prefix_extensions)]
    if parts.suffix:
        areas.append((size - 4 - parts.suffix.size_bytes, parts.suffix.extensions))
    for area_start, extensions in areas:
        position = area_start
        for tlv in extensions:
            if tlv.type:
                expected.append((tlv.type, position, tlv.payload))
            position += 4 + len(tlv.payload)
    return expected


def expected_product(parts):
    if parts.function not in APPLICATIONS or not parts.suffix or parts.suffix.size_bytes < 40:
        return None
    last = parts.suffix.raw_product or parts.suffix.extensions[-1].payload[2:]
    number, version = int.from_bytes(last[:-2], "little"), int.from_bytes(last[-2:], "little")
    absent = version == 0xFFFF and number in (0xFFFF, 0xFFFFFFFF)
    return None if absent else Product(number, version)


def expected_hash(parts, data):
    if not parts.suffix:
        return None
    covered = data[: len(data) - 38]
    if parts.suffix.hash_cover is HashCover.PAYLOAD:
        tlvs = sum(4 + len(tlv.payload) for tlv in parts.prefix_extensions)
        covered = data[len(parts.head) + 24 + tlvs : len(data) - 40]
    return hashlib.sha256(covered).digest()


def assert_parser_agrees(parts, data):
    module = parse(data)
    crc = zlib.crc32(data[:-4])
    digest = expected_hash(parts, data)
    assert {
        "size": module.size_bytes,
        "file size": module.file_size_bytes,
        "prefix offset": module.prefix_offset,
        "start": module.start_address,
        "end": module.end_address,
        "mcu target": module.mcu_target,
        "flags": module.flags,
        "version": module.version,
        "platform": module.platform_id,
        "function": module.function,
        "index": module.index,
        "dependencies": module.dependencies,
        "crc": module.crc32,
        "sha256": module.sha256,
        "product": module.product,
        "suffix size": module.suffix_size_bytes,
        "extensions": [tuple(extension) for extension in module.extensions],
        "problems": [p.code for p in module.problems if not p.code.startswith("esp_")],  # no body is an image
    } == {
        "size": len(data),
        "file size": len(data),
        "prefix offset": len(parts.head),
        "start": parts.start_address,
        "end": parts.start_address + len(data) - 4,
        "mcu target": parts.mcu_target,
        "flags": parts.flags | (ModuleFlag.PREFIX_EXTENSIONS if parts.prefix_extensions else 0),
        "version": parts.version,
        "platform": parts.platform_id,
        "function": parts.function,
        "index": parts.index,
        "dependencies": parts.dependencies,
        "crc": (crc, crc),
        "sha256": digest and (digest, digest),
        "product": expected_product(parts),
        "suffix size": parts.suffix.size_bytes if parts.suffix else 0,
        "extensions": expected_extensions(parts, len(data)),
        "problems": ["combined_incomplete"] if ModuleFlag.COMBINED in parts.flags else [],
    }


def test_ten_thousand_generated_modules_are_read_as_they_were_built():
    rng = random.Random(20260101)
    kinds = set()
    for _ in range(10_000):
        parts = random_parts(rng)
        data = build(parts)
        assert_parser_agrees(parts, data)
        kinds.add((len(parts.head), parts.suffix and parts.suffix.size_bytes in (36, 40, 42, 62)))
    assert len(kinds) == len(HEADS) * 3


@given(st.randoms(use_true_random=False))
def test_taken_apart_and_built_again_it_is_the_same_file(rng):
    parts = random_parts(rng)
    data = build(parts)
    again = take_apart(data)
    assert build(again) == data
    assert replace(again, suffix=None) == replace(parts, suffix=None, body=again.body)
    assert again.suffix == parts.suffix
    assert (again.length_bytes, again.end_address) == (len(data) - 4, parts.start_address + len(data) - 4)


@pytest.mark.firmware
def test_every_real_module_is_built_again_byte_for_byte(particle_cli_firmware):
    count = 0
    for path in sorted(particle_cli_firmware.glob("particle-cli-*/**/*.bin")):
        data = path.read_bytes()
        try:
            parts = take_apart(data)
        except ModuleFormatError as error:
            assert error.code == "not_intact", path
            continue
        assert build(parts) == data, path
        count += 1
    assert count >= 62


PLAIN = ModuleParts(ModuleFunction.USER_PART, 1, 6, 13, 0xB4000, bytes(64))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 65536},
        {"index": -1},
        {"start_address": 0xFFFFFFF0},
        {"dependencies": (Dependency(ModuleFunction.SYSTEM_PART, 1, 1),) * 3},
        {"prefix_extensions": (Tlv(3, b"x"),)},
        {"flags": ModuleFlag.PREFIX_EXTENSIONS},
        {"suffix": None, "body": b"\x28\0"},
        {"suffix": Suffix((Tlv(0x14, b"\1\0"),), raw_product=b"")},
        {"suffix": Suffix((Tlv(0x11, bytes(65500)), end_of_extensions()))},
    ],
)
def test_impossible_parts_are_refused(change):
    with pytest.raises(ValueError):
        build(replace(PLAIN, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"function": 77}, "function is 77, not a ModuleFunction from 1 to 9"),
        ({"function": ModuleFunction.NONE}, "from 1 to 9"),
        ({"version": 65536}, "version is 65536, not a number from 0 to 65535"),
        ({"version": 1.5}, "version is 1.5"),
        ({"flags": 0x20}, "flags is 32, not a number from 0 to 31"),
        ({"head": bytes(5)}, "head has 5 bytes"),
        ({"head": build(PLAIN)[:24] + bytes(8), "body": bytes(32)}, "prefix of its own at 0x0"),
        ({"body": None}, "body is NoneType, not bytes"),
        ({"body": "text"}, "body is str, not bytes"),
        ({"start_address": 0xFFFFFFF0}, "end_address 0x1"),
        ({"dependencies": (Dependency(12, 1, 1),)}, r"dependencies\[0\].function is 12"),
        ({"dependencies": ((4, 1, 1),)}, r"dependencies\[0\] is \(4, 1, 1\), no Dependency"),
        ({"suffix": b""}, "suffix is b''"),
        ({"suffix": Suffix(raw_product=bytes(5))}, "raw_product has 5 bytes"),
        ({"suffix": Suffix(raw_product=None)}, "raw_product is NoneType"),
        ({"suffix": Suffix((Tlv(3, bytes(8)),), bytes(4))}, "without END"),
        ({"suffix": Suffix((end_of_extensions(), Tlv(3, bytes(8))))}, r"extensions\[0\] is END"),
        ({"suffix": Suffix((Tlv(0xFFFF),))}, r"extensions\[0\].type is 65535"),
        ({"suffix": Suffix((Tlv(3, bytes(65532)),))}, "the most is 65531"),
        ({"suffix": Suffix(hash_cover="file")}, "no HashCover"),
        ({"suffix": Suffix(reserved=-1)}, "suffix.reserved is -1"),
    ],
)
def test_refusals_name_field_value_and_range(change, message):
    with pytest.raises(ValueError, match=message):
        build(replace(PLAIN, **change))


SCALARS = st.one_of(st.integers(-2, 2**33), st.none(), st.text(max_size=2), st.binary(max_size=70))
FIELDS = st.sampled_from([*PLAIN.__dataclass_fields__])
SUFFIX_FIELDS = st.sampled_from([*Suffix.__dataclass_fields__])


@given(st.dictionaries(FIELDS, SCALARS, min_size=1), st.dictionaries(SUFFIX_FIELDS, SCALARS))
def test_whatever_is_given_is_refused_by_our_error_or_read_back(changes, suffix_changes):
    changes.setdefault("suffix", replace(Suffix(), **suffix_changes))
    parts = replace(PLAIN, **changes)
    try:
        data = build(parts)
    except ValueError as error:
        assert "module can hold" not in str(error)
        assert not isinstance(error, UnicodeError)
        return
    assert build(take_apart(data)) == data
    assert parse(data).crc32.ok


def test_extensions_by_kind_are_read_as_they_were_given():
    given_ = (dynamic_location(0xB4000, 0x1000, 0x2000), asset_dependency("logo.png", bytes(range(32))))
    module = parse(build(replace(PLAIN, suffix=Suffix((*given_, end_of_extensions())))))
    assert [extension_value(extension) for extension in module.extensions] == [
        DynamicLocation(0xB4000, 0x1000, 0x2000),
        AssetReference(0, bytes(range(32)), "logo.png"),
    ]
    for refused in (
        lambda: dynamic_location(2**32),
        lambda: asset_dependency("logo.png", b"short"),
        lambda: asset_dependency("", bytes(32)),
        lambda: product_data(Product(65536, 1)),
    ):
        with pytest.raises(ValueError):
            refused()


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: bytes([d[0] ^ 1]) + d[1:], lambda d: b""]
)
def test_only_an_intact_file_is_taken_apart(damage):
    with pytest.raises(ModuleFormatError) as caught:
        take_apart(damage(build(PLAIN)))
    assert caught.value.code == "not_intact"


def test_product_numbers_go_where_devices_read_them():
    for suffix in (Suffix(), Suffix((Tlv(3, bytes(8)), product_data(Product(1, 1))), b""), Suffix((), bytes(6))):
        data = build(replace(PLAIN, suffix=suffix.with_product(Product(8178, 13))))
        assert data[-42:-40] == b"\x0d\0"
        assert parse(data).product == Product(8178, 13)
    with pytest.raises(ValueError):
        Suffix(raw_product=b"").with_product(Product(1, 1))
    with pytest.raises(ValueError):
        Suffix().with_product(Product(70000, 1))
