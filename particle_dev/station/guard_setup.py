"""Opens what a station's billing guard needs: the product, its event stream, and the site's memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from particle_dev.cloud.account_usage import AccountUsage
from particle_dev.cloud.admission import Admission, LineTestAccount
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.budget import BudgetBook, budget_of
from particle_dev.cloud.device_state import DeviceStates
from particle_dev.cloud.event_hub import Subscription
from particle_dev.cloud.events import CloudEvent, StreamEnded, StreamGap, StreamScope
from particle_dev.cloud.evidence import ProductEvidence
from particle_dev.cloud.facts import StreamWatch
from particle_dev.cloud.plans import PLANS
from particle_dev.cloud.proven_stream import ProvenStream
from particle_dev.cloud.strategies import Act, Strategy
from particle_dev.connectivity.cloud_link import CloudLink, CloudScope, StreamFeed, Witness
from particle_dev.permissions import Effect, Permissions
from particle_dev.station.guard import StationGuard
from particle_dev.station.recipe import Recipe
from particle_dev.transport.base import Clock

DEVICES_NAME = "devices.jsonl"


@contextmanager
def opened_guard(
    recipe: Recipe, api: CloudApi, site: Path, permissions: Permissions, test_api: CloudApi | None = None
) -> Iterator[StationGuard]:
    """The guard of a run, its event stream proven to be alive, for a recipe with a cloud.

    ``site`` is the folder in which all stations of a place keep what they know of devices and budgets; ``test_api`` is
    the cloud as the recipe's test account sees it. Raises CloudError and TransportError when the product cannot be read
    or listened to, PermissionMissingError when the recipe imports without ``may_bill``, or connects without
    ``may_connect``: then no board is touched.
    """
    choice = recipe.cloud
    assert choice is not None
    api = api.waiting(recipe.limits.cloud_s)
    if Act.IMPORT in recipe.acts:
        permissions.require(Effect.BILL, f"importing units into product {choice.product}")
    if Act.CONNECT in recipe.acts:
        permissions.require_connect(f"connecting units to product {choice.product}, as strategy A does,")
    evidence = ProductEvidence(api, choice.product)
    states = DeviceStates(site / DEVICES_NAME)
    states.events()  # A damaged file is better met now than in the middle of a tray.
    plan = PLANS[choice.plan]
    usage = AccountUsage(api, evidence.product.organization, budget_of(plan))
    book = BudgetBook(site / f"budget-{evidence.product.id}.json", budget_of(plan), usage=usage)
    stream = ProvenStream(api, StreamScope(product_ref=evidence.product.id), site)
    source, hub = stream.source, stream.hub
    watch = ProductWatch(source, hub.subscribe(), api.clock)
    with stream:
        yield StationGuard(
            recipe.strategy or Strategy.C,
            evidence,
            states,
            watch,
            book,
            plan,
            permissions,
            choice.semi_automatic_apps,
            Admission(api, evidence.product, choice.plan) if Act.IMPORT in recipe.acts else None,
            LineTestAccount(test_api) if test_api is not None else None,
            lambda device_id: CloudLink(
                CloudScope(api, evidence.product, evidence),
                device_id,
                StreamFeed(source, hub, hub.subscribe([device_id]), api),
            ),
        )


class ProductWatch:
    """What a product's stream has brought about each device. Callable by all slots."""

    def __init__(self, source: Witness, subscription: Subscription, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._subscription = subscription
        self._lock = threading.Lock()
        self._events: dict[str, list[tuple[str, str]]] = {}
        self._gaps: list[tuple[datetime, datetime]] = []
        self._open_gap: datetime | None = None

    def __call__(self, device_id: str) -> StreamWatch:
        """What is known of one device now. Not proven is what lies between, before and after canaries."""
        with self._lock:
            self._drain()
            proven = self._source.proven()
            events = tuple(self._events.get(device_id.lower(), ()))
            if not proven:
                return StreamWatch(self._now(), None, (), events)
            holes = [(a.until, b.since) for a, b in pairwise(proven)]
            gaps = [*self._gaps, *holes]
            if self._open_gap is not None:
                gaps.append((self._open_gap, self._now() + timedelta(days=1)))
            return StreamWatch(proven[0].since, proven[-1].until, tuple(gaps), events)

    def _drain(self) -> None:
        for item in self._subscription.get_all():
            if isinstance(item, CloudEvent):
                self._events.setdefault(item.coreid.lower(), []).append((item.name, item.data or ""))
            elif isinstance(item, StreamGap):
                self._open_gap = item.since if item.until is None else None
                if item.until is not None:
                    self._gaps.append((item.since, item.until))
            elif isinstance(item, StreamEnded):
                self._open_gap = self._open_gap or self._now()

    def _now(self) -> datetime:
        return self._clock.utc_now()
