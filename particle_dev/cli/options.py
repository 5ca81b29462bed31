"""Options that several commands share, and how their values become objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.cli.command_type import CommandT
from particle_dev.cli.store_option import open_store as open_store  # noqa: PLC0414  commands look for options here
from particle_dev.cli.store_option import store_option as store_option  # noqa: PLC0414
from particle_dev.finite_range import FiniteRange
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.bench import FACTORY_SOURCE, Bench, FactoryModules, no_factory_modules, open_bench
from particle_dev.station.bench_file import EMULATED, BenchFile
from particle_dev.station.bench_file import read_bench as read_bench  # noqa: PLC0414  commands look for it here

SELECTOR_HELP = "Device ID or its beginning, name, platform, port, slot:A, platform:boron,mode:dfu"


def json_option(command: CommandT) -> CommandT:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


def bench_option(command: CommandT) -> CommandT:
    """``--bench``."""
    return click.option(
        "--bench",
        "bench_spec",
        default="usb",
        metavar="NAME|FILE",
        help="usb (default), virtual, emulated, labgrid:PLACE or a file.",
    )(command)


def device_option(command: CommandT) -> CommandT:
    """``--device``."""
    return click.option("--device", metavar="SELECTOR", help=f"Which board: {SELECTOR_HELP}.")(command)


def duration_option(command: CommandT) -> CommandT:
    """``--duration``."""
    return click.option(
        "--duration",
        "duration_s",
        type=FiniteRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Stop after this time; default: at Ctrl-C.",
    )(command)


def factory_modules(store: FirmwareStore, releases: dict[str, str]) -> FactoryModules:
    """Bootloader and radio stack of each platform's release, from the store, for benches that make their own boards."""

    def modules(platform_name: str) -> Sequence[bytes]:
        if platform_name not in releases:
            return newest_factory_modules(store)(platform_name)
        release = store.device_os_set(platform_name, releases[platform_name])
        return [store.read(m.sha256) for m in release.factory_modules]

    return modules


def newest_factory_modules(store: FirmwareStore) -> FactoryModules:
    """The newest bootloader and radio stack in the store, for commands that name no release."""

    def modules(platform_name: str) -> Sequence[bytes]:
        platform = platform_by_name(platform_name)
        functions = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)
        found = [store.find(platform.id, f, 0) for f in functions] if platform else []
        newest = [versions[-1] for versions in found if versions]
        if not newest:
            return no_factory_modules(platform_name, store.add_command(FACTORY_SOURCE))
        return [store.read(m.sha256) for m in newest]

    return modules


@contextmanager
def bench_for(bench_spec: str, store_dir: Path | None) -> Iterator[Bench]:
    """The open bench that ``--bench`` names, with what ``--store`` has for virtual boards. Raises BenchError,
    ConfigError."""
    table = with_images(read_bench(bench_spec), store_dir)
    with opened_bench(table, newest_factory_modules(open_store(store_dir))) as bench:
        yield bench


def with_images(table: BenchFile, store_dir: Path | None) -> BenchFile:
    """``table``, in which emulated boards run what the store has that ``--store`` names on this command line.

    The option ``images`` of a bench file goes before it; the environment and the user's own store, which the bench
    finds by itself, come behind.
    """
    context = click.get_current_context(silent=True)
    named = context is not None and context.get_parameter_source("store_dir") is ParameterSource.COMMANDLINE
    if table.driver != EMULATED or store_dir is None or not named:
        return table
    return replace(table, options={"images": str(store_dir), **table.options})


@contextmanager
def opened_bench(table: BenchFile, factory: FactoryModules, state_dir: Path | None = None) -> Iterator[Bench]:
    """An open bench. ``state_dir`` is where virtual boards keep what must survive this process, unless the bench file
    says where. Raises BenchError, ConfigError."""
    with table.placed():
        bench = open_bench(
            table.driver,
            name=table.name,
            options=table.options,
            slots=table.slots,
            state_dir=table.state_dir or state_dir,
            factory_modules=factory,
        )
    try:
        yield bench
    finally:
        bench.close()
