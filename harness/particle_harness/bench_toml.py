"""Bench files of virtual boards for programs of the harness itself: the same TOML that ``particle-dev --bench`` takes.

Boards there live in real time, for other processes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import BenchError
from particle_harness.bench import VirtualBench, open_bench
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in
from particle_harness.module_reader import NRF52840_MCU, STM32F2_MCU, read_prefix, reader_of

_STAND_IN_BOOTLOADER = 1005
_IN_THE_FACTORY = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)


def open_bench_file(path: Path, *, firmware: Path | None = None) -> VirtualBench:
    """Open the boards of a bench file. ``firmware``: a folder whose newest bootloader and SoftDevice of a platform new
    boards get; without it they get stand-ins. Raises BenchError: unreadable, another driver, a virtual clock."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        bench = table["bench"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise BenchError(f"{path} is no bench file: {error}") from error
    if bench.get("driver") != "virtual":
        raise BenchError(f"{path}: driver is {bench.get('driver')!r}, only virtual boards can be served")
    options = {"clock": "real", **bench.get("options", {})}
    if options["clock"] != "real":
        raise BenchError(f"{path}: other programs live in real time", hint='set clock = "real"')
    return open_bench(
        options=options,
        slots=table.get("slot", ()),
        state_dir=path.parent / bench["state_dir"] if "state_dir" in bench else None,
        factory_modules=modules_in(firmware) if firmware else stand_ins,
    )


def stand_ins(platform: str) -> Sequence[bytes]:
    """Bootloader and SoftDevice of a platform without any firmware file."""
    kind = hardware(platform)
    bootloader = bootloader_stand_in(kind, _STAND_IN_BOOTLOADER)
    return [bootloader, softdevice_stand_in(kind)] if kind.is_gen3 else [bootloader]


def modules_in(folder: Path) -> Callable[[str], Sequence[bytes]]:
    """Gives, by platform, the newest bootloader and SoftDevice among the module files (``*.bin``) in a folder."""

    def modules(platform: str) -> Sequence[bytes]:
        kind = hardware(platform)
        newest: dict[int, tuple[int, bytes]] = {}
        for file in sorted(folder.rglob("*.bin")):
            image = file.read_bytes()
            prefix = read_prefix(reader_of(image), 0, NRF52840_MCU if kind.is_gen3 else STM32F2_MCU)
            if prefix is None or prefix.platform_id != kind.platform_id or prefix.function not in _IN_THE_FACTORY:
                continue
            if prefix.version > newest.get(prefix.function, (-1, b""))[0]:
                newest[prefix.function] = prefix.version, image
        return [image for _, image in newest.values()]

    return modules
