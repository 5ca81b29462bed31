"""Compressed modules: a device receives them over the air or USB and expands them itself.

    prefix 24 B [+ TLVs] | header 8 B | raw Deflate stream | suffix | CRC-32

    header  +0 header size u16, 8 or more  +2 method u8, 0 = raw Deflate  +3 window bits u8, 0 = 15
            +4 size of the expanded data u32

The stream holds the whole original file; with DROP_MODULE_INFO (assets) only what lies between its prefix and suffix.
A device demands that the stream expands to exactly the size in the header and ignores what follows the stream's end.
The size of a stream depends on the zlib in use: compare expanded modules, never compressed ones.

Source: device-os v6.2.0 ``dynalib/inc/module_info.h`` (compressed_module_header),
``platform/MCU/nRF52840/src/flash_mal.c`` and ``platform/MCU/rtl872x/src/flash_mal.c`` (flash_decompress),
``hal/src/nRF52840/ota_module.cpp`` (kinds).
"""

from __future__ import annotations

import zlib
from dataclasses import replace

from construct import ConstructError, Int8ul, Int16ul, Int32ul, Struct

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import platform_by_id
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import parse, verify
from particle_dev.protocol.module_build import ModuleParts, build, take_apart

_HEADER = Struct("size" / Int16ul, "method" / Int8ul, "window_bits" / Int8ul, "original_size" / Int32ul)
_RAW_DEFLATE = 0
_DEFAULT_WINDOW_BITS = 15
_KINDS = (ModuleFunction.USER_PART, ModuleFunction.SYSTEM_PART, ModuleFunction.ASSET)
_FIRST_GENERATION_WITH_INFLATE = 3


def compress(data: bytes, *, level: int = 9) -> bytes:
    """The module in its compressed form.

    Raises ModuleFormatError: ``compressed``, ``combined``; ``not_compressible`` for a kind, platform or prefix that no
    device expands; as :func:`~particle_dev.protocol.module_build.take_apart`.
    """
    parts = take_apart(data)
    for flag in (ModuleFlag.COMPRESSED, ModuleFlag.COMBINED):
        if flag in parts.flags:
            word = str(flag.name).lower()
            raise ModuleFormatError(f"The module is {word} already.", code=word, hint="give the original module")
    reason = _why_not(parts)
    if reason:
        raise ModuleFormatError(reason, code="not_compressible", hint="flash the module as it is")
    original = parts.body if ModuleFlag.DROP_MODULE_INFO in parts.flags else data
    deflate = zlib.compressobj(level, zlib.DEFLATED, -_DEFAULT_WINDOW_BITS)
    stream = deflate.compress(original) + deflate.flush()
    header = {"size": _HEADER.sizeof(), "method": _RAW_DEFLATE, "window_bits": 0, "original_size": len(original)}
    return build(
        replace(parts, head=b"", body=_HEADER.build(header) + stream, flags=parts.flags | ModuleFlag.COMPRESSED)
    )


def expand(data: bytes) -> bytes:
    """The module that the device makes of a compressed one.

    Raises ModuleFormatError: ``not_compressed``; ``combined`` (split it first); ``bad_compression`` when header or
    stream are damaged or the expanded size is not the one of the header; the codes of
    :func:`~particle_dev.protocol.module.parse` when what comes out is no intact module; as
    :func:`~particle_dev.protocol.module_build.take_apart`.
    """
    parts = take_apart(data)
    if ModuleFlag.COMPRESSED not in parts.flags:
        raise ModuleFormatError("The module is not compressed.", code="not_compressed", hint="use it as it is")
    if ModuleFlag.COMBINED in parts.flags:
        raise ModuleFormatError("The module is combined.", code="combined", hint="split it first")
    expanded = _inflate(parts.body)
    if ModuleFlag.DROP_MODULE_INFO in parts.flags:
        return build(replace(parts, body=expanded, flags=parts.flags & ~ModuleFlag.COMPRESSED))
    verify(parse(expanded), file="expanded module")
    return expanded


def _inflate(body: bytes) -> bytes:
    try:
        header = _HEADER.parse(body)
    except ConstructError as error:
        raise _damaged("The header of the compressed data is cut.") from error
    if header.size < _HEADER.sizeof() or header.method != _RAW_DEFLATE:
        raise _damaged(f"Header size {header.size} with method {header.method} is not known.")
    if header.window_bits != 0 and not 8 <= header.window_bits <= _DEFAULT_WINDOW_BITS:
        raise _damaged(f"There is no Deflate window of {header.window_bits} bits.")
    inflate = zlib.decompressobj(-_DEFAULT_WINDOW_BITS)
    try:
        # One byte more than promised is enough to know that the promise is broken.
        expanded = inflate.decompress(body[header.size :], header.original_size + 1)
    except zlib.error as error:
        raise _damaged(f"The compressed data is damaged: {error}.") from error
    if not inflate.eof and len(expanded) <= header.original_size:
        raise _damaged("The compressed data ends too early.")
    if len(expanded) != header.original_size:
        what = "more" if len(expanded) > header.original_size else str(len(expanded))
        raise _damaged(f"The header promises {header.original_size} bytes, the data expands to {what}.")
    return expanded


def _why_not(parts: ModuleParts) -> str | None:
    if parts.function not in _KINDS:
        return f"Devices expand user parts, system parts and assets, not a {parts.function.label}."
    if parts.function == ModuleFunction.ASSET:
        return None
    platform = platform_by_id(parts.platform_id)
    if platform is None or platform.generation < _FIRST_GENERATION_WITH_INFLATE:
        return f"The bootloader of {platform.name if platform else 'this platform'} cannot expand modules."
    # Its decompressor takes the header right behind the 24 bytes of the prefix.
    if parts.prefix_extensions and not (platform.layout and platform.layout.user_extensions_in_prefix):
        return f"The bootloader of {platform.name} does not expand modules with extensions in the prefix."
    if parts.head and ModuleFlag.DROP_MODULE_INFO in parts.flags:
        return "A module with a vector table in front cannot lose its prefix."
    return None


def _damaged(message: str) -> ModuleFormatError:
    return ModuleFormatError(message, code="bad_compression", hint="compress the original module again")
