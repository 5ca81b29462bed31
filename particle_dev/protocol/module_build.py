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
from dataclasses import dataclass, replace
from enum import StrEnum
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
from particle_dev.protocol.module import Dependency, ExtensionType, Product

NO_PRODUCT = b"\xff\xff\xff\xff"
"""Product id and version of firmware that belongs to no product."""
END = 0
"""Type of the TLV that ends a list; its payload is padding."""

_HINT = "run: particle-dev inspect FILE"
_INVALID = 0xFFFF
_NO_FLAGS = ModuleFlag(0)
_PREFIX_OFFSETS = (0, 0x20, 0xC0, 0x10C, 0x184, 0x200)

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
_PREFIX_SIZE: int = _PREFIX.sizeof()
_BASE_SIZE: int = _SUFFIX_BASE.sizeof()
_PRODUCT_U16 = Struct("id" / Int16ul, "version" / Int16ul)
_PRODUCT_U32 = Struct("id" / Int32ul, "version" / Int16ul)


@dataclass(frozen=True, slots=True)
class Tlv:
    """An extension: type u16, length u16 (header included), payload."""

    type: int
    payload: bytes = b""


class HashCover(StrEnum):
    """What the SHA-256 of the suffix covers."""

    FILE = "file"
    """All bytes before the hash: what the linker's output gets."""
    PAYLOAD = "payload"
    """The bytes between prefix and suffix: SoftDevice, NCP firmware and other packed binaries."""


@dataclass(frozen=True, slots=True)
class Suffix:
    """The end of a module. ``extensions`` are all TLVs in file order, END and PRODUCT_DATA included;
    ``raw_product`` is what stands between them and the base."""

    extensions: tuple[Tlv, ...] = ()
    raw_product: bytes = NO_PRODUCT
    reserved: int = 0
    hash_cover: HashCover = HashCover.FILE

    @property
    def size_bytes(self) -> int:
        """What the last field of the base states."""
        return len(_build_tlvs(self.extensions)) + len(self.raw_product) + _BASE_SIZE

    @property
    def has_wide_product(self) -> bool:
        """Whether this is the suffix of 42 bytes, whose product id has 32 bits."""
        return not self.extensions and self.size_bytes == 42

    def with_product(self, product: Product) -> Suffix:
        """The suffix with this product id and version where devices read them: in the 4 bytes before the base.

        Raises ValueError when it has no such bytes or the numbers are out of range.
        """
        layout = _PRODUCT_U32 if self.has_wide_product else _PRODUCT_U16
        try:
            raw = _pack(layout, product._asdict())
        except ConstructError as error:
            raise ValueError(f"product {product.id}, version {product.version} are out of range") from error
        if len(self.raw_product) >= len(raw):
            return replace(self, raw_product=self.raw_product[: -len(raw)] + raw)
        if self.extensions and self.extensions[-1].type == ExtensionType.PRODUCT_DATA:
            last = self.extensions[-1]
            return replace(
                self, extensions=(*self.extensions[:-1], replace(last, payload=last.payload[: -len(raw)] + raw))
            )
        raise ValueError("this suffix holds no product data")


@dataclass(frozen=True, slots=True)
class ModuleParts:
    """A module without the numbers that follow from the rest.

    ``head`` is what lies before the prefix: vector table or vendor header. ``prefix_extensions`` includes END; they set
    the flag PREFIX_EXTENSIONS, which ``flags`` leaves out. Without ``suffix``, the body's last two bytes are where
    readers look for the suffix size and must be 00 00 or ff ff.
    """

    function: ModuleFunction
    index: int
    version: int
    platform_id: int
    start_address: int
    body: bytes
    suffix: Suffix | None = Suffix()
    head: bytes = b""
    mcu_target: int = 0
    flags: ModuleFlag = _NO_FLAGS
    dependencies: tuple[Dependency, ...] = ()
    prefix_extensions: tuple[Tlv, ...] = ()

    @property
    def length_bytes(self) -> int:
        """Length without CRC: end address minus start address."""
        prefix_size = _PREFIX_SIZE + len(_build_tlvs(self.prefix_extensions))
        return len(self.head) + prefix_size + len(self.body) + (self.suffix.size_bytes if self.suffix else 0)

    @property
    def end_address(self) -> int:
        """Address of the CRC."""
        return self.start_address + self.length_bytes


