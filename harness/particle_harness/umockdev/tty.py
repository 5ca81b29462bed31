"""The serial port of a running board as a pty in the place of /dev/ttyACM*.

The pty carries the bytes. What the kernel's driver would tell the board about speed and control lines comes from two
places: ioctls that the program makes itself (pyserial sets odd speeds so) arrive here; tcsetattr() of the C library
goes to the pty unseen, so its settings are looked at again and again.
Source: Linux drivers/usb/class/cdc-acm.c (order of requests), include/uapi/asm-generic/{ioctls,termbits}.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import threading

from particle_harness.umockdev.library import IoctlCall, IoctlNode
from particle_harness.usb.bus_device import BusDevice
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

_TCGETS2, _TCSETS2, _TCSETSW2, _TCSETSF2 = 0x802C542A, 0x402C542B, 0x402C542C, 0x402C542D
_TERMIOS2_SIZE_BYTES, _SPEED_AT = 44, 40
_LINES_GET, _LINES_ON, _LINES_OFF, _LINES_SET = 0x5415, 0x5416, 0x5417, 0x5418
_DTR, _RTS = 0x2, 0x4
_POLL_S = 0.004
_SET_LINE_CODING, _SET_CONTROL_LINE_STATE = 0x20, 0x22


class VirtualTty(IoctlNode):
    """One serial port, from the arrival of a board to its departure (:meth:`close`)."""

    def __init__(self, board: BusDevice, address: int) -> None:
        super().__init__(self._ioctl, lambda _client: self._set_lines(_DTR | _RTS), lambda _client: self._set_lines(0))
        self._board, self._address = board, address
        self._ours, self._theirs = pty.openpty()
        raw = termios.tcgetattr(self._theirs)
        raw[0] = raw[1] = raw[3] = 0
        termios.tcsetattr(self._theirs, termios.TCSANOW, raw)
        self.path = os.ttyname(self._theirs)
        self._lines = 0
        self._speed = self._present_speed()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._carry, name=f"tty {board.port_path}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The board left: programs see the port hang up."""
        self._closed.set()
        self._thread.join()
        os.close(self._ours)
        os.close(self._theirs)

    def _carry(self) -> None:
        while not self._closed.is_set():
            readable, _, _ = select.select([self._ours], [], [], _POLL_S)
            self._send_speed()
            try:
                if readable:
                    self._board.serial_write(self._address, os.read(self._ours, 4096))
                if data := self._board.serial_read(self._address, 4096):
                    os.write(self._ours, data)
            except SilentError:
                # What was sent to a halted board is lost.
                continue
            except GoneError:
                self._closed.wait()

    def _present_speed(self) -> int:
        settings = fcntl.ioctl(self._theirs, _TCGETS2, bytes(_TERMIOS2_SIZE_BYTES))
        return int.from_bytes(settings[_SPEED_AT : _SPEED_AT + 4], "little")

    def _send_speed(self) -> None:
        speed = self._present_speed()
        if speed != self._speed:
            self._speed = speed
            self._class_request(_SET_LINE_CODING, 0, struct.pack("<IBBB", speed, 0, 0, 8))

    def _set_lines(self, lines: int) -> None:
        if lines != self._lines:
            self._lines = lines
            self._class_request(_SET_CONTROL_LINE_STATE, bool(lines & _DTR) | bool(lines & _RTS) << 1)

    def _class_request(self, request: int, value: int, data: bytes = b"") -> None:
        # The kernel's driver tells no program whether these requests arrived.
        try:
            self._board.control(self._address, Setup(0x21, request, value, 0, len(data)), data)
        except (GoneError, StallError):
            return

    def _ioctl(self, call: IoctlCall) -> int:
        match call.request:
            case 0x802C542A:
                call.pointed(_TERMIOS2_SIZE_BYTES).write(
                    0, fcntl.ioctl(self._theirs, _TCGETS2, bytes(_TERMIOS2_SIZE_BYTES))
                )
            case 0x402C542B | 0x402C542C | 0x402C542D:
                fcntl.ioctl(self._theirs, call.request, call.pointed(_TERMIOS2_SIZE_BYTES).read())
                self._send_speed()
            case 0x5415:
                call.pointed(4).write(0, struct.pack("<I", self._lines))
            case 0x5416 | 0x5417 | 0x5418:
                named = int.from_bytes(call.pointed(4).read(), "little")
                new = {_LINES_ON: self._lines | named, _LINES_OFF: self._lines & ~named, _LINES_SET: named}
                self._set_lines(new[call.request])
            case 0x541B | 0x5411:
                call.pointed(4).write(0, fcntl.ioctl(self._theirs, call.request, bytes(4)))
            case 0x540B:
                termios.tcflush(self._theirs, int.from_bytes(call.argument.read()[:4], "little"))
            case 0x540C | 0x540D | 0x5427 | 0x5428 | 0x5409 | 0x5421:  # exclusive use, break, FIONBIO
                return 0
            case _:
                print(f"tty: ioctl {call.request:08x} is not known", file=sys.stderr)  # noqa: T201
                return -errno.ENOTTY
        return 0
