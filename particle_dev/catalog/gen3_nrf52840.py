"""nRF52840 boards: Argon, Boron, Xenon, A/B/X-SoM, B5-SoM, Tracker SoM, E-SoM-X, Electron 2.

Three things changed over time: 3.1.0 moved the application to 256 KiB at 0xB4000, 5.5.0 gave part of the
external flash to assets, and 6.1.2 let the system part begin at 0x28000.
"""

from __future__ import annotations

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
)
from particle_dev.catalog.modules import ModuleFunction

_BOUNDS_OLD = "device-os v3.0.0 hal/src/nRF52840/ota_module_bounds.c"
_BOUNDS_3_1 = "device-os v3.1.0-rc.1 hal/src/nRF52840/ota_module_bounds.c"
_BOUNDS = "device-os v6.2.0 hal/src/nRF52840/ota_module_bounds.c"
# 6.1.2 has no tag in the public repository; this is the commit that set its module version, 6102.
_BOUNDS_6_1_2 = "device-os commit c292f7f3b hal/src/nRF52840/ota_module_bounds.c"
_LINKER_3_1 = "device-os v6.1.1 build/arm/linker/nrf52840/platform_flash.ld"
_LINKER = "device-os v6.2.0 build/arm/linker/nrf52840/platform_flash.ld"
_EXTERNAL_1_5_0 = "device-os v1.5.0 platform/MCU/nRF52840/inc/flash_mal.h"
_EXTERNAL_OLD = "device-os v3.0.0 platform/MCU/nRF52840/inc/flash_mal.h"
_EXTERNAL_3_1 = "device-os v3.1.0 platform/MCU/nRF52840/inc/flash_mal.h"
_EXTERNAL = "device-os v6.2.0 platform/MCU/nRF52840/inc/flash_mal.h"
_RAM = "device-os v6.2.0 build/arm/linker/nrf52840/platform_ram.ld"
_HW_CONFIG = "device-os v6.2.0 platform/MCU/nRF52840/src/hw_config.c SOFTDEVICE_MBR_PARAM_ADDR"
_DFU = "device-os v6.2.0 bootloader/src/nRF52840/usbd_dfu_mal.h"
_NCP = "device-os v6.2.0 hal/src/nRF52840/ota_module_bounds.c module_ncp_mono"
_ASSETS = f"npm @particle/device-constants 4.2.1 assets; {_EXTERNAL} EXTERNAL_FLASH_OTA_SAFE_LENGTH"
_CONSTANTS = (
    "npm @particle/device-constants 4.2.1 src/constants.json; device-os v6.2.0 build/platform-id.mk, "
    "system/system-versions.md; serial prefixes: particle-iot/docs "
    "src/content/hardware/best-practices/serial-number.md"
)

_OLD_UNTIL = "3.1.0-alpha.2"
"""The first release proven to have the 256 KiB application is 3.1.0-rc.1 (git tag)."""
_NEW_APP = "3.1.0-rc.1"
_NEW_ASSETS = "5.5.0-rc.1"
_NEW_SYSTEM = "6.1.2"

INTERNAL_FLASH_END = 0x100000
LOW_SYSTEM_START, SYSTEM_START = 0x28000, 0x30000
"""Where bootloaders look for a system part: 3002 (6.1.2) and later at both places, earlier ones at the second. Source:
device-os commit c292f7f3b and v6.2.0 bootloader/src/nRF52840/dfu_usb.c is_application_valid."""
BRAKE_ADDRESS = SYSTEM_START
"""Without the page there no bootloader finds a system part: it holds the header of one that starts there, the second
header of one that starts at 0x28000, and is covered by that one's CRC."""
BOOTLOADER_PICK_UP_ADDRESS = 0xD4000
"""From where Nordic's master boot record takes a new bootloader. Source: device-os v6.2.0
platform/MCU/nRF52840/inc/flash_mal.h USER_FIRMWARE_IMAGE_LOCATION_COMPAT."""
SOFTDEVICE_START, SOFTDEVICE_FWID_ADDRESS = 0x1000, 0x300C
"""FWID of Nordic's SoftDevice information structure (0x2000 + 0x0C behind its start), which Device OS reports as the
radio stack's version. Source: device-os v2.1.0 hal/src/nRF52840/platform_radio_stack.cpp."""

