"""Wi-Fi networks that virtual boards find in the air."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """A network of the bench. ``security`` has the numbers of Device OS (0 none, 1 WEP, 2 WPA, 3 WPA2, 5 WPA3)."""

    ssid: str
    bssid: bytes
    security: int
    channel: int
    rssi_dbm: int
    password: str = ""
    hidden: bool = False


AIR = (
    AccessPoint("Bench", bytes.fromhex("02a0b0c0d001"), 3, 6, -48, "bench-password"),
    AccessPoint("Visitors", bytes.fromhex("02a0b0c0d002"), 0, 11, -67),
    AccessPoint("Archive", bytes.fromhex("02a0b0c0d003"), 3, 1, -74, "archive-password", hidden=True),
)


def find(ssid: str) -> AccessPoint | None:
    """The network of that name, hidden or not."""
    return next((point for point in AIR if point.ssid == ssid), None)


def visible() -> tuple[AccessPoint, ...]:
    """What a scan finds, strongest first."""
    return tuple(point for point in AIR if not point.hidden)
