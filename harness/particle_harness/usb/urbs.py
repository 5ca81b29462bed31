"""USB request blocks: transfers that an operating system queues at a device and may take back.

What usbfs (umockdev) and USB/IP have in common, in front of a virtual board that only knows finished transfers.
"""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from particle_harness.usb.bus_device import BusDevice
from particle_harness.usb.descriptors import endpoint_kinds
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

DIRECTION_IN = 0x80
_BULK = 2
_READ_POLL_S = 0.002
"""A board has no way to say that its serial port has data; while a host reads, it is asked this often."""


@dataclass(slots=True, eq=False)
class Urb:
    """One transfer. ``endpoint`` has bit 7 set for IN; ``setup`` is there on endpoint 0 only.

    ``status`` (0 or a negative errno, as in Linux), ``actual_length`` and ``reply`` are valid once it is given back.
    """

    endpoint: int
    length: int
    setup: Setup | None = None
    data: bytes = b""
    status: int = 0
    actual_length: int = 0
    reply: bytes = b""


class UrbQueue:
    """Carries out URBs of one enumeration of a board in order: on a thread of its own, as only then whoever submits
    them can go on meanwhile; control transfers of a board that answers at once on the thread that submits them, as the
    change of threads takes longer than they do.

    ``give_back(urb)`` is called on that thread for each URB that ends: carried out, stalled (-EPIPE), or lost because
    the board left (-ESHUTDOWN, as Linux has it; -EPROTO when it left in that very transfer by a reset of its own).
    Not for cancelled ones.
    """

    def __init__(self, board: BusDevice, address: int, give_back: Callable[[Urb], None]) -> None:
        self._board = board
        self._address = address
        self._give_back = give_back
        present = board.on_bus()
        self._kinds = endpoint_kinds(present[1].configuration) if present else {}
        self._waiting: deque[Urb] = deque()
        self._readers: deque[Urb] = deque()
        self._idle_for_ever: deque[Urb] = deque()
        self._in_work: Urb | None = None
        self._cancelled: Urb | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"urbs {board.port_path}/{address}", daemon=True)
        self._thread.start()

    def submit(self, urb: Urb) -> bool:
        """Queue a transfer, or carry it out; False when the device has left."""
        with self._changed:
            if self._closed:
                return False
            at_once = bool(urb.setup and self._board.answers_at_once and not self._waiting and not self._in_work)
            if at_once:
                self._in_work = urb
            elif not urb.endpoint & DIRECTION_IN or urb.setup:
                self._waiting.append(urb)
            elif self._kinds.get(urb.endpoint) == _BULK:
                self._readers.append(urb)
            else:
                # The notification endpoint of the serial port: the firmware never sends a notification.
                self._idle_for_ever.append(urb)
            if not at_once:
                self._changed.notify()
        if at_once:
            self._work_on(urb)
        return True

    def cancel(self, urb: Urb) -> bool:
        """Take a transfer back; False when it was given back before. The device may still carry it out."""
        with self._changed:
            for queue in (self._waiting, self._readers, self._idle_for_ever):
                if urb in queue:
                    queue.remove(urb)
                    return True
            if self._in_work is urb and self._cancelled is not urb:
                self._cancelled = urb
                return True
        return False

    def close(self) -> None:
        """The device left the bus: what waits is given back with -ESHUTDOWN on the queue's thread, which then ends."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while urb := self._next():
            self._work_on(urb)

    def _work_on(self, urb: Urb) -> None:
        answered = urb.status != 0 or bool(urb.reply) or self._carry_out(urb)
        with self._changed:
            dropped = False
            if self._in_work is urb:
                dropped, self._in_work, self._cancelled = self._cancelled is urb, None, None
                if self._waiting:
                    self._changed.notify()
            if not answered and not dropped:
                self._idle_for_ever.append(urb)
        if answered and not dropped:
            self._give_back(urb)

    def _next(self) -> Urb | None:
        """The next URB that has something to do or has ended; None once all are given back after :meth:`close`."""
        with self._changed:
            while not self._closed and (not self._waiting or self._in_work):
                if self._readers and self._read(self._readers[0]):
                    return self._readers.popleft()
                self._changed.wait(_READ_POLL_S if self._readers else None)
            if self._waiting and not self._closed:
                self._in_work = self._waiting.popleft()
                return self._in_work
            for queue in (self._waiting, self._readers, self._idle_for_ever):
                if queue:
                    lost = queue.popleft()
                    lost.status = -errno.ESHUTDOWN
                    return lost
        return None

    def _carry_out(self, urb: Urb) -> bool:
        """Whether the device has answered; a halted one lets the host wait."""
        try:
            if urb.setup:
                urb.reply = self._board.control(self._address, urb.setup, urb.data)
                urb.actual_length = len(urb.reply) if urb.setup.is_in else len(urb.data)
            else:
                self._board.serial_write(self._address, urb.data)
                urb.actual_length = len(urb.data)
        except StallError:
            urb.status = -errno.EPIPE
        except SilentError:
            return False
        except GoneError as gone:
            reset_itself = gone.during and self._board.state.powered
            urb.status = -errno.EPROTO if reset_itself else -errno.ESHUTDOWN
        return True

    def _read(self, urb: Urb) -> bool:
        try:
            urb.reply = self._board.serial_read(self._address, urb.length)
        except GoneError:
            urb.status = -errno.ESHUTDOWN
            return True
        urb.actual_length = len(urb.reply)
        return bool(urb.reply)
