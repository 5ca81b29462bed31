"""``particle-dev station``."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "audit": "particle_dev.cli.station_audit:audit",
    "lock": "particle_dev.cli.station_look:lock",
    "page-user": "particle_dev.cli.station_page_user:page_user",
    "replay": "particle_dev.cli.station_replay:replay",
    "run": "particle_dev.cli.station_run:run",
    "status": "particle_dev.cli.station_look:status",
    "teach": "particle_dev.cli.station_teach:teach",
    "unlock": "particle_dev.cli.station_look:unlock",
}


@lazy_group(_COMMANDS)
def station() -> None:
    """Work on whole trays of boards."""
