"""Module files given by path."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from particle_dev.catalog.modules import ModuleFlag
from particle_dev.errors import FirmwareStoreError, FormatError, ModuleFormatError
from particle_dev.flash.file_io import STANDARD_INPUT, read_input
from particle_dev.flash.firmware_sources import is_container, read_sources
from particle_dev.flash.plan import ModuleFile
from particle_dev.protocol.module import Module, parse
from particle_dev.protocol.module_traits import Piece, intact_piece, is_packed, module_pieces

_NUMBERED = re.compile(r"(.+)#([1-9]\d{0,4})")
ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
TAR_MAGIC_AT = slice(257, 262)
TAR_MAGIC = b"ustar"


def read_module_files(paths: Sequence[Path]) -> tuple[list[ModuleFile], dict[str, bytes]]:
    """The modules with their bytes by sha256; ``-`` is standard input, ``ARCHIVE:MEMBER`` a file in an archive. Several
    modules in one file come apart, as ``FILE#1`` and ``FILE#2``, which can be asked for under these names. Raises
    ModuleFormatError, with file and offset, for a file that cannot be read or has a module that is not intact."""
    modules = []
    contents = {}
    for path in paths:
        for piece in _pieces(path):
            name = str(path) if piece.number is None or str(path).endswith(f"#{piece.number}") else None
            with about_file(name or piece.name_in(str(path))):
                data, module = take_module(piece)
            sha256 = hashlib.sha256(data).hexdigest()
            modules.append(ModuleFile(module, sha256, path.name if name else piece.name_in(path.name)))
            contents[sha256] = data
    return modules, contents


def read_module_file(path: Path) -> bytes:
    """The bytes of a file of one intact module. Raises ModuleFormatError as :func:`read_module_files`, and ``combined``
    for a file of several."""
    modules, contents = read_module_files([path])
    if len(modules) > 1:
        raise ModuleFormatError(
            f"{path}: {len(modules)} modules in one file.",
            code="combined",
            file=str(path),
            hint=f"first run: particle-dev firmware split {path} --out DIR",
        )
    return contents[modules[0].sha256]


def read_module_bytes(path: Path) -> bytes:
    """A file as it is, intact or not; names as in :func:`read_module_files`. Raises ModuleFormatError when it cannot be
    read or holds files."""
    pieces = _pieces(path)
    return b"".join(piece.data for piece in pieces)


def take_module(piece: Piece) -> tuple[bytes, Module]:
    """A module of a file, complete in itself. Raises ModuleFormatError for its first problem, also with what is packed
    in it; offsets count in the file."""
    module = intact_piece(piece)
    if is_packed(module.function, module.flags):
        from particle_dev.protocol.packed import check_packed  # noqa: PLC0415  construct is slow to import

        check_packed(piece, module.function)
    if ModuleFlag.COMBINED not in module.flags:
        return piece.data, module
    from particle_dev.protocol.module_edit import standalone  # noqa: PLC0415  construct is slow to import

    data = standalone(piece)
    return data, parse(data)


@contextmanager
def about_file(file: str) -> Iterator[None]:
    """Let errors about a module name the file that it is from."""
    try:
        yield
    except FormatError as error:
        error.name_file(file)
        raise


def _pieces(path: Path) -> Sequence[Piece]:
    """The modules of a file, or the one that ``FILE#2`` names; of a member of an archive likewise."""
    file, number = path, None
    if not (path.exists() or str(path) == STANDARD_INPUT):
        match = _NUMBERED.fullmatch(str(path))
        file, number = (Path(match[1]), int(match[2])) if match else (path, None)
    data = _member(file)
    pieces = module_pieces(_read(file) if data is None else data)
    found = [piece for piece in pieces if number in (None, piece.number)]
    if not found:
        raise ModuleFormatError(
            f"{path}: {file} has no module of that number.",
            code="unreadable",
            file=str(path),
            hint=f"it has {len(pieces)}: particle-dev inspect {file}",
        )
    return found


def _member(path: Path) -> bytes | None:
    """The file that ``ARCHIVE:MEMBER`` names; None for any other name."""
    archive, colon, _ = str(path).partition(":")
    if not colon or path.exists() or not Path(archive).is_file() or not is_container(Path(archive)):
        return None
    sources = (source for source in read_sources(Path(archive)) if not isinstance(source, FirmwareStoreError))
    return next((source.data for source in sources if source.source == str(path)), None)


def _read(path: Path) -> bytes:
    try:
        data = read_input(path)
    except FirmwareStoreError as error:
        raise ModuleFormatError(
            error.message, code="unreadable", file=str(path), hint="give the path of a module file (.bin)"
        ) from error
    if data.startswith(ARCHIVE_STARTS) or data[TAR_MAGIC_AT] == TAR_MAGIC:
        _refuse_archive(path, data)
    return data


def _refuse_archive(path: Path, data: bytes) -> None:
    """An archive is no module, but may hold some."""
    hint = "unpack it first"
    what = "compressed as a whole"
    if is_container(io.BytesIO(data)):
        sources = read_sources(path if str(path) != STANDARD_INPUT else io.BytesIO(data))
        names = [source.source for source in sources if not isinstance(source, FirmwareStoreError)]
        what = "an archive or application bundle"
        hint = f"give one module of it, such as {names[0]}" if names else "give the path of a module file (.bin)"
    raise ModuleFormatError(f"{path} is {what}, no module.", code="archive", file=str(path), hint=hint)
