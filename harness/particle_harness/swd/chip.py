"""What a probe needs of a virtual chip."""

from __future__ import annotations

import threading
from typing import Protocol

from particle_harness.swd.debug_port import DebugPort


class Chip(Protocol):
    """A chip with a debug port. ``lock`` is held while a probe acts on it."""

    name: str
    debug_port: DebugPort
    lock: threading.RLock

    def pin_reset(self) -> None:
        """The reset line is pulled and let go."""
        ...

    def set_wire_clock(self, frequency_hz: float) -> None:
        """The probe chooses the clock of the wire."""
        ...
