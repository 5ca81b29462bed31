"""Bench files: which driver serves a bench and what is in its slots. TOML::

[bench]
name = "line-1"             # optional, for the record; default: the driver's name
state_dir = "boards"        # optional, beside this file: where virtual boards keep their flash
driver = "usb"              # an entry point of the group particle_dev.benches

[bench.options]             # optional, passed to the driver as they are

[[slot]]                    # optional, one per slot; keys other than these go to the driver as they are
name = "1"
platform = "boron"
device_id = "e00fce68…"
port = "1-1.2"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from particle_dev.catalog.platforms import PLATFORMS, platform_by_name
from particle_dev.toml_file import TomlFile, TomlTable, suggestion


@dataclass(frozen=True, slots=True)
class BenchFile:
    """A bench as its file describes it. ``slots`` are what the driver gets; none: the driver's own choice.

    Each slot has ``name``; ``platform`` (the catalog's name), ``device_id`` (lower-case hex) and ``port``
    where given; and the driver's own keys.
    """

    name: str
    driver: str
    options: Mapping[str, Any]
    slots: tuple[Mapping[str, Any], ...]
    state_dir: Path | None = None


def bench_named(driver: str) -> BenchFile:
    """The bench of ``--bench NAME`` without a file."""
    return BenchFile(name=driver, driver=driver, options={}, slots=())


def load_bench_file(path: Path) -> BenchFile:
    """The bench in a TOML file.

    ConfigError (file, line, key): unreadable, no TOML, an unknown key, a wrong or missing value, an unknown
    platform, two slots with one name or one Device ID. Keys that belong to the driver are its own to check.
    """
    file = TomlFile(path)
    file.root.allow_only(["bench", "slot"])
    bench = file.root.table("bench")
    bench.allow_only(["name", "driver", "options", "state_dir"])
    driver = bench.text("driver")
    slots = file.root.tables("slot")
    checked = tuple(_slot(slot) for slot in slots)
    for key in ("name", "device_id"):
        _refuse_twins(slots, key)
    return BenchFile(
        name=bench.text("name", driver),
        driver=driver,
        options=bench.table("options", required=False).values,
        slots=checked,
        state_dir=path.parent / bench.text("state_dir") if "state_dir" in bench.values else None,
    )


def _slot(slot: TomlTable) -> dict[str, Any]:
    values = dict(slot.values)
    slot.text("name")
    if "port" in values:
        slot.text("port")
    if "platform" in values:
        name = slot.text("platform")
        platform = platform_by_name(name)
        if platform is None:
            names = [platform.name for platform in PLATFORMS]
            raise slot.error("platform", f"unknown platform {name!r}", hint=suggestion(name, names))
        values["platform"] = platform.name
    if "device_id" in slot.values and not re.fullmatch("[0-9a-f]{24}", slot.text("device_id")):
        raise slot.error("device_id", "slot.device_id must be 24 hexadecimal digits in lower case")
    return values


def _refuse_twins(slots: tuple[TomlTable, ...], key: str) -> None:
    seen: set[str] = set()
    for slot in slots:
        value = slot.values.get(key)
        if value in seen:
            raise slot.error(key, f"two slots have {key} {value!r}")
        if value is not None:
            seen.add(value)
