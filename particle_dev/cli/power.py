"""``particle-dev power``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import click

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.json_objects import device_object
from particle_dev.cli.options import bench_for, bench_option, json_option, store_option
from particle_dev.device.discovery import device_at, wait_for_device
from particle_dev.device.model import Device
from particle_dev.device.power_cycle import OFF_S, RETURN_TIMEOUT_S, PowerCycle, power_cycle
from particle_dev.errors import BenchError, DeviceNotFoundError
from particle_dev.finite_range import FiniteRange
from particle_dev.permissions import Permissions
from particle_dev.station.bench import Bench, Slot
from particle_dev.station.lease import board_leases
from particle_dev.transport.power import OperatorPower


def _slot(bench: Bench, name: str) -> Slot:
    found = [slot for slot in bench.slots if slot.name == name]
    if not found:
        names = ", ".join(slot.name for slot in bench.slots) or "it has none; give a bench file"
        raise BenchError(f"the bench has no slot '{name}'", slot=name, hint=f"slots: {names}")
    return found[0]


@click.command("power")
@click.argument("action", type=click.Choice(["on", "off", "cycle"]))
@click.argument("slot_name", metavar="SLOT")
@click.option("--may-connect", is_flag=True, help="Allow what can bring the device online and start billing.")
@click.option(
    "--off",
    "off_s",
    type=FiniteRange(min=0),
    default=OFF_S,
    show_default=True,
    metavar="SECONDS",
    help="How long it is without power; for cycle.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=FiniteRange(min=0, min_open=True),
    default=RETURN_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long the board may take to come.",
)
@bench_option
@store_option
@json_option
def power(
    action: str,
    slot_name: str,
    may_connect: bool,
    off_s: float,
    timeout_s: float,
    bench_spec: str,
    store_dir: Path | None,
    as_json: bool,
) -> ExitCode:
    """Switch the power of one slot of a bench.

    By what its key power names.

    on and cycle boot the board, whose application may go online: refused without --may-connect. off is believed when
    the board has left USB. Exit status 6: nothing came up after on, nothing proves that cycle took the supply away, or
    an operator has nothing to unplug.
    """
    if bench_spec == "usb":
        raise click.UsageError(f"which bench has slot {slot_name}? Name its bench file: --bench FILE")
    permissions = Permissions(may_connect=may_connect)
    with bench_for(bench_spec, store_dir) as bench, ExitStack() as taken:
        slot = _slot(bench, slot_name)
        if slot.power is None:
            raise BenchError(
                f"slot {slot.name} has no power switch", slot=slot.name, hint="add its key power to the bench file"
            )
        taken.enter_context(board_leases(bench, slot.port_path, "`particle-dev power`"))
        device: Device | None = None
        cycle: PowerCycle | None = None
        seen = True
        if action == "off":
            # Nobody asks somebody to unplug what is not on USB: whether it has power stays unknown.
            seen = not isinstance(slot.power, OperatorPower) or device_at(slot.host, slot.port_path) is not None
            slot.power.off()
        elif action == "cycle":
            cycle = power_cycle(slot.host, slot.port_path, slot.power, permissions, off_s=off_s, timeout_s=timeout_s)
            device = cycle.device
        else:
            permissions.require_connect("giving power to a board")
            slot.power.on()
            device = _what_came(slot, timeout_s)
    complete = seen if action == "off" else (cycle.proven if cycle else device is not None)
    if as_json:
        value = {
            "slot": slot.name,
            "power": ("off" if seen else "unknown") if action == "off" else "on",
            "device": device_object(device) if device else None,
            "power_loss_proven": cycle.proven if cycle else None,
            "why_not_proven": (cycle.why_not or None) if cycle else None,
        }
        click.echo(json.dumps(value))
    else:
        _print(slot, action, device, cycle, seen=seen)
    return ExitCode.OK if complete else ExitCode.INCOMPLETE


def _what_came(slot: Slot, timeout_s: float) -> Device | None:
    try:
        return wait_for_device(slot.host, slot.port_path, timeout_s)
    except DeviceNotFoundError:
        return None


def _print(slot: Slot, action: str, device: Device | None, cycle: PowerCycle | None, *, seen: bool) -> None:
    if not seen:
        click.echo(f"slot {slot.name}: nothing was on USB, so nobody was asked to unplug it: its power is unknown")
        click.echo(f"  what to do: correct the port of slot {slot.name} in the bench file, or look at the board")
        return
    if action == "off":
        click.echo(f"slot {slot.name}: off, nothing is on USB")
        return
    click.echo(f"slot {slot.name}: on, " + (str(device) if device else "and nothing came up on USB"))
    if cycle:
        click.echo("  proof: its uptime began anew" if cycle.proven else f"  not proven: {cycle.why_not}")
