"""Requests 550 to 554: the modem.

Source: device-os v5.7.0 and v6.2.0 system/src/control/cellular.cpp.
"""

from __future__ import annotations

from particle_harness.modem import EXTERNAL_SIM, INTERNAL_SIM
from particle_harness.network_trouble import MODEM_DEAD, SIM_DEAD
from particle_harness.running import BoardSystem
from particle_harness.usb.control_service import Outcome
from particle_harness.usb.decoder import ENUMERATION, FLAG, Data, Message, decode, text_of
from particle_harness.usb.requests.handler import INVALID_ARGUMENT, Row, done
from particle_harness.usb.wire import bytes_field, number_field, text_field

FIRST_WITH_IMEI = 5800
TIMEOUT, AT_NOT_OK = -160, -1200
_SIMS = (INTERNAL_SIM, EXTERNAL_SIM)
_TEXTS = ("apn", "user", "password")
_ACCESS_POINT = Message({1: Data(), 2: Data(), 3: Data(), 4: FLAG})


def _set_access_point(system: BoardSystem, payload: bytes) -> Outcome:
    asked = decode(payload, {1: ENUMERATION, 2: _ACCESS_POINT})
    sim, point = asked.get(1), asked.get(2, {})
    texts = {name: text_of(point, number) for number, name in enumerate(_TEXTS, start=1)}
    if sim not in _SIMS:
        return Outcome(INVALID_ARGUMENT)
    system.modem.set_access_point(sim, None if point.get(4) else texts)
    return done()


def _access_point(system: BoardSystem, payload: bytes) -> Outcome:
    sim = decode(payload, {1: ENUMERATION}).get(1)
    if sim not in _SIMS:
        return Outcome(INVALID_ARGUMENT)
    texts = system.modem.access_point(sim)
    if texts is None:
        return Outcome(0, bytes_field(1, number_field(4, 1)))
    point = b"".join(text_field(number, texts[name]) for number, name in enumerate(_TEXTS, start=1))
    return Outcome(0, bytes_field(1, point))


def _set_active_sim(system: BoardSystem, payload: bytes) -> Outcome:
    # Nothing is refused here.
    system.modem.active_sim = decode(payload, {1: ENUMERATION}).get(1, 0)
    return done()


def _ids(system: BoardSystem, payload: bytes) -> Outcome:  # noqa: ARG001
    if system.has_network_trouble(MODEM_DEAD):
        return Outcome(TIMEOUT)
    if system.has_network_trouble(SIM_DEAD):
        return Outcome(AT_NOT_OK)
    ids = system.modem.power_on_and_identify()
    imei = text_field(2, ids.imei) if system.version >= FIRST_WITH_IMEI else b""
    return Outcome(0, text_field(1, ids.iccid) + imei)


ROWS = {
    550: Row(_set_access_point, None, needs="cellular"),
    551: Row(_access_point, None, needs="cellular"),
    552: Row(_set_active_sim, None, needs="cellular"),
    553: Row(lambda system, _payload: Outcome(0, number_field(1, system.modem.active_sim)), None, needs="cellular"),
    554: Row(_ids, None, needs="cellular"),
}
DURATIONS_S = {554: 8.0}
"""A modem that was off; assumed, not measured."""
