"""Requests 76 and 77, and which requests a protected device answers at all.

Source: device-os v6.2.0 system/src/control/config.cpp, services/src/security_mode.cpp
security_mode_check_control_request.
"""

from __future__ import annotations

from particle_harness.running import BoardSystem
from particle_harness.usb.control_service import Outcome
from particle_harness.usb.decoder import ENUMERATION, Data, Fields, Message, Text, decode
from particle_harness.usb.requests.handler import INVALID_ARGUMENT, Row, done
from particle_harness.usb.wire import bytes_field, number_field

PROTECTED = -1801
FIRST_THAT_PROTECTS = 6000
_NONCE = Text(32)
_SET_STATE: Fields = {1: ENUMERATION, 2: Message({1: _NONCE}), 3: Message({1: Data(), 2: _NONCE})}
_OPEN_TO_ALL = frozenset({10, 20, 76, 77})


def is_closed(system: BoardSystem) -> bool:
    """Whether the running system heeds protection, and the board is locked."""
    return system.version >= FIRST_THAT_PROTECTS and system.protection.locked


def is_refused(system: BoardSystem, request_type: int) -> bool:
    """Whether protection keeps a request from being looked at."""
    return is_closed(system) and request_type not in _OPEN_TO_ALL


def _state(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    protection = system.protection
    # "state" is what holds now: an overridden device says that it is not protected.
    return Outcome(0, number_field(1, int(protection.locked)) + number_field(2, int(protection.overridden)))


def _set_state(system: BoardSystem, payload: bytes) -> Outcome:
    protection = system.protection
    asked = decode(payload, _SET_STATE)
    match asked.get(1, 0):
        case 0:
            protection.lock()
            return done()
        case 1:
            result, challenge = protection.prepare(asked.get(2, {}).get(1, b""))
            if challenge is None:
                return Outcome(result)
            answer = (
                bytes_field(1, challenge.device_nonce)
                + bytes_field(2, challenge.device_signature)
                + bytes_field(3, challenge.device_key_fingerprint)
            )
            return Outcome(0, bytes_field(1, answer))
        case 2:
            confirm = asked.get(3, {})
            return Outcome(protection.confirm(confirm.get(1, b""), confirm.get(2, b"")))
    return Outcome(INVALID_ARGUMENT)


ROWS = {76: Row(_state, None, 6000), 77: Row(_set_state, None, 6101)}
