"""Signed releases: everything a station needs for a product, in one file that goes there by stick or mail.

A zip archive of data, never of code::

    release.json     format, name, version, time, and of every other file name, size, SHA-256
    signature.json   Ed25519 signature of release.json, and the public key
    recipe/…         the recipe, and restore files that it names
    firmware/…       all modules that the recipe's platforms need
    limits/…  texts/…   limits of self-tests (TOML); texts and pictures for operators, see operator_texts

Nothing is taken from an archive before the signature over ``release.json`` and the hash of every file are good. What is
too large is refused while it is read, whatever the archive says of its sizes.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from particle_dev.errors import ConfigError, FirmwareStoreError, ReleaseError
from particle_dev.flash.bundle_files import pack_zip
from particle_dev.flash.file_io import read_file
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.events import timestamp
from particle_dev.station.operator_texts import read_operator_texts
from particle_dev.station.recipe import Recipe, load_recipe
from particle_dev.station.station_key import SigningKey, signature_is_good

FORMAT = 1
MANIFEST = "release.json"
SIGNATURE = "signature.json"
MAX_ARCHIVE_BYTES = 256 << 20
MAX_FILE_BYTES = 64 << 20
MAX_TOTAL_BYTES = 512 << 20
MAX_FILES = 500
_MAX_MANIFEST_BYTES = 1 << 20
_NAME = re.compile(r"(recipe|firmware|limits|texts)(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,120}){1,4}", re.ASCII)
_ENDINGS = {
    "recipe": (".toml", ".hex", ".bin"),
    "firmware": (".bin",),
    "limits": (".toml",),
    "texts": (".toml", ".json", ".txt", ".md", ".csv", ".png", ".jpg", ".jpeg"),
}
"""Data only: nothing that a station or a browser would run."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Release:
    """A release whose every byte was checked. ``files`` by name; ``signed_by``: the public key (hex); None: it has no
    signature, which only :func:`read_release` with ``allow_unsigned`` lets through. ``sha256`` is that of
    ``release.json``, and so of everything."""

    name: str
    version: str
    made_at: str
    recipe_name: str
    files: Mapping[str, bytes]
    sha256: str
    signed_by: str | None

    def under(self, folder: str) -> dict[str, bytes]:
        """Files below ``recipe``, ``firmware``, ``limits`` or ``texts``, by the rest of their name."""
        return {name.partition("/")[2]: data for name, data in self.files.items() if name.startswith(f"{folder}/")}


def make_release(
    recipe_path: Path,
    store: FirmwareStore,
    key: SigningKey,
    *,
    name: str,
    version: str,
    made_at: datetime,
    limits: Sequence[Path] = (),
    texts: Sequence[Path] = (),
) -> bytes:
    """The archive. Raises ConfigError for a recipe or texts that cannot be used, FirmwareStoreError for what the store
    lacks or a file that cannot be read, ReleaseError for a file that has no place in a release."""
    recipe = load_recipe(recipe_path)
    files: dict[str, bytes] = {"recipe/recipe.toml": read_file(recipe_path)}
    for choice in recipe.firmware.values():
        if choice.restore is not None:
            place = _beside(recipe_path, choice.restore)
            files[f"recipe/{place}"] = read_file(choice.restore)
    files |= _firmware(recipe, store)
    for path in texts:
        if path.is_dir():
            read_operator_texts(path)
    for folder, paths in (("limits", limits), ("texts", texts)):
        for path in paths:
            for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
                rest = file.relative_to(path).as_posix() if path.is_dir() else file.name
                files[f"{folder}/{rest}"] = read_file(file)
    for file_name in files:
        _check_name(str(recipe_path), file_name)
    manifest = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "made_at": timestamp(made_at),
        "recipe": "recipe/recipe.toml",
        "files": [
            {"name": n, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for n, data in sorted(files.items())
        ],
    }
    content = json.dumps(manifest, indent=1, sort_keys=True).encode("ascii") + b"\n"
    signature = {"public_key": key.public_key, "signature": key.sign(content)}
    return pack_zip(
        {MANIFEST: content, SIGNATURE: json.dumps(signature).encode("ascii"), **dict(sorted(files.items()))}
    )


