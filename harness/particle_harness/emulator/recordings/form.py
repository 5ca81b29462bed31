"""The form of a recording, described in docs/emulator.md.

A recording holds replies, never firmware: what is read back from flash was written by the recorder or is erased, and
long replies are kept as their SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from particle_dev.errors import BenchError
from particle_harness.boards import Hardware
from particle_harness.dct import DCT_SIZE_BYTES
from particle_harness.emulator.conversations.acts import Transfer
from particle_harness.nor_flash import NorFlash
from particle_harness.usb.bus_device import BusDevice
from particle_harness.usb.dfu_terms import Request
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

FORM = 2
"""Files without a form are older: see tests/golden/usb/README.md."""
_SHOWN_BYTES = 64
_OUTCOMES = ("in", "in_bytes", "in_sha256", "ok", "stall", "silent")

Entry = dict[str, Any]


class Recordable(BusDevice, Protocol):
    """A board of the virtual or the emulated bench."""

    hardware: Hardware
    internal: NorFlash


def pattern(size_bytes: int) -> bytes:
    """00 01 02 … in a circle, which recordings need not spell out."""
    return bytes(n & 0xFF for n in range(size_bytes))


def sparse(data: bytes) -> list[list[Any]]:
    """Runs of bytes that are not 0xFF: offset and hex. Eight or more 0xFF end a run."""
    runs: list[list[Any]] = []
    gap = b"\xff" * 8
    start = 0
    while start < len(data):
        if data[start] == 0xFF:
            start += 1
            continue
        end = data.find(gap, start)
        end = len(data) if end < 0 else end
        runs.append([start, data[start:end].hex()])
        start = end
    return runs


def filled(runs: Iterable[Iterable[Any]], size_bytes: int = DCT_SIZE_BYTES) -> bytes:
    """The opposite of :func:`sparse`."""
    data = bytearray(b"\xff" * size_bytes)
    for offset, text in runs:
        piece = bytes.fromhex(text)
        data[offset : offset + len(piece)] = piece
    return bytes(data)


def entry_of(board: Recordable, address: int, transfer: Transfer) -> Entry:
    """Carry a transfer out, and what stands of it in a recording. Raises BenchError when the board leaves."""
    try:
        outcome = reply_of(transfer.setup, board.control(address, transfer.setup, transfer.data))
    except StallError as stall:
        outcome = reply_of(transfer.setup, stall.data) if stall.data else {}
        outcome["stall"] = True
    except SilentError:
        outcome = {"silent": True}
    except GoneError as gone:
        raise BenchError(f"the board left the bus at {transfer}", hint="record it again") from gone
    setup = transfer.setup
    entry: Entry = {
        "bmRequestType": setup.bm_request_type,
        "bRequest": int(setup.b_request),
        "wValue": setup.w_value,
        "wIndex": setup.w_index,
        "wLength": setup.w_length,
    }
    if transfer.data and transfer.data != pattern(len(transfer.data)):
        entry["out"] = transfer.data.hex()
    return entry | outcome


def written(recording: Mapping[str, Any]) -> str:
    """The file's text: a line for each entry."""
    head = {key: value for key, value in recording.items() if key != "log"}
    lines = ",\n".join(json.dumps(entry) for entry in recording["log"])
    return f'{json.dumps(head)[:-1]}, "log": [\n{lines}\n]}}\n'


def reply_of(setup: Setup, reply: bytes) -> Entry:
    """How a reply stands in a recording."""
    if not setup.is_in:
        return {"ok": True}
    if len(reply) > _SHOWN_BYTES and setup.b_request == Request.UPLOAD:
        return {"in_bytes": len(reply), "in_sha256": hashlib.sha256(reply).hexdigest()}
    return {"in": reply.hex()}


def transfers_of(recording: Mapping[str, Any]) -> Iterator[tuple[Transfer, Entry]]:
    """What was sent, and how it was answered."""
    for entry in recording["log"]:
        setup = Setup(*(entry[field] for field in ("bmRequestType", "bRequest", "wValue", "wIndex", "wLength")))
        sent = b"" if setup.is_in else pattern(setup.w_length)
        data = bytes.fromhex(entry["out"]) if "out" in entry else sent
        yield Transfer(setup, data), {field: entry[field] for field in _OUTCOMES if field in entry}
