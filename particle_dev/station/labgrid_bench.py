"""The bench of boards behind a labgrid coordinator: ``--bench labgrid:PLACE``, or a bench file::

    [bench]
    driver = "labgrid"
    [bench.options]
    coordinator = "farm:20408"  # default: LG_COORDINATOR, else 127.0.0.1:20408
    reacquire_s = 60            # how long a coordinator that went away is waited for
    [[slot]]
    name = "1"
    place = "boron-1"           # default: the slot's name

What a place has tells what its board can be used for: a NetworkSerialPort is the serial line of its self-test, a
ParticleProbe its debug probe. USB does not go through labgrid: for commands that need it, run them on the exporter's
computer, or bring the board's USB here by USB/IP and name its port in a bench file of the driver ``usb``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from particle_dev.catalog.platforms import platform_by_name
from particle_dev.errors import BenchError, ConfigError
from particle_dev.transport.base import Clock
from particle_dev.transport.serial import PortLister

if TYPE_CHECKING:  # labgrid is an extra
    from particle_dev.station.labgrid_lease import Lease, LeasedPlace

DEFAULT_COORDINATOR = "127.0.0.1:20408"
PROBE_KIND, SERIAL_KIND, POWER_KIND = "ParticleProbe", "NetworkSerialPort", "NetworkPowerPort"
_OPTIONS = {"coordinator", "reacquire_s"}
_SLOT_KEYS = {"name", "place", "platform", "battery"}
_URLS = {"raw": "socket", "rfc2217": "rfc2217"}


@dataclass(slots=True)
class LabgridSlot:
    """A place. ``port_path`` names no USB port: there is none. ``serial_url`` is what pyserial opens, ``probe_id``
    pyOCD's id of the probe; None where the place has none."""

    name: str
    port_path: str
    serial_url: str | None
    probe_id: str | None
    platform: str | None
    battery: bool | None = None
    clock: Clock | None = None
    power: None = None


class NoUsb:
    """A pyusb backend with nothing on its buses."""

    def enumerate_devices(self) -> Iterator[Any]:
        """Nothing."""
        return iter(())


@dataclass(slots=True)
class LabgridBench:
    """Places that are ours until :meth:`close`."""

    lease: Lease
    slots: Sequence[LabgridSlot]
    name: str = "labgrid"
    usb_backend: Any = field(default_factory=NoUsb)

    @property
    def serial_ports(self) -> PortLister:
        """None that belongs to a USB device."""
        return tuple

    def require(self) -> None:
        """Raise BenchError when the places are not ours any more."""
        self.lease.require()

    def close(self) -> None:
        """Give the places back. Raises BenchError when they were lost meanwhile."""
        self.lease.close()


def open_bench(
    *,
    options: Mapping[str, Any],
    slots: Sequence[Mapping[str, Any]],
    state_dir: Path | None,  # noqa: ARG001 - real boards keep their own state
    factory_modules: Callable[[str], Sequence[bytes]],  # noqa: ARG001 - real boards come from a real factory
) -> LabgridBench:
    """Take the places of the slots. Raises ConfigError for options and keys other than those above, BenchError when
    labgrid is not installed and as :class:`~particle_dev.station.labgrid_lease.Lease`."""
    _check(options, slots)
    if find_spec("labgrid") is None:
        raise BenchError(
            "labgrid is not installed here",
            hint="install it, in an environment of its own since it replaces pyserial: pip install "
            "'particle-dev[labgrid]'",
        )
    from particle_dev.station.labgrid_lease import DEFAULT_REACQUIRE_S, Lease  # noqa: PLC0415  an extra

    coordinator = options.get("coordinator") or os.environ.get("LG_COORDINATOR", DEFAULT_COORDINATOR)
    places = [str(slot.get("place", slot["name"])) for slot in slots]
    lease = Lease(coordinator, places, reacquire_s=float(options.get("reacquire_s", DEFAULT_REACQUIRE_S)))
    lease.__enter__()
    try:
        return LabgridBench(lease, [_slot(slot, place) for slot, place in zip(slots, lease.places, strict=True)])
    except BaseException:
        lease.close()
        raise


def serial_url(kind: str, parameters: Mapping[str, Any]) -> str | None:
    """What pyserial opens for a serial port that an exporter offers; None for other resources. Raises BenchError."""
    if kind != SERIAL_KIND:
        return None
    scheme = _URLS.get(parameters.get("protocol", "rfc2217"))
    if scheme is None or not parameters.get("port"):
        raise BenchError(
            f"a serial port has protocol {parameters.get('protocol')!r} and port {parameters.get('port')!r}",
            hint="its exporter must say raw or rfc2217, and be acquired: labgrid-client resources -v",
        )
    return f"{scheme}://{parameters['host']}:{parameters['port']}"


def probe_id(kind: str, parameters: Mapping[str, Any]) -> str | None:
    """pyOCD's id of a probe that an exporter offers; None for other resources."""
    return f"remote:{parameters['host']}:{parameters['port']}" if kind == PROBE_KIND else None


def _check(options: Mapping[str, Any], slots: Sequence[Mapping[str, Any]]) -> None:
    for key in options:
        if key not in _OPTIONS:
            raise ConfigError(
                f"the labgrid bench has no option '{key}'",
                key=f"bench.options.{key}",
                hint=f"it has: {', '.join(sorted(_OPTIONS))}",
            )
    if not isinstance(options.get("coordinator", ""), str):
        raise ConfigError(
            f"coordinator = {options['coordinator']!r} is no text",
            key="bench.options.coordinator",
            hint='write coordinator = "HOST:20408"',
        )
    seconds = options.get("reacquire_s", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise ConfigError(
            f"reacquire_s = {seconds!r} is no number of seconds",
            key="bench.options.reacquire_s",
            hint="write reacquire_s = 60",
        )
    if not slots:
        raise ConfigError("no place is named", key="slot", hint="--bench labgrid:PLACE, or a [[slot]] for each place")
    for slot in slots:
        unknown = sorted(set(slot) - _SLOT_KEYS)
        if unknown:
            raise ConfigError(
                f"slot {slot.get('name', '?')}: unknown key '{unknown[0]}'",
                key=unknown[0],
                hint='a slot of the labgrid bench has name = "1" and place = "boron-1"',
            )


def _slot(table: Mapping[str, Any], place: LeasedPlace) -> LabgridSlot:
    serial = [u for r in place.resources if (u := serial_url(r.kind, r.parameters))]
    probes = [i for r in place.resources if (i := probe_id(r.kind, r.parameters))]
    if len(serial) > 1 or len(probes) > 1 or not (serial or probes):
        raise BenchError(
            f"place {place.name} has {len(serial)} serial ports and {len(probes)} probes",
            slot=place.name,
            hint=f"a place is one board: one {SERIAL_KIND}, one {PROBE_KIND}, or one of each",
        )
    named = table.get("platform") or place.tags.get("platform")
    platform = platform_by_name(named) if named else None
    return LabgridSlot(
        name=str(table["name"]),
        port_path=f"labgrid:{place.name}",
        serial_url=serial[0] if serial else None,
        probe_id=probes[0] if probes else None,
        platform=platform.name if platform else None,
        battery=table.get("battery"),
    )
