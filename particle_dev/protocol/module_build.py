"""Firmware modules taken apart and put together again; every length, hash and CRC is computed anew.

Written with ``construct`` from the format's description and sharing no code with the C parser behind
:mod:`particle_dev.protocol.module`, so that either can judge the other. Too slow to import for ``inspect``.

    build(take_apart(data)) == data        for every intact module

Layouts are those of ``firmware/module/include/pd_module.h``. What the suffix holds before its 36-byte base:

    36  nothing                            NCP firmware, SoftDevice
    40  product id u16, version u16        STM32 and nRF52840 builds
    42  product id u32, version u16        an experiment, readable still
    62  DYNAMIC_LOCATION, PRODUCT_DATA     RTL872x builds
    >   TLVs, END, product id and version; or TLVs that end with PRODUCT_DATA

Source: device-os v6.2.0 ``dynalib/inc/module_info.h``, ``build/arm/linker/linker_module_end.ld``,
``build/create_module.py`` (hash of packed payloads).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from typing import Any

from construct import (
    Array,
    Bytes,
    Check,
    ConstructError,
    Int8ul,
    Int16ul,
    Int32ub,
    Int32ul,
    Rebuild,
    Struct,
    this,
)

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import Dependency
from particle_dev.protocol.module_parts import (
    END,
    HEAD_SIZES_BYTES,
    NO_PRODUCT,
    HashCover,
    ModuleParts,
    Suffix,
    Tlv,
    asset_dependency,
    check_parts,
    dynamic_location,
    end_of_extensions,
    product_data,
)
from particle_dev.protocol.module_prefix import PREFIX_SIZE_BYTES, SUFFIX_BASE_SIZE_BYTES

__all__ = [
    "END",
    "NO_PRODUCT",
    "HashCover",
    "ModuleParts",
    "Suffix",
    "Tlv",
    "asset_dependency",
    "build",
    "dynamic_location",
    "end_of_extensions",
    "product_data",
    "take_apart",
]

_HINT = "run: particle-dev inspect FILE"
_INVALID = 0xFFFF

_PREFIX = Struct(
    "start_address" / Int32ul,
    "end_address" / Int32ul,
    "mcu_target" / Int8ul,
    "flags" / Int8ul,
    Check(this.flags <= 0x1F),
    "version" / Int16ul,
    "platform_id" / Int16ul,
    "function" / Int8ul,
    "index" / Int8ul,
    "dependencies" / Array(2, Struct("function" / Int8ul, "index" / Int8ul, "version" / Int16ul)),
)
_TLV = Struct(
    "type" / Int16ul,
    "length" / Rebuild(Int16ul, lambda context: len(context.payload) + 4),
    "payload" / Bytes(this.length - 4),
)
_SUFFIX_BASE = Struct("reserved" / Int16ul, "sha256" / Bytes(32), "size" / Int16ul)


def build(parts: ModuleParts) -> bytes:
    """The module's file, with lengths, SHA-256 and CRC-32.

        app = ModuleParts(
            ModuleFunction.USER_PART, 2, version=6, platform_id=13, start_address=0xB4000, body=code,
            dependencies=(Dependency(ModuleFunction.SYSTEM_PART, 1, 3103),),
            suffix=Suffix((asset_dependency("logo.png", digest), end_of_extensions())),
        )
        Path("app.bin").write_bytes(build(app))

    Raises ValueError for parts that no file can hold, or that would be read as something else; it names the field, its
    value and the range.
    """
    check_parts(parts)
    content = parts.head + _build_prefix(parts) + parts.body
    if parts.suffix is not None:
        content += _build_suffix(parts.suffix, file_start=content, payload=parts.body)
    data = content + zlib.crc32(content).to_bytes(4, "big")
    offset, _ = _find_prefix(data)
    if offset != len(parts.head):
        raise ValueError(f"head holds a prefix of its own at 0x{offset:x}, which readers would take for the module's")
    return data


def take_apart(data: bytes) -> ModuleParts:
    """The parts of an intact module that fills ``data``.

    Raises ModuleFormatError: ``not_intact`` when no prefix stands there whose length and CRC-32 are right (ask
    ``protocol.module.parse`` for the reason), ``bad_suffix``, ``bad_extension``.
    """
    offset, prefix = _find_prefix(data)
    position = offset + PREFIX_SIZE_BYTES
    extensions: tuple[Tlv, ...] = ()
    if prefix.flags & ModuleFlag.PREFIX_EXTENSIONS:
        extensions, size = _read_tlvs(data[position:-4], position)
        if not extensions or extensions[-1].type != END:
            message = "The TLVs of the prefix have no END."
            raise ModuleFormatError(message, code="bad_extension", offset=position + size, hint=_HINT)
        position += size
    body, suffix = _read_suffix(data, position)
    dependencies = [Dependency(ModuleFunction(d.function), d.index, d.version) for d in prefix.dependencies]
    while dependencies and dependencies[-1] == (0, 0, 0):
        dependencies.pop()
    return ModuleParts(
        function=ModuleFunction(prefix.function),
        index=prefix.index,
        version=prefix.version,
        platform_id=prefix.platform_id,
        start_address=prefix.start_address,
        body=body,
        suffix=suffix,
        head=data[:offset],
        mcu_target=prefix.mcu_target,
        flags=ModuleFlag(prefix.flags) & ~ModuleFlag.PREFIX_EXTENSIONS,
        dependencies=tuple(dependencies),
        prefix_extensions=extensions,
    )


# ---- parts to bytes -------------------------------------------------------------------------------------------------


def _build_prefix(parts: ModuleParts) -> bytes:
    flags = parts.flags | (ModuleFlag.PREFIX_EXTENSIONS if parts.prefix_extensions else 0)
    none = Dependency(ModuleFunction.NONE, 0, 0)
    dependencies = (*parts.dependencies, none, none)[:2]
    fields = {
        "start_address": parts.start_address,
        "end_address": parts.end_address,
        "mcu_target": parts.mcu_target,
        "flags": int(flags),
        "version": parts.version,
        "platform_id": parts.platform_id,
        "function": int(parts.function),
        "index": parts.index,
        "dependencies": [d._asdict() for d in dependencies],
    }
    return _pack(_PREFIX, fields) + _build_tlvs(parts.prefix_extensions)


def _build_suffix(suffix: Suffix, *, file_start: bytes, payload: bytes) -> bytes:
    extra = _build_tlvs(suffix.extensions) + suffix.raw_product
    hashed = payload + extra
    if suffix.hash_cover is HashCover.FILE:
        hashed = file_start + extra + suffix.reserved.to_bytes(2, "little")
    digest = hashlib.sha256(hashed).digest()
    return extra + _pack(_SUFFIX_BASE, {"reserved": suffix.reserved, "sha256": digest, "size": suffix.size_bytes})


def _build_tlvs(extensions: Iterable[Tlv]) -> bytes:
    return b"".join(_pack(_TLV, {"type": tlv.type, "payload": tlv.payload}) for tlv in extensions)


def _pack(layout: Struct, values: dict[str, Any]) -> bytes:
    packed: bytes = layout.build(values)
    return packed


# ---- bytes to parts -------------------------------------------------------------------------------------------------


def _find_prefix(data: bytes) -> tuple[int, Any]:
    for offset in HEAD_SIZES_BYTES:
        try:
            prefix = _PREFIX.parse(data[offset:])
        except ConstructError:
            continue
        length = prefix.end_address - prefix.start_address
        functions = (prefix.function, *(d.function for d in prefix.dependencies))
        if (
            length == len(data) - 4
            and prefix.function != ModuleFunction.NONE
            and max(functions) <= max(ModuleFunction)
            and length >= offset + PREFIX_SIZE_BYTES
            and Int32ub.parse(data[length:]) == zlib.crc32(data[:length])
        ):
            return offset, prefix
    raise ModuleFormatError(
        "The file is not exactly one intact module.",
        code="not_intact",
        hint=_HINT,
    )


def _read_tlvs(area: bytes, area_offset: int) -> tuple[tuple[Tlv, ...], int]:
    """The TLVs up to END, erased flash or the area's end, and their size."""
    extensions = []
    position = 0
    while position < len(area) and area[position : position + 2] != b"\xff\xff":
        try:
            raw = _TLV.parse(area[position:])
        except ConstructError as error:
            raise ModuleFormatError(
                "An extension is cut.", code="bad_extension", offset=area_offset + position, hint=_HINT
            ) from error
        extensions.append(Tlv(raw.type, raw.payload))
        position += raw.length
        if raw.type == END:
            break
    return tuple(extensions), position


def _read_suffix(data: bytes, body_offset: int) -> tuple[bytes, Suffix | None]:
    end = len(data) - 4
    size = Int16ul.parse(data[end - 2 : end])
    if size in (0, _INVALID):
        return data[body_offset:end], None
    if not SUFFIX_BASE_SIZE_BYTES <= size <= end - body_offset:
        message = "The suffix size is impossible."
        raise ModuleFormatError(message, code="bad_suffix", offset=end - 2, hint=_HINT)
    start, base_offset = end - size, end - SUFFIX_BASE_SIZE_BYTES
    base = _SUFFIX_BASE.parse(data[base_offset:])
    body, extra = data[body_offset:start], data[start:base_offset]
    extensions: tuple[Tlv, ...] = ()
    tlv_size = 0
    if size not in (36, 40, 42):
        extensions, tlv_size = _read_tlvs(extra, start)
    is_payload = base.sha256 == hashlib.sha256(data[body_offset:base_offset]).digest()
    cover = HashCover.PAYLOAD if is_payload else HashCover.FILE
    return body, Suffix(extensions, extra[tlv_size:], base.reserved, cover)
