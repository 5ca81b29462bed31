"""Keys of the listening-mode console, and serial speeds that are commands.

Source, unless a row says otherwise: device-os, all tags from v0.4.0 to v6.2.0, system/src/system_setup.cpp
SystemSetupConsole::handle and WiFiSetupConsole::handle; system/src/system_update.cpp system_lineCodingBitRateHandler.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from particle_dev.catalog.device_os import version_key


class ConsoleKey(StrEnum):
    """One key is one command; other keys do nothing."""

    IDENTIFY = "i"
    MAC_ADDRESS = "m"
    VERSION = "v"
    DESCRIBE = "s"
    CLAIMED = "c"
    CLAIM_CODE = "C"
    DIAGNOSTICS = "d"
    WIFI = "w"
    EXIT = "x"


class SpeedCommand(NamedTuple):
    """A serial speed that makes a device act as soon as the host sets it. ``until`` is the last release that does."""

    baud: int
    target: str
    until: str | None
    source: str

    def known_to(self, device_os: str | None) -> bool:
        """Whether that release acts on it; True when nothing is known. Raises ValueError for text that is no
        version."""
        return device_os is None or self.until is None or version_key(device_os) <= version_key(self.until)


DFU_SPEED = SpeedCommand(14400, "dfu", None, "device-os v0.4.0 to v6.2.0; an application can choose another speed")
LISTENING_SPEED = SpeedCommand(
    28800, "listening", "5.9.x", "device-os v5.9.0 has the branch of start_ymodem_flasher_serial_speed, v6.0.0 has not"
)
