"""Bench files: which driver serves a bench and what is in its slots. TOML::

[bench]
name = "line-1"             # optional, for the record; default: the driver's name
state_dir = "boards"        # optional, beside this file: where virtual boards keep their flash
driver = "usb"              # an entry point of the group particle_dev.benches
golden = ["e00fce68…"]      # optional: Device IDs of units that are known to be good, to check slots with

[bench.options]             # optional, passed to the driver as they are

[[slot]]                    # optional, one per slot; keys other than these go to the driver as they are
name = "1"
platform = "boron"
device_id = "e00fce68…"
port = "1-1.2"
serial = "/dev/serial/by-path/…"  # optional, driver usb: a serial line of the board that is none of USB
wiring = ["loopback"]       # optional, for tests: how it is wired, in words of your own

[test]                      # optional, for tests on this bench: what they may do, and to which boards
may_erase = ["e00fce68…"]   # Device IDs whose content tests may destroy
may_connect = []            # Device IDs that tests may bring online, which starts billing
product = 12345             # for tests that ask the cloud: of which product, and
profile = "hil"             # by which profile of particle-cli
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from particle_dev.catalog.platforms import PLATFORMS, platform_by_name
from particle_dev.errors import BenchError, ConfigError
from particle_dev.protocol.identifiers import is_device_id
from particle_dev.toml_file import TomlFile, TomlTable, suggestion

EMULATED = "emulated"
"""The driver of emulated boards."""


@dataclass(frozen=True, slots=True)
class TestRules:
    """What tests may do on a bench, by Device ID: never by slot, since boards are swapped. ``are_stated``: the file has
    a table [test]. ``wiring``: of slots that have any, by name. ``product``: of the account whose cloud tests use, in
    the profile ``profile`` of particle-cli."""

    __test__ = False  # Not one of pytest's classes.

    are_stated: bool = False
    may_erase: frozenset[str] = frozenset()
    may_connect: frozenset[str] = frozenset()
    wiring: Mapping[str, frozenset[str]] = field(default_factory=dict)
    product: int | None = None
    profile: str | None = None


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
    rules: TestRules = TestRules()
    golden: frozenset[str] = frozenset()
    """Device IDs of units that are known to be good, to check slots with."""
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where in the file a slot stands, by name: for messages of the driver about it."""
    key_places: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where a key of the bench and its options stands, by its whole name (``bench.options.clock``)."""
    path: str | None = field(default=None, compare=False)
    """Of the file."""

    @contextmanager
    def placed(self) -> Iterator[None]:
        """What a driver complains about a slot, an option or another key is raised with its place in the file."""
        try:
            yield
        except BenchError as error:
            place = self.places.get(error.slot or "") or self.key_places.get(error.key or "")
            if place is None or type(error) is not BenchError:
                raise
            raise BenchError(f"{place}: {error.message}", slot=error.slot, key=error.key, hint=error.hint) from error
        except ConfigError as error:
            place = self.key_places.get(error.key or "", self.path)
            if place is None or error.file is not None:
                raise
            message = f"{place}: {error.message}"
            raise ConfigError(message, file=self.path, key=error.key, hint=error.hint) from error


def read_bench(spec: str) -> BenchFile:
    """The bench that ``--bench`` names: a TOML file, a driver by its name, or ``DRIVER:SLOT``. Raises ConfigError."""
    return load_bench_file(Path(spec)) if spec.endswith(".toml") else bench_named(spec)


def bench_named(spec: str) -> BenchFile:
    """The bench of ``--bench NAME`` or ``NAME:SLOT`` without a file."""
    driver, colon, slot = spec.partition(":")
    return BenchFile(name=spec, driver=driver, options={}, slots=({"name": slot},) if colon else ())


def load_bench_file(path: Path) -> BenchFile:
    """The bench in a TOML file. Without a name of its own it has the file's, less ``.toml``: locks and wear of its
    slots are kept by that name.

    ConfigError (file, line, key): unreadable, no TOML, an unknown key, a wrong or missing value, an unknown
    platform, two slots with one name or one Device ID. Keys that belong to the driver are its own to check.
    """
    file = TomlFile(path)
    file.root.allow_only(["bench", "slot", "test"])
    bench = file.root.table("bench")
    bench.allow_only(["name", "driver", "options", "state_dir", "golden"])
    driver = bench.text("driver")
    options = bench.table("options", required=False)
    slots = file.root.tables("slot")
    wiring = {slot.text("name"): frozenset(_texts(slot, "wiring")) for slot in slots if "wiring" in slot.values}
    checked = tuple(_slot(slot, driver) for slot in slots)
    for key in ("name", "device_id"):
        _refuse_twins(slots, key)
    return BenchFile(
        name=bench.text("name", path.stem),
        driver=driver,
        options=options.values,
        slots=checked,
        state_dir=path.parent / bench.text("state_dir") if "state_dir" in bench.values else None,
        rules=_rules(file.root, wiring),
        golden=_device_ids(bench, "golden"),
        places={slot.text("name"): slot.place for slot in slots},
        key_places={**bench.places, **options.places},
        path=str(path),
    )


def _rules(root: TomlTable, wiring: Mapping[str, frozenset[str]]) -> TestRules:
    table = root.table("test", required=False)
    table.allow_only(["may_erase", "may_connect", "product", "profile"])
    product = table.values.get("product")
    if product is not None and type(product) is not int:
        raise table.error("product", f"test.product must be a number, not {product!r}", hint="cloud products shows it")
    return TestRules(
        "test" in root.values,
        _device_ids(table, "may_erase"),
        _device_ids(table, "may_connect"),
        wiring,
        product,
        table.text("profile") if "profile" in table.values else None,
    )


def _device_ids(table: TomlTable, key: str) -> frozenset[str]:
    ids = _texts(table, key)
    for device_id in ids:
        if not is_device_id(device_id):
            message = f"{table.key_path[0]}.{key}: {device_id!r} is no Device ID"
            raise table.error(key, message, hint="24 hexadecimal digits in lower case, as `particle-dev list` shows")
    return frozenset(ids)


def _texts(table: TomlTable, key: str) -> list[str]:
    values = table.values.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise table.error(key, f"{key} must be a list of texts", hint=f'such as {key} = ["…"]')
    return values


def _slot(slot: TomlTable, driver: str) -> dict[str, Any]:
    values = {key: value for key, value in slot.values.items() if key != "wiring"}
    slot.text("name")
    if "port" in values:
        slot.text("port")
    if "platform" in values:
        name = slot.text("platform")
        platform = platform_by_name(name)
        # The driver of emulated boards has few of them, and names those.
        if platform is None and driver != EMULATED:
            names = [platform.name for platform in PLATFORMS]
            raise slot.error("platform", f"unknown platform {name!r}", hint=suggestion(name, names))
        values["platform"] = platform.name if platform else name
    if "device_id" in slot.values and not is_device_id(slot.text("device_id")):
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
