"""A conversation with a running Device OS as a file: what a new board in listening mode answers to a fixed list of
control transfers. The form is that of :mod:`particle_harness.emulator.recordings.form`, described in docs/emulator.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from particle_dev.errors import BenchError
from particle_harness.boards import Hardware
from particle_harness.clock import Clock
from particle_harness.emulator.conversations.acts import ALL, Act, Step, Transfer
from particle_harness.emulator.conversations.steps import PENDING, Requests
from particle_harness.emulator.conversations.system import (
    GET_FEATURE,
    SET_FEATURE,
    SETUP_DONE,
    USUAL_BAUD,
    SystemConversation,
    line_coding,
    whole,
)
from particle_harness.emulator.conversations.system_stm32f205 import conversations_of, data_bytes, is_left_out
from particle_harness.emulator.recordings.form import FORM, Entry, Recordable, entry_of, pattern
from particle_harness.factory import known_release
from particle_harness.usb.cdc import LISTENING_TOUCH_BAUD
from particle_harness.usb.control_service import Service
from particle_harness.usb.transfer import Setup
from particle_harness.usb.wire import bytes_field, number_field

NORMAL = "normal"
SETTLE_S, _ASK_EVERY_S, _DONE_AFTER_S, _LISTENS_AFTER_S = 0.02, 0.001, 30.0, 4.0
"""Between two transfers; between two CHECKs of a request that is worked on, and how long that may take;
from the bus to listening mode."""
_WITHOUT_PAYLOAD = (20, 30, 32, 72, 74, 201, 300, 400, 1, 10, 76, 80, 91, 110, 260, 555, 600, 1100, 9999, 230, 231, 70)
_CLAIM_CODE, _START_UPDATE, _FINISH_UPDATE, _CANCEL_UPDATE, _UPDATE_DATA = 200, 250, 251, 252, 253
_ECHO, _NCP_VERSION, _INTERFACE, _STARTUP_MODE = 1, 31, 401, 75
_UPDATE_BYTES, _LONGEST_BYTES = 1500, 0xFFFF
_NO_STRING = 8


class Running(Recordable, Protocol):
    """A board whose time can be waited for."""

    @property
    def clock(self) -> Clock:
        """Its time."""
        ...


def conversation(kind: Hardware, system_version: int) -> Iterator[Act]:
    """What the host sends to such a board with system parts of that number. It writes configuration, and into the
    region for updates; it does not restart the board."""
    tables = conversations_of(kind, system_version)
    for act in _all(tables, is_gen2=kind.is_gen2):
        is_known = not isinstance(act, Step) or act.kind not in tables.not_modelled
        if is_known and not (kind.is_gen2 and _is_no_matter_for_a_file(act)):
            yield act


def _is_no_matter_for_a_file(act: Act) -> bool:
    """What follows the data of a reply is the firmware's."""
    if isinstance(act, Transfer) and act.setup.is_in and act.setup.w_length > (data_bytes(act.setup) or _LONGEST_BYTES):
        return True
    return is_left_out(act)


def _all(tables: type[SystemConversation], *, is_gen2: bool) -> Iterator[Act]:
    # An STM32F2 is silent about a string that it does not have.
    strings = tables.strings if is_gen2 else sorted((*tables.strings, _NO_STRING))
    yield from _descriptors(strings, (9,) if is_gen2 else (9, 255))
    yield from (Transfer(setup) for setup in tables.standard)
    # One of these takes the configuration away.
    yield Transfer(Setup(0x00, 9, 1, 0, 0))
    yield from (Transfer(setup) for setup in (*tables.class_requests, *tables.raw))
    for baud, length in ((115200, 7), (9600, 8), (9600, 7)):
        yield line_coding(baud, length)
        yield Transfer(Setup(0xA1, 0x21, 0, 0, 7))
    yield from _requests()
    yield from _mistakes()
    if not is_gen2:
        yield from _unknown_service()
        yield from _network_processor()
    yield Step(Service.RESET, ALL, 0)


