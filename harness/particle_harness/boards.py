"""What a board of each kind is made of, as its firmware sources say.

Identity numbers (platform id, USB ids) come from the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.flash_chips import FlashChip, qspi_flash
from particle_dev.catalog.platforms import Platform, platform_by_name
from particle_harness.layout import FlashLayout
from particle_harness.layout_nrf52840 import Nrf52840Layout
from particle_harness.layout_rtl872x import Rtl872xLayout
from particle_harness.layout_stm32f2 import ELECTRON, PHOTON, Stm32f2Layout
from particle_harness.module_reader import Mcu

MIB = 1024 * 1024
FIRST_WITHOUT_SETUP_DONE = 4000
"""System version from which the setup-done flag means nothing (Device OS 4.0)."""
EXAMPLE_DEVICE_IDS = {True: "e00fce680123456789abcdef", False: "3a0037000f47343638323034"}
"""Of boards for a recording, a trace or a test, of Gen 3 and of others: no real board's."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """One kind of board. ``radio`` is ``cellular`` or ``wifi`` or ``none``."""

    name: str
    """As the catalogue knows it, except for Photon 2, which has the platform of a P2."""
    product_name: str
    """As the USB strings of current releases spell it."""
    radio: str
    layout: FlashLayout
    external_flash_size_bytes: int = 0
    factory_device_os: str = "2.0.1"
    """What a new board comes with."""
    is_published: bool = True
    """A public package has its bootloader. Boards of other kinds get a stand-in where the store has none."""

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
    def is_gen2(self) -> bool:
        """It has an STM32F2."""
        return isinstance(self.layout, Stm32f2Layout)

    @property
    def is_gen3(self) -> bool:
        """It has an nRF52840 (a Tracker-M counts as Gen 3 elsewhere, and has not)."""
        return isinstance(self.layout, Nrf52840Layout)

    @property
    def is_rtl872x(self) -> bool:
        """It has an RTL872x."""
        return isinstance(self.layout, Rtl872xLayout)

    @property
    def has_ncp(self) -> bool:
        """A network processor is beside the controller that some release programs."""
        return isinstance(self.layout, Nrf52840Layout) and self.layout.first_with_ncp is not None

    @property
    def mcu(self) -> Mcu:
        """How its code finds module prefixes."""
        return self.layout.mcu

    @property
    def internal_chip(self) -> FlashChip:
        """The flash that modules run from."""
        return self.layout.chip

    @property
    def external_chip(self) -> FlashChip | None:
        """The serial flash beside it."""
        return qspi_flash(self.external_flash_size_bytes) if self.external_flash_size_bytes else None

    @property
    def bootloader_address(self) -> int:
        """Start of the bootloader's module."""
        return self.layout.bootloader_address

    @property
    def factory_address(self) -> int | None:
        """Where a factory application lies, or None."""
        return self.layout.factory_address


_SMALL, _BIG, _RTL = Nrf52840Layout(big=False), Nrf52840Layout(big=True), Rtl872xLayout()
# HAL_PLATFORM_NCP_UPDATABLE in hal/src/{argon,tracker}/hal_platform_config.h: of a Tracker since Device OS 3.0.0.
_ARGON, _TRACKER = Nrf52840Layout(big=False, first_with_ncp=0), Nrf52840Layout(big=True, first_with_ncp=3000)
# Product names: device-os v6.2.0 hal/src/nRF52840/hal_platform_nrf52840_config.h, hal/src/{tron,trackerm,msom}/
# hal_platform_config.h, bootloader/src/nRF52840/usbd_device.cpp; v2.1.0 hal/src/{photon,electron}/usbd_desc_device.h.
# Serial flash sizes: v2.1.0 and v4.0.0 platform/MCU/nRF52840/inc/flash_mal.h.
_BOARDS = {
    board.name: board
    for board in (
        Hardware("argon", "Argon", "wifi", _ARGON, 4 * MIB),
        Hardware("boron", "Boron", "cellular", _SMALL, 4 * MIB),
        Hardware("xenon", "Xenon", "none", _SMALL, 4 * MIB, "1.5.2"),
        Hardware("esomx", "E-SoM-X", "cellular", _BIG, 8 * MIB, "4.0.0", is_published=False),
        Hardware("asom", "A-SoM", "wifi", _SMALL, 4 * MIB, "1.4.4"),
        Hardware("bsom", "B-SoM", "cellular", _SMALL, 4 * MIB),
        Hardware("xsom", "X-SoM", "none", _SMALL, 4 * MIB, "1.4.4"),
        Hardware("b5som", "B5-SoM", "cellular", _BIG, 8 * MIB),
        Hardware("tracker", "Tracker", "cellular", _TRACKER, 8 * MIB),
        Hardware("photon", "Photon", "wifi", PHOTON),
        Hardware("p1", "P1", "wifi", PHOTON, MIB),
        Hardware("electron", "Electron", "cellular", ELECTRON),
        Hardware("trackerm", "TrackerM", "cellular", _RTL, 0, "5.9.0", is_published=False),
        Hardware("p2", "P2", "wifi", _RTL, 0, "5.9.0", is_published=False),
        Hardware("photon2", "Photon 2", "wifi", _RTL, 0, "5.9.0", is_published=False),
        Hardware("msom", "M-SoM", "cellular", _RTL, 0, "5.9.0", is_published=False),
    )
}


def hardware(name: str) -> Hardware:
    """The board of that name. ValueError lists what there is."""
    if name not in _BOARDS:
        raise ValueError(f"no virtual board {name!r}; there are {', '.join(sorted(_BOARDS))}")
    return _BOARDS[name]


def kinds() -> tuple[str, ...]:
    """Names of all virtual boards."""
    return tuple(_BOARDS)


def serial_number_of(hardware: Hardware, device_id: str) -> str:
    """15 characters, as printed on the board."""
    prefixes = hardware.platform.serial_prefixes
    digits = str(int(device_id[-12:], 16)).rjust(15, "0")
    return ((prefixes[0] if prefixes else "") + digits[::-1])[:15]
