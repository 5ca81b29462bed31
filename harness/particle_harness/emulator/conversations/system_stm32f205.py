"""Random conversations with a running Device OS on an STM32F205: what its library, its serial port and its
configuration know beside what nRF52840 boards are asked (:mod:`particle_harness.emulator.conversations.system`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import ClassVar

from particle_harness.boards import Hardware
from particle_harness.emulator.conversations.acts import Abandoned, Act, Step, Transfer, Wait
from particle_harness.emulator.conversations.setups import CLASS, RAW, SET_LINE_CODING, STANDARD
from particle_harness.emulator.conversations.system import (
    CLAIM_CODE,
    OpenRequest,
    SystemConversation,
    line_coding,
    whole,
)
from particle_harness.usb.cdc import DFU_TOUCH_BAUD
from particle_harness.usb.control_service import MAX_POOLED_PAYLOAD_BYTES
from particle_harness.usb.descriptors import MS_OS_VENDOR_CODE, NORMAL_GUID, ms_os_compat_id, ms_os_properties
from particle_harness.usb.transfer import TO_ENDPOINT, TYPE_CLASS, Setup
from particle_harness.usb.wire import bytes_field, number_field

SET_KEY, GET_KEY, SET_SERVER, GET_SERVER, SET_PROTOCOL, GET_PROTOCOL, SET_ACCESS_POINT = (
    210,
    211,
    220,
    221,
    222,
    223,
    240,
)
LEFT_OUT = (
    "requests to endpoints that there are not: the library reads and writes behind its tables",
    "Microsoft properties with wValue other than 2 and more than their ten bytes: they come from a place in memory "
    "that is something else by then, and the board falls silent",
    "SET_LINE_CODING without data: one of its bytes comes from such a place, too",
    "data for the serial port of more than eight bytes: they overwrite what lies behind its buffer",
    "a piece of more than 64 bytes of a payload behind one that is not of whole words: up to three bytes behind the "
    "payload's place in memory are overwritten, and the board dies",
    "the serial port before anyone has read the configuration descriptor: it is not there yet",
)
_ENDPOINTS = (0x00, 0x80, 0x01, 0x81, 0x82, 0x83)
_FIRST_WITHOUT = 2000
"""Source: device-os v1.5.0 and v2.0.0 system/src/system_control_internal.cpp."""
_START_LISTENING, _CLOUD_DISCONNECT = 70, 302
_COMMAND_BYTES, _DUMMY_BYTES, _PROPERTIES_VALUE = 8, 10, 2
_COMPAT_ID, _PROPERTIES, _WORD_BYTES = 4, 5, 4
_MORE_STANDARD = (
    *(Setup(direction, request, value, endpoint, 0)
      for endpoint in _ENDPOINTS for direction, request, value in ((0x02, 1, 0), (0x02, 3, 0), (0x02, 3, 1))),
    *(Setup(0x82, 0, 0, endpoint, 2) for endpoint in _ENDPOINTS),
    Setup(0x80, 8, 0, 0, 2),
    Setup(0x00, 1, 1, 2, 0),
    Setup(0x00, 3, 1, 2, 0),
    Setup(0x00, 3, 2, 0x0100, 0),
    Setup(0x00, 3, 2, 1, 0),
    Setup(0x00, 3, 7, 0, 0),
    Setup(0x01, 11, 3, 0, 0),
    Setup(0x01, 11, 10, 0, 0),
    Setup(0x01, 11, 0, 2, 0),
    Setup(0x81, 0, 0, 1, 2),
    Setup(0x81, 0, 0, 2, 2),
    Setup(0x01, 3, 0, 0, 0),
    Setup(0x01, 3, 0, 2, 0),
    Setup(0x81, 10, 0, 0, 4),
    Setup(0x81, 6, 0x2100, 0, 9),
    Setup(0x81, 6, 0x2100, 1, 255),
    Setup(0x81, 6, 0x0200, 0, 9),
)  # fmt: skip
_MORE_RAW = (
    Setup(0xC0, MS_OS_VENDOR_CODE, 1, 4, 40),
    Setup(0xC1, MS_OS_VENDOR_CODE, 0, 5, 10),
    Setup(0xC1, MS_OS_VENDOR_CODE, 2, 5, 64),
    Setup(0x41, 0x50, 0, 20, 0),
    Setup(0x41, 0x50, 0, 2, 0),
    Setup(0xC1, 0x50, 0, 2, 8),
    Setup(0xC1, 0x50, 0, 1, 8),
)
_MORE_CLASS = (
    Setup(0xA1, 0x21, 0, 0, 8),
    Setup(0xA1, 0x01, 0, 0, 8),
    Setup(0xA1, 0x03, 0, 1, 2),
    Setup(0xA1, 0x7F, 0, 0, 7),
    Setup(0x21, 0x22, 0, 1, 0),
)
_ASKING = (20, 20, 30, 30, 32, 34, 72, 72, 74, 201, 300, 400, 401, 553, 70, 230, 231, 302, 211, 221, 223, 223)
_OFTEN, _SELDOM = (1, 1, 33, 34, 75, 401, 9999, 20, 72), (210, 211, 211, 220, 221, 221, 222, 240)
_WITH_PAYLOAD = (*_OFTEN, *_OFTEN, *_SELDOM)
_WRITING, _WRITTEN_AFTER_S = {CLAIM_CODE, SET_KEY, SET_SERVER, SET_ACCESS_POINT}, 0.09
_DOMAINS = (b"10.0.0.1", b"device.example", b"1.2.3", b" 7.8. 9.300x", b"a" * 63, b"b" * 64, b"")


class Stm32Conversation(SystemConversation):
    """Makes sequences of acts. The same seed gives the same sequence."""

    standard: ClassVar[Sequence[Setup]] = (*STANDARD, *_MORE_STANDARD)
    raw: ClassVar[Sequence[Setup]] = (*RAW, *_MORE_RAW)
    class_requests: ClassVar[Sequence[Setup]] = (*CLASS, *_MORE_CLASS)
    strings: ClassVar[Sequence[int]] = (0, 1, 2, 3, 4, 5, 6, 9, 10, 0xEE)
    asking: ClassVar[Sequence[int]] = _ASKING
    with_payload: ClassVar[Sequence[int]] = _WITH_PAYLOAD

    def acts(self, length: int) -> list[Act]:
        """As :class:`SystemConversation` makes them, without what is left out."""
        return [act for act in super().acts(length) if not is_left_out(act)]

    def touch(self) -> list[Act]:
        """One speed is enough."""
        return [line_coding(DFU_TOUCH_BAUD)]

    def settle(self, kind: int) -> Wait:
        """Copying a page of the configuration takes its time even when flash takes none."""
        return Wait(_WRITTEN_AFTER_S) if kind in _WRITING else super().settle(kind)

    def piece_bytes(self, request: OpenRequest, rest_bytes: int) -> int:
        """None that overwrites what lies behind the payload."""
        size = super().piece_bytes(request, rest_bytes)
        return min(size, MAX_POOLED_PAYLOAD_BYTES) if request.sent % _WORD_BYTES else size

    def _configuration(self) -> Iterator[Act]:
        if self._random.random() < 0.3:
            yield from super()._configuration()
        else:
            yield from whole(self._next(), *_stored(self._random))


class OldStm32Conversation(Stm32Conversation):
    """With Device OS before 2.0.0, which has requests about Wi-Fi, network configuration and sections of flash (110 to
    122 and 260 to 264) that virtual boards do not know: they are left out."""

    not_modelled: ClassVar[frozenset[int]] = frozenset({*range(110, 123), *range(260, 265)})


class BusyConversation(Stm32Conversation):
    """With a board whose only thread registers with a network: what it has to do stays pending. What ends that is left
    out (requests that restart it or have it listen, and the raw 302), because how soon is the modem's affair."""

    raw: ClassVar[Sequence[Setup]] = [
        setup for setup in Stm32Conversation.raw if setup.is_in or setup.w_index != _CLOUD_DISCONNECT
    ]
    asking: ClassVar[Sequence[int]] = [kind for kind in _ASKING if kind != _START_LISTENING]

    def acts(self, length: int) -> list[Act]:
        """CHECK is not repeated: its answer stays the same."""
        return [replace(act, until_done=False) if isinstance(act, Step) else act for act in super().acts(length)]


