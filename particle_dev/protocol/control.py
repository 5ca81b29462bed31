"""Particle's control-request service on endpoint 0, without I/O.

One request is a conversation: INIT announces type and payload size, SEND carries the payload, CHECK asks for the
result with growing pauses, RECV fetches reply data. The pauses are outputs (:class:`~particle_dev.protocol.usb.Wait`).

Source: device-os v6.2.0 system/src/usb_control_request_channel.cpp; particle-usb src/device-base.js for the pauses
and the chunk size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from particle_dev.catalog.requests import (
    MAX_PAYLOAD_SIZE_BYTES,
    RAW_REQUEST,
    SERVICE_REPLY_SIZE_BYTES,
    VENDOR_IN,
    VENDOR_OUT,
    RawRequest,
    ServiceField,
    ServiceRequest,
    ServiceStatus,
    result_name,
)
from particle_dev.errors import ControlProtocolError, LinkTimeoutError
from particle_dev.protocol.usb import ControlIn, ControlOut, Machine, Reply, Stall, Wait

CHECK_PAUSES_S = (0.05, 0.05, 0.1, 0.1, 0.25, 0.25, 0.5, 0.5, 1.0)
"""Pause before each CHECK; the last one repeats. Those of Particle's own client."""
CANCELLED = -140
"""Result code of a request that was aborted."""
MAX_CHUNK_BYTES = 4096
"""Largest data stage of SEND and RECV."""
DEFAULT_TIMEOUT_S = 60.0
_AGAIN = "run it again; if it stays so, reset the device"


@dataclass(frozen=True, slots=True)
class ServiceReply:
    """Reply of INIT, CHECK and RESET; absent fields are None."""

    status: ServiceStatus
    request_id: int | None = None
    size_bytes: int | None = None
    result_code: int | None = None


@dataclass(frozen=True, slots=True)
class ControlResult:
    """How a request ended: ``result_code`` 0 is success; reply data may come with an error too."""

    result_code: int
    data: bytes

    @property
    def ok(self) -> bool:
        """True when the device reported success."""
        return self.result_code == 0

    def __str__(self) -> str:
        return f"{result_name(self.result_code)} ({self.result_code}), {len(self.data)} bytes"


def decode_service_reply(data: bytes) -> ServiceReply:
    """The fields of a service reply: u32 flags, then u16 status, u16 id, u32 size, i32 result as flagged (LE).

    Raises ControlProtocolError when bytes are missing or the status is unknown.
    """
    try:
        (flags,) = struct.unpack_from("<I", data, 0)
        offset = 4
        values: dict[ServiceField, int] = {}
        for field, fmt in (
            (ServiceField.STATUS, "<H"),
            (ServiceField.ID, "<H"),
            (ServiceField.SIZE, "<I"),
            (ServiceField.RESULT, "<i"),
        ):
            if flags & field:
                (values[field],) = struct.unpack_from(fmt, data, offset)
                offset += struct.calcsize(fmt)
        status = ServiceStatus(values[ServiceField.STATUS])
    except (struct.error, ValueError, KeyError) as e:
        raise ControlProtocolError(f"not a service reply: {data.hex()}", hint=_AGAIN) from e
    return ServiceReply(
        status, values.get(ServiceField.ID), values.get(ServiceField.SIZE), values.get(ServiceField.RESULT)
    )


class _Pauses:
    """Pauses between CHECKs, with the total kept against a time limit."""

    def __init__(self, timeout_s: float, pauses_s: Sequence[float], aborted: Callable[[], bool]) -> None:
        self.timeout_s = timeout_s
        self.aborted = aborted
        self._pauses_s = pauses_s
        self.spent_s = 0.0
        self.restart()

    def restart(self) -> None:
        self._n = 0

    def next(self) -> Wait | None:
        """The next pause, or None when it would exceed the limit."""
        pause_s = self._pauses_s[min(self._n, len(self._pauses_s) - 1)]
        if self.spent_s + pause_s > self.timeout_s:
            return None
        self._n += 1
        self.spent_s += pause_s
        return Wait(pause_s)


def _service(request: ServiceRequest, w_value: int, w_index: int) -> ControlIn:
    return ControlIn(VENDOR_IN, request, w_value, w_index, SERVICE_REPLY_SIZE_BYTES)


def _decode(request_type: int, reply: Reply, stage: str) -> ServiceReply:
    if not isinstance(reply, bytes):
        raise ControlProtocolError(
            f"request {request_type}: {stage} was answered by a stall",
            request_type=request_type,
            hint="the device may be in DFU mode or not a Particle device",
        )
    return decode_service_reply(reply)


def reset_requests(request_id: int = 0) -> Machine[ServiceStatus]:
    """Cancel one pending request, or all with id 0. A host does this on opening, since a device keeps the slots of a
    host that died. Returns OK or NOT_FOUND."""
    reply = yield _service(ServiceRequest.RESET, 0, request_id)
    return _decode(0, reply, "RESET").status


class _AbortedError(Exception):
    """The caller wants no result any more; the device has been told."""


_NO_ROOM = {
    ServiceStatus.BUSY: ("stayed busy", "close other programs that talk to it, or reset it"),
    ServiceStatus.NO_MEMORY: (
        "had no memory for it",
        "its system has not come to earlier requests, given up ones among them: try again later, or reset it",
    ),
}
"""What passes by itself: what to say of a device where it does not, and what to do."""


def _never() -> bool:
    return False