def _descriptors(strings: Iterable[int], lengths: Iterable[int]) -> Iterator[Transfer]:
    for value, length in ((0x0100, 8), (0x0100, 18), (0x0100, 64), (0x0200, 9), (0x0200, 255)):
        yield Transfer(Setup(0x80, 6, value, 0, length))
    for index in strings:
        yield Transfer(Setup(0x80, 6, 0x0300 | index, 0x0409 if index else 0, 255))
    for kind in (0x06, 0x07, 0x0F, 0x21):
        yield from (Transfer(Setup(0x80, 6, kind << 8, 0, length)) for length in lengths)
    for index in range(5):
        yield Transfer(Setup(0x81, 6, 0x2400 | index, 0, 64))


def _requests() -> Iterator[Step]:
    """Whole ones."""
    update = pattern(_UPDATE_BYTES)
    asked = [
        *((kind, b"") for kind in _WITHOUT_PAYLOAD),
        *((_ECHO, pattern(size)) for size in (1, 63, 64, 65, 200, 1000)),
        *((_INTERFACE, number_field(1, index)) for index in range(1, 6)),
        (_INTERFACE, b""),
        (GET_FEATURE, number_field(1, 1)),
        (SET_FEATURE, number_field(1, 1) + number_field(2, 1)),
        (GET_FEATURE, number_field(1, 1)),
        (GET_FEATURE, number_field(1, 2)),
        (GET_FEATURE, number_field(1, 256)),
        (_STARTUP_MODE, number_field(1, 1)),
        (_STARTUP_MODE, b""),
        (_CLAIM_CODE, bytes_field(1, b"A" * 63)),
        (_CLAIM_CODE, bytes_field(1, b"A" * 64)),
        (SETUP_DONE, number_field(1, 1)),
        (74, b""),
        (SETUP_DONE, b""),
        (74, b""),
        (_UPDATE_DATA, bytes_field(1, update[:100])),
        (_FINISH_UPDATE, number_field(1, 1)),
        (_START_UPDATE, number_field(1, _UPDATE_BYTES)),
        (_UPDATE_DATA, bytes_field(1, update[:1024])),
        (_FINISH_UPDATE, number_field(1, 1)),
        (_START_UPDATE, number_field(1, _UPDATE_BYTES)),
        (_UPDATE_DATA, bytes_field(1, update[:1024])),
        (_UPDATE_DATA, bytes_field(1, update[:477])),
        (_START_UPDATE, number_field(1, _UPDATE_BYTES) + number_field(2, 7)),
        (_CANCEL_UPDATE, b""),
        (9999, b"\x08\x01"),
        (GET_FEATURE, b"\x0c"),
        (GET_FEATURE, b"\x00\xff"),
        (GET_FEATURE, b"\x0a\x01"),
    ]
    for number, (kind, payload) in enumerate(asked, start=1):
        yield from whole(number, kind, payload)


def _mistakes() -> Iterator[Step]:
    """Too many, too long, in the wrong order, twice."""
    check, reset = Service.CHECK, Service.RESET
    for number in range(101, 106):
        yield Step(Service.INIT, number, _ECHO, value=10)
    yield Step(check, 101, _ECHO)
    yield Step(Service.RECV, 101, _ECHO, 10)
    for size in (11, 4, 7, 6, 1):
        yield Step(Service.SEND, 101, _ECHO, size, data=pattern(size))
    yield Step(check, 101, _ECHO, until_done=True)
    for length in (11, 0, 4, 7, 6, 1):
        yield Step(Service.RECV, 101, _ECHO, length)
    yield Step(check, 101, _ECHO)
    yield Step(reset, 102, _ECHO)
    yield Step(reset, 102, _ECHO)
    yield Step(reset, ALL, 0)
    for number in range(111, 115):
        yield Step(Service.INIT, number, _ECHO, value=64)
    yield Step(reset, ALL, 0)
    for service in (Service.INIT, check, reset):
        for length in (0, 63, 65, 255):
            yield Step(service, 121, 20, length)
    yield Step(check, 122, 20)
    yield Step(Service.RECV, 122, 20, 64)
    yield Step(Service.SEND, 122, 20, 64, data=pattern(64))
    yield Step(Service.SEND, 122, 20, 65, data=pattern(65))
    # A request whose reply is read in part, and given up: the next one is lost.
    yield from (step for step in whole(131, _ECHO, pattern(128)) if step.service is not Service.RECV)
    yield Step(Service.RECV, 131, _ECHO, 64)
    yield Step(reset, 131, _ECHO)
    yield from whole(132, 20)
    yield from whole(133, 20)


