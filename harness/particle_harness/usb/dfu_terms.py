"""Words of DFU mode: requests, states, the memory behind an alternate setting, the bootloader's registers.

Source: device-os v2.1.0 and v6.2.0 bootloader/src/nRF52840/usbd_dfu.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Request(IntEnum):
    """bRequest of DFU 1.1."""

    DETACH = 0
    DNLOAD = 1
    UPLOAD = 2
    GETSTATUS = 3
    CLRSTATUS = 4
    GETSTATE = 5
    ABORT = 6


class State(IntEnum):
    """bState of DFU 1.1."""

    IDLE = 2
    DNLOAD_SYNC = 3
    DNBUSY = 4
    DNLOAD_IDLE = 5
    MANIFEST_SYNC = 6
    MANIFEST = 7
    MANIFEST_WAIT_RESET = 8
    UPLOAD_IDLE = 9
    ERROR = 10


class Status(IntEnum):
    """bStatus of DFU 1.1, as far as the bootloaders use it."""

    OK = 0
    TARGET = 1
    VENDOR = 0x0B
    UNKNOWN = 0x0E
    STALLED_PACKET = 0x0F


class Command(IntEnum):
    """First byte of DNLOAD block 0 (DfuSe)."""

    GET_COMMANDS = 0x00
    SET_ADDRESS = 0x21
    ERASE = 0x41
    READ_UNPROTECT = 0x92
    ENTER_SAFE_MODE = 0xFA
    CLEAR_SECURITY_MODE_OVERRIDE = 0xFB


class CrashError(Exception):
    """The bootloader reached for an address where nothing answers, and hangs until its power is switched off."""


class DfuMemory(Protocol):
    """What lies behind one alternate setting. ``read`` returns None, the others False, when they refuse. CrashError
    where the firmware does not survive."""

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes at a DFU address."""

    def write(self, address: int, data: bytes) -> bool:
        """Program bytes."""

    def erase(self, address: int) -> bool:
        """Erase the sector that holds the address."""

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:
        """bwPollTimeout before such work; None leaves the old value."""


@dataclass(slots=True)
class DfuRegisters:
    """RAM of the bootloader that outlives one transfer."""

    state: int = State.IDLE
    status: int = Status.OK
    poll_timeout_ms: int = 0
    reported_state: int = State.IDLE
    """bState in replies; differs from ``state`` on Gen 2."""
    address: int = 0
    block: int = 0
    data: bytes = b""
    """Block received and not yet carried out."""
    string_index: int = 0
    """Of the text that explains an error."""
    stalls_next: bool = False
    """An RTL872x owes the host a stall."""
