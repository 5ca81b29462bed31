"""Typed requests about network interfaces, Wi-Fi and cellular."""

from __future__ import annotations

from particle_dev.catalog.requests import ControlRequest
from particle_dev.device.requester import Requester
from particle_dev.protocol import messages_network, messages_radio
from particle_dev.protocol.messages_network import Interface, InterfaceEntry
from particle_dev.protocol.messages_radio import (
    AccessPoint,
    CellularIds,
    KnownNetwork,
    Sim,
    WifiCredentials,
    WifiNetwork,
)

SCAN_TIMEOUT_S = 30.0
JOIN_TIMEOUT_S = 120.0
MODEM_TIMEOUT_S = 240.0
"""A modem takes up to 3 minutes for one of its commands; Particle's own client gives up after 60 s."""


class NetworkRequests:
    """``session.network``: interfaces. Changes nothing."""

    def __init__(self, session: Requester) -> None:
        self._session = session

    def interfaces(self) -> tuple[InterfaceEntry, ...]:
        """All interfaces; choose by ``type``, names differ between releases."""
        return messages_network.decode_interface_list(self._session.request(ControlRequest.NETWORK_INTERFACE_LIST))

    def interface(self, index: int) -> Interface:
        """State and addresses of one interface."""
        payload = messages_network.encode_interface_request(index)
        return messages_network.decode_interface(self._session.request(ControlRequest.NETWORK_INTERFACE, payload))


class WifiRequests:
    """``session.wifi``. All but :meth:`store`, :meth:`known_networks`, :meth:`forget` and :meth:`clear` power the
    radio."""

    def __init__(self, session: Requester) -> None:
        self._session = session

    def scan(self) -> tuple[WifiNetwork, ...]:
        """Networks in the air; takes seconds. Connects to none."""
        return messages_radio.decode_scan(
            self._session.request(ControlRequest.WIFI_SCAN_NETWORKS, timeout_s=SCAN_TIMEOUT_S)
        )

    def join(self, network: WifiCredentials) -> None:
        """Store a network after connecting to it. **The device goes online** when its application wants to. Needs
        ``may_connect``. A network that does not accept the device is not stored."""
        payload = messages_radio.encode_wifi_credentials(network)
        self._session.request(ControlRequest.WIFI_JOIN_NEW_NETWORK, payload, JOIN_TIMEOUT_S)

    def join_known(self, ssid: str) -> None:
        """Connect to a stored network. **As** :meth:`join`; needs ``may_connect``."""
        payload = messages_radio.encode_ssid(ssid)
        self._session.request(ControlRequest.WIFI_JOIN_KNOWN_NETWORK, payload, JOIN_TIMEOUT_S)

    def store(self, network: WifiCredentials) -> None:
        """Store a network without powering the radio. From the next boot on, or when it leaves listening mode, a device
        whose application connects by itself **will go online** with it."""
        payload = messages_radio.encode_wifi_credentials(network)
        self._session.request(ControlRequest.WIFI_SET_NETWORK_CREDENTIALS, payload)

    def known_networks(self) -> tuple[KnownNetwork, ...]:
        """Stored networks, without their passwords."""
        return messages_radio.decode_known_networks(self._session.request(ControlRequest.WIFI_GET_KNOWN_NETWORKS))

    def current_network(self) -> WifiNetwork:
        """The network that the device is in; refused when it is in none."""
        return messages_radio.decode_current_network(self._session.request(ControlRequest.WIFI_GET_CURRENT_NETWORK))

    def forget(self, ssid: str) -> None:
        """**Erase** one stored network. Needs ``may_erase``."""
        self._session.request(ControlRequest.WIFI_REMOVE_KNOWN_NETWORK, messages_radio.encode_ssid(ssid))

    def clear(self) -> None:
        """**Erase** all stored networks. Needs ``may_erase``."""
        self._session.request(ControlRequest.WIFI_CLEAR_KNOWN_NETWORKS)


class CellularRequests:
    """``session.cellular``."""

    def __init__(self, session: Requester) -> None:
        self._session = session

    def ids(self) -> CellularIds:
        """ICCID and IMEI.

        **This powers the modem.** It starts no data session and no cloud connection, so Particle bills nothing, but the
        modem is not silent: Quectel modems (B5 SoM, Tracker, M-SoM) start with full functionality, and with an active
        SIM they may register in a mobile network. Whether it is switched off afterwards depends on the application. A
        disabled modem refuses with INVALID_STATE. Source: device-os v6.2.0 system/src/control/cellular.cpp getIccid,
        hal/network/ncp_client/quectel/quectel_ncp_client.cpp initReady.
        """
        data = self._session.request(ControlRequest.CELLULAR_GET_ICCID, timeout_s=MODEM_TIMEOUT_S)
        return messages_radio.decode_iccid(data)

    def active_sim(self) -> int:
        """The SIM in use: a Sim, or a number that it lacks."""
        data = self._session.request(ControlRequest.CELLULAR_GET_ACTIVE_SIM, timeout_s=MODEM_TIMEOUT_S)
        return messages_radio.decode_active_sim(data)

    def set_active_sim(self, sim: Sim) -> None:
        """Use another SIM from the next reset on."""
        payload = messages_radio.encode_sim(sim)
        self._session.request(ControlRequest.CELLULAR_SET_ACTIVE_SIM, payload, MODEM_TIMEOUT_S)

    def access_point(self, sim: Sim) -> AccessPoint:
        """Access point stored for a SIM."""
        data = self._session.request(ControlRequest.CELLULAR_GET_ACCESS_POINT, messages_radio.encode_sim(sim))
        return messages_radio.decode_access_point(data)

    def set_access_point(self, sim: Sim, point: AccessPoint) -> None:
        """Store an access point for a SIM."""
        payload = messages_radio.encode_access_point(sim, point)
        self._session.request(ControlRequest.CELLULAR_SET_ACCESS_POINT, payload)
