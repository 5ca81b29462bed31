"""Options that the commands of ``particle-dev swd`` share, and how their values become objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import platformdirs

from particle_dev.catalog.chips import chip_of
from particle_dev.catalog.platforms import PLATFORMS, Platform, platform_by_name
from particle_dev.cli.command_type import CommandT
from particle_dev.cli.options import bench_for
from particle_dev.device.rtl872x_swd import FAMILY, refuse_to_write
from particle_dev.device.swd import Park, SwdSession, require_pyocd, swd_session
from particle_dev.errors import DeviceAmbiguousError, DeviceNotFoundError
from particle_dev.station.act_journal import ActJournal
from particle_dev.station.lease import probe_leases

DEFAULT_FREQUENCY_HZ = 4_000_000
_PARKS = [str(Park.HALTED), str(Park.DFU)]


def probe_options(command: CommandT) -> CommandT:
    """``--probe``, ``--bench``, ``--platform``, ``--frequency``, ``--under-reset``."""
    for option in (
        click.option(
            "--under-reset", is_flag=True, help="Connect while the reset line is held: nothing of the firmware runs."
        ),
        click.option(
            "--frequency",
            "frequency_hz",
            type=click.IntRange(10_000, 50_000_000),
            default=DEFAULT_FREQUENCY_HZ,
            metavar="HZ",
            help="Clock of the wire [default: 4000000].",
        ),
        click.option("--platform", "platform_name", metavar="NAME", help="Which board; default: what its flash says."),
        click.option(
            "--bench",
            "bench_spec",
            metavar="FILE|labgrid:PLACE",
            help="Where the probe is: a slot of a bench file, a place of a labgrid farm; default: this computer.",
        ),
        click.option(
            "--probe",
            "probe_id",
            metavar="ID",
            help="Which probe, when there are several: its whole id (swd list), or the slot of --bench.",
        ),
    ):
        command = option(command)
    return command


def may_erase_option(command: CommandT) -> CommandT:
    """``--may-erase``."""
    return click.option("--may-erase", is_flag=True, help="Allow to erase the whole flash and UICR.")(command)


def may_lock_option(command: CommandT) -> CommandT:
    """``--may-lock``."""
    return click.option("--may-lock", is_flag=True, help="Allow to close the debug port.")(command)


def park_option(command: CommandT) -> CommandT:
    """``--park``."""
    return click.option(
        "--park", "park_name", type=click.Choice(_PARKS), default=_PARKS[0], help="How the board is left [halted]."
    )(command)


def journal_option(command: CommandT) -> CommandT:
    """``--journal``."""
    return click.option(
        "--journal",
        "journal_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Where the act is recorded [~/.local/share/particle-dev/acts.jsonl].",
    )(command)


def act_journal(file: Path | None) -> ActJournal:
    """The journal that ``--journal`` names, or the user's own."""
    return ActJournal(file or _data_folder() / "acts.jsonl")


def backup_folder() -> Path:
    """Where pages wait that a run has erased and not written again."""
    return _data_folder() / "swd-backup"


def read_out_folder() -> Path:
    """Where boards are kept that were read out before they were erased."""
    return _data_folder() / "swd-read-out"


def _data_folder() -> Path:
    return platformdirs.user_data_path("particle-dev")


def platform_named(name: str | None) -> Platform | None:
    """The platform that ``--platform`` names."""
    if name is None:
        return None
    platform = platform_by_name(name)
    if platform is None:
        known = ", ".join(p.name for p in PLATFORMS if chip_of(p) or p.family == FAMILY)
        raise click.UsageError(f"No platform {name!r}; by a probe: {known}.")
    return platform


@contextmanager
def settled(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Options of a board with the one probe that they mean, which a bench keeps open meanwhile: for acts that open the
    board more than once. Raises as :func:`chosen_probe`, BenchError."""
    with _probe_of_bench(board["bench_spec"], board["probe_id"]) as found:
        yield {**board, "probe_id": chosen_probe(found.probe_id), "bench_spec": None, "leases": found.leases}


class _Probe(NamedTuple):
    """``leases`` None: as any probe of this computer."""

    probe_id: str | None
    leases: tuple[str, ...] | None


@contextmanager
def _probe_of_bench(bench_spec: str | None, probe_id: str | None) -> Iterator[_Probe]:
    """The probe of a bench while that is open; without a bench the one that was named. Raises BenchError, ConfigError,
    DeviceNotFoundError, DeviceAmbiguousError."""
    if bench_spec is None:
        yield _Probe(probe_id, None)
        return
    with bench_for(bench_spec, None) as bench:
        slots = [slot for slot in bench.slots if slot.probe_id and probe_id in (None, slot.probe_id, slot.name)]
        probes = [slot.probe_id for slot in slots if slot.probe_id]
        if not probes:
            raise DeviceNotFoundError(
                f"{bench.name} has no such probe", selector=probe_id, hint="check its slots: probe, or ParticleProbe"
            )
        if len(probes) > 1:
            raise DeviceAmbiguousError(
                f"{bench.name} has {len(probes)} probes",
                candidates=probes,
                hint="name one: --probe " + " or --probe ".join(probes),
            )
        yield _Probe(probes[0], slots[0].leases)


def chosen_probe(probe_id: str | None) -> str:
    """The probe that was named, or the only one. Raises DeviceNotFoundError, DeviceAmbiguousError."""
    if probe_id is not None:
        return probe_id
    require_pyocd()
    from particle_dev.transport.swd_probes import list_probes  # noqa: PLC0415  pyOCD is slow to import

    probes = list_probes()
    if not probes:
        raise DeviceNotFoundError("no debug probe is plugged in", hint="plug one in, or name a remote one with --probe")
    if len(probes) > 1:
        raise DeviceAmbiguousError(
            f"{len(probes)} debug probes are plugged in",
            candidates=[p.unique_id for p in probes],
            hint="name one: --probe " + " or --probe ".join(p.unique_id for p in probes),
        )
    return probes[0].unique_id


@contextmanager
def opened_board(
    probe_id: str | None,
    platform_name: str | None,
    frequency_hz: int,
    under_reset: bool,
    attach: bool = False,
    bench_spec: str | None = None,
    leases: tuple[str, ...] | None = None,
    **options: Any,
) -> Iterator[SwdSession]:
    """A session with the board behind the probe, as the options say. ``attach``: the core goes on running. No station
    or other command of this computer has the probe meanwhile. Raises SlotBusyError when one has it now."""
    platform = platform_named(platform_name)
    if platform is not None:
        refuse_to_write(platform)
    if under_reset or attach:
        from particle_dev.transport.swd import ConnectMode  # noqa: PLC0415

        options["connect"] = ConnectMode.ATTACH if attach else ConnectMode.UNDER_RESET
    with ExitStack() as opened:
        found = opened.enter_context(_probe_of_bench(bench_spec, probe_id))
        chosen = chosen_probe(found.probe_id)
        taken = leases if leases is not None else found.leases
        opened.enter_context(probe_leases(chosen, "`particle-dev swd`", taken))
        yield opened.enter_context(swd_session(chosen, platform, frequency_hz=frequency_hz, **options))
