"""Compressed modules."""

import zlib
from dataclasses import replace

import pytest

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.compressed import compress, expand
from particle_dev.protocol.module import Product, parse
from particle_dev.protocol.module_build import (
    ModuleParts,
    Suffix,
    Tlv,
    build,
    end_of_extensions,
    product_data,
    take_apart,
)

HEAD = bytes.fromhex("00f00320").ljust(512, b"\1")
APP = build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, b"abcd" * 500))
SYSTEM_PART = build(ModuleParts(ModuleFunction.SYSTEM_PART, 1, 2101, 13, 0x30000, b"abcd" * 500, head=HEAD))
END_PADDED = (Tlv(0x12, b"x"), end_of_extensions(3))
P2_APP = build(ModuleParts(ModuleFunction.USER_PART, 1, 6, 32, 0x085F0000, b"ab" * 500, prefix_extensions=END_PADDED))
ASSET = build(
    ModuleParts(
        ModuleFunction.ASSET, 0, 0, 0, 0, b"data" * 100, Suffix((product_data(Product(0xFFFF, 0xFFFF)),), b""),
        flags=ModuleFlag.DROP_MODULE_INFO,
    )
)  # fmt: skip


def packed(body, data=APP):
    """A compressed module with this header and stream."""
    return build(replace(take_apart(data), body=body, head=b"", flags=take_apart(data).flags | ModuleFlag.COMPRESSED))


def stream(data, size=None, header_size=8, method=0, window=0):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    header = (
        header_size.to_bytes(2, "little")
        + bytes([method, window])
        + (len(data) if size is None else size).to_bytes(4, "little")
    )
    return header.ljust(header_size, b"\xaa") + deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize("data", [APP, SYSTEM_PART, P2_APP, ASSET])
def test_what_is_compressed_comes_back(data):
    small = compress(data)
    before, after = parse(data), parse(small)
    assert after.ok
    assert len(small) < len(data)
    assert after.prefix_offset == 0
    assert after.flags == before.flags | ModuleFlag.COMPRESSED
    assert after.start_address == before.start_address
    for field in ("function", "index", "version", "platform_id", "dependencies", "product"):
        assert getattr(after, field) == getattr(before, field)
    assert expand(small) == data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (compress(APP), "compressed"),
        (build(replace(take_apart(APP), flags=ModuleFlag.COMBINED)), "combined"),
        (build(replace(take_apart(APP), function=ModuleFunction.BOOTLOADER)), "not_compressible"),
        (build(replace(take_apart(APP), platform_id=6)), "not_compressible"),
        (build(replace(take_apart(P2_APP), platform_id=13)), "not_compressible"),
        (build(replace(take_apart(SYSTEM_PART), flags=ModuleFlag.DROP_MODULE_INFO)), "not_compressible"),
    ],
)
def test_what_no_device_expands_is_not_compressed(data, code):
    with pytest.raises(ModuleFormatError) as caught:
        compress(data)
    assert caught.value.code == code


def test_headers_of_the_future_and_bytes_after_the_stream_are_skipped():
    assert expand(packed(stream(APP, header_size=20))) == APP
    assert expand(packed(stream(APP, window=8))) == APP
    assert expand(packed(stream(APP) + b"tail")) == APP


@pytest.mark.parametrize(
    "body",
    [
        b"\x08\0\0",
        stream(APP, method=1),
        stream(APP, window=7),
        stream(APP, window=16),
        b"\x07\0" + stream(APP)[2:],
        stream(APP, size=len(APP) - 1),
        stream(APP, size=len(APP) + 1),
        stream(APP, size=0),
        stream(APP)[:-5],
        stream(b"")[:8] + b"\xff" * 40,
    ],
)
def test_damaged_streams(body):
    with pytest.raises(ModuleFormatError) as caught:
        expand(packed(body))
    assert caught.value.code == "bad_compression"


def test_a_small_stream_cannot_fill_the_memory():
    bomb = stream(bytes(50_000_000), size=1000)
    with pytest.raises(ModuleFormatError) as caught:
        expand(packed(bomb))
    assert caught.value.code == "bad_compression"


def test_what_comes_out_must_be_an_intact_module():
    damaged = APP[:100] + b"?" + APP[101:]
    with pytest.raises(ModuleFormatError) as caught:
        expand(packed(stream(damaged)))
    assert caught.value.code == "crc_mismatch"


@pytest.mark.parametrize(("data", "code"), [(APP, "not_compressed"), (packed(stream(APP))[:-1], "not_intact")])
def test_what_cannot_be_expanded(data, code):
    with pytest.raises(ModuleFormatError) as caught:
        expand(data)
    assert caught.value.code == code
