"""How long SIMs may take to become active, by class, and what is thought of one that takes longer. Pure.

Source: particle-iot/docs src/content/getting-started/cloud/device-claiming.md, SIM activation speed (classes);
src/content/troubleshooting/guides/device-management/sim-activation-troubleshooting.md (up to 24 hours).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from particle_dev.catalog.skus import SimClass
from particle_dev.cloud.back_off import doubled_s

ACTIVE = "active"
"""``status`` of a SIM whose device can connect."""


class SimWaitState(StrEnum):
    """What is known of a SIM that should become active."""

    ACTIVE = "active"
    WAITING = "waiting"
    """Within the time that most need."""
    PARKED = "parked"
    """SIM-PEND: slow, but not later than some are. Nothing to do but to look again."""
    FAILED = "failed"
    """Later than any should be, or its carrier refused."""


class SimSchedule(NamedTuple):
    """When to look at a SIM, in seconds: after ``first_poll_s``, then twice as late each time up to
    ``longest_poll_s``, until it is parked after ``attended_s``; then each ``parked_poll_s``, until ``give_up_s``."""

    attended_s: float = 300.0
    first_poll_s: float = 5.0
    longest_poll_s: float = 60.0
    parked_poll_s: float = 900.0
    give_up_s: float = 86_400.0

    def state(self, elapsed_s: float) -> SimWaitState:
        """What to think of a SIM that is not active so long after it was asked for."""
        if elapsed_s < self.attended_s:
            return SimWaitState.WAITING
        return SimWaitState.PARKED if elapsed_s < self.give_up_s else SimWaitState.FAILED

    def next_poll_s(self, polls: int) -> float:
        """Seconds to wait before the next look, after ``polls`` looks, while the SIM is attended to."""
        return doubled_s(self.first_poll_s, self.longest_poll_s, polls)


_DAYS = 3 * 86_400.0
SCHEDULES: dict[SimClass | None, SimSchedule] = {
    SimClass.FAST: SimSchedule(),
    SimClass.GENERALLY_FAST: SimSchedule(),
    SimClass.SOMETIMES_SLOW: SimSchedule(),
    None: SimSchedule(),
}
"""By class; None is a board whose serial number tells no class."""
REACTIVATION = SimSchedule(attended_s=60.0, give_up_s=_DAYS)
"""A SIM of the slow class that was active before: tens of minutes, sometimes days. Nobody should stand there."""


class SimWait(NamedTuple):
    """A SIM that should become active. ``since`` is when it was asked for; ``sim_class`` None: not known."""

    iccid: str
    device_id: str | None
    sim_class: SimClass | None
    reactivated: bool
    since: datetime

    @property
    def schedule(self) -> SimSchedule:
        """When to look at it."""
        slow = self.sim_class is SimClass.SOMETIMES_SLOW or self.sim_class is None
        return REACTIVATION if self.reactivated and slow else SCHEDULES[self.sim_class]


def advice(state: SimWaitState, wait: SimWait) -> str:
    """What to do about a SIM that is not active."""
    if state is SimWaitState.FAILED:
        return "import the device once more; if the SIM stays inactive, ask Particle's support"
    if wait.reactivated and wait.sim_class is not SimClass.FAST:
        return (
            "SIMs of this kind that were active before take tens of minutes, sometimes days: run the same again later"
        )
    return "run the same command again later: it goes on waiting"
