"""Control transfers that a board sees, as JSON lines: one object a transfer, in the order of their ends.

``mode`` (``app``, ``dfu``, …), the five fields of the SETUP packet by their USB names, then what went over the bus:
``out`` (data of the host) or ``in`` (reply of the board) in hex, or ``error``: ``stall`` or ``gone``. Data of more
than 64 bytes is ``{"size": …, "sha256": …}``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from particle_harness.served import ServedBoard
from particle_harness.usb.control_service import Service
from particle_harness.usb.dfu_terms import Command, Request, State
from particle_harness.usb.transfer import TYPE_CLASS, TYPE_STANDARD, GoneError, Setup, StallError, StandardRequest

_LARGEST_IN_FULL_BYTES = 64
_RAW = 0x50
_SERVICE = {request.value: request.name for request in Service}
_DFU = {request.value: request.name for request in Request}
_DFU_STATES = {state.value: f"dfu{state.name.replace('_', '-')}" for state in State}
_DFUSE = {command.value: command.name for command in Command}
_DESCRIPTORS = {1: "device", 2: "configuration", 3: "string"}
_USB_NAMES = ("bmRequestType", "bRequest", "wValue", "wIndex", "wLength")


def trace_control_transfers(board: ServedBoard, write: Callable[[dict[str, object]], None]) -> None:
    """Call ``write`` after each control transfer of ``board`` from now on."""
    control = board.control

    def traced(address: int, setup: Setup, data: bytes = b"") -> bytes:
        fields = (setup.bm_request_type, setup.b_request, setup.w_value, setup.w_index, setup.w_length)
        record: dict[str, object] = {"mode": board.state.runs, **dict(zip(_USB_NAMES, fields, strict=True))}
        if not setup.is_in:
            record["out"] = _shown(data)
        try:
            reply = control(address, setup, data)
        except StallError:
            record["error"] = "stall"
            raise
        except GoneError:
            record["error"] = "gone"
            raise
        else:
            if setup.is_in:
                record["in"] = _shown(reply)
            return reply
        finally:
            write(record)

    board.control = traced  # type: ignore[method-assign]


def trace_to(board: ServedBoard, stream: TextIO) -> None:
    """Write them to a text file, a line each."""

    def write(record: dict[str, object]) -> None:
        stream.write(json.dumps(record) + "\n")
        stream.flush()

    trace_control_transfers(board, write)


def describe(record: Mapping[str, Any]) -> str:
    """A transfer in words, e.g. ``DNLOAD ERASE 0x000d4000``, ``CHECK 1 -> 0900…``, ``GETSTATUS -> dfuDNBUSY``."""
    request_type, request, value, index, _ = (record[name] for name in _USB_NAMES)
    kind = request_type >> 5 & 3
    end = record.get("error") or _text(record.get("in") or record.get("out") or "")
    if kind == TYPE_STANDARD:
        if request == StandardRequest.GET_DESCRIPTOR:
            return f"GET_DESCRIPTOR {_DESCRIPTORS.get(value >> 8, value >> 8)} {value & 0xFF}"
        return f"standard request {request} {value} {index}"
    if kind == TYPE_CLASS:
        return _describe_dfu(request, value, end) if record["mode"] == "dfu" else f"serial request {request} {end}"
    if request == _RAW:
        return f"raw request {index} -> {end}"
    if request == Service.INIT:
        return f"INIT {index} with {value} bytes -> {end}"
    return f"{_SERVICE.get(request, request)} {index} -> {end}"


def _describe_dfu(request: int, value: int, end: str) -> str:
    name = _DFU.get(request)
    if name is None:
        return f"class request {request} {end}".rstrip()
    if name == "GETSTATUS" and len(end) == 12:
        return f"GETSTATUS -> {_DFU_STATES.get(int(end[8:10], 16), end)}"
    if name == "DNLOAD" and value == 0 and len(end) == 10:
        command, address = bytes.fromhex(end)[0], int.from_bytes(bytes.fromhex(end)[1:], "little")
        return f"DNLOAD {_DFUSE.get(command, hex(command))} 0x{address:08x}"
    return f"{name} {value} {end}".rstrip() if name in ("DNLOAD", "UPLOAD") else f"{name} {end}".rstrip()


def _text(data: Any) -> str:
    return data if isinstance(data, str) else f"{data['size']} bytes {data['sha256'][:16]}"


def _shown(data: bytes) -> object:
    if len(data) <= _LARGEST_IN_FULL_BYTES:
        return data.hex()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
