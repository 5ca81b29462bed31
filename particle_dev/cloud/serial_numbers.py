"""Device IDs by serial number, asked of the cloud once for each.

The cloud allows 50 look-ups an hour and account, fewer than a line needs. What it answered never changes, so it is kept
in a file that all programs of the user share. Members of a product are found without any limit by its list, filtered by
serial number (``ProductDevices.find_serial_number``).

Source: particle-iot/docs src/content/reference/cloud-apis/api.md, "Look up device identification from a serial number".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import filelock

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.limits import SERIAL_LOOKUPS
from particle_dev.cloud.records import DeviceRecord
from particle_dev.errors import ConfigError

_LOCK_TIMEOUT_S = 10.0


class SerialNumbers:
    """Look-ups with a memory: of this object, and in the file ``cache`` where one is given (JSON lines)."""

    def __init__(self, api: CloudApi, cache: Path | None = None) -> None:
        self._api = api
        self._cache = cache
        self._known: dict[str, tuple[str, int]] = {}
        if cache is not None:
            self._known = _read(cache)

    def remember(self, records: Iterable[DeviceRecord]) -> None:
        """Take serial numbers from records that were read anyhow."""
        for record in records:
            if record.serial_number and record.platform_id is not None:
                self._keep(_key(record.serial_number), (record.id, record.platform_id))

    def look_up(self, serial_number: str) -> tuple[str, int]:
        """(Device ID, platform id) of a serial number.

        Raises CloudNotFoundError; CloudLimitError when the hour's look-ups are used up, without asking; ConfigError
        when the file cannot be written.
        """
        key = _key(serial_number)
        if key not in self._known:
            answer = self._api.get_object(("v1", "serial_numbers", key), limits=(SERIAL_LOOKUPS,))
            self._keep(key, (answer.text("device_id", "deviceID").lower(), answer.integer("platform_id")))
        return self._known[key]

    def _keep(self, key: str, found: tuple[str, int]) -> None:
        if self._known.get(key) == found:
            return
        self._known[key] = found
        if self._cache is None:
            return
        line = json.dumps({"serial_number": key, "device_id": found[0], "platform_id": found[1]})
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self._cache.with_suffix(".lock"), timeout=_LOCK_TIMEOUT_S)
            with lock, self._cache.open("a", encoding="utf-8") as out:
                out.write(line + "\n")
        except (OSError, filelock.Timeout) as e:
            raise ConfigError(
                f"Serial numbers cannot be kept in {self._cache}: {e}",
                file=str(self._cache),
                hint="give this user the right to write there",
            ) from e


def default_cache(api: CloudApi) -> Path:
    """Where the serial numbers of this cloud are kept for this user."""
    import platformdirs  # noqa: PLC0415  only who looks up pays for it

    host = urlsplit(api.link.where).netloc.replace(":", "-") or "cloud"
    return platformdirs.user_cache_path("particle-dev") / "serial-numbers" / f"{host}.jsonl"


def _key(serial_number: str) -> str:
    return serial_number.strip().upper()


def _read(cache: Path) -> dict[str, tuple[str, int]]:
    """What is known; lines that are none (a write cut off) are asked for again."""
    known = {}
    try:
        lines = cache.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as e:
        raise ConfigError(f"{cache} cannot be read: {e}", file=str(cache), hint="remove it") from e
    for line in lines:
        try:
            data = json.loads(line)
            known[str(data["serial_number"])] = (str(data["device_id"]), int(data["platform_id"]))
        except (ValueError, KeyError, TypeError):
            continue
    return known
