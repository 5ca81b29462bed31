"""UARTE: serial lines in both directions, at their speed."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import ClassVar, Protocol

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, SHORTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterMap
from particle_harness.swd.bus import Bus

_RXDRDY, _ENDRX, _TXDRDY, _ENDTX, _RXTO = 0x108, 0x110, 0x11C, 0x120, 0x144
_RXSTARTED, _TXSTARTED, _TXSTOPPED = 0x14C, 0x150, 0x158
_ERRORSRC, _BAUDRATE, _RXD, _TXD = 0x480, 0x524, 0x534, 0x544
_BITS_PER_BYTE = 10
_SHORT_ENDRX_STARTRX, _SHORT_ENDRX_STOPRX = 5, 6


class SerialPeer(Protocol):
    """What is at the other end of the line. It answers by :meth:`Uarte.feed`."""

    def receive(self, data: bytes) -> None:
        """The chip has sent this."""
        ...


class Uarte(NrfPeripheral):
    """``sent`` keeps what the chip has sent where no ``peer`` takes it. Bytes for a receiver that does not run wait, as
    with flow control."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "UARTE",
        "nRF52840 PS v1.7, 6.34 UARTE",
        task("STARTRX", 0x000),
        task("STOPRX", 0x004),
        task("STARTTX", 0x008),
        task("STOPTX", 0x00C),
        task("FLUSHRX", 0x02C),
        event("CTS", 0x100),
        event("NCTS", 0x104),
        event("RXDRDY", _RXDRDY),
        event("ENDRX", _ENDRX),
        event("TXDRDY", _TXDRDY),
        event("ENDTX", _ENDTX),
        event("ERROR", 0x124),
        event("RXTO", _RXTO),
        event("RXSTARTED", _RXSTARTED),
        event("TXSTARTED", _TXSTARTED),
        event("TXSTOPPED", _TXSTOPPED),
        SHORTS,
        *INTERRUPTS,
        Register("ERRORSRC", _ERRORSRC),
        Register("ENABLE", 0x500),
        Register("PSEL", 0x508, reset=0xFFFFFFFF, count=4),
        Register("BAUDRATE", _BAUDRATE, reset=0x04000000),
        Register("RXD.PTR", _RXD),
        Register("RXD.MAXCNT", _RXD + 4),
        Register("RXD.AMOUNT", _RXD + 8, access="r"),
        Register("TXD.PTR", _TXD),
        Register("TXD.MAXCNT", _TXD + 4),
        Register("TXD.AMOUNT", _TXD + 8, access="r"),
        Register("CONFIG", 0x56C),
    )

    def __init__(
        self, start_address: int, timeline: Timeline, line: InterruptLine, wires: Wires, name: str, bus: Bus
    ) -> None:
        self.bus = bus
        self.peer: SerialPeer | None = None
        self.sent = bytearray()
        self.incoming: deque[int] = deque()
        self.receives = False
        self.buffer = 0
        self.room = 0
        self.amount = 0
        self.rx_alarm: Alarm | None = None
        self.tx_alarm: Alarm | None = None
        self.stop_alarm: Alarm | None = None
        super().__init__(start_address, timeline, line, wires, name)

    def reset(self) -> None:
        """Idle."""
        super().reset()
        self.receives = False
        self.incoming.clear()
        self._cancel()

    def _cancel(self) -> None:
        for alarm in (self.rx_alarm, self.tx_alarm, self.stop_alarm):
            if alarm is not None:
                alarm.cancel()
        self.rx_alarm = self.tx_alarm = self.stop_alarm = None

    def feed(self, data: bytes) -> None:
        """The peer sends."""
        self.incoming.extend(data)
        self._expect()

    @property
    def _byte_cycles(self) -> int:
        bits_per_s = max(self.word(_BAUDRATE) * 16_000_000 >> 32, 1200)
        return self.timeline.cycles_of(_BITS_PER_BYTE / bits_per_s)

    # ---- receiving --------------------------------------------------------------------------------------------------

    def task_startrx(self) -> None:
        """The buffer is taken; bytes come."""
        self.receives = True
        self.buffer, self.room, self.amount = self.word(_RXD), self.word(_RXD + 4), 0
        self.raise_event(_RXSTARTED)
        self._expect()

    def task_stoprx(self) -> None:
        """The buffer is given back a byte's time later, and the receiver times out: drivers clear both events first."""
        if self.receives and self.stop_alarm is None:
            self.stop_alarm = self.timeline.after(self._byte_cycles, self._stop_receiving)

    def _stop_receiving(self) -> None:
        self.stop_alarm = None
        if self.receives:
            self._give_back()
            self.receives = False
        self.raise_event(_RXTO)

    def task_flushrx(self) -> None:
        """Nothing is left in the FIFO."""
        self.stored[_RXD + 8] = 0
        self.raise_event(_ENDRX)

    def _expect(self) -> None:
        if self.rx_alarm is None and self.receives and self.incoming and self.amount < self.room:
            self.rx_alarm = self.timeline.after(self._byte_cycles, self._arrive)

    def _arrive(self) -> None:
        self.rx_alarm = None
        if not self.receives or not self.incoming or self.amount >= self.room:
            return
        self.bus.write(self.buffer + self.amount, bytes((self.incoming.popleft(),)))
        self.amount += 1
        self.raise_event(_RXDRDY)
        if self.amount == self.room:
            self._end_reception()
        self._expect()

    def _give_back(self) -> None:
        self.stored[_RXD + 8] = self.amount
        self.raise_event(_ENDRX)

    def _end_reception(self) -> None:
        restart, stop = self.shortcut(_SHORT_ENDRX_STARTRX), self.shortcut(_SHORT_ENDRX_STOPRX)
        self._give_back()
        if restart:
            self.task_startrx()
        elif stop:
            self.receives = False
            self.raise_event(_RXTO)

    # ---- sending ----------------------------------------------------------------------------------------------------

    def task_starttx(self) -> None:
        """The bytes go."""
        count = self.word(_TXD + 4)
        data = self.bus.read(self.word(_TXD), count) if count else b""
        self.raise_event(_TXSTARTED)
        self.tx_alarm = self.timeline.after(self._byte_cycles * count, partial(self._end_transmission, data))

    def _end_transmission(self, data: bytes) -> None:
        self.tx_alarm = None
        self.stored[_TXD + 8] = len(data)
        if self.peer is None:
            self.sent += data
        else:
            self.peer.receive(data)
        self.raise_event(_TXDRDY)
        self.raise_event(_ENDTX)

    def task_stoptx(self) -> None:
        """Stopped."""
        self.raise_event(_TXSTOPPED)

    def write_errorsrc(self, value: int) -> None:
        """Ones clear."""
        self.stored[_ERRORSRC] &= ~value
