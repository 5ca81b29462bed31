"""Requests 90 and 91: modules and assets.

Source: device-os v2.1.0 and v5.5.0 system/src/control/storage.cpp (field 1 alone), v5.6.0 to v6.2.0
system/src/control/storage.cpp and system/src/system_info_encoding.cpp (field 2 alone); v2.1.0 to v6.2.0
hal/src/{boron,b5som,tracker,msom}/ota_flash_hal.cpp (modem).
"""

from __future__ import annotations

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_harness.asset_storage import Identity
from particle_harness.boot_view import CHECKED, FetchedModule
from particle_harness.module_reader import CRC_SIZE_BYTES, Need
from particle_harness.running import BoardSystem
from particle_harness.usb.control_service import Outcome
from particle_harness.usb.requests.handler import Row
from particle_harness.usb.wire import bytes_field, fixed32_field, number_field, text_field

FIRST_WITH_NEW_LAYOUT = 5600
# The enumeration of modules_deprecated differs from the module prefix's.
_LEGACY_TYPES = {
    ModuleFunction.BOOTLOADER: 1,
    ModuleFunction.SYSTEM_PART: 2,
    ModuleFunction.USER_PART: 3,
    ModuleFunction.MONO_FIRMWARE: 4,
    ModuleFunction.NCP_FIRMWARE: 5,
    ModuleFunction.RADIO_STACK: 6,
}
INTEGRITY_CHECK_FAILED, DEPENDENCY_CHECK_FAILED = 1, 2
_TYPES = {
    ModuleFunction.RESOURCE: 1,
    ModuleFunction.BOOTLOADER: 2,
    ModuleFunction.MONO_FIRMWARE: 3,
    ModuleFunction.SYSTEM_PART: 4,
    ModuleFunction.USER_PART: 5,
    ModuleFunction.SETTINGS: 6,
    ModuleFunction.NCP_FIRMWARE: 7,
    ModuleFunction.RADIO_STACK: 8,
    ModuleFunction.ASSET: 9,
}
_STORES = {ModuleStore.MAIN: 0, ModuleStore.FACTORY: 1, ModuleStore.BACKUP: 2, ModuleStore.SCRATCHPAD: 3}
_PROTECTED = 1


def _module_info(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    modules = system.modules()
    if system.has_cellular and not system.hardware.is_gen2:
        # The list is made with the modem's numbers, which this reply leaves out; a dead modem does not fail it.
        system.modem.power_on_and_identify()
    if system.hardware.is_gen2 and system.version < 1100:
        return Outcome(0, system.describe().encode())
    if system.version < FIRST_WITH_NEW_LAYOUT:
        listed = (m for m in modules if m.bounds.store == ModuleStore.MAIN)
        return Outcome(0, b"".join(bytes_field(1, _legacy_module(module)) for module in listed))
    return Outcome(0, b"".join(bytes_field(2, _module(system, module)) for module in modules))


def _legacy_module(module: FetchedModule) -> bytes:
    prefix = module.prefix
    validity = 0 if ModuleValidity.INTEGRITY in module.passed else INTEGRITY_CHECK_FAILED
    validity |= 0 if ModuleValidity.DEPENDENCIES in module.passed else DEPENDENCY_CHECK_FAILED
    return (
        number_field(1, _LEGACY_TYPES.get(ModuleFunction(prefix.function), 0))
        + number_field(2, prefix.index)
        + number_field(3, prefix.version)
        + number_field(4, prefix.length)
        + number_field(5, validity)
        + b"".join(bytes_field(6, _need(need, _LEGACY_TYPES)) for need in (prefix.need1, prefix.need2) if need.function)
    )


def _module(system: BoardSystem, module: FetchedModule) -> bytes:
    prefix, bounds = module.prefix, module.bounds
    is_bootloader = prefix.function == ModuleFunction.BOOTLOADER
    is_protected = is_bootloader and ModuleValidity.INTEGRITY in module.passed and system.protection.enabled
    return (
        number_field(1, _TYPES.get(ModuleFunction(prefix.function), 0))
        + number_field(2, prefix.index)
        + number_field(3, prefix.version)
        + number_field(4, _STORES[bounds.store])
        + number_field(5, bounds.end_address - bounds.start_address)
        + fixed32_field(6, CHECKED)
        + fixed32_field(7, module.passed)
        + bytes_field(8, system.module_sha256(module))
        + b"".join(bytes_field(9, _need(need, _TYPES)) for need in (prefix.need1, prefix.need2) if need.function)
        + b"".join(bytes_field(10, _asset(identity)) for identity in system.assets_of(module))
        + number_field(11, prefix.length + CRC_SIZE_BYTES if prefix.length else 0)
        + (bytes_field(12, number_field(1, _PROTECTED)) if is_protected else b"")
    )


def _need(need: Need, types: dict[ModuleFunction, int]) -> bytes:
    kind = types.get(ModuleFunction(need.function), 0)
    return number_field(1, kind) + number_field(2, need.index) + number_field(3, need.version)


def _asset_info(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    available, required = system.assets()
    data = b"".join(
        bytes_field(1, _asset(a.identity) + number_field(3, a.size_bytes) + number_field(4, a.module_size_bytes))
        for a in available
    )
    return Outcome(0, data + b"".join(bytes_field(2, _asset(identity)) for identity in required))


def _asset(identity: Identity) -> bytes:
    name, sha256 = identity
    return bytes_field(1, sha256) + text_field(2, name)


ROWS = {90: Row(_module_info), 91: Row(_asset_info, None, 5600)}
CRC_OF_ALL_MODULES_S = 0.06
"""Assumed time to check the CRC of every module, about 700 KB; not measured."""
DURATIONS_S = {90: CRC_OF_ALL_MODULES_S}
