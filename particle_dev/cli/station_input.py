"""What operators type, scanners read and foot-switches press during a continuous run: lines on standard input."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TextIO

from particle_dev.errors import StationError
from particle_dev.station.arrivals import Arrivals, StartBy
from particle_dev.station.slot_health import HealthFile, unlocked

HELP = "Enter: begin in all slots; SLOT: begin there; a label: its board; unlock SLOT; end"


class OperatorLines:
    """Carries out lines. ``say`` shows the answer to each: never the line itself, labels may hold secrets."""

    def __init__(
        self,
        arrivals: Arrivals,
        slots: Iterable[str],
        start_by: StartBy,
        health: HealthFile | None,
        say: Callable[[str], None],
    ) -> None:
        self._arrivals = arrivals
        self._slots = tuple(slots)
        self._start_by = start_by
        self._health = health
        self._say = say

    def listen(self, stream: TextIO) -> None:
        """Carry out the lines of a stream in a thread, until it ends; its end ends nothing else."""

        def read() -> None:
            for line in stream:
                self._say(self.carry_out(line))

        threading.Thread(target=read, name="operator", daemon=True).start()

    def carry_out(self, line: str) -> str:
        """One line; the answer to it."""
        words = line.split()
        match words:
            case []:
                begun = [name for name in self._arrivals.idle() if self._arrivals.start(name)]
                return f"begins: slot {', '.join(begun)}" if begun else "no slot is free"
            case ["end"]:
                self._arrivals.end()
                return "no more units are begun"
            case ["unlock", name]:
                return self._unlock(name)
            case [name] if name in self._slots and self._start_by is not StartBy.SCAN:
                return f"slot {name} begins" if self._arrivals.start(name) else f"slot {name} is at work"
        found = self._arrivals.scan(line)
        if found is None:
            return f"that is no slot and no label with a Device ID. {HELP}"
        if found not in self._slots:
            return f"put {found} in"
        return f"slot {found}" + (": now scan its board" if line.rsplit(maxsplit=1)[-1] == found else " begins")

    def _unlock(self, name: str) -> str:
        if name not in self._slots or self._health is None:
            return f"there is no slot {name}"
        try:
            self._health.change(name, unlocked)
        except StationError as error:
            return str(error)
        return f"slot {name} is back in use"
