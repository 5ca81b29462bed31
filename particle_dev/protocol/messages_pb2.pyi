from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceIdReply(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class SerialNumberReply(_message.Message):
    __slots__ = ("serial",)
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    serial: str
    def __init__(self, serial: _Optional[str] = ...) -> None: ...

class SystemVersionReply(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class NcpVersionReply(_message.Message):
    __slots__ = ("version", "module_version")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    module_version: int
    def __init__(self, version: _Optional[str] = ..., module_version: _Optional[int] = ...) -> None: ...

class CapabilitiesReply(_message.Message):
    __slots__ = ("flags",)
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    flags: int
    def __init__(self, flags: _Optional[int] = ...) -> None: ...

class SetFeatureRequest(_message.Message):
    __slots__ = ("feature", "enabled")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    feature: int
    enabled: bool
    def __init__(self, feature: _Optional[int] = ..., enabled: _Optional[bool] = ...) -> None: ...

class GetFeatureRequest(_message.Message):
    __slots__ = ("feature",)
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    feature: int
    def __init__(self, feature: _Optional[int] = ...) -> None: ...

class GetFeatureReply(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...

class DeviceModeReply(_message.Message):
    __slots__ = ("mode",)
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: int
    def __init__(self, mode: _Optional[int] = ...) -> None: ...

class SetDeviceSetupDoneRequest(_message.Message):
    __slots__ = ("done",)
    DONE_FIELD_NUMBER: _ClassVar[int]
    done: bool
    def __init__(self, done: _Optional[bool] = ...) -> None: ...

class IsDeviceSetupDoneReply(_message.Message):
    __slots__ = ("done",)
    DONE_FIELD_NUMBER: _ClassVar[int]
    done: bool
    def __init__(self, done: _Optional[bool] = ...) -> None: ...

class SetStartupModeRequest(_message.Message):
    __slots__ = ("mode",)
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: int
    def __init__(self, mode: _Optional[int] = ...) -> None: ...

class ProtectedStateReply(_message.Message):
    __slots__ = ("state", "overridden")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OVERRIDDEN_FIELD_NUMBER: _ClassVar[int]
    state: bool
    overridden: bool
    def __init__(self, state: _Optional[bool] = ..., overridden: _Optional[bool] = ...) -> None: ...

class SetProtectedStateRequest(_message.Message):
    __slots__ = ("action", "prepare", "confirm")
    class Prepare(_message.Message):
        __slots__ = ("server_nonce",)
        SERVER_NONCE_FIELD_NUMBER: _ClassVar[int]
        server_nonce: bytes
        def __init__(self, server_nonce: _Optional[bytes] = ...) -> None: ...
    class Confirm(_message.Message):
        __slots__ = ("server_signature", "server_public_key_fingerprint")
        SERVER_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        SERVER_PUBLIC_KEY_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
        server_signature: bytes
        server_public_key_fingerprint: bytes
        def __init__(self, server_signature: _Optional[bytes] = ..., server_public_key_fingerprint: _Optional[bytes] = ...) -> None: ...
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    action: int
    prepare: SetProtectedStateRequest.Prepare
    confirm: SetProtectedStateRequest.Confirm
    def __init__(self, action: _Optional[int] = ..., prepare: _Optional[_Union[SetProtectedStateRequest.Prepare, _Mapping]] = ..., confirm: _Optional[_Union[SetProtectedStateRequest.Confirm, _Mapping]] = ...) -> None: ...

class SetProtectedStateReply(_message.Message):
    __slots__ = ("prepare",)
    class Prepare(_message.Message):
        __slots__ = ("device_nonce", "device_signature", "device_public_key_fingerprint")
        DEVICE_NONCE_FIELD_NUMBER: _ClassVar[int]
        DEVICE_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        DEVICE_PUBLIC_KEY_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
        device_nonce: bytes
        device_signature: bytes
        device_public_key_fingerprint: bytes
        def __init__(self, device_nonce: _Optional[bytes] = ..., device_signature: _Optional[bytes] = ..., device_public_key_fingerprint: _Optional[bytes] = ...) -> None: ...
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    prepare: SetProtectedStateReply.Prepare
    def __init__(self, prepare: _Optional[_Union[SetProtectedStateReply.Prepare, _Mapping]] = ...) -> None: ...

class CloudConnectionStatusReply(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: int
    def __init__(self, status: _Optional[int] = ...) -> None: ...

class Dependency(_message.Message):
    __slots__ = ("type", "index", "version")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    type: int
    index: int
    version: int
    def __init__(self, type: _Optional[int] = ..., index: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class Asset(_message.Message):
    __slots__ = ("hash", "name", "size", "storage_size")
    HASH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    STORAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    name: str
    size: int
    storage_size: int
    def __init__(self, hash: _Optional[bytes] = ..., name: _Optional[str] = ..., size: _Optional[int] = ..., storage_size: _Optional[int] = ...) -> None: ...

class ModuleInfoReply(_message.Message):
    __slots__ = ("modules_deprecated", "modules")
    class LegacyModule(_message.Message):
        __slots__ = ("type", "index", "version", "size", "validity", "dependencies")
        TYPE_FIELD_NUMBER: _ClassVar[int]
        INDEX_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        VALIDITY_FIELD_NUMBER: _ClassVar[int]
        DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
        type: int
        index: int
        version: int
        size: int
        validity: int
        dependencies: _containers.RepeatedCompositeFieldContainer[Dependency]
        def __init__(self, type: _Optional[int] = ..., index: _Optional[int] = ..., version: _Optional[int] = ..., size: _Optional[int] = ..., validity: _Optional[int] = ..., dependencies: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ...) -> None: ...
    class Security(_message.Message):
        __slots__ = ("mode", "certificate_fingerprint")
        MODE_FIELD_NUMBER: _ClassVar[int]
        CERTIFICATE_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
        mode: int
        certificate_fingerprint: bytes
        def __init__(self, mode: _Optional[int] = ..., certificate_fingerprint: _Optional[bytes] = ...) -> None: ...
    class Module(_message.Message):
        __slots__ = ("type", "index", "version", "store", "max_size", "checked_flags", "passed_flags", "hash", "dependencies", "asset_dependencies", "size", "security")
        TYPE_FIELD_NUMBER: _ClassVar[int]
        INDEX_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        STORE_FIELD_NUMBER: _ClassVar[int]
        MAX_SIZE_FIELD_NUMBER: _ClassVar[int]
        CHECKED_FLAGS_FIELD_NUMBER: _ClassVar[int]
        PASSED_FLAGS_FIELD_NUMBER: _ClassVar[int]
        HASH_FIELD_NUMBER: _ClassVar[int]
        DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
        ASSET_DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        type: int
        index: int
        version: int
        store: int
        max_size: int
        checked_flags: int
        passed_flags: int
        hash: bytes
        dependencies: _containers.RepeatedCompositeFieldContainer[Dependency]
        asset_dependencies: _containers.RepeatedCompositeFieldContainer[Asset]
        size: int
        security: ModuleInfoReply.Security
        def __init__(self, type: _Optional[int] = ..., index: _Optional[int] = ..., version: _Optional[int] = ..., store: _Optional[int] = ..., max_size: _Optional[int] = ..., checked_flags: _Optional[int] = ..., passed_flags: _Optional[int] = ..., hash: _Optional[bytes] = ..., dependencies: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ..., asset_dependencies: _Optional[_Iterable[_Union[Asset, _Mapping]]] = ..., size: _Optional[int] = ..., security: _Optional[_Union[ModuleInfoReply.Security, _Mapping]] = ...) -> None: ...
    MODULES_DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    modules_deprecated: _containers.RepeatedCompositeFieldContainer[ModuleInfoReply.LegacyModule]
    modules: _containers.RepeatedCompositeFieldContainer[ModuleInfoReply.Module]
    def __init__(self, modules_deprecated: _Optional[_Iterable[_Union[ModuleInfoReply.LegacyModule, _Mapping]]] = ..., modules: _Optional[_Iterable[_Union[ModuleInfoReply.Module, _Mapping]]] = ...) -> None: ...

class AssetInfoReply(_message.Message):
    __slots__ = ("available", "required")
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    available: _containers.RepeatedCompositeFieldContainer[Asset]
    required: _containers.RepeatedCompositeFieldContainer[Asset]
    def __init__(self, available: _Optional[_Iterable[_Union[Asset, _Mapping]]] = ..., required: _Optional[_Iterable[_Union[Asset, _Mapping]]] = ...) -> None: ...

class SetClaimCodeRequest(_message.Message):
    __slots__ = ("code",)
    CODE_FIELD_NUMBER: _ClassVar[int]
    code: str
    def __init__(self, code: _Optional[str] = ...) -> None: ...

class IsClaimedReply(_message.Message):
    __slots__ = ("claimed",)
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    claimed: bool
    def __init__(self, claimed: _Optional[bool] = ...) -> None: ...

class SetSecurityKeyRequest(_message.Message):
    __slots__ = ("type", "data")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    type: int
    data: bytes
    def __init__(self, type: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class GetSecurityKeyRequest(_message.Message):
    __slots__ = ("type",)
    TYPE_FIELD_NUMBER: _ClassVar[int]
    type: int
    def __init__(self, type: _Optional[int] = ...) -> None: ...

class GetSecurityKeyReply(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class SetServerAddressRequest(_message.Message):
    __slots__ = ("protocol", "address", "port")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    address: str
    port: int
    def __init__(self, protocol: _Optional[int] = ..., address: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class GetServerAddressRequest(_message.Message):
    __slots__ = ("protocol",)
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    def __init__(self, protocol: _Optional[int] = ...) -> None: ...

class GetServerAddressReply(_message.Message):
    __slots__ = ("address", "port")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    address: str
    port: int
    def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class SetServerProtocolRequest(_message.Message):
    __slots__ = ("protocol",)
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    def __init__(self, protocol: _Optional[int] = ...) -> None: ...

class GetServerProtocolReply(_message.Message):
    __slots__ = ("protocol",)
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    def __init__(self, protocol: _Optional[int] = ...) -> None: ...

class SetSoftApSsidRequest(_message.Message):
    __slots__ = ("prefix", "suffix")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    suffix: str
    def __init__(self, prefix: _Optional[str] = ..., suffix: _Optional[str] = ...) -> None: ...

class EnvironmentReply(_message.Message):
    __slots__ = ("vars", "snapshot_hash")
    class Variable(_message.Message):
        __slots__ = ("name", "value", "is_app")
        NAME_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        IS_APP_FIELD_NUMBER: _ClassVar[int]
        name: str
        value: str
        is_app: bool
        def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., is_app: _Optional[bool] = ...) -> None: ...
    VARS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_HASH_FIELD_NUMBER: _ClassVar[int]
    vars: _containers.RepeatedCompositeFieldContainer[EnvironmentReply.Variable]
    snapshot_hash: bytes
    def __init__(self, vars: _Optional[_Iterable[_Union[EnvironmentReply.Variable, _Mapping]]] = ..., snapshot_hash: _Optional[bytes] = ...) -> None: ...

class ClearEnvironmentReply(_message.Message):
    __slots__ = ("need_reset",)
    NEED_RESET_FIELD_NUMBER: _ClassVar[int]
    need_reset: bool
    def __init__(self, need_reset: _Optional[bool] = ...) -> None: ...

class AddLogHandlerRequest(_message.Message):
    __slots__ = ("id", "handler_type", "level", "filters", "stream_type", "serial")
    class Filter(_message.Message):
        __slots__ = ("category", "level")
        CATEGORY_FIELD_NUMBER: _ClassVar[int]
        LEVEL_FIELD_NUMBER: _ClassVar[int]
        category: str
        level: int
        def __init__(self, category: _Optional[str] = ..., level: _Optional[int] = ...) -> None: ...
    class SerialParams(_message.Message):
        __slots__ = ("index", "baud_rate")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        BAUD_RATE_FIELD_NUMBER: _ClassVar[int]
        index: int
        baud_rate: int
        def __init__(self, index: _Optional[int] = ..., baud_rate: _Optional[int] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    HANDLER_TYPE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    STREAM_TYPE_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    id: str
    handler_type: int
    level: int
    filters: _containers.RepeatedCompositeFieldContainer[AddLogHandlerRequest.Filter]
    stream_type: int
    serial: AddLogHandlerRequest.SerialParams
    def __init__(self, id: _Optional[str] = ..., handler_type: _Optional[int] = ..., level: _Optional[int] = ..., filters: _Optional[_Iterable[_Union[AddLogHandlerRequest.Filter, _Mapping]]] = ..., stream_type: _Optional[int] = ..., serial: _Optional[_Union[AddLogHandlerRequest.SerialParams, _Mapping]] = ...) -> None: ...

class RemoveLogHandlerRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class LogHandlersReply(_message.Message):
    __slots__ = ("handlers",)
    class Handler(_message.Message):
        __slots__ = ("id",)
        ID_FIELD_NUMBER: _ClassVar[int]
        id: str
        def __init__(self, id: _Optional[str] = ...) -> None: ...
    HANDLERS_FIELD_NUMBER: _ClassVar[int]
    handlers: _containers.RepeatedCompositeFieldContainer[LogHandlersReply.Handler]
    def __init__(self, handlers: _Optional[_Iterable[_Union[LogHandlersReply.Handler, _Mapping]]] = ...) -> None: ...

class StartFirmwareUpdateRequest(_message.Message):
    __slots__ = ("size", "format")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    size: int
    format: int
    def __init__(self, size: _Optional[int] = ..., format: _Optional[int] = ...) -> None: ...

class StartFirmwareUpdateReply(_message.Message):
    __slots__ = ("chunk_size",)
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    chunk_size: int
    def __init__(self, chunk_size: _Optional[int] = ...) -> None: ...

class FinishFirmwareUpdateRequest(_message.Message):
    __slots__ = ("validate_only",)
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    validate_only: bool
    def __init__(self, validate_only: _Optional[bool] = ...) -> None: ...

class FirmwareUpdateDataRequest(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Ipv4Address(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: int
    def __init__(self, address: _Optional[int] = ...) -> None: ...

class Ipv6Address(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    def __init__(self, address: _Optional[bytes] = ...) -> None: ...

class InterfaceAddress(_message.Message):
    __slots__ = ("address", "prefix_length")
    class IpAddress(_message.Message):
        __slots__ = ("v4", "v6")
        V4_FIELD_NUMBER: _ClassVar[int]
        V6_FIELD_NUMBER: _ClassVar[int]
        v4: Ipv4Address
        v6: Ipv6Address
        def __init__(self, v4: _Optional[_Union[Ipv4Address, _Mapping]] = ..., v6: _Optional[_Union[Ipv6Address, _Mapping]] = ...) -> None: ...
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    address: InterfaceAddress.IpAddress
    prefix_length: int
    def __init__(self, address: _Optional[_Union[InterfaceAddress.IpAddress, _Mapping]] = ..., prefix_length: _Optional[int] = ...) -> None: ...

class Ipv4Config(_message.Message):
    __slots__ = ("addresses", "peer", "gateway", "dns", "source")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    DNS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedCompositeFieldContainer[InterfaceAddress]
    peer: Ipv4Address
    gateway: Ipv4Address
    dns: _containers.RepeatedCompositeFieldContainer[Ipv4Address]
    source: int
    def __init__(self, addresses: _Optional[_Iterable[_Union[InterfaceAddress, _Mapping]]] = ..., peer: _Optional[_Union[Ipv4Address, _Mapping]] = ..., gateway: _Optional[_Union[Ipv4Address, _Mapping]] = ..., dns: _Optional[_Iterable[_Union[Ipv4Address, _Mapping]]] = ..., source: _Optional[int] = ...) -> None: ...

class Ipv6Config(_message.Message):
    __slots__ = ("addresses", "dns", "source", "gateway")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    DNS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedCompositeFieldContainer[InterfaceAddress]
    dns: _containers.RepeatedCompositeFieldContainer[Ipv6Address]
    source: int
    gateway: Ipv6Address
    def __init__(self, addresses: _Optional[_Iterable[_Union[InterfaceAddress, _Mapping]]] = ..., dns: _Optional[_Iterable[_Union[Ipv6Address, _Mapping]]] = ..., source: _Optional[int] = ..., gateway: _Optional[_Union[Ipv6Address, _Mapping]] = ...) -> None: ...

class Interface(_message.Message):
    __slots__ = ("index", "name", "type", "flags", "ext_flags", "ipv4_config", "ipv6_config", "hw_address", "mtu", "metric", "profile")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    EXT_FLAGS_FIELD_NUMBER: _ClassVar[int]
    IPV4_CONFIG_FIELD_NUMBER: _ClassVar[int]
    IPV6_CONFIG_FIELD_NUMBER: _ClassVar[int]
    HW_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    index: int
    name: str
    type: int
    flags: int
    ext_flags: int
    ipv4_config: Ipv4Config
    ipv6_config: Ipv6Config
    hw_address: bytes
    mtu: int
    metric: int
    profile: bytes
    def __init__(self, index: _Optional[int] = ..., name: _Optional[str] = ..., type: _Optional[int] = ..., flags: _Optional[int] = ..., ext_flags: _Optional[int] = ..., ipv4_config: _Optional[_Union[Ipv4Config, _Mapping]] = ..., ipv6_config: _Optional[_Union[Ipv6Config, _Mapping]] = ..., hw_address: _Optional[bytes] = ..., mtu: _Optional[int] = ..., metric: _Optional[int] = ..., profile: _Optional[bytes] = ...) -> None: ...

class InterfaceListReply(_message.Message):
    __slots__ = ("interfaces",)
    class Entry(_message.Message):
        __slots__ = ("index", "name", "type")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        index: int
        name: str
        type: int
        def __init__(self, index: _Optional[int] = ..., name: _Optional[str] = ..., type: _Optional[int] = ...) -> None: ...
    INTERFACES_FIELD_NUMBER: _ClassVar[int]
    interfaces: _containers.RepeatedCompositeFieldContainer[InterfaceListReply.Entry]
    def __init__(self, interfaces: _Optional[_Iterable[_Union[InterfaceListReply.Entry, _Mapping]]] = ...) -> None: ...

class InterfaceRequest(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class InterfaceReply(_message.Message):
    __slots__ = ("interface",)
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    interface: Interface
    def __init__(self, interface: _Optional[_Union[Interface, _Mapping]] = ...) -> None: ...

class NetworkCredentialsRequest(_message.Message):
    __slots__ = ("ssid", "bssid", "security", "credentials", "hidden")
    class Credentials(_message.Message):
        __slots__ = ("type", "password")
        TYPE_FIELD_NUMBER: _ClassVar[int]
        PASSWORD_FIELD_NUMBER: _ClassVar[int]
        type: int
        password: str
        def __init__(self, type: _Optional[int] = ..., password: _Optional[str] = ...) -> None: ...
    SSID_FIELD_NUMBER: _ClassVar[int]
    BSSID_FIELD_NUMBER: _ClassVar[int]
    SECURITY_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    ssid: str
    bssid: bytes
    security: int
    credentials: NetworkCredentialsRequest.Credentials
    hidden: bool
    def __init__(self, ssid: _Optional[str] = ..., bssid: _Optional[bytes] = ..., security: _Optional[int] = ..., credentials: _Optional[_Union[NetworkCredentialsRequest.Credentials, _Mapping]] = ..., hidden: _Optional[bool] = ...) -> None: ...

class SsidRequest(_message.Message):
    __slots__ = ("ssid",)
    SSID_FIELD_NUMBER: _ClassVar[int]
    ssid: str
    def __init__(self, ssid: _Optional[str] = ...) -> None: ...

class KnownNetworksReply(_message.Message):
    __slots__ = ("networks",)
    class Network(_message.Message):
        __slots__ = ("ssid", "security", "credentials_type")
        SSID_FIELD_NUMBER: _ClassVar[int]
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        CREDENTIALS_TYPE_FIELD_NUMBER: _ClassVar[int]
        ssid: str
        security: int
        credentials_type: int
        def __init__(self, ssid: _Optional[str] = ..., security: _Optional[int] = ..., credentials_type: _Optional[int] = ...) -> None: ...
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    networks: _containers.RepeatedCompositeFieldContainer[KnownNetworksReply.Network]
    def __init__(self, networks: _Optional[_Iterable[_Union[KnownNetworksReply.Network, _Mapping]]] = ...) -> None: ...

class CurrentNetworkReply(_message.Message):
    __slots__ = ("ssid", "bssid", "channel", "rssi")
    SSID_FIELD_NUMBER: _ClassVar[int]
    BSSID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RSSI_FIELD_NUMBER: _ClassVar[int]
    ssid: str
    bssid: bytes
    channel: int
    rssi: int
    def __init__(self, ssid: _Optional[str] = ..., bssid: _Optional[bytes] = ..., channel: _Optional[int] = ..., rssi: _Optional[int] = ...) -> None: ...

class ScanNetworksReply(_message.Message):
    __slots__ = ("networks",)
    class Network(_message.Message):
        __slots__ = ("ssid", "bssid", "security", "channel", "rssi")
        SSID_FIELD_NUMBER: _ClassVar[int]
        BSSID_FIELD_NUMBER: _ClassVar[int]
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        CHANNEL_FIELD_NUMBER: _ClassVar[int]
        RSSI_FIELD_NUMBER: _ClassVar[int]
        ssid: str
        bssid: bytes
        security: int
        channel: int
        rssi: int
        def __init__(self, ssid: _Optional[str] = ..., bssid: _Optional[bytes] = ..., security: _Optional[int] = ..., channel: _Optional[int] = ..., rssi: _Optional[int] = ...) -> None: ...
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    networks: _containers.RepeatedCompositeFieldContainer[ScanNetworksReply.Network]
    def __init__(self, networks: _Optional[_Iterable[_Union[ScanNetworksReply.Network, _Mapping]]] = ...) -> None: ...

class AccessPoint(_message.Message):
    __slots__ = ("apn", "user", "password", "use_defaults")
    APN_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    USE_DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    apn: str
    user: str
    password: str
    use_defaults: bool
    def __init__(self, apn: _Optional[str] = ..., user: _Optional[str] = ..., password: _Optional[str] = ..., use_defaults: _Optional[bool] = ...) -> None: ...

class SetAccessPointRequest(_message.Message):
    __slots__ = ("sim_type", "access_point")
    SIM_TYPE_FIELD_NUMBER: _ClassVar[int]
    ACCESS_POINT_FIELD_NUMBER: _ClassVar[int]
    sim_type: int
    access_point: AccessPoint
    def __init__(self, sim_type: _Optional[int] = ..., access_point: _Optional[_Union[AccessPoint, _Mapping]] = ...) -> None: ...

class SimRequest(_message.Message):
    __slots__ = ("sim_type",)
    SIM_TYPE_FIELD_NUMBER: _ClassVar[int]
    sim_type: int
    def __init__(self, sim_type: _Optional[int] = ...) -> None: ...

class GetAccessPointReply(_message.Message):
    __slots__ = ("access_point",)
    ACCESS_POINT_FIELD_NUMBER: _ClassVar[int]
    access_point: AccessPoint
    def __init__(self, access_point: _Optional[_Union[AccessPoint, _Mapping]] = ...) -> None: ...

class ActiveSimReply(_message.Message):
    __slots__ = ("sim_type",)
    SIM_TYPE_FIELD_NUMBER: _ClassVar[int]
    sim_type: int
    def __init__(self, sim_type: _Optional[int] = ...) -> None: ...

class IccidReply(_message.Message):
    __slots__ = ("iccid", "imei")
    ICCID_FIELD_NUMBER: _ClassVar[int]
    IMEI_FIELD_NUMBER: _ClassVar[int]
    iccid: str
    imei: str
    def __init__(self, iccid: _Optional[str] = ..., imei: _Optional[str] = ...) -> None: ...
