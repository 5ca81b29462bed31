"""The bench of boards on this machine's own USB ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from particle_dev.errors import ConfigError
from particle_dev.transport.base import Clock
from particle_dev.transport.serial import PortLister

_SLOT_KEYS = {"name", "port", "platform", "device_id", "probe", "battery"}


@dataclass(slots=True)
class UsbSlot:
    """A USB port, e.g. ``1-2.3``. It cannot switch power. ``probe_id``: the debug probe on its board. ``battery``:
    whether its board has one; None: nobody said."""

    name: str
    port_path: str | None
    probe_id: str | None = None
    platform: str | None = None
    battery: bool | None = None
    clock: Clock | None = None
    power: None = None


@dataclass(slots=True)
class UsbBench:
    """libusb and the system's serial ports."""

    slots: Sequence[UsbSlot]
    name: str = "usb"
    usb_backend: Any | None = None
    serial_ports: PortLister | None = None

    def close(self) -> None:
        """Nothing is held open."""


def open_bench(
    *,
    options: Mapping[str, Any],
    slots: Sequence[Mapping[str, Any]],
    state_dir: Path | None,  # noqa: ARG001 - real boards keep their own state
    factory_modules: Callable[[str], Sequence[bytes]],  # noqa: ARG001 - real boards come from a real factory
) -> UsbBench:
    """Slots from a bench file: ``name``, ``port``, ``probe``, the whole id of a debug probe as ``swd list`` shows it,
    and ``battery``, whether its board has one; option ``battery`` says so of slots that do not. Raises ConfigError for
    anything else, and for a probe that two slots have."""
    for key in options:
        if key != "battery":
            raise ConfigError(f"the usb bench has no option '{key}'", key=key, hint="it has one: battery = false")
    for table in (options, *slots):
        if not isinstance(table.get("battery", False), bool):
            raise ConfigError(
                f"battery = {table['battery']!r} is neither true nor false",
                key="battery",
                hint="battery = false says that nothing but USB powers the board",
            )
    for slot in slots:
        unknown = sorted(set(slot) - _SLOT_KEYS)
        if unknown or "port" not in slot:
            raise ConfigError(
                f"slot {slot.get('name', '?')}: " + (f"unknown key '{unknown[0]}'" if unknown else "port is missing"),
                key=unknown[0] if unknown else "port",
                hint='a slot of the usb bench has name = "A" and port = "1-2.3"; `particle-dev list` shows ports',
            )
        probe = slot.get("probe")
        if probe is not None and (not isinstance(probe, str) or [s.get("probe") for s in slots].count(probe) > 1):
            raise ConfigError(
                f"slot {slot.get('name', '?')}: probe {probe!r} is no id, or two slots have it",
                key="probe",
                hint="give the whole id of the probe on this board: particle-dev swd list",
            )
    return UsbBench(
        [
            UsbSlot(
                str(s.get("name", n)),
                str(s["port"]),
                s.get("probe"),
                s.get("platform"),
                s.get("battery", options.get("battery")),
            )
            for n, s in enumerate(slots, 1)
        ]
    )
