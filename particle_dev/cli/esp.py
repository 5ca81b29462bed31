"""``particle-dev esp``."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "flash": "particle_dev.cli.esp_flash:esp_flash",
    "id": "particle_dev.cli.esp_id:esp_id",
    "verify": "particle_dev.cli.esp_verify:esp_verify",
}


@lazy_group(_COMMANDS)
def esp() -> None:
    """The ESP32 of an Argon through its ROM loader.

    For one that Device OS cannot reach any more.

    The board runs a bridge from its USB port to the ESP32's UART, or an adapter is wired to it; esptool does the
    talking (extra particle-dev[esp]). While Device OS reaches its network processor, give modules to `flash` instead.
    """
