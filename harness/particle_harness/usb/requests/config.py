"""Requests about versions, features, set-up, claim, keys, server and the LED: 31 to 34, 73, 74, 200 to 240.

Source: device-os v1.5.2, v3.3.1, v4.0.0 and v6.2.0 system/src/control/config.cpp; v3.3.1
hal/src/stm32f2xx/ota_flash_hal_stm32f2xx.cpp (keys), hal/shared/parse_server_address.h,
platform/MCU/nRF52840/inc/dct.h.
"""

from __future__ import annotations

import re
import struct

from particle_harness.running import BoardSystem
from particle_harness.usb.control_service import Outcome
from particle_harness.usb.decoder import ENUMERATION, FLAG, Data, Number, Text, decode
from particle_harness.usb.requests.handler import NOT_SUPPORTED, Handler, Row, done
from particle_harness.usb.wire import (
    bytes_field,
    fixed32_field,
    number_field,
    text_field,
)

FAILED, NOT_FOUND, TOO_LARGE = -1, -170, -190
ETHERNET_DETECTION, _ETHERNET_FLAG, _FEATURE_FLAGS_OFFSET = 1, 0x02, 1754
_COMPRESSED_OTA = 1
_SETUP_DONE_OFFSET, _CLAIM_CODE_SIZE_BYTES = 8134, 63
_SSID_PREFIX_OFFSET, _SSID_PREFIX_SIZE_BYTES, _DEVICE_CODE_OFFSET, _DEVICE_CODE_SIZE_BYTES = 1826, 25, 1852, 6
_TRANSPORT_OFFSET, _TCP, _UDP = 2977, 1, 2
_KEYS = {1: (34, 1216), 2: (1250, 384), 3: (2082, 768), 4: (3106, 192), 5: (2978, 128), 6: (3298, 192)}
"""Place and size in the configuration by key type; the last three exist where the cloud is reached by UDP."""
_SERVER_ADDRESSES = {_TCP: (2082 + 384, 128), _UDP: (3490, 128)}
_SERVER_ADDRESS = struct.Struct(">BB64sH")
_IP_ADDRESS, _DOMAIN_NAME = 0, 1
_NCP_VERSION = "0.0.8"


