"""``particle-dev doctor``."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from pathlib import Path

import click

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option
from particle_dev.cli.wrap import wrapped
from particle_dev.doctor.finding import Finding, Status
from particle_dev.doctor.linux import LinuxSystem, check_linux
from particle_dev.doctor.python import check_usb_library
from particle_dev.doctor.udev_rules import install_rules, rules_text
from particle_dev.transport.usb import PyusbHost

_MARKS = {Status.OK: "ok", Status.NOTE: "note", Status.PROBLEM: "PROBLEM", Status.UNKNOWN: "UNKNOWN"}


def exit_code_of(findings: tuple[Finding, ...]) -> ExitCode:
    """FAILED with a problem, INCOMPLETE with a check that could not be made."""
    statuses = {f.status for f in findings}
    if Status.PROBLEM in statuses:
        return ExitCode.FAILED
    return ExitCode.INCOMPLETE if Status.UNKNOWN in statuses else ExitCode.OK


def _findings(system: LinuxSystem | None) -> tuple[Finding, ...]:
    library = check_usb_library(PyusbHost())
    if system is not None:
        return (library, *check_linux(system))
    return (
        library,
        Finding(
            "system", Status.UNKNOWN, f"drivers and permissions of {platform.system()} are not checked by this version"
        ),
    )


@click.command("doctor")
@click.option("--install", is_flag=True, help="Install the udev rules first; needs root.")
@click.option("--print-rules", is_flag=True, help="Print the udev rules and stop.")
@json_option
@click.pass_context
def doctor(context: click.Context, install: bool, print_rules: bool, as_json: bool) -> int:
    """Check whether this computer can work with boards.

    Says what to type where it cannot. Looks at libusb, udev rules, access to boards and probes, ModemManager,
    autosuspend, hubs and kernel modules. Opens nothing for writing. Exit status 1 with a problem, 6 with a check that
    could not be made here.
    """
    if print_rules:
        click.echo(json.dumps({"rules": rules_text()}) if as_json else rules_text(), nl=as_json)
        return ExitCode.OK
    # Tests bring a made-up system as the context's object.
    system = context.find_object(LinuxSystem) or (LinuxSystem() if platform.system() == "Linux" else None)
    installed = install_rules(system.root if system else Path("/")) if install else None
    if installed and not as_json:
        click.echo(f"installed {installed}")
    findings = _findings(system)
    if as_json:
        found = [dataclasses.asdict(f) for f in findings]
        click.echo(json.dumps({"installed": str(installed) if installed else None, "findings": found}))
    else:
        for finding in findings:
            click.echo(wrapped(f"{_MARKS[finding.status]:<8} {finding.subject}: {finding.message}", sys.stdout, 9))
            if finding.fix:
                click.echo(f"         what to do: {finding.fix}")
    return exit_code_of(findings)
