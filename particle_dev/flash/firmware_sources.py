"""Where firmware comes from: a file, a folder, an archive, or an npm package (which is an archive too).

Archives are read member by member and never unpacked, so names and links inside them reach no file system.
"""

from __future__ import annotations

import lzma
import os
import re
import subprocess
import sys
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

_MAX_FILE_BYTES = 64 * 1024 * 1024
"""No firmware file comes near; keeps a disk image or an archive bomb out of memory."""
STANDARD_INPUT = "-"
"""In place of a file name."""
Source: TypeAlias = Path | IO[bytes]
"""A file or folder, or what came on standard input as a stream that can seek."""
_NPM_TIMEOUT_S = 600
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
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


def read_sources(source: Source) -> Iterator[SourceFile]:
    """Deliver the file, or every ``.bin`` file of a folder or archive in the order of names.

    Raises FirmwareStoreError for what cannot be read.
    """
    with _reading(source) as label:
        if isinstance(source, Path) and source.is_dir():
            for file in sorted(p for p in source.rglob("*.bin") if p.is_file()):
                yield SourceFile(file.name, str(file), _read(file.open("rb"), str(file)))
            return
        is_archive = is_container(source)
        with _opened(source) as stream:
            if not is_archive:
                yield SourceFile(Path(label).name, label, _read(stream, label))
            elif zipfile.is_zipfile(stream):
                yield from _read_zip(stream, label)
            else:
                stream.seek(0)
                yield from _read_tar(stream, label)


def read_file(path: Path) -> bytes:
    """The bytes of one file. Raises FirmwareStoreError when it cannot be read or is too large."""
    with _reading(path):
        return _read(path.open("rb"), str(path))


def read_input(path: Path) -> bytes:
    """As :func:`read_file`; ``-`` stands for standard input."""
    if str(path) != STANDARD_INPUT:
        return read_file(path)
    with _reading(path):
        return _read_limited(sys.stdin.buffer, STANDARD_INPUT)


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
            if info.filename in members or sum(map(len, members.values())) > _MAX_FILE_BYTES:
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
                ["npm", "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--loglevel=error"],
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
        raise FirmwareStoreError(
            f"npm could not fetch {package.spec}: {reason or f'exit status {error.returncode}'}",
            path=package.spec,
            hint=f"check name, version and network, {by_hand}",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise FirmwareStoreError(
            f"npm did not fetch {package.spec} in {_NPM_TIMEOUT_S} s",
            path=package.spec,
            hint=f"check the network, {by_hand}",
        ) from error
    except OSError as error:
        raise FirmwareStoreError(
            f"{package.spec} could not be fetched: {error}",
            path=package.spec,
            hint=f"install the npm client (Node.js) and check the folder {cache_dir}, {by_hand}",
        ) from error
    return tarball


@contextmanager
def _reading(source: Source) -> Iterator[str]:
    """The source's name for people, and FirmwareStoreError for whatever goes wrong while it is read."""
    label = str(source) if isinstance(source, Path) else STANDARD_INPUT
    try:
        yield label
    except (*_DAMAGE, OSError) as error:
        # Errors of bz2 and gzip are OSErrors that no operating system raised.
        if not isinstance(error, OSError) or error.errno is None:
            raise FirmwareStoreError(
                f"{label} is a damaged archive: {error}", path=label, hint="delete it and fetch it again"
            ) from error
        raise FirmwareStoreError(
            f"{label} cannot be read: {os.strerror(error.errno)}", path=label, hint="check path and permissions"
        ) from error


def _opened(source: Source) -> AbstractContextManager[IO[bytes]]:
    """The source from its start; a stream stays open behind it."""
    if isinstance(source, Path):
        return source.open("rb")
    source.seek(0)
    return nullcontext(source)


def _read_tar(stream: IO[bytes], label: str) -> Iterator[SourceFile]:
    with tarfile.open(fileobj=stream) as archive:
        members = [m for m in archive.getmembers() if m.isfile() and m.name.endswith(".bin")]
        for member in sorted(members, key=lambda m: m.name):
            content = archive.extractfile(member)
            assert content is not None, "members are regular files"
            yield _member(content, member.name.removeprefix("package/"), label)


def _read_zip(stream: IO[bytes], label: str) -> Iterator[SourceFile]:
    with zipfile.ZipFile(stream) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".bin")):
            yield _member(archive.open(name), name, label)


def _member(stream: IO[bytes], name: str, label: str) -> SourceFile:
    source = f"{label}:{name}"
    return SourceFile(name.rsplit("/", 1)[-1], source, _read(stream, source))


def _read(stream: IO[bytes], source: str) -> bytes:
    with stream:
        return _read_limited(stream, source)


def _read_limited(stream: IO[bytes], source: str) -> bytes:
    data = stream.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise FirmwareStoreError(
            f"{source} has more than {_MAX_FILE_BYTES} bytes",
            path=source,
            hint="name firmware files only",
        )
    return data
