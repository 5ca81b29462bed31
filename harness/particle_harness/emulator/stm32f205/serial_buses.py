"""SPI, USART and ADC: enough for firmware to find what the board has, and nothing where it has nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap


class SpiByteDevice(Protocol):
    """What hangs on an SPI bus while its chip select is low."""

    def exchange(self, byte: int) -> int:
        """A byte goes in, one comes out."""
        ...


class Spi(RegisterBlock):
    """Master with eight or sixteen bits per frame; each frame is over at once. Without a device, MISO reads high."""

    registers = RegisterMap(
        "SPI",
        "ST RM0033, Serial peripheral interface (SPI), SPI and I2S registers",
        Register("CR1", 0x00),
        Register("CR2", 0x04),
        Register("SR", 0x08, reset=0x02),
        Register("DR", 0x0C),
        Register("CRCPR", 0x10, reset=0x07),
        Register("RXCRCR", 0x14),
        Register("TXCRCR", 0x18),
        Register("I2SCFGR", 0x1C),
        Register("I2SPR", 0x20, reset=0x02),
    )

    def __init__(self, name: str, line: InterruptLine) -> None:
        self._line = line
        self.device: SpiByteDevice | None = None
        super().__init__(name)

    def reset(self) -> None:
        """Off."""
        super().reset()
        self.received: int | None = None
        self._line.set(False)

    def read_sr(self) -> int:
        """Always ready to send; RXNE when a frame is there."""
        return 0x02 | (self.received is not None)

    def write_sr(self, value: int) -> None:
        """Error flags are never set."""

    def write_cr2(self, value: int) -> None:
        """Interrupts on or off."""
        self.stored[0x04] = value
        self._update()

    def write_dr(self, value: int) -> None:
        """Send a frame, receive one."""
        if self.stored[0x00] >> 11 & 1:
            high, low = self._exchange(value >> 8 & 0xFF), self._exchange(value & 0xFF)
            self.received = high << 8 | low
        else:
            self.received = self._exchange(value & 0xFF)
        self._update()

    def read_dr(self) -> int:
        """The frame that came in."""
        value, self.received = self.received or 0, None
        self._update()
        return value

    def _exchange(self, byte: int) -> int:
        return self.device.exchange(byte) if self.device is not None else 0xFF

    def _update(self) -> None:
        enabled = self.stored[0x04]
        self._line.set(bool(enabled >> 7 & 1 or (enabled >> 6 & 1 and self.received is not None)))


class Usart(RegisterBlock):
    """Sends at once to ``on_byte``; ``feed()`` is what a peer sends."""

    registers = RegisterMap(
        "USART",
        "ST RM0033, Universal synchronous asynchronous receiver transmitter (USART), USART registers",
        Register("SR", 0x00, reset=0xC0),
        Register("DR", 0x04),
        Register("BRR", 0x08),
        Register("CR1", 0x0C),
        Register("CR2", 0x10),
        Register("CR3", 0x14),
        Register("GTPR", 0x18),
    )
    _TXE, _TC, _RXNE = 1 << 7, 1 << 6, 1 << 5

    def __init__(self, name: str, line: InterruptLine) -> None:
        self._line = line
        self.on_byte: Callable[[int], None] | None = None
        self.incoming: deque[int] = deque()
        super().__init__(name)

    def reset(self) -> None:
        """Off; what a peer has sent is lost."""
        super().reset()
        self.incoming.clear()
        self._line.set(False)

    def feed(self, data: bytes) -> None:
        """A peer sends."""
        self.incoming.extend(data)
        self._update()

    def read_sr(self) -> int:
        """Always ready to send."""
        return self._TXE | self._TC | (self._RXNE if self.incoming else 0)

    def write_sr(self, value: int) -> None:
        """TC and RXNE are levels here."""

    def read_dr(self) -> int:
        """The oldest byte that came in."""
        value = self.incoming.popleft() if self.incoming else 0
        self._update()
        return value

    def write_dr(self, value: int) -> None:
        """Send a byte."""
        if self.on_byte is not None:
            self.on_byte(value & 0xFF)

    def write_cr1(self, value: int) -> None:
        """Interrupts on or off."""
        self.stored[0x0C] = value
        self._update()

    def _update(self) -> None:
        self._line.set(bool(self.read_sr() & self.stored[0x0C] & 0xE0))


class Adc(RegisterBlock):
    """Every conversion of ADC1 is over at once and reads half of the range; ADC2 and ADC3 never convert."""

    registers = RegisterMap(
        "ADC",
        "ST RM0033, Analog-to-digital converter (ADC), ADC registers",
        Register("SR", 0x00),
        Register("CR1", 0x04),
        Register("CR2", 0x08),
        Register("SMPR", 0x0C, count=2),
        Register("JOFR", 0x14, count=4),
        Register("HTR", 0x24, reset=0xFFF),
        Register("LTR", 0x28),
        Register("SQR", 0x2C, count=3),
        Register("JSQR", 0x38),
        Register("JDR", 0x3C, count=4, access="r"),
        Register("DR", 0x4C, access="r"),
    )
    _EOC, _SWSTART, _HALF = 1 << 1, 1 << 30, 0x800

    def write_cr2(self, value: int) -> None:
        """SWSTART converts."""
        if value & self._SWSTART:
            self.stored[0x00] |= self._EOC
        self.stored[0x08] = value & ~self._SWSTART

    def read_dr(self) -> int:
        """The result; reading it clears EOC."""
        self.stored[0x00] &= ~self._EOC
        return self._HALF
