"""The state of a chip before a plan is made: identity, CRC of every page, and its modules as far as they matter."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from particle_dev.catalog.gen3_nrf52840 import SOFTDEVICE_START
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform
from particle_dev.device.swd import SwdIdentity, SwdSession
from particle_dev.errors import ModuleFormatError
from particle_dev.flash.board_modules import Need, Part
from particle_dev.flash.swd_image import ERASED_PAGE_CRC, PAGE_SIZE_BYTES
from particle_dev.flash.swd_plan import ChipState
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_prefix import ModulePrefix

_NAME = "on the board"


def chip_state(
    session: SwdSession,
    identity: SwdIdentity,
    platform: Platform,
    *,
    replaced: Collection[tuple[int, int]] = (),
) -> ChipState:
    """What is in the chip now. Modules whose function and index are in ``replaced`` are not read, only named; the
    others are read whole and checked. Changes no flash; overwrites some RAM. Raises TransportError."""
    parts = [
        _named(prefix) if (slot.function, slot.index) in replaced else _checked(session, prefix)
        for slot, prefix in identity.prefixes
    ]
    if identity.softdevice is not None:
        radio = (ModuleFunction.RADIO_STACK, 0, identity.softdevice)
        parts.append(Part(_NAME, platform.id, *radio, start_address=SOFTDEVICE_START))
    return ChipState(
        identity.device_id, session.chip, platform, identity.hardened, identity.uicr, page_crcs(session), tuple(parts)
    )


def page_crcs(session: SwdSession) -> dict[int, int]:
    """CRC-32 of every page of flash, by address. Overwrites some RAM. Raises TransportError."""
    start, size_bytes = session.chip.flash_start_address, session.chip.flash_size_bytes
    addresses = range(start, start + size_bytes, PAGE_SIZE_BYTES)
    return dict(zip(addresses, session.link.page_crcs(addresses), strict=True))


def interrupted_pages(session: SwdSession, backup: Mapping[int, bytes]) -> dict[int, bytes]:
    """Of the pages that an earlier run had read before it erased them, those that are still erased. What somebody has
    written since counts more. Raises TransportError."""
    crcs = session.link.page_crcs(tuple(backup))
    return {a: data for (a, data), crc in zip(backup.items(), crcs, strict=True) if crc == ERASED_PAGE_CRC}


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


def _checked(session: SwdSession, prefix: ModulePrefix) -> Part:
    """The module, read whole."""
    start, size_bytes = prefix.start_address, prefix.size_bytes
    try:
        module = parse(session.read(start, size_bytes))
    except ModuleFormatError:
        return _named(prefix)
    if not module.crc32.ok:
        return _named(prefix)
    needs = tuple(Need(*need) for need in module.dependencies)
    return Part(
        _NAME, module.platform_id, module.function, module.index, module.version, needs, start, module.size_bytes
    )
