"""Requests 400 and 401: network interfaces.

Source: device-os v2.1.0 and v6.2.0 system/src/control/network.cpp, hal/network/lwip/ifapi.cpp,
hal/src/{argon,boron,tracker,msom}/network/network.cpp (order and names). Addresses are made up.
"""

from __future__ import annotations

from dataclasses import dataclass

from particle_harness.running import BoardSystem
from particle_harness.usb.control_service import Outcome
from particle_harness.usb.decoder import Number, decode
from particle_harness.usb.requests.handler import Row
from particle_harness.usb.wire import bytes_field, fixed32_field, number_field, text_field

FAILED = -1
_LOOPBACK, _THREAD, _WIFI, _PPP = 1, 2, 8, 16
_UP, _BROADCAST, _IS_LOOPBACK, _POINT_TO_POINT, _LOWER_UP, _MULTICAST = 1, 2, 8, 16, 0x40, 0x8000
_NO_ND6 = 0x10000
_READY, _FIRST_WITH_READY = 0x100000, 2100
"""An extended flag: the radio behind the interface is on. Source: device-os v2.1.0-rc.1 hal/network/api/ifapi.h
IFXF_READY; v2.0.2 lacks it."""


_IPV6_LOOPBACK = bytes(15) + b"\x01"


@dataclass(frozen=True, slots=True)
class _Interface:
    index: int
    prefix: str
    type: int
    flags: int = 0
    address: int = 0
    prefix_length: int = 0
    hw_address: bytes = b""
    mtu: int = 1500
    ipv6: bytes = b""
    extended_flags: int = 0

    @property
    def name(self) -> str:
        return f"{self.prefix}{self.index - 1}"


def _interfaces(system: BoardSystem) -> list[_Interface]:
    found = [_Interface(1, "lo", _LOOPBACK, _UP | _LOWER_UP | _IS_LOOPBACK, 0x7F000001, 8, mtu=0, ipv6=_IPV6_LOOPBACK)]
    if system.hardware.is_gen3 and system.version < 2000:
        found.append(_Interface(2, "th", _THREAD, _NO_ND6, mtu=1280))
    up = _UP | _LOWER_UP if system.network_is_up else 0
    address = 0x0A2A0002 if up else 0
    ready = _READY if system.radio.is_on and system.version >= _FIRST_WITH_READY else 0
    if system.has_cellular:
        # What the other end allows is agreed upon with it.
        mtu = 1500 if up else 0
        length = 32 if up else 0
        found.append(_Interface(4, "pp", _PPP, up | _POINT_TO_POINT, address, length, mtu=mtu, extended_flags=ready))
    if system.has_wifi_scan:
        index, mac = (5 if system.has_cellular else 4), system.mac_address
        # What is up, or on, beside a modem is the modem.
        up, ready = (0, 0) if system.has_cellular else (up, ready)
        flags, length = up | _BROADCAST | _MULTICAST | _NO_ND6, 24 if up else 0
        found.append(_Interface(index, "wl", _WIFI, flags, address if up else 0, length, mac, extended_flags=ready))
    return found


def _ipv6(address: bytes) -> bytes:
    return bytes_field(1, bytes_field(1, bytes_field(2, bytes_field(1, address))) + number_field(2, 64))


def _list(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    entries = (
        number_field(1, i.index) + text_field(2, i.name) + number_field(3, i.type)
        for i in reversed(_interfaces(system))
    )
    return Outcome(0, b"".join(bytes_field(1, entry) for entry in entries))


def _one(system: BoardSystem, payload: bytes) -> Outcome:
    wanted = decode(payload, {1: Number()}).get(1, 0)
    interface = next((i for i in _interfaces(system) if i.index == wanted), None)
    if interface is None:
        return Outcome(FAILED)
    ipv4 = b""
    if interface.address:
        address = bytes_field(1, fixed32_field(1, interface.address))
        ipv4 = bytes_field(1, bytes_field(1, address) + number_field(2, interface.prefix_length))
    message = (
        number_field(1, interface.index)
        + text_field(2, interface.name)
        + number_field(3, interface.type)
        + number_field(4, interface.flags)
        + number_field(5, interface.extended_flags)
        + bytes_field(6, ipv4)
        + bytes_field(7, _ipv6(interface.ipv6) if interface.ipv6 else b"")
        + (bytes_field(8, interface.hw_address) if interface.hw_address else b"")
        + number_field(9, interface.mtu)
    )
    return Outcome(0, bytes_field(1, message))


ROWS = {400: Row(_list, None), 401: Row(_one, None)}
