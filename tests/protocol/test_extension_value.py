"""Typed TLVs."""

import pytest

from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.extension import (
    AssetName,
    AssetReference,
    AssetType,
    DynamicLocation,
    ExtraDependency,
    Hash,
    SecurityMode,
    extension_value,
)
from particle_dev.protocol.module import Extension, ExtensionType, Product


@pytest.mark.parametrize(
    ("kind", "payload", "value"),
    [
        (ExtensionType.PRODUCT_DATA, b"\xff\xff\x20\x00\x04\x00", Product(32, 4)),
        (ExtensionType.DYNAMIC_LOCATION, bytes(range(12)), DynamicLocation(0x03020100, 0x07060504, 0x0B0A0908)),
        (ExtensionType.DEPENDENCY, b"\x07\x01\xb8\x0b\x21\0\0\0", ExtraDependency(7, 1, 3000, 0x21)),
        (ExtensionType.DEPENDENCY, b"\xfe\x01\0\0\0\0\0\0", ExtraDependency(254, 1, 0, 0)),
        (ExtensionType.HASH, b"\x00\x02ab", Hash(0, b"ab")),
        (ExtensionType.NAME, "café.png".encode(), AssetName("café.png")),
        (ExtensionType.NAME, b"a\xff", AssetName("a\ufffd")),
        (ExtensionType.ASSET_DEPENDENCY, b"\x00\x02abname", AssetReference(0, b"ab", "name")),
        (ExtensionType.SECURITY_MODE, b"\x01", SecurityMode(1, b"")),
        (ExtensionType.SECURITY_MODE, b"\x01DER", SecurityMode(1, b"DER")),
        (ExtensionType.ASSET_TYPE, b"\x02\x00", AssetType(2)),
        (0x0777, b"anything", None),
    ],
)
def test_values(kind, payload, value):
    assert extension_value(Extension(kind, 100, payload)) == value


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(1, bytes(5)), (2, bytes(11)), (3, bytes(7)), (0x10, b"\0"), (0x10, b"\0\x03ab"), (0x12, b"\0\x01"), (0x13, b"")],
)
def test_too_short_for_the_type(kind, payload):
    with pytest.raises(ModuleFormatError) as caught:
        extension_value(Extension(kind, 100, payload))
    assert (caught.value.code, caught.value.offset) == ("bad_extension", 100)
