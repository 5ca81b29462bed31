"""What a board of each kind is made of, as its firmware sources say.

Identity numbers (platform id, USB ids) come from the catalogue; addresses are written again here, from the sources
of the firmware, so that product and virtual board cannot share a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.modules import ModuleFunction, ModuleStore
from particle_dev.catalog.platforms import Platform, platform_by_name
from particle_harness.module_reader import NRF52840_MCU, STM32F2_MCU, Mcu
from particle_harness.nor_flash import NRF52840, STM32F205, FlashChip, qspi_flash

MIB = 1024 * 1024
FIRST_TWO_USER_SLOTS = 3100
"""System version from which an nRF52840 has the 256 KiB slot and the older 128 KiB one (Device OS 3.1.0-rc.1)."""
FIRST_WITHOUT_SETUP_DONE = 4000
"""System version from which the setup-done flag means nothing (Device OS 4.0)."""
FIRST_LOW_SYSTEM_BOOTLOADER = 3002
"""Bootloader version that looks for the system part at 0x28000 first (Device OS 6.1.2)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where one module may lie; ``end_address`` is exclusive."""

    function: int
    index: int
    start_address: int
    end_address: int
    store: ModuleStore = ModuleStore.MAIN
    external: bool = False


@dataclass(frozen=True, slots=True)
class Hardware:
    """One kind of board. ``radio`` is ``cellular`` or ``wifi`` or ``none``."""

    name: str
    product_name: str
    """As its USB strings spell it."""
    radio: str
    is_gen3: bool
    external_flash_size_bytes: int

    @property
    def platform(self) -> Platform:
        """This board in the catalogue."""
        platform = platform_by_name(self.name)
        if platform is None:
            raise LookupError(self.name)
        return platform

    @property
    def platform_id(self) -> int:
        """Number that every module of this board carries."""
        return int(self.platform.id)

    @property
    def mcu(self) -> Mcu:
        """How its code finds module prefixes."""
        return NRF52840_MCU if self.is_gen3 else STM32F2_MCU

    @property
    def internal_chip(self) -> FlashChip:
        """The controller's own flash."""
        return NRF52840 if self.is_gen3 else STM32F205

    @property
    def external_chip(self) -> FlashChip | None:
        """The serial flash beside it."""
        return qspi_flash(self.external_flash_size_bytes) if self.external_flash_size_bytes else None

    def bounds(self, system_version: int) -> tuple[Bounds, ...]:
        """Module places as that system part knows them, in its order."""
        return self._gen3_bounds(system_version) if self.is_gen3 else _PHOTON_BOUNDS

    def _gen3_bounds(self, system_version: int) -> tuple[Bounds, ...]:
        # Source: device-os v2.1.0, v3.3.1, v6.2.0 hal/src/nRF52840/ota_module_bounds.c; flash_mal.h for the factory.
        two_slots = system_version >= FIRST_TWO_USER_SLOTS
        system_start = 0x28000 if system_version >= 6102 else 0x30000
        user = (
            (Bounds(_USER, 1, 0xD4000, 0xF4000), Bounds(_USER, 2, 0xB4000, 0xF4000))
            if two_slots
            else (Bounds(_USER, 1, 0xD4000, 0xF4000),)
        )
        factory_start = self.factory_address
        factory_end = factory_start + (0x40000 if two_slots else 0x20000)
        return (
            Bounds(_BOOTLOADER, 0, 0xF4000, 0x100000),
            Bounds(_SYSTEM, 1, system_start, 0xB4000 if two_slots else 0xD4000),
            *user,
            Bounds(_USER, 1, factory_start, factory_end, ModuleStore.FACTORY, external=True),
            Bounds(_RADIO, 0, 0x1000, system_start),
        )

    @property
    def factory_address(self) -> int:
        """Where a factory application lies: serial flash on Gen 3, internal flash on the Photon."""
        if not self.is_gen3:
            return 0x080E0000
        return 0x600000 if self.external_flash_size_bytes > 4 * MIB else 0x200000

    @property
    def ota_address(self) -> int:
        """Where the system part of Device OS 2.x and 3.x expects a module that waits to be applied."""
        if not self.is_gen3:
            return 0x080C0000
        return 0x689000 if self.external_flash_size_bytes > 4 * MIB else 0x289000

    @property
    def ota_size_bytes(self) -> int:
        """Room in that region."""
        return 1500 * 1024 if self.is_gen3 else 0x40000

    @property
    def bootloader_address(self) -> int:
        """Start of the bootloader's module."""
        return 0xF4000 if self.is_gen3 else 0x08000000


_USER, _SYSTEM = ModuleFunction.USER_PART, ModuleFunction.SYSTEM_PART
_BOOTLOADER, _RADIO = ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK
# Source: device-os v2.1.0 hal/src/photon/ota_module_bounds.c
_PHOTON_BOUNDS = (
    Bounds(_BOOTLOADER, 0, 0x08000000, 0x08004000),
    Bounds(_SYSTEM, 1, 0x08020000, 0x08060000),
    Bounds(_SYSTEM, 2, 0x08060000, 0x080A0000),
    Bounds(_USER, 1, 0x080A0000, 0x080C0000),
    Bounds(_USER, 1, 0x080E0000, 0x08100000, ModuleStore.FACTORY),
)

# Product names: device-os v2.1.0 bootloader/src/nRF52840/usbd_device.cpp, bootloader/src/stm32f2xx/usbd_desc.c.
# Serial flash sizes: same tag, platform/MCU/nRF52840/inc/flash_mal.h.
_BOARDS = {
    board.name: board
    for board in (
        Hardware("argon", "Argon", "wifi", True, 4 * MIB),
        Hardware("boron", "Boron", "cellular", True, 4 * MIB),
        Hardware("xenon", "Xenon", "none", True, 4 * MIB),
        Hardware("bsom", "B SoM", "cellular", True, 4 * MIB),
        Hardware("b5som", "B5 SoM", "cellular", True, 8 * MIB),
        Hardware("tracker", "Tracker", "cellular", True, 8 * MIB),
        Hardware("photon", "Photon", "wifi", False, 0),
        Hardware("p1", "P1", "wifi", False, MIB),
    )
}


def hardware(name: str) -> Hardware:
    """The board of that name. ValueError lists what there is."""
    if name not in _BOARDS:
        raise ValueError(f"no virtual board {name!r}; there are {', '.join(sorted(_BOARDS))}")
    return _BOARDS[name]
