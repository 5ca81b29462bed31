"""``particle-dev station audit``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from particle_dev.cli.escape import printable
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option
from particle_dev.cli.records_option import site_folder, site_option
from particle_dev.station.wording import UNKNOWN


@click.command()
@site_option
@json_option
def audit(site_dir: Path | None, as_json: bool) -> ExitCode:
    """Who did what on the page of this site's stations, and whether the log is as they wrote it.

    Exit status 1: lines do not follow the ones before them; something was changed, added or taken out there. No key is
    in it: who may write the file can also make it look right.
    """
    # Only this command reads it.
    from particle_dev.station.web.audit import AUDIT_NAME, BEGUN, check_audit  # noqa: PLC0415

    acts, wrong = check_audit(site_folder(site_dir) / AUDIT_NAME)
    ended = {str(act.get("act")) for act in acts if act["result"] != BEGUN}
    for act in acts:
        if as_json:
            click.echo(json.dumps(act))
        elif act["result"] != BEGUN or str(act.get("act")) not in ended:
            words = (act["at"], act["who"] or act["role"], act["from"], act["what"], act["target"], act["result"])
            click.echo("  ".join(printable(str(word or UNKNOWN)) for word in words))
    if wrong:
        click.echo(f"altered at line {', '.join(map(str, wrong))}: keep a copy, and ask who may write there", err=True)
        return ExitCode.FAILED
    return ExitCode.OK
