"""The undo of :mod:`particle_dev.cloud.removal` over the cloud's API."""

from __future__ import annotations

from contextlib import suppress

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.sims import Sims
from particle_dev.errors import CloudNotFoundError


def is_member(record: DeviceRecord, product: str) -> bool:
    """Whether the device of this record counts in the product (number or slug): one in its quarantine does not."""
    if record.quarantined or record.denied:
        return False
    return record.product_id is None or not product.isdecimal() or str(record.product_id) == product


class ApiRemoval:
    """A RemovalCloud. Scopes ``devices:get devices:release devices:remove sims:get sims:remove``."""

    def __init__(self, api: CloudApi) -> None:
        self._api = api

    def device_is_member(self, product: str, device_id: str) -> bool:
        """As :class:`particle_dev.cloud.removal.RemovalCloud`."""
        record = self._record(product, device_id)
        return record is not None and is_member(record, product)

    def device_is_claimed(self, product: str, device_id: str) -> bool:
        """As :class:`particle_dev.cloud.removal.RemovalCloud`."""
        record = self._record(product, device_id)
        return record is not None and record.owner is not None

    def unclaim_device(self, product: str, device_id: str) -> None:
        """As :class:`particle_dev.cloud.removal.RemovalCloud`."""
        ProductDevices(self._api, product).unclaim(device_id)

    def remove_device(self, product: str, device_id: str) -> None:
        """As :class:`particle_dev.cloud.removal.RemovalCloud`."""
        ProductDevices(self._api, product).remove(device_id)

    def sim_status(self, product: str, iccid: str) -> str | None:
        """As :class:`particle_dev.cloud.removal.RemovalCloud`."""
        sim = Sims(self._api, product).find(iccid)
        return sim.status if sim else None

    def release_sim(self, product: str, iccid: str) -> None:
        """As :class:`particle_dev.cloud.removal.RemovalCloud`."""
        with suppress(CloudNotFoundError):
            Sims(self._api, product).release(iccid)

    def _record(self, product: str, device_id: str) -> DeviceRecord | None:
        try:
            return ProductDevices(self._api, product).get(device_id)
        except CloudNotFoundError:
            return None
