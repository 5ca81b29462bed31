"""The cloud of a test: simulated for virtual boards, Particle's own for real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.events import CloudEvent, StreamItem
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.profiles import load_profile
from particle_dev.cloud.session import open_cloud
from particle_dev.connectivity.cloud_link import CloudLink, cloud_scope, opened_link
from particle_dev.errors import BenchError, ConfigError
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import Clock
from particle_dev.transport.http import HttpxLink
from particle_harness.clock import VirtualClock
from particle_harness.hil.board import Board

if TYPE_CHECKING:
    from particle_dev.station.bench_file import TestRules
    from particle_harness.cloud import SimCloud
    from particle_harness.cloud.ledger import Ledger
    from particle_harness.cloud.tables import Account

_SIM_S = 60.0
"""Until the SIM of a new member is active."""


@dataclass(slots=True)
class HilCloud:
    """``sim`` is the whole simulated cloud, with its metering ledger; None for Particle's."""

    _api: CloudApi | None
    sim: SimCloud | None = None
    _owner: Account | None = None
    _token: Secret[str] = field(default_factory=lambda: Secret(""))
    _products: dict[str, int] = field(default_factory=dict)
    _product: int | None = None

    @property
    def api(self) -> CloudApi:
        """The client, logged in. Raises ConfigError when the bench file names no profile: tests use no login that
        happens to be there."""
        if self._api is None:
            raise ConfigError(
                "the bench file names no profile for tests that ask the cloud",
                key="test.profile",
                hint='add profile = "NAME" to its table [test], and log in: particle config NAME, particle login',
            )
        return self._api

    @property
    def is_virtual(self) -> bool:
        """Whether it is simulated: nothing it says was asked of Particle."""
        return self.sim is not None

    @contextmanager
    def link(self, board: Board) -> Iterator[CloudLink]:
        """A board in its product, with its events: what a connectivity test needs. The simulated cloud takes it into
        the product; Particle's has it already. Raises CloudError, TransportError, ConfigError."""
        product_id = self.product(board.platform.name)
        if self.sim is None:
            with opened_link(cloud_scope(self.api, product_id), board.device_id) as link:
                yield link
            return
        ProductDevices(self.api, product_id).import_devices([board.device_id], Permissions(may_bill=True))
        board.host.clock.sleep(_SIM_S)
        self.sim.advance()
        with _client(self.sim, self._token, board.host.clock) as api:
            yield CloudLink(cloud_scope(api, product_id), board.device_id, SimFeed(self.sim, board.device_id))

    @property
    def ledger(self) -> Ledger:
        """Of the simulated cloud: the truth about metering. Raises BenchError for Particle's."""
        if self.sim is None:
            raise BenchError("Particle's cloud shows no ledger", hint="ask usage by the API")
        return self.sim.ledger

    def product(self, platform: str) -> int:
        """ID of a product for a platform: in the simulated cloud made on demand, else that of the bench file. Raises
        ConfigError."""
        if self.sim is not None and self._owner is not None:
            if platform not in self._products:
                made = self.sim.population.add_product(f"Tests {platform}", platform, self._owner)
                self._products[platform] = made.id
            return self._products[platform]
        if self._product is None:
            raise ConfigError(
                "the bench file names no product", key="test.product", hint="add product = ID to its table [test]"
            )
        return self._product


class SimFeed:
    """Events of one device straight from the simulated cloud: a stream's own time would not be that of the board."""

    def __init__(self, sim: SimCloud, device_id: str) -> None:
        self._subscription = sim.hub.subscribe(lambda event: event.coreid == device_id)

    def poll(self) -> Sequence[StreamItem]:
        """Those that came since."""
        bodies = [(event.name, event.body()) for event in self._subscription.take(0)]
        return [CloudEvent(name, b["data"], b["coreid"], b["published_at"]) for name, b in bodies]

    def is_alive(self) -> bool:
        """Always."""
        return True


@contextmanager
def simulated_cloud() -> Iterator[HilCloud]:
    """A cloud in this process with one account, without rate limits; its time is virtual, and never behind that of
    boards. Raises BenchError when the extra is not installed."""
    try:
        from particle_harness.cloud import SimCloud  # noqa: PLC0415  # the extra `sim`

        clock = VirtualClock()
        sim = SimCloud(clock, limits=False)
        _ = sim.app
    except ImportError as error:
        raise BenchError(
            f"the simulated cloud is not installed: {error}", hint="pip install 'particle-dev[sim]'"
        ) from error
    owner = sim.population.add_account("tests@example.com", plan="basic")
    token = Secret(sim.population.make_token(owner))
    try:
        with _client(sim, token, clock) as api:
            yield HilCloud(api, sim, owner, token)
    finally:
        sim.close()


@contextmanager
def _client(sim: SimCloud, token: Secret[str], clock: Clock) -> Iterator[CloudApi]:
    """Without sockets; ``clock`` is that of the board it is about."""
    link = HttpxLink("http://127.0.0.1:1", transport=httpx2.WSGITransport(app=sim.app), clock=clock)
    try:
        limiter = RateLimiter(MemoryLimitStore(), clock, boot="hil")
        yield CloudApi(link, limiter, token=token, clock=clock)
    finally:
        link.close()


@contextmanager
def particle_cloud(rules: TestRules) -> Iterator[HilCloud]:
    """Particle's, by the profile that the bench file names; without one it cannot be asked. Raises ConfigError."""
    if rules.profile is None:
        yield HilCloud(None)
        return
    api = open_cloud(load_profile(rules.profile))
    try:
        yield HilCloud(api, _product=rules.product)
    finally:
        api.link.close()
