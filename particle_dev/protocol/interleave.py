"""Several control requests in flight at a time, over one link."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from particle_dev.catalog.requests import MAX_ACTIVE_REQUESTS
from particle_dev.errors import ProtocolError, TransportError
from particle_dev.protocol.control import reset_requests
from particle_dev.protocol.usb import Machine, ResultT, Wait


@dataclass(slots=True)
class _Task(Generic[ResultT]):
    number: int
    machine: Machine[ResultT]
    ready_at_s: float


def interleave(machines: Sequence[Machine[ResultT]], limit: int = MAX_ACTIVE_REQUESTS) -> Machine[tuple[ResultT, ...]]:
    """The results of several request machines, in their order; while one waits, the others go on.

    At most ``limit`` run at a time, as many as a device keeps; when others hold slots, the device answers BUSY and the
    request concerned tries again by itself. The first error ends all: every request is cancelled on the device, then it
    is raised.
    """
    results: dict[int, ResultT] = {}
    queue = deque(enumerate(machines))
    active: list[_Task[ResultT]] = []
    now_s = 0.0
    try:
        while queue or active:
            while queue and len(active) < limit:
                active.append(_Task(*queue.popleft(), now_s))
            task = min(active, key=lambda t: t.ready_at_s)
            if task.ready_at_s > now_s:
                yield Wait(task.ready_at_s - now_s)
                now_s = task.ready_at_s
            try:
                action = task.machine.send(None)
                while not isinstance(action, Wait):
                    action = task.machine.send((yield action))
                task.ready_at_s = now_s + action.duration_s
            except StopIteration as done:
                results[task.number] = done.value
                active.remove(task)
    except (ProtocolError, TransportError):
        yield from reset_requests()
        raise
    finally:
        for machine in machines:
            machine.close()
    return tuple(results[n] for n in range(len(machines)))
