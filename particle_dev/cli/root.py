"""The root command. Subcommands are imported when they are used: ``inspect`` must not pay for a flashing station."""

from __future__ import annotations

import click

from particle_dev import __version__
from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "cloud": "particle_dev.cli.cloud:cloud",
    "doctor": "particle_dev.cli.doctor:doctor",
    "esp": "particle_dev.cli.esp:esp",
    "firmware": "particle_dev.cli.firmware:firmware",
    "flash": "particle_dev.cli.flash:flash",
    "id": "particle_dev.cli.identify:identify",
    "inspect": "particle_dev.cli.inspect:inspect",
    "label": "particle_dev.cli.label:label",
    "list": "particle_dev.cli.list_devices:list_devices",
    "mode": "particle_dev.cli.mode:mode",
    "monitor": "particle_dev.cli.monitor:monitor",
    "power": "particle_dev.cli.power:power",
    "records": "particle_dev.cli.records:records",
    "release": "particle_dev.cli.release:release",
    "report": "particle_dev.cli.report:report",
    "selftest": "particle_dev.cli.selftest:selftest",
    "station": "particle_dev.cli.station:station",
    "swd": "particle_dev.cli.swd:swd",
    "test": "particle_dev.cli.test:test",
}


@lazy_group(_COMMANDS, plugin_group="particle_dev.commands", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="particle-dev")
@click.option("--verbose", is_flag=True, help="Tell USB transfers and cloud requests on standard error.")
@click.pass_context
def root(ctx: click.Context, verbose: bool) -> None:
    """Take Particle devices from the tray to the customer.

    Every command takes --json. Exit status: 0 done, 1 failed, 2 usage, 3 bad input, 4 no or wrong device, 5 refused
    before anything changed, 6 incomplete (skipped, unchecked, unproven), 130 interrupted, 141 output closed.
    """
    if verbose:
        _log_to_stderr(ctx)


def _log_to_stderr(ctx: click.Context) -> None:
    """Show what the loggers of this program say until the command ends."""
    import logging  # noqa: PLC0415  start-up time counts here

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(threadName)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("particle_dev")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)

    def stop() -> None:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)

    ctx.call_on_close(stop)
