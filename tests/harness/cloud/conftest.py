"""A cloud without sockets, on a clock that nobody waits for."""

import httpx2
import pytest
from particle_harness.clock import VirtualClock
from particle_harness.cloud import SimCloud


class Site:
    """One account with one product for Borons, and clients for both."""

    def __init__(self, plan="basic", **settings):
        self.cloud = SimCloud(VirtualClock(), **settings)
        self.owner = self.cloud.population.add_account("me@example.com", "password", plan=plan)
        self.product = self.cloud.population.add_product("Sensors", "boron", self.owner)
        self.token = self.cloud.population.make_token(self.owner)
        self.http = self.client(self.token)
        self.devices = f"/v1/products/{self.product.id}/devices"
        self.sims = f"/v1/products/{self.product.id}/sims"
        self.firmware = f"/v1/products/{self.product.id}/firmware"

    def client(self, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx2.WSGITransport(self.cloud.app)
        return httpx2.Client(transport=transport, base_url="http://cloud", headers=headers)

    def member(self, platform="boron", **properties):
        """A device in the product, its SIM active."""
        device = self.cloud.population.make_device(platform, **properties)
        assert self.http.post(self.devices, json={"id": device.id}).json()["updated"] == 1
        self.cloud.clock.sleep(3600)
        return device

    def record(self, device):
        return self.http.get(f"{self.devices}/{device.id}").json()

    def events(self):
        return [(event.name, event.data) for event in self.cloud.hub.history]


@pytest.fixture
def make_site():
    made = []

    def make(**settings):
        made.append(Site(**settings))
        return made[-1]

    yield make
    for site in made:
        site.cloud.close()


@pytest.fixture
def site(make_site):
    return make_site()