def _beside(recipe_path: Path, restore: Path) -> str:
    try:
        return restore.resolve().relative_to(recipe_path.resolve().parent).as_posix()
    except ValueError as error:
        raise ConfigError(
            f"{restore} does not lie beside or below the recipe",
            file=str(recipe_path),
            hint="a release keeps the recipe's folder: put the restore file into it",
        ) from error


def _firmware(recipe: Recipe, store: FirmwareStore) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for platform, choice in recipe.firmware.items():
        for module in (*store.device_os_set(platform, choice.device_os).modules, store.app(platform, choice.app)):
            name = PurePosixPath(module.file_name).name  # by which recipes name an application
            files[f"firmware/{module.sha256[:12]}/{name}"] = store.read(module.sha256)
    return files


def read_release(path: Path, trusted: Iterable[str], *, allow_unsigned: bool = False) -> Release:
    """The release in a file, with every hash checked and the signature of one of ``trusted`` (public keys as hex).

    ``allow_unsigned`` also takes one without a signature, or by a key that is not trusted (``signed_by`` is None then);
    what is altered is never taken. ReleaseError: ``unreadable``, ``not_release``, ``newer_format``, ``too_large``,
    ``bad_name``, ``unsigned``, ``untrusted``, ``bad_signature``, ``altered``.
    """
    try:
        if path.stat().st_size > MAX_ARCHIVE_BYTES:
            raise _too_large(path, f"the file has more than {MAX_ARCHIVE_BYTES >> 20} MB")
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive, frozenset(trusted), allow_unsigned)
    except OSError as error:
        raise _refused(path, "unreadable", f"it cannot be read: {error.strerror or error}", "check the path") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _refused(path, "not_release", f"it is no release: {error}", _COPY_AGAIN) from error


_COPY_AGAIN = "copy the file again from where it was made"


def _read(path: Path, archive: zipfile.ZipFile, trusted: frozenset[str], allow_unsigned: bool) -> Release:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(members) > MAX_FILES + 2:
        raise _too_large(path, f"it has more than {MAX_FILES} files")
    if MANIFEST not in names:
        raise _refused(path, "not_release", f"it has no {MANIFEST}", "give a file that 'release make' wrote")
    if len(set(names)) != len(names):
        raise _refused(path, "altered", "a name comes twice in it", _COPY_AGAIN)
    by_name = dict(zip(names, members, strict=True))
    content = _member(path, archive, by_name[MANIFEST], _MAX_MANIFEST_BYTES)
    signed_by = _signer(path, archive, by_name, content, trusted, allow_unsigned)
    manifest = _manifest(path, content)
    listed = {entry["name"]: entry for entry in manifest["files"]}
    if set(names) - {MANIFEST, SIGNATURE} != set(listed) or manifest["recipe"] not in listed:
        raise _refused(path, "altered", "it holds other files than it lists", _COPY_AGAIN)
    files, total = {}, 0
    for name, entry in listed.items():
        _check_name(str(path), name)
        if stat.S_ISLNK(by_name[name].external_attr >> 16):
            raise _refused(path, "bad_name", f"{name} is a link", "make the release anew, of files only")
        data = _member(path, archive, by_name[name], MAX_FILE_BYTES)
        total += len(data)
        if total > MAX_TOTAL_BYTES:
            raise _too_large(path, f"it unpacks to more than {MAX_TOTAL_BYTES >> 20} MB")
        if (len(data), hashlib.sha256(data).hexdigest()) != (entry["size_bytes"], entry["sha256"]):
            raise _refused(path, "altered", f"{name} is not what was released", _COPY_AGAIN)
        files[name] = data
    return Release(
        name=manifest["name"],
        version=manifest["version"],
        made_at=manifest["made_at"],
        recipe_name=manifest["recipe"],
        files=files,
        sha256=hashlib.sha256(content).hexdigest(),
        signed_by=signed_by,
    )


