"""What somebody offers for one board: module files, folders and archives of a release, application bundles, releases of
the firmware store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform
from particle_dev.errors import FirmwareStoreError, ModuleFormatError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.bundle_files import read_bundle_file
from particle_dev.flash.files import about_file, read_module_files, take_module
from particle_dev.flash.firmware_sources import STANDARD_INPUT, is_container, read_sources, zip_member_names
from particle_dev.flash.store import FirmwareStore
from particle_dev.flash.stored_module import StoredModule
from particle_dev.protocol.bundle import is_bundle
from particle_dev.protocol.module import Module, parse
from particle_dev.protocol.module_traits import module_pieces


@dataclass(slots=True)
class Offer:
    """Modules in the order in which they were offered, and their bytes by SHA-256. The same file twice counts once."""

    files: list[ModuleFile] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)

    def add(self, module: Module, data: bytes, name: str) -> None:
        """One module."""
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in self.contents:
            self.files.append(ModuleFile(module, sha256, name))
            self.contents[sha256] = data

    def add_paths(self, paths: Iterable[Path], platform: Platform) -> None:
        """Files, or folders and archives, of which only the modules for ``platform`` count. A zip file with one
        application and assets is a bundle. Raises ModuleFormatError, FormatError, FirmwareStoreError."""
        for path in paths:
            if str(path) == STANDARD_INPUT or not _is_container(path):
                modules, contents = read_module_files([path])
                for file in modules:
                    self.add(file.module, contents[file.sha256], file.file_name)
            elif _is_bundle(path):
                self._add_bundle(path)
            else:
                self._add_container(path, platform)

    def add_stored(self, store: FirmwareStore, modules: Iterable[StoredModule]) -> tuple[ModuleFile, ...]:
        """Modules of the firmware store. Raises FirmwareStoreError."""
        for stored in modules:
            data = store.read(stored.sha256)
            self.add(parse(data), data, stored.file_name)
        wanted = {m.sha256 for m in modules}
        return tuple(f for f in self.files if f.sha256 in wanted)

    def _add_bundle(self, path: Path) -> None:
        from particle_dev.protocol.asset import make_asset_module  # noqa: PLC0415  construct is slow to import

        with about_file(str(path)):
            bundle = read_bundle_file(path)
            (application,) = module_pieces(bundle.application)
            data, module = take_module(application)
            self.add(module, data, bundle.application_name)
            for asset in bundle.assets:
                data = make_asset_module(asset)
                self.add(parse(data), data, asset.name)

    def _add_container(self, path: Path, platform: Platform) -> None:
        found = 0
        for source in read_sources(path):
            for piece in module_pieces(source.data):
                with about_file(piece.name_in(source.source)):
                    try:
                        data, module = take_module(piece)
                    except ModuleFormatError as error:
                        if error.code == "no_prefix":
                            continue
                        raise
                if module.function == ModuleFunction.ASSET or module.platform_id == platform.id:
                    self.add(module, data, piece.name_in(source.name))
                    found += 1
        if not found:
            raise FirmwareStoreError(
                f"{path} holds no module for {platform.display_name}",
                path=str(path),
                hint="give a folder or archive with module files (.bin) for that platform",
            )


def release_offer(store: FirmwareStore, platform: Platform, release: str, offer: Offer) -> tuple[ModuleFile, ...]:
    """Add the modules of a Device OS release from the store. Raises FirmwareStoreError when it has not all of them."""
    return offer.add_stored(store, store.device_os_set(platform.name, release).modules)


def release_if_stored(store: FirmwareStore, platform: Platform, release: str, offer: Offer) -> Sequence[ModuleFile]:
    """The modules of a release and the newest firmware of the platform's other chips, none when the store has not all
    of the release; ``offer`` keeps their bytes, but does not offer them."""
    try:
        modules = list(store.device_os_set(platform.name, release).modules)
    except FirmwareStoreError:
        return ()
    for slot in platform.extra_modules:
        modules += store.find(platform.id, slot.function, slot.index)[-1:]
    aside = Offer()
    files = aside.add_stored(store, modules)
    offer.contents.update(aside.contents)
    return files


def _is_container(path: Path) -> bool:
    try:
        return is_container(path)
    except FirmwareStoreError:
        # Reading it as a module file says what is wrong with it.
        return False


def _is_bundle(path: Path) -> bool:
    return path.suffix == ".zip" and path.is_file() and is_bundle(zip_member_names(path))
