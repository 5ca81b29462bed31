"""DfuSe: ST's extension of DFU 1.1 as Particle's bootloaders speak it: commands and memory strings.

Source: ST UM0424 §10 and AN3156; device-os v6.2.0 bootloader/src/nRF52840/usbd_dfu.h, usbd_dfu_mal.h.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from particle_dev.errors import FormatError


class DfuseCommand(IntEnum):
    """First byte of a DNLOAD with wValue 0."""

    GET_COMMANDS = 0x00
    SET_ADDRESS = 0x21
    ERASE = 0x41
    ENTER_SAFE_MODE = 0xFA
    CLEAR_SECURITY_MODE_OVERRIDE = 0xFB


def encode_command(command: DfuseCommand, address: int) -> bytes:
    """SET_ADDRESS or ERASE: command byte, then the address as u32 LE (5 bytes)."""
    return struct.pack("<BI", command, address)


@dataclass(frozen=True, slots=True)
class Sector:
    """One erase unit of an alternate setting."""

    address: int
    size_bytes: int
    readable: bool
    erasable: bool
    writable: bool

    @property
    def end_address(self) -> int:
        """First address behind the sector."""
        return self.address + self.size_bytes


@dataclass(frozen=True, slots=True)
class MemoryLayout:
    """What the name of an alternate setting says about the memory behind it.

    The letters are advice: bootloaders accept erase and write outside of what they announce.
    """

    name: str
    sectors: tuple[Sector, ...]

    @property
    def address(self) -> int:
        """First address."""
        return self.sectors[0].address

    @property
    def end_address(self) -> int:
        """First address behind the last sector."""
        return self.sectors[-1].end_address

    def sectors_in(self, address: int, size_bytes: int) -> tuple[Sector, ...]:
        """Sectors that hold any byte of [address, address + size_bytes). Raises FormatError outside the memory."""
        if size_bytes <= 0 or address < self.address or address + size_bytes > self.end_address:
            raise FormatError(
                f"0x{address:x}+{size_bytes} lies outside '{self.name}' 0x{self.address:x}–0x{self.end_address:x}",
                code="outside_memory",
                offset=address,
                hint="use addresses that the device names for this memory",
            )
        starts = [s.address for s in self.sectors]
        first = bisect_right(starts, address) - 1
        last = bisect_right(starts, address + size_bytes - 1) - 1
        return self.sectors[first : last + 1]

    @property
    def protected(self) -> bool:
        """True when every sector is announced as erasable only, which is how a protected device shows itself."""
        return all(s.erasable and not s.readable and not s.writable for s in self.sectors)


_GROUP = re.compile(r"(\d+)\*(\d+)([ BKM])([a-g])")
_OTHER = "is it a Particle device in DFU mode? Its bootloader names its memories otherwise than this tool knows"
_UNIT = {" ": 1, "B": 1, "K": 1024, "M": 1024 * 1024}


@lru_cache(maxsize=64)
def parse_memory_layout(text: str) -> MemoryLayout:
    """Sectors from a string such as ``@Internal Flash   /0x08000000/03*016Ka,01*064Kg``.

    Several ``/address/groups`` pairs may follow each other. The letter's bits are readable 1, erasable 2, writable 4
    (a = 1 … g = 7). Raises FormatError for anything else.
    """
    if not text.startswith("@"):
        raise FormatError(f"not a DfuSe memory string: {text!r}", code="bad_memory_string", hint=_OTHER)
    name, *parts = text[1:].split("/")
    sectors: list[Sector] = []
    for address_text, groups in zip(parts[::2], parts[1::2], strict=False):
        try:
            address = int(address_text, 16)
        except ValueError:
            raise FormatError(f"bad address in memory string {text!r}", code="bad_memory_string", hint=_OTHER) from None
        for group in groups.split(","):
            match = _GROUP.fullmatch(group.strip())
            if match is None:
                raise FormatError(f"bad sector group {group!r} in {text!r}", code="bad_memory_string", hint=_OTHER)
            bits = ord(match[4]) - ord("a") + 1
            size_bytes = int(match[2]) * _UNIT[match[3]]
            for _ in range(int(match[1])):
                sectors.append(Sector(address, size_bytes, bool(bits & 1), bool(bits & 2), bool(bits & 4)))
                address += size_bytes
    if not sectors or len(parts) % 2:
        raise FormatError(f"no sectors in memory string {text!r}", code="bad_memory_string", hint=_OTHER)
    return MemoryLayout(name.strip(), tuple(sectors))
