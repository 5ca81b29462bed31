"""``particle-dev records yield`` and ``pareto``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from particle_dev.cli.command_type import CommandT
from particle_dev.cli.options import json_option
from particle_dev.cli.output import print_json, print_table
from particle_dev.cli.records_option import opened_records, records_option

if TYPE_CHECKING:
    from particle_dev.station.record_statistics import Scope, Yield, Yields

_DAY = click.DateTime(["%Y-%m-%d"])


def _scope_options(command: CommandT) -> CommandT:
    """Which units are counted."""
    for option in (
        click.option("--recipe", metavar="NAME", help="Only of this recipe."),
        click.option("--platform", metavar="NAME", help="Only of this platform, as lists show it."),
        click.option("--slot", metavar="NAME", help="Only of this slot."),
        click.option("--until", type=_DAY, metavar="DATE", help="Only what began on this day or before, in UTC."),
        click.option("--since", type=_DAY, metavar="DATE", help="Only what began on this day or later, in UTC."),
    ):
        command = option(command)
    return command


def _scope(since: datetime | None, until: datetime | None, **facts: str | None) -> Scope:
    from particle_dev.station.record_statistics import Scope  # noqa: PLC0415  SQLAlchemy is slow to import

    return Scope(since.date() if since else None, until.date() if until else None, **facts)


@click.command("yield")
@click.option(
    "--by",
    type=click.Choice(["time", "slot", "platform", "recipe"]),
    default="time",
    show_default=True,
    help="What a line is for.",
)
@_scope_options
@records_option
@json_option
def count_yield(
    by: str,
    since: datetime | None,
    until: datetime | None,
    slot: str | None,
    platform: str | None,
    recipe: str | None,
    records: str | None,
    as_json: bool,
) -> None:
    """How many units pass: at their first go in one attempt, and in the end.

    First-pass yield is of units whose first go is among what is counted, final yield of those whose last go is. Goes
    that the end of the station cut short are in neither.
    """
    from particle_dev.station.record_statistics import yields  # noqa: PLC0415  SQLAlchemy is slow to import

    with opened_records(records) as database:
        found = yields(database, _scope(since, until, slot=slot, platform=platform, recipe_name=recipe))
    parts = _parts(found, by)
    if as_json:
        lines = [{by: name, **_yield_data(counts)} for name, counts in parts]
        print_json({"whole": _yield_data(found.whole), "by": lines})
        return
    rows = [(name, *_yield_cells(counts)) for name, counts in [*parts, ("all", found.whole)]]
    columns = (by.capitalize(), "Goes", "Passed", "Failed", "Refused", "Cut short", "First pass", "Final")
    print_table(columns, rows if parts else [], empty="no such unit")


def _parts(found: Yields, by: str) -> list[tuple[str, Yield]]:
    if by == "time":
        return [(f"{start:%Y-%m-%d %H:%M}", counts) for start, counts in found.by_time.items()]
    if by == "slot":
        several = len({place.station_id for place in found.by_place}) > 1
        return [
            (f"{place.station_id}/{place.slot}" if several else place.slot, counts)
            for place, counts in found.by_place.items()
        ]
    named = found.by_platform if by == "platform" else found.by_recipe
    return [(name or "unknown", counts) for name, counts in named.items()]


def _yield_data(counts: Yield) -> dict[str, Any]:
    return asdict(counts) | {"first_pass_yield": counts.first_pass_yield, "final_yield": counts.final_yield}


def _yield_cells(counts: Yield) -> tuple[object, ...]:
    shares = ["-" if share is None else f"{share:.1%}" for share in (counts.first_pass_yield, counts.final_yield)]
    return (counts.goes, counts.passed, counts.failed, counts.refused, counts.interrupted, *shares)


@click.command()
@click.option(
    "--by",
    type=click.Choice(["message", "failure", "step"]),
    default="message",
    show_default=True,
    help="Step and message without numbers, type of the error, or step.",
)
@click.option("--limit", type=click.IntRange(min=1), default=15, show_default=True, help="How many kinds.")
@_scope_options
@records_option
@json_option
def pareto(
    by: str,
    limit: int,
    since: datetime | None,
    until: datetime | None,
    slot: str | None,
    platform: str | None,
    recipe: str | None,
    records: str | None,
    as_json: bool,
) -> None:
    """What fails most: kinds of failures, the most frequent first, with what they make together."""
    from particle_dev.station.record_statistics import FailureKey  # noqa: PLC0415  SQLAlchemy is slow to import
    from particle_dev.station.record_statistics import pareto as count_failures  # noqa: PLC0415

    with opened_records(records) as database:
        scope = _scope(since, until, slot=slot, platform=platform, recipe_name=recipe)
        whole, found = count_failures(database, scope, FailureKey(by), limit=limit)
    if as_json:
        print_json({"failed": whole, "failures": found})
        return
    rows = [(f.name or "nothing was told", f.count, f"{f.share:.1%}", f"{f.cumulative:.1%}") for f in found]
    print_table((by.capitalize(), "Units", "Share", "Together"), rows, empty="nothing failed")