# Tables are easier to compare in rows than with one value a line.
# fmt: off
# --- module slots

_BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0, "internal_flash", 0xF4000, 0x100000, 0xC000, 0x200, _BOUNDS)
_SYSTEM_OLD = ModuleSlot(
    ModuleFunction.SYSTEM_PART, 1, "internal_flash", 0x30000, 0xD4000, 0xA4000, 0x200, _BOUNDS_OLD,
    until_device_os=_OLD_UNTIL,
)
_USER_OLD = ModuleSlot(
    ModuleFunction.USER_PART, 1, "internal_flash", 0xD4000, 0xF4000, 0x20000, 0, _BOUNDS,
    note="the only application slot before 3.1.0; a valid module here wins over index 2 later",
)
_RADIO_OLD = ModuleSlot(
    ModuleFunction.RADIO_STACK, 0, "internal_flash", 0x1000, 0x2F000, 0x2E000, 0, _BOUNDS_3_1,
    until_device_os="6.1.1", drop_module_info=True,
    note="SoftDevice S140; the device would take it up to 0x30000, over the MBR parameter page",
)
_MONO_OLD = ModuleSlot(
    ModuleFunction.MONO_FIRMWARE, 0, "internal_flash", 0x30000, 0xF4000, 0xC4000, 0x200, _BOUNDS_3_1,
    until_device_os="6.1.1", note="debug builds only",
)

_SLOTS_LEGACY = (_BOOTLOADER, _SYSTEM_OLD, _USER_OLD, _RADIO_OLD, _MONO_OLD)
_SLOTS = (
    _BOOTLOADER,
    _SYSTEM_OLD,
    ModuleSlot(
        ModuleFunction.SYSTEM_PART, 1, "internal_flash", 0x30000, 0xB4000, 0x84000, 0x200, _LINKER_3_1,
        since_device_os=_NEW_APP, until_device_os="6.1.1",
        note="the linker allows 0x84000 bytes; the device reports 0xA4000 for this slot",
    ),
    ModuleSlot(
        ModuleFunction.SYSTEM_PART, 1, "internal_flash", 0x28000, 0xB4000, 0x8C000, 0x200, _BOUNDS_6_1_2,
        since_device_os=_NEW_SYSTEM,
        note="since 6.2.0 a second, legacy prefix lies inside the module at 0x30200 (6.1.2 has none)",
    ),
    _USER_OLD,
    ModuleSlot(
        ModuleFunction.USER_PART, 2, "internal_flash", 0xB4000, 0xF4000, 0x40000, 0, _BOUNDS_3_1,
        since_device_os=_NEW_APP,
    ),
    _RADIO_OLD,
    ModuleSlot(
        ModuleFunction.RADIO_STACK, 0, "internal_flash", 0x1000, 0x27000, 0x26000, 0, _BOUNDS_6_1_2,
        since_device_os=_NEW_SYSTEM, drop_module_info=True, note="SoftDevice S140",
    ),
    _MONO_OLD,
    ModuleSlot(
        ModuleFunction.MONO_FIRMWARE, 0, "internal_flash", 0x28000, 0xF4000, 0xCC000, 0x200, _BOUNDS_6_1_2,
        since_device_os=_NEW_SYSTEM, note="debug builds only",
    ),
)

_ESP32 = (
    ModuleSlot(
        ModuleFunction.NCP_FIRMWARE, 0, "external_mcu", 0, None, 1500 * 1024, 0, _NCP, mcu_target=0x21,
        note="ESP32 firmware; reaches the chip through the running system part only",
    ),
)
_ESP32_TRACKER = (_ESP32[0]._replace(until_device_os="5.5.x", note="updates are disabled since 5.6.0"),)

# --- memory maps

