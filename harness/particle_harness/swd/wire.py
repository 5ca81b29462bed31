"""The wires themselves: SWD and JTAG one clock at a time, and the server that OpenOCD's ``remote_bitbang`` talks to.

Source: Arm Debug Interface Architecture Specification ADIv5.2 (IHI 0031), B4 (SW-DP protocol), B3 (JTAG-DP).
"""

from __future__ import annotations

import socketserver
import threading
from enum import Enum, auto

from particle_harness.swd.chip import ProbedChip
from particle_harness.swd.debug_port import DapFaultError, DebugPort

_ACK_OK, _ACK_FAULT = 1, 4
_LINE_RESET_CLOCKS = 50
_ABORT, _CTRL_STAT, _SELECT, _RDBUFF = 0x0, 0x4, 0x8, 0xC


def parity(value: int) -> int:
    """1 for an odd number of ones."""
    return value.bit_count() & 1


class _Swd(Enum):
    IDLE = auto()
    LINE_RESET = auto()
    LOST = auto()
    """After a bad request, until the next line reset."""
    REQUEST = auto()
    TURN_TO_TARGET = auto()
    ACKNOWLEDGE = auto()
    READ = auto()
    TURN_TO_HOST_IDLE = auto()
    TURN_TO_HOST_WRITE = auto()
    WRITE = auto()


_HOST_DRIVES = (_Swd.IDLE, _Swd.LOST, _Swd.REQUEST, _Swd.WRITE)


class SwdWire:
    """SW-DP. ``driven`` is the level that the target drives, None while it listens."""

    def __init__(self, port: DebugPort) -> None:
        self._port = port
        self._state = _Swd.LOST
        self._ones = 0
        self._count = 0
        self._shift = 0
        self._posted = 0
        self._ack = _ACK_OK
        self._is_ap = self._is_read = False
        self._register = 0
        self.driven: int | None = None

    def clock(self, bit: int) -> None:
        """One rising edge with that level on the data line."""
        if self._state in _HOST_DRIVES:
            self._ones = self._ones + 1 if bit else 0
            if self._ones >= _LINE_RESET_CLOCKS:
                self._port.line_reset()
                self._state = _Swd.LINE_RESET
                return
        getattr(self, f"_{self._state.name.lower()}")(bit)

    def _go(self, state: _Swd, driven: int | None = None) -> None:
        self._state, self._count, self.driven = state, 0, driven

    def _lost(self, _bit: int) -> None:
        return

    def _line_reset(self, bit: int) -> None:
        if not bit:
            self._ones = 0
            self._go(_Swd.IDLE)

    def _idle(self, bit: int) -> None:
        if bit:
            self._go(_Swd.REQUEST)
            self._count, self._shift = 1, 1

    def _request(self, bit: int) -> None:
        self._shift |= bit << self._count
        self._count += 1
        if self._count < 8:
            return
        request = self._shift
        if request >> 6 & 1 or not request >> 7 & 1 or parity(request >> 1 & 0xF) != request >> 5 & 1:
            self._go(_Swd.LOST)
            return
        self._is_ap, self._is_read = bool(request >> 1 & 1), bool(request >> 2 & 1)
        self._register = (request >> 3 & 3) << 2
        self._ack = _ACK_FAULT if self._port.sticky_error and self._needs_no_error() else _ACK_OK
        if self._is_read and self._ack == _ACK_OK:
            self._shift = self._read_register()
        self._go(_Swd.TURN_TO_TARGET)

    def _needs_no_error(self) -> bool:
        """While STICKYERR is set, only DPIDR, CTRL/STAT and ABORT are answered."""
        if self._is_ap:
            return True
        return self._register not in ((0x0, _CTRL_STAT) if self._is_read else (_ABORT,))

    def _read_register(self) -> int:
        """What goes over the wire: access port reads are posted, the value comes with the next one or RDBUFF."""
        if not self._is_ap:
            return self._posted if self._register in (_SELECT, _RDBUFF) else self._port.read_dp(self._register)
        value = self._posted
        try:
            self._posted = self._port.read_ap(self._register)
        except DapFaultError:
            self._posted = 0
        return value

    def _turn_to_target(self, _bit: int) -> None:
        self._go(_Swd.ACKNOWLEDGE, self._ack & 1)

    def _acknowledge(self, _bit: int) -> None:
        self._count += 1
        if self._count < 3:
            self.driven = self._ack >> self._count & 1
        elif self._ack != _ACK_OK and not self._port.overrun_detection:
            self._go(_Swd.TURN_TO_HOST_IDLE)
        elif self._is_read:
            self._shift |= parity(self._shift) << 32
            self._go(_Swd.READ, self._shift & 1)
        else:
            self._go(_Swd.TURN_TO_HOST_WRITE)

    def _read(self, _bit: int) -> None:
        self._count += 1
        if self._count < 33:
            self.driven = self._shift >> self._count & 1
        else:
            self._go(_Swd.TURN_TO_HOST_IDLE)

    def _turn_to_host_idle(self, _bit: int) -> None:
        self._ones = 0
        self._go(_Swd.IDLE)

    def _turn_to_host_write(self, _bit: int) -> None:
        self._shift = 0
        self._go(_Swd.WRITE)

    def _write(self, bit: int) -> None:
        self._shift |= bit << self._count
        self._count += 1
        if self._count < 33:
            return
        value = self._shift & 0xFFFFFFFF
        if self._ack == _ACK_OK:
            if parity(value) == self._shift >> 32:
                self._store(value)
            else:
                self._port.sticky_error = True
        self._ones = 0
        self._go(_Swd.IDLE)

    def _store(self, value: int) -> None:
        try:
            if self._is_ap:
                self._port.write_ap(self._register, value)
            else:
                self._port.write_dp(self._register, value)
        except DapFaultError:
            # STICKYERR is set; the next transfer tells the host.
            return


