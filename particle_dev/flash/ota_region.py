"""Installing bootloader and SoftDevice of nRF52840 boards from the update area in external flash, out of DFU mode.

Neither is ever written over DFU: a half-written one may leave a board without USB. They are laid into the update area,
read back, and then *armed*; who installs them depends on how:

**By slot** (:func:`stage_in_slots`, :func:`copy_by_bootloader`). Slots 1–4 of the configuration name copies that the
bootloader carries out at the next boot outside DFU mode, **before it looks for a system part**; it runs through all
slots, the bootloader's own last, and frees each one. Then it validates the system part as ever: with the parking brake
set (see plan) there is none, and the board is in DFU mode again without one instruction of system or application. It
resets in between only for a bootloader. So a whole set needs no permission to connect.
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
- A copy that fails its checks is dropped silently: only reading back proves it (:func:`applied`).
- Compressed copies exist, but never for these two kinds (v6.2.0 ota_flash_hal.cpp validateModules).

**By flag** (:func:`stage_by_flag`). 0xA5 in the configuration lets the *running system* install what lies in its OTA
region before it sets up the network, and reset; constructors of the application have run by then, and after the reset
the application runs: that needs ``may_connect``. For boards whose bootloader knows no slots for a bootloader.
Source: device-os v1.5.2, v2.1.0, v6.2.0 system/src/main.cpp, HAL_FLASH_ApplyPendingUpdate.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isal import isal_zlib

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.ota_region import OtaRegion, ota_region, update_area
from particle_dev.catalog.platforms import Platform, UsbMode
from particle_dev.device.dfu import DCT_ALT, EXTERNAL_SECTOR_SIZE_BYTES, INTERNAL_FLASH_ALT, DfuSession
from particle_dev.device.discovery import wait_for_mode
from particle_dev.device.model import Device
from particle_dev.errors import PlanRefusedError, UpdateNotAppliedError
from particle_dev.flash.board_modules import Inventory, ModuleFile, module_title
from particle_dev.flash.execute import image_of
from particle_dev.flash.installed import is_reported, reported, title_of
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.progress import FlashEvent, ModuleStaged
from particle_dev.flash.update_area import lay_down, unequal
from particle_dev.protocol import dct
from particle_dev.transport.base import Host

__all__ = [
    "FIRST_BOOTLOADER_WITH_SLOTS",
    "Install",
    "OtaRegion",
    "applied",
    "copy_by_bootloader",
    "ota_region",
    "stage_by_flag",
    "stage_in_slots",
    "system_would_start",
    "update_area",
]

FIRST_BOOTLOADER_WITH_SLOTS = 1001
"""Device OS 2.0.0-rc.1. Earlier ones do copy, but not a bootloader, on 8 MiB parts not from above 4 MiB, and before
400 they know no prefix to drop."""
COPY_TIMEOUT_S = 60.0
_STAGED_FUNCTIONS = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)
_PICK_UP_ADDRESS = 0xD4000
"""Source: device-os v6.2.0 platform/MCU/nRF52840/inc/flash_mal.h USER_FIRMWARE_IMAGE_LOCATION_COMPAT."""
_SYSTEM_PART_ADDRESSES = (0x28000, 0x30000)
_FLASH_END = 0x100000
_VECTORS_MASK, _VECTORS, _BEHIND_VECTORS = 0x2FFC0000, 0x20000000, 0x200
_PREFIX = struct.Struct("<IIBBHHBB")


@dataclass(frozen=True, slots=True)
class Install:
    """A module that bootloader or system are to install, with the bytes of its file."""

    file: ModuleFile
    data: bytes

    @property
    def staged(self) -> bytes:
        """What lies in the update area: the module with its prefix."""
        return self.data[: self.file.module.size_bytes]

    @property
    def image(self) -> bytes:
        """What lies in internal flash, from the module's start address on, when it is installed."""
        return image_of(self.file.module, self.data)


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
    _refuse(session, [r for i in installs for r in _problems(i, platform)] + _slot_problems(session, installs))
    area = update_area(platform)
    assert area is not None
    copies = _copies(installs, area)
    table = session.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES)
    _refuse(session, _foreign(table, copies))

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
        if not applied(session, installs):
            return device
        if system_would_start(session):
            reason = "a system part would start and the application with it, which may connect"
            _refuse(session, [reason], hint="set the parking brake first: erase the sector at 0x00030000")
        session.leave()
    back = wait_for_mode(host, device, UsbMode.DFU, timeout_s)
    with DfuSession(host, back) as session:
        missing = applied(session, installs)
    if missing:
        raise UpdateNotAppliedError(
            f"{device.device_id}: the bootloader did not install everything: " + "; ".join(missing),
            expected=", ".join(i.file.title for i in installs),
            actual="; ".join(missing),
            hint="stage it again; a module that the bootloader refuses twice is for another board or damaged",
        )
    return back


