"""The applications in question, for ``particle-dev firmware check``: in files, folders, archives and bundles."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from particle_dev.catalog.modules import APPLICATIONS, ModuleFlag
from particle_dev.errors import FirmwareStoreError, FormatError, ModuleFormatError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.bundle_files import read_bundle_file
from particle_dev.flash.files import about_file, read_module_files, take_module
from particle_dev.flash.firmware_sources import is_container, read_sources, zip_member_names
from particle_dev.protocol.bundle import bundle_problems, is_bundle
from particle_dev.protocol.compressed import expand
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_traits import module_pieces


class Applications:
    """``modules``: what was found; ``with_assets``: SHA-256 of those that came with their assets, in a bundle;
    ``unusable``: why the other files are none."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.modules: list[ModuleFile] = []
        self.with_assets: set[str] = set()
        self.unusable: list[FormatError] = []
        for path in paths:
            try:
                if not path.exists() or not is_container(path):
                    self._add_file(path)
                elif is_bundle(zip_member_names(path)):
                    self._add_bundle(path)
                else:
                    self._add_container(path)
            except FormatError as error:
                self.unusable.append(error)
            except FirmwareStoreError as error:
                self.unusable.append(_unreadable(error))

    def _add_file(self, path: Path) -> None:
        found, contents = read_module_files([path])
        # Of several modules in one file, the applications are the ones in question.
        for file in [file for file in found if file.module.function in APPLICATIONS] or found:
            with about_file(str(path)):
                self.modules.append(_expanded(file, contents[file.sha256]))

    def _add_bundle(self, path: Path) -> None:
        with about_file(str(path)):
            bundle = read_bundle_file(path)
            (piece,) = module_pieces(bundle.application)
            data, module = take_module(piece)
            for problem in bundle_problems(bundle, module):
                hint = "build the bundle again from the original application and assets"
                raise ModuleFormatError(problem.message, code=problem.code, offset=problem.offset, hint=hint)
            self._add(f"{path}:{bundle.application_name}", data)
        self.with_assets.add(self.modules[-1].sha256)

    def _add_container(self, path: Path) -> None:
        before = len(self.modules), len(self.unusable)
        for source in read_sources(path):
            if isinstance(source, FirmwareStoreError):
                self.unusable.append(_unreadable(source))
                continue
            for piece in module_pieces(source.data):
                name = piece.name_in(source.source)
                try:
                    with about_file(name):
                        data, module = take_module(piece)
                        if module.function in APPLICATIONS:
                            self._add(name, data)
                except ModuleFormatError as error:
                    if error.code != "no_prefix":
                        self.unusable.append(error)
        if before == (len(self.modules), len(self.unusable)):
            raise ModuleFormatError(
                f"{path} holds no application", code="no_application", file=str(path), hint="give an application (.bin)"
            )

    def _add(self, name: str, data: bytes) -> None:
        file = ModuleFile(parse(data), hashlib.sha256(data).hexdigest(), name)
        self.modules.append(_expanded(file, data))


def _expanded(file: ModuleFile, data: bytes) -> ModuleFile:
    """What a compressed module becomes on the board, which is what has to fit and run there."""
    if not file.module.flags & ModuleFlag.COMPRESSED:
        return file
    return ModuleFile(parse(expand(data)), file.sha256, f"{file.file_name}, expanded")


def _unreadable(error: FirmwareStoreError) -> ModuleFormatError:
    return ModuleFormatError(error.message, code="unreadable", file=error.path, hint=error.hint)
