"""Payloads about network interfaces, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address

from particle_dev.catalog.requests import ControlRequest
from particle_dev.errors import ControlProtocolError
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages import OTHER_REPLY, known_or_number, parse_message


class InterfaceType(IntEnum):
    """What carries an interface. Names differ between releases: choose interfaces by this."""

    INVALID = 0
    LOOPBACK = 1
    THREAD = 2
    ETHERNET = 4
    WIFI = 8
    PPP = 0x10
    """Cellular."""


class InterfaceFlag(IntFlag):
    """Source: npm @particle/device-os-protobuf 2.9.0 control/network.proto InterfaceFlag."""

    UP = 0x1
    BROADCAST = 0x2
    DEBUG = 0x4
    LOOPBACK = 0x8
    POINT_TO_POINT = 0x10
    LOWER_UP = 0x40
    NO_ARP = 0x80
    PROMISCUOUS = 0x100
    ALL_MULTICAST = 0x200
    MULTICAST = 0x8000
    NO_ND6 = 0x10000


class ConfigurationSource(IntEnum):
    """Where addresses come from."""

    NONE = 0
    DHCP = 1
    STATIC = 2
    SLAAC = 3
    DHCPV6 = 4


@dataclass(frozen=True, slots=True)
class InterfaceEntry:
    """One line of the interface list. ``type`` is an InterfaceType, or a number that it lacks."""

    index: int
    name: str
    type: int


@dataclass(frozen=True, slots=True)
class Address:
    """An address with the length of its network prefix in bits."""

    address: IPv4Address | IPv6Address
    prefix_length: int


@dataclass(frozen=True, slots=True)
class IpConfig:
    """Addresses of one protocol version; ``peer`` exists for IPv4 only."""

    addresses: tuple[Address, ...] = ()
    gateway: IPv4Address | IPv6Address | None = None
    dns: tuple[IPv4Address | IPv6Address, ...] = ()
    peer: IPv4Address | None = None
    source: int = ConfigurationSource.NONE


@dataclass(frozen=True, slots=True)
class Interface:
    """State and configuration of one interface."""

    index: int
    name: str
    type: int
    flags: InterfaceFlag
    ext_flags: int
    ipv4: IpConfig
    ipv6: IpConfig
    hw_address: bytes
    mtu: int
    metric: int
    profile: bytes

    @property
    def link_up(self) -> bool:
        """True with a carrier and an address of its own (a link-local IPv6 address does not count)."""
        up = InterfaceFlag.UP | InterfaceFlag.LOWER_UP
        addresses = (*self.ipv4.addresses, *self.ipv6.addresses)
        return self.flags & up == up and any(not a.address.is_link_local for a in addresses)


def decode_interface_list(data: bytes) -> tuple[InterfaceEntry, ...]:
    """Answer of request 400."""
    reply = parse_message(ControlRequest.NETWORK_INTERFACE_LIST, pb.InterfaceListReply(), data)
    return tuple(InterfaceEntry(e.index, e.name, known_or_number(InterfaceType, e.type)) for e in reply.interfaces)


def encode_interface_request(index: int) -> bytes:
    """Request 401."""
    return pb.InterfaceRequest(index=index).SerializeToString()


def decode_interface(data: bytes) -> Interface:
    """Answer of request 401. Raises ControlProtocolError, also for an IPv6 address that is not 16 bytes."""
    found = parse_message(ControlRequest.NETWORK_INTERFACE, pb.InterfaceReply(), data).interface
    try:
        return Interface(
            found.index,
            found.name,
            known_or_number(InterfaceType, found.type),
            InterfaceFlag(found.flags),
            found.ext_flags,
            _ipv4(found.ipv4_config),
            _ipv6(found.ipv6_config),
            found.hw_address,
            found.mtu,
            found.metric,
            found.profile,
        )
    except ValueError as e:
        request = ControlRequest.NETWORK_INTERFACE
        raise ControlProtocolError(f"reply to {request.name}: {e}", request_type=request, hint=OTHER_REPLY) from e


def _address(entry: pb.InterfaceAddress) -> Address:
    kind = entry.address.WhichOneof("address")
    address = IPv6Address(entry.address.v6.address) if kind == "v6" else IPv4Address(entry.address.v4.address)
    return Address(address, entry.prefix_length)


def _ipv4(config: pb.Ipv4Config) -> IpConfig:
    return IpConfig(
        tuple(_address(a) for a in config.addresses),
        IPv4Address(config.gateway.address) if config.HasField("gateway") else None,
        tuple(IPv4Address(d.address) for d in config.dns),
        IPv4Address(config.peer.address) if config.HasField("peer") else None,
        config.source,
    )


def _ipv6(config: pb.Ipv6Config) -> IpConfig:
    # nanopb sends a gateway of no bytes where there is none.
    gateway = config.gateway.address
    return IpConfig(
        tuple(_address(a) for a in config.addresses),
        IPv6Address(gateway) if gateway else None,
        tuple(IPv6Address(d.address) for d in config.dns),
        source=config.source,
    )