def conversations_of(kind: Hardware, system_version: int = _FIRST_WITHOUT) -> type[SystemConversation]:
    """What is said to a board of that kind and number of its system parts."""
    if not kind.is_gen2:
        return SystemConversation
    return Stm32Conversation if system_version >= _FIRST_WITHOUT else OldStm32Conversation


def _stored(random: Random) -> tuple[int, bytes]:
    """A request about keys, server or access point, as a host might send it."""
    kind = number_field(1, random.choice((0, 1, 1, 2, 2, 3, 4, 5)))
    match random.randrange(7):
        case 0:
            return SET_KEY, kind + bytes_field(2, random.randbytes(random.choice((0, 1, 128, 192, 385, 700))))
        case 1:
            return GET_KEY, kind
        case 2:
            return SET_SERVER, kind + bytes_field(2, random.choice(_DOMAINS)) + number_field(
                3, random.choice((0, 80, 70000))
            )
        case 3:
            return GET_SERVER, kind
        case 4:
            return SET_PROTOCOL, kind
        case 5:
            return GET_PROTOCOL, b""
    prefix, suffix = (random.choice((b"", b"Photon", b"p" * 25, b"q" * 26, b"r" * 31)) for _ in range(2))
    return SET_ACCESS_POINT, bytes_field(1, prefix) + bytes_field(2, suffix[:16])


def data_bytes(setup: Setup) -> int | None:
    """How many bytes there are of what is sent as long as it is asked for; None of other replies."""
    if setup.b_request == MS_OS_VENDOR_CODE and setup.w_index in (_COMPAT_ID, _PROPERTIES):
        return len(ms_os_compat_id(0) if setup.w_index == _COMPAT_ID else ms_os_properties(NORMAL_GUID))
    return _COMMAND_BYTES if setup.kind == TYPE_CLASS and setup.is_in else None


def is_left_out(act: Act) -> bool:
    """Whether the firmware's answer is a matter of what lies somewhere in its memory, or its end."""
    if not isinstance(act, (Transfer, Abandoned)):
        return False
    setup = act.setup
    if setup.recipient == TO_ENDPOINT:
        return setup.w_index & 0xFF not in _ENDPOINTS
    if setup.b_request == MS_OS_VENDOR_CODE and (setup.bm_request_type, setup.w_index) == (0xC1, _PROPERTIES):
        return setup.w_value & 0xFF != _PROPERTIES_VALUE and setup.w_length > _DUMMY_BYTES
    if setup.kind == TYPE_CLASS and not setup.is_in:
        return setup.w_length > _COMMAND_BYTES or (setup.b_request == SET_LINE_CODING and not setup.w_length)
    return False
