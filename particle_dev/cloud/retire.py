"""Where an undo of :mod:`particle_dev.cloud.removal` begins, and the file in which it survives ``kill -9``.

The file remembers the SIM: once a device is out of the product, the product no longer tells it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.removal import Removal, RemovalStep
from particle_dev.cloud.removal_client import is_member
from particle_dev.errors import CloudNotFoundError, ImportStateError
from particle_dev.whole_file import write_whole


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
        try:
            if removal.is_complete:
                self.path.unlink(missing_ok=True)
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(asdict(removal)).encode("utf-8"))
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
        if not is_member(record, product):
            raise CloudNotFoundError(
                f"{device_id} is no member of product {product}",
                hint="a SIM that was left behind goes with: particle-dev cloud sims release",
            )
        # A SIM that the product does not have is skipped, so one of another owner does no harm.
        removal = Removal(record.id, product, record.iccid or record.last_iccid)
        file.save(removal)
    return removal
