"""Bytes in the update area of external flash: compared, erased, written, read back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from particle_dev.device.dfu import EXTERNAL_SECTOR_SIZE_BYTES, DfuSession
from particle_dev.errors import VerifyError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.progress import BlockWritten, FlashEvent, ModuleCompared, ModuleVerified, SectorErased


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
