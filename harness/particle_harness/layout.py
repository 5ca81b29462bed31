"""What the firmware of a family knows about its flash: where modules lie, where updates wait.

Addresses are written again here, from the sources of the firmware, so that product and virtual board cannot share a
wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from particle_dev.catalog.flash_chips import FlashChip
from particle_dev.catalog.modules import ModuleFunction, ModuleStore
from particle_harness.module_reader import Mcu
from particle_harness.nor_flash import Reader

USER, SYSTEM = ModuleFunction.USER_PART, ModuleFunction.SYSTEM_PART
BOOTLOADER, RADIO = ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK
NCP = ModuleFunction.NCP_FIRMWARE


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where one module may lie; ``end_address`` is exclusive."""

    function: int
    index: int
    start_address: int
    end_address: int
    store: ModuleStore = ModuleStore.MAIN
    external: bool = False
    room_bytes: int = 0
    """Of a module that ends at ``end_address`` and grows downwards: how far. ``start_address`` is where the present one
    starts, or ``end_address`` when there is none."""

    @property
    def lowest_end_address(self) -> int:
        """Where a module of this place ends at least."""
        return self.end_address - self.room_bytes if self.room_bytes else self.start_address


@dataclass(frozen=True, slots=True)
class OtaRegion:
    """Where an update waits to be applied."""

    start_address: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class AssetRegion:
    """Where assets are kept, in the chip that takes in updates: blocks of 4 KiB."""

    start_address: int
    block_count: int


class FlashLayout(Protocol):
    """One family's view of its flash. Versions are module versions of the system part that runs."""

    @property
    def mcu(self) -> Mcu:
        """How its code finds module prefixes."""

    @property
    def chip(self) -> FlashChip:
        """The flash that modules run from."""

    @property
    def device_id_prefix(self) -> str:
        """What the Device ID of such a board begins with, in hex."""

    @property
    def modules_end(self) -> int:
        """No module ends behind this address."""

    @property
    def bootloader_address(self) -> int:
        """Start of the bootloader's module."""

    @property
    def main_system_index(self) -> int:
        """Index of the system part that checks the others and starts the application."""

    @property
    def factory_address(self) -> int | None:
        """Where a factory application lies: serial flash on nRF52840; None where there is no such thing."""

    def system_addresses(self, bootloader_version: int) -> tuple[int, ...]:
        """Where a bootloader of that version looks for the system part to jump to, in its order."""

    def bounds(self, version: int, internal: Reader) -> tuple[Bounds, ...]:
        """Module places as that system part knows them, in its order."""

    def ota_region(self, version: int, internal: Reader) -> OtaRegion:
        """Where that system part puts an update."""

    def asset_region(self, version: int) -> AssetRegion | None:
        """Where that system part keeps assets, None when it knows none."""
