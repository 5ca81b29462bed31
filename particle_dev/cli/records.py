"""``particle-dev records``."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "attach": "particle_dev.cli.records_keep:attach",
    "backup": "particle_dev.cli.records_keep:backup",
    "export": "particle_dev.cli.records_export:export",
    "key": "particle_dev.cli.records_verify:key",
    "list": "particle_dev.cli.records_look:list_records",
    "pareto": "particle_dev.cli.records_statistics:pareto",
    "prune": "particle_dev.cli.records_keep:prune",
    "restore": "particle_dev.cli.records_keep:restore",
    "search": "particle_dev.cli.records_look:search",
    "show": "particle_dev.cli.records_look:show",
    "sync": "particle_dev.cli.records_keep:sync",
    "verify": "particle_dev.cli.records_verify:verify",
    "yield": "particle_dev.cli.records_statistics:count_yield",
}


@lazy_group(_COMMANDS)
def records() -> None:
    """What stations recorded of units: search, count, verify, export, keep.

    The records are a SQLite file, of one run or of many, or a PostgreSQL database: --records, or PARTICLE_DEV_RECORDS.
    """
