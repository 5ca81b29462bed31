"""The describe text: modules and properties as JSON.

Source: device-os v2.1.0 and v6.2.0 system/src/system_info.cpp system_info_to_json, module_info_to_json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_harness.boot_view import CHECKED, FetchedModule
from particle_harness.module_reader import Need

_FUNCTIONS = {
    ModuleFunction.RESOURCE: "r",
    ModuleFunction.BOOTLOADER: "b",
    ModuleFunction.MONO_FIRMWARE: "m",
    ModuleFunction.SYSTEM_PART: "s",
    ModuleFunction.USER_PART: "u",
    ModuleFunction.NCP_FIRMWARE: "c",
    ModuleFunction.RADIO_STACK: "a",
}
_STORES = {ModuleStore.MAIN: "m", ModuleStore.FACTORY: "f", ModuleStore.BACKUP: "b", ModuleStore.SCRATCHPAD: "t"}


def describe(
    platform_id: int,
    properties: Mapping[str, str],
    modules: Iterable[FetchedModule],
    sha256: Callable[[FetchedModule], bytes],
) -> str:
    """Factory modules that are broken are left out."""
    listed = [
        _module(module, sha256)
        for module in modules
        if module.bounds.store != ModuleStore.FACTORY or ModuleValidity.INTEGRITY in module.passed
    ]
    return json.dumps({"p": platform_id, **properties, "m": listed}, separators=(",", ":"))


def _module(module: FetchedModule, sha256: Callable[[FetchedModule], bytes]) -> dict[str, Any]:
    prefix, bounds = module.prefix, module.bounds
    table: dict[str, Any] = {
        "s": bounds.end_address - bounds.start_address,
        "l": _STORES[bounds.store],
        "vc": int(CHECKED),
        "vv": int(module.passed),
    }
    if prefix.function == ModuleFunction.USER_PART:
        table["u"] = sha256(module).hex().upper()
    needs = [_need(need) for need in (prefix.need1, prefix.need2) if need.function]
    return table | {"f": _letter(prefix.function), "n": str(prefix.index), "v": prefix.version, "d": needs}


def _need(need: Need) -> dict[str, Any]:
    return {"f": _letter(need.function), "n": str(need.index), "v": need.version}


def _letter(function: int) -> str:
    return _FUNCTIONS.get(ModuleFunction(function), "_")