def build(parts: ModuleParts) -> bytes:
    """The module's file. Raises ValueError for parts that no file can hold: a number out of range, three dependencies,
    prefix TLVs without END, a body that would be read as a suffix."""
    _check_parts(parts)
    try:
        start = parts.head + _build_prefix(parts) + parts.body
        if parts.suffix is None:
            content = start
        else:
            content = start + _build_suffix(parts.suffix, file_start=start, payload=parts.body)
        return content + zlib.crc32(content).to_bytes(4, "big")
    except ConstructError as error:
        raise ValueError(f"no module can hold these values: {error}") from error


def take_apart(data: bytes) -> ModuleParts:
    """The parts of an intact module that fills ``data``.

    Raises ModuleFormatError: ``not_intact`` when no prefix stands there whose length and CRC-32 are right (ask
    ``protocol.module.parse`` for the reason), ``bad_suffix``, ``bad_extension``.
    """
    offset, prefix = _find_prefix(data)
    position = offset + _PREFIX_SIZE
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


def product_data(product: Product) -> Tlv:
    """The PRODUCT_DATA TLV: product id and version in its last four bytes, where raw product data has them too."""
    return Tlv(ExtensionType.PRODUCT_DATA, b"\xff\xff" + _pack(_PRODUCT_U16, product._asdict()))


def end_of_extensions(padding_bytes: int = 0) -> Tlv:
    """The END TLV."""
    return Tlv(END, bytes(padding_bytes))


# ---- parts to bytes -------------------------------------------------------------------------------------------------


def _check_parts(parts: ModuleParts) -> None:
    if len(parts.dependencies) > 2:
        raise ValueError("a module holds two dependencies")
    if ModuleFlag.PREFIX_EXTENSIONS in parts.flags:
        raise ValueError("the flag PREFIX_EXTENSIONS follows from prefix_extensions")
    if parts.prefix_extensions and parts.prefix_extensions[-1].type != END:
        raise ValueError("the last TLV of the prefix must be END")
    if parts.suffix and not parts.suffix.raw_product and parts.suffix.size_bytes in (40, 42):
        raise ValueError("a suffix of 40 or 42 bytes would be read as product data, not as TLVs")
    if parts.suffix and parts.suffix.size_bytes >= _INVALID:
        raise ValueError("the suffix is too long")
    if parts.suffix is None and parts.body[-2:] not in (b"\0\0", b"\xff\xff"):
        raise ValueError("without a suffix the body must end with 00 00 or ff ff")


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
    for offset in _PREFIX_OFFSETS:
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
            and length >= offset + _PREFIX_SIZE
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
    if not _BASE_SIZE <= size <= end - body_offset:
        message = "The suffix size is impossible."
        raise ModuleFormatError(message, code="bad_suffix", offset=end - 2, hint=_HINT)
    start, base_offset = end - size, end - _BASE_SIZE
    base = _SUFFIX_BASE.parse(data[base_offset:])
    body, extra = data[body_offset:start], data[start:base_offset]
    extensions: tuple[Tlv, ...] = ()
    tlv_size = 0
    if size not in (36, 40, 42):
        extensions, tlv_size = _read_tlvs(extra, start)
    is_payload = base.sha256 == hashlib.sha256(data[body_offset:base_offset]).digest()
    cover = HashCover.PAYLOAD if is_payload else HashCover.FILE
    return body, Suffix(extensions, extra[tlv_size:], base.reserved, cover)
