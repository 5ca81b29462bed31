"""``particle-dev selftest list``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from particle_dev.cli.escape import escaped
from particle_dev.cli.options import json_option
from particle_dev.cli.selftest_board import board_options, selftest_session


@click.command("list")
@board_options
@json_option
def selftest_list(
    port: str | None, baud: int, device: str | None, bench_spec: str, store_dir: Path | None, as_json: bool
) -> None:
    """Name the tests that a board has. Nothing is started."""
    with selftest_session(port, baud, device, bench_spec, store_dir) as (session, _):
        tests = session.describe()
    if as_json:
        described = [{"name": test.name, "may_connect": test.may_connect} for test in tests]
        click.echo(json.dumps({"where": session.where, "tests": described}))
        return
    for test in tests:
        click.echo(escaped(test.name) + ("  (can go online)" if test.may_connect else ""))
