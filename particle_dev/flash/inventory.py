"""What is on a board now, as its Device OS reports it or as DFU shows it."""

from __future__ import annotations

import struct

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.platforms import ModuleSlot
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DCT_ALT, INTERNAL_FLASH_ALT, DfuSession
from particle_dev.errors import DfuProtocolError, ModuleFormatError
from particle_dev.flash.board_modules import Inventory
from particle_dev.protocol import dct
from particle_dev.protocol.messages import InstalledModule
from particle_dev.protocol.module import ExtensionType, parse

__all__ = ["Inventory", "inventory_by_control", "inventory_by_dfu", "pending_updates"]

PREFIX_SIZE_BYTES = 24
CRC_SIZE_BYTES = 4
SUFFIX_BASE_SIZE_BYTES = 36
MAX_SUFFIX_SIZE_BYTES = 4096
SOFTDEVICE_FWID_ADDRESS = 0x300C
"""Source: device-os v2.1.0 hal/src/nRF52840/platform_radio_stack.cpp (FWID of Nordic's SoftDevice information
structure, 0x2000 + 0x0C behind its start at 0x1000); Device OS reports it as the radio stack's module version."""
ERASED_FWID = 0xFFFF


def inventory_by_control(session: ControlSession) -> Inventory:
    """As Device OS reports it (request MODULE_INFO)."""
    device = session.device
    return Inventory(device.device_id, device.platform, "control request 90", session.module_info())


def inventory_by_dfu(session: DfuSession) -> Inventory:
    """As the flash itself shows it: each known slot is read and its module parsed and checked."""
    platform = session.device.platform
    found: dict[tuple[int, int], InstalledModule] = {}
    for slot in platform.module_slots:
        if slot.storage != "internal_flash" or slot.function == ModuleFunction.MONO_FIRMWARE:
            continue
        start_address = _floating_start(session, slot) if slot.fixed_end else slot.start_address
        if start_address is None:
            continue
        module = _radio_stack(session) if slot.drop_module_info else _module_in_slot(session, slot, start_address)
        if module is not None and ((slot.function, slot.index) not in found or module.valid):
            found[slot.function, slot.index] = module
    return Inventory(session.device.device_id, platform, "DFU read", tuple(found.values()))


def _floating_start(session: DfuSession, slot: ModuleSlot) -> int | None:
    """Where a module starts that ends at a fixed address: its suffix has an extension for that. None without one.

    Source: device-os v6.2.0 hal/src/rtl872x/core_hal.c, dynalib/inc/module_info.h module_info_dynamic_location_ext_t.
    """
    assert slot.end_address is not None
    end = slot.end_address - CRC_SIZE_BYTES
    (suffix_size,) = struct.unpack("<H", session.read(INTERNAL_FLASH_ALT, end - 2, 2))
    if not SUFFIX_BASE_SIZE_BYTES < suffix_size <= MAX_SUFFIX_SIZE_BYTES:
        return None
    kind, _, start_address = struct.unpack("<HHI", session.read(INTERNAL_FLASH_ALT, end - suffix_size, 8))
    lowest = slot.end_address - slot.max_size_bytes
    is_there = kind == ExtensionType.DYNAMIC_LOCATION and lowest <= start_address < end
    return int(start_address) if is_there else None


def _module_in_slot(session: DfuSession, slot: ModuleSlot, start_address: int) -> InstalledModule | None:
    """The module whose prefix names this slot; with a failed INTEGRITY when its bytes are damaged."""
    prefix = session.read(INTERNAL_FLASH_ALT, start_address + slot.prefix_offset, PREFIX_SIZE_BYTES)
    module_start, module_end = struct.unpack_from("<II", prefix)
    size_bytes = module_end - module_start + 4
    if module_start != start_address or not slot.prefix_offset + PREFIX_SIZE_BYTES < size_bytes <= slot.max_size_bytes:
        return None
    try:
        module = parse(session.read(INTERNAL_FLASH_ALT, start_address, size_bytes))
    except ModuleFormatError:
        return None
    if (module.function, module.index) != (slot.function, slot.index):
        return None
    failed = ModuleValidity(0)
    if not module.crc32.ok:
        failed |= ModuleValidity.INTEGRITY
    if module.platform_id != session.device.platform.id:
        failed |= ModuleValidity.PLATFORM
    return InstalledModule(
        module.function,
        module.index,
        module.version,
        ModuleStore.MAIN,
        module.size_bytes,
        tuple((d.function, d.index, d.version) for d in module.dependencies),
        failed,
        module.sha256.stored if module.sha256 else None,
    )


def _radio_stack(session: DfuSession) -> InstalledModule | None:
    """The SoftDevice, which lies in flash without its module prefix."""
    (fwid,) = struct.unpack("<H", session.read(INTERNAL_FLASH_ALT, SOFTDEVICE_FWID_ADDRESS, 2))
    if fwid == ERASED_FWID:
        return None
    return InstalledModule(ModuleFunction.RADIO_STACK, 0, fwid, ModuleStore.MAIN, 0, (), ModuleValidity(0))


def pending_updates(session: DfuSession) -> tuple[str, ...]:
    """What the board would install by itself at its next boot, over whatever DFU writes; one sentence each.

    On STM32F2 the DCT is read by code of the system part: the answer is empty when that part does not run. Raises
    DfuProtocolError, TransportError.
    """
    try:
        table = session.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES)
    except DfuProtocolError:
        if session.device.platform.family == "stm32f2xx":
            return ()
        raise
    found = [
        f"update slot {u.slot} copies {u.size_bytes} bytes to 0x{u.destination_address:08x}"
        for u in dct.pending_updates(table)
    ]
    if dct.ota_update_pending(table):
        found.append("the module in the OTA region is marked for installation")
    return tuple(found)
