"""The key with which a station signs its records, and the memory of where its chains stood.

Both lie in the folder of the site, apart from the records: who can alter a database cannot also make it look right.
``station.key``: Ed25519, PKCS #8, mode 0600, made on first use. ``anchors/<database>.json``: the last entry that this
station wrote there; a database whose end was cut off, or that was replaced by an older copy, does not have it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import filelock
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from particle_dev.errors import JournalError
from particle_dev.whole_file import write_whole

KEY_NAME = "station.key"
_ANCHORS = "anchors"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The last entry of one chain: its ``number`` and ``sha256``."""

    number: int
    sha256: str


class SigningKey:
    """An Ed25519 key; ``public_key`` as hex. Made by :meth:`make`, read by :meth:`read`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw().hex()

    @classmethod
    def make(cls, path: Path) -> SigningKey:
        """A new key in a new file (PKCS #8, mode 0600). JournalError: the file exists, or cannot be written."""
        try:
            if path.exists():
                raise _no_key(path, "it exists already")
            _make(path)
        except OSError as error:
            raise _no_key(path, error.strerror or str(error)) from error
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """The key in a file. JournalError: it cannot be read, or is no Ed25519 key."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise _no_key(path, error.strerror or str(error)) from error
        except (ValueError, TypeError) as error:
            raise _no_key(path, "it is no private key in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _no_key(path, "it is no Ed25519 key")
        return cls(key)

    def sign(self, message: bytes) -> str:
        """Signature as hex."""
        return self._key.sign(message).hex()

    def public_pem(self) -> str:
        """The public key, to be given to who verifies elsewhere."""
        public = self._key.public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return public.public_bytes(serialization.Encoding.PEM, form).decode("ascii")


class StationKey(SigningKey):
    """A station's key and its memory in ``folder``. ``station_id`` are 16 hex digits of the public key's SHA-256.

    JournalError from the constructor: the folder cannot be written, or what lies there is no such key.
    """

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self.folder = folder
        self.name = name or platform.node() or "station"
        path = folder / KEY_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _make(path)
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from error
        super().__init__(SigningKey.read(path)._key)
        self.station_id = station_id_of(self.public_key)

    def anchor(self, database_id: str) -> Anchor | None:
        """Where this station's chain in a database stood; None: it never wrote there. JournalError: unreadable."""
        path = self._anchor_path(database_id)
        try:
            values = json.loads(path.read_bytes())
            return Anchor(int(values["number"]), str(values["sha256"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _unusable(path, str(error)) from error

    def remember(self, database_id: str, anchor: Anchor) -> None:
        """Keep the end of a chain, unless a later one is kept already. JournalError: it cannot be written."""
        path = self._anchor_path(database_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(path.with_suffix(".lock"), timeout=10):
                known = self.anchor(database_id)
                if known is None or known.number < anchor.number:
                    write_whole(path, json.dumps(dataclasses.asdict(anchor)).encode("ascii"))
        except (OSError, filelock.Timeout) as error:
            raise _unusable(path, str(error)) from error

    def _anchor_path(self, database_id: str) -> Path:
        return self.folder / _ANCHORS / f"{hashlib.sha256(database_id.encode()).hexdigest()[:32]}.json"


def station_id_of(public_key: str) -> str:
    """The id of the station with this public key (hex)."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:16]


def signature_is_good(public_key: str, message: bytes, signature: str) -> bool:
    """Whether the holder of this key (hex) signed ``message``; False also for what is no key or no signature."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), message)
    except (ValueError, InvalidSignature):
        return False
    return True


def read_public_key(path: Path) -> str:
    """A public key as hex, from a PEM file. JournalError: it cannot be read, or is none of Ed25519."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise _no_public_key(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _no_public_key(path, "it is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_public_key(path, "it is no Ed25519 key")
    return key.public_bytes_raw().hex()


def trusted_stations(keys: Mapping[str, str] | None = None, *, paths: tuple[Path, ...] = ()) -> dict[str, str]:
    """Public keys by station id, of ``keys`` and PEM files. JournalError as :func:`read_public_key`."""
    found = dict(keys or {})
    for path in paths:
        public_key = read_public_key(path)
        found[station_id_of(public_key)] = public_key
    return found


def _make(path: Path) -> None:
    content = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The first of two stations that start together wins.
    with contextlib.suppress(FileExistsError):
        write_whole(path, content, mode=0o600, replace=False)


def _unusable(path: Path, why: str) -> JournalError:
    return JournalError(
        f"cannot use {path}: {why}",
        path=str(path),
        hint="give a folder of the station's own with --site; a lost key means a new station in the records",
    )


def _no_key(path: Path, why: str) -> JournalError:
    return JournalError(
        f"cannot use the key {path}: {why}", path=str(path), hint="keys are made once, in a new file, and kept secret"
    )


def _no_public_key(path: Path, why: str) -> JournalError:
    return JournalError(
        f"cannot use the public key {path}: {why}",
        path=str(path),
        hint="take what 'particle-dev records key' prints at that station",
    )
