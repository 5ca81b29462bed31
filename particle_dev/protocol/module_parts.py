"""What a firmware module is made of: parts as values, TLVs by kind, and the check that a file can hold them.

:mod:`particle_dev.protocol.module_build` makes files of these parts and parts of files.

Source: device-os v6.2.0 ``dynalib/inc/module_info.h``; prefix places: FLASH_ModuleInfo in ``platform/MCU``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.protocol.module import Dependency, ExtensionType, Product
from particle_dev.protocol.module_prefix import PREFIX_SIZE_BYTES, SUFFIX_BASE_SIZE_BYTES

NO_PRODUCT = b"\xff\xff\xff\xff"
"""Product id and version of firmware that belongs to no product."""
END = 0
"""Type of the TLV that ends a list; its payload is padding."""
HEAD_SIZES_BYTES = (0, 0x20, 0xC0, 0x10C, 0x184, 0x200)
"""Bytes in front of the prefix: none, RTL872x image header, then the vector tables of nRF51, STM32F1, STM32F2 and
nRF52840."""

_ERASED = b"\xff\xff"
_NO_FLAGS = ModuleFlag(0)
_KNOWN_FLAGS = 0x1F
_U8, _U16, _U32 = 0xFF, 0xFFFF, 0xFFFFFFFF
MAX_SUFFIX_SIZE_BYTES = _U16 - 1
"""0xffff in the size field stands for no suffix."""
_MAX_TLV_PAYLOAD_BYTES = _U16 - 4
_SHA256_TYPE = 0


@dataclass(frozen=True, slots=True)
class Tlv:
    """An extension: type u16, length u16 (header included), payload."""

    type: int
    payload: bytes = b""


class HashCover(StrEnum):
    """What the SHA-256 of the suffix covers. A file does not say which; readers try both."""

    FILE = "file"
    """All bytes before the hash, head and prefix included: what the linker's output gets. The usual one."""
    PAYLOAD = "payload"
    """The body and what the suffix has before its base, without head and prefix: SoftDevice, NCP firmware and other
    packed binaries."""


@dataclass(frozen=True, slots=True)
class Suffix:
    """The end of a module. ``extensions`` are all TLVs in file order, END and PRODUCT_DATA included;
    ``raw_product`` is what stands between them and the base: 0, 4 or 6 bytes when there is no TLV."""

    extensions: tuple[Tlv, ...] = ()
    raw_product: bytes = NO_PRODUCT
    reserved: int = 0
    hash_cover: HashCover = HashCover.FILE

    @property
    def size_bytes(self) -> int:
        """What the last field of the base states."""
        return tlvs_size_bytes(self.extensions) + len(self.raw_product) + SUFFIX_BASE_SIZE_BYTES

    @property
    def has_wide_product(self) -> bool:
        """Whether this is the suffix of 42 bytes, whose product id has 32 bits."""
        return not self.extensions and self.size_bytes == 42

    def with_product(self, product: Product) -> Suffix:
        """The suffix with this product id and version where devices read them: in the 4 bytes before the base.

        Raises ValueError when it has no such bytes or the numbers are out of range.
        """
        _check_number("product id", product.id, _U32 if self.has_wide_product else _U16)
        _check_number("product version", product.version, _U16)
        raw = product.id.to_bytes(4 if self.has_wide_product else 2, "little") + product.version.to_bytes(2, "little")
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

    ``head`` is what lies before the prefix: vector table or vendor header, of one of HEAD_SIZES_BYTES. ``body`` is the
    code and data between prefix and suffix. ``start_address`` is where file byte 0 goes, head included.
    ``prefix_extensions`` includes END; they set the flag PREFIX_EXTENSIONS, which ``flags`` leaves out.
    Without ``suffix``, the body's last two bytes are where readers look for the suffix size and must be 00 00 or ff ff.
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
        prefix_size = PREFIX_SIZE_BYTES + tlvs_size_bytes(self.prefix_extensions)
        return len(self.head) + prefix_size + len(self.body) + (self.suffix.size_bytes if self.suffix else 0)

    @property
    def end_address(self) -> int:
        """Address of the CRC."""
        return self.start_address + self.length_bytes


