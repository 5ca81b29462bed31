"""What a bootloader or a starting system writes to flash before it resets again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boot import BootDecision, decide_boot
from particle_harness.boot_view import (
    BootView,
    factory_image,
    fetch_module,
    manufacturing_system_part,
    why_nothing_starts,
)
from particle_harness.dct import Dct
from particle_harness.file_system import has_file_system, make_file_system
from particle_harness.firmware_update import FirmwareUpdate
from particle_harness.memories import Memories
from particle_harness.module_reader import CRC_SIZE_BYTES, read_prefix
from particle_harness.nor_flash import NorFlash
from particle_harness.user_information import configure

_MAX_STEPS_OF_A_BOOT = 6


@dataclass(frozen=True, slots=True)
class BootOutcome:
    """Where a boot ended after all steps that reset again: how many there were, how many modules were copied."""

    decision: BootDecision
    resets: int
    installed: int
    updated: bool
    """The system applied an update on the way."""


def carry_out_boot(
    view: Callable[[], BootView],
    internal: NorFlash,
    dct: Dct,
    update: FirmwareUpdate,
    *,
    after_reset: Callable[[], None],
) -> BootOutcome:
    """Let bootloader and system write what they write before one of them stays. ``after_reset()`` comes after each step
    that resets the board."""

    def install() -> int:
        # Modules that wait are copied, unless DFU mode is wanted.
        return 0 if view().dfu_requested else update.install_entered()

    if view().hardware.is_rtl872x and not has_file_system(internal):
        make_file_system(internal)
        dct.clear()
    update.cancel()
    installed, resets, updated = install(), 0, False
    decision = decide_boot(view())
    for _ in range(_MAX_STEPS_OF_A_BOOT):
        if decision.runs == "factory_restore":
            restore_factory_image(view(), internal)
            dct.factory_reset_requested = False
        elif decision.runs == "ota_update":
            dct.clear_ota_update()
            update.apply()
            updated = True
        elif decision.runs == "manufacturing":
            restore_manufacturing_system(view(), internal)
        else:
            break
        resets += 1
        after_reset()
        installed += install()
        decision = decide_boot(view())
    if decision.runs in ("app", "safe_mode", "listening"):
        update.start_assets()
    return BootOutcome(decision, resets, installed, updated)


def configure_user_information(view: BootView, memories: Memories, *, is_protected: bool) -> int:
    """Let the bootloader of an nRF52840 write UICR; how often it resets the board for it."""
    bootloader = read_prefix(view.internal, view.hardware.bootloader_address, view.hardware.mcu)
    if memories.uicr is None or bootloader is None or why_nothing_starts(view):
        return 0
    return configure(memories.uicr, memories.internal, bootloader.version, is_protected=is_protected)


def restore_factory_image(view: BootView, internal: NorFlash) -> None:
    """Copy the application of the factory slot to its place, if it is sound.

    Source: device-os v2.1.0 platform/MCU/nRF52840/src/flash_mal.c FLASH_ApplyFactoryResetImage. The record of the
    factory slot in the configuration is taken as present: every boot of the system writes it.
    """
    image = factory_image(view, check_crc=True)
    read = view.external if view.hardware.is_gen3 else view.internal
    address = view.hardware.factory_address
    if image is not None and read is not None and address is not None:
        internal.load(image.start_address, read(address, image.length + CRC_SIZE_BYTES))


def restore_manufacturing_system(view: BootView, internal: NorFlash) -> None:
    """Copy the system part of an RTL872x factory image to its place."""
    found = manufacturing_system_part(view)
    if found is not None:
        address, system = found
        internal.load(system.start_address, view.internal(address, system.length + CRC_SIZE_BYTES))


def photon_system_parts_are_intact(view: BootView) -> bool:
    """Whether a Photon's bootloader can borrow the configuration code of both system parts.

    Source: device-os v2.1.0 bootloader/src/photon/bootloader_dct.c.
    """
    parts = [place for place in view.bounds(0) if place.function == ModuleFunction.SYSTEM_PART]
    modules = [fetch_module(view, part, 0) for part in parts]
    return all(module is not None and module.ok for module in modules)
