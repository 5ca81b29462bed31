"""What lies in a board's flash, as its bootloader and its system read it.

Source: device-os v2.1.0 and v3.3.1 hal/src/nRF52840/{user_hal.cpp,ota_module.cpp,ota_flash_hal.cpp},
bootloader/src/{nRF52840,stm32f2xx}/dfu_usb.c; v6.2.0 hal/src/rtl872x/{user_hal.cpp,ota_module.cpp,ota_flash_hal.cpp},
bootloader/src/rtl872x/dfu_usb.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_harness import user_information
from particle_harness.asset_storage import Identity, StoredAsset, stored_assets
from particle_harness.boards import Hardware
from particle_harness.extensions import asset_dependencies, has_security_mode
from particle_harness.layout import Bounds, OtaRegion
from particle_harness.layout_nrf52840 import FIRST_TWO_USER_SLOTS
from particle_harness.layout_rtl872x import KM0_FIRMWARE_START, MANUFACTURING_START
from particle_harness.module_reader import (
    CRC_SIZE_BYTES,
    Need,
    Prefix,
    crc_is_good,
    prefix_from,
    read_prefix,
)
from particle_harness.nor_flash import Reader

_STM32F205_RAM_START, _STM32F205_RAM_END = 0x20000000, 0x20020000
CHECKED = ModuleValidity.INTEGRITY | ModuleValidity.DEPENDENCIES | ModuleValidity.RANGE | ModuleValidity.PLATFORM
"""What fetch_module() looks at."""


@dataclass(frozen=True, slots=True)
class BootView:
    """Everything a boot depends on."""

    hardware: Hardware
    internal: Reader
    external: Reader | None = None
    setup_done: bool = False
    wifi_credentials: bool = False
    dfu_requested: bool = False
    """Backup register 1 holds 0xEDFA."""
    safe_mode_requested: bool = False
    factory_reset_requested: bool = False
    listen_requested: bool = False
    """Control request 75 or console key ``L`` asked for listening mode; a Gen 2 board forgets it at once."""
    ota_update_requested: bool = False
    semi_automatic_apps: frozenset[str] = field(default_factory=frozenset)
    """SHA-256 (hex, of the whole module) of applications that do not connect by themselves."""
    ncp_version: int = 0
    """Version of a network processor's firmware."""
    encrypted_prefix: bytes = b""
    """Of the KM0 firmware of an RTL872x that is encrypted in flash: its prefix, as the chip deciphers it."""

    uicr: bytes | None = None
    """User information of an nRF52840."""

    def bounds(self, version: int) -> tuple[Bounds, ...]:
        """Module places as a system part of that version knows them."""
        return self.hardware.layout.bounds(version, self.internal)

    def ota_region(self) -> OtaRegion:
        """Where the system part that would run puts updates."""
        return self.hardware.layout.ota_region(system_version(self), self.internal)

    def assets(self, version: int) -> tuple[StoredAsset, ...]:
        """Assets in storage, as a system part of that version finds them."""
        region = self.hardware.layout.asset_region(version)
        read = self.external if self.hardware.is_gen3 else self.internal
        return stored_assets(read, region) if region and read else ()


@dataclass(frozen=True, slots=True)
class FetchedModule:
    """A module as the running system reports it."""

    bounds: Bounds
    prefix: Prefix
    passed: ModuleValidity

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return self.passed == CHECKED


def why_nothing_starts(view: BootView) -> str | None:
    """Why the core gets to no bootloader; None when it does."""
    if view.uicr is not None:
        return user_information.why_nothing_starts(view.internal, view.uicr)
    if view.hardware.is_gen2:
        stack_pointer = int.from_bytes(view.internal(view.hardware.bootloader_address, 4), "little")
        if not _STM32F205_RAM_START < stack_pointer <= _STM32F205_RAM_END:
            return "no vector table at the start of flash"
    return None


def system_prefix(view: BootView) -> tuple[int, Prefix] | None:
    """Address and prefix of the system part the bootloader would start, or None."""
    bootloader = read_prefix(view.internal, view.hardware.bootloader_address, view.hardware.mcu)
    for address in view.hardware.layout.system_addresses(bootloader.version if bootloader else 0):
        prefix = plausible_prefix(view, view.internal, address)
        # STM32F2 boards find a plausible header good enough and do not look at the CRC.
        if prefix and (view.hardware.is_gen2 or crc_is_good(view.internal, address, prefix.length)):
            return address, prefix
    return None


