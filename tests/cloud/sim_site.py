"""The client of particle_dev before a simulated cloud, in process, on one virtual clock."""

import random

import httpx2
from particle_harness.clock import VirtualClock
from particle_harness.cloud import SimCloud

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.protocol.secret import Secret
from particle_dev.transport.http import HttpxLink


class SimSite:
    """An account with one product for a platform, in its sandbox or in an organization of its own (``org=True``)."""

    def __init__(self, platform="boron", *, plan="free", org=False, **settings):
        self.clock = VirtualClock()
        self.sim = SimCloud(self.clock, **settings)
        people = self.sim.population
        self.owner = people.add_account("me@example.com", plan="free" if org else plan)
        self.org = people.add_org("acme", self.owner, plan=plan) if org else None
        self.product = people.add_product("Widget", platform, self.owner, org=self.org)
        self.token = people.make_token(self.owner)
        self.requests = []
        self.api = self.api_for(self.token)

    def api_for(self, token):
        transport = httpx2.WSGITransport(self.sim.app)
        link = HttpxLink("http://127.0.0.1:1", transport=_Counting(transport, self.requests), clock=self.clock)
        limiter = RateLimiter(MemoryLimitStore(), self.clock, boot="one")
        return CloudApi(link, limiter, token=Secret(token), clock=self.clock, rng=random.Random(1))

    def sent(self, method, path):
        """How many requests had this method and end of path."""
        return sum(m == method and p.endswith(path) for m, p in self.requests)

    def close(self):
        self.api.link.close()
        self.sim.close()


class _Counting(httpx2.BaseTransport):
    """Notes each request on its way."""

    def __init__(self, inner, requests):
        self.inner, self.requests = inner, requests

    def handle_request(self, request):
        self.requests.append((request.method, request.url.path))
        try:
            return self.inner.handle_request(request)
        except ConnectionResetError as error:
            # What a socket would have made of it.
            raise httpx2.RemoteProtocolError(str(error)) from error

    def close(self):
        self.inner.close()
