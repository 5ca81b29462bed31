"""Pins: GPIO and GPIOTE."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap

_PORT_STRIDE = 0x300
_OUT, _DIR, _LATCH, _PIN_CNF = 0x504, 0x514, 0x520, 0x700
_DISCONNECTED = 2
_PULL_DOWN = 1
_SENSE_HIGH, _SENSE_LOW = 2, 3
_PINS = 48
_PORT_EVENT, _CONFIG = 0x17C, 0x510
_EVENT_MODE, _TASK_MODE = 1, 3


def _port(number: int) -> tuple[Register, ...]:
    base, pins = number * _PORT_STRIDE, (32, 16)[number]
    return (
        Register(f"P{number}_OUT", base + _OUT),
        Register(f"P{number}_OUTSET", base + 0x508),
        Register(f"P{number}_OUTCLR", base + 0x50C),
        Register(f"P{number}_IN", base + 0x510, access="r"),
        Register(f"P{number}_DIR", base + _DIR),
        Register(f"P{number}_DIRSET", base + 0x518),
        Register(f"P{number}_DIRCLR", base + 0x51C),
        Register(f"P{number}_LATCH", base + _LATCH),
        Register(f"P{number}_DETECTMODE", base + 0x524),
        Register(f"P{number}_PIN_CNF", base + _PIN_CNF, reset=_DISCONNECTED, count=pins),
    )


class Gpio(RegisterBlock):
    """Both ports. A pin that nobody drives follows its pull resistor, and is high without one.

    ``driven``: levels that the board puts on pins (number: 0…31 port 0, 32…47 port 1). ``on_change``: told of pins
    whose level changed.
    """

    registers: ClassVar[RegisterMap] = RegisterMap("GPIO", "nRF52840 PS v1.7, 6.9 GPIO", *_port(0), *_port(1))

    def __init__(self) -> None:
        self.driven: dict[int, bool] = {}
        self.on_change: Callable[[int, bool], None] | None = None
        self.watchers: dict[int, Callable[[bool], None]] = {}
        """Whoever is wired to a pin on the board, and told of its level."""
        super().__init__("GPIO")

    # ---- levels -----------------------------------------------------------------------------------------------------

    def level(self, pin: int) -> bool:
        """What a pin is at."""
        if pin in self.driven:
            return self.driven[pin]
        port, bit = divmod(pin, 32)
        base = port * _PORT_STRIDE
        if self.stored[base + _DIR] >> bit & 1:
            return bool(self.stored[base + _OUT] >> bit & 1)
        return self.stored[base + _PIN_CNF + 4 * bit] >> 2 & 3 != _PULL_DOWN

    def output(self, pin: int) -> bool | None:
        """What firmware drives a pin to; None while it is an input."""
        port, bit = divmod(pin, 32)
        base = port * _PORT_STRIDE
        if not self.stored[base + _DIR] >> bit & 1:
            return None
        return bool(self.stored[base + _OUT] >> bit & 1)

    def drive(self, pin: int, level: bool | None) -> None:
        """The board puts a level on a pin; None lets it go."""
        before = self.level(pin)
        if level is None:
            self.driven.pop(pin, None)
        else:
            self.driven[pin] = level
        self._tell(pin, before)

    def senses(self, pin: int) -> bool:
        """Whether the pin is at the level that PIN_CNF.SENSE waits for."""
        port, bit = divmod(pin, 32)
        sense = self.stored[port * _PORT_STRIDE + _PIN_CNF + 4 * bit] >> 16 & 3
        return sense == (_SENSE_HIGH if self.level(pin) else _SENSE_LOW)

    def _tell(self, pin: int, before: bool) -> None:
        after = self.level(pin)
        if after == before:
            return
        if self.on_change is not None:
            self.on_change(pin, after)
        if pin in self.watchers:
            self.watchers[pin](after)

    def set_out(self, port: int, value: int) -> None:
        """OUT of a port."""
        self._change(port, _OUT, value)

    def _set_direction(self, port: int, value: int) -> None:
        self._change(port, _DIR, value)

    def _change(self, port: int, register: int, value: int) -> None:
        offset = port * _PORT_STRIDE + register
        changed = self.stored[offset] ^ value
        if self.on_change is None or not changed:
            self.stored[offset] = value
            return
        pins = [32 * port + bit for bit in range(32) if changed >> bit & 1 and 32 * port + bit < _PINS]
        before = [self.level(pin) for pin in pins]
        self.stored[offset] = value
        for pin, level in zip(pins, before, strict=True):
            self._tell(pin, level)

    def _levels(self, port: int) -> int:
        return sum(self.level(32 * port + bit) << bit for bit in range((32, 16)[port]))

    # ---- registers --------------------------------------------------------------------------------------------------

    def read_p0_in(self) -> int:
        """Levels of port 0."""
        return self._levels(0)

    def read_p1_in(self) -> int:
        """Levels of port 1."""
        return self._levels(1)

    def write_p0_out(self, value: int) -> None:
        """OUT."""
        self.set_out(0, value)

    def write_p1_out(self, value: int) -> None:
        """OUT."""
        self.set_out(1, value)

    def write_p0_outset(self, value: int) -> None:
        """OUTSET."""
        self.set_out(0, self.stored[_OUT] | value)

    def write_p1_outset(self, value: int) -> None:
        """OUTSET."""
        self.set_out(1, self.stored[_PORT_STRIDE + _OUT] | value)

    def write_p0_outclr(self, value: int) -> None:
        """OUTCLR."""
        self.set_out(0, self.stored[_OUT] & ~value)

    def write_p1_outclr(self, value: int) -> None:
        """OUTCLR."""
        self.set_out(1, self.stored[_PORT_STRIDE + _OUT] & ~value)

    def read_p0_outset(self) -> int:
        """OUTSET reads as OUT."""
        return self.stored[_OUT]

    def read_p1_outset(self) -> int:
        """OUTSET reads as OUT."""
        return self.stored[_PORT_STRIDE + _OUT]

    def write_p0_dir(self, value: int) -> None:
        """DIR."""
        self._set_direction(0, value)
        self._mirror_direction(0)

    def write_p1_dir(self, value: int) -> None:
        """DIR."""
        self._set_direction(1, value)
        self._mirror_direction(1)

    def write_p0_dirset(self, value: int) -> None:
        """DIRSET."""
        self.write_p0_dir(self.stored[_DIR] | value)

    def write_p1_dirset(self, value: int) -> None:
        """DIRSET."""
        self.write_p1_dir(self.stored[_PORT_STRIDE + _DIR] | value)

    def write_p0_dirclr(self, value: int) -> None:
        """DIRCLR."""
        self.write_p0_dir(self.stored[_DIR] & ~value)

    def write_p1_dirclr(self, value: int) -> None:
        """DIRCLR."""
        self.write_p1_dir(self.stored[_PORT_STRIDE + _DIR] & ~value)

    def write_p0_pin_cnf(self, index: int, value: int) -> None:
        """PIN_CNF; its DIR is the pin's bit in DIR."""
        self._configure(0, index, value)

    def write_p1_pin_cnf(self, index: int, value: int) -> None:
        """PIN_CNF; its DIR is the pin's bit in DIR."""
        self._configure(1, index, value)

    def write_p0_latch(self, value: int) -> None:
        """Ones clear."""
        self.stored[_LATCH] &= ~value

    def write_p1_latch(self, value: int) -> None:
        """Ones clear."""
        self.stored[_PORT_STRIDE + _LATCH] &= ~value

    def _configure(self, port: int, bit: int, value: int) -> None:
        pin, base = 32 * port + bit, port * _PORT_STRIDE
        before = self.level(pin)
        self.stored[base + _PIN_CNF + 4 * bit] = value
        self.stored[base + _DIR] = self.stored[base + _DIR] & ~(1 << bit) | (value & 1) << bit
        self._tell(pin, before)

    def _mirror_direction(self, port: int) -> None:
        base = port * _PORT_STRIDE
        for bit in range((32, 16)[port]):
            offset = base + _PIN_CNF + 4 * bit
            self.stored[offset] = self.stored[offset] & ~1 | self.stored[base + _DIR] >> bit & 1


