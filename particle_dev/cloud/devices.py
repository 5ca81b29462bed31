"""Single devices, as the account that owns them sees them or as members of a product.

Function calls, variables and publishes cost data operations, and wake nobody who is offline. Nothing here adds a device
anywhere, except for :meth:`AccountDevices.claim`.

Source: particle-api-js 12.0.3 src/Particle.ts; cloud API reference, "Devices".
"""

from __future__ import annotations

from typing import Any

from particle_dev.cloud.api import CloudApi, PathSegment
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.replies import objects
from particle_dev.errors import CloudReplyError
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import HttpFile

UPDATE_TIMEOUT_S = 180.0
"""An upload goes on to the device before the cloud answers."""


class Devices:
    """What can be done with one device by its id. ``prefix`` is the path before the id."""

    prefix: tuple[PathSegment, ...]

    def __init__(self, api: CloudApi, prefix: tuple[PathSegment, ...]) -> None:
        self.api = api
        self.prefix = prefix

    def get(self, device_id: str) -> DeviceRecord:
        """What the cloud knows of the device. Scope ``devices:get``. Raises CloudNotFoundError, CloudDeniedError.

        An online device is asked for its functions and variables.
        """
        return DeviceRecord.from_json(self.api.get_object(self._path(device_id)))

    def ping(self, device_id: str) -> bool:
        """Whether the device answers the cloud now. Scope ``devices:ping``."""
        return self.api.object_of("PUT", self._path(device_id, "ping"), json={}, repeatable=True).flag("online")

    def call_function(self, device_id: str, function: str, argument: str = "") -> int:
        """What the function returned. Scope ``devices.function:call``; one data operation for each try of the cloud.

        Raises CloudDeviceTimeoutError, CloudNotFoundError. Never sent twice from here.
        """
        answer = self.api.object_of("POST", self._path(device_id, function), json={"args": argument}, repeatable=False)
        return answer.integer("return_value")

    def variable(self, device_id: str, name: str) -> Any:
        """The value of a variable, as JSON has it. Scope ``devices.variable:get``. Errors as with functions."""
        answer = self.api.object_of("GET", self._path(device_id, name), repeatable=False)
        if "result" not in answer.data:
            raise CloudReplyError(
                f"The answer to {answer.where} has no result.",
                where=answer.where,
                key="result",
                hint="run it again; check that the device is online",
            )
        return answer.data["result"]

    def signal(self, device_id: str, on: bool) -> None:
        """Let the status LED of an online device shout rainbows, or stop it. Scope ``devices:update``."""
        self._update(device_id, signal="1" if on else "0")

    def rename(self, device_id: str, name: str) -> None:
        """Give the device a name. Scope ``devices:update``."""
        self._update(device_id, name=name)

    def set_notes(self, device_id: str, notes: str) -> None:
        """Replace the notes. Scope ``devices:update``."""
        self._update(device_id, notes=notes)

    def update_over_the_air(self, device_id: str, firmware: bytes, permissions: Permissions = NOTHING) -> str:
        """Send a binary to an online device; what the cloud said. Needs ``may_update_devices``.

        The device of a product must be marked for development, or the cloud replaces it at the next connection.
        """
        permissions.require(Effect.UPDATE, f"sending firmware to {device_id}")
        answer = self.api.object_of(
            "PUT",
            self._path(device_id),
            form={"file_type": "binary"},
            files=(HttpFile("file", "firmware.bin", firmware),),
            repeatable=False,
            timeout_s=UPDATE_TIMEOUT_S,
        )
        return answer.optional_text("status", "message") or ""

    def _update(self, device_id: str, **fields: object) -> None:
        self.api.object_of("PUT", self._path(device_id), json=fields, repeatable=True)

    def _path(self, device_id: str, *more: PathSegment) -> tuple[PathSegment, ...]:
        return (*self.prefix, device_id, *more)


class AccountDevices(Devices):
    """Devices claimed by the account of the token. Ids may also be names here."""

    def __init__(self, api: CloudApi) -> None:
        super().__init__(api, ("v1", "devices"))

    def list(self) -> list[DeviceRecord]:
        """All devices of the account, in one answer."""
        answer = self.api.call("GET", self.prefix)
        return [DeviceRecord.from_json(d) for d in objects(answer, self.api.shown("GET", self.prefix))]

    def claim(self, device_id: str, permissions: Permissions = NOTHING, *, request_transfer: bool = False) -> None:
        """Make the device one of this account. Needs ``may_bill``: it counts against the free plan.

        Raises CloudDeniedError when somebody else owns it; with ``request_transfer`` the owner is asked by mail.
        """
        permissions.require(Effect.BILL, f"claiming {device_id}")
        body = {"id": device_id, "request_transfer": request_transfer}
        self.api.object_of("POST", self.prefix, json=body, repeatable=True)

    def unclaim(self, device_id: str) -> None:
        """Give the device up; works offline too. Its SIM stays active. Scope ``devices:release``."""
        self.api.call("DELETE", self._path(device_id))

    def claim_code(self, *, iccid: str | None = None, imei: str | None = None) -> Secret[str]:
        """A code that lets the device which connects with it become one of this account."""
        return claim_code(self.api, ("v1", "device_claims"), iccid=iccid, imei=imei)

    def publish(self, name: str, data: str = "", *, ttl_s: int = 60) -> None:
        """A private event to all that listen to this account. Scope ``events:send``."""
        publish(self.api, (*self.prefix, "events"), name, data, ttl_s)


def claim_code(api: CloudApi, path: tuple[PathSegment, ...], *, iccid: str | None, imei: str | None) -> Secret[str]:
    """A claim code from an endpoint that gives them out."""
    body = {key: value for key, value in (("iccid", iccid), ("imei", imei)) if value}
    answer = api.object_of("POST", path, json=body)
    return Secret(answer.text("claim_code"))


def publish(api: CloudApi, path: tuple[PathSegment, ...], name: str, data: str, ttl_s: int) -> None:
    """Send an event, once: whoever listens would get it twice. One data operation per receiving device."""
    body = {"name": name, "data": data, "private": True, "ttl": ttl_s}
    api.object_of("POST", path, json=body, repeatable=False)
