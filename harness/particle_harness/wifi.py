"""Wi-Fi side of a board: the networks it has stored, and the one it is in.

Source: device-os v2.1.0 and v6.2.0 hal/network/ncp/wifi/wifi_network_manager.cpp, system/src/control/wifi_new.cpp,
hal/network/ncp_client/esp32/esp32_ncp_client.cpp connect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from particle_harness import air
from particle_harness.air import AccessPoint
from particle_harness.network_trouble import NO_COVERAGE
from particle_harness.radio import Radio
from particle_harness.state import BoardState

MAX_KNOWN_NETWORKS = 10
NO_CREDENTIALS, PASSWORD = 0, 1
NOT_FOUND, INVALID_ARGUMENT, AT_NOT_OK = -170, -270, -1200

Network = dict[str, Any]
"""A stored network: ``ssid``, ``security``, ``password``, ``hidden``; JSON, since it outlives the process."""


def stored(point: AccessPoint) -> Network:
    """What a board keeps of a network it knows."""
    return {"ssid": point.ssid, "security": point.security, "password": point.password, "hidden": point.hidden}


FORMER_OWNERS_NETWORK = stored(air.AIR[0])


class Wifi:
    """Methods that can fail return a result code of the system; 0 is success."""

    def __init__(self, state: BoardState, radio: Radio, now_s: Callable[[], float]) -> None:
        self._state = state
        self._radio = radio
        self._now_s = now_s

    @property
    def known(self) -> list[Network]:
        """Stored networks, the preferred one first."""
        return self._state.wifi_networks

    def scan(self) -> tuple[AccessPoint, ...]:
        """Networks in the air. Powers the radio."""
        self._radio.power_on()
        return () if NO_COVERAGE in self._state.network_troubles else air.visible()

    def store(self, network: Network) -> int:
        """Keep a network, without any use of the radio. Beyond ten, the last one gives way."""
        if not network["ssid"]:
            return INVALID_ARGUMENT
        known = self.known
        index = next((i for i, other in enumerate(known) if other["ssid"] == network["ssid"]), len(known))
        known[min(index, MAX_KNOWN_NETWORKS - 1) : index + 1] = [network]
        return 0

    def join_new(self, network: Network, *, validates: bool) -> int:
        """Connect, and keep the network if that went well. ``validates``: newer code connects once to try."""
        if not network["ssid"]:
            return INVALID_ARGUMENT
        self._radio.stop()
        self._radio.power_on()
        point = _reachable(network)
        if point is None:
            return AT_NOT_OK if validates else NOT_FOUND
        self.store(network | {"security": network["security"] or point.security})
        return self.join_known(network["ssid"])

    def join_known(self, ssid: str) -> int:
        """Connect to a stored network; without an SSID to the preferred one. It becomes the preferred one."""
        index = next((i for i, network in enumerate(self.known) if network["ssid"] == ssid or not ssid), None)
        point = None if index is None else _reachable(self.known[index])
        self._radio.stop()
        self._radio.power_on()
        if index is None or point is None:
            return NOT_FOUND
        self.known.insert(0, self.known.pop(index))
        self._radio.network_comes_up(self._now_s())
        return 0

    def forget(self, ssid: str) -> None:
        """Remove one network; nothing happens when it is not there."""
        self.known[:] = [network for network in self.known if network["ssid"] != ssid]

    def clear(self) -> None:
        """Remove all networks."""
        self.known.clear()

    def current(self) -> AccessPoint | None:
        """The network that the board is in."""
        return air.find(self.known[0]["ssid"]) if self.known and self._radio.network_is_up else None


def _reachable(network: Network) -> AccessPoint | None:
    point = air.find(network["ssid"])
    if point is None or point.hidden != bool(network["hidden"]):
        return None
    return point if point.password == network["password"] else None