def stage_by_flag(session: DfuSession, install: Install, device_os: str | None = None) -> Iterator[FlashEvent]:
    """Lay one module into the OTA region and set the flag by which the **running system installs it at its next boot**,
    before it sets up the network. After that the application runs: leaving DFU mode needs ``may_connect``.

    ``device_os`` is the release whose system part will run then; None asks the flash. What lies there already is not
    written again. Raises as :func:`stage_in_slots`, and PlanRefusedError when no system part can run, or when its
    release or OTA region is not known.
    """
    platform = session.device.platform
    table = session.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES) if update_area(platform) else b""
    reasons = _problems(install, platform)
    if not reasons and not system_would_start(session):
        reasons.append("no system part would start and install it: use the slots")
    _refuse(session, reasons or [_pending_title(u) for u in dct.pending_updates(table)])
    release = device_os or inventory_by_dfu(session).device_os
    region = ota_region(platform, release) if release else None
    if region is None:
        _refuse(session, [f"where Device OS {release or 'of that version'} looks for updates is not known"])
    assert region is not None
    if len(install.staged) > region.safe_size_bytes:
        _refuse(session, [f"{install.file.title} is larger than the {region.safe_size_bytes} bytes of the OTA region"])
    if unequal_in_flash(session, install) is None:
        return
    pending = dct.ota_update_pending(table)
    if pending and unequal(session, region.dfu_alt, region.dfu_address, install.staged) is not None:
        _refuse(session, ["another module waits in the OTA region"], hint="let the board install it first")
    size_bytes = len(install.staged)
    yield from lay_down(session, region.dfu_alt, region.dfu_address, install.file, install.staged, 0, size_bytes)
    if not pending:
        session.write_dct(dct.OTA_UPDATE_FLAG_OFFSET, bytes([dct.OTA_UPDATE_PENDING]))
        if session.read(DCT_ALT, dct.OTA_UPDATE_FLAG_OFFSET, 1) != bytes([dct.OTA_UPDATE_PENDING]):
            raise _not_written("flag for the OTA region")
    yield ModuleStaged(install.file.file_name, None, region.flash_address, size_bytes)


def applied(where: DfuSession | Inventory, installs: Sequence[Install]) -> tuple[str, ...]:
    """What is missing until all of ``installs`` are proven, one sentence each; empty when they are.

    Over DFU: every byte at its place in internal flash, no slot and no flag armed. By an inventory: the version and,
    where the device tells it, the SHA-256.
    """
    if isinstance(where, Inventory):
        return tuple(
            f"{i.file.title} was to be installed, the device reports {title_of(reported(i.file, where.modules))}"
            for i in installs
            if not is_reported(i.file, where.modules)
        )
    missing = []
    for install in installs:
        address = unequal_in_flash(where, install)
        if address is not None:
            missing.append(f"{install.file.title} is not in its place: flash differs at 0x{address:08x}")
    table = where.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES)
    missing += [_pending_title(u) for u in dct.pending_updates(table)]
    if dct.ota_update_pending(table):
        missing.append("the module in the OTA region still waits for installation")
    return tuple(missing)


def unequal_in_flash(session: DfuSession, install: Install) -> int | None:
    """The first address at which internal flash differs from the installed module, None when nothing does."""
    return unequal(session, INTERNAL_FLASH_ALT, install.file.module.start_address, install.image)


def system_would_start(session: DfuSession) -> bool:
    """Whether a boot outside DFU mode would find a system part, by the rules of nRF52840 bootloaders. Both places are
    asked, though older bootloaders know only the second one.

    Source: device-os v6.2.0 bootloader/src/nRF52840/dfu_usb.c is_application_valid,
    platform/MCU/nRF52840/src/flash_mal.c FLASH_ModuleInfo, FLASH_isUserModuleInfoValid.
    """
    return any(_startable(session, address) for address in _SYSTEM_PART_ADDRESSES)


