"""``particle-dev station status``, ``replay``, ``lock`` and ``unlock``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import filelock

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option, read_bench
from particle_dev.cli.records_option import site_folder, site_option
from particle_dev.errors import BenchError, JournalError
from particle_dev.station.bench import bench_drivers
from particle_dev.station.events import JsonObject, timestamp
from particle_dev.station.journal import JOURNAL_NAME, LOCK_NAME, read_journal
from particle_dev.station.slot_health import HealthFile, Lock, SlotHealth, unlocked
from particle_dev.station.slot_states import RunStates
from particle_dev.station.wording import UNKNOWN


def _journal_of(place: Path) -> Path:
    return place / JOURNAL_NAME if place.is_dir() else place


@click.command()
@click.argument("place", metavar="RUN", type=click.Path(path_type=Path))
@site_option
@json_option
def status(place: Path, site_dir: Path | None, as_json: bool) -> ExitCode:
    """Tell what a station is doing, or how it ended, slot by slot; and how its slots do over many runs.

    RUN is the folder of the run. It is only read. Exit status: 0 the run goes on, or every unit passed; 1 a unit did
    not; 6 it was cut short, or a slot was empty.
    """
    events, _torn = read_journal(_journal_of(place))
    if not events:
        raise JournalError(f"{_journal_of(place)} holds no run", path=str(place), hint="give the folder of a run")
    states = RunStates(events)
    goes_on = _is_held(_journal_of(place).with_name(LOCK_NAME))
    if not goes_on:
        states.end_work()
    health = HealthFile(site_folder(site_dir), states.bench).read()
    state = "runs" if goes_on else "ended" if states.verdict else "cut short"
    if as_json:
        data: JsonObject = states.data() | {"state": state}
        for slot in data["slots"]:
            slot["health"] = health.get(slot["slot"], SlotHealth()).data()
        click.echo(json.dumps(data))
    else:
        for line in _status_lines(states, state, health):
            click.echo(line)
    if goes_on or states.verdict == "pass":
        return ExitCode.OK
    return ExitCode.FAILED if states.verdict == "fail" else ExitCode.INCOMPLETE


def _is_held(path: Path) -> bool:
    """Whether a station writes there. Its lock is taken for a moment, where there is one."""
    if not path.exists():
        return False
    try:
        with filelock.FileLock(path, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:
        return False  # A folder that this user may only read.


def _status_lines(states: RunStates, state: str, health: dict[str, SlotHealth]) -> Iterator[str]:
    verdict = f" {states.verdict}" if states.verdict and state == "ended" else ""
    yield f"{states.recipe} on {states.bench}: {state}{verdict}, {states.passed} passed, {states.not_passed} did not"
    row = "{:<6}{:<13}{:<10}{:<26}{:<13}{:>5}{:>6}{:>7}"
    yield row.format("Slot", "State", "Platform", "Device ID", "Step", "Goes", "Yield", "Drift").rstrip()
    for slot in states.slots.values():
        long_term = health.get(slot.name, SlotHealth())
        mode = "locked" if long_term.lock else str(slot.mode)
        values = (slot.name, mode, slot.platform or UNKNOWN, slot.unit or UNKNOWN, slot.step or UNKNOWN)
        counts = (str(long_term.insertions), _percent(long_term.share_passed()), _percent(long_term.drift()))
        yield row.format(*(v if v.isprintable() else UNKNOWN for v in values), *counts).rstrip()
        if long_term.lock:
            yield f"  locked since {long_term.lock.at}: {long_term.lock.reason}"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.0%}"


def _health_of(bench_spec: str, site_dir: Path | None, slot: str) -> HealthFile:
    bench = read_bench(bench_spec)
    if bench.driver not in bench_drivers():
        what = "--bench" if bench.name == bench_spec else f"the driver of bench '{bench.name}'"
        raise BenchError(
            f"{what} is {bench.driver!r}, which is no bench driver and no file that ends in .toml",
            hint=f"give --bench as `station run` has it, or one of {', '.join(bench_drivers())}",
        )
    names = [str(table["name"]) for table in bench.slots]
    if names and slot not in names:
        raise BenchError(f"bench '{bench.name}' has no slot {slot!r}", slot=slot, hint=f"it has {', '.join(names)}")
    return HealthFile(site_folder(site_dir), bench.name)


_bench = click.option("--bench", "bench_spec", required=True, metavar="NAME|FILE", help="The bench that has the slot.")


@click.command()
@click.argument("slot")
@_bench
@click.option("--reason", required=True, help="What operators are told.")
@site_option
@json_option
def lock(slot: str, bench_spec: str, reason: str, site_dir: Path | None, as_json: bool) -> None:
    """Take a slot out of use, for a run that goes on, too: it begins no more units there."""
    made = Lock("engineer", reason, timestamp(datetime.now(UTC)))
    health = _health_of(bench_spec, site_dir, slot).change(slot, lambda health: replace(health, lock=made))
    _tell(slot, health, as_json)


@click.command()
@click.argument("slot")
@_bench
@site_option
@json_option
def unlock(slot: str, bench_spec: str, site_dir: Path | None, as_json: bool) -> None:
    """Put a slot back into use that was locked, by its recipe's rules or by somebody. Its yield is counted anew."""
    _tell(slot, _health_of(bench_spec, site_dir, slot).change(slot, unlocked), as_json)


def _tell(slot: str, health: SlotHealth, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"slot": slot} | health.data()))
    else:
        click.echo(f"slot {slot}: {'locked, ' + health.lock.reason if health.lock else 'in use'}")
