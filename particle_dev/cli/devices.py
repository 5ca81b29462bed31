"""How commands find the board that ``--device`` means, and names for boards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import list_devices
from particle_dev.device.model import Device
from particle_dev.device.selectors import is_possible_name, select_device
from particle_dev.errors import ProtocolError, RequestRefusedError, TransportError
from particle_dev.protocol.identifiers import is_device_id
from particle_dev.station.bench import Bench
from particle_dev.station.lease import board_leases
from particle_dev.toml_file import TomlFile
from particle_dev.transport.base import Host, WakeUp
from particle_dev.transport.hotplug import PollingWakeUp, open_wake_up

DEVICES_VARIABLE = "PARTICLE_DEV_DEVICES"


def device_names() -> Mapping[str, str]:
    """Device IDs by name, from the file that PARTICLE_DEV_DEVICES names, else from ``devices.toml`` in the user's
    configuration folder, which need not exist::

        [devices]
        bench-left = "e00fce68…"

    Raises ConfigError for a file that cannot be used, a name that could be taken for something else, or an ID that is
    none.
    """
    configured = os.environ.get(DEVICES_VARIABLE)
    path = Path(configured) if configured else platformdirs.user_config_path("particle-dev") / "devices.toml"
    if not configured and not path.exists():
        return {}
    root = TomlFile(path).root
    root.allow_only(["devices"])
    table = root.table("devices")
    names = {}
    for name in table.values:
        device_id = table.text(name).lower()
        if not is_device_id(device_id):
            raise table.error(
                name, f"{device_id!r} is no Device ID", hint="24 hex digits, as `particle-dev list` shows"
            )
        if not is_possible_name(name):
            hint = "use letters, digits, '-', '_' and '.'; no platform, mode, port or beginning of a Device ID"
            raise table.error(name, f"{name!r} cannot be a device's name", hint=hint)
        names[name] = device_id
    return names


def choose_device(bench: Bench, selector: str | None) -> Device:
    """The one device that ``--device`` means (device.selectors); None is the only one there is. Raises ConfigError,
    DeviceNotFoundError, DeviceAmbiguousError."""
    host, names = bench.host, device_names() if selector else {}
    slots = {slot.name: slot.port_path for slot in bench.slots}
    return select_device(list_devices(host), selector, names, lambda device: _label_of(host, device), slots=slots)


@contextmanager
def taken_device(bench: Bench, selector: str | None, command: str) -> Iterator[Device]:
    """The device that ``--device`` means, for ``command``, which changes it: meanwhile no station, test run or other
    such command of this computer can have it. Raises as :func:`choose_device`; SlotBusyError when one has it now."""
    device = choose_device(bench, selector)
    with board_leases(bench, device.usb.port_path, f"`particle-dev {command}`"):
        yield device


def _label_of(host: Host, device: Device) -> str | None:
    try:
        with ControlSession(host, device) as session:
            return session.serial_number()
    except (ProtocolError, RequestRefusedError, TransportError):
        # A board that does not answer, or is protected, is not the one that was named; others may be.
        return None


def wake_up_for(bench: Bench) -> tuple[WakeUp, str]:
    """What ends waits for boards of a bench and, when udev was expected and is not to be had, why. Only the system's
    own USB ports have udev; other benches are polled."""
    if bench.driver.usb_backend is None:
        return open_wake_up(bench.host.clock)
    return PollingWakeUp(bench.host.clock), ""
