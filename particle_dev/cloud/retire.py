"""Undo on a product of the cloud: what :mod:`particle_dev.cloud.removal` needs, and a file that survives ``kill -9``.

The file remembers the SIM: once a device is out of the product, the product no longer tells it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.removal import Removal, RemovalStep
from particle_dev.cloud.sims import Sims
from particle_dev.errors import CloudNotFoundError, ImportStateError


class ProductCloud:
    """A :class:`~particle_dev.cloud.removal.RemovalCloud` on ``api``; products are numbers as text."""

    def __init__(self, api: CloudApi) -> None:
        self._api = api

    def device_is_member(self, product: str, device_id: str) -> bool:
        """Whether the product has the device; one in its quarantine it has not."""
        return _is_member(self._find(product, device_id), product)

    def device_is_claimed(self, product: str, device_id: str) -> bool:
        """Whether somebody owns the device."""
        record = self._find(product, device_id)
        return record is not None and record.owner is not None

    def unclaim_device(self, product: str, device_id: str) -> None:
        """Take the device from its owner."""
        ProductDevices(self._api, product).unclaim(device_id)

    def remove_device(self, product: str, device_id: str) -> None:
        """Take the device out of the product."""
        ProductDevices(self._api, product).remove(device_id)

    def sim_status(self, product: str, iccid: str) -> str | None:
        """Status of a SIM of the product; None: the product has no such SIM."""
        sim = Sims(self._api, product).find(iccid)
        return sim.status if sim else None

    def release_sim(self, product: str, iccid: str) -> None:
        """Ask for a SIM to be given back. One that is gone meanwhile is fine: that is read back."""
        try:
            Sims(self._api, product).release(iccid)
        except CloudNotFoundError:
            return

    def _find(self, product: str, device_id: str) -> DeviceRecord | None:
        try:
            return ProductDevices(self._api, product).get(device_id)
        except CloudNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class RemovalFile:
    """Where an unfinished undo is kept. ``ImportStateError`` from every method: the file cannot be used."""

    path: Path

    def load(self) -> Removal | None:
        """What to go on with; None: nothing was begun. What was proven last time is to be proven anew."""
        try:
            data = json.loads(self.path.read_text("utf-8"))
            done = tuple(RemovalStep(step) for step in data["done"])
            removal = Removal(str(data["device_id"]), str(data["product"]), data["iccid"], done)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}", "give access to it") from error
        except (ValueError, KeyError, TypeError) as error:
            hint = "look at device and SIM in the console, then move the file away"
            raise self._unusable("is damaged", hint) from error
        return Removal(
            removal.device_id, removal.product, removal.iccid, tuple(s for s in done if s is not RemovalStep.VERIFY)
        )

    def save(self, removal: Removal) -> None:
        """Keep how far it is, synced; forget it when it is complete."""
        unfinished = self.path.with_name(self.path.name + ".new")
        try:
            if removal.is_complete:
                self.path.unlink(missing_ok=True)
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("w", encoding="utf-8") as stream:
                json.dump(asdict(removal), stream)
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(self.path)
        except OSError as error:
            raise self._unusable(f"cannot be written: {error.strerror}", "make room or access, then go on") from error

    def _unusable(self, what: str, hint: str) -> ImportStateError:
        return ImportStateError(f"{self.path} {what}", path=str(self.path), hint=hint)


def begin_removal(api: CloudApi, product: str, device_id: str, file: RemovalFile) -> Removal:
    """The undo of a device that was begun before, or a new one, which is kept before anything is done.

    Raises CloudNotFoundError when the device is no member of the product and nothing was begun; ImportStateError.
    """
    removal = file.load()
    if removal is None:
        record = ProductDevices(api, product).get(device_id)
        if not _is_member(record, product):
            raise CloudNotFoundError(
                f"{device_id} is no member of product {product}",
                hint="a SIM that was left behind goes with: particle-dev cloud sims release",
            )
        # A SIM that the product does not have is skipped, so one of another owner does no harm.
        removal = Removal(record.id, product, record.iccid or record.last_iccid)
        file.save(removal)
    return removal


def _is_member(record: DeviceRecord | None, product: str) -> bool:
    if record is None or record.quarantined or record.denied:
        return False
    return record.product_id is None or str(record.product_id) == product
