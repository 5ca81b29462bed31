"""The wire from a peripheral to the interrupt controller."""

from __future__ import annotations

from collections.abc import Callable


class InterruptLine:
    """High while the peripheral wants service. ``on_rise`` is told of each change from low to high; the interrupt
    controller also looks at ``level`` when a handler returns and when firmware clears what is pending."""

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


class SharedLine(InterruptLine):
    """One peripheral's wire to a line that the owners of the other ``wires`` pull, too: the line is high while one of
    them is. Adds itself to ``wires``."""

    def __init__(self, line: InterruptLine, wires: list[SharedLine]) -> None:
        super().__init__(line.number, line.on_rise)
        self._line = line
        self._wires = wires
        wires.append(self)

    def set(self, level: bool) -> None:
        """Pull the wire."""
        self.level = level
        self._line.set(any(wire.level for wire in self._wires))

    def saved_state(self) -> dict[str, bool]:
        """For a snapshot."""
        return {"level": self.level}

    def load_state(self, state: dict[str, bool]) -> None:
        """From a snapshot."""
        self.level = state["level"]