def _unknown_service() -> Iterator[Transfer]:
    for setup in (Setup(0xC0, 6, 0, 0, 64), Setup(0xC0, 0, 0, 20, 64), Setup(0x40, 6, 0, 0, 0)):
        yield Transfer(setup)


def _network_processor() -> Iterator[Step]:
    """Its firmware's version, on boards that have one, and what an interface says of its radio before and after."""
    asked = [(_INTERFACE, number_field(1, 4)), (_NCP_VERSION, b""), (_INTERFACE, number_field(1, 4))]
    for number, (kind, payload) in enumerate(asked, start=141):
        yield from whole(number, kind, payload)


def let_listen(board: Running) -> None:
    """Wait until a new board with Device OS listens. An Electron, which knows a network from the start, does so only
    when it is asked. Raises BenchError when it is not on the bus."""
    if board.hardware.is_gen2 and board.hardware.radio == "cellular":
        for touch in (line_coding(LISTENING_TOUCH_BAUD), line_coding(USUAL_BAUD)):
            carried_out(board, touch, {})
    board.clock.sleep(_LISTENS_AFTER_S)


def record_system(board: Running, device_os: str) -> dict[str, Any]:
    """Hold the conversation with a board that listens and has that release. Raises BenchError when it does not, or
    leaves in the middle, and ValueError for a release that nobody knows."""
    present = board.on_bus()
    if present is None:
        raise BenchError("the board is not on the bus", hint="name a release that its images have")
    _, identity = present
    kind = board.hardware
    usb = kind.platform.usb_normal
    if usb is None or int.from_bytes(identity.device[10:12], "little") != usb.pid:
        raise BenchError(f"no Device OS runs on the {kind.name}", hint="a board without system parts stays in DFU mode")
    requests = Requests()
    return {
        "form": FORM,
        "mode": NORMAL,
        "platform": kind.name,
        "device_id": identity.strings[identity.device[16]][2:].decode("utf-16-le"),
        "log": [_entry(board, requests, act) for act in conversation(kind, known_release(device_os)[0])],
        "device_os": device_os,
    }


def _entry(board: Running, requests: Requests, act: Act) -> Entry:
    transfer = requests.transfer(act) if isinstance(act, Step) else act
    assert isinstance(transfer, Transfer)
    repeated = {"until_done": True} if isinstance(act, Step) and act.until_done else {}
    entry = carried_out(board, transfer, repeated)
    if isinstance(act, Step) and "in" in entry:
        requests.hear(act, f"in: {entry['in']}")
    return entry | repeated


def carried_out(board: Running, transfer: Transfer, recorded: Mapping[str, Any]) -> Entry:
    """What stands of a transfer in a recording; one that was ``recorded`` as asked until it is done is repeated."""
    present, waited_s = board.on_bus(), 0.0
    if present is None:
        raise BenchError(f"the board left the bus before {transfer}", hint="record it again")
    while True:
        entry = entry_of(board, present[0], transfer)
        is_pending = entry.get("in") == PENDING.removeprefix("in: ")
        if not recorded.get("until_done") or not is_pending or waited_s >= _DONE_AFTER_S:
            board.clock.sleep(SETTLE_S)
            return entry
        board.clock.sleep(_ASK_EVERY_S)
        waited_s += _ASK_EVERY_S
