"""What a board does at power-up or reset, decided from what lies in its flash. Pure: nothing is changed here.

Source: device-os v2.1.0 and v3.3.1 bootloader/src/main.c, bootloader/src/{nRF52840,stm32f2xx}/dfu_usb.c,
modules/shared/{nRF52840,stm32f2xx}/inc/system_part*_loader.c, hal/src/nRF52840/{core_hal.c,user_hal.cpp,ota_module.cpp,
ota_flash_hal.cpp}, hal/src/stm32f2xx/core_hal_stm32f2xx.c, system/src/{main.cpp,system_network_manager_api.cpp}.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_harness.boards import FIRST_LOW_SYSTEM_BOOTLOADER, FIRST_WITHOUT_SETUP_DONE, Bounds, Hardware
from particle_harness.module_reader import CRC_SIZE_BYTES, Need, Prefix, crc_is_good, read_prefix
from particle_harness.nor_flash import Reader

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
    """Control request 75 or console key ``L`` asked for listening mode."""
    ota_update_requested: bool = False
    semi_automatic_apps: frozenset[str] = field(default_factory=frozenset)
    """SHA-256 (hex, of the whole module) of applications that do not connect by themselves."""


@dataclass(frozen=True, slots=True)
class BootDecision:
    """Where a boot ends and why.

    ``runs``: ``dfu``; ``app``; ``safe_mode``; ``listening`` (``safe_mode`` tells whether the application is left
    out); ``hung`` (no USB, no radio); or a step that resets again: ``factory_restore``, ``ota_update``,
    ``reset_loop``.
    """

    runs: str
    would_connect: bool
    reasons: tuple[str, ...]
    safe_mode: bool = False


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


def system_prefix(view: BootView) -> tuple[int, Prefix] | None:
    """Address and prefix of the system part the bootloader would start, or None."""
    if not view.hardware.is_gen3:
        # FLASH_isUserModuleInfoValid only: a plausible header is enough, the CRC is not looked at.
        prefix = _plausible(view, view.internal, 0x08020000)
        return (0x08020000, prefix) if prefix else None
    bootloader = read_prefix(view.internal, view.hardware.bootloader_address, view.hardware.mcu)
    knows_low_start = bootloader is not None and FIRST_LOW_SYSTEM_BOOTLOADER <= bootloader.version < 0xFFFF
    for address in (0x28000, 0x30000) if knows_low_start else (0x30000,):
        prefix = _plausible(view, view.internal, address)
        if prefix and crc_is_good(view.internal, address, prefix.length):
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
    for bounds in view.hardware.bounds(version):
        module = fetch_module(view, bounds, version)
        if module is None:
            continue
        is_user = bounds.function == ModuleFunction.USER_PART and bounds.store == ModuleStore.MAIN
        if is_user and version >= 3100:
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
    read = view.external if bounds.external else view.internal
    prefix = read_prefix(read, bounds.start_address, view.hardware.mcu) if read else None
    if read is None or prefix is None:
        return None
    expected = _find_bounds(view, prefix.function, prefix.index, version)
    if expected is None or not expected.start_address <= prefix.end_address <= expected.end_address:
        return None
    passed = ModuleValidity.RANGE
    if prefix.platform_id == view.hardware.platform_id:
        passed |= ModuleValidity.PLATFORM
    if _needs_met(view, prefix, version):
        passed |= ModuleValidity.DEPENDENCIES
    if crc_is_good(read, bounds.start_address, prefix.length):
        passed |= ModuleValidity.INTEGRITY
    return FetchedModule(bounds, prefix, passed)


def decide_boot(view: BootView) -> BootDecision:
    """Follow bootloader, system loader and network start-up to where this boot ends."""
    if view.dfu_requested and not view.factory_reset_requested:
        return BootDecision("dfu", False, ("DFU was requested (one-shot)",))
    if view.factory_reset_requested:
        if factory_image(view, check_crc=True):
            return BootDecision("factory_restore", False, ("factory reset flag, factory image is good",))
        if system_prefix(view):
            return BootDecision("factory_restore", False, ("factory reset flag, but no good factory image",))
        return BootDecision("dfu", False, ("factory reset flag, no factory image and no system part",))
    if system_prefix(view) is None:
        if not view.hardware.is_gen3 and factory_image(view, check_crc=True):
            return BootDecision("reset_loop", False, ("no system part: factory image restored again and again",))
        return BootDecision("dfu", False, ("no valid system part",))
    return _system_loader(view)


def factory_image(view: BootView, *, check_crc: bool) -> Prefix | None:
    """Prefix of an application in the factory slot that fits the user slot, or None."""
    address = view.hardware.factory_address
    read = view.external if view.hardware.is_gen3 else view.internal
    if read is None:
        return None
    prefix = read_prefix(read, address, view.hardware.mcu)
    user_starts = {b.start_address for b in view.hardware.bounds(system_version(view)) if _is_user_slot(b)}
    if prefix is None or prefix.platform_id != view.hardware.platform_id or prefix.start_address not in user_starts:
        return None
    if check_crc and not (prefix.function == ModuleFunction.USER_PART and crc_is_good(read, address, prefix.length)):
        return None
    return prefix


def _system_loader(view: BootView) -> BootDecision:
    version = system_version(view)
    reasons: list[str] = []
    if not view.hardware.is_gen3 and _plausible(view, view.internal, 0x08060000) is None:
        # Part 1 jumps into part 2 unseen.
        return BootDecision("hung", False, ("system part 2 is missing: part 1 jumps into nothing",))
    system_index = 1 if view.hardware.is_gen3 else 2
    for function, index in ((ModuleFunction.BOOTLOADER, 0), (ModuleFunction.SYSTEM_PART, system_index)):
        bounds = _find_bounds(view, function, index, version)
        module = fetch_module(view, bounds, version) if bounds else None
        if module is None or not module.ok:
            missing = CHECKED & ~module.passed if module else CHECKED
            reasons.append(f"{function.label} {index} fails {_names(missing)}")
            break
    app: Prefix | None = None
    if not reasons:
        app, why = _user_module(view, version)
        if app is None:
            if why == "erased" and factory_image(view, check_crc=False):
                good = factory_image(view, check_crc=True)
                runs = "factory_restore" if good else "reset_loop"
                return BootDecision(runs, False, ("user part is missing, factory slot holds an application",))
            reasons.append(f"user part: {why}")
    if view.safe_mode_requested:
        reasons.append("safe mode was requested")
    if view.ota_update_requested:
        return BootDecision("ota_update", False, ("a module in the OTA region waits (flag 0xA5)", *reasons))
    return _network_start(view, version, app, tuple(reasons))


def _network_start(view: BootView, version: int, app: Prefix | None, reasons: tuple[str, ...]) -> BootDecision:
    safe_mode = bool(reasons)
    runs = "safe_mode" if safe_mode else "app"
    if app is not None and not safe_mode and _app_sha256(view, app) in view.semi_automatic_apps:
        return BootDecision(runs, False, ("the application connects only when told to",))
    listen = _listen_reason(view, version)
    if listen:
        return BootDecision("listening", False, (*reasons, listen), safe_mode)
    if view.hardware.radio == "none":
        return BootDecision(runs, False, (*reasons, "the board has no way to the network"), safe_mode)
    why = "safe mode connects" if safe_mode else "AUTOMATIC application"
    return BootDecision(runs, True, (*reasons, why), safe_mode)


def _listen_reason(view: BootView, version: int) -> str | None:
    """Why network_connect() turns into listening mode, if it does."""
    if view.hardware.is_gen3:
        if view.listen_requested:
            return "listening mode was requested for this boot"
        if version < FIRST_WITHOUT_SETUP_DONE and not view.setup_done:
            return "setup is not done"
    elif view.listen_requested and view.safe_mode_requested:
        # Gen 2 consumes the request only in a safe mode that the bootloader was asked for.
        return "listening mode was requested for this boot"
    if view.hardware.radio == "wifi" and not view.wifi_credentials:
        return "no Wi-Fi credentials"
    return None


def _user_module(view: BootView, version: int) -> tuple[Prefix | None, str]:
    """The application that would run; or None and why not (``erased`` when no header is plausible)."""
    why = "erased"
    for bounds in view.hardware.bounds(version):
        if not _is_user_slot(bounds):
            continue
        prefix = _plausible(view, view.internal, bounds.start_address)
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
    bounds = _find_bounds(view, need.function, need.index, version)
    if bounds is None:
        return False
    if need.function == ModuleFunction.RADIO_STACK:
        found = _radio_stack(view)
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


def _plausible(view: BootView, read: Reader, address: int) -> Prefix | None:
    """FLASH_isUserModuleInfoValid(): start address, end below the end of flash, platform."""
    prefix = read_prefix(read, address, view.hardware.mcu)
    chip = view.hardware.internal_chip
    if (
        prefix is None
        or prefix.start_address != address
        or prefix.end_address > chip.base_address + chip.size_bytes
        or prefix.platform_id != view.hardware.platform_id
    ):
        return None
    return prefix


def _find_bounds(view: BootView, function: int, index: int, version: int) -> Bounds | None:
    return next((b for b in view.hardware.bounds(version) if (b.function, b.index) == (function, index)), None)


def _is_user_slot(bounds: Bounds) -> bool:
    return bounds.function == ModuleFunction.USER_PART and bounds.store == ModuleStore.MAIN


def _app_sha256(view: BootView, app: Prefix) -> str:
    return hashlib.sha256(view.internal(app.start_address, app.length + CRC_SIZE_BYTES)).hexdigest()


def _names(flags: ModuleValidity) -> str:
    return ", ".join(flag.name.lower() for flag in ModuleValidity if flag in flags and flag.name)
