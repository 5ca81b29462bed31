"""Payloads of control requests as values. The wire format is protobuf (``messages.proto``) or JSON text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.requests import ControlRequest
from particle_dev.errors import ControlProtocolError
from particle_dev.protocol import messages_pb2 as pb

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
class InstalledModule:
    """A module as the device reports it. ``failed`` holds the checks that the device made and that failed."""

    function: int
    index: int
    version: int
    store: int
    size_bytes: int
    dependencies: tuple[tuple[int, int, int], ...]
    failed: ModuleValidity
    sha256: bytes | None = None

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
_LEGACY_FAILURES = {0x01: ModuleValidity.INTEGRITY, 0x02: ModuleValidity.DEPENDENCIES}


def _parse(request: ControlRequest, message: MessageT, data: bytes) -> MessageT:
    try:
        message.ParseFromString(data)
    except DecodeError as e:
        raise ControlProtocolError(
            f"reply to {request.name} is not the message expected: {data[:32].hex()}", request_type=request
        ) from e
    return message


def decode_device_id(data: bytes) -> str:
    """24 lower-case hex digits. Raises ControlProtocolError."""
    return _parse(ControlRequest.DEVICE_ID, pb.DeviceIdReply(), data).id.lower()


def decode_serial_number(data: bytes) -> str:
    """The serial number that is printed on the board, usually 15 characters."""
    return _parse(ControlRequest.SERIAL_NUMBER, pb.SerialNumberReply(), data).serial


def decode_system_version(data: bytes) -> str:
    """Device OS version, e.g. ``2.1.0``."""
    return _parse(ControlRequest.SYSTEM_VERSION, pb.SystemVersionReply(), data).version


def decode_device_mode(data: bytes) -> DeviceMode:
    """Listening or not."""
    mode = _parse(ControlRequest.GET_DEVICE_MODE, pb.DeviceModeReply(), data).mode
    return DeviceMode.LISTENING if mode == 1 else DeviceMode.NORMAL


def decode_cloud_status(data: bytes) -> CloudStatus:
    """Cloud connection status. Raises ControlProtocolError for a number without a meaning."""
    status = _parse(ControlRequest.CLOUD_CONNECTION_STATUS, pb.CloudConnectionStatusReply(), data).status
    try:
        return CloudStatus(status)
    except ValueError:
        raise ControlProtocolError(f"unknown cloud status {status}", request_type=300) from None


def decode_module_info(data: bytes) -> tuple[InstalledModule, ...]:
    """The modules on the device, from the field layout of Device OS 5.6.0 on or from the older one."""
    reply = _parse(ControlRequest.MODULE_INFO, pb.ModuleInfoReply(), data)
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
            )
            for m in reply.modules
        )
    return tuple(_legacy_module(m) for m in reply.modules_deprecated)


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
        module.size,
        tuple(
            (LEGACY_FUNCTIONS.get(d.type, ModuleFunction.NONE), d.index, d.version)
            for d in module.dependencies
        ),
        failed,
    )


def decode_diagnostics(data: bytes) -> dict[str, int]:
    """Numeric diagnostics by name, e.g. ``cloud:connatt``; a source that failed on the device is left out.

    Raises ControlProtocolError when the reply is no JSON object.
    """
    try:
        values = json.loads(data)
    except ValueError as e:
        raise ControlProtocolError(f"diagnostics are no JSON: {data[:32]!r}", request_type=100) from e
    if not isinstance(values, dict):
        raise ControlProtocolError("diagnostics are no JSON object", request_type=100)
    return {k: v for k, v in values.items() if isinstance(v, int)}
