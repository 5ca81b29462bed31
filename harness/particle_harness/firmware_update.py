"""A firmware update that a running board takes in: into the OTA region, checked, and from there to its place.

Source: device-os v2.1.0 and v6.2.0 system/src/control/storage.cpp (requests 250 to 253), system/src/firmware_update.cpp
(result codes), hal/src/nRF52840/ota_flash_hal.cpp and hal/src/rtl872x/ota_flash_hal.cpp HAL_FLASH_End,
hal/network/ncp/wifi/platform_ncp_update.cpp; v3.3.1 hal/src/stm32f2xx/ota_flash_hal_stm32f2xx.cpp; v2.1.0
platform/MCU/STM32F2xx/SPARK_Firmware_Driver/src/flash_mal.c FLASH_Update.
The limits of asset storage that updates from the cloud heed (AssetManager::prepareForOta) are not asked here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from particle_dev.catalog.modules import ModuleFunction
from particle_harness import entered_modules
from particle_harness.asset_storage import AssetStorage
from particle_harness.boards import Hardware
from particle_harness.boot_view import BootView, required_assets, system_version
from particle_harness.dct import Dct, ModuleSlot
from particle_harness.module_reader import COMPRESSED, DROP_MODULE_INFO, ENCRYPTED, PREFIX_SIZE_BYTES
from particle_harness.nor_flash import NorFlash
from particle_harness.offered_modules import INVALID_SIZE, NOT_FOUND, OfferedModule, RefusedError, checked_modules
from particle_harness.state import BoardState

CHUNK_SIZE_BYTES, _WORD_BYTES = 1024, 4
NOT_SUPPORTED, INVALID_STATE, OUT_OF_RANGE, NO_MEMORY = -120, -210, -290, -260
_FIRST_THAT_DROPS_WAITING_MODULES = 3200
"""System version of Device OS 3.2.0-rc.1. Source: platform/MCU/*/src/flash_mal.c FLASH_Begin() from there on."""
_FIRST_THAT_ANSWERS_BEFORE_IT_INSTALLS = 3000
"""Source: system/src/control/storage.cpp of v2.3.1 and v3.0.0."""
_FIRST_THAT_SAYS_WHY = 2000
"""Source: system/src/system_update.cpp Spark_Finish_Firmware_Update, HAL_FLASH_OTA_Validate of v1.5.0 and v2.0.0."""
_FAILED = 1
_TRACKER_WITHOUT_NCP_UPDATES = 5600
"""Source: v5.6.0 hal/src/tracker/hal_platform_config.h HAL_PLATFORM_NCP_UPDATES_DISABLED."""


class FirmwareUpdate:
    """At most one update at a time. Methods return a result code of the system; 0 is success.

    ``is_guarded()``: the board is protected, or open for service.
    """

    def __init__(
        self,
        hardware: Hardware,
        region: NorFlash,
        internal: NorFlash,
        dct: Dct,
        view: Callable[[], BootView],
        state: BoardState,
        is_guarded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._hardware = hardware
        self._region = region
        self._internal = internal
        self._dct = dct
        self._view = view
        self._state = state
        self._is_guarded = is_guarded
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
        if not self._fits(size_bytes) and self.checks_size:
            return INVALID_SIZE
        if system_version(self._view()) >= _FIRST_THAT_DROPS_WAITING_MODULES:
            for number, _ in self._dct.modules():
                self._dct.clear_module(number)
        for address, _ in self._sectors(min(size_bytes, self._view().ota_region().size_bytes)):
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
        address = self._base_address + self._received
        # An STM32F2 programs words, and refuses those that do not lie on one.
        if not self._hardware.is_gen2 or address % _WORD_BYTES == 0 or len(chunk) < _WORD_BYTES:
            self._region.program(address, chunk)
        self._received += len(chunk)
        return 0

    def finish(self, *, validate_only: bool) -> int:
        """Check the module and, unless ``validate_only``, leave it to :meth:`apply`, which older systems call before
        they answer."""
        complete = self._size_bytes is not None and self._received == self._size_bytes
        self.cancel()
        if not complete:
            return INVALID_STATE
        result = self.validate() if validate_only or self.answers_first else self.apply()
        if system_version(self._view()) >= _FIRST_THAT_SAYS_WHY:
            return result
        # They do not say why, and validate nothing but that a module is there.
        return _FAILED if result == NOT_FOUND or (result and not validate_only) else 0

    def cancel(self) -> None:
        """Forget the update; what lies in the region stays there."""
        self._size_bytes = None

    @property
    def answers_first(self) -> bool:
        """Whether the system answers FINISH before it installs."""
        return system_version(self._view()) >= _FIRST_THAT_ANSWERS_BEFORE_IT_INSTALLS

    @property
    def programs_ncp(self) -> bool:
        """Whether what lies in the region goes to the network processor, which takes long."""
        try:
            modules = self._checked()
        except RefusedError:
            return False
        return any(m.prefix.function == ModuleFunction.NCP_FIRMWARE for m in modules) and self._may_program_ncp

    def validate(self) -> int:
        """Check what lies in the region: integrity, dependencies, place, platform, kind."""
        try:
            self._checked()
        except RefusedError as error:
            return error.result
        return 0

    def apply(self) -> int:
        """Check what lies in the region and install it: network processor, asset storage and the bootloader of Gen 2 at
        once, the rest is entered for the bootloader. Stops at the first that fails."""
        try:
            modules = self._checked()
        except RefusedError as error:
            return error.result
        return next((result for result in map(self._install, modules) if result), 0)

    def start_assets(self) -> None:
        """What a starting system does with its asset storage."""
        storage = self._asset_storage()
        if storage:
            storage.mount()

    def install_entered(self) -> int:
        """What the bootloader does before it starts the system. Returns how many modules it copied."""
        return entered_modules.install_entered_modules(self._view(), self._internal, self._dct, self._state)

    def _checked(self) -> tuple[OfferedModule, ...]:
        return checked_modules(self._view(), self._region.read, guarded=self._is_guarded())

    def _install(self, module: OfferedModule) -> int:
        prefix, is_gen3 = module.prefix, self._hardware.is_gen3
        if prefix.function == ModuleFunction.NCP_FIRMWARE and not self._hardware.is_gen2:
            return self._program_ncp(module)
        if prefix.function == ModuleFunction.ASSET:
            return self._store_asset(module)
        is_bootloader = prefix.function == ModuleFunction.BOOTLOADER
        if is_bootloader and self._hardware.is_gen2:
            self._internal.load(prefix.start_address, self._region.read(module.address, module.size_bytes))
            return 0
        slot = ModuleSlot(
            source_device=entered_modules.SERIAL_FLASH if is_gen3 else entered_modules.INTERNAL_FLASH,
            destination_device=entered_modules.INTERNAL_FLASH,
            source_address=module.address,
            destination_address=entered_modules.MBR_PICKUP_ADDRESS
            if is_bootloader and is_gen3
            else prefix.start_address,
            length=module.size_bytes,
            flags=entered_modules.VERIFY | (0 if self._hardware.is_gen2 else _slot_flags(prefix.flags)),
            function=prefix.function,
        )
        return 0 if self._dct.add_module(slot) else NO_MEMORY

    def _program_ncp(self, module: OfferedModule) -> int:
        """The module without its prefix."""
        if not self._may_program_ncp:
            return NOT_SUPPORTED
        image = self._region.read(module.address, module.size_bytes)[PREFIX_SIZE_BYTES:]
        self._state.ncp_version = module.prefix.version
        self._state.ncp_is_known = False
        self._state.ncp_sha256 = hashlib.sha256(image).hexdigest()
        return 0

    @property
    def _may_program_ncp(self) -> bool:
        is_tracker = self._hardware.name == "tracker"
        return not (is_tracker and system_version(self._view()) >= _TRACKER_WITHOUT_NCP_UPDATES)

    def _store_asset(self, module: OfferedModule) -> int:
        storage, view = self._asset_storage(), self._view()
        assert storage is not None
        required = required_assets(view, system_version(view))
        return storage.store(self._region.read(module.address, module.size_bytes), required)

    def _asset_storage(self) -> AssetStorage | None:
        region = self._hardware.layout.asset_region(system_version(self._view()))
        return AssetStorage(self._region, region) if region else None

    @property
    def _address(self) -> int:
        return self._view().ota_region().start_address

    @property
    def checks_size(self) -> bool:
        """Whether START refuses a size of 0, and one that is larger than the region. Older systems erase what lies
        behind it, too, which is not modelled."""
        return self.answers_first

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


def _slot_flags(prefix_flags: int) -> int:
    """What a slot says about the form of its module."""
    return (
        (entered_modules.DROP if prefix_flags & DROP_MODULE_INFO else 0)
        | (entered_modules.COMPRESSED if prefix_flags & COMPRESSED else 0)
        | (entered_modules.ENCRYPTED if prefix_flags & ENCRYPTED else 0)
    )
