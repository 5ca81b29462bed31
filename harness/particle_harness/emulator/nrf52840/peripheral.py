"""What all peripherals of the nRF52 series share: tasks, events, shortcuts between them, interrupt enables.

Source: nRF52840 PS v1.7, 6.1 Peripheral interface.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock

CORE_HZ = 64_000_000
_FIRST_EVENT, _SHORTS, _INTEN, _INTENSET, _INTENCLR = 0x100, 0x200, 0x300, 0x304, 0x308
WORD = 0xFFFFFFFF


class Wires(Protocol):
    """The programmable peripheral interconnect (PPI)."""

    def published(self, event_address: int) -> None:
        """An event happened."""
        ...


def task(name: str, offset: int, count: int = 1, stride: int = 4) -> Register:
    """A task register; writing 1 calls ``task_…`` of the peripheral."""
    return Register(f"TASKS_{name}", offset, access="w", count=count, stride=stride)


def event(name: str, offset: int, count: int = 1) -> Register:
    """An event register; its interrupt's number is its place among the events."""
    return Register(f"EVENTS_{name}", offset, count=count)


INTERRUPTS = (Register("INTEN", _INTEN), Register("INTENSET", _INTENSET), Register("INTENCLR", _INTENCLR))
SHORTS = Register("SHORTS", _SHORTS)


class NrfPeripheral(RegisterBlock):
    """One peripheral at ``start_address``. Subclasses give ``task_<name>`` methods (those of an array take the index)
    and call :meth:`raise_event` with an event's offset.

    ``raised`` and ``interrupts`` hold one bit for each event.
    """

    def __init__(
        self,
        start_address: int,
        timeline: Timeline,
        line: InterruptLine | None = None,
        wires: Wires | None = None,
        name: str | None = None,
    ) -> None:
        self.start_address = start_address
        self.timeline = timeline
        self.line = line
        self.wires = wires
        self.raised = 0
        self.interrupts = 0
        self._tasks: dict[int, Callable[[], None]] = {}
        super().__init__(name)

    def _bind(self, register: Register) -> None:
        super()._bind(register)
        for index in range(register.count):
            offset = register.offset + index * register.stride
            if register.name.startswith("TASKS_"):
                self._bind_task(register, index, offset)
            elif register.name.startswith("EVENTS_"):
                bit = (offset - _FIRST_EVENT) // 4
                self._readers[offset] = partial(self._read_event, bit)
                self._writers[offset] = partial(self._write_event, bit)

    def _bind_task(self, register: Register, index: int, offset: int) -> None:
        call = getattr(self, register.name.lower().replace("tasks_", "task_", 1), None)
        if call is None:
            return
        self._tasks[offset] = partial(call, index) if register.count > 1 else call
        self._writers[offset] = partial(self._write_task, offset)

    def reset(self) -> None:
        """All registers as after a reset; no event is pending."""
        super().reset()
        self.raised = self.interrupts = 0
        self._pull()

    # ---- tasks and events -------------------------------------------------------------------------------------------

    def run_task(self, offset: int) -> None:
        """What a write of 1 does, and what the PPI does."""
        call = self._tasks.get(offset)
        if call is not None:
            call()

    def raise_event(self, offset: int) -> None:
        """The event register reads 1, the interrupt follows if it is enabled, and the PPI is told."""
        self.raised |= 1 << (offset - _FIRST_EVENT) // 4
        self._pull()
        if self.wires is not None:
            self.wires.published(self.start_address + offset)

    def is_raised(self, offset: int) -> bool:
        """Whether firmware has not cleared the event yet."""
        return bool(self.raised >> (offset - _FIRST_EVENT) // 4 & 1)

    def interrupts_on(self, offset: int) -> bool:
        """Whether the event's interrupt is enabled."""
        return bool(self.interrupts >> (offset - _FIRST_EVENT) // 4 & 1)

    def shortcut(self, bit: int) -> bool:
        """Whether SHORTS has this bit."""
        return bool(self.stored.get(_SHORTS, 0) >> bit & 1)

    def word(self, offset: int) -> int:
        """A register's stored value."""
        return self.stored.get(offset, 0)

    def _pull(self) -> None:
        if self.line is not None:
            self.line.set(self.raised & self.interrupts != 0)

    def _write_task(self, offset: int, value: int) -> None:
        if value & 1:
            self._tasks[offset]()

    def _read_event(self, bit: int) -> int:
        return self.raised >> bit & 1

    def _write_event(self, bit: int, value: int) -> None:
        if value & 1:
            self.raised |= 1 << bit
        else:
            self.raised &= ~(1 << bit)
        self._pull()

    # ---- interrupt enables ------------------------------------------------------------------------------------------

    def read_inten(self) -> int:
        """INTEN."""
        return self.interrupts

    def read_intenset(self) -> int:
        """INTENSET reads as INTEN."""
        return self.interrupts

    def read_intenclr(self) -> int:
        """INTENCLR reads as INTEN."""
        return self.interrupts

    def write_inten(self, value: int) -> None:
        """INTEN."""
        self.interrupts = value
        self._pull()

    def write_intenset(self, value: int) -> None:
        """INTENSET."""
        self.interrupts |= value
        self._pull()

    def write_intenclr(self, value: int) -> None:
        """INTENCLR."""
        self.interrupts &= ~value
        self._pull()
