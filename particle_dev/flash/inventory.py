"""What is on a board now, as its Device OS reports it or as DFU shows it."""

from __future__ import annotations

import struct

from particle_dev.catalog.gen3_nrf52840 import SOFTDEVICE_FWID_ADDRESS
from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.platforms import ModuleSlot, UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DCT_ALT, INTERNAL_FLASH_ALT, DfuSession
from particle_dev.device.model import Device
from particle_dev.errors import DfuProtocolError, ModuleFormatError, PlanRefusedError, RequestRefusedError
from particle_dev.flash.board_modules import NO_ASSETS_IN_DFU, Inventory
from particle_dev.protocol import dct
from particle_dev.protocol.messages import AssetInfo, InstalledModule
from particle_dev.protocol.module import ExtensionType, parse
from particle_dev.protocol.module_prefix import CRC_SIZE_BYTES, PREFIX_SIZE_BYTES, SUFFIX_BASE_SIZE_BYTES, read_prefix
from particle_dev.transport.base import Host

_MAX_SUFFIX_SIZE_BYTES = 4096
_ERASED_FWID = 0xFFFF
_NOT_SUPPORTED = -120
"""Also the code of a request that was not sent, because the Device OS of the board does not know it."""


START_ONCE = (
    "let it start once, which carries that out (`particle-dev mode normal --may-connect`), then run the same again"
)
"""How an update that waits in a board is got out of the way: by what its bootloader or Device OS then does."""
DFU_READ = "DFU read"
"""How an inventory was read that the flash itself shows."""


def read_inventory(host: Host, device: Device) -> Inventory:
    """What is on a board in whatever mode it is: asked of its Device OS, or read from its flash in DFU mode. Changes
    nothing. Raises TransportError, RequestRefusedError, ProtocolError."""
    if device.mode is UsbMode.DFU:
        with DfuSession(host, device) as dfu:
            return inventory_by_dfu(dfu)
    with ControlSession(host, device) as control:
        return inventory_by_control(control)


def read_assets(host: Host, device: Device) -> tuple[AssetInfo | None, str]:
    """What is in the asset storage of a board; None, and why, in DFU mode and for a Device OS that knows no assets.

    Raises TransportError, ProtocolError, RequestRefusedError for any other refusal, such as a protected board's.
    """
    if device.mode is UsbMode.DFU:
        return None, NO_ASSETS_IN_DFU
    with ControlSession(host, device) as session:
        try:
            return session.asset_info(), ""
        except RequestRefusedError as error:
            if error.result_code != _NOT_SUPPORTED:
                raise
            return None, error.message


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
    return Inventory(session.device.device_id, platform, DFU_READ, tuple(found.values()))


def _floating_start(session: DfuSession, slot: ModuleSlot) -> int | None:
    """Where a module starts that ends at a fixed address: its suffix has an extension for that. None without one.

    Source: device-os v6.2.0 hal/src/rtl872x/core_hal.c, dynalib/inc/module_info.h module_info_dynamic_location_ext_t.
    """
    assert slot.end_address is not None
    end = slot.end_address - CRC_SIZE_BYTES
    (suffix_size,) = struct.unpack("<H", session.read(INTERNAL_FLASH_ALT, end - 2, 2))
    if not SUFFIX_BASE_SIZE_BYTES < suffix_size <= _MAX_SUFFIX_SIZE_BYTES:
        return None
    kind, _, start_address = struct.unpack("<HHI", session.read(INTERNAL_FLASH_ALT, end - suffix_size, 8))
    lowest = slot.end_address - slot.max_size_bytes
    is_there = kind == ExtensionType.DYNAMIC_LOCATION and lowest <= start_address < end
    return int(start_address) if is_there else None


def _module_in_slot(session: DfuSession, slot: ModuleSlot, start_address: int) -> InstalledModule | None:
    """The module whose prefix names this slot; with a failed INTEGRITY when its bytes are damaged."""
    data = session.read(INTERNAL_FLASH_ALT, start_address + slot.prefix_offset, PREFIX_SIZE_BYTES)
    prefix = read_prefix(data, start_address=start_address, max_size_bytes=slot.max_size_bytes)
    if prefix is None:
        return None
    try:
        module = parse(session.read(INTERNAL_FLASH_ALT, start_address, prefix.size_bytes))
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
    if fwid == _ERASED_FWID:
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
    return dct.pending_titles(table)


def has_no_system(session: DfuSession) -> bool:
    """Whether no prefix in flash names a system part to start, and nothing that could bring one waits: a boot then ends
    in DFU mode again. Cheap: of modules nothing but prefixes is read. False for a protected board, whose flash does not
    show, and where a damaged part lies. Raises DfuProtocolError, TransportError.

    What DFU cannot read of an STM32F2's configuration without a system part, its bootloader does not carry out either.
    Source: a Photon's, executed (DECISIONS.md, 120).
    """
    if any(memory.protected for memory in session.memories.values()):
        return False
    for slot in session.device.platform.module_slots:
        starts = (slot.function, slot.index) == (ModuleFunction.SYSTEM_PART, 1)
        if slot.storage != "internal_flash" or not (starts or slot.function == ModuleFunction.MONO_FIRMWARE):
            continue
        start_address = _floating_start(session, slot) if slot.fixed_end else slot.start_address
        if start_address is None:
            continue
        data = session.read(INTERNAL_FLASH_ALT, start_address + slot.prefix_offset, PREFIX_SIZE_BYTES)
        if read_prefix(data, start_address=start_address, max_size_bytes=slot.max_size_bytes) is not None:
            return False
    return not pending_updates(session)


def refuse_unwritable(session: DfuSession) -> None:
    """Raise PlanRefusedError when the board is protected, or would install an update that somebody else armed over what
    is written now. Raises DfuProtocolError, TransportError."""
    refuse_protected(session)
    pending = pending_updates(session)
    if pending:
        raise PlanRefusedError(
            f"{session.device} would install by itself: {'; '.join(pending)}",
            reasons=pending,
            hint=f"nothing was erased; {START_ONCE}",
        )


def refuse_protected(session: DfuSession) -> None:
    """Raise PlanRefusedError when the board is protected."""
    if any(memory.protected for memory in session.memories.values()):
        reason = "the board is protected: its bootloader writes nothing over DFU"
        raise PlanRefusedError(
            f"{session.device}: {reason}",
            reasons=[reason],
            hint="nothing was erased; the cloud account that owns it can open it",
        )
