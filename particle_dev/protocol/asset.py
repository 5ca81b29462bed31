"""Asset modules: files that travel to a device beside its application.

    prefix, platform 0, function 9, addresses 0 to size - 4, DROP_MODULE_INFO [+ COMPRESSED] | raw data
    | TLVs HASH of the raw data, NAME, [ASSET_TYPE], PRODUCT_DATA | suffix base | CRC-32

Source: device-os v6.2.0 ``system/src/asset_manager.cpp`` (AssetReader::validate, parseAssetInfo, prepareForOta);
littlefs ``lfs.h`` LFS_NAME_MAX; npm binary-version-reader 3.1.3 ``lib/moduleEncoding.js`` (createAssetModule).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from particle_dev.catalog.model import AssetStorage
from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.compressed import compress, expand
from particle_dev.protocol.module import ExtensionType, Module, Product, parse, verify
from particle_dev.protocol.module_build import (
    ModuleParts,
    Suffix,
    Tlv,
    asset_dependency,
    build,
    product_data,
    take_apart,
)
from particle_dev.protocol.module_traits import HASH_SHA256, extension_of

MAX_NAME_BYTES = 255
_HINT_MAKE = "make the asset module again from the original file"
_NO_PRODUCT = Product(0xFFFF, 0xFFFF)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file for the device: its name there and its raw bytes. ``type`` other than 0: environment variables."""

    name: str
    data: bytes
    type: int = 0

    @property
    def sha256(self) -> bytes:
        """What an application's dependency on this asset states."""
        return hashlib.sha256(self.data).digest()


def check_asset_name(name: str) -> None:
    """Raise ModuleFormatError ``bad_asset_name`` for a name that is no file name on a device."""
    # What cannot be printed holds NUL, other control characters or bytes that are no UTF-8.
    is_plain = name.isprintable() and "/" not in name and name not in ("", ".", "..")
    if not is_plain or len(name.encode()) > MAX_NAME_BYTES:
        raise ModuleFormatError(
            f"{name!r} is no name for an asset.",
            code="bad_asset_name",
            hint=f"use 1 to {MAX_NAME_BYTES} bytes of printable UTF-8 without a slash",
        )


def make_asset_module(asset: Asset, *, compressed: bool = True) -> bytes:
    """The module that brings an asset to a device.

    Leave it compressed for data: Device OS 6.2 reads uncompressed assets from the wrong offset. Raises
    ModuleFormatError ``bad_asset_name``.
    """
    check_asset_name(asset.name)
    extensions = [hash_tlv(asset.sha256), Tlv(ExtensionType.NAME, asset.name.encode())]
    if asset.type:
        extensions.append(Tlv(ExtensionType.ASSET_TYPE, bytes([asset.type, 0])))
    extensions.append(product_data(_NO_PRODUCT))
    module = build(
        ModuleParts(
            function=ModuleFunction.ASSET,
            index=0,
            version=0,
            platform_id=0,
            start_address=0,
            body=asset.data,
            suffix=Suffix(tuple(extensions), raw_product=b""),
            flags=ModuleFlag.DROP_MODULE_INFO,
        )
    )
    return compress(module) if compressed else module


def read_asset_module(data: bytes) -> Asset:
    """The asset in a module, expanded, under the rules by which a device takes it.

    Raises ModuleFormatError: ``not_asset``; ``bad_asset`` when flags, name or hash are missing;
    ``asset_hash_mismatch``, ``bad_compression``; as :func:`~particle_dev.protocol.module.parse` and ``verify``.
    """
    module = parse(data)
    verify(module)
    if module.function != ModuleFunction.ASSET:
        message = f"The module is a {module.function.label}, no asset."
        raise ModuleFormatError(message, code="not_asset", offset=module.prefix_offset + 14, hint=_HINT_MAKE)
    name, digest = _name_and_hash(module)
    body = take_apart(expand(data) if ModuleFlag.COMPRESSED in module.flags else data).body
    kind = extension_of(module, ExtensionType.ASSET_TYPE)
    asset = Asset(name, body, kind.payload[0] if kind and kind.payload else 0)
    if asset.sha256 != digest:
        raise ModuleFormatError(
            f"Asset {name!r} has another SHA-256 than its module states.",
            code="asset_hash_mismatch",
            hint=_HINT_MAKE,
        )
    return asset


def storage_size_bytes(storage: AssetStorage, module_size_bytes: int) -> int:
    """What an asset module takes of a device's asset storage."""
    blocks = math.ceil(module_size_bytes / (storage.block_size_bytes - storage.per_block_overhead_bytes))
    return blocks * storage.block_size_bytes


def check_storage(storage: AssetStorage, modules: Sequence[tuple[str, int]]) -> None:
    """Check named asset modules (name, size of the module in bytes) against what a device accepts and holds.

    Raises ModuleFormatError ``asset_too_large`` or ``assets_too_large``.
    """
    for name, size_bytes in modules:
        limit = storage.device_max_module_bytes
        if size_bytes > limit:
            raise ModuleFormatError(
                f"Asset {name!r} makes a module of {size_bytes} bytes, a device takes {limit}.",
                code="asset_too_large",
                hint="split or shrink the asset",
            )
    room = storage.block_size_bytes * (storage.total_blocks - storage.reserved_blocks)
    needed = sum(storage_size_bytes(storage, size_bytes) for _, size_bytes in modules)
    if needed > room:
        raise ModuleFormatError(
            f"The assets take {needed} bytes of a device's asset storage, which has {room}.",
            code="assets_too_large",
            hint="leave assets out or shrink them",
        )


def hash_tlv(sha256: bytes) -> Tlv:
    """The HASH TLV."""
    return Tlv(ExtensionType.HASH, bytes([HASH_SHA256, len(sha256)]) + sha256)


def dependency_tlv(asset: Asset) -> Tlv:
    """The TLV by which an application asks for an asset."""
    return asset_dependency(asset.name, asset.sha256)


def _name_and_hash(module: Module) -> tuple[str, bytes]:
    name, digest = extension_of(module, ExtensionType.NAME), extension_of(module, ExtensionType.HASH)
    wanted, refused = ModuleFlag.DROP_MODULE_INFO, ModuleFlag.PREFIX_EXTENSIONS | ModuleFlag.COMBINED
    if wanted not in module.flags or module.flags & refused:
        raise ModuleFormatError("A device refuses an asset with these flags.", code="bad_asset", hint=_HINT_MAKE)
    if name is None or digest is None or len(name.payload) == 0 or digest.payload[:2] != bytes([HASH_SHA256, 32]):
        raise ModuleFormatError("The asset has no name or no SHA-256.", code="bad_asset", hint=_HINT_MAKE)
    return name.payload.decode("utf-8", "replace"), digest.payload[2:]
