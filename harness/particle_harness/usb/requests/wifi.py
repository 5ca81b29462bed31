"""Requests 500 to 507: Wi-Fi of boards with a network processor.

Source: device-os v2.1.0 and v6.2.0 system/src/control/wifi_new.cpp; which tags have 507 and try a network before they
store it: the same file at v5.6.0 to v6.1.1.
"""

from __future__ import annotations

from particle_harness.running import BoardSystem
from particle_harness.usb.control_service import Outcome
from particle_harness.usb.decoder import ENUMERATION, FLAG, Data, Fields, Message, decode, text_of
from particle_harness.usb.requests.handler import NOT_SUPPORTED, Row, done
from particle_harness.usb.wire import bytes_field, number_field, text_field
from particle_harness.wifi import NO_CREDENTIALS, PASSWORD, Network

INVALID_STATE = -210
_SSID: Fields = {1: Data()}
_NETWORK: Fields = {**_SSID, 3: ENUMERATION, 4: Message({1: ENUMERATION, 2: Data()}), 6: FLAG}


def _network(payload: bytes) -> Network | None:
    asked = decode(payload, _NETWORK)
    credentials = asked.get(4, {})
    kind = credentials.get(1, NO_CREDENTIALS)
    if kind not in (NO_CREDENTIALS, PASSWORD):
        return None
    return {
        "ssid": text_of(asked, 1),
        "security": asked.get(3, 0),
        "password": text_of(credentials, 2) if kind == PASSWORD else "",
        "hidden": bool(asked.get(6)),
    }


def _join_new(system: BoardSystem, payload: bytes) -> Outcome:
    network = _network(payload)
    if network is None:
        return Outcome(NOT_SUPPORTED)
    validates = 5800 <= system.version < 6000 or system.version >= 6100
    return Outcome(system.wifi.join_new(network, validates=validates))


def _join_known(system: BoardSystem, payload: bytes) -> Outcome:
    return Outcome(system.wifi.join_known(text_of(decode(payload, _SSID), 1)))


def _known(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    entries = (
        text_field(1, network["ssid"])
        + number_field(2, network["security"])
        + number_field(3, PASSWORD if network["password"] else NO_CREDENTIALS)
        for network in system.wifi.known
    )
    return Outcome(0, b"".join(bytes_field(1, entry) for entry in entries))


def _forget(system: BoardSystem, payload: bytes) -> Outcome:
    system.wifi.forget(text_of(decode(payload, _SSID), 1))
    return done()


def _clear(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    system.wifi.clear()
    return done()


def _current(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    point = system.wifi.current()
    if point is None:
        return Outcome(INVALID_STATE)
    place = number_field(3, point.channel) + number_field(4, point.rssi_dbm)
    return Outcome(0, text_field(1, point.ssid) + bytes_field(2, point.bssid) + place)


def _scan(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    entries = (
        text_field(1, point.ssid)
        + bytes_field(2, point.bssid)
        + number_field(3, point.security)
        + number_field(4, point.channel)
        + number_field(5, point.rssi_dbm)
        for point in system.wifi.scan()
    )
    return Outcome(0, b"".join(bytes_field(1, entry) for entry in entries))


def _store(system: BoardSystem, payload: bytes) -> Outcome:
    network = _network(payload)
    return Outcome(NOT_SUPPORTED if network is None else system.wifi.store(network))


ROWS = {
    500: Row(_join_new, None, needs="wifi"),
    501: Row(_join_known, None, needs="wifi"),
    502: Row(_known, None, needs="wifi"),
    503: Row(_forget, None, needs="wifi"),
    504: Row(_clear, None, needs="wifi"),
    505: Row(_current, None, needs="wifi"),
    506: Row(_scan, None, needs="wifi_scan"),
    507: Row(_store, None, 5802, needs="wifi", gone=range(6000, 6102)),
}
SCAN_S, JOIN_S = 3.0, 6.0
"""Assumed, not measured."""
DURATIONS_S = {500: SCAN_S + JOIN_S, 501: JOIN_S, 506: SCAN_S}
