"""Which way a module takes into a board. Pure: nothing is read or sent.

What DFU must not or cannot write (bootloader, radio stack, other chips, encrypted modules, assets) is installed by the
board itself: by its bootloader, without one instruction of system or application, or by its running system. RTL872x
and STM32F2 boards have only the latter (see catalog.ota_region).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from particle_dev.catalog.modules import COPIED_BY_BOOTLOADER, WRITTEN_OVER_DFU, ModuleFlag, ModuleFunction
from particle_dev.catalog.ota_region import FIRST_BOOTLOADER_WITH_SLOTS, ota_region, update_area
from particle_dev.flash.board_modules import Inventory, ModuleFile
from particle_dev.flash.boot_outcome import started_by_bootloader
from particle_dev.flash.installed import comparable_sha256, is_reported, is_stored, reported
from particle_dev.flash.plan import braked_part
from particle_dev.flash.releases import release_for_layout
from particle_dev.protocol.messages import AssetInfo


class InstallWay(StrEnum):
    """How a module gets to its place."""

    DFU = "written over DFU"
    SLOT = "copied by the bootloader, out of DFU mode"
    """Nothing but the bootloader runs: needs no permission."""
    FLAG = "installed by Device OS at its next start, out of DFU mode"
    CONTROL = "control update"


def is_satisfied(file: ModuleFile, inventory: Inventory, assets: AssetInfo | None) -> bool:
    """Whether the board has that module already. What DFU writes is taken for there only by its hash; for the rest the
    version is enough where the board tells no more, as radio stacks and Device OS before 5.6.0 do not."""
    if file.module.function == ModuleFunction.ASSET:
        return assets is not None and is_stored(file, assets)
    if not is_reported(file, inventory.modules):
        return False
    found = reported(file, inventory.modules)
    by_hash = bool(found and found.sha256) and comparable_sha256(file) is not None
    return by_hash or way_by_kind(file) is not InstallWay.DFU


def way_by_kind(file: ModuleFile) -> InstallWay:
    """The way of a module when nothing is known about the rest of the set."""
    plain = not file.module.flags & ModuleFlag.ENCRYPTED
    return InstallWay.DFU if plain and file.module.function in WRITTEN_OVER_DFU else InstallWay.CONTROL


def choose_ways(
    inventory: Inventory, offered: Sequence[ModuleFile], missing: Sequence[ModuleFile], *, in_dfu: bool, runs: bool
) -> dict[ModuleFile, InstallWay]:
    """A way for each of ``missing``; those ``offered`` include what is there already.

    ``in_dfu``: the board is in DFU mode now. ``runs``: outside it, its system would run as it is.
    """
    ways = {file: way_by_kind(file) for file in missing}
    if update_area(inventory.platform) is None:
        return ways
    staged = [f for f in missing if ways[f] is InstallWay.CONTROL and f.module.function in COPIED_BY_BOOTLOADER]
    bootloader = next((f for f in staged if f.module.function == ModuleFunction.BOOTLOADER), None)
    present = inventory.find(ModuleFunction.BOOTLOADER, 0)
    version = present.version if present and present.valid else 0
    # The parking brake, without which the copies would end in a start of the application.
    braked = braked_part([f for f in offered if way_by_kind(f) is InstallWay.DFU]) is not None
    for file in staged:
        if braked and version >= FIRST_BOOTLOADER_WITH_SLOTS:
            ways[file] = InstallWay.SLOT
        elif file is bootloader and in_dfu and _knows_ota_region(inventory, offered, runs=runs):
            ways[file] = InstallWay.FLAG
        elif braked and bootloader and runs and bootloader.module.version >= FIRST_BOOTLOADER_WITH_SLOTS:
            ways[file] = ways[file] if file is bootloader else InstallWay.SLOT
    return ways


def _knows_ota_region(inventory: Inventory, offered: Sequence[ModuleFile], *, runs: bool) -> bool:
    """Whether it is known where the system that runs next looks for a module."""
    system = started_by_bootloader(inventory.parts if runs else [f.part for f in offered])
    return system is not None and ota_region(inventory.platform, release_for_layout(system.version)) is not None
