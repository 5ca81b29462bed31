"""Who owns a product, on which plan, and how much of it is used; and in which other product of theirs a device is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.import_plan import Account
from particle_dev.cloud.order_file import OrderEntry
from particle_dev.cloud.plans import PLANS, Capacity, PlanName
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import organizations, products
from particle_dev.cloud.records import DeviceRecord, Product
from particle_dev.cloud.tokens import token_info, user_name
from particle_dev.cloud.usage import Connectivity, service_agreements
from particle_dev.errors import CloudDeniedError, CloudNotFoundError, CloudRefusedError

EXPLAINED = 25
"""So many refused devices are looked for in other products; each takes a request a product."""


def read_account(api: CloudApi, product: Product, plan: PlanName | None = None) -> Account:
    """The account that owns a product, as far as the token may see it. ``plan`` is what the caller knows of it.

    A product in a user's sandbox is on the free plan; one of an organization is taken for basic unless told otherwise,
    since the words by which the API names plans are not documented. Raises CloudError, but not for what the token may
    not see.
    """
    organization = product.organization
    if organization is not None:
        owner = next((name for i, slug, name in _organizations(api) if organization in (i, slug)), None)
        use = _use(api, organization)
        capacity = Capacity(PLANS[plan or PlanName.BASIC], None)
        return Account(owner or f"organization {organization}", True, capacity, use.billable_devices if use else None)
    owner, devices, use = "a user whom this token does not see", None, None
    if not token_info(api).scopes:
        owner = user_name(api)
        use = _use(api, None)
        devices = _largest(count_sandbox(AccountDevices(api).list(), products(api)), use.owned_devices if use else None)
    # Else an API user: it belongs to the product or an organization, and sees a part of the account at most.
    capacity = Capacity(PLANS[plan or PlanName.FREE], devices)
    return Account(owner, False, capacity, use.billable_devices if use else None)


def _use(api: CloudApi, organization: str | None) -> Connectivity | None:
    """What the cloud says is used, None where it does not tell this token, or there is not one agreement."""
    try:
        agreements = service_agreements(api, organization)
    except CloudRefusedError:
        return None
    return agreements[0].used() if len(agreements) == 1 else None


def _largest(counted: int | None, told: int | None) -> int | None:
    """The number to be careful with; None when what was counted here is not known."""
    return None if counted is None else max(counted, told or 0)


def _organizations(api: CloudApi) -> list[tuple[str, str, str]]:
    try:
        return organizations(api)
    except CloudRefusedError:
        return []


def count_sandbox(own: Sequence[DeviceRecord], sandbox: Sequence[Product]) -> int | None:
    """Devices that count against the free plan: all of the sandbox's products, and those of the account that are in no
    product. Claimed devices in an organization's product do not count. None: the cloud does not count a product.

    Source: particle-iot/docs src/content/getting-started/cloud/device-claiming.md, How is this related to billing.
    """
    counts = [product.device_count for product in sandbox]
    if any(count is None for count in counts):
        return None
    outside = sum(device.product_id in (None, device.platform_id) for device in own)
    return outside + sum(count for count in counts if count is not None)


@dataclass(slots=True)
class Whereabouts:
    """Looks for devices that a product refused in the other products that this token sees."""

    api: CloudApi
    product: Product
    _others: list[Product] | None = field(default=None, init=False)
    _asked: int = field(default=0, init=False)

    def explain(self, entry: OrderEntry) -> str | None:
        """Where a device is, None when that is not found out: too many were asked for, or nobody told.

        Raises CloudError, but not for products that the token may not look into.
        """
        self._asked += 1
        if self._asked > EXPLAINED:
            return None
        for other in self._other_products():
            if self._is_in(other, entry):
                return f"it is in product {other.name} ({other.id})"
        return None

    def _other_products(self) -> Sequence[Product]:
        if self._others is None:
            found = []
            for organization in (None, *(slug or i for i, slug, _ in _organizations(self.api))):
                try:
                    found += products(self.api, organization)
                except CloudRefusedError:
                    continue
            self._others = list({p.id: p for p in found if p.id != self.product.id}.values())
        return self._others

    def _is_in(self, other: Product, entry: OrderEntry) -> bool:
        devices = ProductDevices(self.api, other.id)
        try:
            if entry.device_id is not None:
                devices.get(entry.device_id)
                return True
            return entry.serial_number is not None and devices.find_serial_number(entry.serial_number) is not None
        except (CloudNotFoundError, CloudDeniedError):
            return False