def system_version(view: BootView) -> int:
    """Module version of the system that would run; 0 when there is none."""
    system = system_prefix(view)
    return system[1].version if system else 0


def fetch_modules(view: BootView) -> tuple[FetchedModule, ...]:
    """Modules as the running system lists them: function, place and the checks each one passed.

    A module whose prefix fits no place is left out, as is a user part that fails its CRC on Device OS 3.1 and
    later; of two user parts only the first with a good CRC is listed.
    """
    version = system_version(view)
    modules: list[FetchedModule] = []
    for bounds in view.bounds(version):
        module = fetch_module(view, bounds, version)
        if module is None:
            continue
        is_user = bounds.function == ModuleFunction.USER_PART and bounds.store == ModuleStore.MAIN
        if is_user and version >= FIRST_TWO_USER_SLOTS:
            good = ModuleValidity.INTEGRITY in module.passed
            if not good or any(m.prefix.function == ModuleFunction.USER_PART for m in modules):
                continue
        modules.append(module)
    return tuple(modules)


def fetch_module(view: BootView, bounds: Bounds, version: int) -> FetchedModule | None:
    """The module at one place with the checks it passed."""
    if bounds.function == ModuleFunction.RADIO_STACK:
        prefix = _radio_stack(view)
        return FetchedModule(bounds, prefix, CHECKED) if prefix else None
    if bounds.function == ModuleFunction.NCP_FIRMWARE:
        return FetchedModule(bounds, _ncp_firmware(view), CHECKED)
    if is_encrypted(view, bounds):
        return FetchedModule(bounds, prefix_from(view.encrypted_prefix), CHECKED)
    read = view.external if bounds.external else view.internal
    prefix = read_prefix(read, bounds.start_address, view.hardware.mcu) if read else None
    if read is None or prefix is None or bounds.start_address == bounds.end_address:
        return None
    expected = find_bounds(view, prefix.function, prefix.index, version)
    if expected is None or not expected.lowest_end_address <= prefix.end_address <= expected.end_address:
        return None
    passed = ModuleValidity.RANGE
    if prefix.platform_id == view.hardware.platform_id:
        passed |= ModuleValidity.PLATFORM
    if _needs_met(view, prefix, version):
        passed |= ModuleValidity.DEPENDENCIES
    if crc_is_good(read, bounds.start_address, prefix.length):
        passed |= ModuleValidity.INTEGRITY
    return FetchedModule(bounds, prefix, passed)


def factory_image(view: BootView, *, check_crc: bool) -> Prefix | None:
    """Prefix of an application in the factory slot that fits the user slot, or None."""
    address = view.hardware.factory_address
    read = view.external if view.hardware.is_gen3 else view.internal
    if read is None or address is None:
        return None
    prefix = read_prefix(read, address, view.hardware.mcu)
    user_starts = {b.start_address for b in view.bounds(system_version(view)) if _is_user_slot(b)}
    if prefix is None or prefix.platform_id != view.hardware.platform_id or prefix.start_address not in user_starts:
        return None
    if check_crc and not (prefix.function == ModuleFunction.USER_PART and crc_is_good(read, address, prefix.length)):
        return None
    return prefix


def user_module(view: BootView, version: int) -> tuple[Prefix | None, str]:
    """The application that would run; or None and why not (``erased`` when no header is plausible)."""
    why = "erased"
    for bounds in view.bounds(version):
        if not _is_user_slot(bounds):
            continue
        prefix = plausible_prefix(view, view.internal, bounds.start_address)
        if prefix is None:
            continue
        if not crc_is_good(view.internal, bounds.start_address, prefix.length):
            why = "CRC is wrong"
        elif not _needs_met(view, prefix, version):
            why = "a dependency is missing or too old"
        else:
            return prefix, ""
    return None, why


def _needs_met(view: BootView, prefix: Prefix, version: int) -> bool:
    """validate_module_dependencies(): without a first dependency the second is never looked at."""
    if prefix.need1.function == ModuleFunction.NONE:
        return True
    return all(
        need_is_met(view, need, version)
        for need in (prefix.need1, prefix.need2)
        if need.function != ModuleFunction.NONE
    )