_COMMON = (
    MemoryRegion("mbr", 0x0, 0x1000, "internal_flash", _LINKER, "Nordic MBR"),
    MemoryRegion("bootloader", 0xF4000, 0x100000, "internal_flash", _LINKER),
    MemoryRegion(
        "uicr", 0x10001000, 0x10002000, "uicr", "nRF52840 Product Specification, UICR",
        "0x10001014 bootloader address, 0x10001018 MBR parameter page, 0x10001208 APPROTECT",
    ),
    MemoryRegion("system_backup_ram", 0x2003F000, 0x2003F380, "ram", _RAM),
    MemoryRegion("backup_registers", 0x2003F380, 0x2003F3C0, "ram", _RAM),
    MemoryRegion("system_flags", 0x2003F3C0, 0x2003F400, "ram", _RAM),
    MemoryRegion("user_backup_ram", 0x2003F400, 0x20040000, "ram", _RAM),
)
_SOFTDEVICE_OLD = (
    MemoryRegion(
        "softdevice", 0x1000, 0x2F000, "internal_flash", _BOUNDS_3_1,
        "S140 7.0.1 ends at 0x2659C, beyond the 0x26000 of the linker file of 3.1",
    ),
    MemoryRegion(
        "mbr_parameters", 0x2F000, 0x30000, "internal_flash",
        "device-os v2.1.0 platform/MCU/nRF52840/src/hw_config.c SOFTDEVICE_MBR_PARAM_ADDR", "unused before 2.0.0",
    ),
)
_INTERNAL_OLD = (
    *_COMMON,
    *_SOFTDEVICE_OLD,
    MemoryRegion("system_part", 0x30000, 0xD4000, "internal_flash", _BOUNDS_OLD),
    MemoryRegion("user_part", 0xD4000, 0xF4000, "internal_flash", _BOUNDS_OLD),
)
_INTERNAL_3_1 = (
    *_COMMON,
    *_SOFTDEVICE_OLD,
    MemoryRegion("system_part", 0x30000, 0xB4000, "internal_flash", _LINKER_3_1),
    MemoryRegion("user_part", 0xB4000, 0xF4000, "internal_flash", _LINKER_3_1, "128 KiB slot from 0xD4000"),
)
_INTERNAL_6_1_2 = (
    *_COMMON,
    MemoryRegion("softdevice", 0x1000, 0x27000, "internal_flash", _LINKER),
    MemoryRegion("mbr_parameters", 0x27000, 0x28000, "internal_flash", _HW_CONFIG),
    MemoryRegion("system_part", 0x28000, 0xB4000, "internal_flash", _LINKER),
    MemoryRegion("user_part", 0xB4000, 0xF4000, "internal_flash", _LINKER, "128 KiB slot from 0xD4000"),
)

