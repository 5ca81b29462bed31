"""DFU 1.1 with DfuSe addressing, host side, without I/O.

Each function is one act on endpoint 0: it yields transfers and pauses and ends with a result. States and statuses
are those of the USB DFU 1.1 specification, tables 6.2 and A.1.

What Particle's bootloaders do beyond it (Source: device-os v6.2.0 bootloader/src/nRF52840/usbd_dfu.cpp, v3.3.1
platform/MCU/STM32F2xx/STM32_USB_Device_Driver/src/usbd_dfu_core.c):

- After DNLOAD the first GETSTATUS reports dfuDNBUSY, the second one is answered when the flash work is done.
- An address pointer set by SET_ADDRESS survives ABORT; block n >= 2 lies (n - 2) * wTransferSize behind it.
- Leaving: DNLOAD of length 0, then exactly one GETSTATUS. A second one cancels the reset on nRF52840.
- STM32F2 reports dfuDNLOAD-IDLE where nRF52840 and RTL872x report dfuMANIFEST, and hides failed writes: only a
  read-back proves a write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from particle_dev.errors import DfuProtocolError
from particle_dev.protocol.dfuse import DfuseCommand, encode_command
from particle_dev.protocol.usb import ControlIn, ControlOut, ControlQueue, Machine, Reply, Stall, TransferReply, Wait

CLASS_IN = 0xA1
CLASS_OUT = 0x21
TRANSFER_SIZE_BYTES = 4096
"""wTransferSize of all Particle bootloaders. A longer DNLOAD would overrun the nRF52840 bootloader's buffer."""
FIRST_DATA_BLOCK = 2
"""wValue of the first data block in DfuSe; 0 carries commands and 1 is reserved."""
UPLOADS_AT_ONCE = 8
"""Blocks in one queue: enough to keep the bus busy, few enough for one timeout and for Ctrl-C."""
LAST_BLOCK = 0xFFFF - FIRST_DATA_BLOCK
"""Block that wValue can just hold, counted from 0."""
LONGEST_BUSY_S, MOST_POLLS = 120.0, 20_000
"""A device that has been busy with one DNLOAD for so long, by its own account or by so many answers, never ends it."""
BUSY_TIMEOUT_S = 30.0
"""How long one GETSTATUS may take: the flash work runs while the device holds it back."""


_RESUME = "run it again; a flash that was under way goes on at the first block that is not proven"


class DfuRequest(IntEnum):
    """bRequest, DFU 1.1 table 3.2."""

    DETACH = 0
    DNLOAD = 1
    UPLOAD = 2
    GETSTATUS = 3
    CLRSTATUS = 4
    GETSTATE = 5
    ABORT = 6


class DfuState(IntEnum):
    """bState, DFU 1.1 §6.1.2."""

    APP_IDLE = 0
    APP_DETACH = 1
    DFU_IDLE = 2
    DFU_DNLOAD_SYNC = 3
    DFU_DNBUSY = 4
    DFU_DNLOAD_IDLE = 5
    DFU_MANIFEST_SYNC = 6
    DFU_MANIFEST = 7
    DFU_MANIFEST_WAIT_RESET = 8
    DFU_UPLOAD_IDLE = 9
    DFU_ERROR = 10


class DfuStatusCode(IntEnum):
    """bStatus, DFU 1.1 §6.1.2."""

    OK = 0x00
    ERR_TARGET = 0x01
    ERR_FILE = 0x02
    ERR_WRITE = 0x03
    ERR_ERASE = 0x04
    ERR_CHECK_ERASED = 0x05
    ERR_PROG = 0x06
    ERR_VERIFY = 0x07
    ERR_ADDRESS = 0x08
    ERR_NOTDONE = 0x09
    ERR_FIRMWARE = 0x0A
    ERR_VENDOR = 0x0B
    ERR_USBR = 0x0C
    ERR_POR = 0x0D
    ERR_UNKNOWN = 0x0E
    ERR_STALLEDPKT = 0x0F


@dataclass(frozen=True, slots=True)
class DfuStatus:
    """Reply of GETSTATUS: bStatus, bwPollTimeout (ms, u24 LE), bState, iString; 6 bytes."""

    status: DfuStatusCode
    poll_timeout_ms: int
    state: DfuState
    string_index: int


