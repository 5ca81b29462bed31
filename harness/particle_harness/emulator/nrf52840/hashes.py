"""SHA-1, SHA-224 and SHA-256 block by block, from any state: what a hash engine does between two interruptions.

Source: FIPS 180-4, 4.1 to 6.3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import count, islice

BLOCK_BYTES = 64
SHA1, SHA256, SHA224 = 1, 2, 10
"""HASH_CONTROL.MODE."""
_WORD = 0xFFFFFFFF
_LENGTH_BYTES = 8


def _primes() -> list[int]:
    return list(islice((n for n in count(2) if all(n % d for d in range(2, n))), 64))


def _cube_root_fraction(number: int) -> int:
    """The first 32 bits of the fraction of its cube root."""
    root, wanted = 0, number << 96
    for bit in range(40, -1, -1):
        if (root | 1 << bit) ** 3 <= wanted:
            root |= 1 << bit
    return root & _WORD


_SHA256_CONSTANTS = [_cube_root_fraction(prime) for prime in _primes()]
_SHA1_CONSTANTS = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)


def _rotate_left(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _WORD


def _rotate_right(word: int, bits: int) -> int:
    return (word >> bits | word << 32 - bits) & _WORD


def _sha1(state: Sequence[int], block: bytes) -> list[int]:
    words = list(struct.unpack(">16I", block))
    for t in range(16, 80):
        words.append(_rotate_left(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1))
    a, b, c, d, e = state
    for t, word in enumerate(words):
        if t < 20:
            mixed = b & c ^ ~b & d
        elif 40 <= t < 60:
            mixed = b & c ^ b & d ^ c & d
        else:
            mixed = b ^ c ^ d
        following = _rotate_left(a, 5) + mixed + e + _SHA1_CONSTANTS[t // 20] + word & _WORD
        a, b, c, d, e = following, a, _rotate_left(b, 30), c, d
    return [old + new & _WORD for old, new in zip(state, (a, b, c, d, e), strict=True)]


def _sha256(state: Sequence[int], block: bytes) -> list[int]:
    words = list(struct.unpack(">16I", block))
    for t in range(16, 64):
        x, y = words[t - 15], words[t - 2]
        small_0 = _rotate_right(x, 7) ^ _rotate_right(x, 18) ^ x >> 3
        small_1 = _rotate_right(y, 17) ^ _rotate_right(y, 19) ^ y >> 10
        words.append(small_1 + words[t - 7] + small_0 + words[t - 16] & _WORD)
    a, b, c, d, e, f, g, h = state
    for constant, word in zip(_SHA256_CONSTANTS, words, strict=True):
        big_1 = _rotate_right(e, 6) ^ _rotate_right(e, 11) ^ _rotate_right(e, 25)
        first = h + big_1 + (e & f ^ ~e & g) + constant + word
        big_0 = _rotate_right(a, 2) ^ _rotate_right(a, 13) ^ _rotate_right(a, 22)
        second = big_0 + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = first + second & _WORD, a, b, c, d + first & _WORD, e, f, g
    return [old + new & _WORD for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


_BLOCK_FUNCTIONS: dict[int, tuple[int, Callable[[Sequence[int], bytes], list[int]]]] = {
    SHA1: (5, _sha1),
    SHA256: (8, _sha256),
    SHA224: (8, _sha256),
}


def state_words(mode: int) -> int | None:
    """Words of the state of a mode; None for one that is not here."""
    return _BLOCK_FUNCTIONS[mode][0] if mode in _BLOCK_FUNCTIONS else None


def digest_blocks(mode: int, state: Sequence[int], data: bytes) -> list[int]:
    """The state after whole blocks of data."""
    state = list(state)
    for at in range(0, len(data), BLOCK_BYTES):
        state = _BLOCK_FUNCTIONS[mode][1](state, data[at : at + BLOCK_BYTES])
    return list(state)


def padding(length_bytes: int) -> bytes:
    """What follows a message of that length."""
    zeros = -(length_bytes + 1 + _LENGTH_BYTES) % BLOCK_BYTES
    return b"\x80" + bytes(zeros) + (8 * length_bytes).to_bytes(_LENGTH_BYTES, "big")
