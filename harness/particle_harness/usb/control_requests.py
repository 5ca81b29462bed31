"""Answers to control requests, by a board that runs Device OS: what does not belong to a subject of its own.

Source: device-os v2.1.0 to v6.2.0 system/src/system_control_internal.cpp; v2.1.0 and v3.3.1
system/src/control/{storage,cloud}.cpp, system/src/system_info.cpp (diagnostics).
The Wi-Fi, network and storage requests of Gen 2 before 2.0.0 (110 to 122, 260 to 264) and those of mesh networks are
left out: boards answer NOT_SUPPORTED.
"""

from __future__ import annotations

import json

from particle_harness.firmware_update import CHUNK_SIZE_BYTES
from particle_harness.running import BoardSystem
from particle_harness.usb.control_service import Outcome
from particle_harness.usb.decoder import ENUMERATION, FLAG, Data, Fields, MalformedError, Number, decode
from particle_harness.usb.requests import cellular, config, modules, network, protection, wifi
from particle_harness.usb.requests.handler import BAD_DATA, NOT_SUPPORTED, Handler, Row, done
from particle_harness.usb.wire import bytes_field, number_field

_START_UPDATE: Fields = {1: Number(), 2: ENUMERATION}


def _text(value: str) -> bytes:
    return bytes_field(1, value.encode())


def _restart(into: str) -> Handler:
    def handle(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
        return Outcome(0, completion=lambda _result: system.restart(into))

    return handle


def _start_listening(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    return Outcome(system.start_listening())


def _stop_listening(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    system.set_listening(False)
    return done()


def _auto_connect(on: bool) -> Handler:
    def handle(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
        system.set_auto_connect(on)
        return done()

    return handle


def _startup_mode(system: BoardSystem, payload: bytes) -> Outcome:
    system.set_listen_at_next_boot(decode(payload, {1: ENUMERATION}).get(1) == 1)
    return done()


def _start_update(system: BoardSystem, payload: bytes) -> Outcome:
    asked = decode(payload, _START_UPDATE)
    result = system.firmware_update.start(asked.get(1, 0), asked.get(2, 0))
    return Outcome(result, b"" if result else number_field(1, CHUNK_SIZE_BYTES))


def _update_data(system: BoardSystem, payload: bytes) -> Outcome:
    try:
        chunk = decode(payload, {1: Data()}).get(1, b"")
    except MalformedError:
        system.firmware_update.cancel()
        raise
    return Outcome(system.firmware_update.data(chunk))


def _finish_update(system: BoardSystem, payload: bytes) -> Outcome:
    try:
        validate_only = bool(decode(payload, {1: FLAG}).get(1))
    except MalformedError:
        system.firmware_update.cancel()
        raise
    result = system.firmware_update.finish(validate_only=validate_only)
    if result or validate_only:
        return Outcome(result)
    if not system.firmware_update.answers_first:
        return Outcome(0, completion=lambda _result: system.restart("update"))
    return Outcome(0, completion=lambda _result: system.install_update())


def _cancel_update(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    system.firmware_update.cancel()
    return done()


def _diagnostics(system: BoardSystem, payload: bytes) -> Outcome:
    if payload:
        return Outcome(NOT_SUPPORTED)
    return Outcome(0, json.dumps(dict(system.diagnostics()), separators=(",", ":")).encode())


_GEN2_MERGED = 1100
_ROWS: dict[int, Row] = {
    1: Row(lambda _system, payload: Outcome(0, payload), 1500, 1500),
    10: Row(lambda system, payload: Outcome(*system.application.custom_request(payload))),
    20: Row(lambda system, _payload: Outcome(0, _text(system.device_id)), _GEN2_MERGED),
    21: Row(lambda system, _payload: Outcome(0, _text(system.serial_number)), 1500),
    30: Row(lambda system, _payload: Outcome(0, _text(system.device_os)), _GEN2_MERGED),
    40: Row(_restart("app")),
    41: Row(_restart("factory_reset")),
    50: Row(_restart("dfu")),
    60: Row(_restart("safe_mode")),
    70: Row(_start_listening),
    71: Row(_stop_listening),
    72: Row(lambda system, _payload: Outcome(0, number_field(1, int(system.listening))), _GEN2_MERGED),
    75: Row(_startup_mode, _GEN2_MERGED),
    80: Row(lambda system, payload: Outcome(*system.application.log_config(payload))),
    100: Row(_diagnostics),
    250: Row(_start_update),
    251: Row(_finish_update),
    252: Row(_cancel_update),
    253: Row(_update_data),
    300: Row(lambda system, _payload: Outcome(0, number_field(1, system.cloud_status())), _GEN2_MERGED),
    301: Row(_auto_connect(True), _GEN2_MERGED),
    302: Row(_auto_connect(False), _GEN2_MERGED),
    **config.ROWS,
    **protection.ROWS,
    **modules.ROWS,
    **network.ROWS,
    **wifi.ROWS,
    **cellular.ROWS,
}
_DURATIONS_S = {**modules.DURATIONS_S, **wifi.DURATIONS_S, **cellular.DURATIONS_S}
_SHORTEST_S = 0.002
RESTARTS = frozenset({40, 41, 50, 60})
"""Requests whose INIT alone ends network connections and clears the auto-connect flag."""
START_LISTENING, START_FIRMWARE_UPDATE, FINISH_FIRMWARE_UPDATE = 70, 250, 251


def answer(system: BoardSystem, request_type: int, payload: bytes) -> Outcome:
    """Carry out a request; those that a board does not know get NOT_SUPPORTED, those that cannot be read BAD_DATA."""
    if protection.is_refused(system, request_type):
        return Outcome(protection.PROTECTED)
    row = _ROWS.get(request_type)
    if row is None or not row.known_to(system):
        return Outcome(NOT_SUPPORTED)
    try:
        return row.handler(system, payload)
    except MalformedError:
        return Outcome(BAD_DATA)


def duration_s(system: BoardSystem, request_type: int, payload: bytes) -> float:
    """How long the device works on a request."""
    row = _ROWS.get(request_type)
    if row is None or not row.known_to(system) or protection.is_refused(system, request_type):
        return _SHORTEST_S
    if request_type == FINISH_FIRMWARE_UPDATE and not system.firmware_update.answers_first:
        return system.ncp_update_s if system.firmware_update.programs_ncp else _SHORTEST_S
    if request_type == START_FIRMWARE_UPDATE:
        try:
            return system.firmware_update.erase_s(decode(payload, _START_UPDATE).get(1, 0))
        except MalformedError:
            return _SHORTEST_S
    return _DURATIONS_S.get(request_type, _SHORTEST_S)