def perform_request(
    request_type: int,
    payload: bytes = b"",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    *,
    pauses_s: Sequence[float] = CHECK_PAUSES_S,
    aborted: Callable[[], bool] = _never,
) -> Machine[ControlResult]:
    """Carry out one control request.

    ``timeout_s`` bounds the sum of the pauses. While the device has no room for the request (BUSY, NO_MEMORY), INIT is
    repeated. When ``aborted()`` turns true, which is asked before each pause, the request is cancelled on the device
    and the result is CANCELLED; what the device had begun by then it may still finish.
    Raises LinkTimeoutError after cancelling the request on the device, ControlProtocolError for an answer outside the
    protocol, ValueError for a payload above 65535 bytes. Closing the generator leaves the request pending: run
    :func:`reset_requests` then.
    """
    if len(payload) > MAX_PAYLOAD_SIZE_BYTES:
        raise ValueError(f"payload of {len(payload)} bytes exceeds {MAX_PAYLOAD_SIZE_BYTES}")
    pauses = _Pauses(timeout_s, pauses_s, aborted)
    try:
        request_id, ready = yield from _init(request_type, len(payload), pauses)
        if payload:
            if not ready:
                yield from _check(request_type, request_id, pauses)
            yield from _send(request_type, request_id, payload)
            pauses.restart()
        done = yield from _check(request_type, request_id, pauses)
    except _AbortedError:
        return ControlResult(CANCELLED, b"")
    if done.result_code is None:
        raise ControlProtocolError(
            f"request {request_type} ended without a result", request_type=request_type, hint=_AGAIN
        )
    data = yield from _receive(request_type, request_id, done.size_bytes or 0)
    return ControlResult(done.result_code, data)


def _init(request_type: int, size_bytes: int, pauses: _Pauses) -> Machine[tuple[int, bool]]:
    """(request id, buffer ready) once the device has accepted the request."""
    while True:
        reply = _decode(request_type, (yield _service(ServiceRequest.INIT, size_bytes, request_type)), "INIT")
        if reply.status in (ServiceStatus.OK, ServiceStatus.PENDING):
            if reply.request_id is None:
                raise ControlProtocolError(
                    f"request {request_type}: INIT gave no id", request_type=request_type, hint=_AGAIN
                )
            return reply.request_id, reply.status is ServiceStatus.OK
        if reply.status not in _NO_ROOM:
            raise ControlProtocolError(
                f"request {request_type}: INIT refused with {reply.status.name}", request_type=request_type, hint=_AGAIN
            )
        pause = pauses.next()
        if pause is None:
            what, hint = _NO_ROOM[reply.status]
            raise LinkTimeoutError(f"request {request_type}: the device {what} for {pauses.spent_s:.1f} s", hint=hint)
        if pauses.aborted():
            raise _AbortedError
        yield pause


def _check(request_type: int, request_id: int, pauses: _Pauses) -> Machine[ServiceReply]:
    """The first CHECK that is not PENDING."""
    while True:
        pause = pauses.next()
        if pause is None:
            yield from reset_requests(request_id)
            raise LinkTimeoutError(
                f"request {request_type}: no result within {pauses.timeout_s:.0f} s; the request was cancelled",
                hint="Device OS may still be starting, or the application blocks its loop: try again; then enter "
                "listening mode, or reset the device, and try again",
            )
        if pauses.aborted():
            yield from reset_requests(request_id)
            raise _AbortedError
        yield pause
        reply = _decode(request_type, (yield _service(ServiceRequest.CHECK, 0, request_id)), "CHECK")
        if reply.status is ServiceStatus.OK:
            return reply
        if reply.status is not ServiceStatus.PENDING:
            raise ControlProtocolError(
                f"request {request_type}: CHECK answered {reply.status.name}", request_type=request_type, hint=_AGAIN
            )


def _send(request_type: int, request_id: int, payload: bytes) -> Machine[None]:
    for offset in range(0, len(payload), MAX_CHUNK_BYTES):
        chunk = payload[offset : offset + MAX_CHUNK_BYTES]
        reply = yield ControlOut(VENDOR_OUT, ServiceRequest.SEND, 0, request_id, chunk)
        if isinstance(reply, Stall):
            raise ControlProtocolError(
                f"request {request_type}: payload refused at byte {offset}", request_type=request_type, hint=_AGAIN
            )


def _receive(request_type: int, request_id: int, size_bytes: int) -> Machine[bytes]:
    data = b""
    while len(data) < size_bytes:
        length = min(size_bytes - len(data), MAX_CHUNK_BYTES)
        reply = yield ControlIn(VENDOR_IN, ServiceRequest.RECV, 0, request_id, length)
        if not isinstance(reply, bytes) or len(reply) != length:
            got = f"{len(reply)} bytes" if isinstance(reply, bytes) else "a stall"
            raise ControlProtocolError(
                f"request {request_type}: RECV of {length} bytes gave {got}", request_type=request_type, hint=_AGAIN
            )
        data += reply
    return data


def raw_text(request: RawRequest) -> Machine[str | None]:
    """Answer of a raw request as text (DEVICE_ID in upper case, SYSTEM_VERSION), None when the device stalls it. It
    comes from the USB interrupt, so even a device whose threads are blocked gives it."""
    reply = yield ControlIn(VENDOR_IN, RAW_REQUEST, 0, request, SERVICE_REPLY_SIZE_BYTES, 1.0)
    # Old firmware pads with zero bytes.
    return reply.rstrip(b"\0").decode("ascii", "replace") if isinstance(reply, bytes) else None


def raw_act(request: RawRequest, needs_data_stage: bool) -> Machine[bool]:
    """A raw request that acts (RESET, CLOUD_DISCONNECT); False when the device stalls it.

    ``needs_data_stage``: RTL872x never completes an OUT transfer without a data stage, so one byte goes with it.
    """
    data = b"\0" if needs_data_stage else b""
    return (yield ControlOut(VENDOR_OUT, RAW_REQUEST, 0, request, data, 1.0)) is None
