"""Waits for the SIMs of imported devices, with few requests, and parks those that are slow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from particle_dev.catalog.skus import SimClass, sim_class_by_serial_number, sku_by_name
from particle_dev.cloud.import_plan import Member
from particle_dev.cloud.import_report import SlowSim
from particle_dev.cloud.import_state import ImportState
from particle_dev.cloud.order_file import OrderEntry
from particle_dev.cloud.records import SimRecord
from particle_dev.cloud.sim_wait import ACTIVE, SimWait, SimWaitState, advice
from particle_dev.cloud.sims import Sims
from particle_dev.transport.base import Clock

SINGLE_LOOKUPS = 50
"""Up to so many SIMs are looked up one by one; for more the whole list takes fewer requests."""
REQUESTS_PER_S = 5.0
"""Looking at SIMs must leave most of what the cloud allows (33 requests a second) to the other stations of a site."""
_PER_PAGE = 100
DEACTIVATED = "deactivated"
"""``status`` of a SIM that was switched off."""


class SimLook(NamedTuple):
    """What is kept of a SIM's record: an order can have 100 000 of them. ``trouble`` is what its carrier says."""

    status: str
    was_off: bool
    trouble: str | None

    @classmethod
    def of(cls, record: SimRecord) -> SimLook:
        """From a record. A SIM that was switched off before takes longer to come back."""
        was_off = bool(record.deactivations_count) or record.status == DEACTIVATED
        return cls(sys.intern(record.status), was_off, record.last_status_change_action_error)


@dataclass(frozen=True, slots=True)
class Present:
    """A device that is in the product, or a SIM card (``member`` None), with the line that names it. ``is_asked``: the
    import asked for it, so that its SIM is on its way."""

    entry: OrderEntry
    member: Member | None
    is_asked: bool

    @property
    def iccid(self) -> str | None:
        """Its SIM; None when neither the cloud nor the order tells."""
        return self.entry.iccid or (self.member.iccid if self.member else None)

    @property
    def sim_class(self) -> SimClass | None:
        """How fast its SIM should be; None when neither serial number nor SKU tells."""
        serial_number = (self.member.serial_number if self.member else None) or self.entry.serial_number
        known = sim_class_by_serial_number(serial_number) if serial_number else None
        sku = sku_by_name(self.entry.sku) if self.entry.sku and known is None else None
        return known or (sku.sim if sku else None)


@dataclass(frozen=True, slots=True)
class SimsSeen:
    """How the SIMs of devices ended; ``simless`` are Device IDs."""

    active: int
    slow: tuple[SlowSim, ...]
    simless: tuple[str, ...]


