"""``particle-dev mode``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cli.devices import taken_device
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.json_objects import device_object
from particle_dev.cli.options import (
    bench_for,
    bench_option,
    device_option,
    json_option,
    store_option,
)
from particle_dev.cli.wrap import wrapped
from particle_dev.device.dfu import DfuSession
from particle_dev.device.mode_changes import ARRIVAL_TIMEOUT_S, ModeChange, change_mode
from particle_dev.device.model import Device
from particle_dev.device.modes import Target, Way
from particle_dev.errors import NoWayToModeError
from particle_dev.finite_range import FiniteRange
from particle_dev.flash.inventory import has_no_system
from particle_dev.permissions import Permissions
from particle_dev.transport.base import Host

_WAYS = [Way.CONTROL.value, Way.RAW.value, Way.TOUCH.value]


def _result_object(change: ModeChange, target: Target) -> dict[str, object]:
    return {
        **device_object(change.device),
        "target": str(target),
        "changed": change.transition is not None,
        "way": str(change.transition.way) if change.transition else None,
        "proven": not change.missing,
        "evidence": [e.name.lower() for e in change.evidence] if change.transition else [],
        "missing_evidence": [e.name.lower() for e in change.missing],
        "device_mode": str(change.device_mode) if change.device_mode else None,
    }


def _print_result(change: ModeChange, target: Target) -> None:
    # Not as USB shows the board: there listening and safe mode are called normal.
    device = change.device
    name = (
        f"{device.platform.display_name} {device.device_id or device.usb.serial_number} (port {device.usb.port_path})"
    )
    if change.transition is None:
        click.echo(wrapped(f"{name}: in {target} mode already, nothing to do", sys.stdout))
        return
    click.echo(wrapped(f"{name}: {target}, by {change.transition.way}", sys.stdout))
    if change.device_mode and str(change.device_mode) != str(target):
        click.echo(f"  it answers that it is in {change.device_mode} mode")
    for label, found in (("proof", change.evidence), ("not proven", change.missing)):
        for evidence in found:
            click.echo(wrapped(f"  {label}: {evidence}", sys.stdout, 4))


def _refuse_without_system(host: Host, device: Device, target: Target) -> None:
    with DfuSession(host, device) as session:
        if not has_no_system(session):
            return
    raise NoWayToModeError(
        f"{device}: there is no system part: it would stay in DFU mode",
        expected=target,
        actual=device.mode,
        hint="put a Device OS on it: `particle-dev flash --device-os RELEASE`",
    )


@click.command("mode")
@click.argument("target", type=click.Choice([t.value for t in Target]))
@device_option
@click.option("--may-connect", is_flag=True, help="Allow what can bring the device online and start billing.")
@click.option(
    "--by", type=click.Choice(_WAYS), help="Way; default: a control request, and touch when unanswered (dfu)."
)
@click.option(
    "--timeout",
    "timeout_s",
    type=FiniteRange(min=0, min_open=True),
    default=ARRIVAL_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long the board may take to come back.",
)
@bench_option
@store_option
@json_option
def mode(
    target: str,
    device: str | None,
    may_connect: bool,
    by: str | None,
    timeout_s: float,
    bench_spec: str,
    store_dir: Path | None,
    as_json: bool,
) -> ExitCode:
    """Bring one device into another mode, and prove that it arrived.

    \b
    dfu        stay in the bootloader; runs nothing, stays offline
    listening  end all connections and wait for set-up
    normal     out of listening mode, or out of DFU mode into the application
    safe       Device OS without the application; always connects
    reset      boot again

    A board in DFU mode without a system part is refused normal and safe: it would stay there.

    normal, safe and reset can bring the device online and are refused without --may-connect before anything is sent.
    Exit status 6: the change was made, and nothing on the device proves the mode; of safe mode nothing ever does.
    """
    with bench_for(bench_spec, store_dir) as bench, taken_device(bench, device, "mode") as chosen:
        if may_connect and by is None and chosen.mode is UsbMode.DFU and target in (Target.NORMAL, Target.SAFE):
            _refuse_without_system(bench.host, chosen, Target(target))
        change = change_mode(
            bench.host,
            chosen,
            Target(target),
            Permissions(may_connect=may_connect),
            way=Way(by) if by else None,
            timeout_s=timeout_s,
        )
    if as_json:
        click.echo(json.dumps(_result_object(change, Target(target))))
    else:
        _print_result(change, Target(target))
    return ExitCode.INCOMPLETE if change.missing else ExitCode.OK