def decode_status(data: bytes) -> DfuStatus:
    """Raises DfuProtocolError for a wrong length or an unknown status or state."""
    try:
        if len(data) != 6:
            raise ValueError(len(data))
        return DfuStatus(DfuStatusCode(data[0]), int.from_bytes(data[1:4], "little"), DfuState(data[4]), data[5])
    except ValueError as e:
        raise DfuProtocolError(f"not a DFU status: {data.hex() or 'no data'}", hint=_RESUME) from e


def _out(request: DfuRequest, w_value: int, interface: int, data: bytes = b"") -> ControlOut:
    return ControlOut(CLASS_OUT, request, w_value, interface, data)


def _in(request: DfuRequest, w_value: int, interface: int, length: int, timeout_s: float = 5.0) -> ControlIn:
    return ControlIn(CLASS_IN, request, w_value, interface, length, timeout_s)


def get_status(interface: int = 0) -> Machine[DfuStatus]:
    """GETSTATUS. Raises DfuProtocolError when it is stalled."""
    status = yield from _status_or_stall(interface)
    if status is None:
        raise DfuProtocolError("GETSTATUS was answered by a stall", hint=_RESUME)
    return status


def _status_or_stall(interface: int) -> Machine[DfuStatus | None]:
    reply = yield _in(DfuRequest.GETSTATUS, 0, interface, 6, BUSY_TIMEOUT_S)
    return decode_status(reply) if isinstance(reply, bytes) else None


def _refused(what: str, address: int, interface: int) -> Machine[DfuProtocolError]:
    """Why a GETSTATUS was stalled: see :func:`_stalled`."""
    return _stalled(what, address, (yield from _status_or_stall(interface)))


def _stalled(what: str, address: int, next_status: DfuStatus | None) -> DfuProtocolError:
    """The work behind a GETSTATUS that was stalled has failed. nRF52840 boards tell the reason when they are asked
    again, those with an STM32F2 say then that all is well. Source: both run on emulated chips
    (particle_harness.emulator.differential)."""
    if next_status is not None and next_status.state is DfuState.DFU_ERROR:
        return _failed(what, address, next_status)
    return DfuProtocolError(
        f"{what} at 0x{address:08x} failed: GETSTATUS was answered by a stall", address=address, hint=_RESUME
    )


def go_idle(interface: int = 0) -> Machine[None]:
    """Bring the device to dfuIDLE from any state it can be found in.

    CLRSTATUS outside of dfuERROR stalls and enters dfuERROR on nRF52840, so the loop may pass there once. Raises
    DfuProtocolError when dfuIDLE is not reached.
    """
    for _ in range(4):
        reply = yield _in(DfuRequest.GETSTATUS, 0, interface, 6, BUSY_TIMEOUT_S)
        state = decode_status(reply).state if isinstance(reply, bytes) else DfuState.DFU_ERROR
        if state is DfuState.DFU_IDLE:
            return
        if state in (DfuState.DFU_DNLOAD_IDLE, DfuState.DFU_UPLOAD_IDLE):
            yield _out(DfuRequest.ABORT, 0, interface)
        elif state is DfuState.DFU_ERROR:
            yield _out(DfuRequest.CLRSTATUS, 0, interface)
    raise DfuProtocolError("the device does not return to dfuIDLE", hint="reset it and enter DFU mode again")


def _download(w_value: int, data: bytes, interface: int, what: str, address: int) -> Machine[bool]:
    """One DNLOAD and its GETSTATUS polls until dfuDNLOAD-IDLE. Whether two were enough, without a time to wait: then
    they may be queued behind it."""
    reply: Reply = yield _out(DfuRequest.DNLOAD, w_value, interface, data)
    if isinstance(reply, Stall):
        status = yield from get_status(interface)
        raise _failed(what, address, status)
    at_once, number, waited_s = True, 0, 0.0
    while True:
        answer = yield from _status_or_stall(interface)
        if answer is None:
            raise (yield from _refused(what, address, interface))
        status = answer
        if status.state is DfuState.DFU_DNLOAD_IDLE:
            return at_once and number < 2
        number += 1
        if status.state not in (DfuState.DFU_DNBUSY, DfuState.DFU_DNLOAD_SYNC):
            raise _failed(what, address, status)
        waited_s += status.poll_timeout_ms / 1000
        if waited_s > LONGEST_BUSY_S or number > MOST_POLLS:
            raise DfuProtocolError(
                f"{what} at 0x{address:08x} does not end: the device says it is busy, again and again",
                status=status.status,
                state=status.state,
                address=address,
                hint=f"reset the board into DFU mode, then {_RESUME}",
            )
        if status.poll_timeout_ms:
            at_once = False
            yield Wait(status.poll_timeout_ms / 1000)


