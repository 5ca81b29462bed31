"""The npm package @particle/device-os-protobuf 2.9.0 encodes what we decode and decodes what we encode: every message,
every field, every request number, every enumeration."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.requests import ControlRequest
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages import LEGACY_FUNCTIONS, Capability, CloudStatus
from particle_dev.protocol.messages_config import Feature, ProtectionAction, SecurityKey, ServerProtocol, StartupMode
from particle_dev.protocol.messages_network import ConfigurationSource, InterfaceFlag, InterfaceType
from particle_dev.protocol.messages_radio import Sim, WifiSecurity

Values = dict[str, Any]
Ask = Callable[[list[Values]], list[Any]]

# Ours, and theirs of the same shape.
PAIRS: list[tuple[type[Message], str]] = [
    (pb.DeviceIdReply, "GetDeviceIdReply"),
    (pb.SerialNumberReply, "GetSerialNumberReply"),
    (pb.SystemVersionReply, "GetSystemVersionReply"),
    (pb.NcpVersionReply, "GetNcpFirmwareVersionReply"),
    (pb.CapabilitiesReply, "GetSystemCapabilitiesReply"),
    (pb.SetFeatureRequest, "SetFeatureRequest"),
    (pb.GetFeatureRequest, "GetFeatureRequest"),
    (pb.GetFeatureReply, "GetFeatureReply"),
    (pb.DeviceModeReply, "GetDeviceModeReply"),
    (pb.SetDeviceSetupDoneRequest, "SetDeviceSetupDoneRequest"),
    (pb.IsDeviceSetupDoneReply, "IsDeviceSetupDoneReply"),
    (pb.SetStartupModeRequest, "SetStartupModeRequest"),
    (pb.SetSoftApSsidRequest, "SetSoftApSsidRequest"),
    (pb.AddLogHandlerRequest, "logging.AddLogHandlerRequest"),
    (pb.RemoveLogHandlerRequest, "logging.RemoveLogHandlerRequest"),
    (pb.LogHandlersReply, "logging.GetLogHandlersReply"),
    (pb.ProtectedStateReply, "GetProtectedStateReply"),
    (pb.SetProtectedStateRequest, "SetProtectedStateRequest"),
    (pb.SetProtectedStateReply, "SetProtectedStateReply"),
    (pb.CloudConnectionStatusReply, "cloud.GetConnectionStatusReply"),
    (pb.ModuleInfoReply, "GetModuleInfoReply"),
    (pb.AssetInfoReply, "GetAssetInfoReply"),
    (pb.SetClaimCodeRequest, "SetClaimCodeRequest"),
    (pb.IsClaimedReply, "IsClaimedReply"),
    (pb.SetSecurityKeyRequest, "SetSecurityKeyRequest"),
    (pb.GetSecurityKeyRequest, "GetSecurityKeyRequest"),
    (pb.GetSecurityKeyReply, "GetSecurityKeyReply"),
    (pb.SetServerAddressRequest, "SetServerAddressRequest"),
    (pb.GetServerAddressRequest, "GetServerAddressRequest"),
    (pb.GetServerAddressReply, "GetServerAddressReply"),
    (pb.SetServerProtocolRequest, "SetServerProtocolRequest"),
    (pb.GetServerProtocolReply, "GetServerProtocolReply"),
    (pb.StartFirmwareUpdateRequest, "StartFirmwareUpdateRequest"),
    (pb.StartFirmwareUpdateReply, "StartFirmwareUpdateReply"),
    (pb.FinishFirmwareUpdateRequest, "FinishFirmwareUpdateRequest"),
    (pb.FirmwareUpdateDataRequest, "FirmwareUpdateDataRequest"),
    (pb.InterfaceListReply, "GetInterfaceListReply"),
    (pb.InterfaceRequest, "GetInterfaceRequest"),
    (pb.InterfaceReply, "GetInterfaceReply"),
    (pb.NetworkCredentialsRequest, "wifi.JoinNewNetworkRequest"),
    (pb.NetworkCredentialsRequest, "wifi.SetNetworkCredentialsRequest"),
    (pb.SsidRequest, "wifi.JoinKnownNetworkRequest"),
    (pb.SsidRequest, "wifi.RemoveKnownNetworkRequest"),
    (pb.KnownNetworksReply, "wifi.GetKnownNetworksReply"),
    (pb.CurrentNetworkReply, "wifi.GetCurrentNetworkReply"),
    (pb.ScanNetworksReply, "wifi.ScanNetworksReply"),
    (pb.SetAccessPointRequest, "cellular.SetAccessPointRequest"),
    (pb.SimRequest, "cellular.GetAccessPointRequest"),
    (pb.SimRequest, "cellular.SetActiveSimRequest"),
    (pb.GetAccessPointReply, "cellular.GetAccessPointReply"),
    (pb.ActiveSimReply, "cellular.GetActiveSimReply"),
    (pb.IccidReply, "cellular.GetIccidReply"),
]

REQUEST_NAMES = {
    "GetDeviceIdRequest": ControlRequest.DEVICE_ID,
    "GetSerialNumberRequest": ControlRequest.SERIAL_NUMBER,
    "GetSystemVersionRequest": ControlRequest.SYSTEM_VERSION,
    "GetNcpFirmwareVersionRequest": ControlRequest.NCP_FIRMWARE_VERSION,
    "GetSystemCapabilitiesRequest": ControlRequest.GET_SYSTEM_CAPABILITIES,
    "SetFeatureRequest": ControlRequest.SET_FEATURE,
    "GetFeatureRequest": ControlRequest.GET_FEATURE,
    "SystemResetRequest": ControlRequest.RESET,
    "StartListeningModeRequest": ControlRequest.START_LISTENING,
    "StopListeningModeRequest": ControlRequest.STOP_LISTENING,
    "GetDeviceModeRequest": ControlRequest.GET_DEVICE_MODE,
    "SetDeviceSetupDoneRequest": ControlRequest.SET_DEVICE_SETUP_DONE,
    "IsDeviceSetupDoneRequest": ControlRequest.IS_DEVICE_SETUP_DONE,
    "SetStartupModeRequest": ControlRequest.SET_STARTUP_MODE,
    "SetSoftApSsidRequest": ControlRequest.SET_SOFTAP_SSID,
    "logging.AddLogHandlerRequest": ControlRequest.ADD_LOG_HANDLER,
    "logging.RemoveLogHandlerRequest": ControlRequest.REMOVE_LOG_HANDLER,
    "logging.GetLogHandlersRequest": ControlRequest.GET_LOG_HANDLERS,
    "GetProtectedStateRequest": ControlRequest.GET_PROTECTED_STATE,
    "SetProtectedStateRequest": ControlRequest.SET_PROTECTED_STATE,
    "GetModuleInfoRequest": ControlRequest.MODULE_INFO,
    "GetAssetInfoRequest": ControlRequest.ASSET_INFO,
    "SetClaimCodeRequest": ControlRequest.SET_CLAIM_CODE,
    "IsClaimedRequest": ControlRequest.IS_CLAIMED,
    "SetSecurityKeyRequest": ControlRequest.SET_SECURITY_KEY,
    "GetSecurityKeyRequest": ControlRequest.GET_SECURITY_KEY,
    "SetServerAddressRequest": ControlRequest.SET_SERVER_ADDRESS,
    "GetServerAddressRequest": ControlRequest.GET_SERVER_ADDRESS,
    "SetServerProtocolRequest": ControlRequest.SET_SERVER_PROTOCOL,
    "GetServerProtocolRequest": ControlRequest.GET_SERVER_PROTOCOL,
    "StartNyanSignalRequest": ControlRequest.START_NYAN_SIGNAL,
    "StopNyanSignalRequest": ControlRequest.STOP_NYAN_SIGNAL,
    "StartFirmwareUpdateRequest": ControlRequest.START_FIRMWARE_UPDATE,
    "FinishFirmwareUpdateRequest": ControlRequest.FINISH_FIRMWARE_UPDATE,
    "CancelFirmwareUpdateRequest": ControlRequest.CANCEL_FIRMWARE_UPDATE,
    "FirmwareUpdateDataRequest": ControlRequest.FIRMWARE_UPDATE_DATA,
    "cloud.GetConnectionStatusRequest": ControlRequest.CLOUD_CONNECTION_STATUS,
    "cloud.ConnectRequest": ControlRequest.CLOUD_CONNECT,
    "cloud.DisconnectRequest": ControlRequest.CLOUD_DISCONNECT,
    "GetInterfaceListRequest": ControlRequest.NETWORK_INTERFACE_LIST,
    "GetInterfaceRequest": ControlRequest.NETWORK_INTERFACE,
    "wifi.JoinNewNetworkRequest": ControlRequest.WIFI_JOIN_NEW_NETWORK,
    "wifi.JoinKnownNetworkRequest": ControlRequest.WIFI_JOIN_KNOWN_NETWORK,
    "wifi.GetKnownNetworksRequest": ControlRequest.WIFI_GET_KNOWN_NETWORKS,
    "wifi.RemoveKnownNetworkRequest": ControlRequest.WIFI_REMOVE_KNOWN_NETWORK,
    "wifi.ClearKnownNetworksRequest": ControlRequest.WIFI_CLEAR_KNOWN_NETWORKS,
    "wifi.GetCurrentNetworkRequest": ControlRequest.WIFI_GET_CURRENT_NETWORK,
    "wifi.ScanNetworksRequest": ControlRequest.WIFI_SCAN_NETWORKS,
    "wifi.SetNetworkCredentialsRequest": ControlRequest.WIFI_SET_NETWORK_CREDENTIALS,
    "cellular.SetAccessPointRequest": ControlRequest.CELLULAR_SET_ACCESS_POINT,
    "cellular.GetAccessPointRequest": ControlRequest.CELLULAR_GET_ACCESS_POINT,
    "cellular.SetActiveSimRequest": ControlRequest.CELLULAR_SET_ACTIVE_SIM,
    "cellular.GetActiveSimRequest": ControlRequest.CELLULAR_GET_ACTIVE_SIM,
    "cellular.GetIccidRequest": ControlRequest.CELLULAR_GET_ICCID,
}
WITHOUT_A_MESSAGE = {
    ControlRequest.ECHO,
    ControlRequest.APP_CUSTOM,
    ControlRequest.FACTORY_RESET,
    ControlRequest.DFU_MODE,
    ControlRequest.SAFE_MODE,
    ControlRequest.LOG_CONFIG,
    ControlRequest.DIAGNOSTIC_INFO,
    # Newer than the judge.
    ControlRequest.ENV_GET,
    ControlRequest.ENV_CLEAR,
}
NEWER_THAN_THE_JUDGE = {"EnvironmentReply", "ClearEnvironmentReply"}

ENUMS = {
    "ctrl.DeviceMode": StartupMode,
    "ctrl.Feature": Feature,
    "ctrl.SecurityKeyType": SecurityKey,
    "ctrl.ServerProtocolType": ServerProtocol,
    "ctrl.SetProtectedStateRequest.Action": ProtectionAction,
    "ctrl.SystemCapabilityFlag": Capability,
    "ctrl.cloud.ConnectionStatus": CloudStatus,
    "ctrl.InterfaceType": InterfaceType,
    "ctrl.InterfaceFlag": InterfaceFlag,
    "ctrl.InterfaceConfigurationSource": ConfigurationSource,
    "ctrl.wifi.Security": WifiSecurity,
    "ctrl.cellular.SimType": Sim,
    "cloud.FirmwareModuleType": ModuleFunction,
    "cloud.FirmwareModuleStore": ModuleStore,
}
"""Zero may stand for nothing on either side."""


@pytest.fixture(scope="module")
def ask(node_modules: Path) -> Ask:
    package = node_modules / "@particle" / "device-os-protobuf" / "package.json"
    assert json.loads(package.read_text())["version"] == "2.9.0"

    def run(requests: list[Values]) -> list[Any]:
        done = subprocess.run(
            ["node", str(Path(__file__).with_name("device_os_protobuf.js"))],
            input=json.dumps(requests),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "NODE_PATH": str(node_modules)},
        )
        return json.loads(done.stdout)

    return run


def camel(name: str) -> str:
    """protobufjs renames fields so."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def samples(kind: Descriptor, depth: int = 0) -> Iterator[Values]:
    """Messages as protobufjs sees them, with every field set to a value of its own; one for each choice of a oneof."""
    choices = max((len(oneof.fields) for oneof in kind.oneofs), default=1)
    for choice in range(choices):
        values: Values = {}
        for field in kind.fields:
            oneof = field.containing_oneof
            if oneof is not None and oneof.fields.index(field) != choice % len(oneof.fields):
                continue
            values[camel(field.name)] = sample_value(field, depth)
        yield values