_QSPI_4M_OLD = (
    MemoryRegion("filesystem", 0x0, 0x200000, "external_flash", _EXTERNAL_OLD),
    MemoryRegion("factory", 0x200000, 0x220000, "external_flash", _EXTERNAL_OLD),
    MemoryRegion("reserved", 0x220000, 0x289000, "external_flash", _EXTERNAL_OLD),
    MemoryRegion("ota", 0x289000, 0x400000, "external_flash", _EXTERNAL_OLD),
)
_QSPI_4M_3_1 = (
    MemoryRegion("filesystem", 0x0, 0x200000, "external_flash", _EXTERNAL_3_1),
    MemoryRegion("factory", 0x200000, 0x240000, "external_flash", _EXTERNAL_3_1),
    MemoryRegion("reserved", 0x240000, 0x289000, "external_flash", _EXTERNAL_3_1),
    MemoryRegion("ota", 0x289000, 0x400000, "external_flash", _EXTERNAL_3_1),
)
_QSPI_4M_5_5 = (
    MemoryRegion("filesystem", 0x0, 0x200000, "external_flash", _EXTERNAL),
    MemoryRegion("factory", 0x200000, 0x240000, "external_flash", _EXTERNAL),
    MemoryRegion("reserved", 0x240000, 0x24C000, "external_flash", _EXTERNAL, "bootloader copy for the MBR"),
    MemoryRegion(
        "ota", 0x24C000, 0x2E0000, "external_flash", _EXTERNAL,
        "the device declares 1500 KiB; more than this 592 KiB erases the assets",
    ),
    MemoryRegion("assets", 0x2E0000, 0x400000, "external_flash", _EXTERNAL),
)
# Early B5-SoM releases and Tracker 1.5.1-tracker.1 use only the lower half of their chip, in the 4 MiB layout
# (Tracker 1.5.1-tracker.2 and .3, which no range of releases can single out, have the next layout already).
_QSPI_8M_1_5_1 = (
    *(region._replace(source=_EXTERNAL_1_5_0) for region in _QSPI_4M_OLD),
    MemoryRegion("unused", 0x400000, 0x800000, "external_flash", _EXTERNAL_1_5_0),
)
_QSPI_8M_OLD = (
    MemoryRegion("filesystem", 0x0, 0x400000, "external_flash", _EXTERNAL_OLD),
    MemoryRegion("unused", 0x400000, 0x600000, "external_flash", _EXTERNAL_OLD),
    MemoryRegion("factory", 0x600000, 0x620000, "external_flash", _EXTERNAL_OLD),
    MemoryRegion("reserved", 0x620000, 0x689000, "external_flash", _EXTERNAL_OLD),
    MemoryRegion("ota", 0x689000, 0x800000, "external_flash", _EXTERNAL_OLD),
)
_QSPI_8M_3_1 = (
    MemoryRegion("filesystem", 0x0, 0x400000, "external_flash", _EXTERNAL_3_1),
    MemoryRegion("unused", 0x400000, 0x600000, "external_flash", _EXTERNAL_3_1),
    MemoryRegion("factory", 0x600000, 0x640000, "external_flash", _EXTERNAL_3_1),
    MemoryRegion("reserved", 0x640000, 0x689000, "external_flash", _EXTERNAL_3_1),
    MemoryRegion("ota", 0x689000, 0x800000, "external_flash", _EXTERNAL_3_1),
)
_QSPI_8M_5_5 = (
    MemoryRegion("filesystem", 0x0, 0x400000, "external_flash", _EXTERNAL),
    MemoryRegion("assets", 0x400000, 0x600000, "external_flash", _EXTERNAL),
    MemoryRegion("factory", 0x600000, 0x640000, "external_flash", _EXTERNAL),
    MemoryRegion("reserved", 0x640000, 0x689000, "external_flash", _EXTERNAL),
    MemoryRegion("ota", 0x689000, 0x800000, "external_flash", _EXTERNAL),
)

_MAPS_4M = (
    MemoryMap("to 3.0", None, _OLD_UNTIL, _INTERNAL_OLD + _QSPI_4M_OLD),
    MemoryMap("3.1 to 5.4", _NEW_APP, "5.4.x", _INTERNAL_3_1 + _QSPI_4M_3_1),
    MemoryMap("5.5 to 6.1.1", _NEW_ASSETS, "6.1.1", _INTERNAL_3_1 + _QSPI_4M_5_5),
    MemoryMap("6.1.2 and later", _NEW_SYSTEM, None, _INTERNAL_6_1_2 + _QSPI_4M_5_5),
)
_MAPS_8M = (
    MemoryMap("to 1.5.2", None, "1.5.2", _INTERNAL_OLD + _QSPI_8M_1_5_1),
    MemoryMap("1.5.3 to 3.0", "1.5.3-tracker.1", _OLD_UNTIL, _INTERNAL_OLD + _QSPI_8M_OLD),
    MemoryMap("3.1 to 5.4", _NEW_APP, "5.4.x", _INTERNAL_3_1 + _QSPI_8M_3_1),
    MemoryMap("5.5 to 6.1.1", _NEW_ASSETS, "6.1.1", _INTERNAL_3_1 + _QSPI_8M_5_5),
    MemoryMap("6.1.2 and later", _NEW_SYSTEM, None, _INTERNAL_6_1_2 + _QSPI_8M_5_5),
)

