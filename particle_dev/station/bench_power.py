"""The key ``power`` of a slot in a bench file: what switches the supply of its USB port. Without it nothing does::

power = { by = "operator" }                                # asks somebody, and looks whether it was done
power = { by = "uhubctl", hub = "1-1.4", port = 2 }        # a hub that switches power per port; `uhubctl` lists them
power = { by = "ykush", serial = "YK21234", port = 1, model = "ykush3" }       # model: ykush (default), ykush2, …
power = { by = "serial_relay", port = "/dev/ttyUSB0", baud = 9600, on = "a0 01 01 a2", off = "a0 01 00 a1",
          answer_on = "…", answer_off = "…" }              # bytes in hex; the answers are optional
power = { by = "http_relay", on = "http://10.0.0.7/cm?cmnd=Power1%20On", off = "http://10.0.0.7/cm?cmnd=Power1%20Off",
          answer_on = '"POWER":"ON"', answer_off = '"POWER":"OFF"' }           # the answers are optional
                                                           # http://USER:PASSWORD@10.0.0.7/… for one that asks
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from particle_dev.errors import ConfigError
from particle_dev.toml_file import suggestion
from particle_dev.transport.base import Clock, SerialHost
from particle_dev.transport.power import OperatorPower, PowerControl, ProvenPower
from particle_dev.transport.power_programs import YKUSH_MODELS, UhubctlPower, YkushPower
from particle_dev.transport.power_relays import HttpRelayPower, SerialRelayPower

_TEXT, _NUMBER, _HEX, _URL = "text", "a whole number from 1", "bytes in hex", "a URL that begins with http"
_KEYS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    # what switches: keys it must have, keys it may have
    "operator": ({}, {}),
    "uhubctl": ({"hub": _TEXT, "port": _NUMBER}, {"program": _TEXT}),
    "ykush": ({"serial": _TEXT, "port": _NUMBER}, {"model": _TEXT, "program": _TEXT}),
    "serial_relay": (
        {"port": _TEXT, "baud": _NUMBER, "on": _HEX, "off": _HEX},
        {"answer_on": _HEX, "answer_off": _HEX},
    ),
    "http_relay": ({"on": _URL, "off": _URL}, {"answer_on": _TEXT, "answer_off": _TEXT}),
}
_HIGHEST_UHUBCTL_PORT = 9
"""uhubctl takes one digit for each port. Source: mvp/uhubctl uhubctl.c main, option p."""


def slot_power(
    table: object, slot: str, is_there: Callable[[], bool], clock: Clock, serial: SerialHost
) -> PowerControl:
    """The switch that ``power`` of a slot describes. ``is_there``: is a device at the slot's port? Nothing is switched
    or opened yet. Raises ConfigError."""
    keys = _checked(table, slot)
    switch: PowerControl
    match keys["by"]:
        case "operator":
            return OperatorPower(slot, is_there, clock)
        case "uhubctl":
            switch = UhubctlPower(keys["hub"], keys["port"], program=keys.get("program", "uhubctl"))
        case "ykush":
            model, program = keys.get("model", "ykush"), keys.get("program", "ykushcmd")
            switch = YkushPower(keys["serial"], keys["port"], model=model, program=program)
        case "serial_relay":
            sent = {k: bytes.fromhex(keys[k]) for k in ("on", "off", "answer_on", "answer_off") if k in keys}
            switch = SerialRelayPower(serial, keys["port"], keys["baud"], **sent)
        case _:
            switch = HttpRelayPower(**{k: v for k, v in keys.items() if k != "by"})
    return ProvenPower(switch, is_there, clock, where=f"slot {slot}")


def _checked(table: object, slot: str) -> dict[str, Any]:
    by = str(table.get("by")) if isinstance(table, Mapping) else "nothing"
    if not isinstance(table, Mapping) or by not in _KEYS:
        raise _error(slot, f"power is by {by!r}", f"one of {', '.join(_KEYS)}; without the key nothing is switched")
    needed, possible = _KEYS[by]
    kinds = {**needed, **possible}
    for key in table:
        if key not in kinds and key != "by":
            raise _error(slot, f"power by {by} has no key '{key}'", suggestion(key, list(kinds)) or f"{list(kinds)}")
    for key, kind in kinds.items():
        if key not in table:
            if key in needed:
                raise _error(slot, f"power by {by} lacks '{key}'", f"it is {kind}")
        elif not _is(table[key], kind):
            raise _error(slot, f"power: {key} = {table[key]!r}", f"it is {kind}")
    if by == "uhubctl" and table["port"] > _HIGHEST_UHUBCTL_PORT:
        raise _error(slot, f"power: uhubctl takes no port {table['port']}", "a hub has ports 1 to 9")
    if table.get("model", "ykush") not in YKUSH_MODELS:
        raise _error(slot, f"power: model {table['model']!r}", f"one of {', '.join(YKUSH_MODELS)}")
    return dict(table)


def _is(value: object, kind: str) -> bool:
    if kind == _NUMBER:
        return type(value) is int and value > 0
    if not isinstance(value, str) or not value:
        return False
    if kind == _URL:
        return _is_url(value)
    if kind == _HEX:
        try:
            return bool(bytes.fromhex(value))
        except ValueError:
            return False
    return True


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _error(slot: str, what: str, hint: str) -> ConfigError:
    return ConfigError(f"slot {slot}: {what}", key="power", hint=hint)
