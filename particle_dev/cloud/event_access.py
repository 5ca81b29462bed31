"""Which stream carries which device's events: refused with the reason, before anybody waits for what cannot come."""

from __future__ import annotations

from collections.abc import Iterable

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.events import StreamScope
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.tokens import user_name
from particle_dev.errors import CloudDeniedError, CloudNotFoundError, EventSourceError


def check_devices(api: CloudApi, scope: StreamScope, device_ids: Iterable[str]) -> None:
    """Read the records of these devices and check that ``scope`` carries their events.

    Raises EventSourceError as :func:`check_scope` does, also for a device that this account or product cannot see.
    """
    of_product = scope.product_ref is not None
    if of_product:
        scope = StreamScope(product_ref=product(api, scope.product_ref or "").id)
    devices = ProductDevices(api, scope.product_ref) if scope.product_ref is not None else AccountDevices(api)
    records = []
    for device_id in device_ids:
        try:
            records.append(devices.get(device_id))
        except (CloudDeniedError, CloudNotFoundError) as e:
            why = "is no member of it" if of_product else "is not claimed to this account"
            raise EventSourceError(
                f"The stream of {scope} does not carry events of {device_id}, which {why}.",
                source=str(scope),
                hint="add it first" if of_product else "listen to the stream of its product: give --product",
            ) from e
    check_scope(scope, records, "" if of_product else user_name(api))


def check_scope(scope: StreamScope, devices: Iterable[DeviceRecord], username: str) -> None:
    """Check that the events of all ``devices`` come on this stream. ``username`` is the user of the token.

    Raises EventSourceError, which names the devices and the reason: a user's stream has only what is claimed to the
    user, so unclaimed devices of a product would look as if they never published; a product's stream has its members.
    """
    if scope.organization is not None and scope.product_ref is None:
        return
    if scope.product_ref is None:
        foreign = [d for d in devices if d.owner != username]
        if foreign:
            names = ", ".join(f"{d.id} ({'unclaimed' if d.owner is None else 'somebody else’s'})" for d in foreign[:5])
            raise EventSourceError(
                f"The stream of {username} does not carry events of {len(foreign)} of the devices: {names}.",
                source=str(scope),
                hint="listen to the stream of their product: give --product",
            )
        return
    # A product is known by number or slug; only the number stands in device records.
    others = [d for d in devices if isinstance(scope.product_ref, int) and d.product_id != scope.product_ref]
    if others:
        names = ", ".join(f"{d.id} (product {d.product_id})" for d in others[:5])
        raise EventSourceError(
            f"The stream of {scope} does not carry events of {len(others)} of the devices: {names}.",
            source=str(scope),
            hint="they are no members of it: add them, or listen to the stream of their own product",
        )
