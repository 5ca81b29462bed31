"""What a running system checks about the modules that wait in its OTA region.

Source: device-os v6.2.0 hal/src/nRF52840/{ota_module.cpp fetch_module,ota_flash_hal.cpp fetchModules, validateModules,
validate_module_dependencies}, the same in hal/src/rtl872x; v3.3.1 hal/src/stm32f2xx/ota_flash_hal_stm32f2xx.cpp, which
looks at one module and at no flags.
"""

from __future__ import annotations

from typing import NamedTuple

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boot_view import BootView, fetch_modules, find_bounds, need_is_met, system_version
from particle_harness.esp32.image import ESP32_TARGET
from particle_harness.extensions import has_security_mode
from particle_harness.module_reader import (
    COMBINED,
    COMPRESSED,
    CRC_SIZE_BYTES,
    DROP_MODULE_INFO,
    Need,
    Prefix,
    crc_is_good,
    read_prefix,
)
from particle_harness.nor_flash import Reader

NOT_FOUND, UNSUPPORTED_MODULE, INTEGRITY, DEPENDENCY = -1300, -1310, -1330, -1340
INVALID_SIZE, INVALID_PLATFORM, INVALID_FORMAT, PROTECTED = -1351, -1360, -1370, -1801
_MAIN_MCU, _ANY_MCU = 0, 0xFF
_MOST_MODULES = 2
_FIRST_SYSTEM_WITH_PROTECTION = 6000
_COMPRESSIBLE = (ModuleFunction.USER_PART, ModuleFunction.SYSTEM_PART, ModuleFunction.ASSET)


class RefusedError(Exception):
    """The system does not take what waits; ``result`` is its code."""

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result


class OfferedModule(NamedTuple):
    """A module in the OTA region."""

    address: int
    prefix: Prefix

    @property
    def size_bytes(self) -> int:
        """With its CRC."""
        return self.prefix.length + CRC_SIZE_BYTES


def checked_modules(view: BootView, read: Reader, *, guarded: bool) -> tuple[OfferedModule, ...]:
    """The modules that would be installed, at most two. ``guarded``: the board is protected, or open for service.

    Raises RefusedError for the first that does not pass.
    """
    modules = _fetch_all(view, read)
    for module in modules:
        if not _is_asset(view, module.prefix):
            _check(view, read, module)
        if not view.hardware.is_gen2:
            _check_kind(view, read, module, guarded=guarded)
    return modules


def _fetch_all(view: BootView, read: Reader) -> tuple[OfferedModule, ...]:
    region = view.ota_region()
    address, room = region.start_address, region.size_bytes
    modules: list[OfferedModule] = []
    while True:
        module = _fetch(view, read, address)
        modules.append(module)
        if view.hardware.is_gen2 or not module.prefix.flags & COMBINED:
            return tuple(modules[:_MOST_MODULES])
        if room < module.size_bytes:
            raise RefusedError(INVALID_SIZE)
        address, room = address + module.size_bytes, room - module.size_bytes


def _fetch(view: BootView, read: Reader, address: int) -> OfferedModule:
    prefix = read_prefix(read, address, view.hardware.mcu)
    if prefix is None or prefix.length <= 0:
        raise RefusedError(NOT_FOUND)
    is_ncp = prefix.function == ModuleFunction.NCP_FIRMWARE
    if not _is_asset(view, prefix):
        bounds = find_bounds(view, prefix.function, prefix.index, system_version(view))
        for_us = view.hardware.is_gen2 or is_ncp or prefix.mcu_target in (_MAIN_MCU, _ANY_MCU)
        if not bounds or not for_us or not bounds.lowest_end_address <= prefix.end_address <= bounds.end_address:
            raise RefusedError(NOT_FOUND)
    return OfferedModule(address, prefix)


def _is_asset(view: BootView, prefix: Prefix) -> bool:
    known = view.hardware.layout.asset_region(system_version(view)) is not None
    return known and prefix.function == ModuleFunction.ASSET


def _check(view: BootView, read: Reader, module: OfferedModule) -> None:
    if not crc_is_good(read, module.address, module.prefix.length):
        raise RefusedError(INTEGRITY)
    if not _needs_are_met(view, module.prefix) or not _is_needed_no_newer(view, module.prefix):
        raise RefusedError(DEPENDENCY)
    if module.prefix.platform_id != view.hardware.platform_id:
        raise RefusedError(INVALID_PLATFORM)


def _needs_are_met(view: BootView, prefix: Prefix) -> bool:
    """An application may come before its system part; a second dependency on a bootloader is not looked at."""
    if prefix.function == ModuleFunction.USER_PART or prefix.need1.function == ModuleFunction.NONE:
        return True
    needs = [prefix.need1]
    if prefix.need2.function not in (ModuleFunction.NONE, ModuleFunction.BOOTLOADER):
        needs.append(prefix.need2)
    return all(need_is_met(view, need, system_version(view)) for need in needs)


def _is_needed_no_newer(view: BootView, prefix: Prefix) -> bool:
    """Whether the other system parts are content with this one."""
    if prefix.function != ModuleFunction.SYSTEM_PART:
        return True
    key = (prefix.function, prefix.index)
    others = (
        m.prefix
        for m in fetch_modules(view)
        if m.prefix.function == ModuleFunction.SYSTEM_PART
        and (m.prefix.function, m.prefix.index, m.prefix.start_address) != (*key, prefix.start_address)
    )
    wanted: list[Need] = [need for other in others for need in (other.need1, other.need2)]
    return all(prefix.version >= need.version for need in wanted if (need.function, need.index) == key)


def _check_kind(view: BootView, read: Reader, module: OfferedModule, *, guarded: bool) -> None:
    prefix = module.prefix
    has_head = view.hardware.mcu.prefix_offset(read, module.address) > 0
    if has_head and prefix.flags & (DROP_MODULE_INFO | COMPRESSED):
        raise RefusedError(INVALID_FORMAT)
    if prefix.flags & COMPRESSED and prefix.function not in _COMPRESSIBLE:
        raise RefusedError(UNSUPPORTED_MODULE)
    if prefix.function == ModuleFunction.NCP_FIRMWARE and prefix.mcu_target != ESP32_TARGET:
        raise RefusedError(INVALID_PLATFORM)
    if guarded and system_version(view) >= _FIRST_SYSTEM_WITH_PROTECTION:
        is_bootloader = (prefix.function, prefix.index) == (ModuleFunction.BOOTLOADER, 0)
        if is_bootloader and not has_security_mode(read, module.address, prefix):
            raise RefusedError(PROTECTED)
        if prefix.function == ModuleFunction.SYSTEM_PART and prefix.version < _FIRST_SYSTEM_WITH_PROTECTION:
            raise RefusedError(PROTECTED)
