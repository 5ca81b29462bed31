"""Opening a locked board and closing an open one by a debug probe, with what was there before kept on file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from particle_dev.catalog.platforms import Platform
from particle_dev.catalog.uicr import APPROTECT_CLOSES, UICR_APPROTECT, UICR_START
from particle_dev.device.swd import Park, SwdIdentity, SwdSession
from particle_dev.errors import ChipLockedError
from particle_dev.flash.swd_archive import Archive, write_archive
from particle_dev.permissions import Effect, Permissions
from particle_dev.station.act_journal import ActJournal
from particle_dev.station.events import JsonObject

OpenBoard = Callable[[bool], AbstractContextManager[SwdSession]]
"""Opens a session with the board; the argument is whether it is **erased** to get in."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A board after it was erased. ``read_out``: file with its flash and UICR from before, None when it was locked;
    ``platform``: what its flash said before, None when it said nothing or was locked."""

    identity: SwdIdentity
    read_out: Path | None
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class Locked:
    """A board after UICR.APPROTECT was written. ``proven``: the port answered that it is closed."""

    device_id: str
    proven: bool
    left: Park


def memories(session: SwdSession, identity: SwdIdentity) -> Archive:
    """Flash and UICR, read by the probe. Raises TransportError."""
    chip = session.chip
    regions = {chip.flash_start_address: session.link.read(chip.flash_start_address, chip.flash_size_bytes)}
    if identity.uicr:
        regions[UICR_START] = identity.uicr
    return Archive(identity.device_id, chip.name, identity.platform.name if identity.platform else None, regions)


def recover(
    open_board: OpenBoard, probe: str, journal: ActJournal, read_out_folder: Path, permissions: Permissions
) -> Recovered:
    """**Erase flash and UICR**, which opens a locked chip. One that is open is read out into a file before.

    Raises PermissionMissingError without ``may_erase``, PlanRefusedError for another chip than an nRF52840,
    JournalError and FirmwareStoreError when journal or file cannot be kept, before anything is erased; TransportError.
    """
    permissions.require(Effect.ERASE, "recovering a chip (flash and UICR are erased; external flash stays)")
    device_id, file, platform = None, None, None
    before: JsonObject = {"locked": False}
    try:
        with open_board(False) as session:
            session.require_nrf52840("recover")
            identity = session.identity()
            device_id, platform = identity.device_id, identity.platform
            archive = memories(session, identity)
    except ChipLockedError as error:
        before = {"locked": True, "not_read_out": error.message}
    else:
        name = f"{device_id}-{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}.zip"
        file = read_out_folder / name
        write_archive(file, archive)
        before |= {"read_out": _file_data(file), "uicr_approtect": _approtect(identity)}
    with journal.act("recover", probe=probe, device_id=device_id, permission=Effect.ERASE, before=before) as result:
        with open_board(True) as session:
            identity = session.identity()
        result |= {"device_id": identity.device_id, "protection": str(identity.protection)}
    return Recovered(identity, file, platform)


def lock(
    open_board: OpenBoard, probe: str, journal: ActJournal, permissions: Permissions, *, prove: bool = True
) -> Locked:
    """**Close the debug port.** With ``prove`` the board is reset into DFU mode, where its access port is asked;
    without, it stays halted, and the port closes at the next reset.

    Raises PermissionMissingError without ``may_lock``, PlanRefusedError on a chip without APPROTECT, DeviceModeError
    with ``prove`` on a board that has no bootloader; JournalError; all of that before anything is written.
    TransportError.
    """
    permissions.require(Effect.LOCK, "writing UICR.APPROTECT", APPROTECT_CLOSES)
    with open_board(False) as session:
        session.require_nrf52840("lock")
        identity = session.identity()
        if prove:
            session.require_bootloader()
        before = {"uicr_approtect": _approtect(identity), "protection": str(identity.protection)}
        with journal.act(
            "lock", probe=probe, device_id=identity.device_id, permission=Effect.LOCK, before=before
        ) as result:
            session.lock(permissions)
            park = Park.DFU if prove else Park.HALTED
            _, proven = session.leave_closing(park)
            result |= {"port_closed": proven, "left": str(park)}
    return Locked(identity.device_id, proven, park)


def _approtect(identity: SwdIdentity) -> int | None:
    return identity.uicr_word(UICR_APPROTECT) if identity.uicr else None


def _file_data(file: Path) -> JsonObject:
    data = file.read_bytes()
    return {"file": str(file), "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
