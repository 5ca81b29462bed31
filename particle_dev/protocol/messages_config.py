"""Payloads about claim, keys, server, features, start-up mode and protection, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from particle_dev.catalog.requests import ControlRequest
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages import known_or_number, parse_message
from particle_dev.protocol.secret import Secret

CLAIM_CODE_LENGTH = 63
NONCE_SIZE_BYTES = FINGERPRINT_SIZE_BYTES = 32
SOFTAP_PREFIX_BYTES, SOFTAP_SUFFIX_BYTES = 25, 6
"""Room in the configuration. Source: device-os v3.3.1 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/dct.h."""


class Feature(IntEnum):
    """Features that requests 33 and 34 switch and read."""

    ETHERNET_DETECTION = 1


class StartupMode(IntEnum):
    """What the next boot does at its first attempt to connect."""

    NORMAL = 0
    LISTENING = 1


@dataclass(frozen=True, slots=True)
class EnvironmentVariable:
    """A variable that the device's firmware can read. ``from_application``: its application brought it."""

    value: str
    from_application: bool


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables by name; ``snapshot_sha256`` names the set that the cloud sent last, None before there was one."""

    variables: dict[str, EnvironmentVariable]
    snapshot_sha256: bytes | None


class SecurityKey(IntEnum):
    """Keys that requests 210 and 211 write and read, in DER form."""

    TCP_DEVICE_PRIVATE_KEY = 1
    TCP_DEVICE_PUBLIC_KEY = 2
    TCP_SERVER_PUBLIC_KEY = 3
    UDP_DEVICE_PRIVATE_KEY = 4
    UDP_DEVICE_PUBLIC_KEY = 5
    UDP_SERVER_PUBLIC_KEY = 6


class ServerProtocol(IntEnum):
    """How a Gen2 device talks to the cloud."""

    TCP = 1
    UDP = 2


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Host name or dotted IPv4 address, and port."""

    address: str
    port: int


class ProtectionAction(IntEnum):
    """First field of request 77."""

    RESET = 0
    PREPARE = 1
    CONFIRM = 2


@dataclass(frozen=True, slots=True)
class ProtectedState:
    """``protected``: device protection closes the device now. ``overridden``: it has device protection and is in
    service mode, open for a while; ``protected`` is False then. Source: device-os v6.2.0 system/src/control/config.cpp
    getProtectedState, services/src/security_mode.cpp."""

    protected: bool
    overridden: bool

    @property
    def locked(self) -> bool:
        """True when only requests 10, 20, 76 and 77 are answered and flash cannot be written."""
        return self.protected and not self.overridden


@dataclass(frozen=True, slots=True)
class ProtectionChallenge:
    """What a protected device wants signed: give it to the cloud together with the server nonce sent before."""

    device_nonce: bytes
    device_signature: bytes
    device_public_key_fingerprint: bytes


def encode_claim_code(code: Secret[str]) -> bytes:
    """Request 200. Raises ValueError, without the code in it, unless it is 63 characters of ASCII."""
    text = code.reveal()
    if len(text) != CLAIM_CODE_LENGTH or not text.isascii():
        raise ValueError(f"a claim code has {CLAIM_CODE_LENGTH} ASCII characters, not {len(text)}")
    return pb.SetClaimCodeRequest(code=text).SerializeToString()


def decode_is_claimed(data: bytes) -> bool:
    """Whether the configuration says that somebody owns the device. The cloud may know better."""
    return parse_message(ControlRequest.IS_CLAIMED, pb.IsClaimedReply(), data).claimed


def encode_set_feature(feature: Feature, enabled: bool) -> bytes:
    """Request 33."""
    return pb.SetFeatureRequest(feature=feature, enabled=enabled).SerializeToString()


def encode_get_feature(feature: Feature) -> bytes:
    """Request 34."""
    return pb.GetFeatureRequest(feature=feature).SerializeToString()


def decode_feature(data: bytes) -> bool:
    """Whether the feature is on."""
    return parse_message(ControlRequest.GET_FEATURE, pb.GetFeatureReply(), data).enabled


def encode_setup_done(done: bool) -> bytes:
    """Request 73."""
    return pb.SetDeviceSetupDoneRequest(done=done).SerializeToString()


def decode_setup_done(data: bytes) -> bool:
    """Answer of request 74."""
    return parse_message(ControlRequest.IS_DEVICE_SETUP_DONE, pb.IsDeviceSetupDoneReply(), data).done


def encode_startup_mode(mode: StartupMode) -> bytes:
    """Request 75."""
    return pb.SetStartupModeRequest(mode=mode).SerializeToString()


def encode_security_key(kind: SecurityKey, key: Secret[bytes]) -> bytes:
    """Request 210."""
    return pb.SetSecurityKeyRequest(type=kind, data=key.reveal()).SerializeToString()


