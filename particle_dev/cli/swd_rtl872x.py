"""What ``particle-dev swd`` can do for RTL872x boards: ``id``, ``dump``, ``park halted``, through OpenOCD."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import click

from particle_dev.catalog.platforms import Platform
from particle_dev.cli.swd_options import platform_named
from particle_dev.device.rtl872x_swd import FAMILY, rtl872x_session
from particle_dev.errors import DeviceNotFoundError, LinkAccessError
from particle_dev.flash.board_modules import module_title
from particle_dev.flash.swd_archive import Archive, write_archive

UNKNOWN_DEVICE_ID = "unknown"
"""It lies in fuses that a probe does not see."""


def rtl872x_platform(board: dict[str, Any]) -> Platform | None:
    """The platform that ``--platform`` names when it is one of these boards. Raises as ``platform_named``,
    LinkAccessError for ``--under-reset``, DeviceNotFoundError without ``--probe``."""
    platform = platform_named(board["platform_name"])
    if platform is None or platform.family != FAMILY:
        return None
    if board["probe_id"] is None:
        raise DeviceNotFoundError(
            f"{platform.display_name} boards are reached through OpenOCD, which takes the probe that you name",
            hint="--probe SERIAL of a CMSIS-DAP probe, or --probe cmsis-dap-tcp:HOST:PORT",
        )
    if board["under_reset"]:
        raise LinkAccessError(
            f"how a reset line holds a {platform.display_name} is not known", hint="leave --under-reset out"
        )
    return platform


def show_identity(platform: Platform, board: dict[str, Any], *, as_json: bool) -> None:
    """Modules in flash. Halts nothing."""
    with rtl872x_session(board["probe_id"], platform, frequency_hz=board["frequency_hz"]) as session:
        identity = session.identity()
    if as_json:
        prefixes = [
            {
                "function": p.function,
                "index": p.index,
                "version": p.version,
                "start_address": p.start_address,
                "size_bytes": p.size_bytes,
            }
            for _, p in identity.prefixes
        ]
        known = identity.platform
        found = {"id": known.id, "name": known.name} if known else None
        click.echo(json.dumps({"device_id": None, "chip": FAMILY, "platform": found, "prefixes": prefixes}))
        return
    name = identity.platform.display_name if identity.platform else "unknown board"
    click.echo(f"Device ID not readable by a probe  {name}, {FAMILY}")
    for _, prefix in identity.prefixes:
        title = module_title(prefix.function, prefix.index, prefix.version)
        click.echo(f"0x{prefix.start_address:08x}  {title}, {prefix.size_bytes} bytes (by its prefix; not checked)")


def dump_board(platform: Platform, file: Path, board: dict[str, Any], *, as_json: bool) -> None:
    """The flash, as it is mapped, into a file. Halts both cores and leaves them so."""
    with rtl872x_session(board["probe_id"], platform, frequency_hz=board["frequency_hz"]) as session:
        session.require_chip()
        session.halt()
        regions = session.dump()
    write_archive(file, Archive(UNKNOWN_DEVICE_ID, FAMILY, platform.name, regions))
    listed = [
        {"address": a, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for a, data in regions.items()
    ]
    if as_json:
        click.echo(json.dumps({"device_id": None, "file": str(file), "regions": listed}))
        return
    for region in listed:
        click.echo(f"0x{region['address']:08x}  {region['size_bytes']} bytes\n  SHA-256 {region['sha256']}")
    click.echo(f"written to {file}")


def park_halted(platform: Platform, board: dict[str, Any], *, as_json: bool) -> None:
    """Both cores stand, where they are."""
    with rtl872x_session(board["probe_id"], platform, frequency_hz=board["frequency_hz"]) as session:
        session.require_chip()
        proves = session.halt()
    if as_json:
        click.echo(json.dumps({"device_id": None, "parked": "halted", "proves": proves}))
    else:
        click.echo(f"{platform.display_name}: halted; {proves}")
