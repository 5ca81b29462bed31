"""Power of one place on a bench, switched by whatever the bench has: one interface, and the proof that it switched.

Nothing is switched unless the bench file says by what. What is cut is the supply of the USB port: a board with a
battery stays on, and so does what else powers it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from particle_dev.errors import PowerSwitchError
from particle_dev.transport.base import Clock

LEAVE_TIMEOUT_S = 5.0
"""A board without supply leaves the bus at once; its capacitors may keep it for a second or two."""
OPERATOR_TIMEOUT_S = 120.0
_POLL_S = 0.1


class PowerControl(Protocol):
    """Power of one slot."""

    def on(self) -> None:
        """Give power; a board boots, and **its application may connect, which starts billing**. Raises
        TransportError."""
        ...

    def off(self) -> None:
        """Take power away; the board is off when this returns. Raises TransportError."""
        ...


class ProvenPower:
    """A switch whose ``off`` is believed when the board has left the bus, and not before: hubs without power switching
    answer as those that have it.

    ``is_there`` says whether a device is at the slot's port. A board that leaves the bus and keeps its supply cannot be
    told from one without; that a hub cuts the supply is seen once per hub, by a board's uptime.
    """

    def __init__(
        self,
        switch: PowerControl,
        is_there: Callable[[], bool],
        clock: Clock,
        *,
        where: str,
        timeout_s: float = LEAVE_TIMEOUT_S,
    ) -> None:
        self.where = where
        self._switch = switch
        self._is_there = is_there
        self._clock = clock
        self._timeout_s = timeout_s

    def on(self) -> None:
        """As the switch does. What comes up, and when, is for who asked to see."""
        self._switch.on()

    def off(self) -> None:
        """Raises PowerSwitchError when the board is still there after ``timeout_s``."""
        self._switch.off()
        deadline_s = self._clock.monotonic_s() + self._timeout_s
        while self._is_there():
            if self._clock.monotonic_s() >= deadline_s:
                raise PowerSwitchError(
                    f"{self.where}: power is off, says the switch, and the board is still on USB after "
                    f"{self._timeout_s:g} s",
                    where=self.where,
                    hint="the hub does not switch its supply, or another port or slot was switched: look, and correct "
                    "power in the bench file",
                )
            self._clock.sleep(_POLL_S)


class OperatorPower:
    """Somebody who plugs and unplugs when asked. ``say`` shows the question; nothing is typed, since the bus tells when
    it was done: by ``off`` within ``timeout_s``, by ``on`` whenever the caller sees the board."""

    def __init__(
        self,
        slot: str,
        is_there: Callable[[], bool],
        clock: Clock,
        *,
        say: Callable[[str], None] | None = None,
        timeout_s: float = OPERATOR_TIMEOUT_S,
    ) -> None:
        self.say = say or _to_stderr
        self._slot = slot
        self._is_there = is_there
        self._clock = clock
        self._timeout_s = timeout_s

    def on(self) -> None:
        """Ask, and wait for something to be there. Raises PowerSwitchError when nobody does it."""
        self._ask("plug in the board", wanted=True)

    def off(self) -> None:
        """Ask, and wait until it has gone. Raises PowerSwitchError when nobody does it."""
        self._ask("unplug the board, and its battery", wanted=False)

    def _ask(self, what: str, *, wanted: bool) -> None:
        if self._is_there() is wanted:
            return
        self.say(f"slot {self._slot}: {what} now")
        deadline_s = self._clock.monotonic_s() + self._timeout_s
        while self._is_there() is not wanted:
            if self._clock.monotonic_s() >= deadline_s:
                raise PowerSwitchError(
                    f"slot {self._slot}: nobody followed '{what}' within {self._timeout_s:g} s",
                    where=self._slot,
                    hint="somebody must be at the bench; or give it a power switch",
                )
            self._clock.sleep(_POLL_S)


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
