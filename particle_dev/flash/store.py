"""The firmware store: a folder of verified modules, named by the SHA-256 of their files.

    <root>/index.json             one entry per module (schema 1), replaced atomically under <root>/index.lock
    <root>/modules/<sha256>.bin   the files, byte for byte

Only intact modules get in, and their hash is checked again each time they are read. A damaged index is
refused, not rebuilt: names and sources, which recipes refer to, exist nowhere else. Nothing here touches a
device.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import FirmwareStoreError, ModuleFormatError
from particle_dev.flash.files import take_module
from particle_dev.flash.firmware_sources import (
    SourceFile,
    inner_archives,
    is_container,
    npm_tarball,
    parse_npm_spec,
    read_npm_tarball,
    read_sources,
    zip_member_names,
)
from particle_dev.flash.stored_module import (
    AddResult,
    DeviceOsSet,
    Refusal,
    StoredModule,
    module_from_json,
    module_to_json,
)
from particle_dev.flash.stored_release import (
    choose,
    indexes,
    known_platform,
    known_release,
    listed_version,
    releases_in,
    source_of,
)
from particle_dev.protocol.bundle import is_bundle
from particle_dev.protocol.module_traits import module_pieces
from particle_dev.whole_file import write_whole

__all__ = ["AddResult", "DeviceOsSet", "FirmwareStore", "Refusal", "StoredModule"]

SCHEMA = 1
_LOCK_TIMEOUT_S = 60
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHA256_PREFIX = re.compile(r"[0-9a-f]{12,64}")
_WORD_BORDER = re.compile(r"[-_@.]")


class FirmwareStore:
    """Modules in the folder ``root``, which the first ``add`` creates; ``is_default``: commands need not name it.

    Methods raise FirmwareStoreError when the folder, its index or a file in it cannot be used.
    """

    def __init__(
        self, root: Path, utc_now: Callable[[], datetime] = lambda: datetime.now(UTC), *, is_default: bool = False
    ) -> None:
        self.root = root
        self._utc_now = utc_now
        self._is_default = is_default

    def add_command(self, source: str) -> str:
        """The command line that adds ``source`` to this store, for hints."""
        option = "" if self._is_default else f" --store {shlex.quote(str(self.root))}"
        return f"particle-dev firmware add{option} {source}"

    def add_path(self, path: Path) -> AddResult:
        """Add the module file at ``path``, or every ``.bin`` file of a folder or of a zip or tar archive.

        In a folder or archive, files that are no modules at all are listed in ``not_modules``; a single file
        that is no module is refused. Damaged modules are refused in both; the others are added all the same. Several
        modules in one file are added each by itself, as ``FILE#1`` and ``FILE#2``. An application bundle is refused:
        here its application would lose the assets.
        """
        if is_bundle(zip_member_names(path)):
            raise FirmwareStoreError(
                f"{path} is an application bundle: the store keeps modules, and would lose its assets",
                path=str(path),
                hint=f"flash it as it is: `particle-dev flash {shlex.quote(str(path))}`",
            )
        in_container = is_container(path)
        result = self._add(read_sources(path), in_container=in_container)
        unopened = tuple(inner_archives(path)) if in_container else ()
        return replace(result, not_modules=result.not_modules + unopened)

    def add_npm(self, spec: str, cache_dir: Path) -> AddResult:
        """Add the ``.bin`` files of an npm package, ``npm:NAME@VERSION``.

        The npm client fetches the package into ``cache_dir`` once; later it is taken from there offline.
        """
        package = parse_npm_spec(spec)
        tarball = npm_tarball(package, cache_dir)
        return self._add(read_npm_tarball(tarball, package), in_container=True)

    def modules(self) -> tuple[StoredModule, ...]:
        """Every module, by platform, function, index and version."""
        return tuple(
            sorted(
                self._load_index().values(),
                key=lambda m: (m.platform_id, m.function, m.index, m.version, m.file_name, m.sha256),
            )
        )

    def problem(self, module: StoredModule, *, by_hash: bool) -> str | None:
        """What is wrong with a module's file on disk: is it there with its size, ``by_hash``: with its bytes too."""
        path = self._module_path(module.sha256)
        try:
            if path.stat().st_size != module.size_bytes:
                return f"{path} was altered on disk: its size is now {path.stat().st_size}"
            if by_hash:
                self.read(module.sha256)
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        except FirmwareStoreError as error:
            return error.message
        return None

    def read(self, sha256: str) -> bytes:
        """Return a module's bytes, checked against its hash: a file altered on disk is refused."""
        path = self._module_path(sha256)
        hint = f"add it again from its source with: {self.add_command('SOURCE')}"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FirmwareStoreError(
                f"stored module {path} cannot be read: {error.strerror}", path=str(path), hint=hint
            ) from error
        actual = hashlib.sha256(data).hexdigest()
        if actual != sha256:
            raise FirmwareStoreError(
                f"stored module {path} was altered on disk: its SHA-256 is now {actual}",
                path=str(path),
                hint=hint,
            )
        return data

    def find(self, platform_id: int, function: int, index: int, version: int | None = None) -> tuple[StoredModule, ...]:
        """Modules of that platform and slot, of one version or (None) of all, oldest version first."""
        slot = (platform_id, function, index)
        return tuple(
            m for m in self.modules() if (m.platform_id, m.function, m.index) == slot and version in (None, m.version)
        )

    def device_os_set(self, platform: str, release: str) -> DeviceOsSet:
        """Return bootloaders, radio stack and system parts of a release, for a platform by name.

        Versions are those of the release table. For what it does not list (radio stack, further bootloaders)
        it is the newest one stored, by preference from where the system part came from, and one that the system parts
        are content with. Raises
        FirmwareStoreError naming what is missing, or two different files that claim to be the same version.
        """
        board = known_platform(platform)
        stored = releases_in(self.modules(), board)
        wanted = known_release(board, release, stored)
        missing: list[str] = []

        def collect(
            function: ModuleFunction, origin: str | None = None, users: Sequence[StoredModule] = ()
        ) -> tuple[StoredModule, ...]:
            chosen = []
            for index in indexes(board, function, release):
                version = listed_version(wanted, function, index)
                needs = [d for m in users for d in m.dependencies]
                needed = max((d.version for d in needs if d[:2] == (function, index)), default=0)
                found = self.find(board.id, function, index, version)
                if version is None:
                    found = tuple(m for m in found if m.version >= needed)
                module = choose(found, origin)
                if module:
                    chosen.append(module)
                else:
                    at_least = f" v{needed} or later" if needed else ""
                    missing.append(f"{function.label} {index}" + (at_least if version is None else f" v{version}"))
            return tuple(chosen)

        system_parts = collect(ModuleFunction.SYSTEM_PART)
        origin = system_parts[0].container if system_parts else None
        bootloaders = collect(ModuleFunction.BOOTLOADER, origin, system_parts)
        radio_stack = next(iter(collect(ModuleFunction.RADIO_STACK, origin, system_parts)), None)
        if missing or not system_parts:
            others = [name for name in stored if name != release]
            raise FirmwareStoreError(
                f"the firmware store has not all of Device OS {release} for {board.name}: "
                f"{', '.join(missing) or 'system part'} missing",
                path=str(self.root),
                hint=f"run: {self.add_command(source_of(release))}"
                + (f"; stored for {board.display_name}: {' and '.join(others)}" if others else ""),
            )
        return DeviceOsSet(board, wanted, bootloaders, radio_stack, system_parts)

    def find_apps(self, platform: str, reference: str) -> Sequence[StoredModule]:
        """A platform's applications of that file name or SHA-256 (12 hex digits or more); if there is none such, those
        with that word in their file name, as ``tinker`` in ``tinker-0.8.0-rc.27-boron.bin``."""
        prefix = reference.lower()
        by_hash = _SHA256_PREFIX.fullmatch(prefix) is not None
        apps = self._apps(known_platform(platform).id)
        exact = [m for m in apps if m.file_name == reference or (by_hash and m.sha256.startswith(prefix))]
        return exact or [m for m in apps if prefix in _WORD_BORDER.split(m.file_name.lower())]

    def _apps(self, platform_id: int) -> Sequence[StoredModule]:
        kinds = (ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
        return [m for m in self.modules() if m.platform_id == platform_id and m.function in kinds]

    def app(self, platform: str, reference: str) -> StoredModule:
        """Return a platform's application by file name, by its SHA-256 (12 hex digits or more), or by a word of its
        file name.

        Raises FirmwareStoreError when none or several match.
        """
        board = known_platform(platform)
        found = self.find_apps(platform, reference)
        if len(found) == 1:
            return found[0]
        if found:
            raise FirmwareStoreError(
                f"{len(found)} applications for {board.name} match {reference}",
                path=str(self.root),
                hint=f"name one by its SHA-256: {', '.join(m.sha256[:16] for m in found)}",
            )
        names = ", ".join(sorted({m.file_name for m in self._apps(board.id)}))
        raise FirmwareStoreError(
            f"the firmware store has no application {reference} for {board.name}",
            path=str(self.root),
            hint=f"{f'stored are: {names}; ' if names else ''}add another with: {self.add_command('FILE')}",
        )

    def _add(self, sources: Iterable[SourceFile | FirmwareStoreError], *, in_container: bool) -> AddResult:
        """Write the files first and list them last: a failure in between leaves unlisted files, no gaps."""
        taken: dict[str, StoredModule] = {}
        refused: list[Refusal] = []
        not_modules: list[str] = []
        self._load_index()  # a damaged index is refused before anything is written
        files = []
        for found in sources:
            if isinstance(found, FirmwareStoreError):
                refused.append(Refusal(found.path or "", "unreadable", None, found.message))
            else:
                files.append(found)
        for file, piece in ((f, p) for f in files for p in module_pieces(f.data)):
            source = piece.name_in(file.source)
            try:
                data, module = take_module(piece)
            except ModuleFormatError as error:
                if in_container and error.code == "no_prefix":
                    not_modules.append(source)
                else:
                    refused.append(Refusal(source, error.code, error.offset, error.message))
                continue
            sha256 = hashlib.sha256(data).hexdigest()
            self._write_module(sha256, data)
            taken.setdefault(
                sha256,
                StoredModule(
                    sha256=sha256,
                    size_bytes=len(data),
                    platform_id=module.platform_id,
                    function=module.function,
                    index=module.index,
                    version=module.version,
                    dependencies=module.dependencies,
                    product=module.product,
                    file_name=piece.name_in(file.name),
                    source=source,
                    added_at=self._utc_now().isoformat(timespec="seconds"),
                    flags=int(module.flags),
                ),
            )
        added, present = self._enter(taken) if taken else ((), ())
        return AddResult(added, present, tuple(refused), tuple(not_modules))

    def _enter(self, taken: dict[str, StoredModule]) -> tuple[tuple[StoredModule, ...], tuple[StoredModule, ...]]:
        """List modules in the index; returns those that are new and those that were listed before."""
        lock = self.root / "index.lock"
        try:
            with FileLock(lock, timeout=_LOCK_TIMEOUT_S):
                index = self._load_index()
                added = tuple(m for sha256, m in taken.items() if sha256 not in index)
                present = tuple(index[sha256] for sha256 in taken if sha256 in index)
                if added:
                    index.update((m.sha256, m) for m in added)
                    entries = [module_to_json(m) for m in index.values()]
                    text = json.dumps({"schema": SCHEMA, "modules": entries}, indent=1)
                    _write_atomically(self._index_path, text.encode())
        except Timeout as error:
            raise FirmwareStoreError(
                f"another program has held {lock} for {_LOCK_TIMEOUT_S} s",
                path=str(lock),
                hint="wait until it has finished adding firmware",
            ) from error
        except OSError as error:
            raise FirmwareStoreError(
                f"{lock} cannot be locked: {error.strerror}", path=str(lock), hint="check its permissions"
            ) from error
        return added, present

    def _write_module(self, sha256: str, data: bytes) -> None:
        """Write the file unless it is there unharmed."""
        path = self._module_path(sha256)
        try:
            intact = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        except OSError:
            intact = False
        if not intact:
            _write_atomically(path, data)

    def _load_index(self) -> dict[str, StoredModule]:
        path = self._index_path
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        except NotADirectoryError as error:
            raise FirmwareStoreError(
                f"the firmware store {self.root} is no folder", path=str(self.root), hint="give a folder with --store"
            ) from error
        except OSError as error:
            raise FirmwareStoreError(
                f"the index of the firmware store, {path}, cannot be read: {error.strerror}",
                path=str(path),
                hint="check its permissions",
            ) from error
        except UnicodeDecodeError as error:
            raise _bad_index(path, str(error)) from error
        try:
            document = json.loads(text)
            schema = document["schema"]
            if schema != SCHEMA:
                raise _bad_index(path, f"it has schema {schema}, this program knows {SCHEMA}")
            modules = [module_from_json(entry) for entry in document["modules"]]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise _bad_index(path, f"{type(error).__name__}: {error}") from error
        return {m.sha256: m for m in modules}

    @property
    def _index_path(self) -> Path:
        return self.root / "index.json"

    def _module_path(self, sha256: str) -> Path:
        return self.root / "modules" / f"{sha256}.bin"


def _write_atomically(path: Path, data: bytes) -> None:
    """Write a file completely or not at all, also across power loss."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        remedy = "free some space" if error.errno in _DISK_FULL else "check permissions"
        raise FirmwareStoreError(
            f"{path} cannot be written: {error.strerror}",
            path=str(path),
            hint=f"{remedy}, or choose another folder with --store",
        ) from error


def _bad_index(path: Path, reason: str) -> FirmwareStoreError:
    return FirmwareStoreError(
        f"the index of the firmware store, {path}, cannot be used: {reason}",
        path=str(path),
        hint="restore it from a backup, or move it away and add your firmware again",
    )
