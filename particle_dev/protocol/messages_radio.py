"""Payloads about Wi-Fi networks and cellular modems, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from particle_dev.catalog.requests import ControlRequest
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages import known_or_number, parse_message
from particle_dev.protocol.secret import Secret

MAX_SSID_BYTES = 32
BSSID_SIZE_BYTES = 6


class WifiSecurity(IntEnum):
    """How a Wi-Fi network is secured."""

    NONE = 0
    WEP = 1
    WPA = 2
    WPA2 = 3
    WPA_WPA2 = 4
    WPA3 = 5
    WPA2_WPA3 = 6


_NO_CREDENTIALS, _PASSWORD = 0, 1


@dataclass(frozen=True, slots=True)
class WifiCredentials:
    """A network that a device may join; ``password`` None for an open one. ``bssid`` ties it to one access point."""

    ssid: str
    security: WifiSecurity = WifiSecurity.NONE
    password: Secret[str] | None = None
    bssid: bytes = b""
    hidden: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.ssid.encode()) <= MAX_SSID_BYTES:
            raise ValueError(f"an SSID has 1 to {MAX_SSID_BYTES} bytes")
        if len(self.bssid) not in (0, BSSID_SIZE_BYTES):
            raise ValueError(f"a BSSID has {BSSID_SIZE_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class WifiNetwork:
    """A network in the air. ``security`` is a WifiSecurity, or a number that it lacks."""

    ssid: str
    bssid: bytes
    security: int
    channel: int
    rssi_dbm: int


@dataclass(frozen=True, slots=True)
class KnownNetwork:
    """A network that the device has stored; passwords cannot be read back."""

    ssid: str
    security: int
    has_password: bool


class Sim(IntEnum):
    """SIM of a cellular device."""

    INTERNAL = 1
    EXTERNAL = 2


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """Cellular access point. ``use_defaults`` stands for Particle's own; the rest is empty then."""

    apn: str = ""
    user: str = ""
    password: Secret[str] | None = None
    use_defaults: bool = False


@dataclass(frozen=True, slots=True)
class CellularIds:
    """``imei`` is None before Device OS 5.8.0."""

    iccid: str
    imei: str | None


def encode_wifi_credentials(network: WifiCredentials) -> bytes:
    """Requests 500 (join) and 507 (store)."""
    kind = _NO_CREDENTIALS if network.password is None else _PASSWORD
    password = "" if network.password is None else network.password.reveal()
    return pb.NetworkCredentialsRequest(
        ssid=network.ssid,
        bssid=network.bssid,
        security=network.security,
        credentials=pb.NetworkCredentialsRequest.Credentials(type=kind, password=password),
        hidden=network.hidden,
    ).SerializeToString()


def encode_ssid(ssid: str) -> bytes:
    """Requests 501 (join known) and 503 (forget)."""
    return pb.SsidRequest(ssid=ssid).SerializeToString()


def decode_known_networks(data: bytes) -> tuple[KnownNetwork, ...]:
    """Answer of request 502."""
    reply = parse_message(ControlRequest.WIFI_GET_KNOWN_NETWORKS, pb.KnownNetworksReply(), data)
    return tuple(
        KnownNetwork(n.ssid, known_or_number(WifiSecurity, n.security), n.credentials_type == _PASSWORD)
        for n in reply.networks
    )


def decode_current_network(data: bytes) -> WifiNetwork:
    """Answer of request 505; its security is not told and shows as NONE."""
    n = parse_message(ControlRequest.WIFI_GET_CURRENT_NETWORK, pb.CurrentNetworkReply(), data)
    return WifiNetwork(n.ssid, n.bssid, WifiSecurity.NONE, n.channel, n.rssi)


def decode_scan(data: bytes) -> tuple[WifiNetwork, ...]:
    """Answer of request 506."""
    reply = parse_message(ControlRequest.WIFI_SCAN_NETWORKS, pb.ScanNetworksReply(), data)
    return tuple(
        WifiNetwork(n.ssid, n.bssid, known_or_number(WifiSecurity, n.security), n.channel, n.rssi)
        for n in reply.networks
    )


def encode_sim(sim: Sim) -> bytes:
    """Requests 551 (access point of) and 552 (use)."""
    return pb.SimRequest(sim_type=sim).SerializeToString()


def decode_active_sim(data: bytes) -> int:
    """A :class:`Sim`, or a number that it lacks."""
    reply = parse_message(ControlRequest.CELLULAR_GET_ACTIVE_SIM, pb.ActiveSimReply(), data)
    return known_or_number(Sim, reply.sim_type)


def encode_access_point(sim: Sim, point: AccessPoint) -> bytes:
    """Request 550."""
    password = point.password.reveal() if point.password else ""
    message = pb.AccessPoint(apn=point.apn, user=point.user, password=password, use_defaults=point.use_defaults)
    return pb.SetAccessPointRequest(sim_type=sim, access_point=message).SerializeToString()


def decode_access_point(data: bytes) -> AccessPoint:
    """Answer of request 551."""
    a = parse_message(ControlRequest.CELLULAR_GET_ACCESS_POINT, pb.GetAccessPointReply(), data).access_point
    return AccessPoint(a.apn, a.user, Secret(a.password) if a.password else None, a.use_defaults)


def decode_iccid(data: bytes) -> CellularIds:
    """Answer of request 554."""
    reply = parse_message(ControlRequest.CELLULAR_GET_ICCID, pb.IccidReply(), data)
    return CellularIds(reply.iccid, reply.imei or None)
