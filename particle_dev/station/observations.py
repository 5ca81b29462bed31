"""What is known about the time in which a unit was in the station's hands, for the billing verdict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.metering import (
    GAP_TOLERANCE_S,
    SEEN,
    BillingFinding,
    Evidence,
    held_in_dfu,
    held_off,
    seen_here,
)
from particle_dev.device.discovery import device_at
from particle_dev.device.model import Device
from particle_dev.errors import DeviceModeError
from particle_dev.station.bench import Slot
from particle_dev.station.events import StepStatus, parse_timestamp
from particle_dev.station.run_record import StepRecord, UnitRecord
from particle_dev.station.verdict_data import evidence_from_data

_SENDING = ("enter_dfu", "probe_park")
"""Steps that send a board into DFU mode."""


@dataclass(slots=True)
class Observations:
    """Evidence in the order in which it was found, of the board in ``slot``. ``sent_at``: when this run, or an earlier
    attempt of it, sent the board into the DFU mode in which it still is."""

    slot: Slot
    evidence: list[Evidence] = field(default_factory=list)
    sent_at: datetime | None = None
    off_until: datetime | None = None
    """When this run gave it power, if it was found without."""

    _recalled: frozenset[Evidence] = frozenset()
    _step_began: int = 0

    def begin_step(self) -> int:
        """The number of pieces so far, for ``new_since``. They are in the journal and stay as they are."""
        self._step_began = len(self.evidence)
        return self._step_began

    def new_since(self, number: int) -> list[Evidence]:
        """What this run has observed itself, beyond the first ``number`` pieces."""
        return [e for e in self.evidence[number:] if e not in self._recalled]

    @property
    def doubts(self) -> list[str]:
        """Statements that are compatible with a device that has been online."""
        return [e.statement for e in self.evidence if e.finding is not BillingFinding.OFFLINE]

    def in_dfu_since(self, since: datetime) -> None:
        """The board has been in DFU mode from then until now. Extends the last piece of this step when that says the
        same until then: a step that polls for minutes keeps one piece."""
        found = held_in_dfu(since, self._now())
        last = self.evidence[-1] if len(self.evidence) > self._step_began else None
        if (
            last is not None
            and last.id == found.id
            and last not in self._recalled
            and last.since <= since <= last.until
        ):
            self.evidence[-1] = replace(last, until=max(last.until, found.until))
        else:
            self.evidence.append(found)

    def still_held(self, device: Device, since: datetime | None = None) -> None:
        """The board is still in the enumeration that ``device`` names, so it has not been reset ``since`` then; None is
        the last piece of evidence. Raises DeviceModeError: it is not."""
        self.held_as_seen(device_at(self.slot.host, self.slot.port_path), device, since)

    def held_as_seen(self, seen: Device | None, device: Device, since: datetime | None = None) -> None:
        """``still_held`` for a board that was ``seen`` just now, for callers that decide from the same look."""
        if seen is None or seen.usb != device.usb:
            raise DeviceModeError(
                f"{device.device_id} left DFU mode by itself",
                expected=UsbMode.DFU,
                actual=seen.mode if seen else None,
                hint="somebody reset or unplugged it; run again",
            )
        self.in_dfu_since(since or max((e.until for e in self.evidence), default=self._now()))

    def recall(self, prior: UnitRecord) -> None:
        """Take over what earlier attempts observed, once."""
        steps = [s for a in prior.attempts for s in a.steps]
        known = [evidence_from_data(e) for s in steps for e in s.evidence.get("observed", ())]
        self._recalled = frozenset([*known, *prior.billing.evidence])
        self.evidence = list(dict.fromkeys([*self.evidence, *known, *prior.billing.evidence]))
        first = _first_seen(prior)
        if first is not None:
            seen = seen_here(parse_timestamp(first.started_at))
            self._recalled |= {seen}
            self.evidence = list(dict.fromkeys([*self.evidence, seen]))
        switched_off_at = prior.attempts[-1].switched_off_at if prior.attempts else None
        if switched_off_at is not None and self.off_until is not None:
            # The journal cuts off parts of milliseconds: it had power a little longer than it says.
            since = parse_timestamp(switched_off_at) + timedelta(milliseconds=1)
            self.evidence.append(held_off(since, max(since, self.off_until)))

    def window(self) -> list[Evidence]:
        """The evidence, without the moment in which the unit was first known when another piece tells of that."""
        tolerance = timedelta(seconds=GAP_TOLERANCE_S)
        told = [(e.since - tolerance, e.until) for e in self.evidence if e.id != SEEN]
        return [e for e in self.evidence if e.id != SEEN or not any(a <= e.since <= b for a, b in told)]

    def recall_dfu(self, prior: UnitRecord, device: Device, *, boots_only_dfu: bool) -> None:
        """Of a board that earlier attempts sent into DFU mode and that is in DFU mode: it has been there since, if it
        is still in the same enumeration, or if it could boot nothing else since their flash began
        (``boots_only_dfu``: its system part is not whole). Any other may have run meanwhile, and have been brought back
        by a button."""
        since = held_since(prior, device, boots_only_dfu=boots_only_dfu)
        if since is not None:
            self.sent_at = since
            self.in_dfu_since(since)

    def _now(self) -> datetime:
        return self.slot.host.clock.utc_now()


def held_since(prior: UnitRecord, device: Device, *, boots_only_dfu: bool) -> datetime | None:
    """Since when a board has been in the DFU mode into which an earlier attempt sent it, by the rule of
    :meth:`Observations.recall_dfu`; None when nobody can tell."""
    if device.mode is not UsbMode.DFU:
        return None
    steps = [s for a in prior.attempts for s in a.steps]
    offs = [a.switched_off_at for a in prior.attempts if a.switched_off_at is not None]
    offs += [s.started_at for s in steps if s.name == "park" and s.evidence.get("power") == "off"]
    sent = [s for s in steps if s.name in _SENDING and s.status is not StepStatus.FAILED]
    if not sent:
        # It came in DFU mode, and nobody had to send it there.
        first = _first_seen(prior)
        came_so = first is not None and first.evidence.get("mode") == str(UsbMode.DFU)
        if first is None or not came_so or first.evidence.get("usb_address") != device.usb.address or offs:
            return None
        return parse_timestamp(first.started_at)
    since = parse_timestamp(sent[-1].started_at)
    flashed = any(s.name in ("copy", "flash") and parse_timestamp(s.started_at) >= since for s in steps)
    # The station died before it saw where the board enumerated: seconds, which are given to it.
    unseen = sent[-1].duration_s is None
    address = sent[-1].evidence.get("attempt", {}).get("usb_address")
    stayed = (unseen or address == device.usb.address) and all(parse_timestamp(off) < since for off in offs)
    return since if stayed or (boots_only_dfu and flashed) else None


def _first_seen(prior: UnitRecord) -> StepRecord | None:
    """The step in which the unit was first known; None: no attempt came so far."""
    steps = (s for a in prior.attempts for s in a.steps)
    return next((s for s in steps if s.name == "identify" and "usb_address" in s.evidence), None)
