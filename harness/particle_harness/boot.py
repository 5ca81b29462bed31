"""What a board does at power-up or reset, decided from what lies in its flash. Pure: nothing is changed here.

Source: device-os v2.1.0 and v3.3.1 bootloader/src/main.c, hal/src/nRF52840/core_hal.c,
modules/shared/{nRF52840,stm32f2xx}/inc/system_part*_loader.c, hal/src/stm32f2xx/core_hal_stm32f2xx.c,
system/src/{main.cpp,system_network_manager_api.cpp}; v6.2.0 bootloader/src/main.c,
modules/shared/rtl872x/inc/system_part1_loader.c, platform/MCU/rtl872x/src/{flash_mal.c,hw_config.c}.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from particle_dev.catalog.modules import ModuleFunction, ModuleValidity
from particle_harness.boards import FIRST_WITHOUT_SETUP_DONE
from particle_harness.boot_view import (
    CHECKED,
    BootView,
    FetchedModule,
    factory_image,
    fetch_module,
    fetch_modules,
    find_bounds,
    manufacturing_system_part,
    need_is_met,
    plausible_prefix,
    required_assets,
    system_prefix,
    system_version,
    user_module,
    why_nothing_starts,
)
from particle_harness.module_reader import CRC_SIZE_BYTES, Prefix

__all__ = [
    "BootDecision",
    "BootView",
    "FetchedModule",
    "decide_boot",
    "fetch_modules",
    "need_is_met",
    "system_version",
]


@dataclass(frozen=True, slots=True)
class BootDecision:
    """Where a boot ends and why.

    ``runs``: ``dfu``; ``app``; ``safe_mode``; ``listening`` (``safe_mode`` tells whether the application is left
    out); ``hung`` (no USB, no radio); or a step that resets again: ``factory_restore``, ``ota_update``,
    ``manufacturing``, ``reset_loop``.
    """

    runs: str
    would_connect: bool
    reasons: tuple[str, ...]
    safe_mode: bool = False


def decide_boot(view: BootView) -> BootDecision:
    """Follow bootloader, system loader and network start-up to where this boot ends."""
    nothing_starts = why_nothing_starts(view)
    if nothing_starts:
        return BootDecision("hung", False, (nothing_starts,))
    if view.dfu_requested and not view.factory_reset_requested:
        return BootDecision("dfu", False, ("DFU was requested (one-shot)",))
    if view.factory_reset_requested:
        if view.hardware.is_rtl872x:
            return BootDecision("dfu", False, ("factory reset flag: this bootloader does nothing and stays",))
        if factory_image(view, check_crc=True):
            return BootDecision("factory_restore", False, ("factory reset flag, factory image is good",))
        if system_prefix(view):
            return BootDecision("factory_restore", False, ("factory reset flag, but no good factory image",))
        return BootDecision("dfu", False, ("factory reset flag, no factory image and no system part",))
    if system_prefix(view) is None:
        if view.hardware.is_rtl872x and manufacturing_system_part(view):
            return BootDecision("manufacturing", False, ("no valid system part: taken from the factory's image",))
        if view.hardware.is_gen2 and factory_image(view, check_crc=True):
            return BootDecision("reset_loop", False, ("no system part: factory image restored again and again",))
        return BootDecision("dfu", False, ("no valid system part",))
    return _system_loader(view)


def _system_loader(view: BootView) -> BootDecision:
    version = system_version(view)
    reasons: list[str] = []
    if view.hardware.is_gen2:
        for bounds in view.bounds(version):
            later_part = bounds.function == ModuleFunction.SYSTEM_PART and bounds.index > 1
            if later_part and plausible_prefix(view, view.internal, bounds.start_address) is None:
                # Part 1 jumps into part 2 unseen, and that one into part 3.
                return BootDecision("hung", False, (f"system part {bounds.index} is missing: jumped into nothing",))
    failed = _failed_module(view, version)
    reasons = [failed] if failed else []
    app: Prefix | None = None
    if not reasons:
        app, why = user_module(view, version)
        if app is None:
            if why == "erased" and factory_image(view, check_crc=False):
                good = factory_image(view, check_crc=True)
                runs = "factory_restore" if good else "reset_loop"
                return BootDecision(runs, False, ("user part is missing, factory slot holds an application",))
            reasons.append(f"user part: {why}")
    if view.safe_mode_requested:
        reasons.append("safe mode was requested")
    if not reasons:
        there = {asset.identity for asset in view.assets(version)}
        missing = [name for name, sha256 in required_assets(view, version) if (name, sha256) not in there]
        reasons += [f"asset {name!r} is missing" for name in missing]
    if view.ota_update_requested:
        return BootDecision("ota_update", False, ("a module in the OTA region waits (flag 0xA5)", *reasons))
    return _network_start(view, version, app, tuple(reasons))


def _failed_module(view: BootView, version: int) -> str | None:
    """HAL_Core_Validate_Modules(): bootloader and the part that depends on it. An Electron does not ask: its system
    brought the bootloader along."""
    if view.hardware.name == "electron":
        return None
    wanted = (
        (ModuleFunction.BOOTLOADER, 0),
        (ModuleFunction.SYSTEM_PART, view.hardware.layout.main_system_index),
    )
    for function, index in wanted:
        bounds = find_bounds(view, function, index, version)
        module = fetch_module(view, bounds, version) if bounds else None
        if module is None or not module.ok:
            missing = CHECKED & ~module.passed if module else CHECKED
            return f"{function.label} {index} fails {_names(missing)}"
    return None


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
    if view.listen_requested and _keeps_request(view):
        return "listening mode was requested for this boot"
    if view.hardware.is_gen3 and version < FIRST_WITHOUT_SETUP_DONE and not view.setup_done:
        return "setup is not done"
    if view.hardware.radio == "wifi" and not view.wifi_credentials:
        return "no Wi-Fi credentials"
    return None


def _keeps_request(view: BootView) -> bool:
    """Whether the request to listen is still there when the network starts. On Gen 3 a safe mode that was asked for
    consumes it before there is a network, which starts all the same; on Gen 2 the HAL has no register for it
    (hal/src/stm32f2xx/bkpreg_hal.c). So did Device OS 2.2.0 of a Boron and 2.1.0 of a Photon, executed."""
    return not view.hardware.is_gen2 and not (view.hardware.is_gen3 and view.safe_mode_requested)


def _app_sha256(view: BootView, app: Prefix) -> str:
    return hashlib.sha256(view.internal(app.start_address, app.length + CRC_SIZE_BYTES)).hexdigest()


def _names(flags: ModuleValidity) -> str:
    return ", ".join(flag.name.lower() for flag in ModuleValidity if flag in flags and flag.name)
