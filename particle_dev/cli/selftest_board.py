"""The board that a self-test is for, and the options that name it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from particle_dev.cli.command_type import CommandT
from particle_dev.cli.devices import taken_device
from particle_dev.cli.options import bench_for, bench_option, device_option, store_option
from particle_dev.device.control import ControlSession
from particle_dev.device.selftest import ControlSelfTestLink, SelfTestSession, SerialSelfTestLink
from particle_dev.errors import DeviceAmbiguousError, DeviceNotFoundError, LinkAccessError, TransportError
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.station.bench import Bench
from particle_dev.transport.base import Clock, SerialLink
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.serial import PyserialHost

DEFAULT_BAUD = 115200
_USB_COMMANDS = (14400, 28800)


def board_options(command: CommandT) -> CommandT:
    """``--port``, ``--baud``, ``--device``, ``--bench`` and ``--store``."""
    options = (
        click.option("--port", metavar="URL", help="Serial port: /dev/ttyUSB0, COM3, socket://HOST:PORT."),
        click.option(
            "--baud", type=click.IntRange(min=1), default=DEFAULT_BAUD, show_default=True, help="Rate of --port."
        ),
        device_option,
        bench_option,
        store_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _serial_line(bench: Bench, selector: str | None) -> str | None:
    """The serial line of the slot that is meant, on a bench that has boards by serial lines; else None. Raises
    DeviceAmbiguousError, DeviceNotFoundError."""
    lines = {f"slot:{slot.name}": slot.serial_url for slot in bench.slots if slot.serial_url}
    if not lines:
        return None
    if selector is not None:
        wanted = selector if selector.startswith("slot:") else f"slot:{selector}"
        if wanted not in lines:
            raise DeviceNotFoundError(
                f"{bench.name} has no serial line in {selector}",
                selector=selector,
                hint="it has: " + ", ".join(lines),
            )
        return lines[wanted]
    if len(lines) > 1:
        raise DeviceAmbiguousError(
            f"{bench.name} has {len(lines)} boards with serial lines",
            candidates=list(lines),
            hint="name one: --device " + " or --device ".join(lines),
        )
    return next(iter(lines.values()))


def _opened(url: str, baud: int) -> SerialLink:
    """Raises DeviceNotFoundError, also for an address at which nobody listens; LinkAccessError."""
    try:
        return PyserialHost().open(url, baud)
    except LinkAccessError:
        raise
    except TransportError as error:
        raise DeviceNotFoundError(
            f"{url} cannot be opened", selector=url, hint="check the port: is the board there, and switched on?"
        ) from error


@contextmanager
def selftest_session(
    port: str | None,
    baud: int,
    device: str | None,
    bench_spec: str,
    store_dir: Path | None,
    permissions: Permissions = NOTHING,
) -> Iterator[tuple[SelfTestSession, Clock]]:
    """A session with the board that the options name."""
    if port is not None:
        if device is not None:
            raise click.UsageError("--port and --device name two boards")
        if baud in _USB_COMMANDS:
            raise click.UsageError(f"{baud} baud is a command for Particle's USB ports; choose another rate")
        clock: Clock = SystemClock()
        with (
            closing(_opened(port, baud)) as link,
            SelfTestSession(SerialSelfTestLink(link, clock), clock, permissions) as session,
        ):
            yield session, clock
        return
    with bench_for(bench_spec, store_dir) as bench:
        line = _serial_line(bench, device)
        if line is not None:
            clock = bench.host.clock
            with (
                closing(_opened(line, baud)) as link,
                SelfTestSession(SerialSelfTestLink(link, clock), clock, permissions) as session,
            ):
                yield session, clock
            return
        clock = bench.host.clock
        with (
            taken_device(bench, device, "selftest") as chosen,
            ControlSession(bench.host, chosen, permissions) as control,
            SelfTestSession(ControlSelfTestLink(control), clock, permissions) as session,
        ):
            yield session, clock
