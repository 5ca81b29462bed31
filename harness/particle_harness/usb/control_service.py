"""The request/reply service on endpoint 0 as the device runs it: INIT, CHECK, SEND, RECV, RESET.

Requests live in RAM: they end with the enumeration, and a new process does not find those of the last.
Source: device-os v2.1.0 system/src/usb_control_request_channel.cpp.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum

from particle_harness.usb.request_pool import RequestPool
from particle_harness.usb.transfer import Setup, StallError

MAX_ACTIVE_REQUESTS = 4
MAX_POOLED_PAYLOAD_BYTES = 64
SHORTEST_REPLY_LENGTH = 64
CANCELLED = -140
ABORTED = -150


class Service(IntEnum):
    """Requests of the service, as bRequest has them."""

    INIT = 1
    CHECK = 2
    SEND = 3
    RECV = 4
    RESET = 5


class _Answer(IntEnum):
    OK = 0
    PENDING = 2
    BUSY = 3
    NO_MEMORY = 4
    NOT_FOUND = 5


class _Stage(Enum):
    ALLOCATE = 0
    RECEIVE = 1
    WORK = 2
    DONE = 3


Completion = Callable[[int], None]
"""Called with the result once the host has fetched everything, or with CANCELLED or ABORTED."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a handler made of a request: result code, reply data, and what happens when the host has them."""

    result: int
    data: bytes = b""
    completion: Completion | None = None


@dataclass(slots=True)
class _Request:
    id: int
    type: int
    size_bytes: int
    stage: _Stage
    block: int
    """Its place in the pool."""
    payload_block: int | None = None
    ready_at_s: float = 0.0
    payload: bytes = b""
    outcome: Outcome | None = None
    fetched: int = 0

    @property
    def is_through(self) -> bool:
        """Whether the place in its data is where its reply ends, which it has none of before it is done."""
        if self.outcome is None:
            return self.stage is not _Stage.RECEIVE or not self.payload
        return self.fetched == len(self.outcome.data)


