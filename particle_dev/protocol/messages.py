"""Payloads of control requests as values. The wire format is protobuf (``messages.proto``) or JSON text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.requests import ControlRequest
from particle_dev.errors import ControlProtocolError
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.module_prefix import CRC_SIZE_BYTES

MessageT = TypeVar("MessageT", bound=Message)


class DeviceMode(StrEnum):
    """What request 72 tells apart; safe mode has no answer of its own and shows as normal."""

    NORMAL = "normal"
    LISTENING = "listening"


class CloudStatus(IntEnum):
    """Cloud connection status of request 300 and of diagnostic ``cloud:stat``."""

    DISCONNECTED = 0
    CONNECTING = 1
    CONNECTED = 2
    DISCONNECTING = 3


@dataclass(frozen=True, slots=True)
class NcpVersion:
    """Firmware of the network processor: its own version text and its module version."""

    version: str
    module_version: int


class Capability(IntFlag):
    """Flags of request 32."""

    COMPRESSED_OTA = 1


@dataclass(frozen=True, slots=True)
class DeviceAsset:
    """An asset in the device's storage, or one that a module requires."""

    name: str
    sha256: bytes
    size_bytes: int
    storage_size_bytes: int


@dataclass(frozen=True, slots=True)
class AssetInfo:
    """Answer of request 91. A device that lacks a required asset boots into safe mode, which goes online."""

    available: tuple[DeviceAsset, ...]
    required: tuple[DeviceAsset, ...]

    @property
    def missing(self) -> tuple[DeviceAsset, ...]:
        """Required assets of which none with the same name and contents is there."""
        present = {(a.name, a.sha256) for a in self.available}
        return tuple(a for a in self.required if (a.name, a.sha256) not in present)


@dataclass(frozen=True, slots=True)
class InstalledModule:
    """A module as the device reports it. ``failed`` holds the checks that the device made and that failed.

    ``size_bytes`` is that of its file, CRC included; 0 where the device does not tell. ``sha256`` and what follows it
    is there since Device OS 5.6.0.
    """

    function: int
    index: int
    version: int
    store: int
    size_bytes: int
    dependencies: tuple[tuple[int, int, int], ...]
    failed: ModuleValidity
    sha256: bytes | None = None
    asset_dependencies: tuple[DeviceAsset, ...] = ()
    protected: bool = False
    """A bootloader that keeps the device protected says so here."""

    @property
    def valid(self) -> bool:
        """True when every check that the device made has passed."""
        return not self.failed


LEGACY_FUNCTIONS = {
    1: ModuleFunction.BOOTLOADER,
    2: ModuleFunction.SYSTEM_PART,
    3: ModuleFunction.USER_PART,
    4: ModuleFunction.MONO_FIRMWARE,
    5: ModuleFunction.NCP_FIRMWARE,
    6: ModuleFunction.RADIO_STACK,
}
"""Module types of the reply before Device OS 5.6.0, which have numbers of their own.

Source: device-os v2.1.0 system/src/control/storage.cpp moduleFunctionToPb.
"""
_PROTECTED = 1
OTHER_REPLY = "run it again; if it stays so, the version of Device OS answers otherwise than this tool knows"
_LEGACY_FAILURES = {0x01: ModuleValidity.INTEGRITY, 0x02: ModuleValidity.DEPENDENCIES}


def parse_message(request: ControlRequest, message: MessageT, data: bytes) -> MessageT:
    """``message`` filled from reply data. Raises ControlProtocolError."""
    try:
        message.ParseFromString(data)
    except DecodeError as e:
        raise ControlProtocolError(
            f"reply to {request.name} is not the message expected: {data[:32].hex()}",
            request_type=request,
            hint=OTHER_REPLY,
        ) from e
    return message


def known_or_number(kind: type[IntEnum], number: int) -> int:
    """The member of ``kind`` with that number; the number itself where ``kind`` lacks it, so that nothing is lost."""
    try:
        return kind(number)
    except ValueError:
        return number


def decode_device_id(data: bytes) -> str:
    """24 lower-case hex digits. Raises ControlProtocolError."""
    return parse_message(ControlRequest.DEVICE_ID, pb.DeviceIdReply(), data).id.lower()


def decode_serial_number(data: bytes) -> str:
    """The serial number that is printed on the board, usually 15 characters."""
    return parse_message(ControlRequest.SERIAL_NUMBER, pb.SerialNumberReply(), data).serial


