"""A board as ``particle-dev id --json`` printed it, read back from a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from particle_dev.catalog.modules import ModuleStore, ModuleValidity
from particle_dev.catalog.platforms import PLATFORMS, platform_by_name
from particle_dev.errors import FirmwareStoreError, FormatError
from particle_dev.flash.board_modules import Inventory
from particle_dev.flash.file_io import read_input
from particle_dev.protocol.messages import InstalledModule
from particle_dev.toml_file import suggestion

_NUMBERS = ("function", "index", "version")


def read_board(path: Path) -> Inventory:
    """The board in a file that ``id --json`` printed.

    Raises FormatError: ``unreadable``, ``no_board`` (anything else), ``failed_command`` (the answer of a command that
    failed), ``unknown_platform``.
    """
    try:
        document = json.loads(read_input(path))
    except FirmwareStoreError as error:
        raise _no_board(path, error.message.removeprefix(f"{path} "), code="unreadable") from error
    except (ValueError, RecursionError) as error:
        raise _no_board(path, "is not JSON") from error
    if not isinstance(document, dict):
        raise _no_board(path, "is JSON, but describes no board: it is no object")
    failed = document.get("error")
    if isinstance(failed, dict):
        told = f"{failed.get('message', 'no message')}"
        raise _no_board(path, f"is the answer of a command that failed: {told}", code="failed_command")
    platform_name = _member(path, _member(path, document, "platform", dict), "name", str)
    platform = platform_by_name(platform_name)
    if platform is None:
        raise FormatError(
            f"{path}: no platform {platform_name!r} is known",
            code="unknown_platform",
            file=str(path),
            hint=suggestion(platform_name, (known.name for known in PLATFORMS)),
        )
    listed = _member(path, document, "modules", list)
    modules = tuple(_module(path, number, entry) for number, entry in enumerate(listed))
    return Inventory(_member(path, document, "device_id", str), platform, str(path), modules)


def _module(path: Path, number: int, entry: object) -> InstalledModule:
    if not isinstance(entry, dict):
        raise _no_board(path, f"describes no board: modules[{number}] is no object")
    where = f"modules[{number}]."
    function, index, version = (_member(path, entry, name, int, where) for name in _NUMBERS)
    failed = ModuleValidity(0)
    for name in _member(path, entry, "failed_checks", list, where):
        if name not in ModuleValidity.__members__:
            raise _no_board(path, f"describes no board: {where}failed_checks names {name!r}, which is no check")
        failed |= ModuleValidity[name]
    needs = entry.get("dependencies", [])
    if not isinstance(needs, list) or not all(_is_need(need) for need in needs):
        raise _no_board(path, f"describes no board: {where}dependencies are not [function, index, version] each")
    sha256 = entry.get("sha256")
    if sha256 is not None and not _is_sha256(sha256):
        raise _no_board(path, f"describes no board: {where}sha256 is no SHA-256 in hex")
    return InstalledModule(
        function,
        index,
        version,
        entry.get("store", ModuleStore.MAIN),
        entry.get("size_bytes") or 0,
        tuple((need[0], need[1], need[2]) for need in needs),
        failed,
        bytes.fromhex(sha256) if sha256 else None,
    )


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _is_need(need: object) -> bool:
    return isinstance(need, list) and len(need) == len(_NUMBERS) and all(isinstance(number, int) for number in need)


def _member(path: Path, table: dict[str, Any], name: str, kind: type, where: str = "") -> Any:
    value = table.get(name)
    if not isinstance(value, kind):
        state = "is missing" if name not in table else "has another type"
        raise _no_board(path, f"describes no board: {where}{name} {state}")
    return value


def _no_board(path: Path, what: str, *, code: str = "no_board") -> FormatError:
    # Never name another kind of file as the place to write to.
    target = path if path.suffix == ".json" else "board.json"
    hint = f"plug the board in and run: particle-dev id --device ID --json > {target}"
    return FormatError(f"{path} {what}", code=code, file=str(path), hint=hint)
