"""Learning which slot is where: boards are plugged in one by one, and what appears with each belongs to its slot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from particle_dev.device.discovery import list_devices
from particle_dev.device.model import Device
from particle_dev.errors import ConfigError
from particle_dev.transport.base import Host, SerialPortInfo, WakeUp
from particle_dev.whole_file import write_whole

SETTLE_S = 1.5
"""From a board's first enumeration: its serial port and its debug probe come a moment later, and some boards enumerate
twice."""
LOOK_EVERY_S = 0.2
PARTICLE_VID = 0x2B04
ProbeLister = Callable[[], Sequence[str]]
"""Gives pyOCD's unique ids of the debug probes that are connected."""


@dataclass(frozen=True, slots=True)
class TaughtSlot:
    """What one slot turned out to be. ``serial_port``: that of its board's USB; None: it has shown none. ``probe``:
    None: no debug probe came with it. ``serial``: a serial line of its own that came with it, such as the adapter that
    the board lies on; None: none."""

    name: str
    port_path: str
    platform: str
    device_id: str
    serial_port: str | None
    probe: str | None
    serial: str | None = None


class Teacher:
    """Gives a slot for each board that is plugged in, in that order. What is there already belongs to no slot, and a
    port that was taught is not taught again, so boards may stay or one board go from slot to slot.

    ``probes`` lists debug probes; None: nobody looks for any. Raises TransportError when the bus cannot be read.
    """

    def __init__(self, host: Host, wake_up: WakeUp, probes: ProbeLister | None = None) -> None:
        self._host = host
        self._wake_up = wake_up
        self._list_probes = probes or (lambda: ())
        self._present = {device.usb.port_path for device in list_devices(host)}
        self._known_probes = set(self._list_probes())
        self._known_serial = self._serial_ports()
        self._taught: set[str] = set()

    @property
    def occupied(self) -> tuple[str, ...]:
        """Ports with a board that is not taught."""
        return tuple(sorted(self._present - self._taught))

    def slots(self, names: Iterator[str], stop: Callable[[], bool] = lambda: False) -> Iterator[TaughtSlot]:
        """A slot for each of ``names``, as its board comes."""
        for name in names:
            port = self._next_port(stop)
            if port is None:
                return
            yield self._learn(name, port)

    def _next_port(self, stop: Callable[[], bool]) -> str | None:
        while not stop():
            now = {device.usb.port_path for device in list_devices(self._host)}
            came = sorted(now - self._present - self._taught)
            self._present &= now
            if came:
                self._present |= set(came)
                return came[0]
            self._wake_up.wait(LOOK_EVERY_S)
        return None

    def _learn(self, name: str, port_path: str) -> TaughtSlot:
        clock = self._host.clock
        end_s = clock.monotonic_s() + SETTLE_S
        seen: Device | None = None
        serial: SerialPortInfo | None = None
        new_probes: set[str] = set()
        new_serial: set[str] = set()
        while True:
            for device in list_devices(self._host):
                if device.usb.port_path == port_path:
                    seen = device
            if seen is not None:
                usb = (seen.usb.vid, seen.usb.pid, seen.usb.serial_number)
                found = [p for p in self._host.serial.ports() if (p.vid, p.pid, p.serial_number) == usb]
                serial = found[0] if len(found) == 1 else serial
            new_probes = set(self._list_probes()) - self._known_probes
            new_serial = self._serial_ports() - self._known_serial
            if clock.monotonic_s() >= end_s and seen is not None:
                break
            self._wake_up.wait(LOOK_EVERY_S)
        if len(new_probes) > 1:
            raise ConfigError(
                f"{len(new_probes)} debug probes came with the board of slot {name}: {', '.join(sorted(new_probes))}",
                key="probe",
                hint="plug one slot in at a time, and teach again",
            )
        if len(new_serial) > 1:
            raise ConfigError(
                f"{len(new_serial)} serial lines came with the board of slot {name}: {', '.join(sorted(new_serial))}",
                key="serial",
                hint="plug one slot in at a time, and teach again; or write the right one into the bench file",
            )
        self._known_serial |= new_serial
        self._known_probes |= new_probes
        self._taught.add(port_path)
        url = serial.url if serial else None
        platform, probe, line = seen.platform.name, next(iter(new_probes), None), next(iter(new_serial), None)
        return TaughtSlot(name, port_path, platform, seen.device_id, url, probe, line and stable_url(line))

    def _serial_ports(self) -> set[str]:
        """Those that are no Particle board's own: these come and go with it, and its mode."""
        boards = {(d.usb.vid, d.usb.pid) for d in list_devices(self._host)}
        return {p.url for p in self._host.serial.ports() if p.vid != PARTICLE_VID and (p.vid, p.pid) not in boards}


def stable_url(url: str, by_path: Path = Path("/dev/serial/by-path")) -> str:
    """The name of a serial port that stays with its place on this computer, where the system has one; else ``url``."""
    if not by_path.is_dir():
        return url
    same = [str(link) for link in sorted(by_path.iterdir()) if link.resolve() == Path(url).resolve()]
    return same[0] if same else url


def bench_toml(name: str, slots: Sequence[TaughtSlot], *, battery: bool | None = None) -> str:
    """The bench file of these slots."""
    lines = ["[bench]", f"name = {json.dumps(name)}", 'driver = "usb"']
    if battery is not None:
        lines += ["", "[bench.options]", f"battery = {str(battery).lower()}"]
    for slot in slots:
        lines += ["", "[[slot]]", f"name = {json.dumps(slot.name)}", f"port = {json.dumps(slot.port_path)}"]
        if slot.serial_port:
            lines[-1] += f"  # its board's serial port was {slot.serial_port}"
        if slot.probe:
            lines.append(f"probe = {json.dumps(slot.probe)}")
        if slot.serial:
            lines.append(f"serial = {json.dumps(slot.serial)}")
    return "\n".join(lines) + "\n"


def write_bench_file(path: Path, text: str) -> None:
    """Write it where none is. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode("utf-8"), replace=False)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already", file=str(path), hint="give another --out") from error
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", file=str(path), hint="give another --out"
        ) from error
