"""The Core, Linux platforms, and ids that never became a Particle product line."""

from __future__ import annotations

from particle_dev.catalog.model import DfuAlt, Layout, MemoryMap, MemoryRegion, ModuleSlot, Platform, UsbId
from particle_dev.catalog.modules import ModuleFunction

_CONSTANTS = "npm @particle/device-constants 4.2.1 src/constants.json"
_CORE_HW = "device-os v1.4.4 platform/MCU/STM32F1xx/SPARK_Firmware_Driver/inc/hw_config.h"
_CORE_DFU = "device-os v1.4.4 bootloader/src/core/usb_desc.c"

# Tables are easier to compare in rows than with one value a line.
# fmt: off
LAYOUT_CORE = Layout(
    name="core",
    source=_CORE_HW,
    module_slots=(
        ModuleSlot(ModuleFunction.MONO_FIRMWARE, 0, "internal_flash", 0x08005000, 0x08020000, 0x1B000, 0x10C, _CORE_HW),
    ),
    dfu_alts=(
        DfuAlt(0, "internal_flash", 0x08000000, 0x20000, "@Internal Flash  /0x08000000/20*001Ka,108*001Kg", _CORE_DFU),
        DfuAlt(1, "external_flash", 0x0, 0x200000, "@SPI Flash : SST25x/0x00000000/512*04Kg", _CORE_DFU),
    ),
    memory_maps=(
        MemoryMap(
            "all",
            None,
            None,
            (
                MemoryRegion("bootloader", 0x08000000, 0x08005000, "internal_flash", _CORE_HW),
                MemoryRegion("firmware", 0x08005000, 0x08020000, "internal_flash", _CORE_HW),
                MemoryRegion("keys", 0x0, 0x20000, "external_flash", _CORE_HW),
                MemoryRegion("factory", 0x20000, 0x40000, "external_flash", _CORE_HW),
                MemoryRegion("backup", 0x40000, 0x60000, "external_flash", _CORE_HW),
                MemoryRegion("ota", 0x60000, 0x80000, "external_flash", _CORE_HW),
                MemoryRegion("user_data", 0x80000, 0x200000, "external_flash", _CORE_HW),
            ),
        ),
    ),
)
LAYOUT_LINUX = Layout("linux", _CONSTANTS)

PLATFORMS: tuple[Platform, ...] = (
    Platform(
        id=0, name="core", display_name="Core", generation=1, family="stm32f1xx", mcu="STM32F103CB", source=_CONSTANTS,
        aliases=("c",), last_device_os="1.4.4", public=True, billing="wifi", features=("wifi", "tcp"),
        usb_normal=UsbId(0x1D50, 0x607D), usb_dfu=UsbId(0x1D50, 0x607F), layout=LAYOUT_CORE,
    ),
    Platform(
        id=3, name="gcc", display_name="GCC", generation=-1, family="gcc", mcu="x86", source=_CONSTANTS, billing="wifi",
        features=("wifi", "tcp"),
    ),
    Platform(
        id=11, name="esp32", display_name="ESP32", generation=-1, family="esp32", mcu="esp32", source=_CONSTANTS,
        billing="wifi", features=("wifi", "udp", "ble"),
    ),
    Platform(
        id=31, name="raspi", display_name="Raspberry Pi", generation=-1, family="linux", mcu="raspi", source=_CONSTANTS,
        billing="wifi", features=("wifi", "tcp"),
    ),
    Platform(
        id=42, name="tachyon", display_name="Tachyon", generation=-1, family="linux", mcu="QCM6490", source=_CONSTANTS,
        product_eligible=True, public=True, billing="cellular", features=("linux", "cellular", "wifi", "gnss"),
        usb_normal=UsbId(0x2B04, 0xC02A), quirks=("controlRequestsNotSupported",), layout=LAYOUT_LINUX,
    ),
    Platform(
        id=43, name="linux", display_name="Linux", generation=-1, family="linux", mcu="unknown", source=_CONSTANTS,
        product_eligible=True, public=True, billing="wifi", features=("linux", "wifi", "gnss"), layout=LAYOUT_LINUX,
    ),
    Platform(
        id=82, name="oak", display_name="Oak", generation=-1, family="esp8266", mcu="esp8266", source=_CONSTANTS,
        billing="wifi", features=("wifi", "tcp"),
    ),
    Platform(
        id=88, name="duo", display_name="Duo", generation=-1, family="stm32f2xx", mcu="stm32f2xx", source=_CONSTANTS,
        billing="wifi", features=("wifi", "tcp", "ble"),
    ),
    Platform(
        id=103, name="bluz", display_name="Bluz", generation=-1, family="nrf51", mcu="nrf51", source=_CONSTANTS,
        billing="wifi", features=("wifi", "tcp", "ble"),
    ),
)