def need_is_met(view: BootView, need: Need, version: int) -> bool:
    """Whether a dependency is there, in a good enough version."""
    bounds = find_bounds(view, need.function, need.index, version)
    if bounds is None:
        return False
    found: Prefix | None
    if need.function == ModuleFunction.RADIO_STACK:
        found = _radio_stack(view)
    elif need.function == ModuleFunction.NCP_FIRMWARE:
        found = _ncp_firmware(view)
    elif is_encrypted(view, bounds):
        found = prefix_from(view.encrypted_prefix)
    else:
        found = read_prefix(view.internal, bounds.start_address, view.hardware.mcu)
    return found is not None and found.version >= need.version


def _radio_stack(view: BootView) -> Prefix | None:
    """The SoftDevice has no prefix in flash; its firmware id stands at 0x300C (nrf_sdm.h SD_FWID_GET)."""
    if not view.hardware.is_gen3:
        return None
    firmware_id = int.from_bytes(view.internal(0x300C, 2), "little")
    none = Need(0, 0, 0)
    return Prefix(0, 0, 0, 0, firmware_id, view.hardware.platform_id, ModuleFunction.RADIO_STACK, 0, none, none)


def _ncp_firmware(view: BootView) -> Prefix:
    """What the processor answers: its version. Source: v6.2.0 hal/network/ncp/wifi/platform_ncp_update.cpp."""
    none = Need(0, 0, 0)
    function = ModuleFunction.NCP_FIRMWARE
    return Prefix(0, 0, 0, 0, view.ncp_version, view.hardware.platform_id, function, 0, none, none)


def is_encrypted(view: BootView, bounds: Bounds) -> bool:
    """Whether what lies there is the encrypted firmware of an RTL872x's KM0."""
    return bool(view.encrypted_prefix) and view.hardware.is_rtl872x and bounds.start_address == KM0_FIRMWARE_START


def bootloader_protects(view: BootView) -> bool:
    """Whether the bootloader in flash is one that closes its board."""
    address = view.hardware.bootloader_address
    prefix = read_prefix(view.internal, address, view.hardware.mcu)
    if prefix is None or not 0 < prefix.length < view.hardware.layout.modules_end - address:
        return False
    return has_security_mode(view.internal, address, prefix)


def required_assets(view: BootView, version: int) -> tuple[Identity, ...]:
    """What the application that would run asks for; nothing of a system that keeps no assets."""
    app, _ = user_module(view, version)
    if app is None or view.hardware.layout.asset_region(version) is None:
        return ()
    return asset_dependencies(view.internal, app.start_address, app, view.hardware.mcu)


def plausible_prefix(view: BootView, read: Reader, address: int) -> Prefix | None:
    """FLASH_isUserModuleInfoValid(): start address, end below the end of flash, platform."""
    prefix = read_prefix(read, address, view.hardware.mcu)
    if (
        prefix is None
        or prefix.start_address != address
        or prefix.end_address > view.hardware.layout.modules_end
        or prefix.platform_id != view.hardware.platform_id
    ):
        return None
    return prefix


def find_bounds(view: BootView, function: int, index: int, version: int) -> Bounds | None:
    """The first place of a module, or None when this system knows none."""
    return next((b for b in view.bounds(version) if (b.function, b.index) == (function, index)), None)


def _is_user_slot(bounds: Bounds) -> bool:
    return bounds.function == ModuleFunction.USER_PART and bounds.store == ModuleStore.MAIN


def manufacturing_system_part(view: BootView) -> tuple[int, Prefix] | None:
    """Address and prefix of an intact system part in the image that an RTL872x board's factory left: it lies behind the
    first module there. None when there is none.

    Source: platform/MCU/rtl872x/src/flash_mal.c FLASH_AddMfgSystemModuleSlot.
    """
    first = read_prefix(view.internal, MANUFACTURING_START, view.hardware.mcu)
    if first is None or not 0 < first.length < view.hardware.layout.modules_end - MANUFACTURING_START:
        return None
    address = MANUFACTURING_START + first.length + CRC_SIZE_BYTES
    system = read_prefix(view.internal, address, view.hardware.mcu)
    is_ours = system is not None and (system.function, system.platform_id) == (
        ModuleFunction.SYSTEM_PART,
        view.hardware.platform_id,
    )
    return (address, system) if system and is_ours and crc_is_good(view.internal, address, system.length) else None
