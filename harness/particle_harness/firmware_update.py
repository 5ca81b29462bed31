"""A firmware update that a running board takes in: into the OTA region, checked, and from there by the bootloader.

Source: device-os v2.1.0 system/src/control/storage.cpp (requests 250 to 253), hal/src/nRF52840/ota_flash_hal.cpp
(HAL_FLASH_End, validateModules), v3.3.1 system/src/firmware_update.cpp (result codes),
platform/MCU/nRF52840/src/flash_mal.c (FLASH_AddToNextAvailableModulesSlot, FLASH_UpdateModules);
v6.2.0 hal/src/rtl872x/ota_flash_hal.cpp, platform/MCU/rtl872x/src/flash_mal.c (KM0 copies bootloaders of any index).
Left out: compressed and combined modules, and what goes to a network processor; they get OTA_UNSUPPORTED_MODULE.
"""

from __future__ import annotations

from collections.abc import Callable

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boards import Hardware
from particle_harness.boot_view import BootView, need_is_met, system_version
from particle_harness.dct import Dct, ModuleSlot
from particle_harness.module_reader import (
    CRC_SIZE_BYTES,
    DROP_MODULE_INFO,
    PREFIX_SIZE_BYTES,
    Prefix,
    crc_is_good,
    read_prefix,
)
from particle_harness.nor_flash import NorFlash, Reader

CHUNK_SIZE_BYTES = 1024
NOT_SUPPORTED, INVALID_STATE, OUT_OF_RANGE, NO_MEMORY = -120, -210, -290, -260
NOT_FOUND, UNSUPPORTED_MODULE, INTEGRITY, DEPENDENCY = -1300, -1310, -1330, -1340
INVALID_ADDRESS, INVALID_SIZE, INVALID_PLATFORM = -1350, -1351, -1360
_FIRST_THAT_DROPS_WAITING_MODULES = 3200
"""System version of Device OS 3.2.0-rc.1. Source: platform/MCU/*/src/flash_mal.c FLASH_Begin() from there on."""
_INTERNAL_FLASH, _SERIAL_FLASH = 0, 1
_VERIFY_CRC, _VERIFY_DESTINATION, _VERIFY_FUNCTION = 0x02, 0x04, 0x08
_VERIFY = _VERIFY_CRC | _VERIFY_DESTINATION | _VERIFY_FUNCTION
_DROP_MODULE_INFO = 0x10
_UPDATABLE = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.SYSTEM_PART,
    ModuleFunction.USER_PART,
    ModuleFunction.RADIO_STACK,
)


