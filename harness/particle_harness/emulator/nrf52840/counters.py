"""TIMER and RTC: counters with compare registers, driven by virtual time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, SHORTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterMap

_COMPARE, _CC = 0x140, 0x540
_TICK, _OVERFLOW = 0x100, 0x104
_MODE, _BITMODE, _PRESCALER = 0x504, 0x508, 0x510
_RTC_PRESCALER, _EVTEN = 0x508, 0x340
_RTC_MASK = 0xFFFFFF
_RTC_EVENTS = {offset: 1 << (offset - 0x100) // 4 for offset in (_TICK, _OVERFLOW, *range(_COMPARE, _COMPARE + 16, 4))}
"""Each with its bit in INTEN and EVTEN."""
_CYCLES_PER_8_SLOW = 15_625
"""Core cycles in 8 periods of 32768 Hz."""


class Counter(NrfPeripheral, ABC):
    """What TIMER and RTC share: a value ``base`` since ``started_at``, and tasks."""

    running: bool
    started_at: int
    base: int

    @abstractmethod
    def count(self) -> int:
        """Its value now."""

    @abstractmethod
    def _arm(self) -> None:
        """Alarms for all that the count will reach."""

    def reset(self) -> None:
        """Stopped at 0."""
        super().reset()
        self.running, self.base = False, 0
        self._arm()

    def _rebase(self, value: int) -> None:
        self.base, self.started_at = value, self.timeline.cycles
        self._arm()

    def task_start(self) -> None:
        """Goes on from where it stopped."""
        if not self.running:
            self.running = True
            self._rebase(self.base)

    def task_stop(self) -> None:
        """Keeps its value."""
        value = self.count()
        self.running = False
        self._rebase(value)

    def task_clear(self) -> None:
        """0."""
        self._rebase(0)


class Timer(Counter):
    """16 MHz divided by 2**PRESCALER, or a counter of COUNT tasks."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "TIMER",
        "nRF52840 PS v1.7, 6.30 TIMER",
        task("START", 0x000),
        task("STOP", 0x004),
        task("COUNT", 0x008),
        task("CLEAR", 0x00C),
        task("SHUTDOWN", 0x010),
        task("CAPTURE", 0x040, count=6),
        event("COMPARE", _COMPARE, count=6),
        SHORTS,
        *INTERRUPTS,
        Register("MODE", _MODE),
        Register("BITMODE", _BITMODE),
        Register("PRESCALER", _PRESCALER, reset=4),
        Register("CC", _CC, count=6),
    )

    def __init__(
        self, start_address: int, timeline: Timeline, line: InterruptLine, wires: Wires, name: str, channels: int
    ) -> None:
        self.channels = channels
        self.running = False
        self.started_at = 0
        self.base = 0
        self.alarms: list[Alarm | None] = [None] * channels
        super().__init__(start_address, timeline, line, wires, name)

    @property
    def mask(self) -> int:
        """Widest count, by BITMODE."""
        return (0xFFFF, 0xFF, 0xFFFFFF, 0xFFFFFFFF)[self.word(_BITMODE) & 3]

    @property
    def counts_tasks(self) -> bool:
        """MODE is Counter or LowPowerCounter."""
        return self.word(_MODE) & 3 != 0

    def count(self) -> int:
        """Its value now."""
        if not self.running or self.counts_tasks:
            return self.base
        return (self.base + (self.timeline.cycles - self.started_at >> self._shift)) & self.mask

    @property
    def _shift(self) -> int:
        return 2 + min(self.word(_PRESCALER) & 0xF, 9)

    def _arm(self) -> None:
        """An alarm for each compare register that the count will reach."""
        for index, alarm in enumerate(self.alarms):
            if alarm is not None:
                alarm.cancel()
                self.alarms[index] = None
        if self.running and not self.counts_tasks:
            for index in range(self.channels):
                self._arm_channel(index)

    def _arm_channel(self, index: int) -> None:
        alarm = self.alarms[index]
        if alarm is not None:
            alarm.cancel()
            self.alarms[index] = None
        if not self.running or self.counts_tasks:
            return
        now = self.count()
        distance = (self.word(_CC + 4 * index) - now) & self.mask or self.mask + 1
        ticks_since_start = (self.timeline.cycles - self.started_at >> self._shift) + distance
        due = self.started_at + (ticks_since_start << self._shift)
        self.alarms[index] = self.timeline.after(due - self.timeline.cycles, partial(self._reach, index))

    def _reach(self, index: int) -> None:
        self.alarms[index] = None
        if self.shortcut(index):
            self._rebase(0)
        elif self.shortcut(8 + index):
            self.task_stop()
        else:
            self._arm_channel(index)
        self.raise_event(_COMPARE + 4 * index)

    # ---- tasks ------------------------------------------------------------------------------------------------------

    def task_shutdown(self) -> None:
        """As STOP, and 0."""
        self.running = False
        self._rebase(0)

    def task_count(self) -> None:
        """One more, in a counter mode."""
        if not self.counts_tasks:
            return
        self.base = (self.base + 1) & self.mask
        for index in range(self.channels):
            if self.word(_CC + 4 * index) == self.base:
                if self.shortcut(index):
                    self.base = 0
                self.raise_event(_COMPARE + 4 * index)

    def task_capture(self, index: int) -> None:
        """CC[n] takes the value."""
        self.stored[_CC + 4 * index] = self.count()
        if index < self.channels:
            self._arm_channel(index)

    # ---- registers --------------------------------------------------------------------------------------------------

    def write_cc(self, index: int, value: int) -> None:
        """Compare value."""
        self.stored[_CC + 4 * index] = value
        if index < self.channels:
            self._arm_channel(index)

    def write_prescaler(self, value: int) -> None:
        """Keeps the count."""
        now = self.count()
        self.stored[_PRESCALER] = value
        self._rebase(now)

    def write_mode(self, value: int) -> None:
        """Timer or counter."""
        now = self.count()
        self.stored[_MODE] = value
        self._rebase(now)

    def write_bitmode(self, value: int) -> None:
        """Width."""
        now = self.count()
        self.stored[_BITMODE] = value
        self._rebase(now & self.mask)


