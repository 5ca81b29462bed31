"""``particle-dev swd``."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "dump": "particle_dev.cli.swd_dump:dump",
    "flash": "particle_dev.cli.swd_flash:flash",
    "id": "particle_dev.cli.swd_board:identify",
    "image": "particle_dev.cli.swd_image:image",
    "list": "particle_dev.cli.swd_board:list_command",
    "lock": "particle_dev.cli.swd_board:lock",
    "park": "particle_dev.cli.swd_board:park",
    "recover": "particle_dev.cli.swd_board:recover",
    "restore": "particle_dev.cli.swd_dump:restore",
    "rtt": "particle_dev.cli.swd_rtt:rtt",
}


@lazy_group(_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def swd() -> None:
    """Work on one board through a debug probe, its firmware halted.

    Needs pyOCD: pip install 'particle-dev[swd]'.
    """