def _ncp_version(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    if system.hardware.is_gen2 or not system.has_wifi_scan:
        return Outcome(NOT_SUPPORTED)
    system.radio.power_on()
    return Outcome(0, text_field(1, _NCP_VERSION) + number_field(2, system.ncp_version))


def _capabilities(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    # Those releases say so on every platform, whether they expand modules or not.
    compressed = 1400 <= system.version < 2000
    return Outcome(0, fixed32_field(1, _COMPRESSED_OTA if compressed else 0))


def _set_feature(system: BoardSystem, payload: bytes) -> Outcome:
    asked = decode(payload, {1: ENUMERATION, 2: FLAG})
    if asked.get(1) != ETHERNET_DETECTION:
        return Outcome(NOT_SUPPORTED)
    if system.hardware.is_gen2:
        return Outcome(FAILED)
    # Inverted, so that erased configurations have no feature on.
    flags = system.dct.read(_FEATURE_FLAGS_OFFSET, 1)[0]
    flags = flags & ~_ETHERNET_FLAG if asked.get(2) else flags | _ETHERNET_FLAG
    system.dct.write(_FEATURE_FLAGS_OFFSET, bytes([flags]))
    return done()


def _get_feature(system: BoardSystem, payload: bytes) -> Outcome:
    if decode(payload, {1: ENUMERATION}).get(1) != ETHERNET_DETECTION:
        return Outcome(NOT_SUPPORTED)
    is_on = not system.hardware.is_gen2 and not system.dct.read(_FEATURE_FLAGS_OFFSET, 1)[0] & _ETHERNET_FLAG
    return Outcome(0, number_field(1, int(is_on)))


def _set_setup_done(system: BoardSystem, payload: bytes) -> Outcome:
    is_done = decode(payload, {1: FLAG}).get(1)
    if system.version >= 4000:
        return Outcome(0 if is_done else NOT_SUPPORTED)
    if not system.hardware.is_gen3:
        return Outcome(NOT_SUPPORTED)
    system.dct.write(_SETUP_DONE_OFFSET, b"\x01" if is_done else b"\xff")
    return done()


def _is_setup_done(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    if system.version >= 4000:
        return Outcome(0, number_field(1, 1))
    if not system.hardware.is_gen3:
        return Outcome(NOT_SUPPORTED)
    return Outcome(0, number_field(1, int(system.dct.read(_SETUP_DONE_OFFSET, 1) == b"\x01")))


def _set_claim_code(system: BoardSystem, payload: bytes) -> Outcome:
    system.set_claim_code(decode(payload, {1: Text(_CLAIM_CODE_SIZE_BYTES)}).get(1, b""))
    return done()


def _key_place(system: BoardSystem, kind: int) -> tuple[int, int] | None:
    return _KEYS.get(kind) if kind <= 3 or system.has_cellular else None


def _set_key(system: BoardSystem, payload: bytes) -> Outcome:
    asked = decode(payload, {1: ENUMERATION, 2: Data()})
    place, key = _key_place(system, asked.get(1, 0)), asked.get(2, b"")
    if place is None:
        return Outcome(NOT_SUPPORTED)
    offset, size_bytes = place
    if len(key) > size_bytes:
        return Outcome(TOO_LARGE)
    system.dct.write(offset, key.ljust(size_bytes, b"\xff"))
    return done()


def _get_key(system: BoardSystem, payload: bytes) -> Outcome:
    place = _key_place(system, decode(payload, {1: ENUMERATION}).get(1, 0))
    return Outcome(0, bytes_field(1, system.dct.read(*place))) if place else Outcome(NOT_SUPPORTED)


def _server_place(system: BoardSystem, protocol: int) -> tuple[int, int] | None:
    return _SERVER_ADDRESSES.get(protocol) if protocol == _TCP or system.has_cellular else None


def _set_server_address(system: BoardSystem, payload: bytes) -> Outcome:
    asked = decode(payload, {1: ENUMERATION, 2: Text(63), 3: Number()})
    place = _server_place(system, asked.get(1, 0))
    address, port = asked.get(2, b""), asked.get(3, 0) & 0xFFFF
    if place is None:
        return Outcome(NOT_SUPPORTED)
    numbers = re.match(rb"\s*(\d+)\.\s*(\d+)\.\s*(\d+)\.\s*(\d+)", address)
    if numbers:
        packed = _SERVER_ADDRESS.pack(_IP_ADDRESS, 0, bytes(int(n) & 0xFF for n in numbers.groups()), port)
    else:
        packed = _SERVER_ADDRESS.pack(_DOMAIN_NAME, len(address), address, port)
    system.dct.write(place[0], packed.ljust(place[1], b"\xff"))
    return done()


def _get_server_address(system: BoardSystem, payload: bytes) -> Outcome:
    place = _server_place(system, decode(payload, {1: ENUMERATION}).get(1, 0))
    if place is None:
        return Outcome(NOT_SUPPORTED)
    kind, length, domain, port = _SERVER_ADDRESS.unpack(system.dct.read(place[0], _SERVER_ADDRESS.size))
    if kind == _IP_ADDRESS:
        text = ".".join(str(n) for n in domain[:4])
    elif kind == _DOMAIN_NAME:
        text = domain[: min(length, len(domain))].decode("ascii", "replace")
    else:
        return Outcome(NOT_FOUND)
    return Outcome(0, text_field(1, text) + number_field(2, port))


def _set_protocol(system: BoardSystem, payload: bytes) -> Outcome:
    protocol = decode(payload, {1: ENUMERATION}).get(1, 0)
    if protocol not in (_TCP, _UDP):
        return Outcome(NOT_SUPPORTED)
    if not system.has_cellular:
        return Outcome(FAILED)
    system.dct.write(_TRANSPORT_OFFSET, b"\x00" if protocol == _TCP else b"\xff")
    return done()


def _get_protocol(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    uses_udp = system.has_cellular and system.dct.read(_TRANSPORT_OFFSET, 1) == b"\xff"
    return Outcome(0, number_field(1, _UDP if uses_udp else _TCP))


def _set_softap_ssid(system: BoardSystem, payload: bytes) -> Outcome:
    asked = decode(payload, {1: Text(31), 2: Text(15)})
    prefix, suffix = asked.get(1, b"")[:_SSID_PREFIX_SIZE_BYTES], asked.get(2, b"")
    system.dct.write(_SSID_PREFIX_OFFSET, bytes([len(prefix)]) + prefix)
    system.dct.write(_DEVICE_CODE_OFFSET, (suffix + b"\0")[:_DEVICE_CODE_SIZE_BYTES])
    return done()


def _signal(on: bool) -> Handler:
    def handle(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
        system.signal(on)
        return done()

    return handle


_GEN2_MERGED = 1100
ROWS: dict[int, Row] = {
    31: Row(_ncp_version, _GEN2_MERGED),
    32: Row(_capabilities, _GEN2_MERGED),
    33: Row(_set_feature, _GEN2_MERGED),
    34: Row(_get_feature, _GEN2_MERGED),
    73: Row(_set_setup_done, _GEN2_MERGED),
    74: Row(_is_setup_done, _GEN2_MERGED),
    200: Row(_set_claim_code),
    201: Row(lambda system, _payload: Outcome(0, number_field(1, int(system.claimed)))),
    # Later generations have stubs that answer NOT_SUPPORTED.
    210: Row(_set_key, later=None),
    211: Row(_get_key, later=None),
    220: Row(_set_server_address, later=None),
    221: Row(_get_server_address, later=None),
    222: Row(_set_protocol, later=None),
    223: Row(_get_protocol, later=None),
    230: Row(_signal(True)),
    231: Row(_signal(False)),
    240: Row(_set_softap_ssid, later=None),
}
