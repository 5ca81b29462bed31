"""The CryptoCell's arithmetic of large numbers (PKA): registers of a memory of its own, one operation at a time.

Source: Arm, cryptocell-312-runtime, codesafe/src/crypto_api/pki/common (pka.h, pka_hw_defs.h): operations, fields of an
operation, bits of the status. Results that hardware may leave unreduced are reduced here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

MEMORY_WORDS = 1024
REGISTERS, LENGTHS = 32, 8
_WORD_BITS = 64
_EXTRA_BITS = 8
"""Numbers of modular operations may be that much longer than the modulus: sums that nobody has reduced."""
_DEFAULT_MODULUS = 0 | 1 << 5 | 30 << 10 | 31 << 15
_CARRY, _ZERO, _DIVISION_BY_ZERO, _NO_INVERSE = 1 << 9, 1 << 12, 1 << 14, 1 << 15
_SHIFTS = {0xC: (-1, 0), 0xD: (-1, 1), 0xE: (1, 0), 0xF: (1, 1)}
"""Operation to its direction, and the bits that come in."""
_DIVIDE, _MODULAR_INVERSE, _REDUCE = 0x14, 0x15, 0x1B
_PLAIN: dict[int, Callable[[int, int], int]] = {
    0x4: lambda a, b: a + b,
    0x5: lambda a, b: a - b,
    0x8: lambda a, b: a & b,
    0x9: lambda a, b: a | b,
    0xA: lambda a, b: a ^ b,
    0x10: lambda a, b: a * b,
}
_MODULAR: dict[int, Callable[[int, int, int, int], int]] = {
    0x6: lambda a, b, _c, n: (a + b) % n,
    0x7: lambda a, b, _c, n: (a - b) % n,
    0x11: lambda a, b, _c, n: a * b % n,
    0x12: lambda a, b, _c, n: a * b % n,
    0x13: lambda a, b, _c, n: pow(a, b, n),
    0x18: lambda a, b, c, n: (a * b + c) % n,
    0x19: lambda a, b, c, n: (a * b + c) % n,
    _REDUCE: lambda a, _b, _c, n: a % n,
}


class PublicKeyEngine:
    """``memory`` holds the numbers, ``places`` the word where each register begins, ``lengths`` sizes in bits that an
    operation names by number, ``special`` which register is the modulus."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing in the memory."""
        self.memory = [0] * MEMORY_WORDS
        self.places = [0] * REGISTERS
        self.lengths = [0] * LENGTHS
        self.special = _DEFAULT_MODULUS
        self.status = 0
        self.write_at = self.read_at = 0

    # ---- memory -----------------------------------------------------------------------------------------------------

    def store(self, value: int) -> None:
        """At the write pointer, which goes on."""
        self.memory[self.write_at % MEMORY_WORDS] = value
        self.write_at += 1

    def load(self) -> int:
        """From the read pointer, which goes on."""
        value = self.memory[self.read_at % MEMORY_WORDS]
        self.read_at += 1
        return value

    def number(self, register: int, bits: int) -> int:
        """What a register holds, in whole words of the engine."""
        words = self._words(bits)
        place = self.places[register]
        return int.from_bytes(struct.pack(f"<{words}I", *self.memory[place : place + words]), "little")

    def set_number(self, register: int, bits: int, value: int) -> None:
        """Put a number into a register; what it has no room for is lost."""
        words = self._words(bits)
        data = (value & (1 << 32 * words) - 1).to_bytes(4 * words, "little")
        place = self.places[register]
        self.memory[place : place + words] = struct.unpack(f"<{words}I", data)

    @staticmethod
    def _words(bits: int) -> int:
        return -(-bits // _WORD_BITS) * (_WORD_BITS // 32)

    # ---- operations -------------------------------------------------------------------------------------------------

    def execute(self, word: int) -> bool:
        """One operation; whether it is known here."""
        operation, bits = word >> 27, self.lengths[word >> 24 & 7]
        if operation in _MODULAR or operation == _MODULAR_INVERSE:
            bits += _EXTRA_BITS
        discarded, target = word >> 11 & 1, word >> 6 & 0x1F
        a = self._operand(word >> 18, bits)
        b = self._operand(word >> 12, bits)
        self.status = operation << 16
        result = self._result(operation, bits, a, b, word)
        if result is None:
            return operation in (_DIVIDE, _MODULAR_INVERSE) or operation in _MODULAR
        width = 1 << 32 * self._words(bits)
        if (operation == 0x4 and result >= width) or (operation == 0x5 and result >= 0):
            self.status |= _CARRY
        result %= width
        if result == 0:
            self.status |= _ZERO
        if not discarded:
            self.set_number(target, bits, result)
        return True

    def _operand(self, field: int, bits: int) -> int:
        if not field >> 5 & 1:
            return self.number(field & 0x1F, bits)
        value = field & 0x1F
        # Five bits with a sign: 0x1E clears bit 0 in an AND.
        return value if value < 0x10 else value - 0x20 & (1 << 32 * self._words(bits)) - 1

    def _result(self, operation: int, bits: int, a: int, b: int, word: int) -> int | None:
        if operation in _PLAIN:
            return _PLAIN[operation](a, b)
        if operation in _SHIFTS:
            return self._shift(operation, bits, a, (word >> 12 & 0x1F) + 1)
        if operation == _DIVIDE:
            return self._divide(word >> 18 & 0x1F, bits, a, b)
        modulus = self.number(self.special & 0x1F, bits)
        if modulus == 0:
            self.status |= _DIVISION_BY_ZERO
            return None
        if operation == _MODULAR_INVERSE:
            return self._inverse(b, modulus)
        if operation in _MODULAR:
            return _MODULAR[operation](a, b, self.number(word & 0x1F, bits), modulus)
        return None

    def _shift(self, operation: int, bits: int, a: int, count: int) -> int:
        direction, fill = _SHIFTS[operation]
        width = 32 * self._words(bits)
        ones = (1 << count) - 1 if fill else 0
        if direction > 0:
            return a << count | ones
        return a >> count | ones << width - count

    def _divide(self, dividend: int, bits: int, a: int, b: int) -> int | None:
        if b == 0:
            self.status |= _DIVISION_BY_ZERO
            return None
        self.set_number(dividend, bits, a % b)
        return a // b

    def _inverse(self, b: int, modulus: int) -> int | None:
        try:
            return pow(b, -1, modulus)
        except ValueError:
            self.status |= _NO_INVERSE
            return None
