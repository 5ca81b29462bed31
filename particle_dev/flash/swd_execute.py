"""Carries out a plan through a debug probe in one pass, and proves it by the chip's own CRC."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from isal import isal_zlib

from particle_dev.device.swd import SwdSession
from particle_dev.errors import VerifyError, WrongDeviceError
from particle_dev.flash.progress import BlockWritten, BrakeSet, SectorErased
from particle_dev.flash.swd_image import PAGE_SIZE_BYTES
from particle_dev.flash.swd_plan import Method, SwdPlan
from particle_dev.permissions import Permissions

_WORD_BYTES = 4
Progress = Callable[[float], None]
SaveBackup = Callable[[Mapping[int, bytes]], str]
"""Keeps pages that are about to be erased, by address, where the next run finds them; returns where that is."""


@dataclass(frozen=True, slots=True)
class BackupTaken:
    """Pages that are erased in passing lie in ``where`` until they are written again; ``sha256`` is of all of them."""

    where: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ChangesBegin:
    """Nothing was erased or written before; from here on something may be, even if no other event says so."""


@dataclass(frozen=True, slots=True)
class FlashErased:
    """The whole flash and UICR were erased in one act."""


@dataclass(frozen=True, slots=True)
class UicrWritten:
    """These words of UICR were written."""

    words: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class PieceProven:
    """A piece of the set is in flash. ``evidence`` says by what; ``sha256`` is of its bytes."""

    name: str
    address: int
    size_bytes: int
    sha256: str
    evidence: str


SwdEvent = BackupTaken | ChangesBegin | FlashErased | UicrWritten | BrakeSet | SectorErased | BlockWritten | PieceProven


def carry_out_swd(
    session: SwdSession,
    plan: SwdPlan,
    *,
    permissions: Permissions,
    save_backup: SaveBackup,
    read_back: bool = False,
    progress: Progress | None = None,
) -> Iterator[SwdEvent]:
    """Make the chip what the plan says and prove every page that was erased or written by a CRC that the chip computes;
    those that were right were proven so when the plan was made, which is to be in the same session. With ``read_back``
    read every byte too. **Erases** what the plan replaces. The core stays halted.

    After an interruption make a plan anew: what is right stays. Raises PermissionMissingError before anything is
    touched, WrongDeviceError, VerifyError, TransportError.
    """
    plan.require(permissions)
    device_id = session.identity().device_id
    if device_id != plan.device_id:
        raise WrongDeviceError(
            f"the plan is for {plan.device_id}, the probe is on {device_id}",
            expected=plan.device_id,
            actual=device_id,
            hint="nothing was erased; make a plan for the board that is there",
        )
    link = session.link
    pages = dict(plan.pages)
    if plan.keep:
        kept = {address: link.read(address, PAGE_SIZE_BYTES) for address in plan.keep}
        where = save_backup(kept)
        joined = b"".join(kept.values())
        yield BackupTaken(where, len(joined), hashlib.sha256(joined).hexdigest())
        pages |= kept
    if plan.method is not Method.NOTHING:
        yield ChangesBegin()
    yield from _erase(session, plan)
    total_bytes = plan.size_bytes
    for writes in (plan.writes, plan.brake_writes):
        if writes:
            link.write_pages([(a, _without_key(plan, a, pages[a])) for a in writes], progress=progress)
            size_bytes = len(writes) * PAGE_SIZE_BYTES
            done_bytes = total_bytes if writes is plan.brake_writes else size_bytes
            yield BlockWritten("flash", size_bytes, done_bytes, total_bytes)
    if plan.key_address is not None:
        page = plan.key_address & -PAGE_SIZE_BYTES
        link.write_pages([(plan.key_address, pages[page][plan.key_address - page :][:_WORD_BYTES])])
    # Before UICR: until its words are there an erased board does not start.
    _verify_crcs(session, {a: data for a, data in pages.items() if plan.touches(a)})
    if plan.uicr:
        link.write_user_information(plan.uicr)
        _verify_uicr(session, plan.uicr)
        yield UicrWritten(plan.uicr)
    yield from _proofs(session, plan, read_back=read_back)


def _without_key(plan: SwdPlan, address: int, data: bytes) -> bytes:
    """The page without the word that makes its part a part, which is written after all others."""
    at = -1 if plan.key_address is None else plan.key_address - address
    return data[:at] + b"\xff" * _WORD_BYTES + data[at + _WORD_BYTES :] if 0 <= at < len(data) else data


def _erase(session: SwdSession, plan: SwdPlan) -> Iterator[SwdEvent]:
    link, chip = session.link, plan.chip
    if plan.method is Method.MASS_ERASE:
        link.erase_everything()
        yield FlashErased()
        return
    if plan.erase_uicr:
        link.erase_user_information()
    if plan.brake_address is not None:
        link.erase_sectors([plan.brake_address])
        yield BrakeSet(plan.brake_address)
    link.erase_sectors(plan.erase)
    for address in plan.erase:
        yield SectorErased(address, chip.sector(address)[1])


def _verify_crcs(session: SwdSession, pages: Mapping[int, bytes]) -> None:
    addresses = sorted(pages)
    for address, actual in zip(addresses, session.link.page_crcs(addresses), strict=True):
        expected = isal_zlib.crc32(pages[address])
        if actual != expected:
            raise VerifyError(
                f"the page at 0x{address:08x} has CRC {actual:08x} instead of {expected:08x}",
                address=address,
                expected=expected,
                actual=actual,
                hint="run again; a board that fails twice has a flash defect",
            )


def _verify_uicr(session: SwdSession, words: Mapping[int, int]) -> None:
    for address, expected in words.items():
        actual = session.link.read_word(address)
        if actual != expected:
            raise VerifyError(
                f"UICR 0x{address:08x} reads 0x{actual:08x} instead of 0x{expected:08x}",
                address=address,
                expected=expected,
                actual=actual,
                hint="run again; UICR is then erased and written anew",
            )


def _proofs(session: SwdSession, plan: SwdPlan, *, read_back: bool) -> Iterator[PieceProven]:
    """Each piece of the set in flash; its pages have the right CRC by now."""
    for segment in plan.segments:
        if segment.address & -PAGE_SIZE_BYTES not in plan.pages:
            continue
        if read_back:
            actual = session.link.read(segment.address, len(segment.data))
            if actual != segment.data:
                n = next(i for i, (a, b) in enumerate(zip(actual, segment.data, strict=True)) if a != b)
                raise VerifyError(
                    f"flash at 0x{segment.address + n:08x} reads 0x{actual[n]:02x} instead of 0x{segment.data[n]:02x}",
                    address=segment.address + n,
                    expected=segment.data[n],
                    actual=actual[n],
                    hint="run again; a board that fails twice has a flash defect",
                )
        evidence = "read back" if read_back else "CRC-32 of its pages, computed by the chip"
        sha256 = hashlib.sha256(segment.data).hexdigest()
        yield PieceProven(segment.title, segment.address, len(segment.data), sha256, evidence)