# ---- extensions by kind ---------------------------------------------------------------------------------------------


def product_data(product: Product) -> Tlv:
    """The PRODUCT_DATA TLV: product id and version in its last four bytes, where raw product data has them too.

    Raises ValueError for numbers beyond 16 bits, as the other functions here do.
    """
    return Tlv(
        ExtensionType.PRODUCT_DATA,
        b"\xff\xff" + _little("product id", product.id, 2) + _little("product version", product.version, 2),
    )


def dynamic_location(start_address: int, dynalib_load_address: int = 0, dynalib_start_address: int = 0) -> Tlv:
    """The DYNAMIC_LOCATION TLV of RTL872x modules: where the module starts, and where its function table is loaded
    from and lies. ``start_address`` must be that of the module; :mod:`~particle_dev.protocol.module_edit` keeps it so.
    """
    return Tlv(
        ExtensionType.DYNAMIC_LOCATION,
        _little("start_address", start_address, 4)
        + _little("dynalib_load_address", dynalib_load_address, 4)
        + _little("dynalib_start_address", dynalib_start_address, 4),
    )


def asset_dependency(name: str, sha256: bytes) -> Tlv:
    """The ASSET_DEPENDENCY TLV: the application wants an asset of that name whose raw data has that SHA-256."""
    if len(sha256) != 32:
        raise ValueError(f"sha256 has {len(sha256)} bytes, not 32")
    if not name:
        raise ValueError("the name of an asset is empty")
    return Tlv(ExtensionType.ASSET_DEPENDENCY, bytes([_SHA256_TYPE, len(sha256)]) + sha256 + name.encode())


def end_of_extensions(padding_bytes: int = 0) -> Tlv:
    """The END TLV."""
    return Tlv(END, bytes(padding_bytes))


def tlvs_size_bytes(extensions: Iterable[Tlv]) -> int:
    """What TLVs take in a file."""
    return sum(4 + len(tlv.payload) for tlv in extensions)


# ---- what no file can hold ------------------------------------------------------------------------------------------


def check_parts(parts: ModuleParts) -> None:
    """Raise ValueError for parts that no file can hold or that would be read otherwise; it names field, value and
    range."""
    _check_bytes("body", parts.body)
    _check_bytes("head", parts.head)
    if len(parts.head) not in HEAD_SIZES_BYTES:
        sizes = ", ".join(map(str, HEAD_SIZES_BYTES))
        raise ValueError(f"head has {len(parts.head)} bytes; readers look for the prefix behind {sizes} only")
    _check_function("function", parts.function, least=1)
    _check_number("index", parts.index, _U8)
    _check_number("version", parts.version, _U16)
    _check_number("platform_id", parts.platform_id, _U16)
    _check_number("start_address", parts.start_address, _U32)
    _check_number("mcu_target", parts.mcu_target, _U8)
    _check_number("flags", parts.flags, _KNOWN_FLAGS)
    if parts.flags & ModuleFlag.PREFIX_EXTENSIONS:
        raise ValueError("the flag PREFIX_EXTENSIONS follows from prefix_extensions; leave it out of flags")
    _check_dependencies(parts.dependencies)
    _check_tlvs("prefix_extensions", parts.prefix_extensions)
    if parts.prefix_extensions and parts.prefix_extensions[-1].type != END:
        raise ValueError("prefix_extensions: the last TLV must be END")
    if parts.suffix is not None:
        _check_suffix(parts.suffix)
    elif parts.body[-2:] not in (b"\0\0", _ERASED):
        raise ValueError(f"body ends with {parts.body[-2:].hex(' ')}; without a suffix that must be 00 00 or ff ff")
    if parts.end_address > _U32:
        raise ValueError(f"end_address 0x{parts.end_address:x} is beyond 0xffffffff: start_address or body too large")


