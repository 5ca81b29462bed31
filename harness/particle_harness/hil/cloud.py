"""The cloud of a test: simulated for virtual boards, Particle's own for real ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.profiles import Profile, load_profile
from particle_dev.cloud.session import open_cloud
from particle_dev.errors import BenchError, ConfigError
from particle_dev.protocol.secret import Secret
from particle_harness.clock import VirtualClock

if TYPE_CHECKING:
    from particle_dev.station.bench_file import TestRules
    from particle_harness.cloud import SimCloud
    from particle_harness.cloud.tables import Account


@dataclass(slots=True)
class HilCloud:
    """``api`` is the client, logged in. ``sim`` is the whole simulated cloud, with its metering ledger; None for
    Particle's."""

    api: CloudApi
    sim: SimCloud | None = None
    _owner: Account | None = None
    _products: dict[str, int] = field(default_factory=dict)
    _product: int | None = None

    @property
    def is_virtual(self) -> bool:
        """Whether it is simulated: nothing it says was asked of Particle."""
        return self.sim is not None

    @property
    def ledger(self) -> object:
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


@contextmanager
def simulated_cloud(folder: Path) -> Iterator[HilCloud]:
    """A cloud on loopback with one account, without rate limits; its time is virtual, and never behind that of boards.
    ``folder`` is for what the client remembers. Raises BenchError when the extra is not installed."""
    try:
        from particle_harness.cloud import SimCloud  # noqa: PLC0415  # the extra `sim`

        sim = SimCloud(VirtualClock(), limits=False)
    except ImportError as error:
        raise BenchError(
            f"the simulated cloud is not installed: {error}", hint="pip install 'particle-dev[sim]'"
        ) from error
    owner = sim.population.add_account("tests@example.com", plan="basic")
    token = Secret(sim.population.make_token(owner))
    try:
        with sim.serve() as server:
            profile = Profile("tests", server.url, token, owner.username, folder / "no-file")
            api = open_cloud(profile, limit_file=folder / "limits.json")
            try:
                yield HilCloud(api, sim, owner)
            finally:
                api.link.close()
    finally:
        sim.close()


@contextmanager
def particle_cloud(rules: TestRules) -> Iterator[HilCloud]:
    """Particle's cloud, by the profile that the bench file names. Raises ConfigError when it names none: tests use no
    login that happens to be there."""
    if rules.profile is None:
        raise ConfigError(
            "the bench file names no profile for tests that ask the cloud",
            key="test.profile",
            hint='add profile = "NAME" to its table [test], and log in: particle config NAME, particle login',
        )
    api = open_cloud(load_profile(rules.profile))
    try:
        yield HilCloud(api, _product=rules.product)
    finally:
        api.link.close()
