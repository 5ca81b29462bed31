"""DWT, as far as firmware measures time with it.

Source: Armv7-M Architecture Reference Manual, C1.8 (data watchpoint and trace unit).
"""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.emulator.core.timeline import Timeline
from particle_harness.swd.coresight import CLASS_GENERIC, ComponentPage

DATA_WATCHPOINT_AND_TRACE = 0xE0001000
_CTRL, _CYCCNT = 0x000, 0x004
CYCLE_COUNT = DATA_WATCHPOINT_AND_TRACE + _CYCCNT
_CYCCNTENA = 1
_FOUR_COMPARATORS = 4 << 28


class CycleCounter(ComponentPage):
    """CYCCNT counts the cycles of ``timeline`` while DWT_CTRL lets it; comparators only read back. ``on_change`` is
    told when it no longer shows what :meth:`at` said."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__(0x002, CLASS_GENERIC)
        self._timeline = timeline
        self.on_change: Callable[[], None] | None = None
        self.reset()

    def reset(self) -> None:
        """As after a power-on."""
        self.registers.clear()
        self._enabled = False
        self._count = 0
        self._since = 0

    @property
    def runs(self) -> bool:
        """Whether it counts."""
        return self._enabled

    def at(self, cycle: int) -> int:
        """What it shows at that cycle, if it counts on until then."""
        return self._count + cycle - self._since & 0xFFFFFFFF

    def _now(self) -> int:
        return self._count + (self._timeline.cycles - self._since if self._enabled else 0) & 0xFFFFFFFF

    def read_word(self, offset: int) -> int:
        """Control and count."""
        if offset == _CYCCNT:
            return self._now()
        return _FOUR_COMPARATORS | self._enabled if offset == _CTRL else super().read_word(offset)

    def write_word(self, offset: int, value: int) -> None:
        """Control and count."""
        if offset == _CTRL:
            self._count, self._since = self._now(), self._timeline.cycles
            self._enabled = bool(value & _CYCCNTENA)
        elif offset == _CYCCNT:
            self._count, self._since = value, self._timeline.cycles
        else:
            super().write_word(offset, value)
        if self.on_change is not None:
            self.on_change()
