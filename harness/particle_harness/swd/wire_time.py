"""How long a probe's work takes: bits on the wire, packets on USB, and a core that runs meanwhile.

Two cursors on one virtual time line: the wire's, which every transfer moves, and the core's, which instructions and
flash operations move. A core runs only until it has caught up with the wire, so that a page goes over the wire while
the one before is programmed, as on a real chip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WORD_CLOCKS = 46
"""Request 8, turnaround 1, acknowledge 3, turnaround 1, data and parity 33. Source: IHI 0031, B4.2."""


@dataclass(frozen=True, slots=True)
class ProbeModel:
    """What a probe costs beside the bits: ``packet_latency_s`` for each packet and its reply."""

    name: str
    packet_size_bytes: int
    packet_latency_s: float


HIGH_SPEED_BULK = ProbeModel("CMSIS-DAP v2, 512 byte packets, high speed", 512, 125e-6)
"""A bulk transfer in each direction within a microframe of 125 us. Source: USB 2.0, 5.8.4."""
FULL_SPEED_HID = ProbeModel("CMSIS-DAP v1, 64 byte packets, full speed", 64, 2e-3)
"""An interrupt transfer in each direction, each in its own frame of 1 ms. Source: USB 2.0, 5.7.4."""


class WireTime:
    """Time of one probe on one chip. ``frequency_hz`` is the wire's clock, ``core_hz`` the core's.

    Serves the core as its ``time`` and the flash as the clock that its operations take time on.
    """

    def __init__(self, probe: ProbeModel = HIGH_SPEED_BULK, frequency_hz: float = 1e6, core_hz: float = 64e6) -> None:
        self.probe = probe
        self.frequency_hz = frequency_hz
        self.now_s = 0.0
        self._core_s = 0.0
        self._core_hz = core_hz

    # ---- the wire ---------------------------------------------------------------------------------------------------

    def transfer(self, count: int) -> None:
        """``count`` transfers in one go went over the wire."""
        self.now_s += count * WORD_CLOCKS / self.frequency_hz

    def packet(self) -> None:
        """A packet went to the probe and its reply came back."""
        self.now_s += self.probe.packet_latency_s

    @property
    def core_is_busy(self) -> bool:
        """Whether something that the chip does still takes time."""
        return self._core_s > self.now_s

    # ---- the core ---------------------------------------------------------------------------------------------------

    def budget_instructions(self) -> int:
        """Instructions until the core has caught up."""
        return max(0, math.floor((self.now_s - self._core_s) * self._core_hz))

    def spend(self, instructions: int) -> None:
        """The core executed them, one a clock."""
        self._core_s += instructions / self._core_hz

    def core_starts(self) -> None:
        """The core, which stood still, goes on now."""
        self._core_s = max(self._core_s, self.now_s)

    # ---- the host ---------------------------------------------------------------------------------------------------

    @property
    def host_clock(self) -> HostClock:
        """For a program that waits instead of using the wire."""
        return HostClock(self)

    # ---- the clock of the flash -------------------------------------------------------------------------------------

    def monotonic_s(self) -> float:
        """Time at the core."""
        return self._core_s

    def sleep(self, duration_s: float) -> None:
        """The core waits for its flash."""
        self._core_s += duration_s

    def utc_now(self) -> datetime:
        """A made-up day."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now_s)


class HostClock:
    """The host's view of a :class:`WireTime`: waiting leaves the wire idle, and the chip goes on."""

    def __init__(self, time: WireTime) -> None:
        self._time = time

    def monotonic_s(self) -> float:
        """Time on the wire."""
        return self._time.now_s

    def sleep(self, duration_s: float) -> None:
        """Leave the wire alone."""
        self._time.now_s += duration_s

    def utc_now(self) -> datetime:
        """A made-up day."""
        return self._time.utc_now()