@dataclass(frozen=True, slots=True)
class Download:
    """One DNLOAD that is to be done: an erase, an address or a block. ``what`` and ``address`` are for the error."""

    w_value: int
    data: bytes
    what: str
    address: int


def erasing(address: int) -> Download:
    """As :func:`erase_sector`."""
    return Download(0, encode_command(DfuseCommand.ERASE, address), "ERASE", address)


def addressing(address: int) -> Download:
    """As :func:`set_address`."""
    return Download(0, encode_command(DfuseCommand.SET_ADDRESS, address), "SET_ADDRESS", address)


def writing(block: int, data: bytes, address: int) -> Download:
    """As :func:`write_block`."""
    if not 0 < len(data) <= TRANSFER_SIZE_BYTES:
        # A DNLOAD without data would boot the application.
        raise ValueError(f"a block has 1 to {TRANSFER_SIZE_BYTES} bytes, not {len(data)}")
    return Download(FIRST_DATA_BLOCK + block, data, "DNLOAD", address)


def download_all(steps: Sequence[Download], interface: int = 0) -> Machine[None]:
    """Several DNLOADs, each with the two GETSTATUS that start its work and tell its end, in one queue. **For devices
    whose single downloads need no time in between**, as the results of those have told. One that fails leaves an
    nRF52840 in dfuERROR, where it accepts none of those behind it; an STM32F2 goes on with them. Raises
    DfuProtocolError for the first that failed."""
    status = _in(DfuRequest.GETSTATUS, 0, interface, 6, BUSY_TIMEOUT_S)
    replies = yield from _queue(
        action for s in steps for action in (_out(DfuRequest.DNLOAD, s.w_value, interface, s.data), status, status)
    )
    for number, step in enumerate(steps):
        accepted, *answers = replies[3 * number : 3 * number + 3]
        statuses = [decode_status(answer) if isinstance(answer, bytes) else None for answer in answers]
        started, ended = statuses
        if started is None and ended is not None:
            raise _stalled(step.what, step.address, ended)
        if started is None or ended is None:
            raise (yield from _refused(step.what, step.address, interface))
        is_busy = started.state in (DfuState.DFU_DNBUSY, DfuState.DFU_DNLOAD_SYNC, DfuState.DFU_DNLOAD_IDLE)
        if isinstance(accepted, Stall) or not is_busy:
            raise _failed(step.what, step.address, started)
        if ended.state is not DfuState.DFU_DNLOAD_IDLE:
            raise _failed(step.what, step.address, ended)


def _queue(actions: Iterable[ControlIn | ControlOut]) -> Machine[tuple[TransferReply, ...]]:
    replies = yield ControlQueue(tuple(actions))
    assert isinstance(replies, tuple)
    return replies


def _by(count: int, items: Iterable[int]) -> Iterator[list[int]]:
    """Groups of at most ``count``."""
    rest = list(items)
    while rest:
        yield rest[:count]
        del rest[:count]


def _failed(what: str, address: int, status: DfuStatus) -> DfuProtocolError:
    hint = "the device is protected; it must be opened first" if status.status is DfuStatusCode.ERR_VENDOR else ""
    return DfuProtocolError(
        f"{what} at 0x{address:08x} failed: {status.status.name} in {status.state.name}",
        status=status.status,
        state=status.state,
        address=address,
        hint=hint or _RESUME,
    )


def set_address(address: int, interface: int = 0) -> Machine[bool]:
    """Set the address pointer. Raises DfuProtocolError when the device refuses. For the result see
    :func:`download_all`: whether the device needs no time between two GETSTATUS."""
    return (yield from _download_one(addressing(address), interface))


def erase_sector(address: int, interface: int = 0) -> Machine[bool]:
    """Erase the sector that holds ``address``. Destroys its contents; the device checks no slot borders. Result as
    :func:`set_address`."""
    return (yield from _download_one(erasing(address), interface))


