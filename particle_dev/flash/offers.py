"""What somebody offers for one board: module files, folders and archives of a release, application bundles, releases of
the firmware store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from particle_dev.catalog.modules import APPLICATIONS, ModuleFunction
from particle_dev.catalog.platforms import Platform
from particle_dev.errors import FirmwareStoreError, ModuleFormatError, PlanRefusedError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.boot_outcome import Finding
from particle_dev.flash.bundle_files import read_bundle_file
from particle_dev.flash.dependencies import wrong_platform
from particle_dev.flash.file_io import STANDARD_INPUT
from particle_dev.flash.files import about_file, read_module_files, take_module
from particle_dev.flash.firmware_sources import inner_archives, is_container, read_sources, zip_member_names
from particle_dev.flash.store import FirmwareStore
from particle_dev.flash.stored_module import StoredModule
from particle_dev.protocol.bundle import is_bundle
from particle_dev.protocol.module import Module, parse
from particle_dev.protocol.module_traits import module_pieces


@dataclass(slots=True)
class Offer:
    """Modules in the order in which they were offered, and their bytes by SHA-256. The same file twice counts once.
    ``skipped``: files of folders and archives that were left out, and why, a sentence each."""

    files: list[ModuleFile] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, module: Module, data: bytes, name: str) -> None:
        """One module."""
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in self.contents:
            self.files.append(ModuleFile(module, sha256, name))
            self.contents[sha256] = data

    def add_paths(self, paths: Iterable[Path], platform: Platform) -> None:
        """Files, or folders and archives, of which only the modules for ``platform`` count. A zip file with one
        application and assets is a bundle. Raises ModuleFormatError, FormatError, FirmwareStoreError;
        PlanRefusedError for a folder or archive whose applications, or system parts, are all for other boards."""
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

    def add_application(self, reference: str, store: FirmwareStore, platform: Platform) -> None:
        """An application by its file name or SHA-256 in the store, or a file: anything with a separator in it, or a
        file with a suffix whose name the store does not have.

        Raises FirmwareStoreError for a name that store and current folder both have, and as :meth:`add_paths` and
        :meth:`FirmwareStore.app`.
        """
        path = Path(reference)
        is_path = path.name != reference
        is_here = path.is_file() and bool(path.suffix)
        found = () if is_path else store.find_apps(platform.name, reference)
        if found and is_here:
            raise FirmwareStoreError(
                f"{reference} is {found[0].file_name} ({found[0].sha256[:16]}) in the firmware store, and a file here",
                path=reference,
                hint=f"say which: {found[0].sha256[:16]} or ./{reference}",
            )
        if is_path or is_here:
            self.add_paths([path], platform)
        else:
            self.add_stored(store, [store.app(platform.name, reference)])

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
        fitting: list[Module] = []
        others: list[tuple[Module, Finding]] = []
        for source in read_sources(path):
            if isinstance(source, FirmwareStoreError):
                raise source
            for piece in module_pieces(source.data):
                with about_file(piece.name_in(source.source)):
                    try:
                        data, module = take_module(piece)
                    except ModuleFormatError as error:
                        if error.code == "no_prefix":
                            self.skipped.append(f"{source.source} is no firmware module")
                            continue
                        raise
                name = piece.name_in(source.source)
                part = ModuleFile(module, "", name).part
                finding = None if module.function == ModuleFunction.ASSET else wrong_platform(platform, part)
                if finding:
                    others.append((module, finding))
                    self.skipped.append(finding.message)
                else:
                    fitting.append(module)
                    self.add(module, data, piece.name_in(source.name))
        self.skipped += [f"{name} is an archive in {path}" for name in inner_archives(path)]
        if fitting:
            _refuse_wrong_kinds(path, fitting, others)
        else:
            raise FirmwareStoreError(
                f"{path} holds no module for {platform.display_name}",
                path=str(path),
                hint="give a folder or archive with module files (.bin) for that platform",
            )


def _refuse_wrong_kinds(path: Path, fitting: Sequence[Module], others: Sequence[tuple[Module, Finding]]) -> None:
    """Who gives a folder means its application, and its system parts: that the rest of it fits does not help."""
    for kinds in (APPLICATIONS, (ModuleFunction.SYSTEM_PART,)):
        wrong = [finding for module, finding in others if module.function in kinds]
        if wrong and not any(module.function in kinds for module in fitting):
            reasons = [finding.message for finding in wrong]
            raise PlanRefusedError(
                f"{path}: refused before anything was erased: {'; '.join(reasons)}",
                reasons=reasons,
                hint="give the files for this board one by one",
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
