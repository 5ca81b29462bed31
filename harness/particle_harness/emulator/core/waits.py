"""Instructions that wait: told by their code, since Unicorn only stops behind them.

Source: Armv7-M Architecture Reference Manual, A7.7.261 (WFE), A7.7.262 (WFI), A7.7.129 (SEV).
"""

from __future__ import annotations

from enum import Enum, auto

from particle_harness.swd.bus import Bus, BusFaultError

SEV = b"\x40\xbf"


class Sleep(Enum):
    """What a core waits for."""

    WFI = auto()
    WFE = auto()


_WAITS = {
    b"\x20\xbf": Sleep.WFE,
    b"\x30\xbf": Sleep.WFI,
    b"\xaf\xf3\x02\x80": Sleep.WFE,
    b"\xaf\xf3\x03\x80": Sleep.WFI,
}


def wait_instruction(code: bytes) -> Sleep | None:
    """What an instruction waits for, None for one that does not."""
    return _WAITS.get(code)


def code_at(bus: Bus, address: int, size_bytes: int) -> bytes:
    """Instructions, as far as there is memory."""
    try:
        return bus.read(address & 0xFFFFFFFF, size_bytes) if 0 < size_bytes <= 4 else b""
    except BusFaultError:
        return b""
