"""Benches: where boards are plugged in. A driver is found by name among the entry points of group
``particle_dev.benches``, so a virtual bench, ours and a third party's look alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from particle_dev.errors import BenchError
from particle_dev.transport.base import Clock, Host
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.power import PowerControl
from particle_dev.transport.serial import PortLister, PyserialHost
from particle_dev.transport.usb import PyusbHost

ENTRY_POINT_GROUP = "particle_dev.benches"
FACTORY_SOURCE = "npm:particle-cli@2.12.0"
"""A public package with bootloaders and SoftDevices."""
_ADD_COMMAND = f"particle-dev firmware add {FACTORY_SOURCE}"
FactoryModules = Callable[[str], Sequence[bytes]]
"""Gives, by platform name, the bootloader and radio stack modules of the release that will be flashed: what a bench
that makes its own boards puts into them. Benches with real boards have no use for it."""


class SlotDriver(Protocol):
    """One slot of a bench driver. May have ``probe_id``, too: pyOCD's unique id of the probe on its board, or None;
    ``serial_url``: what pyserial opens for a serial line of its board that is none of USB, or None; ``platform``: the
    catalog's name of what is to be in the slot, or None; ``battery``: whether its board has one, None when the bench
    does not say; and ``leases``: names of what other programs on this computer could use, too."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def port_path(self) -> str | None:
        """USB port chain of its board, e.g. ``1-2.3``."""
        ...

    @property
    def clock(self) -> Clock | None:
        """Time in this slot; None is the system's."""
        ...

    @property
    def power(self) -> PowerControl | None:
        """None: the bench cannot switch power here."""
        ...


class BenchDriver(Protocol):
    """What a driver's entry point returns."""

    @property
    def name(self) -> str:
        """Name of the bench, for records."""
        ...

    @property
    def usb_backend(self) -> Any | None:
        """pyusb backend that reaches all boards; None is libusb."""
        ...

    @property
    def serial_ports(self) -> PortLister | None:
        """Lists serial ports; None are the system's."""
        ...

    @property
    def slots(self) -> Sequence[SlotDriver]:
        """In the order in which people count them."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class OpenBench(Protocol):
    """The entry point of a driver. ``slots`` are the tables of the bench file, ``state_dir`` a folder for what must
    survive this process. Raises BenchError or ConfigError."""

    def __call__(
        self,
        *,
        options: Mapping[str, Any],
        slots: Sequence[Mapping[str, Any]],
        state_dir: Path | None,
        factory_modules: FactoryModules,
    ) -> BenchDriver:
        """The bench, opened."""
        ...


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot with everything that reaches its board."""

    name: str
    port_path: str
    host: Host
    power: PowerControl | None
    probe_id: str | None = None
    """pyOCD's unique id of the debug probe on its board."""
    platform: str | None = None
    """The catalog's name of what is to be in it, where the bench says so."""
    battery: bool | None = None
    """Whether its board has a battery, which keeps it on without USB; None: the bench does not say."""
    serial_url: str | None = None
    """What pyserial opens for a serial line of its board that is none of USB."""
    leases: tuple[str, ...] = ()
    """Names of what one station at a time may use (lease)."""


@dataclass(frozen=True, slots=True)
class Bench:
    """An open bench. ``host`` sees all of its boards."""

    name: str
    host: Host
    slots: tuple[Slot, ...]
    driver: BenchDriver

    def close(self) -> None:
        """Give everything back."""
        self.driver.close()


def bench_drivers() -> tuple[str, ...]:
    """Names of the drivers that are installed."""
    return tuple(sorted(e.name for e in entry_points(group=ENTRY_POINT_GROUP)))


def no_factory_modules(platform_name: str, add_command: str = _ADD_COMMAND) -> Sequence[bytes]:
    """For commands that bring no firmware. Raises BenchError."""
    raise BenchError(
        f"no firmware at hand to make a virtual {platform_name}",
        hint=f"first run: {add_command}",
    )


def open_bench(
    driver: str,
    *,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    slots: Sequence[Mapping[str, Any]] = (),
    state_dir: Path | None = None,
    factory_modules: FactoryModules = no_factory_modules,
) -> Bench:
    """Load a driver and open its bench. Raises BenchError when there is no such driver or a slot has no port."""
    found = [e for e in entry_points(group=ENTRY_POINT_GROUP) if e.name == driver]
    if not found:
        raise BenchError(
            f"no bench driver named '{driver}'",
            key="bench.driver",
            hint=f"installed: {', '.join(bench_drivers())}; or give a bench file",
        )
    entry: OpenBench = found[0].load()
    opened = entry(options=options or {}, slots=slots, state_dir=state_dir, factory_modules=factory_modules)
    usb = PyusbHost(opened.usb_backend)
    serial = PyserialHost(opened.serial_ports)
    made: list[Slot] = []
    for slot in opened.slots:
        if slot.port_path is None:
            raise BenchError(f"slot {slot.name} has no USB port", slot=slot.name, hint="set port in the bench file")
        if twin := next((s for s in made if s.port_path == slot.port_path), None):
            raise BenchError(
                f"slots {twin.name} and {slot.name} have one port {slot.port_path}",
                slot=slot.name,
                hint="`particle-dev station teach` finds out which slot has which",
            )
        host = Host(usb, serial, slot.clock or SystemClock())
        probe_id, platform = getattr(slot, "probe_id", None), getattr(slot, "platform", None)
        battery, leases = getattr(slot, "battery", None), tuple(getattr(slot, "leases", ()))
        serial_url = getattr(slot, "serial_url", None)
        made.append(Slot(slot.name, slot.port_path, host, slot.power, probe_id, platform, battery, serial_url, leases))
    clock = made[0].host.clock if made else SystemClock()
    return Bench(name or opened.name, Host(usb, serial, clock), tuple(made), opened)
