"""Extensions of a module, as the firmware walks through them: behind the prefix and in front of the suffix.

    type u16 | length u16, these four bytes included | payload

Source: device-os v6.2.0 dynalib/inc/module_info.h; system/src/asset_manager.cpp requiredAssetsForModule,
services/src/security_mode.cpp; platform/MCU/rtl872x/src/flash_mal.c calculate_prefix_size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from particle_harness.module_reader import PREFIX_SIZE_BYTES, Mcu, Prefix
from particle_harness.nor_flash import Reader

END, HASH, NAME, ASSET_DEPENDENCY, SECURITY_MODE = 0x00, 0x10, 0x11, 0x12, 0x13
PREFIX_EXTENSIONS = 0x10
SUFFIX_BASE_BYTES = 36
_HEADER = struct.Struct("<HH")
_SHA256_TYPE, _SHA256_SIZE = 0, 32
_PROTECTED = b"\1"


class Extension(NamedTuple):
    """One extension and the address behind it."""

    kind: int
    payload: bytes
    end_address: int


def walk(read: Reader, start: int, end: int) -> Iterator[Extension]:
    """Extensions from ``start`` on, END included, until there is none; a damaged one ends the walk."""
    while start + _HEADER.size <= end:
        kind, length = _HEADER.unpack(read(start, _HEADER.size))
        if length < _HEADER.size or start + length > end:
            return
        yield Extension(kind, read(start + _HEADER.size, length - _HEADER.size), start + length)
        if kind == END:
            return
        start += length


def prefix_size(read: Reader, address: int, prefix: Prefix) -> int:
    """Bytes of a prefix at ``address`` with its extensions."""
    if not prefix.flags & PREFIX_EXTENSIONS:
        return PREFIX_SIZE_BYTES
    found = list(walk(read, address + PREFIX_SIZE_BYTES, address + prefix.length))
    return found[-1].end_address - address if found else PREFIX_SIZE_BYTES


def suffix_size(read: Reader, address: int, prefix: Prefix) -> int:
    """Bytes of the suffix of the module at ``address``, as it says itself."""
    return int.from_bytes(read(address + prefix.length - 2, 2), "little")


def suffix_extensions(read: Reader, address: int, prefix: Prefix) -> tuple[Extension, ...]:
    """Extensions in the suffix of the module at ``address``; none in one that has room for two headers at most."""
    size = suffix_size(read, address, prefix)
    if not SUFFIX_BASE_BYTES + 2 * _HEADER.size < size <= prefix.length:
        return ()
    end = address + prefix.length
    return tuple(walk(read, end - size, end - SUFFIX_BASE_BYTES))


def asset_dependencies(read: Reader, address: int, prefix: Prefix, mcu: Mcu) -> tuple[tuple[str, bytes], ...]:
    """Name and SHA-256 of each asset that the application at ``address`` asks for, in prefix and suffix."""
    found: list[Extension] = []
    if prefix.flags & PREFIX_EXTENSIONS:
        start = address + mcu.prefix_offset(read, address) + PREFIX_SIZE_BYTES
        found += walk(read, start, address + prefix.length)
    found += suffix_extensions(read, address, prefix)
    wanted = []
    for extension in found:
        digest = sha256_of(extension.payload) if extension.kind == ASSET_DEPENDENCY else None
        if digest is not None:
            wanted.append((extension.payload[2 + _SHA256_SIZE :].decode(errors="replace"), digest))
    return tuple(wanted)


def has_security_mode(read: Reader, address: int, prefix: Prefix) -> bool:
    """Whether the bootloader at ``address`` protects its board."""
    found = suffix_extensions(read, address, prefix)
    return any(e.kind == SECURITY_MODE and e.payload[:1] == _PROTECTED for e in found)


def sha256_of(payload: bytes) -> bytes | None:
    """The SHA-256 at the start of a HASH or ASSET_DEPENDENCY payload, None for another kind of hash."""
    is_sha256 = payload[:2] == bytes([_SHA256_TYPE, _SHA256_SIZE]) and len(payload) >= 2 + _SHA256_SIZE
    return payload[2 : 2 + _SHA256_SIZE] if is_sha256 else None