class Rtc(Counter):
    """32768 Hz divided by PRESCALER + 1, 24 bits. Events come about where EVTEN or INTEN ask for them."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "RTC",
        "nRF52840 PS v1.7, 6.22 RTC",
        task("START", 0x000),
        task("STOP", 0x004),
        task("CLEAR", 0x008),
        task("TRIGOVRFLW", 0x00C),
        event("TICK", _TICK),
        event("OVRFLW", _OVERFLOW),
        event("COMPARE", _COMPARE, count=4),
        Register("INTENSET", 0x304),
        Register("INTENCLR", 0x308),
        Register("EVTEN", _EVTEN),
        Register("EVTENSET", 0x344),
        Register("EVTENCLR", 0x348),
        Register("COUNTER", 0x504, access="r"),
        Register("PRESCALER", _RTC_PRESCALER),
        Register("CC", _CC, count=4),
    )

    def __init__(self, start_address: int, timeline: Timeline, line: InterruptLine, wires: Wires, name: str) -> None:
        self.running = False
        self.started_at = 0
        self.base = 0
        self.alarms: dict[int, Alarm] = {}
        super().__init__(start_address, timeline, line, wires, name)

    def _ticks(self) -> int:
        return (self.timeline.cycles - self.started_at) * 8 // (_CYCLES_PER_8_SLOW * self._divider)

    @property
    def _divider(self) -> int:
        return (self.word(_RTC_PRESCALER) & 0xFFF) + 1

    def count(self) -> int:
        """Its value now."""
        return (self.base + self._ticks()) & _RTC_MASK if self.running else self.base

    def _wanted(self, offset: int) -> bool:
        return bool((self.interrupts | self.word(_EVTEN)) & _RTC_EVENTS[offset])

    def _arm(self) -> None:
        for offset in _RTC_EVENTS:
            self._arm_event(offset)

    def _arm_wanted(self) -> None:
        """Alarms for events that somebody has just begun to want. One that nobody wants any more stays, and is
        forgotten when it comes: drivers switch interrupts off and on around every look at the counter."""
        wanted = self.interrupts | self.word(_EVTEN)
        for offset, bit in _RTC_EVENTS.items():
            if wanted & bit and offset not in self.alarms:
                self._arm_event(offset)

    def _arm_event(self, offset: int) -> None:
        alarm = self.alarms.pop(offset, None)
        if alarm is not None:
            alarm.cancel()
        if not self.running or not self._wanted(offset):
            return
        distance = 1
        if offset != _TICK:
            target = 0 if offset == _OVERFLOW else self.word(_CC + offset - _COMPARE) & _RTC_MASK
            distance = (target - self.count()) & _RTC_MASK or _RTC_MASK + 1
        ticks = (self._ticks() + distance) * self._divider
        due = self.started_at - (-ticks * _CYCLES_PER_8_SLOW // 8)
        self.alarms[offset] = self.timeline.after(due - self.timeline.cycles, partial(self._reach, offset))

    def _reach(self, offset: int) -> None:
        wanted = self._wanted(offset)
        del self.alarms[offset]
        self._arm_event(offset)
        if wanted:
            self.raise_event(offset)

    # ---- tasks ------------------------------------------------------------------------------------------------------

    def task_trigovrflw(self) -> None:
        """0xFFFFF0, for tests of overflow."""
        self._rebase(0xFFFFF0)

    # ---- registers --------------------------------------------------------------------------------------------------

    def read_counter(self) -> int:
        """COUNTER."""
        return self.count()

    def write_cc(self, index: int, value: int) -> None:
        """Compare value."""
        self.stored[_CC + 4 * index] = value & _RTC_MASK
        self._arm_event(_COMPARE + 4 * index)

    def write_intenset(self, value: int) -> None:
        """INTENSET."""
        super().write_intenset(value)
        self._arm_wanted()

    def write_evten(self, value: int) -> None:
        """EVTEN."""
        self.stored[_EVTEN] = value
        self._arm_wanted()

    def read_evtenset(self) -> int:
        """EVTENSET reads as EVTEN."""
        return self.word(_EVTEN)

    def read_evtenclr(self) -> int:
        """EVTENCLR reads as EVTEN."""
        return self.word(_EVTEN)

    def write_evtenset(self, value: int) -> None:
        """EVTENSET."""
        self.write_evten(self.word(_EVTEN) | value)

    def write_evtenclr(self, value: int) -> None:
        """EVTENCLR."""
        self.write_evten(self.word(_EVTEN) & ~value)
