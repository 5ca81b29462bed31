"""``particle-dev list``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from particle_dev.cli.devices import wake_up_for
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.json_objects import device_object, event_object
from particle_dev.cli.options import (
    bench_for,
    bench_option,
    duration_option,
    json_option,
    store_option,
)
from particle_dev.cli.wrap import wrapped
from particle_dev.device.discovery import list_devices as find_devices
from particle_dev.device.model import Device
from particle_dev.device.watch import Change, Watch
from particle_dev.station.bench import Bench
from particle_dev.station.events import timestamp


def _slot_of(device: Device, slots: dict[str, str]) -> dict[str, object]:
    return {"slot": slots.get(device.usb.port_path)}


def _device_line(device: Device, slots: dict[str, str]) -> str:
    name = device.device_id or f"({device.usb.serial_number or 'unknown'})"
    slot = f"slot {slots[device.usb.port_path]}" if device.usb.port_path in slots else ""
    line = f"{name:<25}{device.platform.display_name:<28}{device.mode:<7}{device.usb.port_path:<7} {slot}".rstrip()
    return wrapped(line, sys.stdout) + _problem_of(device)


def _watch_line(at: datetime, change: Change, device: Device, slots: dict[str, str]) -> str:
    name = device.device_id or f"({device.usb.serial_number or 'unknown'})"
    slot = f"slot {slots[device.usb.port_path]}" if device.usb.port_path in slots else ""
    line = f"{at:%H:%M:%S}Z {change:<13}{name:<25}{device.platform.name:<10}{device.mode:<7}{device.usb.port_path:<6} "
    return wrapped((line + slot).rstrip(), sys.stdout, 10) + _problem_of(device)


def _problem_of(device: Device) -> str:
    problem = device.usb.access_problem
    return "\n" + wrapped(f"  cannot be opened: {problem}", sys.stdout, 4) if problem else ""


@click.command("list")
@click.option("--watch", is_flag=True, help="Go on, with a line for each board that comes, goes or changes its mode.")
@duration_option
@bench_option
@store_option
@json_option
def list_devices(
    watch: bool, duration_s: float | None, bench_spec: str, store_dir: Path | None, as_json: bool
) -> ExitCode:
    """List the Particle devices that are plugged in.

    Device ID, platform, mode, USB port, slot of the bench; with --json one object a line. Sends nothing but the reading
    of USB descriptors, which call listening and safe mode normal, too: `id` asks the board. A board that the system
    refuses to open is listed with what to do, and the exit status is 6.
    --watch ends by Ctrl-C with exit status 130, or after --duration with 0.
    """
    if duration_s is not None and not watch:
        raise click.UsageError("--duration goes with --watch")
    with bench_for(bench_spec, store_dir) as bench:
        slots = {slot.port_path: slot.name for slot in bench.slots}
        if watch:
            for line in _watch_lines(bench, slots, duration_s, as_json):
                click.echo(line)
            return ExitCode.OK
        devices = find_devices(bench.host)
        absent = [(slot.name, why) for slot in bench.driver.slots if (why := getattr(slot, "absence", None))]
    for device in devices:
        if as_json:
            click.echo(json.dumps(device_object(device) | _slot_of(device, slots)))
        else:
            click.echo(_device_line(device, slots))
    if not devices and not as_json:
        click.echo("no Particle device is connected", err=True)
    for name, why in absent:
        click.echo(wrapped(f"slot {name}: {why}", sys.stderr), err=True)
    return ExitCode.INCOMPLETE if any(d.usb.access_problem for d in devices) else ExitCode.OK


def _watch_lines(bench: Bench, slots: dict[str, str], duration_s: float | None, as_json: bool) -> Iterator[str]:
    clock = bench.host.clock
    end_s = None if duration_s is None else clock.monotonic_s() + duration_s
    wake_up, why_polling = wake_up_for(bench)
    try:
        if why_polling:
            message, now = f"boards are looked for by polling: {why_polling}", clock.utc_now()
            yield (
                json.dumps({"at": timestamp(now), "event": "notice", "message": message})
                if as_json
                else wrapped(f"{now:%H:%M:%S}Z {message}", sys.stdout)
            )
        watch = Watch(bench.host, wake_up)
        while end_s is None or clock.monotonic_s() < end_s:
            for event in watch.wait(3600.0 if end_s is None else end_s - clock.monotonic_s()):
                now = clock.utc_now()
                yield (
                    json.dumps({"at": timestamp(now)} | event_object(event) | _slot_of(event.device, slots))
                    if as_json
                    else _watch_line(now, event.change, event.device, slots)
                )
    finally:
        wake_up.close()
