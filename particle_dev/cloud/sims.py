"""SIMs of an account or of a product. An active SIM costs, and lets any boot of its device connect.

Source: particle-api-js 9.4.1 test/Particle.spec.js (activate, deactivate); cspell2k5/ParticleIoSDK CloudResource.swift;
cloud API reference, "SIM cards".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from particle_dev.cloud.api import CloudApi, PathSegment
from particle_dev.cloud.records import SimConnection, SimRecord, SimUsage
from particle_dev.cloud.replies import JsonObject
from particle_dev.errors import CloudNotFoundError
from particle_dev.permissions import NOTHING, Effect, Permissions


class Sims:
    """SIMs of ``product_ref`` (number or slug), or without it those of the account itself."""

    def __init__(self, api: CloudApi, product_ref: str | int | None = None) -> None:
        self.api = api
        self.product_ref = product_ref
        self.prefix: tuple[PathSegment, ...] = (
            ("v1", "sims") if product_ref is None else ("v1", "products", product_ref, "sims")
        )

    def list(
        self, *, iccid: str | None = None, device_id: str | None = None, device_name: str | None = None
    ) -> Iterator[SimRecord]:
        """SIMs, page by page as they are read. Scope ``sims:list``. Filters match parts; with a product only."""
        if self.product_ref is None:
            found: Iterator[JsonObject] = iter(self.api.get_object(self.prefix).objects("sims"))
        else:
            query = {"iccid": iccid, "deviceId": device_id, "deviceName": device_name}
            found = self.api.pages(self.prefix, "sims", query)
        for data in found:
            yield SimRecord.from_json(data)

    def get(self, iccid: str) -> SimRecord:
        """One SIM. Scope ``sims:get``. Raises CloudNotFoundError for one that is not of this product or account."""
        return SimRecord.from_json(self.api.get_object((*self.prefix, iccid)))

    def find(self, iccid: str) -> SimRecord | None:
        """One SIM, None when it is not of this product or account. Scope ``sims:get``."""
        try:
            return self.get(iccid)
        except CloudNotFoundError:
            return None

    def exists(self, iccid: str) -> bool:
        """Whether the cloud knows a SIM of this number that the account could take."""
        try:
            self.api.call("HEAD", ("v1", "sims", iccid))
        except CloudNotFoundError:
            return False
        return True

    def import_sims(self, iccids: Sequence[str], permissions: Permissions = NOTHING, *, country: str = "US") -> None:
        """Put SIMs into the product and activate them. Needs ``may_bill``; scope ``sims:import``.

        The cloud queues this and answers before it is done: look at the status of each. Their devices come along.
        """
        permissions.require(Effect.BILL, f"importing {len(iccids)} SIMs")
        self.api.call("POST", self.prefix, json={"sims": list(iccids), "country": country}, repeatable=True)

    def activate(self, iccid: str, permissions: Permissions = NOTHING) -> None:
        """Activate a SIM of the account for the first time. Needs ``may_bill``; scope ``sims:update``."""
        permissions.require(Effect.BILL, f"activating SIM {iccid}")
        self._act(iccid, {"action": "activate"})

    def reactivate(self, iccid: str, permissions: Permissions = NOTHING, *, mb_limit: int | None = None) -> None:
        """Activate a SIM again. Needs ``may_bill``; scope ``sims:update``. Some kinds take days."""
        permissions.require(Effect.BILL, f"activating SIM {iccid}")
        self._act(iccid, {"action": "reactivate"} | ({"mb_limit": mb_limit} if mb_limit is not None else {}))

    def deactivate(self, iccid: str) -> None:
        """Take the SIM off the network; it stays owned. Scope ``sims:update``."""
        self._act(iccid, {"action": "deactivate"})

    def release(self, iccid: str) -> None:
        """Give the SIM up, which also deactivates it. Scope ``sims:remove``.

        The cloud may take a day: it is done when :meth:`find` gives None. Older kinds take days to come back when they
        are imported again.
        """
        self.api.call("DELETE", (*self.prefix, iccid))

    def connection(self, iccid: str) -> SimConnection:
        """What the carrier says of the SIM; starts the question when there is none. Scope ``sims.status:get``.

        Ask again, about every 10 s, until it is complete.
        """
        answer = self.api.get_object((*self.prefix, iccid, "status"))
        meta = answer.object("meta")
        status = answer.optional_object("sim_status")
        return SimConnection(
            complete=meta.text("state") == "complete",
            check_again=meta.time("check_again_after"),
            connected=status.optional_flag("connected") if status else None,
            gsm_connection=status.optional_flag("gsm_connection") if status else None,
            data_connection=status.optional_flag("data_connection") if status else None,
        )

    def usage(self, iccid: str) -> SimUsage:
        """Data used by the SIM in this billing period. Scope ``sims:get``."""
        answer = self.api.get_object((*self.prefix, iccid, "data_usage"))
        days = answer.optional_objects("usage_by_day")
        return SimUsage(iccid, tuple((d.text("date"), d.optional_number("mbs_used") or 0.0) for d in days))

    def _act(self, iccid: str, body: dict[str, object]) -> None:
        self.api.call("PUT", (*self.prefix, iccid), json=body, repeatable=True)