def sample_value(field: FieldDescriptor, depth: int) -> Any:
    def one(n: int) -> Any:
        number = field.number * 10 + n
        match field.type:
            case FieldDescriptor.TYPE_MESSAGE:
                found = list(samples(field.message_type, depth + 1))
                return found[n % len(found)]
            case FieldDescriptor.TYPE_BYTES:
                return {"hex": bytes([number, 0, 255]).hex()}
            case FieldDescriptor.TYPE_STRING:
                return f"{field.name} é {number}"
            case FieldDescriptor.TYPE_BOOL:
                return True
            case FieldDescriptor.TYPE_INT32:
                return -number
            case FieldDescriptor.TYPE_FIXED32:
                return 0xC0A80000 + number
        # Big, except where the other side may want one of its enumeration.
        return number

    return [one(0), one(1)] if field.is_repeated else one(0)


def as_values(message: Message) -> Values:
    """Our message in the same form."""

    def value(field: FieldDescriptor, item: Any) -> Any:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            return as_values(item)
        return {"hex": item.hex()} if field.type == FieldDescriptor.TYPE_BYTES else item

    return {
        camel(field.name): [value(field, i) for i in item] if field.is_repeated else value(field, item)
        for field, item in message.ListFields()
    }


def build(message: Message, values: Values) -> Message:
    """``message`` with these values; nothing of theirs goes through, so unknown fields cannot pass unseen."""
    for field in message.DESCRIPTOR.fields:
        if camel(field.name) not in values:
            continue
        item = values[camel(field.name)]
        for one in item if field.is_repeated else [item]:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                target = getattr(message, field.name)
                build(target.add() if field.is_repeated else target, one)
            else:
                setattr(message, field.name, bytes.fromhex(one["hex"]) if isinstance(one, dict) else one)
    return message


