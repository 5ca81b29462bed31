"""STM32F205 boards: Photon, P1, Electron and E-Series. Device OS 3.3.1 is their last release."""

from __future__ import annotations

from particle_dev.catalog.model import (
    DfuAlt,
    Layout,
    MemoryMap,
    MemoryRegion,
    ModuleSlot,
    Platform,
    UsbId,
)
from particle_dev.catalog.modules import ModuleFunction

_PHOTON = "device-os v3.3.1 hal/src/photon/ota_module_bounds.c"
_ELECTRON = "device-os v3.3.1 hal/src/electron/ota_module_bounds.c"
_LINKER = "device-os v3.3.1 build/arm/linker/linker_stm32f2xx.ld"
_EEPROM = "device-os v3.3.1 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/eeprom_emulation_impl.h"
_FLASH_MAL = "device-os v3.3.1 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/flash_mal.h"
_BACKUP_RAM = "device-os v3.3.1 build/arm/linker/stm32f2xx/backup_ram_memory.ld"
_DFU = "device-os v3.3.1 platform/MCU/STM32F2xx/STM32_USB_Device_Driver/inc"
_CONSTANTS = (
    "npm @particle/device-constants 4.2.1 src/constants.json; device-os v3.3.1 build/platform-id.mk, "
    "v6.2.0 system/system-versions.md; serial prefixes: particle-iot/docs "
    "src/content/hardware/best-practices/serial-number.md"
)

# Tables are easier to compare in rows than with one value a line.
# fmt: off
# --- module slots

_SLOTS_PHOTON = (
    ModuleSlot(ModuleFunction.BOOTLOADER, 0, "internal_flash", 0x08000000, 0x08004000, 0x4000, 0x184, _PHOTON),
    ModuleSlot(ModuleFunction.SYSTEM_PART, 1, "internal_flash", 0x08020000, 0x08060000, 0x40000, 0x184, _PHOTON),
    ModuleSlot(ModuleFunction.SYSTEM_PART, 2, "internal_flash", 0x08060000, 0x080A0000, 0x40000, 0x184, _PHOTON),
    ModuleSlot(ModuleFunction.USER_PART, 1, "internal_flash", 0x080A0000, 0x080C0000, 0x20000, 0, _PHOTON),
    ModuleSlot(
        ModuleFunction.MONO_FIRMWARE, 0, "internal_flash", 0x08020000, 0x08080000, 0x60000, 0x184, _PHOTON,
        note="debug builds only",
    ),
    ModuleSlot(
        ModuleFunction.MONO_FIRMWARE, 1, "internal_flash", 0x08020000, 0x08080000, 0x60000, 0x184,
        "npm @particle/device-constants 4.2.1 firmwareModules",
        note="debug builds only; Device OS itself says index 0",
    ),
)
_SLOTS_ELECTRON = (
    ModuleSlot(ModuleFunction.BOOTLOADER, 0, "internal_flash", 0x08000000, 0x08004000, 0x4000, 0x184, _ELECTRON),
    ModuleSlot(
        ModuleFunction.SYSTEM_PART, 1, "internal_flash", 0x08020000, 0x08040000, 0x20000, 0x184, _ELECTRON,
        release_file="system-part2", note="release file name since 0.6.0",
    ),
    ModuleSlot(
        ModuleFunction.SYSTEM_PART, 2, "internal_flash", 0x08040000, 0x08060000, 0x20000, 0x184, _ELECTRON,
        release_file="system-part3", note="release file name since 0.6.0",
    ),
    ModuleSlot(
        ModuleFunction.SYSTEM_PART, 3, "internal_flash", 0x08060000, 0x08080000, 0x20000, 0, _ELECTRON,
        since_device_os="0.6.0", release_file="system-part1", note="release file name since 0.6.0",
    ),
    ModuleSlot(ModuleFunction.USER_PART, 1, "internal_flash", 0x08080000, 0x080A0000, 0x20000, 0, _ELECTRON),
    ModuleSlot(
        ModuleFunction.MONO_FIRMWARE, 0, "internal_flash", 0x08020000, 0x08080000, 0x60000, 0x184, _ELECTRON,
        note="debug builds only",
    ),
)

# --- memory maps

