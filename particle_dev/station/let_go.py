"""How a unit that did not pass is left: in DFU mode, without power, or at least told to be quiet.

Left alone in normal mode it would go online as soon as its application wants to.
"""

from __future__ import annotations

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import device_at
from particle_dev.device.model import Device
from particle_dev.errors import JournalError, ParticleDevError, TransportError
from particle_dev.station.events import JsonObject, error_data, timestamp
from particle_dev.station.run import Run


def let_go(run: Run) -> JsonObject | None:
    """Leave the unit so that it does not go online; ``left`` of its unit_finished event. None: it is in DFU mode, or
    held by its probe, where the next run goes on. Only JournalError leaves it: what fails here must not hide the unit.
    """
    try:
        return _let_go(run)
    except JournalError:
        raise
    except ParticleDevError as error:
        run.say(f"unplug {run.device_id or 'the board'} now: it could not be left quiet: {error.message}", "unplug")
        return {"power": "on_operator_must_unplug", "at": timestamp(run.now()), "error": error_data(error)}


def _let_go(run: Run) -> JsonObject | None:
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
        run.say(f"unplug {run.device_id or 'the board'} now: it may go online", "unplug")
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
