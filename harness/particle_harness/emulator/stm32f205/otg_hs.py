"""OTG_HS: its endpoint 1 has interrupts of its own, beside those that all endpoints share."""

from __future__ import annotations

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.stm32f205.dwc2 import Dwc2

_IN_1, _OUT_1 = 1 << 1, 1 << 17
_ENDPOINTS = 6


class OtgHs(Dwc2):
    """``endpoint_1``: interrupts of endpoint 1 in and out. Source: RM0033, OTG_HS_DEACHINT, OTG_HS_DIEPEACHMSK1."""

    def __init__(
        self, timeline: Timeline, line: InterruptLine, endpoint_1: tuple[InterruptLine, InterruptLine]
    ) -> None:
        self._endpoint_1 = endpoint_1
        super().__init__("OTG_HS", timeline, line, _ENDPOINTS)

    def _update(self) -> None:
        super()._update()
        wanted = self.read_deachint() & self.stored[0x83C] if self.interrupts_are_on else 0
        for line, bit in zip(self._endpoint_1, (_IN_1, _OUT_1), strict=True):
            line.set(bool(wanted & bit))

    def read_deachint(self) -> int:
        """What endpoint 1 wants by its own interrupts."""
        stored = self.stored
        wants_in = self.in_interrupts[1] & stored[0x844] or (stored[0x834] >> 1 & 1 and self.is_empty(1))
        return (_IN_1 if wants_in else 0) | (_OUT_1 if self.out_interrupts[1] & stored[0x884] else 0)

    def write_deachintmsk(self, value: int) -> None:
        """Which directions of endpoint 1 reach interrupts of their own."""
        self.stored[0x83C] = value
        self._update()

    def write_diepeachmsk1(self, value: int) -> None:
        """Which interrupts of endpoint 1 in count there."""
        self.stored[0x844] = value
        self._update()

    def write_doepeachmsk1(self, value: int) -> None:
        """Which interrupts of endpoint 1 out count there."""
        self.stored[0x884] = value
        self._update()
