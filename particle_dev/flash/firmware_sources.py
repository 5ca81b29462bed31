"""Where firmware comes from: a file, a folder, an archive, or an npm package (which is an archive too).

Archives are read member by member and never unpacked, so names and links inside them reach no file system.
"""

from __future__ import annotations

import lzma
import os
import re
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.file_io import MAX_FILE_BYTES, STANDARD_INPUT, read_file, read_limited, unreadable

Source: TypeAlias = Path | IO[bytes]
"""A file or folder, or what came on standard input as a stream that can seek."""
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_NPM_TIMEOUT_S = 600
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
_NPM = "npm"
_NPM_NAME = r"((?:@[a-z0-9][\w.-]*/)?[a-z0-9][\w.-]*)"
_NPM_SPEC = re.compile(rf"npm:{_NPM_NAME}@(\d+\.\d+\.\d+(?:[-+][\w.+-]+)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as found. ``source`` names file, archive and member in full."""

    name: str
    source: str
    data: bytes


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """An exact version of an npm package."""

    name: str
    version: str

    @property
    def spec(self) -> str:
        """``npm:NAME@VERSION``, as the user writes it."""
        return f"npm:{self.name}@{self.version}"

    @property
    def tarball_name(self) -> str:
        """The file name that ``npm pack`` gives."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def parse_npm_spec(spec: str) -> NpmPackage:
    """Read ``npm:NAME@VERSION``. Raises FirmwareStoreError for ranges, tags and anything else."""
    match = _NPM_SPEC.fullmatch(spec)
    if match is None:
        raise FirmwareStoreError(
            f"{spec} names no exact npm package",
            path=spec,
            hint="write npm:NAME@VERSION, such as npm:particle-cli@2.12.0",
        )
    return NpmPackage(*match.groups())


def is_container(source: Source) -> bool:
    """Tell whether this holds several files: a folder, or a zip or tar archive in any compression.

    Raises FirmwareStoreError when the path does not exist or cannot be read.
    """
    with _reading(source):
        if isinstance(source, Path) and source.is_dir():
            return True
        with _opened(source) as stream:
            if zipfile.is_zipfile(stream):
                return True
            stream.seek(0)
            return tarfile.is_tarfile(stream)


def read_sources(source: Source) -> Iterator[SourceFile | FirmwareStoreError]:
    """Deliver the file, or every ``.bin`` file of a folder or archive in the order of names; for files and folders in a
    folder that cannot be read an error, which names them.

    Raises FirmwareStoreError for a source that cannot be read.
    """
    if isinstance(source, Path) and source.is_dir():
        files, errors = _walk(source)
        yield from errors
        for file in files:
            if is_module_name(file.name):
                yield _file_in_folder(file)
        return
    with _reading(source) as label:
        is_archive = is_container(source)
        with _opened(source) as stream:
            if not is_archive:
                yield SourceFile(Path(label).name, label, _read(stream, label))
            elif zipfile.is_zipfile(stream):
                yield from _read_zip(stream, label)
            else:
                stream.seek(0)
                yield from _read_tar(stream, label)


def is_module_name(name: str) -> bool:
    """Whether a file of a folder or archive is looked at: ``.bin`` in any case."""
    return name.lower().endswith(".bin")


def inner_archives(source: Source) -> list[str]:
    """Archives in a folder or archive, by their names: :func:`read_sources` does not look into them. Raises
    FirmwareStoreError."""
    if isinstance(source, Path) and source.is_dir():
        names = [str(path) for path in _walk(source)[0]]
    else:
        with _reading(source) as label, _opened(source) as stream:
            if zipfile.is_zipfile(stream):
                with zipfile.ZipFile(stream) as archive:
                    names = [f"{label}:{name}" for name in archive.namelist()]
            else:
                stream.seek(0)
                with tarfile.open(fileobj=stream) as archive_file:
                    names = [f"{label}:{name}" for name in archive_file.getnames()]
    return sorted(name for name in names if name.lower().endswith(_ARCHIVE_SUFFIXES))


def zip_member_names(source: Source) -> list[str]:
    """Names of the files in a zip archive; empty for what is none. Raises FirmwareStoreError."""
    if isinstance(source, Path) and source.is_dir():
        return []
    with _reading(source), _opened(source) as stream:
        if not zipfile.is_zipfile(stream):
            return []
        with zipfile.ZipFile(stream) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]


def read_zip_members(source: Source) -> dict[str, bytes]:
    """Every file of a zip archive by name. Raises FirmwareStoreError, also when a name occurs twice."""
    members: dict[str, bytes] = {}
    with _reading(source) as label, _opened(source) as stream, zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.filename in members or sum(map(len, members.values())) > MAX_FILE_BYTES:
                raise FirmwareStoreError(
                    f"{label} holds {info.filename} twice, or more data than any device",
                    path=label,
                    hint="make the archive anew",
                )
            members[info.filename] = _read(archive.open(info), f"{label}:{info.filename}")
    return members


def read_npm_tarball(path: Path, package: NpmPackage) -> Iterator[SourceFile]:
    """Deliver every ``.bin`` file of an npm package. Raises FirmwareStoreError when it cannot be read."""
    with _reading(path), _opened(path) as stream:
        yield from _read_tar(stream, package.spec)


def npm_tarball(package: NpmPackage, cache_dir: Path) -> Path:
    """Return the package's tarball in ``cache_dir``, fetched with the npm client unless it is there already.

    Raises FirmwareStoreError when there is no npm client or it fails; the cache then stays as it was.
    """
    tarball = cache_dir / package.tarball_name
    if tarball.is_file():
        return tarball
    by_hand = f"or put the package there as {tarball}"
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        # Packed aside and renamed: an interrupted download must not be taken for the package next time.
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix="npm-pack-") as folder:
            subprocess.run(
                [_NPM, "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--loglevel=error"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
                timeout=_NPM_TIMEOUT_S,
            )
            (Path(folder) / package.tarball_name).replace(tarball)
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split()[:16])
        check = f"free some space for {cache_dir}" if "ENOSPC" in error.stderr else "check name, version and network"
        raise FirmwareStoreError(
            f"npm could not fetch {package.spec}: {reason or f'exit status {error.returncode}'}",
            path=package.spec,
            hint=f"{check}, {by_hand}",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise FirmwareStoreError(
            f"npm did not fetch {package.spec} in {_NPM_TIMEOUT_S} s",
            path=package.spec,
            hint=f"check the network, {by_hand}",
        ) from error
    except OSError as error:
        no_client = error.filename == _NPM and isinstance(error, FileNotFoundError)
        check = "install the npm client (Node.js)" if no_client else f"give another folder than {cache_dir} by --cache"
        raise FirmwareStoreError(
            f"{package.spec} could not be fetched: {error}",
            path=package.spec,
            hint=f"{check}, {by_hand}" if no_client else f"{check}, or make room in it and let it be written",
        ) from error
    return tarball


@contextmanager
def _reading(source: Source) -> Iterator[str]:
    """The source's name for people, and FirmwareStoreError for whatever goes wrong while it is read."""
    label = str(source) if isinstance(source, Path) else STANDARD_INPUT
    try:
        yield label
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, RuntimeError) and "encrypted" in str(error):
            hint = "unpack it with its password, and give the files"
            raise FirmwareStoreError(f"{label} is an encrypted archive", path=label, hint=hint) from error
        # Errors of bz2 and gzip are OSErrors that no operating system raised.
        if not isinstance(error, OSError) or error.errno is None:
            raise FirmwareStoreError(
                f"{label} is a damaged archive: {error}", path=label, hint="delete it and fetch it again"
            ) from error
        raise unreadable(label, error) from error


