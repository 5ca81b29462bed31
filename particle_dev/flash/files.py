"""Module files given by path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from particle_dev.catalog.modules import ModuleFlag
from particle_dev.errors import FirmwareStoreError, FormatError, ModuleFormatError
from particle_dev.flash.firmware_sources import read_input
from particle_dev.flash.plan import ModuleFile
from particle_dev.protocol.module import Module, parse
from particle_dev.protocol.module_traits import Piece, intact_piece, module_pieces


def read_module_files(paths: Sequence[Path]) -> tuple[list[ModuleFile], dict[str, bytes]]:
    """The modules with their bytes by sha256; ``-`` is standard input. Several modules in one file come apart, as
    ``FILE#1`` and ``FILE#2``. Raises ModuleFormatError, with file and offset, for a file that cannot be read or has a
    module that is not intact."""
    modules = []
    contents = {}
    for path in paths:
        for piece in module_pieces(_read(path)):
            with about_file(piece.name_in(str(path))):
                data, module = take_module(piece)
            sha256 = hashlib.sha256(data).hexdigest()
            modules.append(ModuleFile(module, sha256, piece.name_in(path.name)))
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


def take_module(piece: Piece) -> tuple[bytes, Module]:
    """A module of a file, complete in itself. Raises ModuleFormatError for its first problem; offsets count in the
    file."""
    module = intact_piece(piece)
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


def _read(path: Path) -> bytes:
    try:
        return read_input(path)
    except FirmwareStoreError as error:
        raise ModuleFormatError(
            error.message, code="unreadable", file=str(path), hint="give the path of a module file (.bin)"
        ) from error
