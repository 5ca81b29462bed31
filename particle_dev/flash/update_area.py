"""The update area of external flash, into which a module is laid for bootloader or Device OS to install it.

What may lie there, and its bytes compared, erased, written, read back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from particle_dev.catalog.modules import COPIED_BY_BOOTLOADER, ModuleFlag
from particle_dev.catalog.ota_region import update_area
from particle_dev.catalog.platforms import Platform
from particle_dev.device.dfu import EXTERNAL_SECTOR_SIZE_BYTES, INTERNAL_FLASH_ALT, DfuSession
from particle_dev.errors import PlanRefusedError, UpdateNotAppliedError, VerifyError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.execute import image_of
from particle_dev.flash.progress import BlockWritten, FlashEvent, ModuleCompared, ModuleVerified, SectorErased


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


def install_problems(install: Install, platform: Platform) -> list[str]:
    """Why a module is not laid into the update area of that platform, one sentence each."""
    module, title = install.file.module, install.file.title
    if update_area(platform) is None:
        return [f"{platform.display_name} has no update area that can be used out of DFU mode"]
    reasons = [f"{install.file.file_name} at offset {p.offset}: {p.message}" for p in module.problems]
    if module.platform_id != platform.id:
        reasons.append(f"{title} is for platform {module.platform_id}, the board is platform {platform.id}")
    if module.function not in COPIED_BY_BOOTLOADER:
        reasons.append(f"{title} is not installed this way: write it over DFU, or by control update")
    elif all(s.start_address != module.start_address for s in platform.module_slots if s.function == module.function):
        reasons.append(f"{title} starts at 0x{module.start_address:08x}, where the board has no place for it")
    if module.flags & (ModuleFlag.COMPRESSED | ModuleFlag.COMBINED | ModuleFlag.ENCRYPTED):
        reasons.append(f"{title} is compressed, combined or encrypted; the bootloader needs it plain")
    return reasons


def lay_down(
    session: DfuSession,
    alt: int,
    address: int,
    file: ModuleFile,
    data: bytes,
    done_bytes: int,
    total_bytes: int,
) -> Iterator[FlashEvent]:
    """Make external flash from ``address`` (where a sector starts) on equal to ``data``, and prove it. What is right
    stays.

    ``done_bytes`` of ``total_bytes`` are those of modules before this one. Raises FlashRangeError, VerifyError,
    DfuProtocolError, TransportError.
    """
    size_bytes = EXTERNAL_SECTOR_SIZE_BYTES
    actual = session.read(alt, address, len(data))
    wrong = [o for o in range(0, len(data), size_bytes) if actual[o : o + size_bytes] != data[o : o + size_bytes]]
    wrong_bytes = sum(len(data[o : o + size_bytes]) for o in wrong)
    yield ModuleCompared(file.file_name, len(data), len(data) - wrong_bytes)
    for offset in wrong:
        block, found = data[offset : offset + size_bytes], actual[offset : offset + size_bytes]
        if found.count(0xFF) != len(found):
            session.erase_external(address + offset)
            yield SectorErased(address + offset, size_bytes)
        session.write_external(address + offset, block)
        yield BlockWritten(file.file_name, len(block), done_bytes + offset + len(block), total_bytes)
    wrong_at = unequal(session, alt, address, data)
    if wrong_at is not None:
        raise VerifyError(
            f"{file.file_name}: external flash at 0x{wrong_at:08x} does not hold what was written",
            address=wrong_at,
            expected=data[wrong_at - address],
            actual=session.read(alt, wrong_at, 1)[0],
            hint="run again to erase and write that sector anew; a board that fails twice has a flash defect",
        )
    yield ModuleVerified(
        file.file_name, address, len(data), hashlib.sha256(data).hexdigest(), done_bytes + len(data), total_bytes
    )


def unequal(session: DfuSession, alt: int, address: int, wanted: bytes) -> int | None:
    """The first address at which a memory differs from ``wanted``, None when nothing does."""
    actual = session.read(alt, address, len(wanted))
    if actual == wanted:
        return None
    return address + next(n for n, (a, b) in enumerate(zip(actual, wanted, strict=True)) if a != b)


def unequal_in_flash(session: DfuSession, install: Install) -> int | None:
    """The first address at which internal flash differs from the installed module, None when nothing does."""
    return unequal(session, INTERNAL_FLASH_ALT, install.file.module.start_address, install.image)


def prove_in_flash(session: DfuSession, install: Install) -> str:
    """SHA-256 of the installed module as it was read back. Raises VerifyError when a byte differs."""
    address = unequal_in_flash(session, install)
    if address is None:
        return hashlib.sha256(install.image).hexdigest()
    expected = install.image[address - install.file.module.start_address]
    actual = session.read(INTERNAL_FLASH_ALT, address, 1)[0]
    raise VerifyError(
        f"{install.file.file_name}: flash at 0x{address:08x} reads 0x{actual:02x} instead of 0x{expected:02x}",
        address=address,
        expected=expected,
        actual=actual,
        hint="run again: the bootloader copies it anew; a board that fails twice has a flash defect",
    )


def refuse_staging(session: DfuSession, reasons: Sequence[str]) -> None:
    """Raise PlanRefusedError when there are reasons; nothing was written yet."""
    if reasons:
        raise PlanRefusedError(
            f"{session.device.platform.display_name} {session.device.device_id}: nothing was staged: "
            + "; ".join(reasons),
            reasons=reasons,
            hint="install it by control update, or over a debug probe",
        )


def not_written(what: str) -> UpdateNotAppliedError:
    """The error for bytes of the configuration that read back otherwise."""
    return UpdateNotAppliedError(
        f"the configuration did not take the {what}",
        expected=what,
        actual="reads back otherwise",
        hint="run again; a board that fails twice has a damaged file system in external flash",
    )
