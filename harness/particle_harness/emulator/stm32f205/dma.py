"""DMA controllers: each stream moves everything at once when it is switched on."""

from __future__ import annotations

from collections.abc import Sequence

from particle_harness.emulator.interrupt_line import InterruptLine
from particle_harness.emulator.registers import Register, RegisterBlock, RegisterMap
from particle_harness.swd.bus import Bus

_ENABLE, _TCIE = 1 << 0, 1 << 4
_TO_PERIPHERAL, _PERIPHERAL_INCREMENT, _MEMORY_INCREMENT = 1, 1 << 9, 1 << 10
_FLAG_SHIFT = (0, 6, 16, 22)
_COMPLETE = 1 << 5


class DmaController(RegisterBlock):
    """Eight streams. Requests of peripherals are not waited for, so receiving from a serial line is not there: such a
    stream (peripheral to memory, not incrementing) stays enabled and moves nothing.
    """

    registers = RegisterMap(
        "DMA",
        "ST RM0033, DMA controller (DMA), DMA registers",
        Register("LISR", 0x00, access="r"),
        Register("HISR", 0x04, access="r"),
        Register("LIFCR", 0x08, access="w"),
        Register("HIFCR", 0x0C, access="w"),
        Register("SCR", 0x10, count=8, stride=0x18),
        Register("SNDTR", 0x14, count=8, stride=0x18),
        Register("SPAR", 0x18, count=8, stride=0x18),
        Register("SM0AR", 0x1C, count=8, stride=0x18),
        Register("SM1AR", 0x20, count=8, stride=0x18),
        Register("SFCR", 0x24, reset=0x21, count=8, stride=0x18),
    )

    def __init__(self, name: str, bus: Bus, lines: Sequence[InterruptLine]) -> None:
        self._bus = bus
        self._lines = tuple(lines)
        super().__init__(name)

    def reset(self) -> None:
        """All streams off."""
        super().reset()
        self.flags = [0, 0]
        self._update()

    def read_lisr(self) -> int:
        """Events of streams 0 to 3."""
        return self.flags[0]

    def read_hisr(self) -> int:
        """Events of streams 4 to 7."""
        return self.flags[1]

    def write_lifcr(self, value: int) -> None:
        """Ones clear."""
        self.flags[0] &= ~value
        self._update()

    def write_hifcr(self, value: int) -> None:
        """Ones clear."""
        self.flags[1] &= ~value
        self._update()

    def write_scr(self, stream: int, value: int) -> None:
        """EN moves the data."""
        offset = 0x10 + 0x18 * stream
        self.stored[offset] = value
        if not value & _ENABLE:
            return
        direction = value >> 6 & 3
        if direction == 0 and not value & _PERIPHERAL_INCREMENT:
            return
        self._move(stream, value, outward=direction == _TO_PERIPHERAL)
        self.stored[offset] = value & ~_ENABLE
        self.stored[offset + 4] = 0
        self.flags[stream >> 2] |= _COMPLETE << _FLAG_SHIFT[stream & 3]
        self._update()

    def _move(self, stream: int, control: int, *, outward: bool) -> None:
        base = 0x10 + 0x18 * stream
        count, peripheral, memory = (self.stored[base + n] for n in (4, 8, 12))
        size = 1 << (control >> 11 & 3)
        for n in range(count & 0xFFFF):
            there = peripheral + (size * n if control & _PERIPHERAL_INCREMENT else 0)
            here = memory + (size * n if control & _MEMORY_INCREMENT else 0)
            source, target = (here, there) if outward else (there, here)
            self._bus.write(target, self._bus.read(source, size))

    def _update(self) -> None:
        for stream, line in enumerate(self._lines):
            complete = self.flags[stream >> 2] >> _FLAG_SHIFT[stream & 3] & _COMPLETE
            line.set(bool(complete and self.stored[0x10 + 0x18 * stream] & _TCIE))
