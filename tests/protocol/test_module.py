"""Synthetic modules, built here with struct so that builder and C parser cannot share a mistake."""

import hashlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev._native import ffi, lib
from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import (
    Dependency,
    ExtensionType,
    Product,
    describe,
    parse,
    verify,
)

BODY = bytes(range(256)) * 2
SYSTEM_PART, USER_PART, RADIO_STACK, ASSET = 4, 5, 8, 9
VECTOR_TABLE = {0: b"", 0x10C: b"\x00\x50\x00\x20", 0x184: b"\x00\x00\x02\x20", 0x200: b"\x00\xf0\x03\x20"}


def seal(module: bytes) -> bytes:
    return module + struct.pack(">I", zlib.crc32(module))


def tlv(kind: int, payload: bytes) -> bytes:
    return struct.pack("<HH", kind, 4 + len(payload)) + payload


END = tlv(0, b"")


def build(
    *,
    function=USER_PART,
    index=1,
    version=6,
    platform=13,
    flags=0,
    start=0xB4000,
    prefix_offset=0,
    dependencies=((4, 1, 1502), (0, 0, 0)),
    prefix_tlvs=b"",
    suffix_extra=b"\x0d\x00\x03\x00",
    suffix_size=None,
    sha256_of="whole",
    body=BODY,
):
    head = VECTOR_TABLE[prefix_offset].ljust(prefix_offset, b"\x55")
    length = prefix_offset + 24 + len(prefix_tlvs) + len(body) + len(suffix_extra) + 36
    prefix = struct.pack("<IIBBHHBB", start, start + length, 0, flags, version, platform, function, index)
    prefix += b"".join(struct.pack("<BBH", *d) for d in dependencies)
    content = head + prefix + prefix_tlvs + body + suffix_extra
    hashed = {"whole": content + b"\0\0", "payload": body, "nothing": b"?"}[sha256_of]
    size = 36 + len(suffix_extra) if suffix_size is None else suffix_size
    return seal(content + b"\0\0" + hashlib.sha256(hashed).digest() + struct.pack("<H", size))


def codes(data):
    return [problem.code for problem in parse(data).problems]


def test_every_field():
    data = build(function=SYSTEM_PART, version=2101, start=0x30000, prefix_offset=0x200)
    module = parse(data)
    assert module.ok
    assert (module.size_bytes, module.file_size_bytes) == (len(data), len(data))
    assert (module.start_address, module.end_address) == (0x30000, 0x30000 + len(data) - 4)
    assert (module.prefix_offset, module.payload_offset) == (0x200, 0)
    assert (module.function, module.index, module.version) == (ModuleFunction.SYSTEM_PART, 1, 2101)
    assert (module.platform_id, module.mcu_target, module.flags) == (13, 0, ModuleFlag(0))
    assert module.dependencies == (Dependency(ModuleFunction.SYSTEM_PART, 1, 1502),)
    assert module.crc32.stored == module.crc32.computed == zlib.crc32(data[:-4])
    assert module.sha256.stored == hashlib.sha256(data[:-38]).digest()
    assert module.suffix_size_bytes == 40
    assert module.extensions == ()
    verify(module)


@pytest.mark.parametrize("prefix_offset", VECTOR_TABLE)
def test_finds_the_prefix_behind_a_vector_table(prefix_offset):
    module = parse(build(prefix_offset=prefix_offset))
    assert module.ok
    assert module.prefix_offset == prefix_offset


def test_takes_memoryview_and_leaves_it_usable():
    data = bytearray(build())
    view = memoryview(data)
    assert parse(view) == parse(bytes(data))
    view.release()
    data.append(0)


def test_dependencies_keep_their_order():
    module = parse(build(dependencies=((2, 0, 1005), (8, 0, 202))))
    assert [d.function for d in module.dependencies] == [
        ModuleFunction.BOOTLOADER,
        ModuleFunction.RADIO_STACK,
    ]
    assert parse(build(dependencies=((0, 0, 0), (0, 0, 0)))).dependencies == ()


@pytest.mark.parametrize(
    ("function", "raw", "product"),
    [
        (USER_PART, (8178, 13), Product(8178, 13)),
        (3, (0, 3), Product(0, 3)),
        (USER_PART, (0xFFFF, 0xFFFF), None),
        (SYSTEM_PART, (0, 0), None),
        (2, (13, 3), None),
    ],
)
def test_product_belongs_to_applications_only(function, raw, product):
    assert parse(build(function=function, suffix_extra=struct.pack("<HH", *raw))).product == product


def test_product_of_the_other_suffix_layouts():
    assert parse(build(suffix_extra=b"")).product is None
    assert parse(build(suffix_extra=struct.pack("<IH", 70000, 2))).product == Product(70000, 2)
    assert parse(build(suffix_extra=struct.pack("<IH", 0xFFFFFFFF, 0xFFFF))).product is None
    rtl = tlv(2, bytes(12)) + tlv(1, struct.pack("<HHH", 0xFFFF, 32, 4))
    assert parse(build(suffix_extra=rtl, platform=32)).product == Product(32, 4)