# --- DFU, layouts

_DFU_INTERNAL = (
    DfuAlt(
        0, "internal_flash", 0x0, 0x100000,
        "@Internal Flash   /0x00000000/1*004Ka,47*004Kg,192*004Kg,4*004Kg,4*004Kg,8*004Ka", _DFU,
    ),
    DfuAlt(1, "dct", 0x0, 0x4000, "@DCT Flash   /0x00000000/1*016Ke", _DFU),
)
_DFU_4M = (
    *_DFU_INTERNAL,
    DfuAlt(2, "external_flash", 0x80000000, 0x400000, "@External Flash   /0x80000000/1024*004Kg", _DFU),
)
_DFU_8M = (
    *_DFU_INTERNAL,
    DfuAlt(2, "external_flash", 0x80000000, 0x800000, "@External Flash   /0x80000000/2048*004Kg", _DFU),
)
_FORMER_USER_PART = DfuArea(0, 0xD4000, 4096, "npm @particle/device-constants 4.2.1 dfu.segments.formerUserPart")

LAYOUT_4M = Layout(
    name="nrf52840-4m",
    source=_BOUNDS,
    module_slots=_SLOTS,
    dfu_alts=_DFU_4M,
    memory_maps=_MAPS_4M,
    former_user_part=_FORMER_USER_PART,
)
LAYOUT_8M = LAYOUT_4M._replace(
    name="nrf52840-8m",
    dfu_alts=_DFU_8M,
    memory_maps=_MAPS_8M,
)
LAYOUT_LEGACY = LAYOUT_4M._replace(
    name="nrf52840-legacy",
    source=_BOUNDS_OLD,
    module_slots=_SLOTS_LEGACY,
    memory_maps=(_MAPS_4M[0]._replace(until_device_os=None),),
    former_user_part=None,
)

# --- platforms

_ASSETS_4M = AssetStorage(4096, 288, 10, 8, 606208, 606208, _ASSETS)
_ASSETS_8M = AssetStorage(4096, 512, 10, 8, 1572864, 1536000, _ASSETS)

