"""Ids and sizes of control requests as one side has told them, which turn a :class:`Step` into a transfer."""

from __future__ import annotations

import struct

from particle_harness.emulator.conversations.acts import ALL, AS_ANNOUNCED, Abandoned, Step, Transfer
from particle_harness.usb.control_service import Service
from particle_harness.usb.transfer import Setup

PENDING = "in: " + struct.pack("<IH", 1, 2).hex()
"""CHECK's answer while a request is worked on."""
_ID, _SIZE = 2, 4
_OUT, _IN = 0x40, 0xC0
_NO_SUCH_ID, _NOTHING_ANNOUNCED_BYTES = 0x7000, 16


class Requests:
    """What one side has said about the requests of a conversation."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}
        self._announced: dict[int, int] = {}

    def transfer(self, step: Step) -> Transfer | Abandoned:
        """The step on the bus. A request that got no id has one that no device gives."""
        number = step.number
        if step.service is Service.INIT:
            index = step.kind
        else:
            index = ALL if number == ALL else self._ids.get(number, _NO_SUCH_ID + number)
        length = step.length
        if length == AS_ANNOUNCED:
            length = self._announced.get(number) or _NOTHING_ANNOUNCED_BYTES
        setup = Setup(_OUT if step.service is Service.SEND else _IN, step.service, step.value, index, length)
        if step.packets is not None:
            return Abandoned(setup, step.data, step.packets)
        return Transfer(setup, step.data)

    def hear(self, step: Step, outcome: str) -> None:
        """What came of it."""
        if step.packets is not None or not outcome.startswith("in: "):
            return
        reply = bytes.fromhex(outcome[4:].partition(",")[0])
        if step.service is Service.RECV:
            self._announced[step.number] = max(0, self._announced.get(step.number, 0) - len(reply))
            return
        flags = int.from_bytes(reply[:4], "little")
        if step.service is Service.INIT and flags & _ID:
            self._ids[step.number] = int.from_bytes(reply[6:8], "little")
        if step.service is Service.CHECK:
            self._announced[step.number] = int.from_bytes(reply[6:10], "little") if flags & _SIZE else 0