def test_extensions_of_prefix_and_suffix():
    data = build(
        flags=ModuleFlag.PREFIX_EXTENSIONS,
        prefix_tlvs=tlv(0x11, b"logo.png") + tlv(0, b"\0\0"),
        suffix_extra=tlv(0x13, b"\x01") + END + struct.pack("<HH", 13, 3),
    )
    module = parse(data)
    assert module.ok
    assert [(e.type, e.offset, e.length_bytes, e.payload) for e in module.extensions] == [
        (ExtensionType.NAME, 24, 12, b"logo.png"),
        (ExtensionType.SECURITY_MODE, len(data) - 4 - 49, 5, b"\x01"),
    ]
    assert module.suffix_size_bytes == 49
    assert module.product == Product(13, 3)


def test_payload_hash_of_packed_modules():
    data = build(
        function=RADIO_STACK,
        index=0,
        flags=ModuleFlag.DROP_MODULE_INFO,
        start=0x1000,
        suffix_extra=b"",
        sha256_of="payload",
    )
    module = parse(data)
    assert module.ok
    assert module.payload_offset == 24
    assert module.sha256.computed == hashlib.sha256(BODY).digest()


@pytest.mark.parametrize(("suffix_extra", "covered"), [(b"", slice(24, -40)), (bytes(4), slice(0, -38))])
def test_computed_hash_is_of_the_form_that_applies(suffix_extra, covered):
    data = build(suffix_extra=suffix_extra, sha256_of="nothing")
    module = parse(data)
    assert module.sha256.computed == hashlib.sha256(data[covered]).digest()
    assert [(p.code, p.offset) for p in module.problems] == [("sha256_mismatch", len(data) - 38)]


@pytest.mark.parametrize("flags", [ModuleFlag.DROP_MODULE_INFO | ModuleFlag.COMPRESSED, ModuleFlag.COMPRESSED])
def test_payload_offset_only_for_exactly_the_drop_flag(flags):
    assert parse(build(flags=flags)).payload_offset == 0


@pytest.mark.parametrize("size", [0, 0xFFFF])
def test_no_suffix(size):
    module = parse(build(suffix_size=size))
    assert module.ok
    assert module.sha256 is None
    assert module.product is None
    assert module.suffix_size_bytes == 0


@pytest.mark.parametrize(
    ("data", "code", "offset"),
    [
        (build(suffix_size=35), "bad_suffix", -6),
        (build(suffix_size=len(BODY) + 42), "bad_suffix", -6),
        (build(suffix_extra=tlv(0x11, b"name") + b"\x11\0\x03\0"), "bad_extension", -44),
        (build(flags=0x10, prefix_tlvs=tlv(0x11, b"ab") + b"\xff\xff\xff\xff"), "bad_extension", 30),
        (build(platform=999), "unknown_platform", 12),
        (build(flags=ModuleFlag.COMBINED), "combined_incomplete", 0),
    ],
)
def test_problem_codes_and_offsets(data, code, offset):
    (problem,) = parse(data).problems
    assert problem.code == code
    assert problem.offset == (offset if offset > 0 else len(data) + offset)
    assert problem.message.endswith(".")


@pytest.mark.parametrize(
    ("flags", "extra", "word"),
    [
        (0, b"\xff" * 100, "100 bytes of padding"),
        (0, b"\0", "1 bytes of padding"),
        (0, b"\xff\x00", "2 bytes that are no module follow."),
        (ModuleFlag.COMBINED, b"\xff\x00", "2 bytes that are no module follow."),
        (ModuleFlag.COMBINED, build(), "Another module follows."),
        (0, build(), "Another module follows."),
        (0, build()[:40], "Another module follows."),
    ],
)
def test_trailing_data_is_named_but_the_module_is_still_checked(flags, extra, word):
    data = build(flags=flags)
    module = parse(data + extra)
    (problem,) = module.problems
    assert (problem.code, problem.offset) == ("trailing_data", len(data))
    assert word in problem.message
    assert module.crc32.ok
    assert module.sha256.ok
    assert (module.size_bytes, module.file_size_bytes) == (len(data), len(data) + len(extra))


def test_assets_fit_every_platform():
    suffix = tlv(0x10, b"\0\x20" + hashlib.sha256(BODY).digest()) + tlv(0x11, b"a.bin")
    suffix += tlv(1, b"\xff" * 6)
    module = parse(build(function=ASSET, index=0, platform=0, start=0, flags=1, suffix_extra=suffix))
    assert module.ok
    assert [e.type for e in module.extensions] == [0x10, 0x11, 1]


@pytest.mark.parametrize("data", [b"\x00", b"\xff" * 4096, bytes(4096), b"PK\x03\x04 not a module" * 100])
def test_no_module(data):
    with pytest.raises(ModuleFormatError) as caught:
        parse(data)
    assert caught.value.code == "no_prefix"
    assert caught.value.hint


def test_empty():
    with pytest.raises(ModuleFormatError) as caught:
        parse(b"")
    assert caught.value.code == "empty"


