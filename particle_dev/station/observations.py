"""What is known about the time in which a unit was in the station's hands, for the billing verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.metering import BillingFinding, Evidence, held_in_dfu
from particle_dev.device.discovery import device_at
from particle_dev.device.model import Device
from particle_dev.errors import DeviceModeError
from particle_dev.station.bench import Slot
from particle_dev.station.billing import evidence_from_data
from particle_dev.station.events import StepStatus, parse_timestamp
from particle_dev.station.run_record import UnitRecord


@dataclass(slots=True)
class Observations:
    """Evidence in the order in which it was found, of the board in ``slot``. ``sent_at``: when this run, or an earlier
    attempt of it, sent the board into the DFU mode in which it still is."""

    slot: Slot
    evidence: list[Evidence] = field(default_factory=list)
    sent_at: datetime | None = None

    @property
    def doubts(self) -> list[str]:
        """Statements that are compatible with a device that has been online."""
        return [e.statement for e in self.evidence if e.finding is not BillingFinding.OFFLINE]

    def in_dfu_since(self, since: datetime) -> None:
        """The board has been in DFU mode from then until now."""
        self.evidence.append(held_in_dfu(since, self._now()))

    def still_held(self, device: Device, since: datetime | None = None) -> None:
        """The board is still in the enumeration that ``device`` names, so it has not been reset ``since`` then; None is
        the last piece of evidence. Raises DeviceModeError: it is not."""
        seen = device_at(self.slot.host, self.slot.port_path)
        if seen is None or seen.usb != device.usb:
            raise DeviceModeError(
                f"{device.device_id} left DFU mode by itself",
                expected=UsbMode.DFU,
                actual=seen.mode if seen else None,
                hint="somebody reset or unplugged it; run again",
            )
        self.in_dfu_since(since or max((e.until for e in self.evidence), default=self._now()))

    def recall(self, prior: UnitRecord, device: Device) -> None:
        """Take over what earlier attempts observed. A board that they sent into DFU mode and that is in DFU mode has
        been there since: the request holds for one boot, every later one would have left it."""
        self.recall_evidence(prior)
        sent_at = sent_into_dfu_at(prior)
        if device.mode is UsbMode.DFU and sent_at is not None:
            self.sent_at = sent_at
            self.in_dfu_since(sent_at)

    def recall_evidence(self, prior: UnitRecord) -> None:
        """Take over what earlier attempts observed, once."""
        steps = [s for a in prior.attempts for s in a.steps]
        found = [evidence_from_data(e) for s in steps for e in s.evidence.get("observed", ())]
        self.evidence += [e for e in found if e not in self.evidence]

    def _now(self) -> datetime:
        return self.slot.host.clock.utc_now()


def sent_into_dfu_at(prior: UnitRecord) -> datetime | None:
    """When an earlier attempt sent the board into DFU mode the last time."""
    steps = [s for a in prior.attempts for s in a.steps]
    names = ("enter_dfu", "probe_park")
    sent = [parse_timestamp(s.started_at) for s in steps if s.name in names and s.status is not StepStatus.FAILED]
    return sent[-1] if sent else None
