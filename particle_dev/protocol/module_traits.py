"""What follows from a parsed module: is it an application, is it protected, which assets does it want, is there more
than one module in the file. Light enough for ``inspect``.

Source: device-os v6.2.0 ``dynalib/inc/module_info.h`` (module_info_asset_dependency_ext_t,
module_info_security_mode_ext_t), ``services/src/security_mode.cpp`` (only a bootloader's suffix counts).
"""

from __future__ import annotations

from typing import NamedTuple

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.extension import AssetReference, extension_value
from particle_dev.protocol.module import Extension, ExtensionType, Module, parse, verify

HASH_SHA256 = 0
_SHA256_SIZE = 32
_SECURITY_MODES = {0: "none", 1: "protected"}


class AssetDependency(NamedTuple):
    """An asset that an application wants. ``sha256`` is of the raw asset; empty with a hash type that is not known.
    ``offset`` is the file offset of the TLV."""

    name: str
    sha256: bytes
    offset: int


def is_application(module: Module) -> bool:
    """Whether a device could run the module as its application: intact, user part or mono firmware, readable as it is.

    Never true for encrypted modules, bootloaders, NCP firmware, radio stacks and assets.
    """
    opaque = ModuleFlag.ENCRYPTED | ModuleFlag.COMBINED
    is_kind = module.function in (ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
    return module.ok and is_kind and not module.flags & opaque


def is_packed(function: int, flags: ModuleFlag) -> bool:
    """Whether a module carries data with rules of its own: :func:`particle_dev.protocol.packed.check_packed`."""
    return function == ModuleFunction.ASSET or ModuleFlag.COMPRESSED in flags


def security_mode(module: Module) -> str | None:
    """``protected`` for a bootloader that locks its device, None for a module that says nothing about it."""
    if module.function != ModuleFunction.BOOTLOADER:
        return None
    suffix_start = module.size_bytes - 4 - module.suffix_size_bytes
    for extension in module.extensions:
        if extension.type == ExtensionType.SECURITY_MODE and extension.offset >= suffix_start and extension.payload:
            return _SECURITY_MODES.get(extension.payload[0], f"unknown ({extension.payload[0]})")
    return None


def asset_dependencies(module: Module) -> tuple[AssetDependency, ...]:
    """The assets a module wants, in file order. Raises ModuleFormatError ``bad_extension``."""
    return tuple(_asset_dependency(e) for e in module.extensions if e.type == ExtensionType.ASSET_DEPENDENCY)


def extension_of(module: Module, extension_type: ExtensionType) -> Extension | None:
    """The first TLV of a type."""
    return next((e for e in module.extensions if e.type == extension_type), None)


def notes(module: Module) -> tuple[str, ...]:
    """Sentences on what is special about a module, for people."""
    texts = []
    if ModuleFlag.ENCRYPTED in module.flags:
        texts.append("encrypted for the device: prefix and checksums can be read, the code cannot")
    mode = security_mode(module)
    if mode == "protected":
        texts.append("protected bootloader: flashing it LOCKS a device that is not protected yet")
    elif mode:
        texts.append(f"bootloader with security mode {mode}")
    if module.function == ModuleFunction.NCP_FIRMWARE:
        texts.append("firmware of the network processor: goes through the running device, not through DFU")
    if module.function == ModuleFunction.RADIO_STACK and module.payload_offset:
        texts.append("radio stack: DFU writes it without its prefix")
    if ModuleFlag.COMPRESSED in module.flags:
        texts.append("compressed: the device expands it; DFU needs the expanded file")
    name = extension_of(module, ExtensionType.NAME)
    if module.function == ModuleFunction.ASSET and name:
        texts.append(f"asset {name.payload.decode('utf-8', 'replace')!r}")
    try:
        wanted = asset_dependencies(module)
        texts += [f"wants asset {d.name!r}, SHA-256 {d.sha256.hex()[:16] or 'of another kind'}" for d in wanted]
    except ModuleFormatError as error:
        texts.append(error.message)
    return tuple(texts)


class Piece(NamedTuple):
    """A module as it stands in a file. ``offset`` is where it begins; ``number`` counts from 1, None when it is alone.
    The last piece holds what follows it and is no module."""

    offset: int
    data: bytes
    number: int | None
    is_last: bool

    def name_in(self, file: str) -> str:
        """``file``, or ``file#2`` for the second of several."""
        return file if self.number is None else f"{file}#{self.number}"


def module_pieces(data: bytes) -> tuple[Piece, ...]:
    """The modules in a file, announced by the COMBINED flag or just one behind the other, damaged and cut ones
    included. A file that begins with no module is one piece. Raises nothing."""
    view = memoryview(data)
    starts = [0]
    end = 0
    while True:
        try:
            end += parse(view[end:], check_sha256=False).size_bytes
        except ModuleFormatError as error:
            if error.code != "truncated" and len(starts) > 1:
                starts.pop()
            break
        if end == len(data):
            break
        starts.append(end)
    ends = [*starts[1:], len(data)]
    return tuple(
        Piece(start, data[start:stop], number if len(starts) > 1 else None, number == len(starts))
        for number, (start, stop) in enumerate(zip(starts, ends, strict=True), start=1)
    )


def intact_piece(piece: Piece) -> Module:
    """The module in a piece. Raises ModuleFormatError for its first problem, with the offset in the file."""
    try:
        module = parse(piece.data)
        if not piece.is_last:
            module = module._replace(problems=tuple(p for p in module.problems if p.code != "combined_incomplete"))
        verify(module)
    except ModuleFormatError as error:
        if error.offset is not None:
            error.offset += piece.offset
        raise
    return module


def _asset_dependency(extension: Extension) -> AssetDependency:
    reference = extension_value(extension)
    assert isinstance(reference, AssetReference), "the type says so"
    is_sha256 = (reference.hash_type, len(reference.hash)) == (HASH_SHA256, _SHA256_SIZE)
    return AssetDependency(reference.name, reference.hash if is_sha256 else b"", extension.offset)
