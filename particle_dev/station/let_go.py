"""How a unit that did not pass is left: in DFU mode, without power, or at least told to be quiet.

Left alone in normal mode it would go online as soon as its application wants to.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import device_at
from particle_dev.device.model import Device
from particle_dev.errors import ParticleDevError, TransportError
from particle_dev.station.bench import Slot
from particle_dev.station.events import JsonObject, timestamp


class Run(Protocol):
    """What this needs of the run of a unit."""

    slot: Slot
    device_id: str | None

    def now(self) -> datetime:
        """UTC in this slot."""
        ...

    def read_counters(self, session: ControlSession) -> None:
        """Take what the running board tells of itself into evidence."""
        ...

    def say(self, message: str) -> None:
        """Tell the operator."""
        ...


def let_go(run: Run) -> JsonObject | None:
    """Leave the unit so that it does not go online; ``left`` of its unit_finished event. None: it is in DFU mode, or
    held by its probe, where the next run goes on."""
    device = device_at(run.slot.host, run.slot.port_path)
    if device is not None and device.mode is UsbMode.DFU:
        return None
    if device is None and run.slot.probe_id is not None:
        return None  # The debug probe holds it.
    if device is not None:
        _quieten(run, device, listen=run.slot.power is None)
    power = "on_operator_must_unplug"
    if run.slot.power is not None:
        try:
            run.slot.power.off()
            power = "off"
        except TransportError as error:
            run.say(str(error))
    if power != "off":
        run.say(f"unplug {run.device_id or 'the board'} now: it may go online")
    return {"power": power, "at": timestamp(run.now())}


def _quieten(run: Run, device: Device, *, listen: bool) -> None:
    """Last evidence of its boot; with ``listen``, into listening mode, where connections are down while it lasts."""
    try:
        with ControlSession(run.slot.host, device) as session:
            session.stop_connecting()
            run.read_counters(session)
            if listen:
                session.start_listening()
    except ParticleDevError as error:
        run.say(f"{run.device_id or 'the board'} could not be told to stay offline: {error.message}")
