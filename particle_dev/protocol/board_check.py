"""What a board's Device OS says to a module, check by check; the rules are in ``firmware/module`` (pd_module_check).

Nothing is sent to a board. Source: device-os v6.2.0 ``hal/src/nRF52840/ota_module.cpp``, ``ota_flash_hal.cpp``,
``system/src/asset_manager.cpp``.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from isal import isal_zlib

from particle_dev._native import ffi, lib
from particle_dev.catalog.model import ModuleSlot, Platform
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.protocol.module import Problem


class BoardCheck(IntFlag):
    """Bits of :class:`BoardVerdict`; those below 0x100 are Device OS's own."""

    INTEGRITY = 0x02
    DEPENDENCIES = 0x04
    RANGE = 0x08
    PLATFORM = 0x10
    DEPENDENCIES_FULL = 0x40
    SIZE = 0x100
    FORMAT = 0x200
    PROTECTION = 0x400
    ASSET = 0x800
    ADDRESS = 0x1000
    """All bytes lie in the slot. No device checks more than the end address; this one is for people."""


class BoardModule(NamedTuple):
    """A module that the board has now. ``function`` may be one that this program does not know."""

    function: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    version: int
    dependencies: tuple[tuple[int, int, int], ...] = ()
    """Function, index and least version of what it needs."""
    start_address: int = 0


class Board(NamedTuple):
    """Platform, places and modules. ``is_update``: the rules for a module that arrives, which do not look at the
    dependencies of an application; else those at start-up, which decide on safe mode. ``is_protected``: protected or
    service mode. ``update_max_size_bytes`` 0: no limit.
    """

    platform_id: int
    slots: tuple[ModuleSlot, ...]
    modules: tuple[BoardModule, ...] = ()
    is_update: bool = True
    is_protected: bool = False
    update_max_size_bytes: int = 0


class BoardVerdict(NamedTuple):
    """``passed == checked``: the board takes it. ``problem`` is the failure it would name, ``device_result`` its error
    code (0 when the device does not notice).
    """

    checked: BoardCheck
    passed: BoardCheck
    problem: Problem | None
    device_result: int


def slots_at(platform: Platform, device_os: str) -> tuple[ModuleSlot, ...]:
    """The module slots of a platform under one Device OS release, for :class:`Board`."""
    kinds = dict.fromkeys((slot.function, slot.index) for slot in platform.module_slots)
    found = (platform.slot_for(function, index, device_os) for function, index in kinds)
    return tuple(slot for slot in found if slot)


def check_on_board(data: bytes, board: Board) -> BoardVerdict | None:
    """What the board would say to the module in ``data``; None when that is no module (``parse`` tells why)."""
    source = ffi.new("pd_source *", (ffi.from_buffer("uint8_t[]", data), len(data)))
    module = ffi.new("pd_module *")
    # The first candidate, right CRC or not: a device looks for the prefix in one place.
    if lib.pd_module_next_candidate(source, ffi.new("unsigned *"), module) != lib.PD_OK:
        return None
    module.crc_computed = isal_zlib.crc32(memoryview(data)[: module.crc_offset])
    slots = ffi.new("pd_slot[]", [_slot(slot) for slot in board.slots])
    modules = ffi.new("pd_installed[]", [_installed(module) for module in board.modules])
    ncp_targets = (slot.mcu_target for slot in board.slots if slot.function == ModuleFunction.NCP_FIRMWARE)
    native = ffi.new(
        "pd_board *",
        {
            "platform_id": board.platform_id,
            "ncp_target": next(ncp_targets, 0),
            "is_update": board.is_update,
            "is_protected": board.is_protected,
            "update_max_size": board.update_max_size_bytes,
            "slots": slots,
            "slot_count": len(slots),
            "modules": modules,
            "module_count": len(modules),
        },
    )
    report = ffi.new("pd_report *")
    lib.pd_module_check(source, ffi.NULL, module, native, report)
    problem = None
    if report.status != lib.PD_OK:
        name, text = (ffi.string(f(report.status)).decode() for f in (lib.pd_status_name, lib.pd_status_text))
        problem = Problem(name, report.offset, text)
    return BoardVerdict(BoardCheck(report.checked), BoardCheck(report.passed), problem, report.device_result)


def _slot(slot: ModuleSlot) -> dict[str, int]:
    end = slot.end_address if slot.end_address is not None else (slot.start_address or 0) + slot.max_size_bytes
    start = slot.start_address if slot.start_address is not None else end - slot.max_size_bytes
    return {
        "function": slot.function,
        "index": slot.index,
        "mcu_target": slot.mcu_target,
        "has_fixed_end": slot.fixed_end,
        "start_address": start,
        "end_address": end,
        "max_size": slot.max_size_bytes,
    }


def _installed(module: BoardModule) -> dict[str, object]:
    return {
        "function": module.function,
        "index": module.index,
        "version": module.version,
        "start_address": module.start_address,
        "dependencies": list(module.dependencies),
    }
