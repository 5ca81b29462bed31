"""How long SIMs take, by class.

Source: particle-iot/docs src/content/getting-started/cloud/device-claiming.md (what is fast and what is not), numbers
assumed.
"""

from __future__ import annotations

from typing import NamedTuple

FIRST_ACTIVATION_S = {1: 4.0, 2: 40.0, 3: 90.0}
REACTIVATION_S = {1: 4.0, 2: 40.0, 3: 45 * 60.0}
DEACTIVATION_S = 2.0
STUCK_S = 24 * 3600.0


class Change(NamedTuple):
    """A SIM becomes ``status`` after ``after_s``."""

    status: str
    after_s: float


def change_of(action: str, status: str, sim_class: int, *, deactivated_before: bool) -> Change | None:
    """What an action does; None: it is not possible in that status."""
    if action in ("activate", "reactivate") and status in ("inactive", "deactivated", "active"):
        if status == "active":
            return Change("active", 0.0)
        table = REACTIVATION_S if deactivated_before else FIRST_ACTIVATION_S
        return Change("active", table[sim_class])
    if action == "deactivate" and status in ("active", "deactivated"):
        return Change("deactivated", 0.0 if status == "deactivated" else DEACTIVATION_S)
    if action == "release":
        return Change("inactive", 0.0 if status != "active" else DEACTIVATION_S)
    return None
