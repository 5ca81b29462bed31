"""What the cloud reads from an uploaded firmware file: the product it says it belongs to.

Written apart from particle_dev's parser. Source: device-os v6.2.0 dynalib/inc/module_info.h, user/inc/user_part.h.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boards import Hardware, hardware, kinds
from particle_harness.module_reader import read_prefix, reader_of
from particle_harness.nor_flash import Reader

_SUFFIX_BASE_BYTES = 36
_SIZE_WITH_LONG_ID = 42
_PRODUCT = struct.Struct("<HH")


class FirmwareProduct(NamedTuple):
    """Product id and version of an application; 0 where it tells none."""

    id: int
    version: int


def product_of_file(data: bytes, platform_id: int) -> FirmwareProduct | None:
    """Product of an application in a module file; None for another platform or what is no application."""
    kind = hardware_of(platform_id)
    if kind is None:
        return None
    return product_at(reader_of(data), 0, kind)


def product_at(read: Reader, address: int, kind: Hardware) -> FirmwareProduct | None:
    """Product of the application at ``address``; None when there is none."""
    prefix = read_prefix(read, address, kind.mcu)
    if prefix is None or prefix.platform_id != kind.platform_id or prefix.function != ModuleFunction.USER_PART:
        return None
    try:
        size = int.from_bytes(read(address + prefix.length - 2, 2), "little")
        if size < _SUFFIX_BASE_BYTES + _PRODUCT.size:
            return FirmwareProduct(0, 0)
        # Directly in front of the suffix; a suffix of 42 bytes has an id of four bytes, read apart.
        offset = address + prefix.length - _SUFFIX_BASE_BYTES - _PRODUCT.size
        product_id, version = _PRODUCT.unpack(read(offset, _PRODUCT.size))
        if size == _SIZE_WITH_LONG_ID:
            product_id = int.from_bytes(read(offset - 2, 4), "little")
        product = FirmwareProduct(product_id, version)
    except IndexError:
        return None
    return FirmwareProduct(0, 0) if product.version == 0xFFFF else product


def hardware_of(platform_id: int) -> Hardware | None:
    """The board of a platform."""
    return next((board for board in map(hardware, kinds()) if board.platform_id == platform_id), None)
