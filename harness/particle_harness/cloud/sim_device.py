"""A device without a board: what it does online is a script of its test."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from particle_harness.cloud.firmware_file import product_of_file
from particle_harness.cloud.network import CELLULAR, WIFI, Command, Hello, NoAnswerError
from particle_harness.cloud.tables import Device

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud


class SimDevice:
    """Joins the network when it is made; goes online by :meth:`connect` alone.

    ``functions``: name to what is called with the argument. ``variables``: name to value. ``hello`` takes fields of
    :class:`Hello`, such as ``firmware_product_id`` and ``firmware_version``.
    """

    def __init__(
        self,
        cloud: SimCloud,
        device: Device,
        *,
        functions: Mapping[str, Callable[[str], int]] | None = None,
        variables: Mapping[str, Any] | None = None,
        **hello: Any,
    ) -> None:
        self._cloud = cloud
        self.id = device.id
        self._functions, self._variables = dict(functions or {}), dict(variables or {})
        self.answers = True
        self.signals = False
        self.received: list[bytes] = []
        """Files that came over the air."""
        self.vitals: Mapping[str, Any] = {"device": {"network": {"signal": {"strength": 80}}, "system": {"uptime": 10}}}
        defaults: dict[str, Any] = {"system_version": 4201, "system_release": "4.2.0", "app_hash": "00" * 32}
        self.hello = Hello(
            device.id,
            device.platform_id,
            CELLULAR if device.iccid else WIFI,
            device.iccid,
            functions=tuple(self._functions),
            variables={name: _type_of(value) for name, value in self._variables.items()},
            **(defaults | hello),
        )
        cloud.network.join(device.id, self)

    def connect(self, **hello: Any) -> None:
        """Attach and shake hands. ``hello``: fields that are different from now on. Raises NoServiceError."""
        self.hello = replace(self.hello, **hello)
        self._cloud.sessions.connect(self.hello)
        self._cloud.network.deliver()

    def publish(self, name: str, data: str | None = None) -> bool:
        """Publish an event; False when nobody heard it."""
        return self._cloud.sessions.publish(self.id, name, data)

    def goodbye(self) -> None:
        """End the session properly."""
        self._cloud.sessions.goodbye(self.id)

    def vanish(self) -> None:
        """Lose power or coverage."""
        self._cloud.sessions.lost(self.id)

    def advance(self) -> None:
        """Nothing happens by itself."""

    def serve(self, command: Command) -> Any:
        """As :class:`particle_harness.cloud.network.Peer`."""
        if not self.answers:
            raise NoAnswerError("does not answer")
        given = command.arguments
        match command.do:
            case "function":
                return self._functions[given["name"]](given["argument"])
            case "variable":
                return self._variables[given["name"]]
            case "signal":
                self.signals = bool(given["on"])
            case "diagnostics":
                self.publish("spark/device/diagnostics/update", json.dumps(self.vitals))
            case "update":
                self._update(base64.b64decode(given["file"]))
        return 0

    def _update(self, data: bytes) -> None:
        self.received.append(data)
        told = product_of_file(data, self.hello.platform_id)
        if told is None:
            raise NoAnswerError("no application for this device")
        self.goodbye()
        self._cloud.sessions.connect(
            replace(self.hello, firmware_product_id=told.id, firmware_version=told.version, last_reset="update")
        )
        self.hello = replace(self.hello, firmware_product_id=told.id, firmware_version=told.version)


def _type_of(value: Any) -> str:
    kinds = {bool: "bool", int: "int32", float: "double"}
    return kinds.get(type(value), "string")
