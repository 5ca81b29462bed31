"""The state of a chip before a plan is made: identity, CRC of every page, and its modules as far as they matter."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from isal import isal_zlib

from particle_dev.catalog.gen3_nrf52840 import SOFTDEVICE_START
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import ModuleSlot, Platform
from particle_dev.device.swd import SwdIdentity, SwdSession
from particle_dev.flash.board_modules import Need, Part
from particle_dev.flash.swd_image import ERASED_PAGE_CRC, PAGE_SIZE_BYTES, crc_of_pages
from particle_dev.flash.swd_plan import ChipState
from particle_dev.protocol.module_prefix import CRC_SIZE_BYTES, PREFIX_SIZE_BYTES, ModulePrefix, unpack_needs

_NAME = "on the board"


def chip_state(
    session: SwdSession,
    identity: SwdIdentity,
    platform: Platform,
    *,
    replaced: Collection[tuple[int, int]] = (),
) -> ChipState:
    """What is in the chip now. Modules whose function and index are in ``replaced`` are only named; the others are
    checked by the CRCs of their pages, which the chip computes. Changes no flash; overwrites some RAM. Raises
    TransportError."""
    crcs = page_crcs(session)
    known = {**crcs, **{a: isal_zlib.crc32(page) for a, page in session.missing_pages.items()}}
    parts = [
        _named(prefix) if (slot.function, slot.index) in replaced else _checked(session, slot, prefix, known)
        for slot, prefix in identity.prefixes
    ]
    if identity.softdevice is not None:
        radio = (ModuleFunction.RADIO_STACK, 0, identity.softdevice)
        parts.append(Part(_NAME, platform.id, *radio, start_address=SOFTDEVICE_START))
    return ChipState(identity.device_id, session.chip, platform, identity.hardened, identity.uicr, crcs, tuple(parts))


def page_crcs(session: SwdSession) -> dict[int, int]:
    """CRC-32 of every page of flash, by address. Overwrites some RAM. Raises TransportError."""
    start, size_bytes = session.chip.flash_start_address, session.chip.flash_size_bytes
    addresses = range(start, start + size_bytes, PAGE_SIZE_BYTES)
    return dict(zip(addresses, session.link.page_crcs(addresses), strict=True))


def interrupted_pages(session: SwdSession, backup: Mapping[int, bytes]) -> dict[int, bytes]:
    """Of the pages that an earlier run had read before it erased them, those that are erased, or that an erase or a
    write of them left half-way. What somebody has written since counts more. Raises TransportError."""
    crcs = session.link.page_crcs(tuple(backup))
    found = {}
    for (address, data), crc in zip(backup.items(), crcs, strict=True):
        if crc != isal_zlib.crc32(data) and (
            crc == ERASED_PAGE_CRC or _is_half_way(session.link.read(address, PAGE_SIZE_BYTES), data)
        ):
            found[address] = data
    return found


def _is_half_way(page: bytes, whole: bytes) -> bool:
    """Whether ``page`` may be ``whole`` half erased or half written: both leave no 0 where ``whole`` has a 1."""
    wanted = int.from_bytes(whole, "little")
    return int.from_bytes(page, "little") & wanted == wanted


def _named(prefix: ModulePrefix) -> Part:
    """As its prefix says, which nobody has checked: not counted as intact."""
    return Part(
        _NAME,
        prefix.platform_id,
        prefix.function,
        prefix.index,
        prefix.version,
        start_address=prefix.start_address,
        size_bytes=prefix.size_bytes,
        intact=False,
    )


def _checked(session: SwdSession, slot: ModuleSlot, prefix: ModulePrefix, page_crcs: Mapping[int, int]) -> Part:
    """The module with its needs, intact when its CRC is right."""
    start, crc_at = prefix.start_address, prefix.end_address
    tail_at = crc_at & -PAGE_SIZE_BYTES
    tail = session.read(tail_at, crc_at - tail_at + CRC_SIZE_BYTES)
    crc = crc_of_pages((page_crcs[a] for a in range(start, tail_at, PAGE_SIZE_BYTES)), tail[:-CRC_SIZE_BYTES])
    if crc != int.from_bytes(tail[-CRC_SIZE_BYTES:], "big"):
        return _named(prefix)
    needs = tuple(Need(*need) for need in unpack_needs(session.read(start + slot.prefix_offset, PREFIX_SIZE_BYTES)))
    return Part(
        _NAME, prefix.platform_id, prefix.function, prefix.index, prefix.version, needs, start, prefix.size_bytes
    )
