"""I2C as a master."""

from __future__ import annotations

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.parts.wired_registers import I2cDevice
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap

_CR1, _CR2 = 0x00, 0x04
_ENABLE, _START, _STOP, _ACK, _SOFTWARE_RESET = 1 << 0, 1 << 8, 1 << 9, 1 << 10, 1 << 15
_ERROR_ENABLE, _EVENT_ENABLE, _BUFFER_ENABLE = 1 << 8, 1 << 9, 1 << 10
_SB, _ADDR, _BTF, _RXNE, _TXE, _AF = 1 << 0, 1 << 1, 1 << 2, 1 << 6, 1 << 7, 1 << 10
_MASTER_BUSY, _TRANSMITS = 0x03, 0x04
_ERRORS = 0xFF00


class I2c(RegisterBlock):
    """``devices`` by address; every other address is refused (AF). Bytes go at once: those that are received fill the
    data and the shift register, and further ones wait until there is room, are not acknowledged, or STOP comes. SWRST
    ends what goes on and leaves the other registers as they are."""

    registers = RegisterMap(
        "I2C",
        "ST RM0033, Inter-integrated circuit (I2C) interface, I2C registers",
        Register("CR1", _CR1),
        Register("CR2", _CR2),
        Register("OAR1", 0x08),
        Register("OAR2", 0x0C),
        Register("DR", 0x10),
        Register("SR1", 0x14),
        Register("SR2", 0x18),
        Register("CCR", 0x1C),
        Register("TRISE", 0x20, reset=0x02),
    )

    def __init__(self, name: str, event: InterruptLine, error: InterruptLine) -> None:
        self._event, self._error = event, error
        self.devices: dict[int, I2cDevice] = {}
        super().__init__(name)

    def reset(self) -> None:
        """Idle."""
        super().reset()
        self._forget()
        self._update()

    def _forget(self) -> None:
        self.status = 0
        self.is_master = False
        self.device: I2cDevice | None = None
        """The one that is talked to."""
        self.receives = False
        self.may_clock = False
        self.outgoing = bytearray()
        self.received = bytearray()

    # ---- control ----------------------------------------------------------------------------------------------------

    def write_cr1(self, value: int) -> None:
        """START and STOP are sent at once."""
        self.stored[_CR1] = value & ~(_START | _STOP)
        if value & _SOFTWARE_RESET:
            self._forget()
        elif value & _ENABLE:
            if value & _STOP:
                self._end()
                self.is_master = False
            if value & _START:
                self._end()
                self.received.clear()
                self.is_master = True
                self.status |= _SB
        self._update()

    def _end(self) -> None:
        if self.device is not None and not self.receives and not self.status & _ADDR:
            self.device.write(bytes(self.outgoing))
        self.outgoing.clear()
        self.device = None
        self.may_clock = False
        self.status &= ~(_ADDR | _SB)

    def write_cr2(self, value: int) -> None:
        """Interrupts on or off."""
        self.stored[_CR2] = value
        self._update()

    # ---- data -------------------------------------------------------------------------------------------------------

    def write_dr(self, value: int) -> None:
        """After START an address with its direction, then data."""
        byte = value & 0xFF
        if self.status & _SB:
            self.status &= ~_SB
            self.device = self.devices.get(byte >> 1)
            self.receives = bool(byte & 1)
            self.status |= _AF if self.device is None else _ADDR
        elif self._transmits:
            self.outgoing.append(byte)
        self._update()

    def read_dr(self) -> int:
        """The oldest byte that came in."""
        value = self.received.pop(0) if self.received else 0
        self._clock()
        self._update()
        return value

    def _clock(self) -> None:
        while self.may_clock and self.device is not None and len(self.received) < 2:
            self.received += self.device.read(1)
            self.may_clock = bool(self.stored[_CR1] & _ACK)

    @property
    def _transmits(self) -> bool:
        return self.device is not None and not self.receives and not self.status & _ADDR

    # ---- status -----------------------------------------------------------------------------------------------------

    def read_sr1(self) -> int:
        """Events and errors."""
        flags = self.status
        if self._transmits:
            flags |= _TXE | (_BTF if self.outgoing else 0)
        if self.received:
            flags |= _RXNE | (_BTF if len(self.received) == 2 else 0)
        return flags

    def write_sr1(self, value: int) -> None:
        """Zeros clear errors."""
        self.status &= value | ~_ERRORS
        self._update()

    def read_sr2(self) -> int:
        """Whether the bus is taken, and which way the bytes go. Reading it ends the wait after an address."""
        if self.status & _ADDR:
            self.status &= ~_ADDR
            self.may_clock = self.receives
            self._clock()
            self._update()
        return (_MASTER_BUSY if self.is_master else 0) | (_TRANSMITS if self._transmits else 0)

    def _update(self) -> None:
        enabled, flags = self.stored[_CR2], self.read_sr1()
        causes = _SB | _ADDR | _BTF | (_RXNE | _TXE if enabled & _BUFFER_ENABLE else 0)
        self._event.set(bool(enabled & _EVENT_ENABLE and flags & causes))
        self._error.set(bool(enabled & _ERROR_ENABLE and flags & _AF))
