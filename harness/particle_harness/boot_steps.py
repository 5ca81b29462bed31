"""What a bootloader or a starting system writes to flash before it resets again."""

from __future__ import annotations

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boot import BootView, factory_image, fetch_module
from particle_harness.module_reader import CRC_SIZE_BYTES
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


def photon_system_parts_are_intact(view: BootView) -> bool:
    """Whether a Photon's bootloader can borrow the configuration code of both system parts.

    Source: device-os v2.1.0 bootloader/src/photon/bootloader_dct.c.
    """
    parts = [place for place in view.hardware.bounds(0) if place.function == ModuleFunction.SYSTEM_PART]
    modules = [fetch_module(view, part, 0) for part in parts]
    return all(module is not None and module.ok for module in modules)
