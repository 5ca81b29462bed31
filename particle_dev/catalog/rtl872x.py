"""RTL872x boards: Tracker-M, P2 and Photon 2, M-SoM and Muon, Sulu. Flash executes in place at 0x08000000."""

from __future__ import annotations

from particle_dev.catalog.model import (
    AssetStorage,
    DfuAlt,
    Layout,
    MemoryMap,
    MemoryRegion,
    ModuleSlot,
    Platform,
    UsbId,
)
from particle_dev.catalog.modules import ModuleFunction

_BOUNDS_OLD = "device-os v5.4.1 hal/src/rtl872x/ota_module_bounds.c"
_BOUNDS = "device-os v5.5.0-rc.1 hal/src/rtl872x/ota_module_bounds.c"
_LINKER = "device-os v6.2.0 build/arm/linker/rtl872x/platform_flash.ld"
_CORE_HAL = "device-os v6.2.0 hal/src/rtl872x/core_hal.c module_ota"
_DFU = "device-os v6.2.0 bootloader/src/rtl872x/usbd_dfu_mal.h"
_ASSET_SOURCE = "npm @particle/device-constants 4.2.1 assets; device-os v6.2.0 system/src/asset_manager.cpp"
_CONSTANTS = (
    "npm @particle/device-constants 4.2.1 src/constants.json; device-os v6.2.0 build/platform-id.mk, "
    "system/system-versions.md; serial prefixes: particle-iot/docs "
    "src/content/hardware/best-practices/serial-number.md"
)

_OLD_UNTIL = "5.4.x"
_NEW = "5.5.0-rc.1"
_END_NOTE = "the module ends here with its CRC and grows downwards; its prefix tells where it starts"

# Tables are easier to compare in rows than with one value a line.
# fmt: off
_SLOTS = (
    ModuleSlot(ModuleFunction.BOOTLOADER, 0, "internal_flash", 0x08004000, 0x08014000, 0x10000, 0x20, _BOUNDS),
    ModuleSlot(
        ModuleFunction.BOOTLOADER, 1, "internal_flash", 0x08000000, 0x08002000, 0x2000, 0x20, _BOUNDS,
        encrypted=True,
        note="KM0 MBR, not flashed in the field; the encrypted file has its prefix at 0 and drops it",
    ),
    ModuleSlot(
        ModuleFunction.BOOTLOADER, 2, "internal_flash", 0x08014000, 0x0805E000, 0x4A000, 0, _BOUNDS, note="KM0 part 1"
    ),
    ModuleSlot(
        ModuleFunction.SYSTEM_PART, 1, "internal_flash", 0x08060000, 0x08260000, 0x200000, 0, _BOUNDS_OLD,
        until_device_os=_OLD_UNTIL,
    ),
    ModuleSlot(
        ModuleFunction.SYSTEM_PART, 1, "internal_flash", 0x08060000, 0x081E0000, 0x180000, 0, _BOUNDS,
        since_device_os=_NEW,
    ),
    ModuleSlot(
        ModuleFunction.USER_PART, 1, "internal_flash", None, 0x08600000, 0x200000, 0, _BOUNDS_OLD,
        until_device_os=_OLD_UNTIL, fixed_end=True, note=_END_NOTE,
    ),
    ModuleSlot(
        ModuleFunction.USER_PART, 1, "internal_flash", None, 0x08600000, 0x180000, 0, _BOUNDS, since_device_os=_NEW,
        fixed_end=True, note=_END_NOTE,
    ),
    ModuleSlot(
        ModuleFunction.MONO_FIRMWARE, 0, "internal_flash", 0x08060000, 0x08460000, 0x400000, 0, _BOUNDS,
        note="debug builds only",
    ),
)

