"""``particle-dev cloud``. Its commands are imported when they are used."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "api-user": "particle_dev.cli.cloud_api_user:api_user",
    "call": "particle_dev.cli.cloud_talk:call",
    "check": "particle_dev.cli.cloud_check:check",
    "device-os": "particle_dev.cli.cloud_firmware:device_os_group",
    "devices": "particle_dev.cli.cloud_devices:devices",
    "events": "particle_dev.cli.cloud_events:events",
    "firmware": "particle_dev.cli.cloud_firmware:firmware",
    "get": "particle_dev.cli.cloud_talk:get",
    "groups": "particle_dev.cli.cloud_account:groups",
    "import": "particle_dev.cli.cloud_import:import_order",
    "integrations": "particle_dev.cli.cloud_account:integrations",
    "login": "particle_dev.cli.cloud_login:login",
    "logout": "particle_dev.cli.cloud_login:logout",
    "lookup": "particle_dev.cli.cloud_devices:lookup",
    "ping": "particle_dev.cli.cloud_talk:ping",
    "products": "particle_dev.cli.cloud_account:products",
    "publish": "particle_dev.cli.cloud_talk:publish",
    "signal": "particle_dev.cli.cloud_talk:signal",
    "sims": "particle_dev.cli.cloud_sims:sims",
    "usage": "particle_dev.cli.cloud_account:usage",
    "vitals": "particle_dev.cli.cloud_talk:vitals",
    "whoami": "particle_dev.cli.cloud_login:whoami",
}


@lazy_group(_COMMANDS)
def cloud() -> None:
    """The Particle cloud: products, devices, SIMs, firmware, events."""