def _check_dependencies(dependencies: object) -> None:
    if not isinstance(dependencies, tuple) or len(dependencies) > 2:
        raise ValueError(f"dependencies are {dependencies!r}, not a tuple of at most two")
    for number, dependency in enumerate(dependencies):
        if not isinstance(dependency, Dependency):
            raise ValueError(f"dependencies[{number}] is {dependency!r}, no Dependency")
        _check_function(f"dependencies[{number}].function", dependency.function, least=0)
        _check_number(f"dependencies[{number}].index", dependency.index, _U8)
        _check_number(f"dependencies[{number}].version", dependency.version, _U16)


def _check_suffix(suffix: object) -> None:
    if not isinstance(suffix, Suffix):
        raise ValueError(f"suffix is {suffix!r}, neither a Suffix nor None")
    _check_bytes("suffix.raw_product", suffix.raw_product)
    _check_tlvs("suffix.extensions", suffix.extensions)
    _check_number("suffix.reserved", suffix.reserved, _U16)
    if not isinstance(suffix.hash_cover, HashCover):
        raise ValueError(f"suffix.hash_cover is {suffix.hash_cover!r}, no HashCover")
    raw, extensions = suffix.raw_product, suffix.extensions
    is_closed = bool(extensions) and extensions[-1].type == END
    if extensions and not raw and suffix.size_bytes in (40, 42):
        raise ValueError("suffix: with 40 or 42 bytes in all it would be read as product data, not as TLVs")
    # Behind TLVs only END, or what looks like erased flash, tells readers to stop.
    if raw and not (is_closed or raw.startswith(_ERASED) or (not extensions and len(raw) in (4, 6))):
        rule = "behind extensions without END it would be read as a TLV" if extensions else "0, 4 or 6 can stand there"
        raise ValueError(f"suffix.raw_product has {len(raw)} bytes ({raw[:8].hex(' ')}): {rule}")
    if suffix.size_bytes > MAX_SUFFIX_SIZE_BYTES:
        raise ValueError(f"suffix has {suffix.size_bytes} bytes, the most is {MAX_SUFFIX_SIZE_BYTES}")


def _check_tlvs(field: str, extensions: object) -> None:
    if not isinstance(extensions, tuple):
        raise ValueError(f"{field} is {type(extensions).__name__}, not a tuple of Tlv")
    for number, tlv in enumerate(extensions):
        if not isinstance(tlv, Tlv):
            raise ValueError(f"{field}[{number}] is {tlv!r}, no Tlv")
        _check_number(f"{field}[{number}].type", tlv.type, _U16 - 1)
        _check_bytes(f"{field}[{number}].payload", tlv.payload)
        if len(tlv.payload) > _MAX_TLV_PAYLOAD_BYTES:
            raise ValueError(
                f"{field}[{number}].payload has {len(tlv.payload)} bytes, the most is {_MAX_TLV_PAYLOAD_BYTES}"
            )
        if tlv.type == END and number + 1 < len(extensions):
            raise ValueError(f"{field}[{number}] is END; nothing behind it would be read")


def _check_function(field: str, value: object, *, least: int) -> None:
    known = {int(f) for f in ModuleFunction if f >= least}
    if not isinstance(value, int) or value not in known:
        raise ValueError(f"{field} is {value!r}, not a ModuleFunction from {min(known)} to {max(known)}")


def _check_number(field: str, value: object, most: int) -> None:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{field} is {value!r}, not a number from 0 to {most}")


def _check_bytes(field: str, value: object) -> None:
    if not isinstance(value, bytes | bytearray):
        raise ValueError(f"{field} is {type(value).__name__}, not bytes")


def _little(field: str, value: int, size_bytes: int) -> bytes:
    _check_number(field, value, (1 << 8 * size_bytes) - 1)
    return value.to_bytes(size_bytes, "little")
