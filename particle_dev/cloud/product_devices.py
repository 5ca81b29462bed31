"""Devices of a product: who is a member, and what the cloud does with them.

Source: particle-api-js 12.0.3 src/Particle.ts; cspell2k5/ParticleIoSDK CloudResource.swift; cloud API reference,
"Product devices", "Quarantined devices".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import Devices, claim_code, publish
from particle_dev.cloud.records import DeviceRecord, ImportResult
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import HttpFile

IMPORT_TIMEOUT_S = 120.0
"""The cloud looks every id up before it answers."""


class ProductDevices(Devices):
    """Devices of the product ``product_ref`` (number or slug)."""

    def __init__(self, api: CloudApi, product_ref: str | int) -> None:
        super().__init__(api, ("v1", "products", product_ref, "devices"))
        self.product_ref = product_ref

    def list(
        self,
        *,
        device_id: str | None = None,
        name: str | None = None,
        serial_number: str | None = None,
        groups: Sequence[str] = (),
        quarantined: bool | None = None,
        sort: str | None = None,
        descending: bool | None = None,
    ) -> Iterator[DeviceRecord]:
        """Members of the product, page by page as they are read. Scope ``devices:list``.

        ``device_id``, ``name`` and ``serial_number`` match parts; ``groups`` full names, any of them. ``sort`` is
        ``deviceId``, ``firmwareVersion`` or ``lastConnection``. Sort by ``deviceId`` when devices are added or connect
        meanwhile: the default order, last connection first, moves records between pages.
        """
        query: Mapping[str, str | int | bool | None] = {
            "deviceId": device_id,
            "deviceName": name,
            "serialNumber": serial_number,
            "groups": ",".join(groups) or None,
            "quarantined": quarantined,
            "sortAttr": sort,
            "sortDir": None if descending is None else "desc" if descending else "asc",
        }
        for data in self.api.pages(self.prefix, "devices", query):
            yield DeviceRecord.from_json(data)

    def find_serial_number(self, serial_number: str) -> DeviceRecord | None:
        """The member with exactly this serial number, without the limit on look-ups. None: not a member."""
        found = self.list(serial_number=serial_number)
        return next((d for d in found if (d.serial_number or "").upper() == serial_number.upper()), None)

    def import_devices(
        self,
        identifiers: Sequence[str],
        permissions: Permissions = NOTHING,
        *,
        import_sims: bool | None = None,
        claim_user: str | None = None,
    ) -> ImportResult:
        """Put devices into the product, in one request. Needs ``may_bill``; scope ``devices:import``.

        ``identifiers`` are Device IDs, serial numbers, IMEIs or ICCIDs, each once. On the free plan the devices count
        at once; embedded SIMs are imported and activated (whether ``import_sims`` False prevents that is not known), so
        that any later boot can connect. An online device can be flashed with the product's release at once. Importing a
        member again changes nothing. ``claim_user`` is a team member's user name.
        """
        permissions.require(Effect.BILL, f"importing {len(identifiers)} devices into product {self.product_ref}")
        asked = tuple(identifiers)
        form: dict[str, str | Secret[str]] = {}
        if import_sims is not None:
            form["import_sims"] = "true" if import_sims else "false"
        if claim_user is not None:
            form["claim_user"] = claim_user
        answer = self.api.object_of(
            "POST",
            self.prefix,
            form=form,
            files=(HttpFile("file", "devices.txt", "\n".join(asked).encode()),),
            repeatable=True,
            timeout_s=IMPORT_TIMEOUT_S,
        )
        return ImportResult.from_json(asked, answer)

    def approve(self, device_id: str, permissions: Permissions = NOTHING) -> ImportResult:
        """Let a quarantined device in. Needs ``may_bill``: it counts from then on. Scope ``devices:import``."""
        permissions.require(Effect.BILL, f"approving {device_id} for product {self.product_ref}")
        answer = self.api.object_of("POST", self.prefix, json={"id": device_id}, repeatable=True)
        return ImportResult.from_json((device_id,), answer)

    def deny(self, device_id: str) -> None:
        """Keep a quarantined device out. Scope ``devices:remove``."""
        self.api.call("DELETE", self._path(device_id), json={"deny": True})

    def remove(self, device_id: str) -> None:
        """Take the device out of the product. Scope ``devices:remove``. Its SIM stays, active and billable.

        It is not unclaimed by this unless a customer owns it: :meth:`unclaim` first, since afterwards the product
        cannot see it.
        """
        self.api.call("DELETE", self._path(device_id))

    def unclaim(self, device_id: str) -> None:
        """Take the device from its owner; it stays in the product. Scope ``devices:release``."""
        self.api.call("DELETE", self._path(device_id, "owner"))

    def set_development(self, device_id: str, development: bool, permissions: Permissions = NOTHING) -> None:
        """Mark the device so that the cloud never flashes it, or take the mark off. Scope ``devices:update``.

        Taking it off needs ``may_update_devices``: the device gets the product's release at its next connection.
        """
        if not development:
            permissions.require(Effect.UPDATE, f"taking the development mark off {device_id}")
        self._update(device_id, development=development)

    def set_groups(self, device_id: str, groups: Sequence[str], permissions: Permissions = NOTHING) -> None:
        """Replace the groups of the device; missing ones are created. Scope ``devices:update``.

        Needs ``may_update_devices``: it gets what is released to its groups, or the default, at its next connection.
        """
        permissions.require(Effect.UPDATE, f"changing the groups of {device_id}")
        self._update(device_id, groups=list(groups))

    def change_groups(
        self,
        device_ids: Sequence[str],
        permissions: Permissions = NOTHING,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
    ) -> None:
        """Add and remove groups of many devices at once. Needs ``may_update_devices``; scope ``devices:update``."""
        permissions.require(Effect.UPDATE, f"changing the groups of {len(device_ids)} devices")
        body = {"action": "groups", "devices": list(device_ids), "metadata": {"add": list(add), "remove": list(remove)}}
        self.api.call("PUT", self.prefix, json=body, repeatable=True)

    def lock_firmware(
        self, device_id: str, version: int, permissions: Permissions = NOTHING, *, flash_now: bool = False
    ) -> None:
        """Bind the device to a version, also a lower one. Needs ``may_update_devices``; scope ``devices:update``.

        It is flashed at its next connection, or at once when it is online and ``flash_now`` is given.
        """
        permissions.require(Effect.UPDATE, f"locking {device_id} to version {version}")
        fields: dict[str, object] = {"desired_firmware_version": version}
        if flash_now:
            fields["flash"] = True
        self._update(device_id, **fields)

    def unlock_firmware(self, device_id: str, permissions: Permissions = NOTHING) -> None:
        """Let the device follow the product's releases again. Needs ``may_update_devices``; scope ``devices:update``.

        It is flashed with what is released to it at its next connection.
        """
        permissions.require(Effect.UPDATE, f"unlocking the firmware of {device_id}")
        self._update(device_id, desired_firmware_version=None)

    def claim_code(self, *, iccid: str | None = None, imei: str | None = None) -> Secret[str]:
        """A code with which a device of this product becomes one of the token's account."""
        return claim_code(self.api, (*self.prefix[:-1], "device_claims"), iccid=iccid, imei=imei)

    def publish(self, name: str, data: str = "", *, ttl_s: int = 60) -> None:
        """A private event to all that listen to this product. Scope ``events:send``."""
        publish(self.api, (*self.prefix[:-1], "events"), name, data, ttl_s)
