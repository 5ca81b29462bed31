"""Types of the platform catalogue. Values only: no I/O, no state.

They are named tuples instead of dataclasses because every command imports them: nine frozen dataclasses
cost about 5 ms to create, nine named tuples less than 1 ms.
"""

from enum import StrEnum
from typing import NamedTuple

from particle_dev.catalog.device_os import version_key
from particle_dev.catalog.modules import ModuleFunction


class UsbId(NamedTuple):
    """USB vendor and product id."""

    vid: int
    pid: int


class UsbMode(StrEnum):
    """Which of its two USB identities a device shows."""

    NORMAL = "normal"
    DFU = "dfu"


class ModuleSlot(NamedTuple):
    """Where modules of one function and index live, in one range of Device OS releases.

    ``end_address`` is exclusive. ``start_address`` is None when the module floats below a fixed end
    (``fixed_end``). ``max_size_bytes`` counts the whole module with its CRC. ``prefix_offset`` is where the
    24-byte prefix starts in the file.
    """

    function: ModuleFunction
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    storage: str
    """``internal_flash`` or ``external_mcu`` (another chip, reached by the running firmware only)."""
    start_address: int | None
    end_address: int | None
    max_size_bytes: int
    prefix_offset: int
    source: str
    since_device_os: str | None = None
    until_device_os: str | None = None
    fixed_end: bool = False
    drop_module_info: bool = False
    """The prefix must be stripped when the module is written straight to flash."""
    encrypted: bool = False
    mcu_target: int = 0
    """Prefix byte 8: 0 the main MCU, 0x21 the ESP32 network processor."""
    release_file: str | None = None
    """Name in release files where it differs from function and index (Electron)."""
    note: str = ""

    def covers(self, device_os: str) -> bool:
        """Tell whether this slot exists in the given Device OS release."""
        key = version_key(device_os)
        since, until = self.since_device_os, self.until_device_os
        return (since is None or version_key(since) <= key) and (until is None or key <= version_key(until))


class DfuAlt(NamedTuple):
    """One DFU alternate setting. ``descriptor`` is the DfuSe string of current bootloaders.

    Older bootloaders use other strings, and protected devices replace all access letters by ``b``: read
    the device's own string, use this one for comparison.
    """

    alt: int
    name: str
    """``internal_flash``, ``dct`` or ``external_flash``."""
    base_address: int
    """Address of the first byte as DFU counts it: external flash of nRF52840 boards adds 0x80000000."""
    size_bytes: int
    descriptor: str
    source: str


class DfuArea(NamedTuple):
    """A range reached through DFU, ``address`` as passed to a DFU tool."""

    alt: int
    address: int
    size_bytes: int
    source: str


class MemoryRegion(NamedTuple):
    """A named range of one memory. ``end_address`` is exclusive.

    ``storage``: internal_flash, external_flash (offsets in that chip), ram, uicr or otp.
    """

    name: str
    start_address: int
    end_address: int
    storage: str
    source: str
    note: str = ""

    @property
    def size_bytes(self) -> int:
        """Length of the region."""
        return self.end_address - self.start_address


class MemoryMap(NamedTuple):
    """The regions of a board as one range of Device OS releases sees them."""

    era: str
    since_device_os: str | None
    until_device_os: str | None
    regions: tuple[MemoryRegion, ...]

    def region(self, name: str) -> MemoryRegion:
        """Return the region of that name. Raises KeyError when this map has none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(f"memory map {self.era!r} has no region {name!r}")


class AssetStorage(NamedTuple):
    """Room for asset modules: an asset takes ceil(size / (block - overhead)) blocks."""

    block_size_bytes: int
    total_blocks: int
    reserved_blocks: int
    per_block_overhead_bytes: int
    declared_max_module_bytes: int
    """What the public constants state."""
    device_max_module_bytes: int
    """What Device OS 6.2 accepts."""
    source: str


class Layout(NamedTuple):
    """Everything that follows from MCU and flash map; several platforms share one."""

    name: str
    source: str
    module_slots: tuple[ModuleSlot, ...] = ()
    """Oldest era first within one function and index."""
    dfu_alts: tuple[DfuAlt, ...] = ()
    memory_maps: tuple[MemoryMap, ...] = ()
    """Oldest era first."""
    user_extensions_in_prefix: bool = False
    former_user_part: DfuArea | None = None
    """To be overwritten with 0xFF when an application is written below it, else the old one wins."""


class Platform(NamedTuple):
    """One platform ID. Names, features and eligibility are those of the public constants."""

    id: int
    name: str
    display_name: str
    generation: int
    """-1: Linux, or not a Particle product line."""
    family: str
    mcu: str
    source: str
    aliases: tuple[str, ...] = ()
    first_device_os: str | None = None
    last_device_os: str | None = None
    """None: still built, or never."""
    product_eligible: bool = False
    public: bool = False
    billing: str = "wifi"
    """Which data plan counts the device: ``wifi`` or ``cellular``."""
    features: tuple[str, ...] = ()
    usb_normal: UsbId | None = None
    usb_dfu: UsbId | None = None
    quirks: tuple[str, ...] = ()
    layout: Layout | None = None
    extra_modules: tuple[ModuleSlot, ...] = ()
    serial_prefixes: tuple[str, ...] = ()
    assets: AssetStorage | None = None

    @property
    def device_protection(self) -> bool:
        """The platform supports device protection (needs Device OS 6.1.1 on the device)."""
        return "deviceProtection" in self.features

    @property
    def enumerates_twice(self) -> bool:
        """A booting board comes with control requests only, leaves the bus, and comes again with its serial port.
        Source: device-os v6.2.0 hal/src/rtl872x/usb_hal.cpp."""
        return self.family == "rtl872x"

    @property
    def module_slots(self) -> tuple[ModuleSlot, ...]:
        """All module slots of all eras, those of other chips included."""
        return (self.layout.module_slots if self.layout else ()) + self.extra_modules

    @property
    def dfu_alts(self) -> tuple[DfuAlt, ...]:
        """DFU alternate settings; empty when the platform has no DFU."""
        return self.layout.dfu_alts if self.layout else ()

    def slot_for(self, function: int, index: int, device_os: str | None = None) -> ModuleSlot | None:
        """Return the slot of a module in that release (None: in the newest one), or None if there is none.

        Raises ValueError when ``device_os`` is no version.
        """
        for slot in reversed(self.module_slots):
            same = slot.function == function and slot.index == index
            if same and (device_os is None or slot.covers(device_os)):
                return slot
        return None

    def memory_map(self, device_os: str) -> MemoryMap:
        """Return the memory map that a release uses.

        Raises ValueError when ``device_os`` is no version or the platform has no memory map at all.
        """
        key = version_key(device_os)
        for memory_map in reversed(self.layout.memory_maps if self.layout else ()):
            if memory_map.since_device_os is None or version_key(memory_map.since_device_os) <= key:
                return memory_map
        raise ValueError(f"platform {self.name} has no memory map for Device OS {device_os}")
