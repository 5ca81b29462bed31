"""Asset storage of a board: modules kept as files, in flash beside the place where updates wait.

Source: device-os v5.5.0 and v6.2.0 system/src/asset_manager.cpp (storeAsset, clearUnusedAssets, AssetReader::validate,
parseAvailableAssets). A real board has littlefs there. Here the first four blocks hold a table of files with a CRC,
and each block of a file holds 4088 bytes, as it does on average there; a damaged table means, as there, that the
storage is formatted.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Collection
from typing import NamedTuple

from particle_dev.catalog.modules import ModuleFunction
from particle_harness import extensions
from particle_harness.layout import AssetRegion
from particle_harness.module_reader import (
    COMPRESSED,
    CRC_SIZE_BYTES,
    DROP_MODULE_INFO,
    PREFIX_SIZE_BYTES,
    Mcu,
    crc_is_good,
    read_prefix,
    reader_of,
)
from particle_harness.nor_flash import NorFlash, Reader

BAD_DATA, NO_SPACE = -280, -1911
"""Source: device-os v6.2.0 services/inc/system_error.h SYSTEM_ERROR_FILESYSTEM_NOSPC."""
_BLOCK_BYTES, _BLOCK_ROOM_BYTES, _TABLE_BLOCKS = 4096, 4088, 4
_TABLE = struct.Struct("<8sII")
_MAGIC = b"vassets1"
_COMPRESSION = struct.Struct("<HBBI")
_ANYWHERE = Mcu(0, signature=b"\0" * 8)
"""An asset module begins with its prefix."""
Identity = tuple[str, bytes]
"""Name and SHA-256 of the contents."""


class StoredAsset(NamedTuple):
    """What a board says about an asset: ``size_bytes`` of its contents, and of its module in storage."""

    name: str
    sha256: bytes
    size_bytes: int
    module_size_bytes: int

    @property
    def identity(self) -> Identity:
        """What an application asks for."""
        return self.name, self.sha256


class _File(NamedTuple):
    name: str
    size_bytes: int
    blocks: list[int]


def read_asset(module: bytes) -> StoredAsset | None:
    """The asset in a module, None when the firmware would not take it for one."""
    shortest = PREFIX_SIZE_BYTES + _COMPRESSION.size + extensions.SUFFIX_BASE_BYTES + CRC_SIZE_BYTES
    read = reader_of(module)
    prefix = read_prefix(read, 0, _ANYWHERE) if len(module) > shortest else None
    if prefix is None or prefix.function != ModuleFunction.ASSET or prefix.length + CRC_SIZE_BYTES != len(module):
        return None
    if not prefix.flags & DROP_MODULE_INFO or prefix.flags & extensions.PREFIX_EXTENSIONS:
        return None
    suffix_bytes = extensions.suffix_size(read, 0, prefix)
    size_bytes = len(module) - PREFIX_SIZE_BYTES - CRC_SIZE_BYTES - suffix_bytes
    if prefix.flags & COMPRESSED:
        header_bytes, method, _, size_bytes = _COMPRESSION.unpack_from(module, PREFIX_SIZE_BYTES)
        if header_bytes < _COMPRESSION.size or method != 0:
            return None
    has_room = len(module) >= PREFIX_SIZE_BYTES + _COMPRESSION.size + suffix_bytes + CRC_SIZE_BYTES
    if not has_room or not crc_is_good(read, 0, prefix.length):
        return None
    found = {extension.kind: extension.payload for extension in extensions.suffix_extensions(read, 0, prefix)}
    digest, name = extensions.sha256_of(found.get(extensions.HASH, b"")), found.get(extensions.NAME, b"")
    return StoredAsset(name.decode(errors="replace"), digest, size_bytes, len(module)) if digest and name else None


def stored_assets(read: Reader, region: AssetRegion) -> tuple[StoredAsset, ...]:
    """Sound assets in storage; none in a storage that was never formatted or is damaged."""
    assets = (read_asset(_contents(read, region, file)) for file in _files(read, region) or ())
    return tuple(asset for asset in assets if asset)


class AssetStorage:
    """Writes to the storage at ``region`` in ``flash``."""

    def __init__(self, flash: NorFlash, region: AssetRegion) -> None:
        self._flash = flash
        self._region = region

    def mount(self) -> None:
        """What a start of the system does: format what cannot be read, remove files that are no assets."""
        files = _files(self._flash.read, self._region)
        kept = [f for f in files or () if read_asset(_contents(self._flash.read, self._region, f))]
        if files != kept:
            self._write_table(kept)

    def store(self, module: bytes, required: Collection[Identity]) -> int:
        """Keep an asset. Whatever is not ``required`` by the application goes before that. Result code."""
        asset = read_asset(module)
        if asset is None:
            return BAD_DATA
        kept = []
        for file in _files(self._flash.read, self._region) or ():
            old = read_asset(_contents(self._flash.read, self._region, file))
            if old and old.identity in required and old.name != asset.name:
                kept.append(file)
        taken = {block for file in kept for block in file.blocks}
        free = [block for block in range(_TABLE_BLOCKS, self._region.block_count) if block not in taken]
        blocks = free[: -(-len(module) // _BLOCK_ROOM_BYTES)]
        for number, block in enumerate(blocks):
            part = module[number * _BLOCK_ROOM_BYTES :][:_BLOCK_ROOM_BYTES]
            self._flash.load(self._region.start_address + block * _BLOCK_BYTES, part)
        # A file that was cut by a full storage stays until the next start finds that it is no asset.
        self._write_table([*kept, _File(asset.name, len(module), blocks)])
        return 0 if len(blocks) * _BLOCK_ROOM_BYTES >= len(module) else NO_SPACE

    def _write_table(self, files: list[_File]) -> None:
        body = json.dumps(files).encode()
        table = _TABLE.pack(_MAGIC, len(body), zlib.crc32(body)) + body
        self._flash.load(self._region.start_address, table.ljust(_TABLE_BLOCKS * _BLOCK_BYTES, b"\xff"))


def _files(read: Reader, region: AssetRegion) -> list[_File] | None:
    magic, size, crc = _TABLE.unpack(read(region.start_address, _TABLE.size))
    if magic != _MAGIC or size > _TABLE_BLOCKS * _BLOCK_BYTES - _TABLE.size:
        return None
    body = read(region.start_address + _TABLE.size, size)
    return [_File(*entry) for entry in json.loads(body)] if zlib.crc32(body) == crc else None


def _contents(read: Reader, region: AssetRegion, file: _File) -> bytes:
    parts = (read(region.start_address + block * _BLOCK_BYTES, _BLOCK_ROOM_BYTES) for block in file.blocks)
    return b"".join(parts)[: file.size_bytes]