def write_block(block: int, data: bytes, address: int, interface: int = 0) -> Machine[bool]:
    """Program ``data`` (at most wTransferSize bytes) at block ``block`` (0 = at the address pointer).

    ``address`` is only for the error. The flash must have been erased. Result as :func:`set_address`.
    """
    return (yield from _download_one(writing(block, data, address), interface))


def _download_one(step: Download, interface: int) -> Machine[bool]:
    return (yield from _download(step.w_value, step.data, interface, step.what, step.address))


def upload(address: int, size_bytes: int, interface: int = 0) -> Machine[bytes]:
    """``size_bytes`` bytes from ``address`` on. Changes nothing on the device. Raises DfuProtocolError."""
    pieces = yield from upload_blocks(address, size_bytes, range(-(-size_bytes // TRANSFER_SIZE_BYTES)), interface)
    return b"".join(pieces)


def upload_blocks(address: int, size_bytes: int, blocks: Iterable[int], interface: int = 0) -> Machine[list[bytes]]:
    """Some of the blocks of ``size_bytes`` bytes from ``address`` on, 0 being the first, in the order asked for.
    Changes nothing on the device. Raises DfuProtocolError."""
    yield from go_idle(interface)
    yield from set_address(address, interface)
    yield _out(DfuRequest.ABORT, 0, interface)
    pieces: list[bytes] = []
    for some in _by(UPLOADS_AT_ONCE, blocks):
        lengths = [min(TRANSFER_SIZE_BYTES, size_bytes - block * TRANSFER_SIZE_BYTES) for block in some]
        uploads = zip(some, lengths, strict=True)
        replies = yield from _queue(_in(DfuRequest.UPLOAD, FIRST_DATA_BLOCK + b, interface, n) for b, n in uploads)
        for block, length, reply in zip(some, lengths, replies, strict=True):
            if not isinstance(reply, bytes) or len(reply) != length:
                status = yield from get_status(interface)
                raise _failed("UPLOAD", address + block * TRANSFER_SIZE_BYTES, status)
            pieces.append(reply)
    yield _out(DfuRequest.ABORT, 0, interface)
    return pieces


def leave(interface: int = 0) -> Machine[DfuState]:
    """Tell the bootloader to reset into the application, about 0.5 s later. **Boots the application, which may connect
    to the cloud and start billing.** Returns the state that announced it: dfuMANIFEST or, on STM32F2,
    dfuDNLOAD-IDLE. Must not be followed by another request."""
    yield from go_idle(interface)
    yield _out(DfuRequest.DNLOAD, FIRST_DATA_BLOCK, interface)
    status = yield from get_status(interface)
    if status.state not in (
        DfuState.DFU_MANIFEST,
        DfuState.DFU_DNLOAD_IDLE,
        DfuState.DFU_MANIFEST_WAIT_RESET,
    ):
        raise _failed("leave", 0, status)
    return status.state


def supported_commands(interface: int = 0) -> Machine[frozenset[int]]:
    """The DfuSe commands that the bootloader names in block 0 of UPLOAD. Changes nothing. Raises DfuProtocolError."""
    yield from go_idle(interface)
    reply = yield _in(DfuRequest.UPLOAD, 0, interface, 64)
    if not isinstance(reply, bytes):
        raise DfuProtocolError("the bootloader does not tell its commands", hint=_RESUME)
    return frozenset(reply)


def leave_into_safe_mode(interface: int = 0) -> Machine[None]:
    """Tell the bootloader to reset into safe mode, about 0.5 s later. **Safe mode connects to the cloud, which starts
    billing.** Needs a bootloader that names the command (Device OS 6.1.1). Must not be followed by another request."""
    yield from go_idle(interface)
    yield _out(DfuRequest.DNLOAD, 0, interface, bytes([DfuseCommand.ENTER_SAFE_MODE]))
    status = yield from get_status(interface)
    if status.state is DfuState.DFU_DNBUSY:
        # The command runs after this reply; the next one must be the last.
        status = yield from get_status(interface)
    if status.state is not DfuState.DFU_MANIFEST:
        raise _failed("ENTER_SAFE_MODE", 0, status)
