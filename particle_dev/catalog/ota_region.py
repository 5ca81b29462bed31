"""The area of external flash into which a module is laid for bootloader or system to install it.

Only nRF52840 boards are here. RTL872x keeps the area in internal flash and moves it at start-up, by Device OS and by
the size of the application (device-os v6.2.0 hal/src/rtl872x/core_hal.c); what it would be needed for, its bootloaders,
are encrypted and copied by the other processor: nobody has proven that out of DFU mode. STM32F2 has an area at
0x080C0000, but its bootloader does not replace itself, and DFU reaches the configuration only through intact system
parts (v3.3.1 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/src/flash_mal.c, bootloader/src/photon/bootloader_dct.c):
there the running system installs a bootloader, after a control update.
"""

from __future__ import annotations

from typing import NamedTuple

from particle_dev.catalog.model import MemoryRegion, Platform

_FAMILY = "nrf52840"
_EXTERNAL_FLASH = "external_flash"
_DECLARED_SIZE_BYTES = 1500 * 1024
"""Source: device-os v0.9.0 to v6.2.0 platform/MCU/nRF52840/inc/flash_mal.h EXTERNAL_FLASH_OTA_LENGTH."""

FIRST_BOOTLOADER_WITH_SLOTS = 1001
"""Device OS 2.0.0-rc.1. Earlier bootloaders do copy what the configuration names, but not a bootloader, on 8 MiB parts
not from above 4 MiB, and before 400 they know no prefix to drop. Source: device-os v2.1.0
hal/src/nRF52840/ota_flash_hal.cpp BOOTLOADER_MBR_UPDATE_MIN_VERSION."""


class OtaRegion(NamedTuple):
    """Where Device OS looks for a module that waits for installation.

    ``dfu_address`` counts as the alternate setting ``dfu_alt`` does (0x80000000 more), ``flash_address`` as slots of
    the configuration do. ``size_bytes`` is what the device declares; on 4 MiB parts its end holds the assets since
    Device OS 5.5.0, so only ``safe_size_bytes`` may be used.
    """

    dfu_alt: int
    dfu_address: int
    flash_address: int
    size_bytes: int
    safe_size_bytes: int
    source: str


def update_area(platform: Platform) -> OtaRegion | None:
    """What may be erased and written, whatever Device OS is or was on the board: there no release keeps files, assets,
    the factory application or the bootloader's copy of an application. None where nothing is known to be safe."""
    external = next((a for a in platform.dfu_alts if a.name == _EXTERNAL_FLASH), None)
    layout = platform.layout
    if platform.family != _FAMILY or external is None or layout is None or not layout.memory_maps:
        return None
    return _region(layout.memory_maps[-1].region("ota"), external.alt, external.base_address)


def ota_region(platform: Platform, device_os: str) -> OtaRegion | None:
    """Where that release looks for a module when the flag of the configuration is set (see protocol.dct).

    None where it is not proven, and for Device OS 1.5.2 and earlier on 8 MiB parts, whose region lies where later
    releases keep files. Raises ValueError when ``device_os`` is no version.
    """
    area = update_area(platform)
    if area is None:
        return None
    region = _region(platform.memory_map(device_os).region("ota"), area.dfu_alt, area.dfu_address - area.flash_address)
    end = min(region.flash_address + region.safe_size_bytes, area.flash_address + area.safe_size_bytes)
    if not area.flash_address <= region.flash_address < end:
        return None
    return region._replace(safe_size_bytes=end - region.flash_address)


def _region(region: MemoryRegion, alt: int, base_address: int) -> OtaRegion:
    safe = min(region.size_bytes, _DECLARED_SIZE_BYTES)
    return OtaRegion(
        alt, base_address + region.start_address, region.start_address, _DECLARED_SIZE_BYTES, safe, region.source
    )