_TAP = {
    "RESET": ("IDLE", "RESET"),
    "IDLE": ("IDLE", "SELECT_DR"),
    "SELECT_DR": ("CAPTURE_DR", "SELECT_IR"),
    "CAPTURE_DR": ("SHIFT_DR", "EXIT1_DR"),
    "SHIFT_DR": ("SHIFT_DR", "EXIT1_DR"),
    "EXIT1_DR": ("PAUSE_DR", "UPDATE_DR"),
    "PAUSE_DR": ("PAUSE_DR", "EXIT2_DR"),
    "EXIT2_DR": ("SHIFT_DR", "UPDATE_DR"),
    "UPDATE_DR": ("IDLE", "SELECT_DR"),
    "SELECT_IR": ("CAPTURE_IR", "RESET"),
    "CAPTURE_IR": ("SHIFT_IR", "EXIT1_IR"),
    "SHIFT_IR": ("SHIFT_IR", "EXIT1_IR"),
    "EXIT1_IR": ("PAUSE_IR", "UPDATE_IR"),
    "PAUSE_IR": ("PAUSE_IR", "EXIT2_IR"),
    "EXIT2_IR": ("SHIFT_IR", "UPDATE_IR"),
    "UPDATE_IR": ("IDLE", "SELECT_DR"),
}
"""States of a JTAG test access port: what follows with TMS 0 and with TMS 1. Source: IEEE 1149.1."""