def _startable(session: DfuSession, address: int) -> bool:
    head = session.read(INTERNAL_FLASH_ALT, address, _BEHIND_VECTORS + _PREFIX.size)
    vectors = int.from_bytes(head[:4], "little") & _VECTORS_MASK == _VECTORS
    start, end, _mcu, _flags, _version, platform_id, *_ = _PREFIX.unpack_from(head, _BEHIND_VECTORS if vectors else 0)
    if start != address or not start < end <= _FLASH_END - 4 or platform_id != session.device.platform.id:
        return False
    data = session.read(INTERNAL_FLASH_ALT, start, end - start + 4)
    return isal_zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "big")


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
            _PICK_UP_ADDRESS if is_bootloader else module.start_address,
            module.size_bytes,
            module.function,
            dct.SlotFlag.VERIFY_CRC | dct.SlotFlag.VERIFY_DESTINATION | dct.SlotFlag.VERIFY_FUNCTION | drops,
        )
        address += _whole_sectors(len(install.staged))
    return copies


def _whole_sectors(size_bytes: int) -> int:
    return -(-size_bytes // EXTERNAL_SECTOR_SIZE_BYTES) * EXTERNAL_SECTOR_SIZE_BYTES


def _problems(install: Install, platform: Platform) -> list[str]:
    module, title = install.file.module, install.file.title
    if update_area(platform) is None:
        return [f"{platform.display_name} has no update area that can be used out of DFU mode"]
    reasons = [f"{install.file.file_name} at offset {p.offset}: {p.message}" for p in module.problems]
    if module.platform_id != platform.id:
        reasons.append(f"{title} is for platform {module.platform_id}, the board is platform {platform.id}")
    if module.function not in _STAGED_FUNCTIONS:
        reasons.append(f"{title} is not installed this way: write it over DFU, or by control update")
    elif all(s.start_address != module.start_address for s in platform.module_slots if s.function == module.function):
        reasons.append(f"{title} starts at 0x{module.start_address:08x}, where the board has no place for it")
    if module.flags & (ModuleFlag.COMPRESSED | ModuleFlag.COMBINED | ModuleFlag.ENCRYPTED):
        reasons.append(f"{title} is compressed, combined or encrypted; the bootloader needs it plain")
    return reasons


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
    prefix = session.read(INTERNAL_FLASH_ALT, slot.start_address + slot.prefix_offset, _PREFIX.size)
    start, _end, _mcu, _flags, version, platform_id, function, _index = _PREFIX.unpack(prefix)
    known = (start, platform_id, function) == (slot.start_address, platform.id, ModuleFunction.BOOTLOADER)
    return int(version) if known else None


def _foreign(table: bytes, copies: dict[int, dct.ModuleCopy]) -> list[str]:
    reasons = [
        f"{_pending_title(update)}, which somebody else arranged"
        for update in dct.pending_updates(table)
        if update.slot not in copies or dct.slot_bytes(table, update.slot) != copies[update.slot].encode()[:-2]
    ]
    if dct.ota_update_pending(table):
        reasons.append("the module in the OTA region waits for installation by the system")
    return reasons


def _pending_title(update: dct.PendingUpdate) -> str:
    return f"update slot {update.slot} copies {update.size_bytes} bytes to 0x{update.destination_address:08x}"


def _arm(session: DfuSession, slot: int, copy: dct.ModuleCopy) -> None:
    offset, data, magic = dct.slot_offset(slot), copy.encode(), dct.MAGIC_SIZE_BYTES
    session.write_dct(offset + magic, data[magic:])
    if session.read(DCT_ALT, offset + magic, len(data) - magic) != data[magic:]:
        raise _not_written(f"update slot {slot}")
    session.write_dct(offset, data[:magic])
    if session.read(DCT_ALT, offset, magic) != data[:magic]:
        raise _not_written(f"update slot {slot}")


def _not_written(what: str) -> UpdateNotAppliedError:
    return UpdateNotAppliedError(
        f"the configuration did not take the {what}",
        expected=what,
        actual="reads back otherwise",
        hint="run again; a board that fails twice has a damaged file system in external flash",
    )


def _refuse(session: DfuSession, reasons: Sequence[str], hint: str = "") -> None:
    if reasons:
        raise PlanRefusedError(
            f"{session.device.platform.display_name} {session.device.device_id}: nothing was staged: "
            + "; ".join(reasons),
            reasons=reasons,
            hint=hint or "install it by control update, or over a debug probe",
        )
