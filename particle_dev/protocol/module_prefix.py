"""The 24 bytes with which a module names itself, read alone: on a chip, before anything else of it is read.

    offset  0  start address, 4      where byte 0 of the module belongs
            4  end address, 4        exclusive; the CRC-32 follows there
            8  target chip, 1        9  flags, 1
           10  version, 2           12  platform ID, 2
           14  function, 1          15  index, 1
           16  two needs of 4 bytes: function 1, index 1, version 2

All little-endian. Source: device-os v6.2.0 ``dynalib/inc/module_info.h`` module_info_t.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from isal import isal_zlib

from particle_dev.catalog.modules import ModuleFunction

PREFIX_SIZE_BYTES = 24
SUFFIX_BASE_SIZE_BYTES = 36
"""What every suffix ends with: product, SHA-256 and its own size. The CRC-32 follows."""
CRC_SIZE_BYTES = 4
_LAYOUT = struct.Struct("<IIBBHHBB8x")
_NEEDS_OFFSET, _NEED = 16, struct.Struct("<BBH")


class ModulePrefix(NamedTuple):
    """What a module says about itself; nothing of it is proven."""

    start_address: int
    end_address: int
    flags: int
    version: int
    platform_id: int
    function: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole module with its CRC."""
        return self.end_address - self.start_address + CRC_SIZE_BYTES


def unpack_prefix(data: bytes) -> ModulePrefix:
    """What these 24 bytes say if they are a prefix."""
    start, end, _target, flags, version, platform_id, function, index = _LAYOUT.unpack(data)
    return ModulePrefix(start, end, flags, version, platform_id, function, index)


def read_prefix(data: bytes, *, start_address: int, max_size_bytes: int) -> ModulePrefix | None:
    """The prefix in these 24 bytes of a slot; None when they are no prefix of a module that starts there and fits."""
    prefix = unpack_prefix(data)
    if prefix.start_address != start_address or not PREFIX_SIZE_BYTES < prefix.size_bytes <= max_size_bytes:
        return None
    return prefix if prefix.function in ModuleFunction._value2member_map_ else None


def unpack_needs(data: bytes) -> tuple[tuple[int, int, int], ...]:
    """Function, index and least version of each module that the one with this prefix needs."""
    return tuple(need for need in _NEED.iter_unpack(data[_NEEDS_OFFSET:PREFIX_SIZE_BYTES]) if need[0])


def is_crc_right(module: bytes) -> bool:
    """Whether a whole module ends with the CRC-32 of what is in front of it (big-endian)."""
    computed = isal_zlib.crc32(memoryview(module)[:-CRC_SIZE_BYTES])
    return computed == int.from_bytes(module[-CRC_SIZE_BYTES:], "big")
