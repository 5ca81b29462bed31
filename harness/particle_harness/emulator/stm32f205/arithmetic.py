"""CRC calculation unit and random number generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from particle_harness.emulator.core.native_core import crc_with
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap

_NOTHING_YET = 0xFFFFFFFF


class HoldsCrc(Protocol):
    """Where the checksum is."""

    crc: int
    """Of the words so far."""


@dataclass(slots=True)
class _Crc:
    crc: int = _NOTHING_YET


class CrcUnit(RegisterBlock):
    """CRC-32 of whole words, most significant bit first. A ``core`` that holds it also answers firmware by itself, but
    for traces and parts of words: a Photon's start checks all of its modules, 500 000 words."""

    registers = RegisterMap(
        "CRC",
        "ST RM0033, CRC calculation unit, CRC registers",
        Register("DR", 0x00, reset=_NOTHING_YET),
        Register("IDR", 0x04),
        Register("CR", 0x08, access="w"),
    )

    def __init__(self, core: HoldsCrc | None = None) -> None:
        self._core = core or _Crc()
        super().__init__()

    def reset(self) -> None:
        """As after a reset."""
        super().reset()
        self._core.crc = _NOTHING_YET

    def read_dr(self) -> int:
        """The sum so far."""
        return self._core.crc

    def write_dr(self, value: int) -> None:
        """Take in a word, where the core leaves it to us."""
        self._core.crc = crc_with(self._core.crc, value)

    def write_cr(self, value: int) -> None:
        """RESET starts anew."""
        if value & 1:
            self._core.crc = _NOTHING_YET


class RandomNumbers(RegisterBlock):
    """The same numbers in every run: a xorshift generator of fixed seed."""

    registers = RegisterMap(
        "RNG",
        "ST RM0033, Random number generator (RNG), RNG registers",
        Register("CR", 0x00),
        Register("SR", 0x04),
        Register("DR", 0x08, access="r"),
    )
    _SEED = 0x2545F491

    def reset(self) -> None:
        """Only the registers; the sequence goes on."""
        super().reset()
        self.state = getattr(self, "state", self._SEED)

    def read_sr(self) -> int:
        """A number is there whenever the generator is on."""
        return self.stored[0x00] >> 2 & 1

    def read_dr(self) -> int:
        """The next number."""
        value = self.state
        value ^= value << 13 & 0xFFFFFFFF
        value ^= value >> 17
        value ^= value << 5 & 0xFFFFFFFF
        self.state = value
        return value
