"""User information (UICR) of an nRF52840 and the boot record (MBR) in its first page: what leads to the bootloader.

Source: device-os v2.1.0, v6.1.1 and v6.2.0 platform/MCU/nRF52840/src/hw_config.c (configure_uicr, DWT_Init); Nordic
nRF52840 Product Specification v1.7, UICR; nrf_mbr.h of the nRF5 SDK 15.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from mmap import mmap

from particle_harness.nor_flash import NorFlash, Reader

UICR_SIZE_BYTES = PAGE_SIZE_BYTES = 0x1000
BOOTLOADER_ADDRESS, PARAMETER_PAGE, RESET_PIN_1, RESET_PIN_2, APPROTECT = 0x14, 0x18, 0x200, 0x204, 0x208
"""Offsets of NRFFW[0], NRFFW[1], PSELRESET[0], PSELRESET[1], APPROTECT."""
OPEN_TO_FIRMWARE = 0x5A
"""In APPROTECT: on hardened silicon firmware may open the debug port; silicon before takes it for "locked"."""
_ERASED_WORD = 0xFFFFFFFF
_RESET_PIN = 18
_LEGACY_PARAMETER_PAGE, _LOW_PARAMETER_PAGE = 0x2F000, 0x27000
FIRST_WITH_PARAMETER_PAGE = 1003
"""Bootloader version that writes NRFFW[1] (Device OS 2.0)."""
FIRST_WITH_APPROTECT = 3000
"""Bootloader version that minds APPROTECT (Device OS 6.0.0)."""
FIRST_WITH_LOW_PARAMETER_PAGE = 3002
"""Bootloader version whose SoftDevice ends lower (Device OS 6.1.2)."""
_MBR_SIZE_BYTES = 0xA18
_RAM = range(0x20000000, 0x20040001)

Uicr = bytearray | mmap


def mbr_stand_in() -> bytes:
    """A boot record of the real one's size: stack pointer, an entry point within it, bytes that mean nothing."""
    code = bytearray(random.Random("MBR").randbytes(_MBR_SIZE_BYTES))
    struct.pack_into("<II", code, 0, 0x20000400, 0x00000A81)
    return bytes(code).ljust(PAGE_SIZE_BYTES, b"\xff")


def factory_uicr(bootloader_version: int, *, was_protected: bool) -> bytes:
    """The page as a board has it that has started once with a bootloader of that version."""
    page = bytearray(b"\xff" * UICR_SIZE_BYTES)
    words = {BOOTLOADER_ADDRESS: 0xF4000, RESET_PIN_1: _RESET_PIN, RESET_PIN_2: _RESET_PIN}
    if bootloader_version >= FIRST_WITH_PARAMETER_PAGE:
        words[PARAMETER_PAGE] = parameter_page(bootloader_version)
    for offset, value in words.items():
        struct.pack_into("<I", page, offset, value)
    page[APPROTECT] = OPEN_TO_FIRMWARE if was_protected else 0xFF
    return bytes(page)


def parameter_page(bootloader_version: int) -> int:
    """Where the boot record of that bootloader finds its parameters."""
    return _LOW_PARAMETER_PAGE if bootloader_version >= FIRST_WITH_LOW_PARAMETER_PAGE else _LEGACY_PARAMETER_PAGE


def word(uicr: bytes | Uicr, offset: int) -> int:
    """32 bits of the page."""
    return int.from_bytes(uicr[offset : offset + 4], "little")


def why_nothing_starts(read: Reader, uicr: bytes) -> str | None:
    """Why the core never gets to a bootloader; None when it does."""
    stack_pointer, entry = struct.unpack("<II", read(0, 8))
    if stack_pointer not in _RAM or not entry & 1 or entry >= PAGE_SIZE_BYTES:
        return "no boot record (MBR) at 0"
    address = word(uicr, BOOTLOADER_ADDRESS)
    if address == _ERASED_WORD:
        return "NRFFW[0] is erased: the boot record knows no bootloader"
    if address > 0x100000 - 4 or int.from_bytes(read(address, 4), "little") not in _RAM:
        return f"no vector table at 0x{address:05x}, where NRFFW[0] says that the bootloader is"
    return None


def configure(uicr: Uicr, flash: NorFlash, bootloader_version: int, *, is_protected: bool) -> int:
    """What a bootloader writes to UICR before anything else; how often it resets the board for it."""
    modified = False
    parameters, wanted = word(uicr, PARAMETER_PAGE), parameter_page(bootloader_version)
    stale = (_ERASED_WORD, _LEGACY_PARAMETER_PAGE) if wanted == _LOW_PARAMETER_PAGE else (_ERASED_WORD,)
    if FIRST_WITH_PARAMETER_PAGE <= bootloader_version < 0xFFFF and parameters in stale:
        struct.pack_into("<I", uicr, PARAMETER_PAGE, parameters & wanted)
        if wanted == _LOW_PARAMETER_PAGE:
            flash.erase_sector(wanted)
        modified = True
    if is_protected and uicr[APPROTECT] == 0xFF:
        uicr[APPROTECT] &= OPEN_TO_FIRMWARE
        modified = True
    return int(modified)


def firmware_opens_debug_port(uicr: Uicr, bootloader_version: int, *, is_protected: bool) -> bool:
    """Whether the bootloader writes APPROTECT.DISABLE at each start, which hardened silicon needs."""
    minds = FIRST_WITH_APPROTECT <= bootloader_version < 0xFFFF
    return minds and not is_protected and uicr[APPROTECT] == OPEN_TO_FIRMWARE


def reset_pin_is_selected(uicr: bytes | Uicr) -> bool:
    """Whether the reset pin does anything: both words name the same pin."""
    first, second = word(uicr, RESET_PIN_1), word(uicr, RESET_PIN_2)
    return first == second and first < _ERASED_WORD


def intel_hex(pieces: Iterable[tuple[int, bytes]]) -> str:
    """Pieces (address, bytes) as an Intel-HEX file. Source: Intel, Hexadecimal Object File Format, revision A."""
    lines, upper = [], -1
    for start, data in pieces:
        for offset in range(0, len(data), 16):
            address = start + offset
            if address >> 16 != upper:
                upper = address >> 16
                lines.append(_hex_record(4, 0, upper.to_bytes(2, "big")))
            lines.append(_hex_record(0, address & 0xFFFF, data[offset : offset + 16]))
    return "\n".join([*lines, _hex_record(1, 0, b"")]) + "\n"


def _hex_record(kind: int, address: int, data: bytes) -> str:
    record = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return f":{(record + bytes([-sum(record) & 0xFF])).hex().upper()}"
