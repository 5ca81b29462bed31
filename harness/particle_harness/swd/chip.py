"""What a probe needs of a virtual chip."""

from __future__ import annotations

import threading
from typing import Protocol

from particle_harness.swd.core import Core
from particle_harness.swd.debug_port import DebugPort


class ProbedChip(Protocol):
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


class Chip(ProbedChip, Protocol):
    """The chip of a virtual board."""

    core: Core

    def power_on(self) -> None:
        """Power comes; the core starts."""
        ...

    def power_off(self) -> None:
        """Power goes."""
        ...

    @property
    def reset_pin_works(self) -> bool:
        """Whether pulling the reset line resets."""
        ...

    @property
    def debug_port_was_opened(self) -> bool:
        """Whether something opened a debug port that the next hard reset will lock."""
        ...

    def open_debug_port(self) -> None:
        """Firmware opens it, where the silicon wants that."""
        ...

    @property
    def retained_word(self) -> int:
        """Backup register 1 of Device OS, which its bootloader reads at each start."""
        ...

    @retained_word.setter
    def retained_word(self, value: int) -> None: ...