class ControlService:
    """State of all requests.

    ``handle(type, payload)`` carries a request out; ``duration_s(type, payload)`` says how long that takes, so that
    CHECK answers PENDING meanwhile. ``on_init(type)`` runs in the interrupt that takes a request in. ``is_busy()``: the
    system thread has something else to do now, and carries nothing out.
    """

    def __init__(
        self,
        handle: Callable[[int, bytes], Outcome],
        duration_s: Callable[[int, bytes], float],
        now_s: Callable[[], float],
        on_init: Callable[[int], None],
        is_busy: Callable[[], bool] = lambda: False,
        pool: RequestPool | None = None,
    ) -> None:
        self._handle = handle
        self._duration_s = duration_s
        self._now_s = now_s
        self._on_init = on_init
        self._is_busy = is_busy
        self._given_up: list[tuple[_Request, int]] = []
        """Requests that have ended while the system thread had still to see to them, and results. They keep their
        memory."""
        self._requests: dict[int, _Request] = {}
        self._last_id = 0
        self._pool = pool or RequestPool()
        self._ended_twice = 0
        self._current: _Request | None = None
        """Whose data the bus carries. It stays so until a transfer ends that has carried the last of them, even when
        the request has gone in between."""

    def request(self, setup: Setup, data: bytes) -> bytes:
        """One service request. Raises StallError as the device does."""
        self.advance()
        match setup.b_request:
            case Service.INIT:
                return self._init(setup)
            case Service.CHECK:
                return self._check(setup)
            case Service.SEND:
                return self._send(setup, data)
            case Service.RECV:
                return self._receive(setup)
            case Service.RESET:
                return self._reset(setup)
        raise StallError

    def data_stage_done(self) -> None:
        """The host has the last reply: a request that is complete ends here, and only here."""
        current = self._current
        if current is None:
            return
        # The firmware looks at the place in memory, where another request may lie by now.
        there = next((request for request in self._requests.values() if request.block == current.block), None)
        if there is not None and there.is_through:
            self._current = None
            self._end(there, there.outcome.result if there.outcome else 0)
        elif there is None and current.is_through:
            # It ends a second time. What else that does to the firmware's memory is not modelled.
            self._current = None
            self._ended_twice += 1

    def advance(self) -> None:
        """Carry out what is due."""
        if self._is_busy():
            return
        given_up, self._given_up = self._given_up, []
        for request, result in given_up:
            self._leave(request, result)
        now = self._now_s()
        for request in list(self._requests.values()):
            if request.stage is _Stage.ALLOCATE and now >= request.ready_at_s:
                request.stage = _Stage.RECEIVE
            if request.stage is _Stage.WORK and now >= request.ready_at_s:
                request.outcome = self._handle(request.type, request.payload)
                request.stage = _Stage.DONE
                self._free_payload(request)

    def abort_all(self) -> None:
        """USB reset or detach: every completion handler hears of it."""
        for request in list(self._requests.values()):
            self._end(request, ABORTED)
        self._current = None

    def _init(self, setup: Setup) -> bytes:
        self._require_reply_length(setup)
        # The firmware counts in 16 bits, and each time that a request ends.
        if len(self._requests) - self._ended_twice & 0xFFFF >= MAX_ACTIVE_REQUESTS:
            return _reply(_Answer.BUSY)
        block = self._pool.allocate(self._pool.request_bytes)
        if block is None:
            return _reply(_Answer.NO_MEMORY)
        self._last_id = self._last_id + 1 & 0xFFFF
        request = _Request(self._last_id, setup.w_index, setup.w_value, _Stage.RECEIVE, block)
        self._requests[request.id] = request
        if request.size_bytes == 0:
            self._on_init(request.type)
            self._start(request)
            return _reply(_Answer.OK, request_id=request.id)
        if request.size_bytes <= MAX_POOLED_PAYLOAD_BYTES:
            request.payload_block = self._pool.allocate(request.size_bytes)
        if request.payload_block is None:
            # A system task allocates the buffer, so not even a device without delays is ready at once.
            request.stage = _Stage.ALLOCATE
            request.ready_at_s = self._now_s()
            return _reply(_Answer.PENDING, request_id=request.id)
        return _reply(_Answer.OK, request_id=request.id)

    def _check(self, setup: Setup) -> bytes:
        self._require_reply_length(setup)
        request = self._requests.get(setup.w_index)
        if request is None:
            return _reply(_Answer.NOT_FOUND)
        if request.stage is _Stage.RECEIVE:
            return _reply(_Answer.OK)
        if request.outcome is None:
            return _reply(_Answer.PENDING)
        if not request.outcome.data:
            self._current = request
        return _reply(_Answer.OK, size_bytes=len(request.outcome.data), result=request.outcome.result)

    def require_room(self, setup: Setup) -> None:
        """Whether the request that a SEND is for takes so many bytes now. Raises StallError."""
        self.advance()
        self._taker(setup)

    def _taker(self, setup: Setup) -> _Request:
        request = self._requests.get(setup.w_index)
        if request is None or request.stage is not _Stage.RECEIVE or not setup.w_length:
            raise StallError
        if len(request.payload) + setup.w_length > request.size_bytes:
            raise StallError
        return request

    def _send(self, setup: Setup, data: bytes) -> bytes:
        request = self._taker(setup)
        request.payload += data
        if len(request.payload) == request.size_bytes:
            self._start(request)
        return b""

    def _receive(self, setup: Setup) -> bytes:
        request = self._requests.get(setup.w_index)
        if request is None or request.outcome is None or setup.w_length == 0:
            raise StallError
        end = request.fetched + setup.w_length
        if end > len(request.outcome.data):
            raise StallError
        chunk = request.outcome.data[request.fetched : end]
        request.fetched = end
        self._current = request
        return chunk

    def _reset(self, setup: Setup) -> bytes:
        self._require_reply_length(setup)
        if setup.w_index == 0:
            for request in list(self._requests.values()):
                self._end(request, CANCELLED)
            return _reply(_Answer.OK)
        if setup.w_index not in self._requests:
            return _reply(_Answer.NOT_FOUND)
        self._end(self._requests[setup.w_index], CANCELLED)
        return _reply(_Answer.OK)

    def _start(self, request: _Request) -> None:
        request.stage = _Stage.WORK
        request.ready_at_s = self._now_s() + self._duration_s(request.type, request.payload)

    def _end(self, request: _Request, result: int) -> None:
        del self._requests[request.id]
        if request.stage in (_Stage.ALLOCATE, _Stage.WORK) and self._is_busy():
            self._given_up.append((request, result))
        else:
            self._leave(request, result)

    def _leave(self, request: _Request, result: int) -> None:
        if request.stage is _Stage.WORK:
            # Its handler is already on its way to the system thread and nothing stops it there.
            request.outcome = self._handle(request.type, request.payload)
        self._free_payload(request)
        self._pool.free(request.block)
        if request.outcome and request.outcome.completion:
            request.outcome.completion(result)

    def _free_payload(self, request: _Request) -> None:
        if request.payload_block is not None:
            self._pool.free(request.payload_block)
            request.payload_block = None

    @staticmethod
    def _require_reply_length(setup: Setup) -> None:
        if setup.w_length < SHORTEST_REPLY_LENGTH:
            raise StallError


def _reply(answer: _Answer, *, request_id: int | None = None, size_bytes: int = 0, result: int | None = None) -> bytes:
    flags, body = 1, struct.pack("<H", answer)
    if request_id is not None:
        flags, body = flags | 2, body + struct.pack("<H", request_id)
    if size_bytes:
        flags, body = flags | 4, body + struct.pack("<I", size_bytes)
    if result is not None:
        flags, body = flags | 8, body + struct.pack("<i", result)
    return struct.pack("<I", flags) + body
