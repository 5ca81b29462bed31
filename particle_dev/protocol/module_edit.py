"""Changes to existing modules: product numbers, extensions, device protection, combined files.

Every function takes the bytes of an intact module and returns new bytes with lengths, SHA-256 and CRC-32 made anew. All
raise ModuleFormatError as :func:`~particle_dev.protocol.module_build.take_apart` for what is no such module.

Source: npm binary-version-reader 3.1.3 ``lib/moduleEncoding.js`` (where new TLVs go, END, alignment); device-os v6.2.0
``services/src/security_mode.cpp``, ``hal/src/nRF52840/ota_flash_hal.cpp`` (MAX_COMBINED_MODULE_COUNT).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from particle_dev.catalog.modules import APPLICATIONS, ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import platform_by_id
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import ExtensionType, Product
from particle_dev.protocol.module_build import (
    END,
    NO_PRODUCT,
    ModuleParts,
    Suffix,
    Tlv,
    build,
    end_of_extensions,
    take_apart,
)
from particle_dev.protocol.module_parts import MAX_SUFFIX_SIZE_BYTES
from particle_dev.protocol.module_traits import Piece, intact_piece, module_pieces

MAX_COMBINED_MODULES = 2
"""What a device applies of one file."""
_HINT_SMALLER = "make the module smaller, or give it fewer assets"
_MIN_PRODUCT_SUFFIX = 40
_START_ALIGNMENT = 8
_PROTECTED = 1
_MIN_PROTECTED_BOOTLOADER = 3000


def set_product(data: bytes, product: Product) -> bytes:
    """The same firmware for another product id and version.

    Raises ModuleFormatError: ``not_application``; ``compressed`` and ``combined`` (expand or split first);
    ``no_product_data`` when its suffix has no room; as :func:`take_apart`. Raises ValueError for numbers out of range.
    """
    parts = _editable(data)
    if parts.function not in APPLICATIONS:
        raise ModuleFormatError(
            f"A {parts.function.label} belongs to no product.",
            code="not_application",
            hint="give the application (user part) of the product",
        )
    suffix = parts.suffix
    if suffix is None or suffix.size_bytes < _MIN_PRODUCT_SUFFIX:
        raise ModuleFormatError(
            "The module's suffix has no room for product id and version.",
            code="no_product_data",
            hint="build the application anew",
        )
    return build(replace(parts, suffix=suffix.with_product(product)))


def add_extensions(data: bytes, extensions: Iterable[Tlv], *, replace_same_type: bool = True) -> bytes:
    """The module with more TLVs, where its platform reads them: in front of those of the suffix, or behind those of
    the prefix of an RTL872x user part, whose start address then moves down and is a multiple of 8. With none, as it is.

    Raises ModuleFormatError: ``compressed``, ``combined``, ``no_suffix``, ``product_u32`` (its wide product id has no
    TLV form), ``too_large`` for the module's slot or suffix; as :func:`take_apart`.
    """
    parts = _editable(data)
    new = tuple(extensions)
    if not new:
        return build(parts)
    dropped = {tlv.type for tlv in new} if replace_same_type else set()
    if _grows_down(parts):
        kept = _without(parts.prefix_extensions, {*dropped, END})
        return _build_checked(_with_prefix_extensions(parts, (*kept, *new)))
    suffix = _tlv_suffix(parts)
    return _build_checked(replace(parts, suffix=_closed(suffix, (*new, *_without(suffix.extensions, dropped)))))


def remove_extensions(data: bytes, types: Collection[int]) -> bytes:
    """The module without the TLVs of these types; with none left also without END, as it was before the first.

    Raises ModuleFormatError as :func:`add_extensions`, and ValueError when product data is to be removed.
    """
    if ExtensionType.PRODUCT_DATA in types:
        raise ValueError("devices read product data; set it, do not remove it")
    parts = _editable(data)
    if _grows_down(parts):
        return build(_with_prefix_extensions(parts, _without(parts.prefix_extensions, {*types, END})))
    suffix = _tlv_suffix(parts)
    kept = _without(suffix.extensions, types)
    if all(tlv.type == END for tlv in kept):
        return build(replace(parts, suffix=replace(suffix, extensions=())))
    return build(replace(parts, suffix=_closed(suffix, kept)))


def protect_bootloader(data: bytes, certificate: bytes = b"") -> bytes:
    """The bootloader that protects a device. Flashing the result to a device that is not protected LOCKS it: DFU reads,
    SWD and unprotected bootloaders are refused from then on.

    Raises ModuleFormatError: ``not_bootloader``; ``not_protectable`` when the platform or the bootloader's version
    (3000 at least) knows no device protection; as :func:`add_extensions`.
    """
    parts = _editable(data)
    platform = platform_by_id(parts.platform_id)
    if (parts.function, parts.index) != (ModuleFunction.BOOTLOADER, 0):
        message = "Only bootloader 0 can protect a device."
        raise ModuleFormatError(message, code="not_bootloader", hint="give the bootloader of the release")
    if platform is None or not platform.device_protection or parts.version < _MIN_PROTECTED_BOOTLOADER:
        raise ModuleFormatError(
            f"Bootloader version {parts.version} of {platform.name if platform else 'an unknown platform'} cannot "
            "protect a device.",
            code="not_protectable",
            hint="take the bootloader of Device OS 6.1.1 or later for a Boron, B-SoM, Tracker, P2 or newer board",
        )
    payload = bytes([_PROTECTED]) + certificate
    return add_extensions(data, [Tlv(ExtensionType.SECURITY_MODE, payload)])


def combine(modules: Sequence[bytes]) -> bytes:
    """One file of two modules, for one update over the air or USB. The COMBINED flag of the first announces the second.

    Raises ModuleFormatError: ``too_many`` (devices apply two), ``combined`` when one is combined
    already, ``mixed_platforms``.
    """
    if not 1 < len(modules) <= MAX_COMBINED_MODULES:
        raise ModuleFormatError(
            f"A device takes {MAX_COMBINED_MODULES} modules in one file, not {len(modules)}.",
            code="too_many",
            hint="flash the others by themselves",
        )
    all_parts = [take_apart(data) for data in modules]
    if any(ModuleFlag.COMBINED in parts.flags for parts in all_parts):
        raise ModuleFormatError("One of the modules is combined already.", code="combined", hint="split it first")
    if len({parts.platform_id for parts in all_parts if parts.function != ModuleFunction.ASSET}) > 1:
        message = "The modules are for different platforms."
        raise ModuleFormatError(message, code="mixed_platforms", hint="combine modules of one platform")
    *firsts, last = all_parts
    return b"".join(build(replace(p, flags=p.flags | ModuleFlag.COMBINED)) for p in firsts) + build(last)


def split(data: bytes) -> tuple[bytes, ...]:
    """The modules of a file, each complete in itself; a plain module comes back alone.

    Raises ModuleFormatError for the first problem of any of them, ``combined_incomplete`` when the module announced
    last is missing, ``trailing_data`` when what follows is no module.
    """
    return tuple(standalone(piece) for piece in module_pieces(data))


def standalone(piece: Piece) -> bytes:
    """A module of a file as a file of its own. Raises ModuleFormatError when it is not intact."""
    if ModuleFlag.COMBINED not in intact_piece(piece).flags:
        return piece.data
    parts = take_apart(piece.data)
    return build(replace(parts, flags=parts.flags & ~ModuleFlag.COMBINED))


# ---- changes --------------------------------------------------------------------------------------------------------


def _editable(data: bytes) -> ModuleParts:
    parts = take_apart(data)
    for flag, command in ((ModuleFlag.COMPRESSED, "expand"), (ModuleFlag.COMBINED, "split")):
        if flag in parts.flags:
            word = str(flag.name).lower()
            hint = f"first run: particle-dev firmware {command}"
            raise ModuleFormatError(f"The module is {word}.", code=word, hint=hint)
    return parts


def _grows_down(parts: ModuleParts) -> bool:
    """Tell whether new TLVs belong into the prefix and the end address is fixed."""
    platform = platform_by_id(parts.platform_id)
    layout = platform.layout if platform else None
    is_rtl_application = layout and layout.user_extensions_in_prefix and parts.function == ModuleFunction.USER_PART
    return bool(parts.prefix_extensions or is_rtl_application)


def _with_prefix_extensions(parts: ModuleParts, extensions: tuple[Tlv, ...]) -> ModuleParts:
    """The parts with these TLVs and END in the prefix, and the start moved so that the end stays."""
    end_address = parts.end_address
    closed = (*extensions, end_of_extensions()) if extensions else ()
    moved = replace(parts, prefix_extensions=closed)
    start = end_address - moved.length_bytes
    if extensions:
        padding = start % _START_ALIGNMENT
        start -= padding
        moved = replace(moved, prefix_extensions=(*extensions, end_of_extensions(padding)))
    if start < 0:
        raise ModuleFormatError("The module would begin below address 0.", code="too_large", hint=_HINT_SMALLER)
    suffix = moved.suffix and replace(
        moved.suffix, extensions=tuple(_located(tlv, start) for tlv in moved.suffix.extensions)
    )
    return replace(moved, start_address=start, suffix=suffix)


def _located(tlv: Tlv, start_address: int) -> Tlv:
    if tlv.type != ExtensionType.DYNAMIC_LOCATION:
        return tlv
    return replace(tlv, payload=start_address.to_bytes(4, "little") + tlv.payload[4:])


def _tlv_suffix(parts: ModuleParts) -> Suffix:
    suffix = parts.suffix
    if suffix is None:
        message = "The module has no suffix for extensions."
        raise ModuleFormatError(message, code="no_suffix", hint="build the module anew")
    if suffix.has_wide_product:
        raise ModuleFormatError(
            "A product id of 32 bits cannot stand behind extensions.",
            code="product_u32",
            hint="build the application anew",
        )
    return suffix


def _closed(suffix: Suffix, extensions: tuple[Tlv, ...]) -> Suffix:
    """The suffix with these TLVs; END parts them from raw product data, which only a PRODUCT_DATA TLV replaces."""
    last = extensions[-1].type
    if last == ExtensionType.PRODUCT_DATA:
        return replace(suffix, extensions=extensions)
    if last != END:
        extensions = (*extensions, end_of_extensions())
    return replace(suffix, extensions=extensions, raw_product=suffix.raw_product or NO_PRODUCT)


def _without(extensions: Iterable[Tlv], types: Collection[int]) -> tuple[Tlv, ...]:
    return tuple(tlv for tlv in extensions if tlv.type not in types)


def _build_checked(parts: ModuleParts) -> bytes:
    """The file, unless its suffix or its slot has no room for it."""
    if parts.suffix and parts.suffix.size_bytes > MAX_SUFFIX_SIZE_BYTES:
        raise ModuleFormatError(
            f"The module's suffix would have {parts.suffix.size_bytes} bytes, the most is {MAX_SUFFIX_SIZE_BYTES}.",
            code="too_large",
            hint="give it fewer extensions, or assets with shorter names",
        )
    data = build(parts)
    platform = platform_by_id(parts.platform_id)
    slot = platform.slot_for(parts.function, parts.index) if platform else None
    if slot and len(data) > slot.max_size_bytes:
        raise ModuleFormatError(
            f"The module would have {len(data)} bytes, its place on the device {slot.max_size_bytes}.",
            code="too_large",
            hint=_HINT_SMALLER,
        )
    return data
