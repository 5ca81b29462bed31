"""The root command. Subcommands are imported when they are used: ``inspect`` must not pay for a flashing station."""

from __future__ import annotations

from importlib import import_module

import click

from particle_dev import __version__

_COMMANDS = {
    "firmware": "particle_dev.cli.firmware:firmware",
    "flash": "particle_dev.cli.flash:flash",
    "id": "particle_dev.cli.identify:identify",
    "inspect": "particle_dev.cli.inspect:inspect",
    "list": "particle_dev.cli.list_devices:list_devices",
    "report": "particle_dev.cli.report:report",
    "station": "particle_dev.cli.station:station",
}


class LazyGroup(click.Group):
    """A group that knows the names of its commands and imports one on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the help page."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="particle-dev")
def root() -> None:
    """Take Particle devices from the tray to the customer.

    Every command takes --json. Exit status: 0 done, 1 failed, 2 usage, 3 bad input, 4 no or wrong device, 5 refused
    before anything changed, 6 incomplete (a slot was skipped), 130 interrupted.
    """