PLATFORMS: tuple[Platform, ...] = (
    Platform(
        id=12, name="argon", display_name="Argon", generation=3, family="nrf52840", mcu="nRF52840", source=_CONSTANTS,
        aliases=("a",), first_device_os="0.8.0-rc.13", product_eligible=True, public=True, billing="wifi",
        features=("wifi", "udp", "mesh", "ble", "deviceProtection"), usb_normal=UsbId(0x2B04, 0xC00C),
        usb_dfu=UsbId(0x2B04, 0xD00C), layout=LAYOUT_4M, extra_modules=_ESP32,
        serial_prefixes=("ARNH", "ARNK", "ARNT", "P010", "P011", "P013"), assets=_ASSETS_4M,
    ),
    Platform(
        id=13, name="boron", display_name="Boron", generation=3, family="nrf52840", mcu="nRF52840", source=_CONSTANTS,
        aliases=("b",), first_device_os="0.8.0-rc.17", product_eligible=True, public=True, billing="cellular",
        features=("cellular", "udp", "mesh", "ble", "deviceProtection"), usb_normal=UsbId(0x2B04, 0xC00D),
        usb_dfu=UsbId(0x2B04, 0xD00D), layout=LAYOUT_4M,
        serial_prefixes=("B31K", "B31T", "B40H", "B40K", "B40T", "P012", "P027", "P028", "P044"), assets=_ASSETS_4M,
    ),
    Platform(
        id=14, name="xenon", display_name="Xenon", generation=3, family="nrf52840", mcu="nRF52840", source=_CONSTANTS,
        aliases=("x",), first_device_os="0.8.0-rc.13", last_device_os="1.5.2", public=True, billing="wifi",
        features=("mesh", "ble"), usb_normal=UsbId(0x2B04, 0xC00E), usb_dfu=UsbId(0x2B04, 0xD00E), layout=LAYOUT_LEGACY,
        serial_prefixes=("XENT",),
    ),
    Platform(
        id=15, name="esomx", display_name="E-SoM-X", generation=3, family="nrf52840", mcu="nRF52840", source=_CONSTANTS,
        first_device_os="4.0.0-alpha.2", product_eligible=True, public=True, billing="cellular",
        features=("som", "cellular", "udp", "ble", "deviceProtection"), usb_normal=UsbId(0x2B04, 0xC00F),
        usb_dfu=UsbId(0x2B04, 0xD00F), layout=LAYOUT_8M, serial_prefixes=("P052",), assets=_ASSETS_8M,
    ),
    Platform(
        id=22, name="asom", display_name="A-SoM", generation=3, family="nrf52840", mcu="nRF52840", source=_CONSTANTS,
        first_device_os="1.1.0-rc.1", last_device_os="1.4.4", billing="wifi",
        features=("som", "wifi", "mesh", "udp", "ble"), usb_normal=UsbId(0x2B04, 0xC016), usb_dfu=UsbId(0x2B04, 0xD016),
        layout=LAYOUT_LEGACY, extra_modules=_ESP32,
    ),
    Platform(
        id=23, name="bsom", display_name="B-SoM", generation=3, family="nrf52840", mcu="nRF52840", source=_CONSTANTS,
        first_device_os="1.1.0-rc.1", product_eligible=True, public=True, billing="cellular",
        features=("som", "cellular", "mesh", "udp", "ble", "muonCompatible", "deviceProtection"),
        usb_normal=UsbId(0x2B04, 0xC017), usb_dfu=UsbId(0x2B04, 0xD017), layout=LAYOUT_4M,
        serial_prefixes=("P006", "P007", "P033", "P042"), assets=_ASSETS_4M,
    ),
    Platform(
        id=24, name="xsom", display_name="X-SoM", generation=3, family="nrf52840", mcu="nRF52840", source=_CONSTANTS,
        first_device_os="1.1.0-rc.1", last_device_os="1.4.4", billing="wifi", features=("mesh", "ble"),
        usb_normal=UsbId(0x2B04, 0xC018), usb_dfu=UsbId(0x2B04, 0xD018), layout=LAYOUT_LEGACY,
    ),
    Platform(
        id=25, name="b5som", display_name="B5-SoM", generation=3, family="nrf52840", mcu="nRF52840", source=_CONSTANTS,
        first_device_os="1.4.5-b5som.1", product_eligible=True, public=True, billing="cellular",
        features=("som", "cellular", "mesh", "udp", "ble", "muonCompatible", "deviceProtection"),
        usb_normal=UsbId(0x2B04, 0xC019), usb_dfu=UsbId(0x2B04, 0xD019), layout=LAYOUT_8M,
        serial_prefixes=("P019", "P020", "P034", "P056"), assets=_ASSETS_8M,
    ),
    Platform(
        id=26, name="tracker", display_name="Asset Tracker / Monitor One", generation=3, family="nrf52840",
        mcu="nRF52840", source=_CONSTANTS, aliases=("assettracker",), first_device_os="1.5.1-tracker.1",
        product_eligible=True, public=True, billing="cellular",
        features=("som", "cellular", "udp", "ble", "gnss", "trackerServices", "deviceProtection"),
        usb_normal=UsbId(0x2B04, 0xC01A), usb_dfu=UsbId(0x2B04, 0xD01A), layout=LAYOUT_8M, extra_modules=_ESP32_TRACKER,
        serial_prefixes=("P024", "P025", "P031", "P032"), assets=_ASSETS_8M,
    ),
    Platform(
        id=37, name="electron2", display_name="Electron 2", generation=3, family="nrf52840", mcu="nRF52840",
        source=_CONSTANTS, product_eligible=True, public=True, billing="cellular", features=("cellular", "udp", "ble"),
        usb_normal=UsbId(0x2B04, 0xC025), usb_dfu=UsbId(0x2B04, 0xD025), layout=LAYOUT_8M, assets=_ASSETS_8M,
    ),
)
