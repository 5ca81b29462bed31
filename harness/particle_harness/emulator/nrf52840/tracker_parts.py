"""What a Tracker has beside its controller and Device OS looks for: a clock on I2C, and a pin expander on SPI."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.nrf52840.pins import Gpio
from particle_harness.emulator.parts.wired_registers import WiredRegisters
from particle_harness.emulator.peripherals.registers import Register, RegisterMap

CLOCK_ADDRESS = 0x69
_TIME_REGISTERS = 8
_SELECT_PINS, _EXPANDER_OUTPUT, _EXPANDER_RESET_PIN = (42, 43, 44), 6, 25
"""P1.10 to P1.12 choose an output of a demultiplexer, whose Y6 selects the expander. Source: device-os v2.1.0
hal/src/tracker/{demux.h,pinmap_hal.c}."""
_OPCODE, _READS = 0x40, 0x01
_NOTHING = 0xFF


class ExternalClock(WiredRegisters):
    """AM1805 at address 0x69: a calendar that goes on with the chip's time and survives its resets. Alarm, countdown,
    watchdog and sleep are registers that do nothing."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "AM1805",
        "Ambiq AM18X5 Family data sheet, 6 Registers",
        Register("TIME", 0x00, count=_TIME_REGISTERS, stride=1),
        Register("ALARM", 0x08, count=7, stride=1),
        Register("STATUS", 0x0F),
        Register("CONTROL1", 0x10, reset=0x13),
        Register("CONTROL2", 0x11, reset=0x3C),
        Register("INT_MASK", 0x12, reset=0xE0),
        Register("SQW", 0x13, reset=0x26),
        Register("CAL", 0x14, count=3, stride=1),
        Register("SLEEP_CONTROL", 0x17),
        Register("TIMER_CONTROL", 0x18, reset=0x23),
        Register("TIMER", 0x19, count=2, stride=1),
        Register("WDT", 0x1B),
        Register("OSC_CONTROL", 0x1C),
        Register("OSC_STATUS", 0x1D),
        Register("CONFIG_KEY", 0x1F, access="w"),
        Register("TRICKLE", 0x20),
        Register("BREF_CONTROL", 0x21, reset=0xF0),
        Register("AFCTRL", 0x26),
        Register("BATMODE_IO", 0x27, reset=0x80),
        Register("ID0", 0x28, access="r", reset=0x18),
        Register("ID1", 0x29, access="r", reset=0x05),
        Register("OUTPUT_CONTROL", 0x30),
    )

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        super().__init__()

    def reset(self) -> None:
        """As after power came: the first of January 2000."""
        super().reset()
        self._set([0, 0, 0, 0, 1, 1, 0, 0])

    def _set(self, fields: list[int]) -> None:
        self.fields = fields
        self.set_at_s = self._timeline.now_s

    def read_time(self, index: int) -> int:
        """Hundredths, seconds, minutes, hours, day, month, year, weekday, in BCD."""
        return _to_bcd(self._now()[index])

    def write_time(self, index: int, value: int) -> None:
        """Set one of them."""
        fields = self._now()
        fields[index] = (value >> 4) * 10 + (value & 0xF)
        self._set(fields)

    def _now(self) -> list[int]:
        passed = timedelta(seconds=self._timeline.now_s - self.set_at_s)
        hundredths, seconds, minutes, hours, day, month, year, weekday = self.fields
        try:
            start = datetime(2000 + year, month, day, hours, minutes, seconds, hundredths * 10_000)
        except ValueError:
            # Firmware sets them one after the other; what is no date meanwhile stands still.
            return list(self.fields)
        now = start + passed
        weekday = (weekday + (now.date() - start.date()).days) % 7
        date = (now.day, now.month, now.year % 100, weekday)
        return [now.microsecond // 10_000, now.second, now.minute, now.hour, *date]


class PinExpander(WiredRegisters):
    """MCP23S17: two ports. Pins are high, as if pulled up, and never interrupt."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "MCP23S17",
        "Microchip DS20001952, 3.5 Configuration and Control Registers (IOCON.BANK = 0)",
        Register("IODIR", 0x00, reset=0xFF, count=2, stride=1),
        Register("IPOL", 0x02, count=2, stride=1),
        Register("GPINTEN", 0x04, count=2, stride=1),
        Register("DEFVAL", 0x06, count=2, stride=1),
        Register("INTCON", 0x08, count=2, stride=1),
        Register("IOCON", 0x0A, count=2, stride=1),
        Register("GPPU", 0x0C, count=2, stride=1),
        Register("INTF", 0x0E, access="r", count=2, stride=1),
        Register("INTCAP", 0x10, access="r", count=2, stride=1),
        Register("GPIO", 0x12, count=2, stride=1),
        Register("OLAT", 0x14, count=2, stride=1),
    )
    _DIRECTION, _POLARITY, _LATCH = 0x00, 0x02, 0x14

    def read_gpio(self, port: int) -> int:
        """What the pins are at."""
        inputs = self.stored[self._DIRECTION + port]
        return (inputs ^ inputs & self.stored[self._POLARITY + port]) | self.stored[self._LATCH + port] & ~inputs

    def write_gpio(self, port: int, value: int) -> None:
        """Writes the latch."""
        self.stored[self._LATCH + port] = value


class ExpanderOnSpi:
    """The expander's end of the SPI bus: an opcode, the number of a register, then values, while it is selected."""

    def __init__(self, gpio: Gpio) -> None:
        self.expander = PinExpander()
        self._gpio = gpio
        self.is_selected = False
        self.opcode: int | None = None
        self.is_addressed = False
        for pin in _SELECT_PINS:
            gpio.watchers[pin] = self._look
        gpio.watchers[_EXPANDER_RESET_PIN] = self._reset_pin

    def _look(self, _level: bool) -> None:
        output = sum(self._gpio.level(pin) << bit for bit, pin in enumerate(_SELECT_PINS))
        self.is_selected = output == _EXPANDER_OUTPUT
        self.opcode, self.is_addressed = None, False

    def _reset_pin(self, level: bool) -> None:
        if not level:
            self.expander.reset()

    def exchange(self, data: bytes, size_bytes: int) -> bytes:
        """As the bus asks."""
        return bytes(self._exchange(byte) for byte in data.ljust(size_bytes, b"\xff"))

    def _exchange(self, byte: int) -> int:
        if not self.is_selected:
            return _NOTHING
        if self.opcode is None:
            self.opcode = byte
        elif self.opcode & ~_READS != _OPCODE:
            return _NOTHING
        elif not self.is_addressed:
            self.expander.pointer, self.is_addressed = byte, True
        elif self.opcode & _READS:
            return self.expander.read(1)[0]
        else:
            self.expander.write(bytes((self.expander.pointer, byte)))
        return _NOTHING


def _to_bcd(number: int) -> int:
    return number // 10 << 4 | number % 10
