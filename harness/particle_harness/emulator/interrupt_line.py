"""The wire from a peripheral to the interrupt controller."""

from __future__ import annotations

from collections.abc import Callable


class InterruptLine:
    """High while the peripheral wants service. ``on_rise`` is told of each change from low to high; the interrupt
    controller also looks at ``level`` when a handler returns and when an interrupt is enabled."""

    __slots__ = ("level", "number", "on_rise")

    def __init__(self, number: int, on_rise: Callable[[int], None]) -> None:
        self.number = number
        self.level = False
        self.on_rise = on_rise

    def set(self, level: bool) -> None:
        """Pull the line."""
        rises = level and not self.level
        self.level = level
        if rises:
            self.on_rise(self.number)
