"""The cloud as a connectivity test needs it: one device's records, calls and events, in a product or in an account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.diagnostics import Vitals, last_vitals, refresh_vitals
from particle_dev.cloud.event_canary import Proven
from particle_dev.cloud.event_hub import EventHub, Subscription
from particle_dev.cloud.events import StreamItem, StreamScope
from particle_dev.cloud.evidence import ProductEvidence
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product
from particle_dev.cloud.proven_stream import ProvenStream
from particle_dev.cloud.records import DeviceRecord, Product, SimRecord
from particle_dev.cloud.sims import Sims
from particle_dev.cloud.usage import service_agreements
from particle_dev.errors import CloudDeniedError, CloudNotFoundError
from particle_dev.transport.clock import SystemClock

CANARY_AGE_S = 45.0
"""A stream whose last canary is older is no witness: three of them would have been due."""


class EventFeed(Protocol):
    """The events of one device, in the order in which they came."""

    def poll(self) -> Sequence[StreamItem]:
        """What has come since the last call; never waits."""
        ...

    def is_alive(self) -> bool:
        """Whether an event that is published now would come."""
        ...


class Witness(Protocol):
    """A source of events with a canary."""

    def proven(self) -> tuple[Proven, ...]:
        """Stretches in which events came through, oldest first."""
        ...


class StreamFeed:
    """An EventFeed from a subscription to a site's stream."""

    def __init__(self, source: Witness, hub: EventHub, subscription: Subscription, api: CloudApi) -> None:
        self._source = source
        self._hub = hub
        self._subscription = subscription
        self._clock = api.clock

    def poll(self) -> Sequence[StreamItem]:
        """As :class:`EventFeed` says."""
        return self._subscription.get_all()

    def is_alive(self) -> bool:
        """As :class:`EventFeed` says: a canary came back lately."""
        if self._hub.error is not None:
            return False
        proven = self._source.proven()
        return bool(proven) and (self._clock.utc_now() - proven[-1].until).total_seconds() <= CANARY_AGE_S


@dataclass(frozen=True, slots=True)
class CloudScope:
    """Where the device is looked for: ``product`` None is the account of the token (strategy B)."""

    api: CloudApi
    product: Product | None
    evidence: ProductEvidence | None = None

    @property
    def product_ref(self) -> int | None:
        """For calls that take one."""
        return self.product.id if self.product else None

    def stream(self) -> StreamScope:
        """Its events."""
        return StreamScope(product_ref=self.product_ref)


def cloud_scope(api: CloudApi, product_ref: str | int | None) -> CloudScope:
    """The product, or the account without one. Raises CloudError, TransportError."""
    if product_ref is None:
        return CloudScope(api, None)
    found = product(api, product_ref)
    return CloudScope(api, found, ProductEvidence(api, found.id))


class CloudLink:
    """One device in a scope. Every method raises CloudError and TransportError."""

    def __init__(self, scope: CloudScope, device_id: str, feed: EventFeed | None) -> None:
        self.scope = scope
        self.device_id = device_id
        self.feed = feed
        api, ref = scope.api, scope.product_ref
        self._devices: ProductDevices | AccountDevices = (
            AccountDevices(api) if ref is None else ProductDevices(api, ref)
        )
        self._sims = Sims(api, ref)

    @property
    def members(self) -> ProductDevices:
        """The product's devices; only where there is a product."""
        assert isinstance(self._devices, ProductDevices)
        return self._devices

    def record(self) -> DeviceRecord | None:
        """The device's record; None: this product or account has no such device."""
        try:
            return self._devices.get(self.device_id)
        except (CloudNotFoundError, CloudDeniedError):
            return None

    def sim(self, iccid: str) -> SimRecord | None:
        """Its SIM; None: it is somebody else's."""
        return self._sims.find(iccid)

    def publish(self, name: str, data: str) -> None:
        """An event to the devices of the scope."""
        self._devices.publish(name, data)

    def call_function(self, name: str, argument: str) -> int:
        """What the function returned."""
        return self._devices.call_function(self.device_id, name, argument)

    def variable(self, name: str) -> Any:
        """The value of a variable."""
        return self._devices.variable(self.device_id, name)

    def ping(self) -> bool:
        """Whether the device answers."""
        return self._devices.ping(self.device_id)

    def refresh_vitals(self) -> None:
        """Ask the device for a report."""
        refresh_vitals(self.scope.api, self.device_id, self.scope.product_ref)

    def allowance_is_spent(self) -> bool:
        """Whether a service agreement of the payer has no data operations or data left: its devices are paused then.
        False, too, when it does not tell."""
        product = self.scope.product
        for agreement in service_agreements(self.scope.api, product.organization if product else None):
            used = agreement.used()
            pairs = (
                (used.device_messages if used else None, agreement.max_messages),
                (used.device_data_mb if used and agreement.max_data_unit == "MB" else None, agreement.max_data),
            )
            if any(spent is not None and most is not None and spent >= most for spent, most in pairs):
                return True
        return False

    def last_vitals(self) -> Vitals | None:
        """The newest report."""
        return last_vitals(self.scope.api, self.device_id, self.scope.product_ref)


class SiteStream:
    """One event stream with a canary, for any number of devices of a scope. Use as a context manager, which waits
    until the first canary has come back. Raises EventSourceError and what ends a stream.

    ``folder`` is that of the site: its programs share one stream of each product. None: a stream of its own.
    """

    def __init__(self, scope: CloudScope, folder: Path | None = None) -> None:
        self._scope = scope
        # An account's stream goes by its token: others of the site may have another.
        shared = folder if scope.product is not None else None
        # The stream is real, whatever clock a bench has.
        self._stream = ProvenStream(scope.api, scope.stream(), shared, SystemClock())

    def __enter__(self) -> SiteStream:
        self._stream.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.hub.close()

    def feed(self, device_id: str) -> EventFeed:
        """The events of one device from now on."""
        hub = self._stream.hub
        return StreamFeed(self._stream.source, hub, hub.subscribe([device_id]), self._scope.api)


@contextmanager
def opened_link(scope: CloudScope, device_id: str) -> Iterator[CloudLink]:
    """A link for one device with a stream of its own. One :class:`SiteStream` serves a whole site."""
    with SiteStream(scope) as stream:
        yield CloudLink(scope, device_id, stream.feed(device_id))
