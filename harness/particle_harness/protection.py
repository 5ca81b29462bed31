"""Device protection and service mode, as bootloader and system see them.

Boards are protected by an extension in their bootloader; a bench that says so does without it. Bootloaders from
Device OS 6.0.0 on heed it. Service mode is kept with the configuration: it survives resets and power loss.
Protected boards need the package ``cryptography``.
Source: device-os v6.2.0 services/src/security_mode.cpp, system/src/control/config.cpp setProtectedState.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from particle_harness.dct import Dct
from particle_harness.state import BoardState

FIRST_BOOTLOADER = 3000
"""Bootloader of Device OS 6.0.0."""
_ERASED = 0xFFFF
NONCE_SIZE_BYTES = FINGERPRINT_SIZE_BYTES = 32
SERVICE_MODE_RESETS, SERVICE_MODE_S = 20, 24 * 60 * 60
ANSWER_WITHIN_S = 60
TIMED_OUT, INVALID_STATE, INVALID_ARGUMENT, BAD_DATA, KEY_MISMATCH, INVALID_SIGNATURE = (
    -160, -210, -270, -280, -1802, -1803
)  # fmt: skip
_PRIVATE_KEY_OFFSET, _PRIVATE_KEY_SIZE_BYTES = 3106, 192
_SERVER_KEY_OFFSET, _SERVER_KEY_SIZE_BYTES = 3298, 192


@dataclass(frozen=True, slots=True)
class Challenge:
    """Answer to PREPARE: what the cloud must sign, and proof of the device's key."""

    device_nonce: bytes
    device_signature: bytes
    device_key_fingerprint: bytes


@dataclass(frozen=True, slots=True)
class _Prepared:
    server_nonce: bytes
    challenge: Challenge
    at_s: float


class Protection:
    """``enabled``: the board's owner protected it. Of the bootloader in flash: ``bootloader_version()``, and
    ``bootloader_protects()``, whether it has the extension."""

    def __init__(
        self,
        state: BoardState,
        dct: Dct,
        *,
        enabled: bool,
        bootloader_version: Callable[[], int],
        bootloader_protects: Callable[[], bool],
        now_s: Callable[[], float],
    ) -> None:
        self._state = state
        self._dct = dct
        self._enabled = enabled
        self._bootloader_version = bootloader_version
        self._bootloader_protects = bootloader_protects
        self._now_s = now_s
        self._prepared: _Prepared | None = None

    @property
    def enabled(self) -> bool:
        """Whether the bootloader in flash is a protected one."""
        is_new = FIRST_BOOTLOADER <= self._bootloader_version() < _ERASED
        return is_new and (self._enabled or self._bootloader_protects())

    @property
    def overridden(self) -> bool:
        """Whether service mode lasts. The clock of a board without power runs on here."""
        state = self._state
        return self.enabled and state.override_resets_left > 0 and self._now_s() < state.override_until_s

    @property
    def locked(self) -> bool:
        """Whether the board is closed now."""
        return self.enabled and not self.overridden

    def furnish(self) -> None:
        """Keys that a protected board leaves the factory with."""
        keys = _keys()
        self._dct.write(_PRIVATE_KEY_OFFSET, keys.private_der(keys.device_key(self._state.device_id)))
        self._dct.write(_SERVER_KEY_OFFSET, keys.public_der(keys.server_key()))

    def open(self) -> None:
        """Start service mode."""
        if self.enabled:
            self._state.override_resets_left = SERVICE_MODE_RESETS
            self._state.override_until_s = self._now_s() + SERVICE_MODE_S

    def lock(self) -> None:
        """End service mode."""
        self._state.override_resets_left = 0
        self._prepared = None

    def count_reset(self) -> None:
        """The bootloader starts."""
        self._state.override_resets_left = max(0, self._state.override_resets_left - 1)
        self._prepared = None

    def prepare(self, server_nonce: bytes) -> tuple[int, Challenge | None]:
        """Result code and, on a protected board, the challenge."""
        if len(server_nonce) != NONCE_SIZE_BYTES:
            return INVALID_ARGUMENT, None
        self._prepared = None
        if not self.enabled:
            return 0, None
        private_der = _der(self._dct.read(_PRIVATE_KEY_OFFSET, _PRIVATE_KEY_SIZE_BYTES))
        if private_der is None:
            return BAD_DATA, None
        nonce = secrets.token_bytes(NONCE_SIZE_BYTES)
        signed = _keys().device_signature(private_der, self._state.device_id, nonce, server_nonce)
        challenge = Challenge(nonce, *signed)
        self._prepared = _Prepared(server_nonce, challenge, self._now_s())
        return 0, challenge

    def confirm(self, server_signature: bytes, server_key_fingerprint: bytes) -> int:
        """Open the board if the signature is good. The challenge stands until it has timed out or succeeded."""
        prepared = self._prepared
        if prepared is None:
            return INVALID_STATE
        if not server_signature or len(server_key_fingerprint) != FINGERPRINT_SIZE_BYTES:
            return INVALID_ARGUMENT
        if self._now_s() - prepared.at_s >= ANSWER_WITHIN_S:
            self._prepared = None
            return TIMED_OUT
        public_der = _der(self._dct.read(_SERVER_KEY_OFFSET, _SERVER_KEY_SIZE_BYTES))
        if public_der is None:
            return BAD_DATA
        if hashlib.sha256(public_der).digest() != server_key_fingerprint:
            return KEY_MISMATCH
        challenge = prepared.challenge
        if not _keys().cloud_has_signed(
            public_der,
            server_signature,
            self._state.device_id,
            prepared.server_nonce,
            challenge.device_nonce,
            challenge.device_key_fingerprint,
        ):
            return INVALID_SIGNATURE
        self._prepared = None
        self.open()
        return 0


def _keys() -> ModuleType:
    from particle_harness import protection_keys  # noqa: PLC0415  # a package that only protected boards need

    return protection_keys


def _der(data: bytes) -> bytes | None:
    """The DER sequence at the start of ``data``, without what fills the field."""
    if data[0] != 0x30:
        return None
    size = 2 + data[1] if data[1] < 0x80 else 3 + data[2]
    return data[:size] if size <= len(data) else None