class FirmwareUpdate:
    """At most one update at a time. Methods return a result code of the system; 0 is success."""

    def __init__(
        self, hardware: Hardware, region: NorFlash, internal: NorFlash, dct: Dct, view: Callable[[], BootView]
    ) -> None:
        self._hardware = hardware
        self._region = region
        self._internal = internal
        self._dct = dct
        self._view = view
        self._size_bytes: int | None = None
        self._received = self._base_address = 0

    def erase_s(self, size_bytes: int) -> float:
        """How long START works: it erases the sectors that ``size_bytes`` need."""
        return sum(erase_s for _, erase_s in self._sectors(size_bytes)) if self._fits(size_bytes) else 0.0

    def start(self, size_bytes: int, file_format: int) -> int:
        """Erase the region (the time for that is over by now). A former update is cancelled; since Device OS 3.2.0 what
        still waits for the bootloader is dropped too."""
        self.cancel()
        if file_format != 0:
            return NOT_SUPPORTED
        if not self._fits(size_bytes):
            return INVALID_SIZE
        if system_version(self._view()) >= _FIRST_THAT_DROPS_WAITING_MODULES:
            for number, _ in self._dct.modules():
                self._dct.clear_module(number)
        for address, _ in self._sectors(size_bytes):
            self._region.erase_sector(address, timed=False)
        self._size_bytes, self._received, self._base_address = size_bytes, 0, self._address
        return 0

    def data(self, chunk: bytes) -> int:
        """The next bytes. A wrong length ends the update."""
        if self._size_bytes is None:
            return INVALID_STATE
        if not 0 < len(chunk) <= self._size_bytes - self._received:
            self.cancel()
            return OUT_OF_RANGE
        self._region.program(self._base_address + self._received, chunk)
        self._received += len(chunk)
        return 0

    def finish(self, *, validate_only: bool) -> int:
        """Check the module and, unless ``validate_only``, enter it for the bootloader."""
        complete = self._size_bytes is not None and self._received == self._size_bytes
        self.cancel()
        if not complete:
            return INVALID_STATE
        return self.validate() if validate_only else self.apply()

    def cancel(self) -> None:
        """Forget the update; what lies in the region stays there."""
        self._size_bytes = None

    def validate(self) -> int:
        """Check what lies in the region: integrity, platform, place, dependencies."""
        prefix = self._prefix()
        return NOT_FOUND if prefix is None else self._check(prefix)

    def apply(self) -> int:
        """Check what lies in the region and enter it for the bootloader; a Gen 2 bootloader is replaced at once."""
        prefix = self._prefix()
        if prefix is None:
            return NOT_FOUND
        result = self._check(prefix)
        if result:
            return result
        is_bootloader = prefix.function == ModuleFunction.BOOTLOADER
        if is_bootloader and self._hardware.is_gen2:
            self._internal.load(prefix.start_address, self._region.read(self._address, prefix.length + CRC_SIZE_BYTES))
            return 0
        # The bootloader of Gen 3 lays a successor where applications begin, for the master boot record to fetch.
        by_mbr = is_bootloader and self._hardware.is_gen3
        slot = ModuleSlot(
            source_device=_SERIAL_FLASH if self._hardware.is_gen3 else _INTERNAL_FLASH,
            destination_device=_INTERNAL_FLASH,
            source_address=self._address,
            destination_address=_MBR_PICKUP_ADDRESS if by_mbr else prefix.start_address,
            length=prefix.length + CRC_SIZE_BYTES,
            flags=_VERIFY | (_DROP_MODULE_INFO if prefix.flags & DROP_MODULE_INFO else 0),
            function=prefix.function,
        )
        return 0 if self._dct.add_module(slot) else NO_MEMORY

    def _prefix(self) -> Prefix | None:
        return read_prefix(self._region.read, self._address, self._hardware.mcu)

    @property
    def _address(self) -> int:
        return self._view().ota_region().start_address

    def _check(self, prefix: Prefix) -> int:
        if prefix.function not in _UPDATABLE or prefix.flags & ~DROP_MODULE_INFO:
            return UNSUPPORTED_MODULE
        view = self._view()
        version = system_version(view)
        if not crc_is_good(self._region.read, self._address, prefix.length):
            return INTEGRITY
        if prefix.platform_id != self._hardware.platform_id:
            return INVALID_PLATFORM
        if not any(
            (b.function, b.index) == (prefix.function, prefix.index)
            and b.lowest_end_address <= (prefix.end_address if b.room_bytes else prefix.start_address)
            and prefix.end_address <= b.end_address
            for b in view.bounds(version)
        ):
            return INVALID_ADDRESS
        needs = () if prefix.function == ModuleFunction.USER_PART else (prefix.need1, prefix.need2)
        if not all(need_is_met(view, need, version) for need in needs if need.function != ModuleFunction.NONE):
            return DEPENDENCY
        return 0

    def _fits(self, size_bytes: int) -> bool:
        return 0 < size_bytes <= self._view().ota_region().size_bytes

    def _sectors(self, size_bytes: int) -> list[tuple[int, float]]:
        sectors = []
        address = start = self._address
        while address < start + size_bytes:
            sector_start, sector_size_bytes, erase_s = self._region.sector(address)
            sectors.append((sector_start, erase_s))
            address = sector_start + sector_size_bytes
        return sectors


_MBR_PICKUP_ADDRESS = 0xD4000


def _is_verified(view: BootView, slot: ModuleSlot, read: Reader) -> bool:
    """verify_module() with the flags of a slot: platform, function, destination and CRC as the prefix has them."""
    if not slot.flags & _VERIFY:
        return True
    prefix = read_prefix(read, slot.source_address, view.hardware.mcu)
    if prefix is None or prefix.platform_id != view.hardware.platform_id:
        return False
    fits = prefix.start_address == slot.destination_address
    by_mbr = slot.function == ModuleFunction.BOOTLOADER and slot.destination_address == _MBR_PICKUP_ADDRESS
    return (
        prefix.length + CRC_SIZE_BYTES <= slot.length
        and (not slot.flags & _VERIFY_FUNCTION or prefix.function == slot.function)
        and (not slot.flags & _VERIFY_DESTINATION or fits or by_mbr)
        and (not slot.flags & _VERIFY_CRC or crc_is_good(read, slot.source_address, prefix.length))
    )


def install_entered_modules(view: BootView, internal: NorFlash, dct: Dct) -> int:
    """What a bootloader does before it starts the system: copy the modules that were entered. Returns how many."""
    installed = 0
    for number, slot in dct.modules():
        read = view.external if slot.source_device == _SERIAL_FLASH else view.internal
        dct.clear_module(number)
        if read is None or not _is_verified(view, slot, read):
            continue
        dropped = PREFIX_SIZE_BYTES if slot.flags & _DROP_MODULE_INFO else 0
        image = read(slot.source_address + dropped, slot.length - dropped)
        by_mbr = slot.function == ModuleFunction.BOOTLOADER and view.hardware.is_gen3
        internal.load(view.hardware.bootloader_address if by_mbr else slot.destination_address, image)
        installed += 1
    return installed
