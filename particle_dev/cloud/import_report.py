"""What became of an import, device by device where it is not well."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from particle_dev.cloud.order_file import OrderEntry
from particle_dev.cloud.sim_wait import SimWait, SimWaitState


class Outcome(StrEnum):
    """How one device ended."""

    ADDED = "added"
    PRESENT = "present"
    """It was in the product before."""
    INVALID = "invalid"
    """The cloud does not know it, it has another platform, or another product has it."""
    NOT_MEMBER = "not_member"
    """The account may not have it."""
    PROTECTED = "protected"
    UNANSWERED = "unanswered"
    """The answer did not mention it."""
    NOT_FOUND = "not_found"
    """The answer said that it is in the product, and it is not among its devices."""
    CONTRADICTED = "contradicted"
    """It is in the product, and the cloud knows it under other names than the order does."""


@dataclass(frozen=True, slots=True)
class BadEntry:
    """A device that is not in the product after the import, or not under its names, with the line that asked for it."""

    entry: OrderEntry
    outcome: Outcome
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class SlowSim:
    """A SIM that is not active: ``parked`` (SIM-PEND) or ``failed``; ``status`` None: the product does not have it."""

    wait: SimWait
    state: SimWaitState
    status: str | None
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The end of an import. ``added`` and ``present`` count devices, ``sim_cards`` plastic SIM cards asked for.

    ``skipped`` lines were not asked for. Of ``simless`` devices the cloud tells no ICCID, so that whether they can
    connect is not known.
    """

    added: int
    present: int
    sim_cards: int
    bad: tuple[BadEntry, ...]
    skipped: int
    active_sims: int = 0
    slow_sims: tuple[SlowSim, ...] = ()
    simless: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """``done``: all that was asked for is in the product, its SIMs active. ``failed``: some is not and will not
        be by itself. ``incomplete``: nothing failed, but some lines were skipped, or something is not known yet."""
        refused = [n for n in self.bad if n.outcome not in (Outcome.UNANSWERED, Outcome.NOT_FOUND)]
        if refused or any(sim.state is SimWaitState.FAILED for sim in self.slow_sims):
            return "failed"
        waiting = self.bad or self.slow_sims or self.simless or self.skipped
        return "incomplete" if waiting else "done"