def _opened(source: Source) -> AbstractContextManager[IO[bytes]]:
    """The source from its start; a stream stays open behind it."""
    if isinstance(source, Path):
        return source.open("rb")
    source.seek(0)
    return nullcontext(source)


def _read_tar(stream: IO[bytes], label: str) -> Iterator[SourceFile]:
    with tarfile.open(fileobj=stream) as archive:
        members = [m for m in archive.getmembers() if m.isfile() and is_module_name(m.name)]
        for member in sorted(members, key=lambda m: m.name):
            content = archive.extractfile(member)
            assert content is not None, "members are regular files"
            yield _member(content, member.name.removeprefix("package/"), label)


def _read_zip(stream: IO[bytes], label: str) -> Iterator[SourceFile]:
    with zipfile.ZipFile(stream) as archive:
        for name in sorted(n for n in archive.namelist() if is_module_name(n)):
            yield _member(archive.open(name), name, label)


def _walk(folder: Path) -> tuple[list[Path], list[FirmwareStoreError]]:
    """Every file below a folder, sorted, and what could not be looked into. Links to folders are not followed."""
    errors: list[FirmwareStoreError] = []
    files = [
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=lambda e: errors.append(unreadable(str(e.filename), e)))
        for name in names
    ]
    return sorted(files), errors


def _file_in_folder(file: Path) -> SourceFile | FirmwareStoreError:
    try:
        if file.exists() and not file.is_file():  # a pipe would wait for ever
            return FirmwareStoreError(f"{file} is no regular file", path=str(file), hint="remove it")
        return SourceFile(file.name, str(file), read_file(file))
    except OSError as error:
        return unreadable(str(file), error)
    except FirmwareStoreError as error:
        return error


def _member(stream: IO[bytes], name: str, label: str) -> SourceFile:
    source = f"{label}:{name}"
    return SourceFile(name.rsplit("/", 1)[-1], source, _read(stream, source))


def _read(stream: IO[bytes], source: str) -> bytes:
    with stream:
        return read_limited(stream, source)
