"""Reads the cloud's side of the billing gate: what it knows of the devices of one product.

Whatever goes wrong becomes part of the answer, not an exception: a record that cannot be read leaves the verdict
unknown, and says why.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from particle_dev.catalog.platforms import platform_by_id
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.facts import Baseline, Snapshot, device_facts, sim_fact
from particle_dev.cloud.gate import Radio
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product
from particle_dev.cloud.records import DeviceRecord, Product
from particle_dev.cloud.sims import Sims
from particle_dev.errors import CloudError, CloudNotFoundError, TransportError


class ProductEvidence:
    """Evidence from one product. Scopes ``products:get devices:get sims:get``.

    Raises CloudError or TransportError from the constructor when the product itself cannot be read: then every answer
    about a device would be worth nothing.
    """

    def __init__(self, api: CloudApi, product_ref: str | int) -> None:
        self.product: Product = product(api, product_ref)
        self._devices = ProductDevices(api, product_ref)
        self._sims = Sims(api, product_ref)

    def record(self, device_id: str) -> DeviceRecord | None:
        """The record of a member; None: the product has no such device. Raises CloudError, TransportError."""
        try:
            return self._devices.get(device_id)
        except CloudNotFoundError:
            return None

    def snapshot(self, device_id: str, at: datetime, baseline: Baseline | None = None) -> Snapshot:
        """What the cloud tells of a device now (``at``, UTC)."""
        try:
            record = self.record(device_id)
        except (CloudError, TransportError) as error:
            return Snapshot(at, None, unread=(error.message,), unread_hint=error.hint)
        if record is None:
            return Snapshot(at, False)
        facts = device_facts(
            record, at, product_id=self.product.id, platform_id=self.product.platform_id, baseline=baseline
        )
        # A SIM that cannot be read holds its radio not back, and leaves nothing else open.
        try:
            sim = self._sims.find(record.iccid) if record.iccid else None
        except (CloudError, TransportError) as error:
            return Snapshot(at, True, tuple(facts), sim_unread=error.message)
        if sim is None:
            return Snapshot(at, True, tuple(facts))
        state, fact = sim_fact(sim, at)
        return Snapshot(at, True, (*facts, *([fact] if fact else [])), state)


class EthernetDetection(StrEnum):
    """Whether a board looks for an Ethernet controller when it boots."""

    OFF = "off"
    ON = "on"
    UNKNOWN = "unknown"


_NO_ETHERNET = frozenset({"stm32f1xx", "stm32f2xx"})
"""Families that never had it."""


def radios_of(platform_id: int, ethernet: EthernetDetection = EthernetDetection.UNKNOWN) -> frozenset[Radio] | None:
    """The ways to the cloud that a board has; None: not known. One whose Ethernet detection is not known has it."""
    platform = platform_by_id(platform_id)
    if platform is None or not platform.features:
        return None
    radios = {Radio(feature) for feature in platform.features if feature in ("cellular", "wifi")}
    if ethernet is not EthernetDetection.OFF and platform.family not in _NO_ETHERNET:
        radios.add(Radio.ETHERNET)
    return frozenset(radios)
