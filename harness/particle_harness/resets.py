"""Why a core starts.

Source: device-os v2.1.0 services/inc/system_defs.h System_Reset_Reason.
"""

from __future__ import annotations

from dataclasses import dataclass

RESET_POWER_DOWN, RESET_PIN, RESET_UNKNOWN = 40, 20, 10
RESET_UPDATE, RESET_FACTORY, RESET_SAFE_MODE, RESET_DFU, RESET_USER = 70, 100, 110, 120, 140
RESET_REASONS = {
    "app": RESET_USER,
    "dfu": RESET_DFU,
    "safe_mode": RESET_SAFE_MODE,
    "update": RESET_UPDATE,
    "factory_reset": RESET_FACTORY,
}
"""By what the system resets into."""


@dataclass(frozen=True, slots=True)
class Boot:
    """A start of the core: when, why, and whether power came with it."""

    at_s: float
    reason: int
    after_power_on: bool = False
