"""CRC calculation unit and random number generator."""

from __future__ import annotations

from particle_harness.emulator.registers import Register, RegisterBlock, RegisterMap

_POLYNOMIAL = 0x04C11DB7


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 & 0xFFFFFFFF) ^ (_POLYNOMIAL if value >> 31 else 0)
        rows.append(value)
    return tuple(rows)


_TABLE = _table()


class CrcUnit(RegisterBlock):
    """CRC-32 of whole words, most significant bit first."""

    registers = RegisterMap(
        "CRC",
        "ST RM0033, CRC calculation unit, CRC registers",
        Register("DR", 0x00, reset=0xFFFFFFFF),
        Register("IDR", 0x04),
        Register("CR", 0x08, access="w"),
    )

    def write_dr(self, value: int) -> None:
        """Take in a word."""
        table, crc = _TABLE, self.stored[0x00] ^ value
        crc = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24]
        crc = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24]
        crc = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24]
        self.stored[0x00] = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24]

    def write_cr(self, value: int) -> None:
        """RESET starts anew."""
        if value & 1:
            self.stored[0x00] = 0xFFFFFFFF


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
