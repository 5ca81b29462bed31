"""Takes single units into a product and out of a test account, for stations: acts of the strategies on the cloud's
side, each read back."""

from __future__ import annotations

from particle_dev.cloud.account import read_account
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.plans import PlanName
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.records import DeviceRecord, Product
from particle_dev.errors import CapacityError, CloudDeniedError, CloudNotFoundError, CloudRefusedError
from particle_dev.permissions import Permissions


class Admission:
    """Imports units into ``product``. Scopes ``devices:import devices:get products:get``; an account's room is read as
    far as the token may see it."""

    def __init__(self, api: CloudApi, product: Product, plan: PlanName) -> None:
        self._api = api
        self._product = product
        self._plan = plan

    def conditions(self, platform_id: int) -> dict[str, bool]:
        """What the planner asks for before an import, by names of :class:`particle_dev.cloud.strategies.UnitFacts`.
        Raises CloudError, TransportError."""
        try:
            read_account(self._api, self._product, self._plan).capacity.require_room(1)
            has_room = True
        except CapacityError:
            has_room = False
        return {
            "room_in_plan": has_room,
            "platform_matches": self._product.platform_id == platform_id,
            "auto_approve_off": self._product.quarantine is True,
        }

    def take_in(self, device_id: str, permissions: Permissions) -> DeviceRecord:
        """Import the unit, and its record as it is read back. **Needs may_bill**; activates an embedded SIM. A member
        stays one. Raises CloudRefusedError when it is no member afterwards, CloudError, TransportError."""
        devices = ProductDevices(self._api, self._product.id)
        result = devices.import_devices([device_id], permissions)
        try:
            record = devices.get(device_id)
        except CloudNotFoundError as error:
            answers = (
                ("does not know it, or another product has it", result.invalid),
                ("denies it", result.not_member),
            )
            said = next((text for text, ids in answers if ids), "did not take it")
            raise CloudRefusedError(
                f"{device_id} is not in product {self._product.name} ({self._product.id}): the cloud {said}",
                hint="look its label up with particle-dev cloud import --dry-run; nothing was undone",
            ) from error
        return record


class LineTestAccount:
    """The account in which units of strategy B were tested. Scopes ``devices:get devices:release``."""

    def __init__(self, api: CloudApi) -> None:
        self._devices = AccountDevices(api)

    def record(self, device_id: str) -> DeviceRecord | None:
        """The record of a unit that is claimed there; None: it is not. Raises CloudError, TransportError."""
        try:
            return self._devices.get(device_id)
        except (CloudNotFoundError, CloudDeniedError):
            return None

    def unclaim(self, device_id: str) -> None:
        """Give the unit up; its SIM stays active. Raises CloudRefusedError when it still belongs to the account."""
        if self.record(device_id) is not None:
            self._devices.unclaim(device_id)
        if self.record(device_id) is not None:
            raise CloudRefusedError(
                f"{device_id} still belongs to the test account after it was unclaimed",
                hint="run it again; unclaim it in the console of that account",
            )