def decode_system_version(data: bytes) -> str:
    """Device OS version, e.g. ``2.1.0``."""
    return parse_message(ControlRequest.SYSTEM_VERSION, pb.SystemVersionReply(), data).version


def decode_ncp_version(data: bytes) -> NcpVersion:
    """Version of the network processor's firmware."""
    reply = parse_message(ControlRequest.NCP_FIRMWARE_VERSION, pb.NcpVersionReply(), data)
    return NcpVersion(reply.version, reply.module_version)


def decode_capabilities(data: bytes) -> Capability:
    """What the system can do beyond its requests; unknown flags are kept."""
    return Capability(parse_message(ControlRequest.GET_SYSTEM_CAPABILITIES, pb.CapabilitiesReply(), data).flags)


def decode_device_mode(data: bytes) -> DeviceMode:
    """Listening or not."""
    mode = parse_message(ControlRequest.GET_DEVICE_MODE, pb.DeviceModeReply(), data).mode
    return DeviceMode.LISTENING if mode == 1 else DeviceMode.NORMAL


def decode_cloud_status(data: bytes) -> CloudStatus:
    """Cloud connection status. Raises ControlProtocolError for a number without a meaning."""
    status = parse_message(ControlRequest.CLOUD_CONNECTION_STATUS, pb.CloudConnectionStatusReply(), data).status
    try:
        return CloudStatus(status)
    except ValueError:
        raise ControlProtocolError(f"unknown cloud status {status}", request_type=300, hint=OTHER_REPLY) from None


def decode_module_info(data: bytes) -> tuple[InstalledModule, ...]:
    """The modules on the device, from the field layout of Device OS 5.6.0 on or from the older one."""
    reply = parse_message(ControlRequest.MODULE_INFO, pb.ModuleInfoReply(), data)
    if reply.modules:
        return tuple(
            InstalledModule(
                m.type,
                m.index,
                m.version,
                m.store,
                m.size,
                tuple((d.type, d.index, d.version) for d in m.dependencies),
                ModuleValidity(m.checked_flags & ~m.passed_flags),
                m.hash if m.HasField("hash") else None,
                tuple(_asset(a) for a in m.asset_dependencies),
                m.security.mode == _PROTECTED,
            )
            for m in reply.modules
        )
    return tuple(_legacy_module(m) for m in reply.modules_deprecated)


def decode_asset_info(data: bytes) -> AssetInfo:
    """Assets that are there and assets that the modules require."""
    reply = parse_message(ControlRequest.ASSET_INFO, pb.AssetInfoReply(), data)
    return AssetInfo(tuple(_asset(a) for a in reply.available), tuple(_asset(a) for a in reply.required))


def _asset(asset: pb.Asset) -> DeviceAsset:
    return DeviceAsset(asset.name, asset.hash, asset.size, asset.storage_size)


def _legacy_module(module: pb.ModuleInfoReply.LegacyModule) -> InstalledModule:
    failed = ModuleValidity(0)
    for bit, flag in _LEGACY_FAILURES.items():
        if module.validity & bit:
            failed |= flag
    return InstalledModule(
        LEGACY_FUNCTIONS.get(module.type, ModuleFunction.NONE),
        module.index,
        module.version,
        ModuleStore.MAIN,
        # Device OS counts the CRC since 5.6.0 alone. Source: device-os v2.1.0 system/src/control/storage.cpp, v5.6.0
        # system/src/system_info_encoding.cpp.
        module.size + CRC_SIZE_BYTES if module.size else 0,
        tuple((LEGACY_FUNCTIONS.get(d.type, ModuleFunction.NONE), d.index, d.version) for d in module.dependencies),
        failed,
    )


def decode_diagnostics(data: bytes) -> dict[str, int]:
    """Numeric diagnostics by name, e.g. ``cloud:connatt``; a source that failed on the device is left out.

    Raises ControlProtocolError when the reply is no JSON object.
    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise ControlProtocolError(f"diagnostics are no JSON: {data[:32]!r}", request_type=100, hint=OTHER_REPLY) from e
    if not isinstance(values, dict):
        raise ControlProtocolError("diagnostics are no JSON object", request_type=100, hint=OTHER_REPLY)
    return {k: v for k, v in values.items() if type(v) is int}
