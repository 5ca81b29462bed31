"""SPIM and TWIM, which share their addresses: masters of SPI and I2C buses."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, SHORTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.parts.wired_registers import I2cDevice
from particle_harness.emulator.peripherals.registers import Register, RegisterMap
from particle_harness.swd.bus import Bus

_STOPPED, _ENDRX, _END, _ENDTX, _ERROR = 0x104, 0x110, 0x118, 0x120, 0x124
_SUSPENDED, _STARTED, _TXSTARTED, _LASTRX, _LASTTX = 0x148, 0x14C, 0x150, 0x15C, 0x160
_ERRORSRC, _ENABLE, _RXD, _TXD, _ADDRESS, _ORC = 0x4C4, 0x500, 0x534, 0x544, 0x588, 0x5C0
_IS_TWIM = 6
_ADDRESS_NACK = 2
_BITS_PER_BYTE = 9
_I2C_HZ = 400_000


class SpiMessageDevice(Protocol):
    """Something on an SPI bus."""

    def exchange(self, data: bytes, size_bytes: int) -> bytes:
        """What it sends while it gets ``data``, ``size_bytes`` long."""
        ...


class SerialMaster(NrfPeripheral):
    """SPI with ``spi_device``, or nothing, which reads as 0xFF; I2C with ``i2c_devices`` by address, others do not
    acknowledge. Transfers on SPI end at once, on I2C after their time."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "SPIM/TWIM",
        "nRF52840 PS v1.7, 6.25 SPIM, 6.31 TWIM",
        task("STARTRX", 0x000),
        task("STARTTX", 0x008),
        task("START", 0x010),
        task("STOP", 0x014),
        task("SUSPEND", 0x01C),
        task("RESUME", 0x020),
        event("STOPPED", _STOPPED),
        event("ENDRX", _ENDRX),
        event("END", _END),
        event("ENDTX", _ENDTX),
        event("ERROR", _ERROR),
        event("SUSPENDED", _SUSPENDED),
        event("STARTED", _STARTED),
        event("TXSTARTED", _TXSTARTED),
        event("LASTRX", _LASTRX),
        event("LASTTX", _LASTTX),
        SHORTS,
        *INTERRUPTS,
        Register("STALLSTAT", 0x400),
        Register("ERRORSRC", _ERRORSRC),
        Register("ENABLE", _ENABLE),
        Register("PSEL", 0x508, reset=0xFFFFFFFF, count=4),
        Register("FREQUENCY", 0x524, reset=0x04000000),
        Register("RXD.PTR", _RXD),
        Register("RXD.MAXCNT", _RXD + 4),
        Register("RXD.AMOUNT", _RXD + 8, access="r"),
        Register("RXD.LIST", _RXD + 12),
        Register("TXD.PTR", _TXD),
        Register("TXD.MAXCNT", _TXD + 4),
        Register("TXD.AMOUNT", _TXD + 8, access="r"),
        Register("TXD.LIST", _TXD + 12),
        Register("CONFIG", 0x554),
        Register("IFTIMING.RXDELAY", 0x560, reset=2),
        Register("IFTIMING.CSNDUR", 0x564, reset=2),
        Register("CSNPOL", 0x568),
        Register("PSELDCX", 0x56C, reset=0xFFFFFFFF),
        Register("DCXCNT", 0x570),
        Register("ADDRESS", _ADDRESS),
        Register("ORC", _ORC),
    )

    def __init__(
        self, start_address: int, timeline: Timeline, line: InterruptLine, wires: Wires, name: str, bus: Bus
    ) -> None:
        self.bus = bus
        self.spi_device: SpiMessageDevice | None = None
        self.i2c_devices: dict[int, I2cDevice] = {}
        self.alarm: Alarm | None = None
        """The end of the transfer on I2C."""
        super().__init__(start_address, timeline, line, wires, name)

    def reset(self) -> None:
        """Idle."""
        super().reset()
        self._cancel()

    def _cancel(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    # ---- SPI --------------------------------------------------------------------------------------------------------

    def task_start(self) -> None:
        """One SPI transfer both ways."""
        send = self.bus.read(self.word(_TXD), self.word(_TXD + 4)) if self.word(_TXD + 4) else b""
        wanted = self.word(_RXD + 4)
        clocked = max(len(send), wanted)
        data = b"" if self.spi_device is None else self.spi_device.exchange(send, clocked)
        data = data.ljust(clocked, b"\xff")[:wanted]
        if data:
            self.bus.write(self.word(_RXD), data)
        self.stored[_RXD + 8], self.stored[_TXD + 8] = len(data), len(send)
        for offset in (_STARTED, _ENDRX, _ENDTX, _END):
            self.raise_event(offset)

    # ---- I2C --------------------------------------------------------------------------------------------------------

    @property
    def _device(self) -> I2cDevice | None:
        return self.i2c_devices.get(self.word(_ADDRESS) & 0x7F)

    def task_startrx(self) -> None:
        """An I2C read."""
        self.raise_event(_STARTED)
        self._later(self.word(_RXD + 4), self._end_read)

    def task_starttx(self) -> None:
        """An I2C write."""
        self.raise_event(_TXSTARTED)
        self._later(self.word(_TXD + 4), self._end_write)

    def _later(self, size_bytes: int, call: Callable[[], None]) -> None:
        bits = (1 + size_bytes if self._device is not None else 1) * _BITS_PER_BYTE
        self._cancel()
        self.alarm = self.timeline.after(self.timeline.cycles_of(bits / _I2C_HZ), call)

    def _end_read(self) -> None:
        self.alarm = None
        device = self._device
        if device is None:
            self._refuse()
            return
        data = device.read(self.word(_RXD + 4))
        if data:
            self.bus.write(self.word(_RXD), data)
        self.stored[_RXD + 8] = len(data)
        self.raise_event(_LASTRX)
        if self.shortcut(12):
            self.task_stop()
        elif self.shortcut(11):
            self.task_suspend()

    def _end_write(self) -> None:
        self.alarm = None
        device = self._device
        if device is None:
            self._refuse()
            return
        count = self.word(_TXD + 4)
        device.write(self.bus.read(self.word(_TXD), count) if count else b"")
        self.stored[_TXD + 8] = count
        self.raise_event(_LASTTX)
        if self.shortcut(7):
            self.task_startrx()
        elif self.shortcut(9):
            self.task_stop()
        elif self.shortcut(8):
            self.task_suspend()

    def _refuse(self) -> None:
        self.stored[_ERRORSRC] |= _ADDRESS_NACK
        self.raise_event(_ERROR)

    def task_stop(self) -> None:
        """Stopped."""
        self.raise_event(_STOPPED)

    def task_suspend(self) -> None:
        """Suspended."""
        if self.word(_ENABLE) & 0xF == _IS_TWIM:
            self.raise_event(_SUSPENDED)

    def write_errorsrc(self, value: int) -> None:
        """Ones clear."""
        self.stored[_ERRORSRC] &= ~value
