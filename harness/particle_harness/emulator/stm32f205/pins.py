"""Pins and what they interrupt: GPIO ports, SYSCFG's choice of ports, EXTI."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap

_OUTPUT = 1


class GpioPort(RegisterBlock):
    """Sixteen pins. ``levels``: what the board puts on them; pins nobody drives read high, as if pulled up."""

    registers = RegisterMap(
        "GPIO",
        "ST RM0033, General-purpose I/Os (GPIO), GPIO registers",
        Register("MODER", 0x00),
        Register("OTYPER", 0x04),
        Register("OSPEEDR", 0x08),
        Register("PUPDR", 0x0C),
        Register("IDR", 0x10, access="r"),
        Register("ODR", 0x14),
        Register("BSRR", 0x18, access="w"),
        Register("LCKR", 0x1C),
        Register("AFRL", 0x20),
        Register("AFRH", 0x24),
    )

    def __init__(self, name: str, number: int, reset_modes: int, interrupts: ExternalInterrupts) -> None:
        self.number = number
        self.reset_modes = reset_modes
        self.interrupts = interrupts
        self.levels = 0xFFFF
        self.on_output: Callable[[int], None] | None = None
        """Told what the chip puts on all pins, whenever firmware writes it."""
        super().__init__(name)

    def reset(self) -> None:
        """Pins are inputs again but those of the debug port."""
        super().reset()
        self.stored[0x00] = self.reset_modes

    def set_level(self, pin: int, *, high: bool) -> None:
        """What the board puts on a pin."""
        was_high = self.levels >> pin & 1
        self.levels = self.levels & ~(1 << pin) | high << pin
        if was_high != high:
            self.interrupts.edge(self.number, pin, rises=high)

    def output(self, pin: int) -> bool:
        """What the chip puts on a pin that is an output."""
        return bool(self.stored[0x14] >> pin & 1)

    def read_idr(self) -> int:
        """Outputs read what they drive, other pins what the board drives."""
        modes, value, out = self.stored[0x00], self.levels, self.stored[0x14]
        if not modes & 0x55555555:
            return value
        for pin in range(16):
            if modes >> 2 * pin & 3 == _OUTPUT:
                value = value & ~(1 << pin) | out & 1 << pin
        return value

    def write_bsrr(self, value: int) -> None:
        """Set bits, clear bits; setting wins."""
        self._drive(self.stored[0x14] & ~(value >> 16) & 0xFFFF | value & 0xFFFF)

    def write_odr(self, value: int) -> None:
        """Drive all pins."""
        self._drive(value & 0xFFFF)

    def _drive(self, value: int) -> None:
        self.stored[0x14] = value
        if self.on_output is not None:
            self.on_output(value)

    def drives_low(self, pin: int) -> bool:
        """Whether the pin is an output at its low level."""
        return self.stored[0x00] >> 2 * pin & 3 == _OUTPUT and not self.output(pin)


class NumberedPins:
    """All ports as the parts around the chip see them: a pin's number is 16 × port + pin."""

    def __init__(self, ports: Sequence[GpioPort]) -> None:
        self._ports = ports

    def drive(self, pin: int, level: bool | None) -> None:
        """The board puts a level on a pin; None lets it go."""
        self._ports[pin // 16].set_level(pin % 16, high=level is not False)


class SystemConfiguration(RegisterBlock):
    """SYSCFG: which port each external interrupt listens to."""

    registers = RegisterMap(
        "SYSCFG",
        "ST RM0033, System configuration controller (SYSCFG), SYSCFG registers",
        Register("MEMRMP", 0x00),
        Register("PMC", 0x04),
        Register("EXTICR", 0x08, count=4),
        Register("CMPCR", 0x20),
    )

    def port_of(self, line: int) -> int:
        """Number of the port that an EXTI line listens to."""
        return self.stored[0x08 + (line & ~3)] >> 4 * (line & 3) & 0xF


_LINES = (*((n, n) for n in range(5)), *((5, n) for n in range(5, 10)), *((6, n) for n in range(10, 16)))
_GROUP = {line: group for group, line in _LINES}
EXTI_INTERRUPTS = (6, 7, 8, 9, 10, 23, 40)
"""Vectors of EXTI0 to 4, 9_5 and 15_10."""


class ExternalInterrupts(RegisterBlock):
    """Edges of pins become interrupts. ``lines``: those of :data:`EXTI_INTERRUPTS`."""

    registers = RegisterMap(
        "EXTI",
        "ST RM0033, Interrupts and events, EXTI registers",
        Register("IMR", 0x00),
        Register("EMR", 0x04),
        Register("RTSR", 0x08),
        Register("FTSR", 0x0C),
        Register("SWIER", 0x10),
        Register("PR", 0x14),
    )

    def __init__(self, configuration: SystemConfiguration, lines: Sequence[InterruptLine]) -> None:
        self._configuration = configuration
        self._lines = tuple(lines)
        super().__init__()

    def reset(self) -> None:
        """Nothing is pending or enabled."""
        super().reset()
        self._update()

    def edge(self, port: int, pin: int, *, rises: bool) -> None:
        """A pin of a port has changed its level."""
        if self._configuration.port_of(pin) == port and self.stored[0x08 if rises else 0x0C] >> pin & 1:
            self.stored[0x14] |= 1 << pin
            self._update()

    def write_imr(self, value: int) -> None:
        """Enable lines."""
        self.stored[0x00] = value
        self._update()

    def write_swier(self, value: int) -> None:
        """Raise by software."""
        self.stored[0x14] |= value & self.stored[0x00]
        self._update()

    def write_pr(self, value: int) -> None:
        """Ones clear."""
        self.stored[0x14] &= ~value
        self._update()

    def _update(self) -> None:
        pending = self.stored[0x14] & self.stored[0x00]
        for number, interrupt in enumerate(self._lines):
            interrupt.set(any(group == number and pending >> line & 1 for line, group in _GROUP.items()))