def _signer(
    path: Path,
    archive: zipfile.ZipFile,
    by_name: Mapping[str, zipfile.ZipInfo],
    content: bytes,
    trusted: frozenset[str],
    allow_unsigned: bool,
) -> str | None:
    if SIGNATURE not in by_name:
        if allow_unsigned:
            return None
        raise _refused(path, "unsigned", "it is not signed", "sign it: particle-dev release make")
    signature = json.loads(_member(path, archive, by_name[SIGNATURE], _MAX_MANIFEST_BYTES))
    if not isinstance(signature, dict):
        raise _refused(path, "bad_signature", "its signature is none", _COPY_AGAIN)
    public_key = str(signature.get("public_key"))
    if not signature_is_good(public_key, content, str(signature.get("signature"))):
        raise _refused(path, "bad_signature", "its signature does not fit", _COPY_AGAIN)
    if public_key in trusted:
        return public_key
    if allow_unsigned:
        return None
    raise _refused(
        path, "untrusted", f"it is signed by a key that is not trusted here, {public_key[:16]}…", "give it with --trust"
    )


def _manifest(path: Path, content: bytes) -> dict[str, Any]:
    manifest = json.loads(content)
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
        raise _refused(path, "not_release", f"{MANIFEST} does not describe a release", _COPY_AGAIN)
    if manifest["format"] > FORMAT:
        raise _refused(path, "newer_format", "it was made by a newer particle-dev", "update particle-dev")
    good = all(isinstance(manifest.get(key), str) for key in ("name", "version", "made_at", "recipe"))
    entries = manifest.get("files")
    if not good or not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise _refused(path, "not_release", f"{MANIFEST} does not describe a release", _COPY_AGAIN)
    return manifest


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and {"name": str, "size_bytes": int, "sha256": str} == {
        key: type(value) for key, value in entry.items()
    }


def _check_name(path: str, name: str) -> None:
    folder, _, rest = name.partition("/")
    parts = rest.split("/")
    if (
        not _NAME.fullmatch(name)
        or not name.lower().endswith(_ENDINGS[folder])
        or any(part.endswith(".") or _RESERVED.fullmatch(part) for part in parts)
    ):
        raise ReleaseError(
            f"{path}: {name!r} has no place in a release",
            path=path,
            code="bad_name",
            hint=f"plain names below {', '.join(_ENDINGS)}; data only: {', '.join(_ENDINGS['texts'])}",
        )


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    with archive.open(member) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise _too_large(path, f"{member.filename} has more than {limit} bytes")
    return data


def unpack(release: Release, folder: Path, store: FirmwareStore) -> Path:
    """Put recipe, limits and texts below ``folder``, new or empty, and the firmware into ``store``; return the recipe.

    FirmwareStoreError: a folder that holds something, what cannot be written, or modules that are damaged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FirmwareStoreError(
                f"{folder} is not empty", path=str(folder), hint="give a new folder: releases are not mixed"
            )
        for name, data in release.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    except OSError as error:
        raise FirmwareStoreError(
            f"cannot write {error.filename}: {error.strerror}", path=str(folder), hint="check folder and space"
        ) from error
    if release.under("firmware"):
        added = store.add_path(folder / "firmware")
        if not added.ok:
            refusal = added.refused[0]
            raise FirmwareStoreError(
                f"{refusal.name}: {refusal.message}", path=str(folder), hint="make the release anew"
            )
    return folder / release.recipe_name


def _too_large(path: Path, why: str) -> ReleaseError:
    return _refused(path, "too_large", why, "this is no release of firmware: find out who made it")


def _refused(path: Path, code: str, why: str, hint: str) -> ReleaseError:
    return ReleaseError(f"{path} is refused: {why}", path=str(path), code=code, hint=hint)
