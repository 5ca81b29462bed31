"""Module files given by path."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from particle_dev.errors import ModuleFormatError
from particle_dev.flash.plan import ModuleFile
from particle_dev.protocol.module import parse, verify


def read_module_files(paths: Sequence[Path]) -> tuple[list[ModuleFile], dict[str, bytes]]:
    """The modules with the bytes of their files by sha256. Raises ModuleFormatError, with file and offset, for a file
    that cannot be read or is no intact module."""
    modules = []
    contents = {}
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModuleFormatError(
                f"{path}: {error.strerror}",
                code="unreadable",
                file=str(path),
                hint="give the path of a module file (.bin)",
            ) from error
        try:
            module = parse(data)
        except ModuleFormatError as error:
            raise ModuleFormatError(
                f"{path}: {error.message}",
                code=error.code,
                file=str(path),
                offset=error.offset,
                hint=error.hint,
            ) from error
        verify(module, file=str(path))
        sha256 = hashlib.sha256(data).hexdigest()
        modules.append(ModuleFile(module, sha256, path.name))
        contents[sha256] = data
    return modules, contents