_COMMON = (
    MemoryRegion("bootloader", 0x08000000, 0x08004000, "internal_flash", _LINKER, "write-protected"),
    MemoryRegion("dct_1", 0x08004000, 0x08008000, "internal_flash", _LINKER, "keys, claim code, credentials"),
    MemoryRegion("dct_2", 0x08008000, 0x0800C000, "internal_flash", _LINKER, "second copy, used in turn"),
    MemoryRegion("eeprom_1", 0x0800C000, 0x08010000, "internal_flash", _EEPROM),
    MemoryRegion("eeprom_2", 0x08010000, 0x08020000, "internal_flash", _EEPROM),
    MemoryRegion("otp", 0x1FFF7800, 0x1FFF7A10, "otp", f"{_FLASH_MAL} OTP_START_ADD"),
    MemoryRegion("user_backup_ram", 0x40024000, 0x40024C00, "ram", _BACKUP_RAM),
    MemoryRegion("system_backup_ram", 0x40024C00, 0x40025000, "ram", _BACKUP_RAM),
)
_REGIONS_PHOTON = (
    *_COMMON,
    MemoryRegion("system_part_1", 0x08020000, 0x08060000, "internal_flash", _PHOTON),
    MemoryRegion("system_part_2", 0x08060000, 0x080A0000, "internal_flash", _PHOTON),
    MemoryRegion("user_part", 0x080A0000, 0x080C0000, "internal_flash", _PHOTON),
    MemoryRegion(
        "ota", 0x080C0000, 0x080E0000, "internal_flash", _PHOTON,
        "an update above 128 KiB also takes the factory region",
    ),
    MemoryRegion("factory", 0x080E0000, 0x08100000, "internal_flash", _PHOTON),
)
_REGIONS_ELECTRON = (
    *_COMMON,
    MemoryRegion("system_part_1", 0x08020000, 0x08040000, "internal_flash", _ELECTRON),
    MemoryRegion("system_part_2", 0x08040000, 0x08060000, "internal_flash", _ELECTRON),
    MemoryRegion("system_part_3", 0x08060000, 0x08080000, "internal_flash", _ELECTRON),
    MemoryRegion("user_part", 0x08080000, 0x080A0000, "internal_flash", _ELECTRON),
    MemoryRegion("factory", 0x080A0000, 0x080C0000, "internal_flash", _ELECTRON),
    MemoryRegion("ota", 0x080C0000, 0x080E0000, "internal_flash", _ELECTRON),
    MemoryRegion("unused", 0x080E0000, 0x08100000, "internal_flash", _ELECTRON),
)

# --- layouts

_DFU_ALTS = (
    DfuAlt(
        0, "internal_flash", 0x08000000, 0x100000,
        "@Internal Flash   /0x08000000/03*016Ka,01*016Kg,01*064Kg,07*128Kg", f"{_DFU}/usbd_flash_if.h",
    ),
    DfuAlt(1, "dct", 0x0, 0x4000, "@DCT Flash   /0x00000000/01*016Kg", f"{_DFU}/usbd_dct_if.h"),
)

LAYOUT_PHOTON = Layout(
    name="photon",
    source=_PHOTON,
    module_slots=_SLOTS_PHOTON,
    dfu_alts=_DFU_ALTS,
    memory_maps=(MemoryMap("all", None, None, _REGIONS_PHOTON),),
)
LAYOUT_P1 = LAYOUT_PHOTON._replace(
    name="p1",
    dfu_alts=(
        *_DFU_ALTS,
        DfuAlt(2, "external_flash", 0x0, 0x100000, "@Serial Flash   /0x00000000/256*004Kg", f"{_DFU}/usbd_sflash_if.h"),
    ),
)
LAYOUT_ELECTRON = LAYOUT_PHOTON._replace(
    name="electron",
    source=_ELECTRON,
    module_slots=_SLOTS_ELECTRON,
    memory_maps=(MemoryMap("all", None, None, _REGIONS_ELECTRON),),
)

PLATFORMS: tuple[Platform, ...] = (
    Platform(
        id=6, name="photon", display_name="Photon", generation=2, family="stm32f2xx", mcu="STM32F205RG",
        source=_CONSTANTS, aliases=("p",), first_device_os="0.4.0", last_device_os="3.3.1", product_eligible=True,
        public=True, billing="wifi", features=("wifi", "tcp"), usb_normal=UsbId(0x2B04, 0xC006),
        usb_dfu=UsbId(0x2B04, 0xD006), layout=LAYOUT_PHOTON,
        serial_prefixes=("PHHK", "PHHM", "PHHT", "PHNM", "PHNT", "P0MD"),
    ),
    Platform(
        id=8, name="p1", display_name="P1", generation=2, family="stm32f2xx", mcu="STM32F205RG", source=_CONSTANTS,
        first_device_os="0.4.0", last_device_os="3.3.1", product_eligible=True, public=True, billing="wifi",
        features=("wifi", "tcp"), usb_normal=UsbId(0x2B04, 0xC008), usb_dfu=UsbId(0x2B04, 0xD008), layout=LAYOUT_P1,
        serial_prefixes=("P1MD",),
    ),
    Platform(
        id=10, name="electron", display_name="Electron", generation=2, family="stm32f2xx", mcu="STM32F205RG",
        source=_CONSTANTS, aliases=("e",), first_device_os="0.4.8", last_device_os="3.3.1", product_eligible=True,
        public=True, billing="cellular", features=("cellular", "udp"), usb_normal=UsbId(0x2B04, 0xC00A),
        usb_dfu=UsbId(0x2B04, 0xD00A), layout=LAYOUT_ELECTRON,
        serial_prefixes=(
            "E26K", "E26T", "E27K", "E27T", "E31K", "E31M", "E31T", "E35K", "E35T", "E40K", "E40M", "E40T",
            "E4DK", "E4DT", "P005", "P029", "P030", "P035", "P036", "A26K", "A27K", "A35K", "S26K", "S27K",
        ),
    ),
)
