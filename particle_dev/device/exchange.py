"""Carries out what a sans-I/O machine asks for."""

from __future__ import annotations

from particle_dev.errors import LinkStallError
from particle_dev.protocol.usb import Action, ControlIn, ControlOut, Machine, Reply, ResultT, Stall
from particle_dev.transport.base import Clock, UsbLink


def run(machine: Machine[ResultT], link: UsbLink, clock: Clock) -> ResultT:
    """The machine's result. Errors of the link pass through, except stalls, which are replies."""
    reply: Reply = None
    try:
        while True:
            reply = _carry_out(machine.send(reply), link, clock)
    except StopIteration as done:
        result: ResultT = done.value
        return result
    finally:
        machine.close()


def _carry_out(action: Action, link: UsbLink, clock: Clock) -> Reply:
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
