"""Bench files of virtual boards for programs of the harness itself: the same TOML that ``particle-dev --bench`` takes.

Boards there live in real time, for other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import BenchError
from particle_dev.toml_file import TomlFile
from particle_harness.bench import open_bench
from particle_harness.boards import Hardware, hardware
from particle_harness.emulator.bench import open_bench as open_emulated
from particle_harness.factory import release_stand_ins
from particle_harness.module_reader import read_prefix, reader_of
from particle_harness.served import ServedBench

_TABLES, _KEYS = ("bench", "slot", "test"), ("name", "driver", "options", "state_dir", "golden")
_IN_THE_FACTORY = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)


_SERVED: Mapping[str, Callable[..., ServedBench]] = {"virtual": open_bench, "emulated": open_emulated}
"""Drivers whose boards other programs of this machine may have."""


def driver_of(path: Path) -> str:
    """The driver that a bench file names. Raises ConfigError: what is wrong by itself."""
    return TomlFile(path).root.table("bench").text("driver", words=_SERVED)


def open_bench_file(path: Path, *, firmware: Path | None = None, images: Path | None = None) -> ServedBench:
    """Open the boards of a bench file. ``firmware``: a folder whose newest bootloader and SoftDevice of a platform new
    virtual boards get; without it they get stand-ins. ``images``: of emulated boards, where the file names no folder.
    Raises ConfigError: what is wrong by itself; BenchError, which names the file, too: another driver, a virtual clock,
    what the driver does not take."""
    file = TomlFile(path)
    file.root.allow_only(_TABLES)
    bench = file.root.table("bench")
    bench.allow_only(_KEYS)
    for key in ("name", "state_dir"):
        if key in bench.values:
            bench.text(key)
    driver = bench.text("driver", words=_SERVED)
    if driver not in _SERVED:
        raise BenchError(
            f"{path}: driver is {driver!r}, only virtual and emulated boards can be served",
            hint='set driver = "virtual", or "emulated" to run firmware of yours',
        )
    own = bench.table("options", required=False)
    options = {"clock": "real", **own.values}
    if options["clock"] != "real":
        place = own.places["bench.options.clock"]
        raise BenchError(f"{place}: other programs live in real time", hint='set clock = "real"')
    modules = modules_in(firmware) if firmware else stand_ins
    if driver == "emulated":
        modules = no_modules
        options = {**({"images": str(images)} if images else {}), **options}
    tables = file.root.tables("slot")
    for table in tables:
        table.text("name")
    # How boards are wired is for tests.
    slots = [{key: value for key, value in table.values.items() if key != "wiring"} for table in tables]
    state_dir = path.parent / bench.text("state_dir") if "state_dir" in bench.values else None
    open_it = _SERVED[driver]
    try:
        return open_it(options=options, slots=slots, state_dir=state_dir, factory_modules=modules)
    except BenchError as error:
        places = {table.text("name"): table.place for table in tables}
        keys = {**bench.places, **own.places}
        place = places.get(error.slot or "") or keys.get(error.key or "") or str(path)
        raise BenchError(f"{place}: {error.message}", slot=error.slot, key=error.key, hint=error.hint) from error


def no_modules(_platform: str) -> Sequence[bytes]:
    """For boards that run what they get: a stand-in is no program."""
    return ()


def stand_ins(platform: str) -> Sequence[bytes]:
    """Bootloader and SoftDevice of a platform without any firmware file."""
    return release_stand_ins(hardware(platform))


def modules_in(folder: Path) -> Callable[[str], Sequence[bytes]]:
    """Gives, by platform, the newest bootloader and SoftDevice among the module files (``*.bin``) in a folder, with
    stand-ins for what is not there."""

    def modules(platform: str) -> Sequence[bytes]:
        kind = hardware(platform)
        newest = _newest_in(folder, kind)
        for image in stand_ins(platform):
            prefix = read_prefix(reader_of(image), 0, kind.mcu)
            assert prefix is not None
            newest.setdefault(prefix.function, (prefix.version, image))
        return [image for _, image in newest.values()]

    return modules


def programs_in(folder: Path) -> Callable[[str], Sequence[bytes]]:
    """The same without stand-ins."""
    return lambda platform: [image for _, image in _newest_in(folder, hardware(platform)).values()]


def _newest_in(folder: Path, kind: Hardware) -> dict[int, tuple[int, bytes]]:
    """By function: version and module."""
    newest: dict[int, tuple[int, bytes]] = {}
    for file in sorted(folder.rglob("*.bin")):
        image = file.read_bytes()
        prefix = read_prefix(reader_of(image), 0, kind.mcu)
        if prefix is None or prefix.platform_id != kind.platform_id or prefix.function not in _IN_THE_FACTORY:
            continue
        if prefix.version > newest.get(prefix.function, (-1, b""))[0]:
            newest[prefix.function] = prefix.version, image
    return newest
