"""``particle-dev monitor``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

import click

from particle_dev.cli.devices import choose_device, device_names
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.json_objects import error_object, event_object
from particle_dev.cli.options import (
    SELECTOR_HELP,
    bench_for,
    bench_option,
    duration_option,
    json_option,
    store_option,
)
from particle_dev.cli.wrap import wrapped
from particle_dev.device.model import Device
from particle_dev.device.monitor import BoardLine, MonitorEvent, PortOpened, PortRefused, SerialMonitor
from particle_dev.device.watch import Watch
from particle_dev.errors import ConfigError
from particle_dev.station.bench import Bench
from particle_dev.station.events import timestamp
from particle_dev.transport.base import Clock, Host
from particle_dev.transport.hotplug import PollingWakeUp

Formatter = Callable[[MonitorEvent], str]


@click.command("monitor")
@click.option(
    "--device", "selectors", multiple=True, metavar="SELECTOR", help=f"Which board; repeat it: {SELECTOR_HELP}."
)
@click.option(
    "--log",
    "log_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append to this file, too.",
)
@click.option(
    "--timestamps",
    type=click.Choice(["utc", "elapsed", "none"]),
    default="utc",
    show_default=True,
    help="Time before each line; elapsed counts seconds from the start.",
)
@duration_option
@bench_option
@store_option
@json_option
def monitor(
    selectors: Sequence[str],
    log_path: Path | None,
    timestamps: str,
    duration_s: float | None,
    bench_spec: str,
    store_dir: Path | None,
    as_json: bool,
) -> ExitCode:
    """Show what boards print on their serial ports, through resets.

    Without --device every board that is there or comes. Device secrets and claim codes are hidden. Reading changes
    nothing on a board. Ends by Ctrl-C with exit status 130, or after --duration with 0; 6 when no port could be read.
    """
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(_opened_log(log_path)) if log_path else None
        bench = stack.enter_context(bench_for(bench_spec, store_dir))
        wanted = _wanted(bench, selectors)
        style: Formatter = (
            _JsonLines(bench.host.clock) if as_json else _TextLines(bench.host.clock, timestamps, device_names())
        )
        # Standard output is what boards print, and a look at all ports takes seconds.
        click.echo("waiting for boards…", err=True)
        reads = 0
        for event in _events(bench.host, wanted, duration_s):
            reads += isinstance(event, PortOpened)
            line = style(event)
            # What a board printed stays as it is.
            click.echo(line if as_json or isinstance(event, BoardLine) else wrapped(line, sys.stdout))
            if log:
                log.write(line + "\n")
                log.flush()
    return ExitCode.OK if reads else ExitCode.INCOMPLETE


@contextlib.contextmanager
def _opened_log(path: Path) -> Iterator[TextIO]:
    try:
        file = path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", file=str(path), hint="give another file with --log"
        ) from error
    with file:
        yield file


def _wanted(bench: Bench, selectors: Sequence[str]) -> Callable[[str, Device], bool]:
    """Whether a board is among those that the selectors mean now; each must mean exactly one."""
    chosen = [choose_device(bench, selector) for selector in selectors]
    device_ids = {d.device_id for d in chosen if d.device_id}
    ports = {d.usb.port_path for d in chosen if not d.device_id}
    return lambda _, d: not chosen or d.device_id in device_ids or d.usb.port_path in ports


def _events(host: Host, wanted: Callable[[str, Device], bool], duration_s: float | None) -> Iterator[MonitorEvent]:
    end_s = None if duration_s is None else host.clock.monotonic_s() + duration_s
    serial = SerialMonitor(host, Watch(host, PollingWakeUp(host.clock)), wanted)
    try:
        while end_s is None or host.clock.monotonic_s() < end_s:
            yield from serial.step()
    finally:
        unfinished = serial.close()
    yield from unfinished


class _TextLines:
    """A line of text for each event; what is no output of a board begins with ``---``."""

    def __init__(self, clock: Clock, timestamps: str, names: Mapping[str, str]) -> None:
        self._clock = clock
        self._timestamps = timestamps
        self._start_s = clock.monotonic_s()
        self._names = {device_id: name for name, device_id in names.items()}

    def __call__(self, event: MonitorEvent) -> str:
        if isinstance(event, BoardLine):
            stamp = self._stamp(event.line.at, event.line.monotonic_s)
            return f"{stamp}{self._names.get(event.identity, event.identity)}: {event.line.text}"
        stamp = self._stamp(self._clock.utc_now(), self._clock.monotonic_s())
        if isinstance(event, PortOpened):
            return f"{stamp}--- {event.device}: reading its serial port"
        if isinstance(event, PortRefused):
            return f"{stamp}--- {event.device}: {event.error}"
        return f"{stamp}--- {event}"

    def _stamp(self, at: datetime, monotonic_s: float) -> str:
        match self._timestamps:
            case "utc":
                return f"{timestamp(at)} "
            case "elapsed":
                return f"{monotonic_s - self._start_s:10.3f} "
        return ""


class _JsonLines:
    """An object for each event."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, event: MonitorEvent) -> str:
        if isinstance(event, BoardLine):
            return json.dumps(_line_object(event))
        at = {"at": timestamp(self._clock.utc_now())}
        if isinstance(event, PortOpened):
            return json.dumps(at | {"event": "reading", "identity": event.identity})
        if isinstance(event, PortRefused):
            return json.dumps(at | {"event": "refused", "identity": event.identity} | error_object(event.error))
        return json.dumps(at | event_object(event))


def _line_object(event: BoardLine) -> dict[str, object]:
    line = event.line
    log = {k: v for k, v in dataclasses.asdict(line.log).items() if v is not None} if line.log else None
    return {
        "at": timestamp(line.at),
        "event": "line",
        "identity": event.identity,
        "monotonic_s": round(line.monotonic_s, 6),
        "text": line.text,
        "log": log,
    }
