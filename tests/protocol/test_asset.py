"""Asset modules and the room they take."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.asset import (
    Asset,
    check_asset_name,
    check_storage,
    make_asset_module,
    read_asset_module,
    storage_size_bytes,
)
from particle_dev.protocol.module import ExtensionType, parse
from particle_dev.protocol.module_build import build, take_apart

LOGO = Asset("logo.png", b"\x89PNG" + bytes(500))
STORAGE = platform_by_name("boron").assets


@given(st.binary(max_size=2000), st.booleans(), st.integers(0, 2))
def test_an_asset_comes_back(data, compressed, kind):
    asset = Asset("ünï.bin", data, kind)
    assert read_asset_module(make_asset_module(asset, compressed=compressed)) == asset


def test_the_module_is_what_a_device_expects():
    module = parse(make_asset_module(LOGO))
    assert module.ok
    assert module.function == ModuleFunction.ASSET
    assert module.flags == ModuleFlag.DROP_MODULE_INFO | ModuleFlag.COMPRESSED
    assert (module.start_address, module.end_address) == (0, module.size_bytes - 4)
    assert (module.platform_id, module.version, module.index) == (0, 0, 0)
    assert [(e.type, e.payload) for e in module.extensions] == [
        (ExtensionType.HASH, b"\0\x20" + hashlib.sha256(LOGO.data).digest()),
        (ExtensionType.NAME, b"logo.png"),
        (ExtensionType.PRODUCT_DATA, b"\xff" * 6),
    ]


def edited(change):
    parts = take_apart(make_asset_module(LOGO, compressed=False))
    return build(change(parts))


def without(kind):
    return lambda p: replace(
        p, suffix=replace(p.suffix, extensions=tuple(tlv for tlv in p.suffix.extensions if tlv.type != kind))
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda p: replace(p, body=p.body + b"!"), "asset_hash_mismatch"),
        (lambda p: replace(p, flags=ModuleFlag(0)), "bad_asset"),
        (without(ExtensionType.NAME), "bad_asset"),
        (without(ExtensionType.HASH), "bad_asset"),
        (lambda p: replace(p, function=ModuleFunction.USER_PART, platform_id=13), "not_asset"),
    ],
)
def test_modules_that_a_device_would_not_take_as_an_asset(change, code):
    with pytest.raises(ModuleFormatError) as caught:
        read_asset_module(edited(change))
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "x" * 256, "ü" * 128, "\udcff"])
def test_names_that_no_device_keeps(name):
    with pytest.raises(ModuleFormatError) as caught:
        make_asset_module(Asset(name, b""))
    assert caught.value.code == "bad_asset_name"


def test_longest_name():
    check_asset_name("x" * 255)


@pytest.mark.parametrize(("size", "blocks"), [(1, 1), (4088, 1), (4089, 2), (606_208, 149)])
def test_blocks_of_an_asset(size, blocks):
    assert storage_size_bytes(STORAGE, size) == blocks * 4096


def test_storage_limits():
    check_storage(STORAGE, [("a", 606_208)])
    with pytest.raises(ModuleFormatError) as caught:
        check_storage(STORAGE, [("a", 606_209)])
    assert caught.value.code == "asset_too_large"
    room = 4096 * (288 - 10)
    check_storage(STORAGE, [("a", 4088)] * (room // 4096))
    with pytest.raises(ModuleFormatError) as caught:
        check_storage(STORAGE, [("a", 4088)] * (room // 4096) + [("b", 1)])
    assert caught.value.code == "assets_too_large"
    assert str(room) in caught.value.message


def test_what_a_device_takes_is_the_limit_where_public_constants_promise_more():
    storage = platform_by_name("tracker").assets
    assert storage.device_max_module_bytes < storage.declared_max_module_bytes
    with pytest.raises(ModuleFormatError):
        check_storage(storage, [("a", storage.declared_max_module_bytes)])
