"""Bootloader and SoftDevice of nRF52840 boards, copied to their places by the bootloader, out of DFU mode.

Neither is ever written over DFU: a half-written one may leave a board without USB. They are laid into the update area
of external flash, read back, and then *armed*: slots 1–4 of the configuration name copies that the bootloader carries
out at the next boot outside DFU mode, **before it looks for a system part**; it runs through all slots, the
bootloader's own last, and frees each one. Then it validates the system part as ever: with the parking brake set (see
plan) there is none, and the board is in DFU mode again without one instruction of system or application. It resets in
between only for a bootloader. So a whole set needs no permission to connect.

Source: device-os v2.1.0, v3.3.1, v5.9.0, v6.2.0 bootloader/src/main.c (FLASH_UpdateModules stands in the branch without
a DFU request, before is_application_valid; RESET_PENDING resets), platform/MCU/nRF52840/src/flash_mal.c
FLASH_UpdateModules, FLASH_CopyMemory. Tried with the Boron's real bootloaders 1005 and 1006 executed on an emulated
nRF52840, driven by this module: SoftDevice and successor arrived, a spoilt copy did not, the application's flash was as
before, USB showed DFU mode again. The master boot record's own part, and real boards, remain untried.

- Any destination in internal flash is taken and only the module's own prefix is asked (flags: CRC, destination,
  function, platform); dependencies are not. Therefore :func:`stage_in_slots` takes nothing but the two kinds.
- The flag that drops the prefix is obeyed for a SoftDevice, whose first 24 bytes must not land at 0x1000.
- A bootloader is copied to 0xD4000, from where Nordic's master boot record takes it over, resuming after a power loss;
  what lay there is kept in external flash and put back at the next boot through a slot of its own. Bootloaders before
  1001 (2.0.0-rc.1) cannot: hal/src/nRF52840/ota_flash_hal.cpp BOOTLOADER_MBR_UPDATE_MIN_VERSION.
- A copy that fails its checks is dropped silently: only reading back proves it (:func:`not_applied`).
- Compressed copies exist, but never for these two kinds (v6.2.0 ota_flash_hal.cpp validateModules).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from particle_dev.catalog.gen3_nrf52840 import BOOTLOADER_PICK_UP_ADDRESS
from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.ota_region import FIRST_BOOTLOADER_WITH_SLOTS, OtaRegion, update_area
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.dfu import DCT_ALT, EXTERNAL_SECTOR_SIZE_BYTES, INTERNAL_FLASH_ALT, DfuSession
from particle_dev.device.discovery import wait_for_mode
from particle_dev.device.model import Device
from particle_dev.errors import UpdateNotAppliedError
from particle_dev.flash.board_modules import module_title
from particle_dev.flash.progress import FlashEvent, ModuleStaged
from particle_dev.flash.update_area import (
    Install,
    install_problems,
    lay_down,
    not_written,
    refuse_staging,
    unequal,
    unequal_in_flash,
)
from particle_dev.protocol import dct
from particle_dev.protocol.module_prefix import PREFIX_SIZE_BYTES, read_prefix
from particle_dev.transport.base import Host

COPY_TIMEOUT_S = 60.0


def stage_in_slots(session: DfuSession, installs: Sequence[Install]) -> Iterator[FlashEvent]:
    """Lay modules into the update area, read them back, arm one slot each. The **next boot outside DFU mode installs
    them**; nothing is installed yet.

    What is installed already is left out; what lies there already is not written again, so the same call continues
    after an unplug. No slot is ever armed for bytes that were not proven, and its magic number is written last.

    Raises PlanRefusedError before anything is written: not an nRF52840 board, a damaged module or one of another
    platform or kind, a bootloader that knows no slots, too many or too large, slots or flag that somebody else armed.
    Raises VerifyError, DfuProtocolError, TransportError.
    """
    platform = session.device.platform
    problems = [problem for install in installs for problem in install_problems(install, platform)]
    refuse_staging(session, problems + _slot_problems(session, installs))
    area = update_area(platform)
    assert area is not None
    copies = _copies(installs, area)
    table = session.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES)
    refuse_staging(session, _foreign(table, copies))

    armed = {update.slot for update in dct.pending_updates(table)}
    todo = [(slot, i) for slot, i in enumerate(installs, 1) if unequal_in_flash(session, i) is not None]
    total_bytes = sum(len(i.staged) for _, i in todo)
    done_bytes = 0
    for slot, install in todo:
        address = area.dfu_address - area.flash_address + copies[slot].source_address
        if slot in armed and unequal(session, area.dfu_alt, address, install.staged) is not None:
            # Nothing that is armed may be under work.
            session.write_dct(dct.slot_offset(slot), dct.MODULE_SLOT_FREE.to_bytes(dct.MAGIC_SIZE_BYTES, "little"))
            armed.remove(slot)
        yield from lay_down(session, area.dfu_alt, address, install.file, install.staged, done_bytes, total_bytes)
        done_bytes += len(install.staged)
    for slot, install in todo:
        if slot not in armed:
            _arm(session, slot, copies[slot])
        yield ModuleStaged(install.file.file_name, slot, copies[slot].source_address, len(install.staged))


def copy_by_bootloader(
    host: Host, device: Device, installs: Sequence[Install], timeout_s: float = COPY_TIMEOUT_S
) -> Device:
    """Let the bootloader install what :func:`stage_in_slots` armed, and prove it. Returns the board, again in DFU mode.

    **Refused unless the bootloader finds no system part to start**: then nothing but the bootloader runs, nothing can
    connect, and no permission is needed. A board that has everything already is not reset.

    Raises PlanRefusedError when a system part would start, UpdateNotAppliedError when a module is not in its place
    afterwards, DeviceModeError when the board does not come back in DFU mode, WrongDeviceError, TransportError.
    """
    with DfuSession(host, device) as session:
        if not not_applied(session, installs):
            return device
        session.boot_with_brake_set()
    back = wait_for_mode(host, device, UsbMode.DFU, timeout_s)
    with DfuSession(host, back) as session:
        missing = not_applied(session, installs)
    if missing:
        raise UpdateNotAppliedError(
            f"{device.device_id}: the bootloader did not install everything: " + "; ".join(missing),
            expected=", ".join(i.file.title for i in installs),
            actual="; ".join(missing),
            hint="stage it again; a module that the bootloader refuses twice is for another board or damaged",
        )
    return back


def not_applied(session: DfuSession, installs: Sequence[Install]) -> tuple[str, ...]:
    """What is missing until every byte of ``installs`` is at its place in internal flash and no slot and no flag is
    armed, one sentence each; empty when nothing is."""
    missing = []
    for install in installs:
        address = unequal_in_flash(session, install)
        if address is not None:
            missing.append(f"{install.file.title} is not in its place: flash differs at 0x{address:08x}")
    return (*missing, *dct.pending_titles(session.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES)))


def _copies(installs: Sequence[Install], area: OtaRegion) -> dict[int, dct.ModuleCopy]:
    """By slot. Place and slot follow from the position in ``installs``, so a repeated call recognises its own."""
    copies = {}
    address = area.flash_address
    for slot, install in enumerate(installs, 1):
        module = install.file.module
        is_bootloader = module.function == ModuleFunction.BOOTLOADER
        drops = dct.SlotFlag.DROP_MODULE_INFO if module.flags & ModuleFlag.DROP_MODULE_INFO else dct.SlotFlag(0)
        copies[slot] = dct.ModuleCopy(
            address,
            BOOTLOADER_PICK_UP_ADDRESS if is_bootloader else module.start_address,
            module.size_bytes,
            module.function,
            dct.SlotFlag.VERIFY_CRC | dct.SlotFlag.VERIFY_DESTINATION | dct.SlotFlag.VERIFY_FUNCTION | drops,
        )
        address += _whole_sectors(len(install.staged))
    return copies


def _whole_sectors(size_bytes: int) -> int:
    return -(-size_bytes // EXTERNAL_SECTOR_SIZE_BYTES) * EXTERNAL_SECTOR_SIZE_BYTES


def _slot_problems(session: DfuSession, installs: Sequence[Install]) -> list[str]:
    area = update_area(session.device.platform)
    if area is None:
        return []
    reasons = []
    version = _bootloader_version(session)
    if version is None or version < FIRST_BOOTLOADER_WITH_SLOTS:
        has = (
            "no bootloader that can be read" if version is None else module_title(ModuleFunction.BOOTLOADER, 0, version)
        )
        reasons.append(f"the board has {has}; slots need v{FIRST_BOOTLOADER_WITH_SLOTS}: install one by control update")
    if len(installs) >= dct.MODULE_SLOT_COUNT:
        reasons.append(f"{len(installs)} modules are more than the {dct.MODULE_SLOT_COUNT - 1} slots")
    needed = sum(_whole_sectors(len(i.staged)) for i in installs)
    if needed > area.safe_size_bytes:
        reasons.append(f"the modules take {needed} bytes, the update area has {area.safe_size_bytes}")
    return reasons


def _bootloader_version(session: DfuSession) -> int | None:
    """Version of the bootloader in its slot; None when that shows none of this platform."""
    platform = session.device.platform
    slot = platform.slot_for(ModuleFunction.BOOTLOADER, 0)
    if slot is None or slot.start_address is None:
        return None
    data = session.read(INTERNAL_FLASH_ALT, slot.start_address + slot.prefix_offset, PREFIX_SIZE_BYTES)
    prefix = read_prefix(data, start_address=slot.start_address, max_size_bytes=slot.max_size_bytes)
    if prefix is None or (prefix.platform_id, prefix.function) != (platform.id, ModuleFunction.BOOTLOADER):
        return None
    return prefix.version


def _foreign(table: bytes, copies: dict[int, dct.ModuleCopy]) -> list[str]:
    reasons = [
        f"{update.title}, which somebody else arranged"
        for update in dct.pending_updates(table)
        if update.slot not in copies or dct.slot_bytes(table, update.slot) != copies[update.slot].encode()[:-2]
    ]
    if dct.ota_update_pending(table):
        reasons.append(dct.OTA_UPDATE_TITLE)
    return reasons


def _arm(session: DfuSession, slot: int, copy: dct.ModuleCopy) -> None:
    offset, data, magic = dct.slot_offset(slot), copy.encode(), dct.MAGIC_SIZE_BYTES
    session.write_dct(offset + magic, data[magic:])
    if session.read(DCT_ALT, offset + magic, len(data) - magic) != data[magic:]:
        raise not_written(f"update slot {slot}")
    session.write_dct(offset, data[:magic])
    if session.read(DCT_ALT, offset, magic) != data[:magic]:
        raise not_written(f"update slot {slot}")