_COMMON = (
    MemoryRegion("km0_mbr", 0x08000000, 0x08004000, "internal_flash", _LINKER),
    MemoryRegion("bootloader", 0x08004000, 0x08014000, "internal_flash", _LINKER),
    MemoryRegion("km0_part1", 0x08014000, 0x0805E000, "internal_flash", _LINKER),
    MemoryRegion("backup_ram_copy", 0x0805E000, 0x0805F000, "internal_flash", _LINKER),
    MemoryRegion("boot_info", 0x0805F000, 0x08060000, "internal_flash", _LINKER),
    MemoryRegion("filesystem", 0x08600000, 0x08800000, "internal_flash", _LINKER),
)
_MAPS = (
    MemoryMap(
        "to 5.4",
        None,
        _OLD_UNTIL,
        (
            *_COMMON,
            MemoryRegion("system_part", 0x08060000, 0x08260000, "internal_flash", _BOUNDS_OLD),
            MemoryRegion(
                "ota", 0x08260000, 0x08400000, "internal_flash", _BOUNDS_OLD,
                "declared to 0x08460000; the running firmware ends it below the application in place",
            ),
            MemoryRegion("user_part", 0x08400000, 0x08600000, "internal_flash", _BOUNDS_OLD),
        ),
    ),
    MemoryMap(
        "5.5 and later",
        _NEW,
        None,
        (
            *_COMMON,
            MemoryRegion("system_part", 0x08060000, 0x081E0000, "internal_flash", _BOUNDS),
            MemoryRegion("assets", 0x081E0000, 0x08300000, "internal_flash", _CORE_HAL),
            MemoryRegion(
                "ota", 0x08300000, 0x08480000, "internal_flash", _CORE_HAL,
                "moved here at start-up; the table in ota_module_bounds.c still says 0x08260000",
            ),
            MemoryRegion("user_part", 0x08480000, 0x08600000, "internal_flash", _BOUNDS),
        ),
    ),
)

LAYOUT = Layout(
    name="rtl872x",
    source=_BOUNDS,
    module_slots=_SLOTS,
    dfu_alts=(
        DfuAlt(0, "internal_flash", 0x08000000, 0x800000, "@Internal Flash   /0x08000000/2048*004Kg", _DFU),
        DfuAlt(1, "dct", 0x0, 0x4000, "@DCT Flash   /0x00000000/1*016Ke", _DFU),
    ),
    memory_maps=_MAPS,
    user_extensions_in_prefix=True,
)

_ASSETS = AssetStorage(4096, 288, 10, 8, 1179648, 1114112, _ASSET_SOURCE)

PLATFORMS: tuple[Platform, ...] = (
    Platform(
        id=28, name="trackerm", display_name="Tracker-M", generation=3, family="rtl872x", mcu="RTL8721DM",
        source=_CONSTANTS, first_device_os="5.0.0", product_eligible=True, public=True, billing="cellular",
        features=("som", "cellular", "udp", "ble", "gnss", "trackerServices", "deviceProtection"),
        usb_normal=UsbId(0x2B04, 0xC01C), usb_dfu=UsbId(0x2B04, 0xD01C),
        quirks=("controlOutTransfersRequireDataStage",), layout=LAYOUT, assets=_ASSETS,
    ),
    Platform(
        id=32, name="p2", display_name="Photon 2 / P2", generation=4, family="rtl872x", mcu="RTL8721DM",
        source=_CONSTANTS, aliases=("photon2",), first_device_os="3.0.1-p2.1", product_eligible=True, public=True,
        billing="wifi", features=("wifi", "udp", "ble", "deviceProtection"), usb_normal=UsbId(0x2B04, 0xC020),
        usb_dfu=UsbId(0x2B04, 0xD020), quirks=("controlOutTransfersRequireDataStage",), layout=LAYOUT,
        serial_prefixes=("P046", "P051"), assets=_ASSETS,
    ),
    Platform(
        id=35, name="msom", display_name="M-SoM", generation=4, family="rtl872x", mcu="RTL8721DM", source=_CONSTANTS,
        aliases=("muon",), first_device_os="5.5.0-rc.1", product_eligible=True, public=True, billing="cellular",
        features=("wifi", "cellular", "udp", "ble", "gnss", "trackerServices", "muonCompatible", "deviceProtection"),
        usb_normal=UsbId(0x2B04, 0xC023), usb_dfu=UsbId(0x2B04, 0xD023),
        quirks=("controlOutTransfersRequireDataStage",), layout=LAYOUT, serial_prefixes=("P054", "P055"),
        assets=_ASSETS,
    ),
    Platform(
        id=38, name="sulu", display_name="Sulu", generation=4, family="rtl872x", mcu="RTL8721DM", source=_CONSTANTS,
        product_eligible=True, public=True, billing="cellular",
        features=("wifi", "cellular", "udp", "ble", "deviceProtection"), usb_normal=UsbId(0x2B04, 0xC026),
        usb_dfu=UsbId(0x2B04, 0xD026), quirks=("controlOutTransfersRequireDataStage",), layout=LAYOUT, assets=_ASSETS,
    ),
)
