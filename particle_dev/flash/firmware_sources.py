"""Where firmware comes from: a file, a folder, an archive, or an npm package (which is an archive too).

Archives are read member by member and never unpacked, so names and links inside them reach no file system.
"""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from particle_dev.errors import FirmwareStoreError

_MAX_FILE_BYTES = 64 * 1024 * 1024
"""No firmware file comes near; keeps a disk image or an archive bomb out of memory."""
_NPM_TIMEOUT_S = 600
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


def is_container(path: Path) -> bool:
    """Tell whether a path holds several files: a folder, or a zip or tar archive in any compression.

    Raises FirmwareStoreError when the path does not exist or cannot be read.
    """
    with _reading(path):
        return path.is_dir() or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def read_sources(path: Path) -> Iterator[SourceFile]:
    """Deliver the file at ``path``, or every ``.bin`` file of a folder or archive in the order of names.

    Raises FirmwareStoreError for what cannot be read.
    """
    with _reading(path):
        if not is_container(path):
            yield SourceFile(path.name, str(path), _read(path.open("rb"), str(path)))
        elif path.is_dir():
            for file in sorted(p for p in path.rglob("*.bin") if p.is_file()):
                yield SourceFile(file.name, str(file), _read(file.open("rb"), str(file)))
        elif zipfile.is_zipfile(path):
            yield from _read_zip(path, str(path))
        else:
            yield from _read_tar(path, str(path))


def read_file(path: Path) -> bytes:
    """The bytes of one file. Raises FirmwareStoreError when it cannot be read or is too large."""
    with _reading(path):
        return _read(path.open("rb"), str(path))


def zip_member_names(path: Path) -> list[str]:
    """Names of the files in a zip archive; empty for a path that is none. Raises FirmwareStoreError."""
    with _reading(path):
        if not zipfile.is_zipfile(path):
            return []
        with zipfile.ZipFile(path) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]


def read_zip_members(path: Path) -> dict[str, bytes]:
    """Every file of a zip archive by name. Raises FirmwareStoreError, also when a name occurs twice."""
    members: dict[str, bytes] = {}
    with _reading(path), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.filename in members or sum(map(len, members.values())) > _MAX_FILE_BYTES:
                raise FirmwareStoreError(
                    f"{path} holds {info.filename} twice, or more data than any device",
                    path=str(path),
                    hint="make the archive anew",
                )
            members[info.filename] = _read(archive.open(info), f"{path}:{info.filename}")
    return members


def read_npm_tarball(path: Path, package: NpmPackage) -> Iterator[SourceFile]:
    """Deliver every ``.bin`` file of an npm package. Raises FirmwareStoreError when it cannot be read."""
    with _reading(path):
        yield from _read_tar(path, package.spec)


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
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise FirmwareStoreError(
            f"{path} is a damaged archive: {error}", path=str(path), hint="delete it and fetch it again"
        ) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise FirmwareStoreError(
            f"{path} cannot be read: {reason}", path=str(path), hint="check path and permissions"
        ) from error


def _read_tar(path: Path, label: str) -> Iterator[SourceFile]:
    with tarfile.open(path) as archive:
        members = [m for m in archive.getmembers() if m.isfile() and m.name.endswith(".bin")]
        for member in sorted(members, key=lambda m: m.name):
            stream = archive.extractfile(member)
            assert stream is not None, "members are regular files"
            yield _member(stream, member.name.removeprefix("package/"), label)


def _read_zip(path: Path, label: str) -> Iterator[SourceFile]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".bin")):
            yield _member(archive.open(name), name, label)


def _member(stream: IO[bytes], name: str, label: str) -> SourceFile:
    source = f"{label}:{name}"
    return SourceFile(name.rsplit("/", 1)[-1], source, _read(stream, source))


def _read(stream: IO[bytes], source: str) -> bytes:
    with stream:
        data = stream.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise FirmwareStoreError(
            f"{source} has more than {_MAX_FILE_BYTES} bytes",
            path=source,
            hint="name firmware files only",
        )
    return data
