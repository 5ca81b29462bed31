"""The block cipher AES, for chips that have it in hardware: one block at a time, chaining is the chip's business."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK_SIZE_BYTES = 16


def encrypt(key: bytes, block: bytes) -> bytes:
    """One block under a key of 16, 24 or 32 bytes."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def decrypt(key: bytes, block: bytes) -> bytes:
    """And back."""
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(block)