@pytest.mark.parametrize("prefix_offset", [0, 0x200])
def test_every_truncation_is_refused(prefix_offset):
    data = build(prefix_offset=prefix_offset)
    for size in range(len(data)):
        with pytest.raises(ModuleFormatError) as caught:
            parse(data[:size])
        expected = "truncated" if size >= prefix_offset + 24 else "no_prefix" if size else "empty"
        assert caught.value.code == expected
        if expected == "truncated":
            assert caught.value.offset == size
            assert str(len(data)) in caught.value.message


def test_damage_is_reported_with_offset_not_as_no_module():
    data = bytearray(build(prefix_offset=0x200))
    data[0x300] ^= 0x10
    module = parse(data)
    assert [(p.code, p.offset) for p in module.problems] == [
        ("crc_mismatch", len(data) - 4),
        ("sha256_mismatch", len(data) - 38),
    ]
    with pytest.raises(ModuleFormatError, match=r"^app\.bin: .*CRC-32.*fresh download") as caught:
        verify(module, file="app.bin")
    assert (caught.value.code, caught.value.file, caught.value.offset) == (
        "crc_mismatch",
        "app.bin",
        len(data) - 4,
    )


def test_a_second_prefix_inside_the_body_is_ignored():
    legacy = build(function=SYSTEM_PART, start=0x30000)
    module = parse(build(function=SYSTEM_PART, start=0x28000, prefix_offset=0x200, body=legacy))
    assert module.ok
    assert module.start_address == 0x28000


@given(st.binary(max_size=700))
def test_arbitrary_bytes_never_crash(data):
    description = describe(data, file="x")
    assert description["problems"]


@given(st.data())
def test_every_change_is_noticed(data):
    original = build(flags=0x10, prefix_tlvs=tlv(0x11, b"ab") + END, suffix_extra=tlv(2, bytes(12)) + tlv(1, bytes(6)))
    changed = bytearray(original)
    offset = data.draw(st.integers(0, len(original) - 1))
    changed[offset : offset + 4] = data.draw(st.binary(min_size=1, max_size=4))
    if changed != original:
        assert describe(bytes(changed), file="x")["problems"]


def test_python_and_c_choose_the_same_candidate():
    for data in (
        build(),
        build(prefix_offset=0x184),
        build(prefix_offset=0x200) + b"\0",
        build()[:-1] + b"\0",
    ):
        raw = ffi.new("pd_module *")
        source = ffi.new("pd_source *", (ffi.from_buffer("uint8_t[]", data), len(data)))
        status = lib.pd_module_parse(source, ffi.NULL, raw)
        module = parse(data)
        assert status == (lib.PD_OK if module.crc32.ok else lib.PD_ERR_CRC)
        assert (raw.prefix_offset, raw.crc_stored) == (module.prefix_offset, module.crc32.stored)


def test_describe_a_module():
    description = describe(build(flags=ModuleFlag.DROP_MODULE_INFO), file="app.bin")
    assert description["kind"] == "user part"
    assert description["platform"] == {"id": 13, "name": "boron"}
    assert description["flags"] == ["DROP_MODULE_INFO"]
    assert description["dependencies"] == [{"function": 4, "index": 1, "version": 1502}]
    assert description["product"] == {"id": 13, "version": 3}
    assert description["problems"] == []


def test_describe_a_module_cut_short_says_what_its_prefix_says():
    whole = describe(build(), file="x")
    cut = describe(build()[:60], file="x")
    told = ("kind", "platform", "module_offset", "prefix_offset", "function", "index", "version")
    told += ("start_address", "end_address", "flags", "dependencies")
    assert {key: cut[key] for key in told} == {key: whole[key] for key in told}
    assert [cut[key] for key in ("crc32", "suffix_sha256", "product", "extensions")] == [None] * 4
    assert [(p["code"], p["offset"]) for p in cut["problems"]] == [("truncated", 60)]


def test_offsets_of_a_description_count_from_the_start_of_the_file():
    data = build(prefix_offset=0x200, suffix_extra=tlv(0x777, b"hi") + END + bytes(4))
    data = data[:-1] + bytes([data[-1] ^ 1])
    alone, inside = describe(data, file="x"), describe(data, file="x", offset=1000)
    assert (alone["module_offset"], inside["module_offset"]) == (0, 1000)
    assert inside["prefix_offset"] == alone["prefix_offset"] + 1000 == 0x200 + 1000
    assert inside["extensions"][0]["offset"] == alone["extensions"][0]["offset"] + 1000
    assert inside["problems"][0]["offset"] == alone["problems"][0]["offset"] + 1000
    assert describe(data[:-9], file="x", offset=1000)["problems"][0]["offset"] == len(data) - 9 + 1000


def test_describe_unknown_platform_and_extension():
    description = describe(build(platform=999, suffix_extra=tlv(0x777, b"hi") + END + bytes(4)), file="x")
    assert description["platform"] == {"id": 999, "name": None}
    (extension,) = description["extensions"]
    assert (extension["type"], extension["name"], extension["payload"]) == (0x777, None, b"hi".hex())


def test_modules_are_values():
    module = parse(build())
    assert module == parse(build())
    assert module._replace(version=7) != module
