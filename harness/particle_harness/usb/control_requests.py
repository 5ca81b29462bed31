"""Answers to control requests, by a board that runs Device OS.

Source: device-os v2.1.0 and v3.3.1 system/src/system_control_internal.cpp,
system/src/control/{config,storage,cloud}.cpp, system/src/system_info.cpp (diagnostics).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Protocol

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_harness.boot import FetchedModule
from particle_harness.firmware_update import CHUNK_SIZE_BYTES, FirmwareUpdate
from particle_harness.module_reader import Need
from particle_harness.usb.control_service import Outcome
from particle_harness.usb.wire import bytes_field, first_bytes, first_number, number_field

NOT_SUPPORTED = -120
# The enumeration of modules_deprecated differs from the module prefix's.
# Source: device-os v2.1.0 system/src/control/storage.cpp moduleFunctionToPb, control/proto/storage.pb.h.
_LEGACY_TYPES = {
    ModuleFunction.BOOTLOADER: 1,
    ModuleFunction.SYSTEM_PART: 2,
    ModuleFunction.USER_PART: 3,
    ModuleFunction.MONO_FIRMWARE: 4,
    ModuleFunction.NCP_FIRMWARE: 5,
    ModuleFunction.RADIO_STACK: 6,
}
INTEGRITY_CHECK_FAILED, DEPENDENCY_CHECK_FAILED = 1, 2
CRC_OF_ALL_MODULES_S = 0.06
"""Assumed time to check the CRC of every module, about 700 KB; not measured."""


class RunningSystem(Protocol):
    """What the answers need from the board."""

    @property
    def device_id(self) -> str:
        """24 lower-case hex digits."""

    @property
    def serial_number(self) -> str:
        """15 characters, as printed on the board."""

    @property
    def listening(self) -> bool:
        """Whether listening mode is on."""

    @property
    def device_os(self) -> str:
        """Release name of the running system."""

    @property
    def claimed(self) -> bool:
        """Claim flag of the configuration."""

    def modules(self) -> tuple[FetchedModule, ...]:
        """Modules as the system reports them."""

    def diagnostics(self) -> Mapping[str, int]:
        """Counters and states by name."""

    def cloud_status(self) -> int:
        """0 disconnected, 1 connecting, 2 connected."""

    def set_listening(self, on: bool) -> None:
        """Enter or leave listening mode."""

    def set_auto_connect(self, on: bool) -> None:
        """Set or clear the flag; clearing ends a session."""

    def abort_connecting(self) -> None:
        """Give up the present attempt; the flag stays."""

    def set_listen_at_next_boot(self, on: bool) -> None:
        """Remember a start-up mode."""

    @property
    def firmware_update(self) -> FirmwareUpdate:
        """The update that may be under way."""

    @property
    def restart(self) -> Callable[[str], None]:
        """Resets one second from now, into ``app``, ``dfu``, ``safe_mode`` or ``update``."""


Handler = Callable[[RunningSystem, bytes], Outcome]


def _text(value: str) -> bytes:
    return bytes_field(1, value.encode())


def _restart(into: str) -> Handler:
    def handle(system: RunningSystem, payload: bytes) -> Outcome:  # noqa: ARG001
        return Outcome(0, completion=lambda _result: system.restart(into))

    return handle


def _listening(on: bool) -> Handler:
    def handle(system: RunningSystem, payload: bytes) -> Outcome:  # noqa: ARG001
        system.set_listening(on)
        return Outcome(0)

    return handle


def _auto_connect(on: bool) -> Handler:
    def handle(system: RunningSystem, payload: bytes) -> Outcome:  # noqa: ARG001
        system.set_auto_connect(on)
        return Outcome(0)

    return handle


def _startup_mode(system: RunningSystem, payload: bytes) -> Outcome:
    system.set_listen_at_next_boot(first_number(payload, 1) == 1)
    return Outcome(0)


def _start_update(system: RunningSystem, payload: bytes) -> Outcome:
    result = system.firmware_update.start(first_number(payload, 1), first_number(payload, 2))
    return Outcome(result, b"" if result else number_field(1, CHUNK_SIZE_BYTES))


def _update_data(system: RunningSystem, payload: bytes) -> Outcome:
    return Outcome(system.firmware_update.data(first_bytes(payload, 1)))


def _finish_update(system: RunningSystem, payload: bytes) -> Outcome:
    validate_only = bool(first_number(payload, 1))
    result = system.firmware_update.finish(validate_only=validate_only)
    if result or validate_only:
        return Outcome(result)
    return Outcome(0, completion=lambda _result: system.restart("update"))


def _cancel_update(system: RunningSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    system.firmware_update.cancel()
    return Outcome(0)


def _diagnostics(system: RunningSystem, payload: bytes) -> Outcome:
    if payload:
        return Outcome(NOT_SUPPORTED)
    return Outcome(0, json.dumps(dict(system.diagnostics()), separators=(",", ":")).encode())


def _module_info(system: RunningSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    listed = (m for m in system.modules() if m.bounds.store == ModuleStore.MAIN)
    return Outcome(0, b"".join(bytes_field(1, _legacy_module(module)) for module in listed))


def _legacy_module(module: FetchedModule) -> bytes:
    prefix = module.prefix
    validity = 0 if ModuleValidity.INTEGRITY in module.passed else INTEGRITY_CHECK_FAILED
    validity |= 0 if ModuleValidity.DEPENDENCIES in module.passed else DEPENDENCY_CHECK_FAILED
    return (
        number_field(1, _LEGACY_TYPES.get(ModuleFunction(prefix.function), 0))
        + number_field(2, prefix.index)
        + number_field(3, prefix.version)
        + number_field(4, prefix.length)
        + number_field(5, validity)
        + b"".join(bytes_field(6, _legacy_need(need)) for need in (prefix.need1, prefix.need2) if need.function)
    )


def _legacy_need(need: Need) -> bytes:
    kind = _LEGACY_TYPES.get(ModuleFunction(need.function), 0)
    return number_field(1, kind) + number_field(2, need.index) + number_field(3, need.version)


_HANDLERS: dict[int, Handler] = {
    1: lambda _system, payload: Outcome(0, payload),
    20: lambda system, _payload: Outcome(0, _text(system.device_id)),
    21: lambda system, _payload: Outcome(0, _text(system.serial_number)),
    30: lambda system, _payload: Outcome(0, _text(system.device_os)),
    40: _restart("app"),
    50: _restart("dfu"),
    60: _restart("safe_mode"),
    70: _listening(True),
    71: _listening(False),
    72: lambda system, _payload: Outcome(0, number_field(1, int(system.listening))),
    75: _startup_mode,
    90: _module_info,
    100: _diagnostics,
    201: lambda system, _payload: Outcome(0, number_field(1, int(system.claimed))),
    250: _start_update,
    251: _finish_update,
    252: _cancel_update,
    253: _update_data,
    300: lambda system, _payload: Outcome(0, number_field(1, system.cloud_status())),
    301: _auto_connect(True),
    302: _auto_connect(False),
}
RESTARTS = frozenset({40, 50, 60})
"""Requests whose INIT alone ends network connections and clears the auto-connect flag."""
START_LISTENING, START_FIRMWARE_UPDATE = 70, 250


def answer(system: RunningSystem, request_type: int, payload: bytes) -> Outcome:
    """Carry out a request; those a board does not know get NOT_SUPPORTED."""
    handler = _HANDLERS.get(request_type)
    return handler(system, payload) if handler else Outcome(NOT_SUPPORTED)


def duration_s(system: RunningSystem, request_type: int, payload: bytes) -> float:
    """How long the device works on a request."""
    if request_type == START_FIRMWARE_UPDATE:
        return system.firmware_update.erase_s(first_number(payload, 1))
    return CRC_OF_ALL_MODULES_S if request_type == 90 else 0.002
