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

class DeviceModeReply(_message.Message):
    __slots__ = ("mode",)
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: int
    def __init__(self, mode: _Optional[int] = ...) -> None: ...

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
    class Module(_message.Message):
        __slots__ = ("type", "index", "version", "store", "max_size", "checked_flags", "passed_flags", "hash", "dependencies", "size")
        TYPE_FIELD_NUMBER: _ClassVar[int]
        INDEX_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        STORE_FIELD_NUMBER: _ClassVar[int]
        MAX_SIZE_FIELD_NUMBER: _ClassVar[int]
        CHECKED_FLAGS_FIELD_NUMBER: _ClassVar[int]
        PASSED_FLAGS_FIELD_NUMBER: _ClassVar[int]
        HASH_FIELD_NUMBER: _ClassVar[int]
        DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        type: int
        index: int
        version: int
        store: int
        max_size: int
        checked_flags: int
        passed_flags: int
        hash: bytes
        dependencies: _containers.RepeatedCompositeFieldContainer[Dependency]
        size: int
        def __init__(self, type: _Optional[int] = ..., index: _Optional[int] = ..., version: _Optional[int] = ..., store: _Optional[int] = ..., max_size: _Optional[int] = ..., checked_flags: _Optional[int] = ..., passed_flags: _Optional[int] = ..., hash: _Optional[bytes] = ..., dependencies: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ..., size: _Optional[int] = ...) -> None: ...
    MODULES_DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    modules_deprecated: _containers.RepeatedCompositeFieldContainer[ModuleInfoReply.LegacyModule]
    modules: _containers.RepeatedCompositeFieldContainer[ModuleInfoReply.Module]
    def __init__(self, modules_deprecated: _Optional[_Iterable[_Union[ModuleInfoReply.LegacyModule, _Mapping]]] = ..., modules: _Optional[_Iterable[_Union[ModuleInfoReply.Module, _Mapping]]] = ...) -> None: ...