@dataclass(slots=True)
class SimWatch:
    """Looks at SIMs until each is active or parked. ``progress`` gets how many of how many are active."""

    sims: Sims
    state: ImportState
    clock: Clock
    progress: Callable[[int, int], None]
    _since_s: float = field(default=0.0, init=False)
    _since: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._since_s, self._since = self.clock.monotonic_s(), self.clock.utc_now()

    def wait_for(self, there: Iterable[Present], *, patient: bool) -> SimsSeen:
        """What became of the SIMs of devices in the product, and of SIM cards. ``patient`` waits for parked ones too.

        Raises CloudError and ImportStateError.
        """
        watched: dict[str, Present] = {}
        simless = []
        for item in there:
            if item.iccid is not None:
                watched[item.iccid] = item
            elif item.member is not None:
                simless.append(item.member.device_id)
        looks = self._look(watched)
        self.state.settle([iccid for iccid in self._known(watched) if _is_active(looks.get(iccid))])
        pending, idle = self._inactive(watched, looks)
        slow = idle + self._wait(pending, looks, len(watched), patient)
        return SimsSeen(len(watched) - len(slow), tuple(slow), tuple(simless))

    def _inactive(
        self, watched: Mapping[str, Present], looks: Mapping[str, SimLook | None]
    ) -> tuple[dict[str, SimWait], list[SlowSim]]:
        """SIMs to wait for, whose beginning is put down, and those that somebody switched off: nobody asked for these,
        and waiting would be in vain."""
        now = self.clock.utc_now()
        waits, idle = [], []
        for iccid, item in watched.items():
            look = looks.get(iccid)
            if _is_active(look):
                continue
            device_id = item.member.device_id if item.member else None
            since = self.state.sims_asked.get(iccid, now)
            wait = SimWait(iccid, device_id, item.sim_class, look is not None and look.was_off, since)
            is_off = look is not None and look.status == DEACTIVATED
            if is_off and not item.is_asked and iccid not in self.state.waits:
                idle.append(_slow(SimWaitState.FAILED, wait, look))
            else:
                waits.append(wait)
        self.state.wait_for(waits)
        return {wait.iccid: self.state.waits[wait.iccid] for wait in waits}, idle

    def _known(self, iccids: Iterable[str]) -> list[str]:
        return [iccid for iccid in iccids if iccid in self.state.waits or iccid in self.state.sims_asked]

    def _wait(
        self, pending: dict[str, SimWait], looks: dict[str, SimLook | None], total: int, patient: bool
    ) -> list[SlowSim]:
        """The SIMs that are not active when nothing is left to wait for."""
        polls = 0
        while True:
            self.progress(total - len(pending), total)
            states = {iccid: wait.schedule.state(self._elapsed_s(wait)) for iccid, wait in pending.items()}
            attended = [iccid for iccid, state in states.items() if state is SimWaitState.WAITING]
            looked_at = attended or [
                iccid for iccid, state in states.items() if patient and state is SimWaitState.PARKED
            ]
            if not looked_at:
                return [_slow(states[iccid], wait, looks.get(iccid)) for iccid, wait in pending.items()]
            schedules = [pending[iccid].schedule for iccid in looked_at]
            delay_s = min(s.next_poll_s(polls) if attended else s.parked_poll_s for s in schedules)
            self.clock.sleep(max(delay_s, self._requests_for(looked_at, total) / REQUESTS_PER_S))
            polls += 1
            looks.update(self._look(looked_at))
            active = [iccid for iccid in looked_at if _is_active(looks.get(iccid))]
            self.state.settle(active)
            for iccid in active:
                del pending[iccid]

    def _elapsed_s(self, wait: SimWait) -> float:
        """Seconds since a SIM was asked for. A clock that was set back in between counts as no time."""
        before_s = max(0.0, (self._since - wait.since).total_seconds())
        return before_s + self.clock.monotonic_s() - self._since_s

    def _look(self, iccids: Collection[str]) -> dict[str, SimLook | None]:
        """What the cloud tells of these SIMs now; None for one that the product does not have."""
        looks: dict[str, SimLook | None] = dict.fromkeys(iccids)
        if len(iccids) <= SINGLE_LOOKUPS:
            for iccid in iccids:
                record = self.sims.find(iccid)
                looks[iccid] = SimLook.of(record) if record else None
            return looks
        for record in self.sims.list():
            if record.iccid in looks:
                looks[record.iccid] = SimLook.of(record)
        return looks

    @staticmethod
    def _requests_for(iccids: Collection[str], total: int) -> float:
        return len(iccids) if len(iccids) <= SINGLE_LOOKUPS else total / _PER_PAGE


def _is_active(look: SimLook | None) -> bool:
    return look is not None and look.status == ACTIVE


def _slow(state: SimWaitState, wait: SimWait, look: SimLook | None) -> SlowSim:
    status = look.status if look else None
    of = f" of {wait.device_id}" if wait.device_id else ""
    now = f"is {status}" if status else "is not in the product yet"
    trouble = f"; the carrier says: {look.trouble}" if look and look.trouble else ""
    message = f"SIM {wait.iccid}{of} {now}{trouble}"
    if state is SimWaitState.FAILED and status == DEACTIVATED:
        hint = f"if it is to be on: particle-dev cloud sims activate {wait.iccid} --again --may-bill --product PRODUCT"
        return SlowSim(wait, state, status, message, hint)
    return SlowSim(wait, state, status, message, advice(state, wait))