class Gpiote(NrfPeripheral):
    """Events from pins: edges on eight channels, and changes to the level that PIN_CNF.SENSE names. A pin that is at
    that level when SENSE is set raises none, and LATCH stays 0."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "GPIOTE",
        "nRF52840 PS v1.7, 6.10 GPIOTE",
        task("OUT", 0x000, count=8),
        task("SET", 0x030, count=8),
        task("CLR", 0x060, count=8),
        event("IN", 0x100, count=8),
        event("PORT", _PORT_EVENT),
        *INTERRUPTS,
        Register("CONFIG", _CONFIG, count=8),
    )

    def __init__(self, timeline: Timeline, line: InterruptLine, wires: Wires, gpio: Gpio) -> None:
        self.gpio = gpio
        super().__init__(0x40006000, timeline, line, wires, "GPIOTE")

    def pin_changed(self, pin: int, level: bool) -> None:
        """A level has changed."""
        for index in range(8):
            config = self.word(_CONFIG + 4 * index)
            rising_or_falling = config >> 16 & (1 if level else 2)
            if config & 3 == _EVENT_MODE and config >> 8 & 0x3F == pin and rising_or_falling:
                self.raise_event(0x100 + 4 * index)
        if self.gpio.senses(pin):
            self.raise_event(_PORT_EVENT)

    def _drive(self, index: int, level: bool | None) -> None:
        config = self.word(_CONFIG + 4 * index)
        if config & 3 != _TASK_MODE:
            return
        port, bit = divmod(config >> 8 & 0x3F, 32)
        out = self.gpio.stored[port * _PORT_STRIDE + _OUT]
        if level is None:
            level = not out >> bit & 1
        self.gpio.set_out(port, out | 1 << bit if level else out & ~(1 << bit))

    def task_out(self, index: int) -> None:
        """Toggles, or what POLARITY says."""
        self._drive(index, {1: True, 2: False}.get(self.word(_CONFIG + 4 * index) >> 16 & 3))

    def task_set(self, index: int) -> None:
        """High."""
        self._drive(index, True)

    def task_clr(self, index: int) -> None:
        """Low."""
        self._drive(index, False)