def every_sample() -> list[tuple[type[Message], str, Values]]:
    return [(ours, theirs, values) for ours, theirs in PAIRS for values in samples(ours.DESCRIPTOR)]


def test_what_they_encode_we_decode_and_encode_alike(ask: Ask) -> None:
    cases = every_sample()
    answers = ask([{"op": "encode", "name": theirs, "value": values} for _, theirs, values in cases])
    for (ours, theirs, values), encoded in zip(cases, answers, strict=True):
        message = ours.FromString(bytes.fromhex(encoded))
        assert as_values(message) == values, theirs
        assert message.SerializeToString().hex() == encoded, theirs


def test_what_we_encode_they_decode(ask: Ask) -> None:
    cases = every_sample()
    questions = [
        {"op": "decode", "name": theirs, "value": build(ours(), values).SerializeToString().hex()}
        for ours, theirs, values in cases
    ]
    for (_, theirs, values), decoded in zip(cases, ask(questions), strict=True):
        assert decoded == values, theirs


def test_every_message_of_ours_has_a_judge() -> None:
    parts = {"Dependency", "Asset", "Ipv4Address", "Ipv6Address", "InterfaceAddress", "Ipv4Config", "Ipv6Config"}
    parts |= {"Interface", "AccessPoint"}
    assert {ours.DESCRIPTOR.name for ours, _ in PAIRS} | parts | NEWER_THAN_THE_JUDGE == set(
        pb.DESCRIPTOR.message_types_by_name
    )


