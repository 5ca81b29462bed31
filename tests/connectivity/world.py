"""One virtual board, its application with the self-test service, and a simulated cloud it reaches, on one virtual
clock: what the tests of connectivity tests play in."""

import random

import httpx2
from particle_harness.bench_toml import stand_ins
from particle_harness.clock import VirtualClock
from particle_harness.cloud import SimCloud
from particle_harness.cloud.tables import Device, Firmware, Sim
from particle_harness.factory import app_stand_in

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.events import CloudEvent, StreamGap
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.board import Board
from particle_dev.connectivity.cloud_link import CloudLink, cloud_scope
from particle_dev.connectivity.engine import ConnectivityTest
from particle_dev.connectivity.plan import ConnectivityOptions, make_plan
from particle_dev.device.discovery import wait_for_device
from particle_dev.permissions import Permissions
from particle_dev.protocol.module import Product, parse
from particle_dev.protocol.module_build import ModuleParts, Suffix, asset_dependency, build, end_of_extensions
from particle_dev.protocol.module_edit import set_product
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench
from particle_dev.transport.http import HttpxLink

MAY_CONNECT = Permissions(may_connect=True)


class HubFeed:
    """Events straight from the simulated cloud's hub: what a stream would bring, at once."""

    def __init__(self, cloud, device_id):
        self.subscription = cloud.hub.subscribe(lambda event: event.coreid == device_id)
        self.alive = True
        self.pending = []

    def poll(self):
        items, self.pending = self.pending, []
        for event in self.subscription.take(0):
            if self.alive:
                body = event.body()
                items.append(CloudEvent(event.name, body["data"], body["coreid"], body["published_at"]))
        return items

    def is_alive(self):
        return self.alive

    def gap(self, since, until=None):
        self.pending.append(StreamGap(since, until, "the stream was interrupted"))


def with_asset(file, name, product):
    """An application of the same place and needs that asks for an asset."""
    module = parse(file)
    suffix = Suffix((asset_dependency(name, bytes(32)), end_of_extensions())).with_product(product)
    return build(
        ModuleParts(
            ModuleFunction.USER_PART,
            module.index,
            module.version,
            module.platform_id,
            module.start_address,
            bytes(400),
            suffix,
            dependencies=tuple(d for d in module.dependencies if d.function),
        )
    )


class World:
    """``log``: the application lets a host ask for a log. ``selftest``: it has the self-test service."""

    def __init__(
        self,
        platform="boron",
        *,
        strategy=Strategy.A,
        log=True,
        selftest=True,
        sim_active=True,
        network_scale=1,
        plan="basic",
        delays="realistic",
        **slot,
    ):
        self.strategy = strategy
        features = ["configurable_logging"] * log + ["selftest"] * selftest
        self.cloud = SimCloud(VirtualClock())
        table = {"name": "1", "platform": platform, "factory": "online", "device_os": "5.8.2", "application": features}
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual", "cloud": self.cloud, "network_scale": network_scale, "delays": delays},
            slots=[table | slot],
            factory_modules=stand_ins,
        )
        self.slot = self.bench.slots[0]
        self.host, self.clock = self.slot.host, self.slot.host.clock
        self.board = self.bench.driver.board("1")
        self.device_id = self.board.state.device_id
        people = self.cloud.population
        self.owner = people.add_account("me@example.com", "password", plan=plan)
        self.product = people.add_product("Sensors", platform, self.owner)
        self.token = people.make_token(self.owner)
        link = HttpxLink("http://127.0.0.1:1", transport=httpx2.WSGITransport(app=self.cloud.app), clock=self.clock)
        limiter = RateLimiter(MemoryLimitStore(), self.clock, boot="one")
        self.api = CloudApi(link, limiter, token=Secret(self.token), clock=self.clock, rng=random.Random(1))
        if strategy is not Strategy.B:
            self.post("POST", f"/v1/products/{self.product.id}/devices", id=self.device_id)
        self.clock.sleep(5)
        self.cloud.advance()
        if not sim_active:
            with self.cloud.session():
                sim = self.cloud.store.get(Sim, self.iccid)
                sim.status = "inactive"
                self.cloud.store.put(sim)
        self.feed = HubFeed(self.cloud, self.device_id)
        self.events = []

    def activate_sim(self):
        """In the account that tests it."""
        with self.cloud.session():
            sim = self.cloud.store.get(Sim, self.iccid)
            sim.status, sim.owner_account = "active", self.owner.id
            self.cloud.store.put(sim)

    def upload(self, version, *, needs=5802, asset=None):
        """Product firmware of that version. ``asset``: the name of one that it needs, and that no board has."""
        file = set_product(app_stand_in(self.board.hardware, needs, linked_for=5802), Product(self.product.id, version))
        if asset:
            file = with_asset(file, asset, Product(self.product.id, version))
        headers = {"Authorization": f"Bearer {self.token}"}
        transport = httpx2.WSGITransport(app=self.cloud.app)
        path = f"/v1/products/{self.product.id}/firmware"
        with httpx2.Client(transport=transport, base_url="http://cloud", headers=headers) as http:
            form = {"version": str(version), "title": f"version {version}"}
            answer = http.post(path, data=form, files={"binary": ("app.bin", file)})
            assert answer.status_code < 300, answer.text

    def release(self, version):
        """Product firmware of that version that the cloud gives to all members."""
        self.upload(version)
        with self.cloud.session():
            row = self.cloud.store.get(Firmware, f"{self.product.id}:{version}")
            row.product_default = True
            self.cloud.store.put(row)

    @property
    def iccid(self):
        return self.cloud.store.get(Device, self.device_id).iccid

    def post(self, method, path, **body):
        headers = {"Authorization": f"Bearer {self.token}"}
        transport = httpx2.WSGITransport(app=self.cloud.app)
        with httpx2.Client(transport=transport, base_url="http://cloud", headers=headers) as http:
            answer = http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def close(self):
        self.bench.close()
        self.cloud.close()
        self.api.link.close()

    def test(self, *, permissions=MAY_CONNECT, on_event=lambda _event: None, with_cloud=True, run_id="t1", **options):
        """Run one test; its result."""
        device = wait_for_device(self.host, self.slot.port_path, 60)
        plan = make_plan(device.platform, self.strategy, ConnectivityOptions(**options))
        ref = self.product.id if self.strategy is not Strategy.B else None
        cloud = CloudLink(cloud_scope(self.api, ref), self.device_id, self.feed) if with_cloud else None

        def note(event):
            self.events.append(event)
            on_event(event)

        with Board(self.host, device, permissions) as board:
            return ConnectivityTest(
                board,
                cloud,
                plan,
                run_id=run_id,
                permissions=permissions,
                billing_plan=PLANS[PlanName.BASIC],
                on_event=note,
            ).run()
