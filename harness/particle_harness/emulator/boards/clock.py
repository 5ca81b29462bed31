"""Clocks whose time is a board's: what the host's limits are kept in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from particle_harness.emulator.boards.board import EmulatedBoard

_STEP_S = 0.005
_UTC_ZERO = datetime(2026, 1, 1, tzinfo=UTC)


class ChipClock:
    """The time of one board's chip; sleeping runs the firmware."""

    def __init__(self, board: EmulatedBoard) -> None:
        self._board = board

    def monotonic_s(self) -> float:
        """Seconds since the chip was made."""
        return self._board.chip.timeline.now_s

    def sleep(self, duration_s: float) -> None:
        """Run the firmware for so long."""
        self._board.run(duration_s)

    def utc_now(self) -> datetime:
        """UTC that belongs to :meth:`monotonic_s`."""
        return _UTC_ZERO + timedelta(seconds=self.monotonic_s())


class PacedClock(ChipClock):
    """The same for a bench in real time: whoever sleeps sees the firmware run for so long, and at least as much time
    pass on the wall. On a machine that is too slow for the firmware more does."""

    def sleep(self, duration_s: float) -> None:
        """Run the firmware for so long, no faster than a real one."""
        start_s, wall_start_s = self.monotonic_s(), time.monotonic()
        end_s = start_s + duration_s
        while (now_s := self.monotonic_s()) < end_s:
            self._board.run(min(_STEP_S, end_s - now_s))
            time.sleep(max(0.0, self.monotonic_s() - start_s - (time.monotonic() - wall_start_s)))

    def utc_now(self) -> datetime:
        """Present UTC."""
        return datetime.now(UTC)
