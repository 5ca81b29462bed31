"""Carries out a plan over a DFU session, yields what happened, and can be run again after any interruption.

Each module is compared with the board first. What is right stays; a sector with anything else in it is erased; what
is then missing is written. So a second run after an unplug continues at the first block that is not proven. Between two
blocks that belong to something else the others are not compared but written anew: on a board with another release that
pass over USB would find nothing right.

A module may start within a sector (an RTL872x application grows downwards): what lies in front of it there is read
before and written back with it. Power lost between that erase and that write loses those bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from particle_dev.device.dfu import INTERNAL_FLASH_ALT, DfuSession
from particle_dev.errors import VerifyError, WrongDeviceError
from particle_dev.flash.plan import BLOCK_SIZE_BYTES, FlashPlan, WriteModule
from particle_dev.flash.progress import (
    BlockWritten,
    BrakeSet,
    FlashEvent,
    ModuleCompared,
    ModuleVerified,
    SectorErased,
)
from particle_dev.protocol.dfuse import Sector
from particle_dev.protocol.module import Module

_SAMPLES = 8
_WORD_BYTES = 4
_ASKS_PREFIX = "stm32f2xx"
"""Source: device-os v2.1.0 bootloader/src/stm32f2xx/dfu_usb.c is_application_valid; run on an emulated Photon."""
ReadFile = Callable[[str], bytes]
"""Gives a module file by its sha256."""


def image_of(module: Module, data: bytes) -> bytes:
    """The bytes that go into flash: the module without what follows it in the file, and without its prefix when its
    flags say so."""
    return data[module.payload_offset : module.size_bytes]


@dataclass(slots=True)
class _Work:
    """What is left to do for one module. ``image`` begins at a sector boundary, with what the board has in front of the
    module there; blocks are offsets into it."""

    write: WriteModule
    address: int
    image: bytes
    commit: int | None
    key: int | None = None
    """Offset of a word in the block that is written last: without it the bootloader takes the part for none."""
    missing: set[int] = field(default_factory=set)
    dirty_sectors: set[Sector] = field(default_factory=set)
    erased: set[Sector] = field(default_factory=set)
    """Sectors that this run has erased already."""

    def block(self, offset: int) -> bytes:
        return self.image[offset : offset + BLOCK_SIZE_BYTES]

    def in_sector(self, sector: Sector) -> list[int]:
        """Blocks that start in a sector; sectors are multiples of blocks."""
        first = sector.address - self.address
        return list(range(first, min(first + sector.size_bytes, len(self.image)), BLOCK_SIZE_BYTES))


def _work_for(write: WriteModule, session: DfuSession, read_file: ReadFile) -> _Work:
    image = image_of(write.file.module, read_file(write.file.sha256))
    start = session.sectors(write.address, 1)[0].address
    in_front = session.read(INTERNAL_FLASH_ALT, start, write.address - start) if start < write.address else b""
    commit = write.commit_offset
    if commit is not None:
        commit = (commit + len(in_front)) // BLOCK_SIZE_BYTES * BLOCK_SIZE_BYTES
    # An STM32F2 bootloader asks the prefix and no CRC-32, and programs the words of a block in ascending order.
    by_prefix = commit is not None and session.device.platform.family == _ASKS_PREFIX
    return _Work(write, start, in_front + image, commit, write.file.module.prefix_offset if by_prefix else None)


def flash(plan: FlashPlan, session: DfuSession, read_file: ReadFile) -> Iterator[FlashEvent]:
    """Write what is missing. **Erases** the plan's sectors.

    Raises WrongDeviceError when the session is with another board, DfuProtocolError, TransportError. After an error
    the board's boots end in DFU mode until a later run completes (see plan).
    """
    _check_device(plan, session)
    works = [_work_for(write, session, read_file) for write in plan.writes]
    braked = False
    for work in works:
        # Before the long comparison: until the brake is set, a board that loses power boots what is on it.
        commit = work.commit
        if commit is not None and _block_on_board(work, commit, session) != work.block(commit):
            yield from _set_brake(work, session)
            braked = True
    for work in works:
        right_bytes = _compare(work, session)
        yield ModuleCompared(work.write.file.file_name, len(work.image), right_bytes)
    stale = [s.address for s in plan.invalidate if not _is_blank(session, s.address)]
    if not stale and not any(w.missing for w in works):
        return
    for work in works:
        if work.commit is not None and not braked:
            work.missing.update(work.in_sector(_brake_sector(work, session)))
            yield from _set_brake(work, session)
    for address in stale:
        yield from _erase(session.sectors(address, 1)[0], session)
    total_bytes = sum(len(w.image) for w in works)
    done_bytes = total_bytes - sum(len(w.block(o)) for w in works for o in w.missing)
    for work in works:
        for event in _complete(work, session):
            if isinstance(event, SectorErased):
                yield event
            else:
                done_bytes += event
                yield BlockWritten(work.write.file.file_name, event, done_bytes, total_bytes)


def set_brake(plan: FlashPlan, session: DfuSession) -> Iterator[FlashEvent]:
    """Only the first step of :func:`flash`: **erase the sector** without which no system part starts; nothing else is
    touched. A plan without a brake has no such step. Raises as :func:`flash`."""
    _check_device(plan, session)
    if plan.brake_address is None:
        return
    sector = session.sectors(plan.brake_address, 1)[0]
    if not _is_blank(session, sector.address):
        yield from _erase(sector, session)
    yield BrakeSet(sector.address)


def verify(plan: FlashPlan, session: DfuSession, read_file: ReadFile) -> Iterator[ModuleVerified]:
    """Read back every byte that the plan puts on the board and compare. Changes nothing.

    Raises VerifyError with the first address that differs.
    """
    _check_device(plan, session)
    done_bytes = 0
    for write in plan.writes:
        image = image_of(write.file.module, read_file(write.file.sha256))
        actual = session.read(INTERNAL_FLASH_ALT, write.address, len(image))
        if actual != image:
            raise _difference(write, 0, image, actual)
        done_bytes += len(image)
        yield ModuleVerified(
            write.file.file_name,
            write.address,
            len(image),
            hashlib.sha256(actual).hexdigest(),
            done_bytes,
            plan.size_bytes,
        )


def _check_device(plan: FlashPlan, session: DfuSession) -> None:
    if session.device.device_id != plan.device_id:
        raise WrongDeviceError(
            f"the plan is for {plan.device_id}, the session is with {session.device.device_id}",
            expected=plan.device_id,
            actual=session.device.device_id,
            hint="nothing was erased; make a plan for the board that is there",
        )


def _compare(work: _Work, session: DfuSession) -> int:
    """Fill in what is missing and which sectors must be erased first. Returns the bytes that are right already."""
    for sector in work.erased:
        # Nothing of it is right. Whether it is blank the read-back tells.
        work.missing.update(work.in_sector(sector))
    sectors = [s for s in session.sectors(work.address, len(work.image)) if s not in work.erased]
    another = _another_module(work, sectors, session)
    compared = [s for s in sectors if s not in another]
    offsets = [o for s in compared for o in work.in_sector(s)]
    actual = dict(zip(offsets, session.read_blocks(work.address, len(work.image), offsets), strict=True))
    for sector in sectors:
        wrong = [o for o in work.in_sector(sector) if sector in another or actual[o] != work.block(o)]
        if sector not in another and all(_blank(actual[o]) for o in wrong):
            work.missing.update(wrong)
        else:
            work.dirty_sectors.add(sector)
            work.missing.update(work.in_sector(sector))
    return len(work.image) - sum(len(work.block(o)) for o in work.missing)


def _another_module(work: _Work, sectors: Sequence[Sector], session: DfuSession) -> set[Sector]:
    """Sectors not worth comparing: those whose first block is found to hold neither what is wanted nor nothing,
    and all between two of them. Few are asked, spread over the module, first and last among them."""
    if sum(len(work.in_sector(sector)) for sector in sectors) < 2 * _SAMPLES:
        return set()
    last = len(sectors) - 1
    places = sorted({n * last // (_SAMPLES - 1) for n in range(_SAMPLES)})
    offsets = [work.in_sector(sectors[place])[0] for place in places]
    found = session.read_blocks(work.address, len(work.image), offsets)
    wrong = [d != work.block(o) and not _blank(d) for o, d in zip(offsets, found, strict=True)]
    another = {sectors[place] for place, is_wrong in zip(places, wrong, strict=True) if is_wrong}
    for (start, end), both in zip(pairwise(places), pairwise(wrong), strict=True):
        if all(both):
            another.update(sectors[start:end])
    return another


def _block_on_board(work: _Work, offset: int, session: DfuSession) -> bytes:
    return session.read(INTERNAL_FLASH_ALT, work.address + offset, len(work.block(offset)))


def _brake_sector(work: _Work, session: DfuSession) -> Sector:
    return session.sectors(work.address + (work.commit or 0), 1)[0]


def _set_brake(work: _Work, session: DfuSession) -> Iterator[FlashEvent]:
    """Make the system part invalid before anything else is touched."""
    sector = _brake_sector(work, session)
    work.dirty_sectors.discard(sector)
    if not _is_blank(session, sector.address):
        yield from _erase(sector, session)
        work.erased.add(sector)
    yield BrakeSet(sector.address)


def _complete(work: _Work, session: DfuSession) -> Iterator[SectorErased | int]:
    """Erase and write sector by sector; the block that makes the system part valid comes last. Yields sectors erased
    and sizes of blocks written."""
    last = set[int]() if work.commit is None else {work.commit}
    for sector in session.sectors(work.address, len(work.image)):
        offsets = [o for o in work.in_sector(sector) if o in work.missing - last]
        if sector in work.dirty_sectors and offsets:
            first = offsets.pop(0)
            session.replace_sector(sector, work.address + first, work.block(first))
            yield SectorErased(sector.address, sector.size_bytes)
            yield len(work.block(first))
        elif sector in work.dirty_sectors:
            yield from _erase(sector, session)
        for offset in offsets:
            yield _write_block(work, offset, session)
    for offset in last & work.missing:
        yield _write_last_block(work, offset, session)


def _write_last_block(work: _Work, offset: int, session: DfuSession) -> int:
    """The word that makes the part valid is a write of its own, after the rest: no loss of power leaves it alone."""
    data = work.block(offset)
    at = None if work.key is None else work.key - offset
    if at is None or not 0 <= at < len(data):
        return _write_block(work, offset, session)
    for first, end in ((0, at), (at + _WORD_BYTES, len(data)), (at, at + _WORD_BYTES)):
        if data[first:end]:
            session.write(work.address + offset + first, data[first:end])
    return len(data)


def _write_block(work: _Work, offset: int, session: DfuSession) -> int:
    data = work.block(offset)
    session.write(work.address + offset, data)
    return len(data)


def _erase(sector: Sector, session: DfuSession) -> Iterator[SectorErased]:
    session.erase_sector(sector)
    yield SectorErased(sector.address, sector.size_bytes)


def _is_blank(session: DfuSession, address: int) -> bool:
    return _blank(session.read(INTERNAL_FLASH_ALT, address, BLOCK_SIZE_BYTES))


def _blank(data: bytes) -> bool:
    return data.count(0xFF) == len(data)


def _difference(write: WriteModule, offset: int, wanted: bytes, actual: bytes) -> VerifyError:
    n = next(
        (i for i, (a, b) in enumerate(zip(wanted, actual, strict=False)) if a != b),
        min(len(wanted), len(actual)),
    )
    address = write.address + offset + n
    return VerifyError(
        f"{write.file.file_name}: flash at 0x{address:08x} reads 0x{actual[n]:02x} instead of 0x{wanted[n]:02x}",
        address=address,
        expected=wanted[n],
        actual=actual[n],
        hint="run again to erase and write that sector anew; a board that fails twice has a flash defect",
    )
