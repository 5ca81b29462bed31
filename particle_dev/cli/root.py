"""The root command. Subcommands are imported when they are used: ``inspect`` must not pay for a flashing station."""

from __future__ import annotations

import click

from particle_dev import __version__
from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "doctor": "particle_dev.cli.doctor:doctor",
    "firmware": "particle_dev.cli.firmware:firmware",
    "flash": "particle_dev.cli.flash:flash",
    "id": "particle_dev.cli.identify:identify",
    "inspect": "particle_dev.cli.inspect:inspect",
    "list": "particle_dev.cli.list_devices:list_devices",
    "mode": "particle_dev.cli.mode:mode",
    "monitor": "particle_dev.cli.monitor:monitor",
    "report": "particle_dev.cli.report:report",
    "station": "particle_dev.cli.station:station",
}


@lazy_group(_COMMANDS, plugin_group="particle_dev.commands", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="particle-dev")
def root() -> None:
    """Take Particle devices from the tray to the customer.

    Every command takes --json. Exit status: 0 done, 1 failed, 2 usage, 3 bad input, 4 no or wrong device, 5 refused
    before anything changed, 6 incomplete (a slot was skipped), 130 interrupted.
    """
