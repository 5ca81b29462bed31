"""Which control requests can connect, erase, lock or burn."""

from __future__ import annotations

import re

from google.protobuf.message import DecodeError

from particle_dev.catalog.requests import ControlRequest
from particle_dev.permissions import Effect
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages_config import ProtectionAction

BURN_COMMANDS = (b"SET_PERMANENT_BURN", b"BURN_DATA")
"""Commands of the manufacturing test application. BURN_DATA alone writes to RAM, but nothing tells a host whether the
other one came before. Source: device-os v6.2.0 user/applications/mfg-test/FactoryTester.cpp."""
CONNECT_KEY = b'"may_connect"'
"""Of a self-test request: firmware/selftest/include/pd_selftest.h."""
_ESCAPE = re.compile(rb"\\u00([0-9a-fA-F]{2})")
_ALWAYS: dict[int, tuple[Effect, ...]] = {
    ControlRequest.RESET: (Effect.CONNECT,),
    ControlRequest.FACTORY_RESET: (Effect.CONNECT, Effect.ERASE),
    ControlRequest.SAFE_MODE: (Effect.CONNECT,),
    ControlRequest.STOP_LISTENING: (Effect.CONNECT,),
    ControlRequest.CLOUD_CONNECT: (Effect.CONNECT,),
    ControlRequest.WIFI_JOIN_NEW_NETWORK: (Effect.CONNECT,),
    ControlRequest.WIFI_JOIN_KNOWN_NETWORK: (Effect.CONNECT,),
    ControlRequest.WIFI_REMOVE_KNOWN_NETWORK: (Effect.ERASE,),
    ControlRequest.WIFI_CLEAR_KNOWN_NETWORKS: (Effect.ERASE,),
    ControlRequest.SET_SECURITY_KEY: (Effect.ERASE,),
    ControlRequest.ENV_CLEAR: (Effect.ERASE,),
}


def effects_of(request: int, payload: bytes) -> tuple[Effect, ...]:
    """What a request can do that needs a permission. A payload that cannot be read counts as the worst one.

    What an application does with APP_CUSTOM is known for the manufacturing test and for the self-test service, which
    goes online only with a key of its request, whatever its value here.
    """
    match request:
        case ControlRequest.FINISH_FIRMWARE_UPDATE:
            # The device resets into whatever was installed.
            return () if _validates_only(payload) else (Effect.CONNECT,)
        case ControlRequest.SET_PROTECTED_STATE:
            return (Effect.LOCK,) if _locks(payload) else ()
        case ControlRequest.APP_CUSTOM:
            text = _ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()), payload)
            burns = (Effect.BURN,) if any(command in text for command in BURN_COMMANDS) else ()
            return (*burns, Effect.CONNECT) if CONNECT_KEY in text else burns
    return _ALWAYS.get(request, ())


def _validates_only(payload: bytes) -> bool:
    try:
        return pb.FinishFirmwareUpdateRequest.FromString(payload).validate_only
    except DecodeError:
        return False


def _locks(payload: bytes) -> bool:
    try:
        return pb.SetProtectedStateRequest.FromString(payload).action == ProtectionAction.RESET
    except DecodeError:
        return True
