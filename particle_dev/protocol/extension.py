"""TLV extensions of a module in typed form, read by the C library.

Source: device-os v6.2.0 ``dynalib/inc/module_info.h``; ASSET_TYPE: binary-version-reader 4 ``lib/ModuleInfo.js``.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from particle_dev._native import ffi, lib
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import Extension, ExtensionType, Product


class DynamicLocation(NamedTuple):
    """Where an RTL872x module and its function table lie; zeros in its bootloader."""

    start_address: int
    dynalib_load_address: int
    dynalib_start_address: int


class ExtraDependency(NamedTuple):
    """A third dependency, which Device OS never evaluates; ``target_id`` is an MCU."""

    function: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    version: int
    target_id: int


class Hash(NamedTuple):
    """Hash of an asset's raw data; type 0 is SHA-256."""

    hash_type: int
    hash: bytes


class AssetName(NamedTuple):
    """Name of an asset."""

    name: str


class AssetReference(NamedTuple):
    """An asset that an application wants."""

    hash_type: int
    hash: bytes
    name: str


class SecurityMode(NamedTuple):
    """0 none, 1 protected; the DER certificate is empty in public bootloaders."""

    mode: int
    certificate: bytes


class AssetType(NamedTuple):
    """0 default, 1 environment variables of an application, 2 a snapshot of them."""

    asset_type: int


ExtensionValue: TypeAlias = (
    Product | DynamicLocation | ExtraDependency | Hash | AssetName | AssetReference | SecurityMode | AssetType
)


def extension_value(extension: Extension) -> ExtensionValue | None:
    """What the payload says, None for a type that is not known. Names that are no UTF-8 get replacement characters.

    Raises ModuleFormatError ``bad_extension`` when the payload is too short for its type.
    """
    data = bytes(lib.PD_EXTENSION_HEADER_SIZE) + extension.payload
    source = ffi.new("pd_source *", (ffi.from_buffer("uint8_t[]", data), len(data)))
    raw = ffi.new("pd_extension *", (extension.type, 0, len(data)))
    value = ffi.new("pd_extension_value *")
    if lib.pd_extension_read(source, raw, value) != lib.PD_OK:
        message = f"The extension of type 0x{extension.type:04X} is too short: {len(data)} bytes."
        raise ModuleFormatError(message, code="bad_extension", offset=extension.offset, hint="build the module anew")

    def taken(field: Any) -> bytes:
        return data[field.offset : field.offset + field.size]

    match extension.type:
        case ExtensionType.PRODUCT_DATA:
            return Product(value.product_id, value.product_version)
        case ExtensionType.DYNAMIC_LOCATION:
            return DynamicLocation(value.start_address, value.dynalib_load_address, value.dynalib_start_address)
        case ExtensionType.DEPENDENCY:
            wanted = value.dependency
            return ExtraDependency(wanted.function, wanted.index, wanted.version, value.target_id)
        case ExtensionType.HASH:
            return Hash(value.hash_type, taken(value.hash))
        case ExtensionType.NAME:
            return AssetName(taken(value.name).decode("utf-8", "replace"))
        case ExtensionType.ASSET_DEPENDENCY:
            return AssetReference(value.hash_type, taken(value.hash), taken(value.name).decode("utf-8", "replace"))
        case ExtensionType.SECURITY_MODE:
            return SecurityMode(value.security_mode, taken(value.certificate))
        case ExtensionType.ASSET_TYPE:
            return AssetType(value.asset_type)
    return None
