"""People who may use the page from other computers: a file with a role and a salted hash of a token for each.

A token is ``NAME.SECRET``, printed once; the secret has 100 random bits, so nobody guesses it from its hash. It can be
typed, or read from a badge by the scanner.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from particle_dev.errors import ConfigError
from particle_dev.station.web.access import Role, Visitor
from particle_dev.whole_file import write_whole

USERS_NAME = "page-users.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", re.ASCII)
_SECRET_BITS = 100
_GROUP = 5


@dataclass(frozen=True, slots=True)
class User:
    """One person. ``salt`` and ``hash`` are hexadecimal; ``hash`` is SHA-256 of salt and secret."""

    role: Role
    salt: str
    hash: str

    def data(self) -> dict[str, str]:
        """For the file."""
        return asdict(self) | {"role": self.role.word}


class UserFile:
    """A file of users, read anew whenever it has changed, so that who is removed is out at once.

    Raises ConfigError from every method when the file cannot be read, written or understood.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int, int], Mapping[str, User]] | None = None

    def users(self) -> Mapping[str, User]:
        """All users by name; none where there is no file."""
        try:
            status = self.path.stat()
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._read is None or self._read[0] != state:
                content = json.loads(self.path.read_bytes())
                self._read = state, {name: _user(data) for name, data in content["users"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._error(f"cannot read {self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._error(f"{self.path} is no file of users: {error!r}") from error
        return self._read[1]

    def add(self, name: str, role: Role) -> str:
        """Take a person in, or give one a new token and role; returns the token, which is nowhere else."""
        if not _NAME.fullmatch(name):
            raise self._error(f"{name!r} is no name for a user: letters, digits, - and _, at most 40")
        secret = _new_secret()
        salt = secrets.token_hex(16)
        with self._changed() as users:
            users[name] = User(role, salt, _hash(salt, secret))
        return f"{name}.{secret}"

    def remove(self, name: str) -> None:
        """Shut a person out. ConfigError: there is none of that name."""
        with self._changed() as users:
            if users.pop(name, None) is None:
                raise self._error(f"there is no user {name!r} in {self.path}")

    def visitor(self, token: str) -> Visitor | None:
        """Whose token this is; None: nobody's. Takes as long for names that there are as for others."""
        name, _, secret = token.strip().partition(".")
        user = self.users().get(name)
        expected = user.hash if user else "0" * 64
        found = _hash(user.salt if user else "", secret)
        if hmac.compare_digest(found, expected) and user is not None:
            return Visitor(name, user.role)
        return None

    @contextmanager
    def _changed(self) -> Iterator[dict[str, User]]:
        """The users as they are, to be changed; two that change them at once come one after the other."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.path.parent / f"{self.path.stem}.lock", timeout=10):
                users = dict(self.users())
                yield users
                data = {"users": {name: user.data() for name, user in users.items()}}
                write_whole(self.path, json.dumps(data, indent=1, sort_keys=True).encode() + b"\n", mode=0o600)
        except OSError as error:
            raise self._error(f"cannot write {self.path}: {error.strerror or error}") from error

    def _error(self, message: str) -> ConfigError:
        return ConfigError(
            message, file=str(self.path), hint="`particle-dev station page-user add NAME` writes this file"
        )


def _user(data: Mapping[str, str]) -> User:
    return User(Role[data["role"].upper()], str(data["salt"]), str(data["hash"]))


def _hash(salt: str, secret: str) -> str:
    plain = secret.replace("-", "").replace(" ", "").upper()
    return hashlib.sha256(salt.encode() + b":" + plain.encode("utf-8", "replace")).hexdigest()


def _new_secret() -> str:
    """Such as ``7QK2M-…``: letters and digits that are not mistaken for each other, in groups."""
    text = base64.b32encode(secrets.token_bytes(_SECRET_BITS // 8 + 1)).decode("ascii").rstrip("=")[: _SECRET_BITS // 5]
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))
