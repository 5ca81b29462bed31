"""Random conversations with a running Device OS, from a seed: control requests whole and broken off, several at once,
raw requests, standard and class requests, and everything that a confused or hostile host might send.

Source: device-os v2.1.0 system/src/usb_control_request_channel.cpp, system/inc/system_control.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from particle_harness.emulator.conversations.acts import (
    ALL,
    AS_ANNOUNCED,
    Abandoned,
    Act,
    Enumerate,
    Return,
    Step,
    Transfer,
    Wait,
)
from particle_harness.emulator.conversations.setups import CLASS, GET_LINE_CODING, RAW, SET_LINE_CODING, STANDARD
from particle_harness.usb.cdc import DFU_TOUCH_BAUD, LISTENING_TOUCH_BAUD
from particle_harness.usb.control_service import MAX_POOLED_PAYLOAD_BYTES, Service
from particle_harness.usb.transfer import Setup
from particle_harness.usb.wire import bytes_field, number_field

ECHO, DEVICE_MODE, SET_FEATURE, GET_FEATURE, SETUP_DONE, CLAIM_CODE = 1, 72, 33, 34, 73, 200
SERIAL_NUMBER, DIAGNOSTICS = 21, 100
START_UPDATE, FINISH_UPDATE, CANCEL_UPDATE, UPDATE_DATA = 250, 251, 252, 253
_DFU_MODE = 50
_RESTARTS = (40, _DFU_MODE, 60)
_ASKING = (20, 20, 30, 30, 32, 34, DEVICE_MODE, DEVICE_MODE, 74, 201, 300, 400, 401, 553, 70, 230, 231, 302)
_REFUSED = (0, 2, 10, 76, 77, 80, 91, 110, 120, 210, 211, 220, 222, 240, 260, 402, 555, 600, 1001, 1100)
_UNKNOWN = (9999, 0xFFFF, 0x8000)
_WITH_PAYLOAD = (ECHO, ECHO, SET_FEATURE, GET_FEATURE, 75, 401, 550, 551, 230, 231, 9999, 20, 72)
LEFT_OUT = (
    "listening mode left by request 71: what follows is the network's business, and the network is a stand-in",
    "GET_MODULE_INFO in every conversation: Device OS asks the modem first, which takes 19 s of its time",
    "an update larger than the region for updates: Device OS before 3.0.0 erases what lies behind it, its files first",
    "CELLULAR_GET_ICCID and all about Wi-Fi: modem and network processor are stand-ins",
    "a request after a RESET of one whose reply was read in part: Device OS drops it where it lies in that one's place "
    "in memory, which is a matter of its history; a bus reset comes in between",
    "RESET of a request whose whole reply was asked for and not fetched: it ends twice, and Device OS is BUSY for ever",
    "a CHECK that is not repeated while a request is worked on: how long that takes is the chip's affair",
)
USUAL_BAUD = 9600


@dataclass(slots=True)
class OpenRequest:
    """A request that the host believes to be open."""

    number: int
    kind: int
    payload: bytes
    sent: int = 0


def line_coding(baud: int, length: int = 7) -> Transfer:
    """SET_LINE_CODING, 8N1."""
    data = (baud.to_bytes(4, "little") + bytes([0, 0, 8])).ljust(length, b"\0")[:length]
    return Transfer(Setup(0x21, SET_LINE_CODING, 0, 0, length), data)


def whole(number: int, kind: int, payload: bytes = b"") -> Iterator[Step]:
    """A request as a sane host makes it."""
    yield Step(Service.INIT, number, kind, value=len(payload))
    if len(payload) > MAX_POOLED_PAYLOAD_BYTES:
        yield Step(Service.CHECK, number, kind, until_done=True)
    if payload:
        yield Step(Service.SEND, number, kind, len(payload), data=payload)
    yield Step(Service.CHECK, number, kind, until_done=True)
    yield Step(Service.RECV, number, kind, AS_ANNOUNCED)


class SystemConversation:
    """Makes sequences of acts. The same seed gives the same sequence. The tables are those of nRF52840 boards."""

    standard: ClassVar[Sequence[Setup]] = STANDARD
    raw: ClassVar[Sequence[Setup]] = RAW
    class_requests: ClassVar[Sequence[Setup]] = CLASS
    settle_s: ClassVar[float] = 0.006
    """In which the system thread takes a request in; those that take longer are asked about until they are done."""
    strings: ClassVar[Sequence[int]] = (0, 1, 2, 3, 4, 5, 6, 7, 0xEE)
    asking: ClassVar[Sequence[int]] = _ASKING
    with_payload: ClassVar[Sequence[int]] = _WITH_PAYLOAD
    not_modelled: ClassVar[frozenset[int]] = frozenset()
    """Types of requests that virtual boards do not know, and nobody sends."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._number = 0
        self._open: list[OpenRequest] = []
        self._read_in_part = False
        self._moves: Sequence[tuple[int, Callable[[], Iterator[Act]]]] = (
            (14, self._whole),
            (12, self._begin),
            (12, self._check),
            (10, self._send),
            (8, self._receive),
            (5, self._reset),
            (4, self._odd_length),
            (4, self._odd_service),
            (6, self._raw),
            (6, self._descriptor),
            (6, self._standard),
            (6, self._class),
            (6, self._abandoned),
            (2, self._broken_payload),
            (2, self._broken_reply),
            (2, self._update),
            (1, self._property),
            (1, self._configuration),
            (1, self._enumerate),
        )

    def acts(self, length: int) -> list[Act]:
        """At least that many acts; at last all requests are given up and what can be asked is asked, and now and then
        the host has the board restart."""
        acts: list[Act] = [Enumerate()]
        weights = [weight for weight, _ in self._moves]
        while len(acts) < length:
            acts.extend(self._random.choices(self._moves, weights)[0][1]())
        acts.append(Enumerate())
        acts.append(self._reset_all())
        acts.append(Wait(self.settle_s))
        for kind in (DEVICE_MODE, 74, 201, 300):
            acts.extend(whole(self._next(), kind))
        acts.extend(whole(self._next(), GET_FEATURE, number_field(1, 1)))
        return [*acts, Transfer(Setup(0xA1, GET_LINE_CODING, 0, 0, 7))]

    def restart(self) -> list[Act]:
        """The host has the board restart, in one of the ways there are."""
        acts: list[Act]
        match self._random.randrange(6):
            case 0 | 1 | 2 as choice:
                acts = self._without_reply(_RESTARTS[choice])
            case 3:
                acts = [Transfer(Setup(0x40, 0x50, 0, 40, 0))]
            case 4:
                acts = self.touch()
            case _:
                acts = [
                    line_coding(LISTENING_TOUCH_BAUD),
                    line_coding(USUAL_BAUD),
                    Wait(0.05),
                    *whole(self._next(), DEVICE_MODE),
                ]
                acts += self.enter_dfu()
        return [*acts, Return()]

    def touch(self) -> list[Act]:
        """The host asks for DFU mode by the speed of the serial port."""
        return [line_coding(DFU_TOUCH_BAUD), Wait(0.05), line_coding(USUAL_BAUD)]

    def enter_dfu(self) -> list[Act]:
        """The host asks for DFU mode."""
        return self._without_reply(_DFU_MODE)

    def _without_reply(self, kind: int) -> list[Act]:
        return [step for step in whole(self._next(), kind) if step.service is not Service.RECV]

    def _next(self) -> int:
        self._number += 1
        return self._number

    # ---- payloads ---------------------------------------------------------------------------------------------------

    def _payload(self, kind: int) -> bytes:
        random = self._random
        match random.randrange(7):
            case 0 | 1:
                return random.randbytes(random.choice((1, 2, 3, 8, 63, 64)))
            case 2:
                return random.randbytes(random.choice((65, 66, 100, 128, 300, 1000)))
            case 3:
                return number_field(1, random.choice((1, 2, 3, 0x7F, 0x80, 0xFFFF, 1 << 31, (1 << 64) - 1)))
            case 4:
                return bytes_field(random.choice((1, 2, 3, 15, 16)), random.randbytes(random.randrange(40)))
            case 5:
                fields = number_field(1, random.randrange(1, 5)) + bytes_field(2, bytes_field(1, b"apn"))
                return fields[: random.randrange(1, len(fields) + 1)]
        return b"\x08\x01" if kind != ECHO else random.randbytes(random.choice((1, 64, 65, 200)))

    def _kind_and_payload(self) -> tuple[int, bytes]:
        random = self._random
        refused = [kind for kind in _REFUSED if kind not in self.not_modelled]
        chosen = random.random()
        if chosen < 0.5:
            return random.choice(self.asking), b""
        if chosen < 0.65:
            return random.choice((*refused, *_UNKNOWN)), b""
        kind = random.choice(self.with_payload) if chosen < 0.9 else random.choice(refused)
        if kind == SET_FEATURE and random.random() < 0.9:
            kind = GET_FEATURE
        return kind, self._payload(kind)

    # ---- moves that a sane host makes -------------------------------------------------------------------------------

    def _whole(self) -> Iterator[Act]:
        yield from whole(self._next(), *self._kind_and_payload())

    def _begin(self) -> Iterator[Act]:
        kind, payload = self._kind_and_payload()
        request = OpenRequest(self._next(), kind, payload)
        self._open = [*self._open, request][-6:]
        yield Step(Service.INIT, request.number, kind, value=len(payload))
        yield self.settle(kind)

    def settle(self, kind: int) -> Wait:  # noqa: ARG002
        """Until a request of that type is taken in, and carried out where nobody may ask about it."""
        return Wait(self.settle_s)

    def _some(self) -> OpenRequest:
        if not self._open:
            return OpenRequest(self._random.choice((77, 78)), 0, b"\x00")
        return self._random.choice(self._open)

    def _check(self) -> Iterator[Act]:
        request = self._some()
        yield Step(Service.CHECK, request.number, request.kind, until_done=True)

    def _send(self) -> Iterator[Act]:
        request = self._some()
        rest = request.payload[request.sent :]
        size = self.piece_bytes(request, len(rest))
        data = rest[:size].ljust(size, b"\x08")
        if size <= len(rest):
            request.sent += size
        yield Step(Service.SEND, request.number, request.kind, size, data=data)
        yield self.settle(request.kind)

    def piece_bytes(self, request: OpenRequest, rest_bytes: int) -> int:  # noqa: ARG002
        """How much of a payload is sent next; ``request.sent`` is what was before."""
        if self._random.random() >= 0.4:
            return rest_bytes
        return self._random.choice((0, 1, 2, 63, 64, 65, 128, rest_bytes + 1))

    def _receive(self) -> Iterator[Act]:
        request = self._some()
        length = self._random.choice((AS_ANNOUNCED, AS_ANNOUNCED, 0, 1, 2, 10, 63, 64, 65, 100, 4096))
        self._read_in_part = True
        yield Step(Service.RECV, request.number, request.kind, length)

    def _reset_all(self) -> Step:
        self._open = []
        return Step(Service.RESET, ALL, 0)

    def _reset(self) -> Iterator[Act]:
        yield from self._forget_what_was_read()
        if self._random.random() < 0.3:
            yield self._reset_all()
        else:
            request = self._some()
            yield Step(Service.RESET, request.number, request.kind)
        yield Wait(self.settle_s)

    def _forget_what_was_read(self) -> Iterator[Act]:
        if self._read_in_part:
            yield from self._enumerate()

    def _update(self) -> Iterator[Act]:
        size = self._random.choice((0, 1, 1024, 4096, 5000))
        yield from whole(self._next(), START_UPDATE, number_field(1, size))
        for _ in range(self._random.randrange(3)):
            data = self._random.randbytes(self._random.choice((1, 100, 1024, 1024)))
            yield from whole(self._next(), UPDATE_DATA, bytes_field(1, data))
        if self._random.random() < 0.3:
            yield from whole(self._next(), FINISH_UPDATE, number_field(1, 1))
        yield from whole(self._next(), CANCEL_UPDATE)

    def _property(self) -> Iterator[Act]:
        # Working out diagnostics takes Device OS a second.
        yield from whole(self._next(), SERIAL_NUMBER if self._random.random() < 0.95 else DIAGNOSTICS)

    def _configuration(self) -> Iterator[Act]:
        random = self._random
        match random.randrange(4):
            case 0:
                yield from whole(self._next(), SET_FEATURE, number_field(1, 1) + number_field(2, random.randrange(2)))
            case 1:
                yield from whole(self._next(), SETUP_DONE)
            case 2:
                code = bytes(random.choice(b"ABCDEFGHIJ0123456789") for _ in range(random.choice((0, 1, 62, 63, 64))))
                yield from whole(self._next(), CLAIM_CODE, bytes_field(1, code))
            case _:
                yield from whole(self._next(), 75, number_field(1, random.randrange(3)))

    def _enumerate(self) -> Iterator[Act]:
        self._open, self._read_in_part = [], False
        yield Enumerate()
        yield Wait(self.settle_s)

    # ---- moves that none makes --------------------------------------------------------------------------------------

    def _odd_length(self) -> Iterator[Act]:
        service = self._random.choice((Service.INIT, Service.CHECK, Service.RESET))
        length = self._random.choice((0, 1, 8, 63, 65, 128, 255, 4096))
        request = OpenRequest(self._next(), 20, b"") if service is Service.INIT else self._some()
        yield Step(service, request.number, request.kind, length)

    def _odd_service(self) -> Iterator[Act]:
        random = self._random
        direction = random.choice((0x40, 0xC0, 0x41, 0xC1, 0x42, 0xC2, 0x43, 0xC3, 0xC4))
        code = random.choice((0, 1, 2, 3, 4, 5, 6, 15, 16))
        length = random.choice((0, 64)) if direction & 0x80 else random.choice((0, 0, 1, 64))
        index = random.choice((20, 9999)) if code == 1 else 0x7FFF
        value = random.choice((0, 0, 1, 2))
        yield Transfer(Setup(direction, code, value, index, length), bytes(0 if direction & 0x80 else length))

    def _raw(self) -> Iterator[Act]:
        yield Transfer(self._random.choice(self.raw))

    def _descriptor(self) -> Iterator[Act]:
        kind = self._random.choice((1, 2, 2, 3, 3, 3, 0x21, 4, 6, 7, 0x0F))
        index = self._random.choice(self.strings) if kind == 3 else 0
        length = self._random.choice((0, 1, 2, 4, 8, 9, 18, 36, 64, 84, 128, 255))
        language = self._random.choice((0x0409, 0x0409, 0, 0x0407)) if kind == 3 and index else 0
        yield Transfer(Setup(0x80, 6, kind << 8 | index, language, length))

    def _standard(self) -> Iterator[Act]:
        yield Transfer(self._random.choice(self.standard))

    def _class(self) -> Iterator[Act]:
        if self._random.random() < 0.6:
            yield Transfer(self._random.choice(self.class_requests))
            return
        baud, length = self._random.choice((1200, 9600, 115200, 14401)), self._random.choice((7, 7, 7, 0, 6, 8))
        yield line_coding(baud, length)

    def _abandoned(self) -> Iterator[Act]:
        random = self._random
        match random.randrange(7):
            case 0:
                request = OpenRequest(self._next(), 20, b"")
                yield Step(Service.INIT, request.number, request.kind, packets=random.randrange(2))
                yield Wait(self.settle_s)
            case 1:
                request, self._read_in_part = self._some(), True
                yield Step(Service.CHECK, request.number, request.kind, packets=random.randrange(2))
            case 2:
                request, self._read_in_part = self._some(), True
                yield Step(Service.RECV, request.number, request.kind, AS_ANNOUNCED, packets=random.randrange(3))
            case 3:
                request = self._some()
                data = request.payload[request.sent :] or b"\x08"
                packets = random.randrange(4)
                yield Step(Service.SEND, request.number, request.kind, len(data), data=data, packets=packets)
                yield self.settle(request.kind)
            case 4:
                setup = random.choice((Setup(0x80, 6, 0x0100, 0, 18), Setup(0x80, 6, 0x0200, 0, 255)))
                yield Abandoned(setup, packets=random.randrange(3))
            case 5:
                coding = line_coding(9600)
                yield Abandoned(coding.setup, coding.data, random.randrange(2))
            case _:
                setup = random.choice([setup for setup in self.raw if setup.is_in and setup.w_length])
                yield Abandoned(setup, packets=random.randrange(2))

    def _broken_payload(self) -> Iterator[Act]:
        """The host gives up in the middle of a payload, and goes on, sends it once more, or gives the request up."""
        random = self._random
        number, kind = self._next(), random.choice((ECHO, ECHO, GET_FEATURE, 9999))
        payload = random.randbytes(random.choice((64, 65, 128, 150, 300)))
        yield Step(Service.INIT, number, kind, value=len(payload))
        yield Step(Service.CHECK, number, kind, until_done=True)
        yield Step(Service.SEND, number, kind, len(payload), data=payload, packets=random.randrange(4))
        yield Wait(self.settle_s)
        if random.random() < 0.4:
            yield from self._forget_what_was_read()
            yield Step(Service.RESET, number, kind)
        else:
            yield Step(Service.SEND, number, kind, len(payload), data=payload)
            yield Step(Service.CHECK, number, kind, until_done=True)
            yield Step(Service.RECV, number, kind, AS_ANNOUNCED)

    def _broken_reply(self) -> Iterator[Act]:
        """The host gives up in the middle of a reply, and goes on, or gives the request up."""
        random = self._random
        number, payload = self._next(), random.randbytes(random.choice((63, 64, 65, 128, 150, 300)))
        yield from [step for step in whole(number, ECHO, payload) if step.service is not Service.RECV]
        length = random.choice((AS_ANNOUNCED, 64, 1, 20))
        packets = random.choice((None, 0, 1, 2))
        yield Step(Service.RECV, number, ECHO, length, packets=packets)
        if random.random() < 0.5:
            if packets is None:
                yield Step(Service.RESET, number, ECHO)
                yield Wait(self.settle_s)
            yield from self._enumerate()
        else:
            yield Step(Service.CHECK, number, ECHO)
            yield Step(Service.RECV, number, ECHO, AS_ANNOUNCED)
            self._read_in_part = True
