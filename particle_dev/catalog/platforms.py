"""Every Particle platform: ids, USB identities, module slots, DFU settings and memory maps.

Look a platform up by id, name or USB id; each number in the tables carries its ``source``.
"""

from __future__ import annotations

from particle_dev.catalog import gen2_stm32f2, gen3_nrf52840, other_platforms, rtl872x
from particle_dev.catalog.model import (
    AssetStorage,
    DfuAlt,
    DfuArea,
    Layout,
    MemoryMap,
    MemoryRegion,
    ModuleSlot,
    Platform,
    UsbId,
    UsbMode,
)

__all__ = [
    "PLATFORMS",
    "AssetStorage",
    "DfuAlt",
    "DfuArea",
    "Layout",
    "MemoryMap",
    "MemoryRegion",
    "ModuleSlot",
    "Platform",
    "UsbId",
    "UsbMode",
    "platform_by_id",
    "platform_by_name",
    "platform_by_usb_id",
]

PLATFORMS: tuple[Platform, ...] = tuple(
    sorted(
        gen2_stm32f2.PLATFORMS + gen3_nrf52840.PLATFORMS + rtl872x.PLATFORMS + other_platforms.PLATFORMS,
        key=lambda platform: platform.id,
    )
)

_BY_ID = {platform.id: platform for platform in PLATFORMS}
_BY_NAME = {word: platform for platform in PLATFORMS for word in (*platform.aliases, platform.name)}
_BY_USB_ID = {
    usb_id: (platform, mode)
    for platform in PLATFORMS
    for usb_id, mode in ((platform.usb_normal, UsbMode.NORMAL), (platform.usb_dfu, UsbMode.DFU))
    if usb_id is not None
}


def platform_by_id(platform_id: int) -> Platform | None:
    """Return the platform with that id (the number in module prefixes), or None."""
    return _BY_ID.get(platform_id)


def platform_by_name(name: str) -> Platform | None:
    """Return the platform with that name or alias in any letter case, or None."""
    return _BY_NAME.get(name.lower())


def platform_by_usb_id(vid: int, pid: int) -> tuple[Platform, UsbMode] | None:
    """Return the platform and mode that show this USB id, or None when it is no Particle device."""
    return _BY_USB_ID.get(UsbId(vid, pid))
