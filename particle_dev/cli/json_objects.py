"""What several commands print with ``--json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from particle_dev.cli.exit_codes import exit_code_of
from particle_dev.errors import ParticleDevError

if TYPE_CHECKING:  # every command can print an error, and `inspect` must not pay for devices
    from particle_dev.device.model import Device
    from particle_dev.device.watch import BoardEvent


def error_object(error: ParticleDevError) -> dict[str, object]:
    """An error with its fields and the exit status that it brings."""
    return {
        "error": {
            "type": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            **error.fields(),
        },
        "exit_code": int(exit_code_of(error)),
    }


def device_object(device: Device) -> dict[str, object]:
    """A device on the bus."""
    return {
        "device_id": device.device_id or None,
        "platform": {"id": device.platform.id, "name": device.platform.name},
        "mode": str(device.mode),
        "port": device.usb.port_path,
        "usb": {
            "vid": device.usb.vid,
            "pid": device.usb.pid,
            "serial_number": device.usb.serial_number,
            "product": device.usb.product,
        },
        **({"access_problem": device.usb.access_problem} if device.usb.access_problem else {}),
    }


def event_object(event: BoardEvent) -> dict[str, object]:
    """What happened to a board; ``identity`` stays the same for a board."""
    return {
        "event": event.change.name.lower(),
        "identity": event.identity,
        "previous_mode": str(event.previous.mode) if event.previous else None,
        **device_object(event.device),
    }
