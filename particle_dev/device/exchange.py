"""Carries out what a sans-I/O machine asks for.

Every transfer is told to the logger ``particle_dev.traffic`` at level DEBUG: codes and lengths, never a payload, which
may be a claim code, a password or firmware.
"""

from __future__ import annotations

import logging

from particle_dev.errors import LinkStallError, TransportError
from particle_dev.protocol.usb import (
    ControlIn,
    ControlOut,
    ControlQueue,
    Machine,
    Reply,
    ResultT,
    Stall,
    TransferReply,
    Wait,
)
from particle_dev.transport.base import Clock, QueueingUsbLink, UsbLink

_Single = ControlIn | ControlOut | Wait
_TRAFFIC = logging.getLogger("particle_dev.traffic")


def run(machine: Machine[ResultT], link: UsbLink, clock: Clock) -> ResultT:
    """The machine's result. Errors of the link pass through, except stalls, which are replies."""
    reply: Reply = None
    try:
        while True:
            action = machine.send(reply)
            if isinstance(action, ControlQueue):
                reply = _carry_out_queue(action, link, clock)
            else:
                reply = _told(action, link, clock)
    except StopIteration as done:
        result: ResultT = done.value
        return result
    finally:
        machine.close()


def _carry_out_queue(queue: ControlQueue, link: UsbLink, clock: Clock) -> tuple[TransferReply, ...]:
    """At once where the link can, else one by one: the device sees the same."""
    if not isinstance(link, QueueingUsbLink) or not link.can_queue:
        return tuple(_told(action, link, clock) for action in queue.transfers)
    try:
        replies = link.control_queue(queue.transfers)
    except TransportError as error:
        for action in queue.transfers:
            _tell(action, f"{type(error).__name__} in a queue")
        raise
    for action, reply in zip(queue.transfers, replies, strict=True):
        _tell(action, reply)
    return replies


def _told(action: _Single, link: UsbLink, clock: Clock) -> TransferReply:
    try:
        reply = _carry_out(action, link, clock)
    except TransportError as error:
        _tell(action, type(error).__name__)
        raise
    _tell(action, reply)
    return reply


def _tell(action: _Single, reply: TransferReply | str) -> None:
    """Log one transfer; ``reply`` may be the name of an error."""
    if not _TRAFFIC.isEnabledFor(logging.DEBUG) or not isinstance(action, ControlIn | ControlOut):
        return
    outcome = reply if isinstance(reply, str) else "stall" if isinstance(reply, Stall) else "done"
    if isinstance(reply, bytes):
        outcome = f"{len(reply)} bytes"
    _TRAFFIC.debug(
        "%s bmRequestType 0x%02x bRequest 0x%02x wValue 0x%04x wIndex 0x%04x wLength %d: %s",
        "in " if isinstance(action, ControlIn) else "out",
        action.bm_request_type,
        action.b_request,
        action.w_value,
        action.w_index,
        action.w_length if isinstance(action, ControlIn) else len(action.data),
        outcome,
    )


def _carry_out(action: _Single, link: UsbLink, clock: Clock) -> TransferReply:
    try:
        if isinstance(action, ControlIn):
            return link.control_in(
                action.bm_request_type,
                action.b_request,
                action.w_value,
                action.w_index,
                action.w_length,
                action.timeout_s,
            )
        if isinstance(action, ControlOut):
            link.control_out(
                action.bm_request_type,
                action.b_request,
                action.w_value,
                action.w_index,
                action.data,
                action.timeout_s,
            )
            return None
    except LinkStallError:
        return Stall()
    clock.sleep(action.duration_s)
    return None