def encode_get_security_key(kind: SecurityKey) -> bytes:
    """Request 211."""
    return pb.GetSecurityKeyRequest(type=kind).SerializeToString()


def decode_security_key(data: bytes) -> Secret[bytes]:
    """The key; a secret even where it is public, so that no caller has to tell the two apart."""
    return Secret(parse_message(ControlRequest.GET_SECURITY_KEY, pb.GetSecurityKeyReply(), data).data)


def encode_server_address(protocol: ServerProtocol, server: ServerAddress) -> bytes:
    """Request 220."""
    message = pb.SetServerAddressRequest(protocol=protocol, address=server.address, port=server.port)
    return message.SerializeToString()


def encode_get_server_address(protocol: ServerProtocol) -> bytes:
    """Request 221."""
    return pb.GetServerAddressRequest(protocol=protocol).SerializeToString()


def decode_server_address(data: bytes) -> ServerAddress:
    """Where the device looks for the cloud."""
    reply = parse_message(ControlRequest.GET_SERVER_ADDRESS, pb.GetServerAddressReply(), data)
    return ServerAddress(reply.address, reply.port)


def encode_server_protocol(protocol: ServerProtocol) -> bytes:
    """Request 222."""
    return pb.SetServerProtocolRequest(protocol=protocol).SerializeToString()


def decode_server_protocol(data: bytes) -> int:
    """A :class:`ServerProtocol`, or a number that it lacks."""
    reply = parse_message(ControlRequest.GET_SERVER_PROTOCOL, pb.GetServerProtocolReply(), data)
    return known_or_number(ServerProtocol, reply.protocol)


def encode_softap_ssid(prefix: str, suffix: str) -> bytes:
    """Request 240. Raises ValueError for more than the device keeps."""
    for name, text, room in (("prefix", prefix, SOFTAP_PREFIX_BYTES), ("suffix", suffix, SOFTAP_SUFFIX_BYTES)):
        if len(text.encode()) > room:
            raise ValueError(f"the {name} has more than {room} bytes")
    return pb.SetSoftApSsidRequest(prefix=prefix, suffix=suffix).SerializeToString()


def decode_environment(data: bytes) -> Environment:
    """Answer of request 600."""
    reply = parse_message(ControlRequest.ENV_GET, pb.EnvironmentReply(), data)
    return Environment(
        {v.name: EnvironmentVariable(v.value, v.is_app) for v in reply.vars}, reply.snapshot_hash or None
    )


def decode_environment_cleared(data: bytes) -> bool:
    """Answer of request 601: whether the device must be reset for it to count."""
    return parse_message(ControlRequest.ENV_CLEAR, pb.ClearEnvironmentReply(), data).need_reset


def decode_protected_state(data: bytes) -> ProtectedState:
    """Answer of request 76."""
    reply = parse_message(ControlRequest.GET_PROTECTED_STATE, pb.ProtectedStateReply(), data)
    return ProtectedState(reply.state, reply.overridden)


def encode_protection_reset() -> bytes:
    """Request 77, RESET: leave service mode; the device is locked again."""
    return pb.SetProtectedStateRequest(action=ProtectionAction.RESET).SerializeToString()


def encode_protection_prepare(server_nonce: bytes) -> bytes:
    """Request 77, PREPARE. Raises ValueError unless the nonce has 32 bytes."""
    _check_size(server_nonce, NONCE_SIZE_BYTES, "server nonce")
    prepare = pb.SetProtectedStateRequest.Prepare(server_nonce=server_nonce)
    return pb.SetProtectedStateRequest(action=ProtectionAction.PREPARE, prepare=prepare).SerializeToString()


def decode_protection_challenge(data: bytes) -> ProtectionChallenge | None:
    """None when the device is not protected, so that there is nothing to open."""
    reply = parse_message(ControlRequest.SET_PROTECTED_STATE, pb.SetProtectedStateReply(), data)
    if not reply.HasField("prepare"):
        return None
    p = reply.prepare
    return ProtectionChallenge(p.device_nonce, p.device_signature, p.device_public_key_fingerprint)


def encode_protection_confirm(server_signature: bytes, server_public_key_fingerprint: bytes) -> bytes:
    """Request 77, CONFIRM. Raises ValueError for an empty signature or a fingerprint of other than 32 bytes."""
    if not server_signature:
        raise ValueError("the server signature is empty")
    _check_size(server_public_key_fingerprint, FINGERPRINT_SIZE_BYTES, "fingerprint of the server key")
    confirm = pb.SetProtectedStateRequest.Confirm(
        server_signature=server_signature, server_public_key_fingerprint=server_public_key_fingerprint
    )
    return pb.SetProtectedStateRequest(action=ProtectionAction.CONFIRM, confirm=confirm).SerializeToString()


def _check_size(value: bytes, size_bytes: int, name: str) -> None:
    if len(value) != size_bytes:
        raise ValueError(f"{name}: {len(value)} bytes instead of {size_bytes}")