class JtagWire:
    """JTAG-DP with a 4 bit instruction register, alone on its chain. ``tdo`` is the level that it drives."""

    IDCODE = 0x4BA00477
    _ABORT, _DPACC, _APACC, _READ_IDCODE = 0x8, 0xA, 0xB, 0xE
    _OK_OR_FAULT = 2

    def __init__(self, port: DebugPort) -> None:
        self._port = port
        self._state = "RESET"
        self._instruction = self._READ_IDCODE
        self._shift = 0
        self._length = 1
        self._result = 0
        self.tdo = 0

    def clock(self, tms: int, tdi: int) -> None:
        """One rising edge of TCK."""
        state = self._state
        if state in ("SHIFT_DR", "SHIFT_IR"):
            self._shift = self._shift >> 1 | tdi << self._length - 1
        elif state == "CAPTURE_DR":
            self._capture()
        elif state == "CAPTURE_IR":
            self._length, self._shift = 4, 1
        self._state = _TAP[state][tms]
        if self._state == "RESET":
            self._instruction = self._READ_IDCODE
        elif self._state == "UPDATE_IR":
            self._instruction = self._shift & 0xF
        elif self._state == "UPDATE_DR":
            self._update(self._shift)
        self.tdo = self._shift & 1

    def _capture(self) -> None:
        if self._instruction == self._READ_IDCODE:
            self._length, self._shift = 32, self.IDCODE
        elif self._instruction in (self._ABORT, self._DPACC, self._APACC):
            self._length, self._shift = 35, self._result << 3 | self._OK_OR_FAULT
        else:
            self._length, self._shift = 1, 0

    def _update(self, value: int) -> None:
        is_read, register, data = value & 1, (value >> 1 & 3) << 2, value >> 3
        try:
            if self._instruction == self._ABORT:
                self._port.write_dp(_ABORT, data)
            elif self._instruction == self._DPACC:
                if not is_read:
                    self._port.write_dp(register, data)
                elif register != _RDBUFF:
                    self._result = self._port.read_dp(register)
            elif self._instruction == self._APACC:
                if is_read:
                    self._result = self._port.read_ap(register)
                else:
                    self._port.write_ap(register, data)
        except DapFaultError:
            self._result = 0


class _Handler(socketserver.BaseRequestHandler):
    server: BitbangServer

    def handle(self) -> None:
        chip = self.server.chip
        pins = BitbangPins(chip)
        while data := self.request.recv(65536):
            with chip.lock:
                answer = pins.act(data)
            if answer is None:
                return
            if answer:
                self.request.sendall(answer)


class BitbangPins:
    """Characters of the ``remote_bitbang`` protocol on the pins of a chip.

    ``d`` to ``g`` set SWDIO (bit 0) and SWCLK (bit 1), ``c`` reads SWDIO; ``0`` to ``7`` set TDI, TMS, TCK, ``R``
    reads TDO; ``r`` to ``u`` set the reset lines; ``Q`` ends. Source: openocd doc/manual/jtag/drivers/
    remote_bitbang.txt.
    """

    def __init__(self, chip: ProbedChip) -> None:
        self._chip = chip
        self._swd = SwdWire(chip.debug_port)
        self._jtag = JtagWire(chip.debug_port)
        self._swclk = self._tck = False
        self._swdio = 1
        self._system_reset = False

    def act(self, characters: bytes) -> bytes | None:
        """What the host reads back, None when it says goodbye."""
        answer = bytearray()
        for character in characters:
            if 0x64 <= character <= 0x67:
                self._set_swd(character - 0x64)
            elif character == 0x63:
                answer.append(0x30 + self._line)
            elif 0x30 <= character <= 0x37:
                self._set_jtag(character - 0x30)
            elif character == 0x52:
                answer.append(0x30 + self._jtag.tdo)
            elif 0x72 <= character <= 0x75:
                self._set_reset(bool(character - 0x72 & 1))
            elif character == 0x51:
                return None
        return bytes(answer)

    @property
    def _line(self) -> int:
        return self._swdio if self._swd.driven is None else self._swd.driven

    def _set_swd(self, levels: int) -> None:
        self._swdio = levels & 1
        if levels & 2 and not self._swclk:
            self._swd.clock(self._line)
        self._swclk = bool(levels & 2)

    def _set_jtag(self, levels: int) -> None:
        if levels & 4 and not self._tck:
            self._jtag.clock(levels >> 1 & 1, levels & 1)
        self._tck = bool(levels & 4)

    def _set_reset(self, asserted: bool) -> None:
        if self._system_reset and not asserted:
            self._chip.pin_reset()
        self._system_reset = asserted


class BitbangServer(socketserver.ThreadingTCPServer):
    """A chip's pins on loopback. Use as a context manager."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, chip: ProbedChip, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.chip = chip
        self.port = int(self.server_address[1])

    def __enter__(self) -> BitbangServer:
        threading.Thread(target=self.serve_forever, name="remote_bitbang", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
