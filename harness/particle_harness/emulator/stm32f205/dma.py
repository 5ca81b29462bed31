"""DMA controllers: streams between memory and peripherals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.swd.bus import Bus

_ENABLE, _TCIE, _PERIPHERAL_ENDS = 1 << 0, 1 << 4, 1 << 5
_TO_PERIPHERAL, _PERIPHERAL_INCREMENT, _MEMORY_INCREMENT = 1, 1 << 9, 1 << 10
_FLAG_SHIFT = (0, 6, 16, 22)
_COMPLETE = 1 << 5


class PacedPeripheral(Protocol):
    """One whose requests a stream waits for."""

    moving: bool
    """Whether it has not had all of its data."""

    def dma_ready(self, *, outward: bool) -> int:
        """Bytes that a stream may read from it, or write to it (``outward``), now."""
        ...

    def dma_read(self, size_bytes: int) -> bytes:
        """Take that much."""
        ...

    def dma_write(self, data: bytes) -> None:
        """Give that much."""
        ...


class DmaController(RegisterBlock):
    """Eight streams, each of which moves everything at once when it is switched on.

    Requests are waited for by streams of peripherals that :meth:`pace` knows, and not by others, so receiving from a
    serial line is not there: such a stream (peripheral to memory, not incrementing) stays enabled and moves nothing.
    Nor are circular and double-buffer mode, the half-transfer flag, and errors.
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
        self._paced: dict[int, PacedPeripheral] = {}
        super().__init__(name)

    def reset(self) -> None:
        """All streams off."""
        super().reset()
        self.flags = [0, 0]
        self.moved = [0] * 8
        """Bytes that a paced stream has moved since it was switched on."""
        self._update()

    def pace(self, address: int, peripheral: PacedPeripheral) -> None:
        """Have streams that name this address for their peripheral wait for its requests, see :meth:`serve`."""
        self._paced[address] = peripheral

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
        was_on = self.stored[offset] & _ENABLE
        self.stored[offset] = value
        if not value & _ENABLE:
            return
        paced = self._paced.get(self.stored[offset + 8])
        if paced is not None:
            if not was_on:
                self.moved[stream] = 0
            self._serve(stream, paced)
            return
        direction = value >> 6 & 3
        if direction == 0 and not value & _PERIPHERAL_INCREMENT:
            return
        self._move(stream, value, outward=direction == _TO_PERIPHERAL)
        self._complete(stream)

    def _complete(self, stream: int) -> None:
        offset = 0x10 + 0x18 * stream
        self.stored[offset] &= ~_ENABLE
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

    # ---- streams that wait for requests -----------------------------------------------------------------------------

    def serve(self, address: int) -> None:
        """The peripheral at ``address`` asks for data, or has some."""
        for stream in range(8):
            offset = 0x10 + 0x18 * stream
            if self.stored[offset] & _ENABLE and self.stored[offset + 8] == address:
                self._serve(stream, self._paced[address])

    def _serve(self, stream: int, peripheral: PacedPeripheral) -> None:
        offset = 0x10 + 0x18 * stream
        control, items, memory = (self.stored[offset + n] for n in (0, 4, 12))
        outward = control >> 6 & 3 == _TO_PERIPHERAL
        ready = peripheral.dma_ready(outward=outward)
        size = 1 << (control >> 11 & 3)
        # Where the peripheral ends the transfer, nobody counts items.
        ends = bool(control & _PERIPHERAL_ENDS)
        wanted = ready if ends else min(ready, (items & 0xFFFF) * size)
        here = memory + self.moved[stream]
        if wanted:
            if outward:
                peripheral.dma_write(self._bus.read(here, wanted))
            else:
                self._bus.write(here, peripheral.dma_read(wanted))
        self.moved[stream] += wanted
        if not ends:
            self.stored[offset + 4] = items - (wanted + size - 1) // size
        if wanted and (not peripheral.moving if ends else not self.stored[offset + 4]):
            self._complete(stream)

    def _update(self) -> None:
        for stream, line in enumerate(self._lines):
            complete = self.flags[stream >> 2] >> _FLAG_SHIFT[stream & 3] & _COMPLETE
            line.set(bool(complete and self.stored[0x10 + 0x18 * stream] & _TCIE))
