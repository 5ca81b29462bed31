"""``particle-dev cloud``. Its commands are imported when they are used."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "check": "particle_dev.cli.cloud_check:check",
    "import": "particle_dev.cli.cloud_import:import_order",
}


@lazy_group(_COMMANDS)
def cloud() -> None:
    """The account side: products, devices, SIMs, firmware and events in the Particle cloud."""
