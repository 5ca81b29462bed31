"""What really happened to a board, for tests. Product code has no way to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Truth:
    """Counts over the board's life. Times are seconds on the board's clock; ``None`` means never."""

    power_cycles: int = 0
    boots: int = 0
    """Starts of the bootloader, whatever came after."""
    dfu_entries: int = 0
    app_boots: int = 0
    """Boots in which the user application ran."""
    safe_mode_boots: int = 0
    radio_power_ons: int = 0
    """Times a modem or Wi-Fi radio was powered: with an active SIM it may have registered in a mobile network."""
    network_attempts: int = 0
    cloud_attempts: int = 0
    first_connected_at_s: float | None = None
    """First cloud connection: from here on Particle counts the device."""
    erases: int = 0
    programs: int = 0
    enumerations: int = 0
    dfu_transfers: int = 0

    @property
    def went_online(self) -> bool:
        """Whether the board ever reached the cloud."""
        return self.first_connected_at_s is not None
