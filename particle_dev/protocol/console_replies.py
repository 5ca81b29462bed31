"""What the listening-mode console prints, as values.

Source: device-os v6.2.0 system/src/system_setup.cpp (identity), system/src/system_info.cpp (describe).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.errors import ConsoleProtocolError
from particle_dev.protocol.secret import Secret, redact

_OLD_IDENTITY = re.compile(r"Your (?:core|device) id is ([0-9a-fA-F]{24})\r\n")
_NEW_IDENTITY = re.compile(r"Device ID: ([0-9a-fA-F]{24})\r\n")
_PAIR = re.compile(r"([^:\r\n]+): ([^\r\n]*)\r\n")
_NAMED = ("Device ID", "Device Secret", "Serial Number", "IMEI", "ICCID", "Cell Radio Version")

FUNCTIONS = {
    "b": ModuleFunction.BOOTLOADER,
    "s": ModuleFunction.SYSTEM_PART,
    "u": ModuleFunction.USER_PART,
    "m": ModuleFunction.MONO_FIRMWARE,
    "r": ModuleFunction.RESOURCE,
    "a": ModuleFunction.RADIO_STACK,
    "c": ModuleFunction.NCP_FIRMWARE,
}
STORES = {
    "m": ModuleStore.MAIN,
    "f": ModuleStore.FACTORY,
    "b": ModuleStore.BACKUP,
    "t": ModuleStore.SCRATCHPAD,
}


@dataclass(frozen=True, slots=True)
class ConsoleIdentity:
    """Answer of key ``i``. Old firmware prints the Device ID only; IMEI and ICCID of current firmware are what the
    modem told last and may be missing before it ever ran."""

    device_id: str
    device_secret: Secret[str] | None = None
    serial_number: str | None = None
    imei: str | None = None
    iccid: str | None = None
    cell_radio_version: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DescribedModule:
    """A module in the describe text. Its size is not told, that of its slot is."""

    function: ModuleFunction
    index: int
    version: int
    store: ModuleStore | None
    max_size_bytes: int
    failed: ModuleValidity
    dependencies: tuple[tuple[ModuleFunction, int, int], ...] = ()
    sha256: str | None = None
    """64 lower-case hex digits, of the user part at least."""


@dataclass(frozen=True, slots=True)
class Describe:
    """Answer of key ``s``: platform id, modules, and what else is there (``imei``, ``iccid``, ``sn``, …) as text."""

    platform_id: int
    modules: tuple[DescribedModule, ...]
    values: Mapping[str, str]


def parse_identity(text: str) -> ConsoleIdentity:
    """The identity in either form. Raises ConsoleProtocolError when there is no Device ID."""
    old = _OLD_IDENTITY.search(text)
    if old:
        return ConsoleIdentity(old[1].lower())
    new = _NEW_IDENTITY.search(text)
    if not new:
        raise ConsoleProtocolError(
            "the console printed no Device ID", received=redact(text), hint="try again, or use control request 20"
        )
    values = {key: value for key, value in _PAIR.findall(text, new.start()) if value}
    secret = values.get("Device Secret")
    return ConsoleIdentity(
        new[1].lower(),
        Secret(secret) if secret else None,
        values.get("Serial Number"),
        values.get("IMEI"),
        values.get("ICCID"),
        values.get("Cell Radio Version"),
        {key: value for key, value in values.items() if key not in _NAMED},
    )


def parse_describe(text: str) -> Describe:
    """The describe text. Raises ConsoleProtocolError when it is no such JSON."""
    try:
        found: dict[str, Any] = json.loads(text)
        modules = tuple(_module(m) for m in found.get("m", ()))
        values = {key: str(value) for key, value in found.items() if key not in ("p", "m") and key != "ms"}
        return Describe(int(found["p"]), modules, values)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as e:
        raise ConsoleProtocolError(
            "the describe text cannot be read",
            received=redact(text),
            hint="run it again; if it stays so, report the text with the version of Device OS",
        ) from e


def _module(m: Mapping[str, Any]) -> DescribedModule:
    checked, passed = int(m.get("vc", 0)), int(m.get("vv", 0))
    sha256 = m.get("u")
    return DescribedModule(
        FUNCTIONS.get(m["f"], ModuleFunction.NONE),
        int(m["n"]),
        int(m["v"]),
        STORES.get(m.get("l", "m")),
        int(m.get("s", 0)),
        ModuleValidity(checked & ~passed),
        tuple((FUNCTIONS.get(d["f"], ModuleFunction.NONE), int(d["n"]), int(d["v"])) for d in m.get("d", ())),
        str(sha256).lower() if sha256 else None,
    )
