"""What every handler of a control request is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from particle_harness.running import BoardSystem
from particle_harness.usb.control_service import Outcome

NOT_SUPPORTED, INVALID_ARGUMENT, BAD_DATA = -120, -270, -280

Handler = Callable[[BoardSystem, bytes], Outcome]
"""Carries a request out. May raise MalformedError, which the device answers with BAD_DATA."""


class Row(NamedTuple):
    """A handler with the system versions that have it: numbers of system parts, 2101 for Device OS 2.1.0.

    ``gen2`` and ``later`` are the first such version, None for never; ``gone`` is the first that lacks it again.
    ``needs``: hardware, one of ``wifi``, ``wifi_scan``, ``cellular``.
    """

    handler: Handler
    gen2: int | None = 0
    later: int | None = 0
    needs: str = ""
    gone: range | None = None

    def known_to(self, system: BoardSystem) -> bool:
        """Whether the running system has it."""
        first = self.gen2 if system.hardware.is_gen2 else self.later
        if first is None or system.version < first or (self.gone and system.version in self.gone):
            return False
        has = {"wifi": system.has_wifi, "wifi_scan": system.has_wifi_scan, "cellular": system.has_cellular}
        return has.get(self.needs, True)


def done() -> Outcome:
    """Success without data."""
    return Outcome(0)
