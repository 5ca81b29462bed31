"""Who logs in where: the settings files that particle-cli keeps, shared with it.

``~/.particle/profile.json`` names the profile in use, ``~/.particle/<profile>.config.json`` holds its ``apiUrl``,
``access_token`` and ``username``. Both are only read, unless somebody asks to save a login.

Source: particle-iot/particle-cli settings.js (``loadOverrides``, ``saveProfileData``); seen with particle-cli 3.43.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from particle_dev.cloud.api import API_URL
from particle_dev.cloud.replies import LOG_IN_COMMAND
from particle_dev.errors import CloudAuthError, ConfigError
from particle_dev.protocol.secret import Secret
from particle_dev.whole_file import write_whole

DEFAULT_PROFILE = "particle"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile. ``access_token`` is None when nobody is logged in; ``username`` None when it is not told."""

    name: str
    api_url: str
    access_token: Secret[str] | None
    username: str | None
    file: Path


def settings_dir() -> Path:
    """``~/.particle``, as particle-cli has it."""
    return Path.home() / ".particle"


def load_profile(name: str | None = None, folder: Path | None = None) -> Profile:
    """The profile ``name``, or the one that particle-cli uses now; an empty one where there are no files.

    Raises ConfigError: a file that cannot be read, is no JSON, or a name that is none.
    """
    folder = folder or settings_dir()
    if name is None:
        chosen = _read(folder / "profile.json").get("name")
        name = chosen if isinstance(chosen, str) and chosen else DEFAULT_PROFILE
    file = _file(folder, name)
    data = _read(file)
    token = _text(data, "access_token", file)
    return Profile(
        name=name,
        api_url=_text(data, "apiUrl", file) or API_URL,
        access_token=Secret(token) if token else None,
        username=_text(data, "username", file),
        file=file,
    )


def require_login(profile: Profile) -> Secret[str]:
    """The profile's access token. Raises CloudAuthError, which names the profile, when nobody is logged in."""
    if profile.access_token is not None:
        return profile.access_token
    what = "has no access token: nobody is logged in" if profile.file.exists() else "is not there"
    command = f"{LOG_IN_COMMAND} --profile {profile.name}"
    raise CloudAuthError(
        f"The profile {profile.name!r} {what} ({profile.file}).",
        hint=f"log in with `{command}`, name another one with --profile, or give a token with --token-file",
    )


def save_login(profile: Profile, access_token: Secret[str] | None, username: str | None) -> None:
    """Write a login (None: log out) into the file of ``profile``, for particle-cli too. Other settings stay.

    The file is replaced as a whole and readable by its owner only. Raises ConfigError.
    """
    data = dict(_read(profile.file))
    if profile.api_url != API_URL:
        data["apiUrl"] = profile.api_url
    for key, value in (("access_token", access_token.reveal() if access_token else None), ("username", username)):
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
    try:
        profile.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Created with its final mode: a token must not be readable for a moment.
        write_whole(profile.file, json.dumps(data, indent=2).encode("utf-8"), mode=0o600)
    except OSError as e:
        raise ConfigError(
            f"The login cannot be saved: {e.strerror}: {profile.file}",
            file=str(profile.file),
            hint="give this user the right to write there",
        ) from e


def _file(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise ConfigError(
            f"{name!r} is no name of a profile.",
            file=str(folder / "profile.json"),
            hint="names have letters, digits, dots, dashes and underscores",
        )
    return folder / f"{name}.config.json"


def _read(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as e:
        raise ConfigError(f"{file} cannot be read: {e}", file=str(file), hint="mend or remove it") from e
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        # The text of a JSON error can quote the line, and lines hold tokens.
        data = None
    if not isinstance(data, dict):
        raise ConfigError(
            f"{file} is no JSON object.", file=str(file), hint="remove it and log in again with: particle login"
        ) from None
    return data


def _text(data: Mapping[str, Any], key: str, file: Path) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{key} in {file} is no text.", file=str(file), key=key, hint="mend or remove the file")
    return value or None
