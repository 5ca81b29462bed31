"""What a bootloader or a starting system writes to flash before it resets again."""

from __future__ import annotations

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boot import BootView, factory_image, fetch_module, system_version
from particle_harness.module_reader import CRC_SIZE_BYTES, crc_is_good, read_prefix
from particle_harness.nor_flash import NorFlash


def restore_factory_image(view: BootView, internal: NorFlash) -> None:
    """Copy the application of the factory slot to its place, if it is sound.

    Source: device-os v2.1.0 platform/MCU/nRF52840/src/flash_mal.c FLASH_ApplyFactoryResetImage. The record of the
    factory slot in the configuration is taken as present: every boot of the system writes it.
    """
    image = factory_image(view, check_crc=True)
    read = view.external if view.hardware.is_gen3 else view.internal
    if image is not None and read is not None:
        internal.load(image.start_address, read(view.hardware.factory_address, image.length + CRC_SIZE_BYTES))


def apply_ota_update(view: BootView, internal: NorFlash) -> None:
    """Move a sound module from the OTA region to its place: HAL_FLASH_ApplyPendingUpdate() and the bootloader.

    Source: device-os v2.1.0 hal/src/nRF52840/ota_flash_hal.cpp, platform/MCU/nRF52840/src/flash_mal.c. Modules with
    flags (compressed, combined, without prefix) are left alone.
    """
    hardware = view.hardware
    read = view.external if hardware.is_gen3 else view.internal
    prefix = read_prefix(read, hardware.ota_address, hardware.mcu) if read else None
    if read is None or prefix is None or prefix.platform_id != hardware.platform_id or prefix.flags:
        return
    place = (prefix.function, prefix.index, prefix.start_address)
    fits = any((b.function, b.index, b.start_address) == place for b in hardware.bounds(system_version(view)))
    if fits and crc_is_good(read, hardware.ota_address, prefix.length):
        internal.load(prefix.start_address, read(hardware.ota_address, prefix.length + CRC_SIZE_BYTES))


def photon_system_parts_are_intact(view: BootView) -> bool:
    """Whether a Photon's bootloader can borrow the configuration code of both system parts.

    Source: device-os v2.1.0 bootloader/src/photon/bootloader_dct.c.
    """
    parts = [place for place in view.hardware.bounds(0) if place.function == ModuleFunction.SYSTEM_PART]
    modules = [fetch_module(view, part, 0) for part in parts]
    return all(module is not None and module.ok for module in modules)
