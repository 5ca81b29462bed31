"""``particle-dev station teach``."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path

import click

from particle_dev.cli.devices import wake_up_for
from particle_dev.cli.options import bench_for, bench_option, json_option, store_option
from particle_dev.errors import ConfigError, TransportError
from particle_dev.station.engine import MOST_SLOTS
from particle_dev.station.teach import TaughtSlot, Teacher, bench_toml, write_bench_file


@click.command()
@click.option(
    "--out", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Bench file (TOML)."
)
@click.option("--name", default="line-1", show_default=True, help="Of the bench, for records.")
@click.option(
    "--slots", "slot_count", type=click.IntRange(1, MOST_SLOTS), help="End after so many; default: at Ctrl-C."
)
@click.option("--battery/--no-battery", default=None, help="Whether the boards of this bench have one.")
@click.option("--probes", is_flag=True, help="Look for a debug probe in each slot, too.")
@bench_option
@store_option
@json_option
def teach(
    path: Path,
    name: str,
    slot_count: int | None,
    battery: bool | None,
    probes: bool,
    bench_spec: str,
    store_dir: Path | None,
    as_json: bool,
) -> None:
    """Write a bench file by plugging boards in, one by one.

    Put a board into slot 1, then one into slot 2, and so on: into each, or one from slot to slot. What appears with it,
    its USB port, a debug probe and a serial adapter, belongs to that slot. Nothing is sent to a board. But one that is
    plugged in starts its application, which may go online: take boards whose billing has started, or hold them in DFU
    mode.
    """
    if path.exists():
        raise ConfigError(f"{path} is there already", file=str(path), hint="give another --out")
    taught: list[TaughtSlot] = []
    with bench_for(bench_spec, store_dir) as bench:
        wake_up, _ = wake_up_for(bench)
        try:
            teacher = Teacher(bench.host, wake_up, _probe_ids if probes else None)
            if teacher.occupied:
                click.echo(f"left out, since boards are there already: {', '.join(teacher.occupied)}", err=True)
            click.echo("plug a board into slot 1", err=True)
            for slot in teacher.slots(map(str, islice(count(1), slot_count or MOST_SLOTS))):
                taught.append(slot)
                _show(slot, as_json)
                if len(taught) < (slot_count or MOST_SLOTS):
                    click.echo(f"plug a board into slot {len(taught) + 1}, or end by Ctrl-C", err=True)
        except KeyboardInterrupt:
            if not taught or slot_count is not None:
                raise
        finally:
            wake_up.close()
    write_bench_file(path, bench_toml(name, taught, battery=battery))
    click.echo(f"{path}: {len(taught)} slots", err=True)


def _show(slot: TaughtSlot, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(slot)))
    else:
        probe = f", probe {slot.probe}" if slot.probe else ""
        probe += f", serial {slot.serial}" if slot.serial else ""
        click.echo(f"slot {slot.name}: port {slot.port_path}{probe} ({slot.platform} {slot.device_id or 'unknown'})")


def _probe_ids() -> list[str]:
    # pyOCD is slow to import, and an extra.
    try:
        from particle_dev.transport.swd_probes import list_probes  # noqa: PLC0415
    except ImportError as error:
        raise TransportError(
            f"debug probes need pyOCD: {error}", where="pyocd", hint="pip install 'particle-dev[swd]'"
        ) from error
    return [probe.unique_id for probe in list_probes()]
