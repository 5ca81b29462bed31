"""``particle-dev selftest``."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "list": "particle_dev.cli.selftest_list:selftest_list",
    "run": "particle_dev.cli.selftest_run:selftest_run",
}


@lazy_group(_COMMANDS)
def selftest() -> None:
    """Let a board test itself, before it is ever online.

    The board runs an application with the self-test service (firmware/selftest). It is asked over a serial line with
    --port, else over USB control requests.
    """