def test_request_numbers(ask: Ask) -> None:
    answers = ask([{"op": "id", "name": name} for name in REQUEST_NAMES])
    assert dict(zip(REQUEST_NAMES, answers, strict=True)) == REQUEST_NAMES
    assert set(REQUEST_NAMES.values()) | WITHOUT_A_MESSAGE == set(ControlRequest)


def test_enumerations(ask: Ask) -> None:
    answers = ask([{"op": "enum", "name": name} for name in ENUMS])
    for (name, ours), theirs in zip(ENUMS.items(), answers, strict=True):
        assert {member.value for member in ours} | {0} == set(theirs.values()) | {0}, name


def test_numbers_of_old_module_info(ask: Ask) -> None:
    legacy, validity = ask(
        [
            {"op": "enum", "name": "ctrl.FirmwareModuleType"},
            {"op": "enum", "name": "cloud.FirmwareModuleValidityFlag"},
        ]
    )
    names = {"BOOTLOADER", "SYSTEM_PART", "USER_PART", "MONO_FIRMWARE", "NCP_FIRMWARE", "RADIO_STACK"}
    assert {legacy[name]: ModuleFunction[name] for name in names} == LEGACY_FUNCTIONS
    # The device makes two more checks that it does not report to the cloud by name.
    assert set(validity.values()) - {0} == {f.value for f in ModuleValidity} - {0x20, 0x40}
