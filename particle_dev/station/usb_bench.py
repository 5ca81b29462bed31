"""The bench of boards on this machine's own USB ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from particle_dev.errors import ConfigError
from particle_dev.station.bench_power import slot_power
from particle_dev.station.lease import probe_lease, serial_lease, usb_lease
from particle_dev.transport.base import Clock
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.power import PowerControl
from particle_dev.transport.serial import PortLister, PyserialHost
from particle_dev.transport.usb import PyusbHost

_SLOT_KEYS = {"name", "port", "platform", "device_id", "probe", "serial", "battery", "power"}
_OF_ONE_SLOT = {
    "probe": "give the whole id of the probe on this board: particle-dev swd list",
    "serial": "give the serial line of this board, as /dev/serial/by-path names it: particle-dev station teach",
}


@dataclass(slots=True)
class UsbSlot:
    """A USB port, e.g. ``1-2.3``. ``probe_id``: the debug probe on its board; ``serial_url``: a serial line of it that
    is none of USB. ``battery``: whether its board has one; None: nobody said. ``power``: what switches its supply;
    None: nothing does."""

    name: str
    port_path: str | None
    probe_id: str | None = None
    platform: str | None = None
    battery: bool | None = None
    clock: Clock | None = None
    power: PowerControl | None = None
    serial_url: str | None = None

    @property
    def leases(self) -> tuple[str, ...]:
        """The port, the probe and the serial line."""
        others = [probe_lease(self.probe_id)] if self.probe_id else []
        others += [serial_lease(self.serial_url)] if self.serial_url else []
        return (usb_lease(str(self.port_path)), *others)


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
    ``serial``, what pyserial opens for a serial line of its board that is none of USB, ``battery``, whether its board
    has one (option ``battery`` says so of slots that do not), and ``power``: what switches its supply (bench_power).
    Raises ConfigError for anything else, for a probe or serial line that two slots have, and for ``power`` without
    ``battery = false``: with a battery the board would stay on, and be taken for one without."""
    for key in options:
        if key != "battery":
            raise ConfigError(
                f"the usb bench has no option '{key}'", key=f"bench.options.{key}", hint="it has one: battery = false"
            )
    for place, table in (("bench.options", options), *(("slot", slot) for slot in slots)):
        if not isinstance(table.get("battery", False), bool):
            of = f"slot {table.get('name', '?')}: " if table is not options else ""
            raise ConfigError(
                f"{of}battery = {table['battery']!r} is neither true nor false",
                key=f"{place}.battery",
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
        for key, hint in _OF_ONE_SLOT.items():
            value = slot.get(key)
            if value is not None and (not isinstance(value, str) or [s.get(key) for s in slots].count(value) > 1):
                raise ConfigError(
                    f"slot {slot.get('name', '?')}: {key} {value!r} is no text, or two slots have it",
                    key=key,
                    hint=hint,
                )
    return UsbBench([_slot(s, str(s.get("name", n)), options) for n, s in enumerate(slots, 1)])


def _slot(table: Mapping[str, Any], name: str, options: Mapping[str, Any]) -> UsbSlot:
    port, battery = str(table["port"]), table.get("battery", options.get("battery"))
    made = UsbSlot(name, port, table.get("probe"), table.get("platform"), battery, serial_url=table.get("serial"))
    if "power" in table:
        if battery is not False:
            raise ConfigError(
                f"slot {name}: power without battery = false",
                key="power",
                hint="what switches USB does not switch a battery: take it out, and say battery = false",
            )
        usb = PyusbHost()
        made.power = slot_power(
            table["power"],
            name,
            lambda: any(d.port_path == port for d in usb.enumerate()),
            SystemClock(),
            PyserialHost(),
        )
    return made
