"""One virtual board at a bench, and a simulated cloud that it can really reach: what the guard's tests play in."""

import hashlib
import random
from datetime import timedelta
from types import SimpleNamespace

import httpx2
from particle_harness.boards import hardware
from particle_harness.cloud import NoServiceError, SimCloud, SimDevice
from particle_harness.cloud.tables import Device, Product, Sim
from particle_harness.factory import build_module, install, release_stand_ins

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cloud.admission import Admission, LineTestAccount
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.device_state import DeviceStates
from particle_dev.cloud.evidence import ProductEvidence
from particle_dev.cloud.facts import StreamWatch
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.cloud.strategies import Strategy
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench
from particle_dev.station.events import EventType, Verdict, new_event
from particle_dev.station.fold import fold
from particle_dev.station.guard import StationGuard
from particle_dev.station.recipe import FirmwareChoice, Limits, Recipe
from particle_dev.station.run import UnitContext
from particle_dev.station.unit import UnitRun
from particle_dev.transport.http import HttpxLink

BOOT, SYSTEM, USER = ModuleFunction.BOOTLOADER, ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART
SYSTEM_VERSION = 2101
SMALL = 0x4000
CONNECTED = 2


def small_set(kind, *, app_needs=SYSTEM_VERSION, version=6):
    """A Device OS and an application of a few pages: what they do is decided by their prefixes alone."""
    if kind.is_gen3:
        system = [
            build_module(kind, SYSTEM, 1, SYSTEM_VERSION, start_address=0x30000, size_bytes=SMALL, need1=(BOOT, 0, 1))
        ]
        place, index = 0xD4000, 1
    else:
        system = [
            build_module(
                kind, SYSTEM, 1, SYSTEM_VERSION, start_address=0x08020000, size_bytes=SMALL, need1=(SYSTEM, 2, 207)
            ),
            build_module(
                kind,
                SYSTEM,
                2,
                SYSTEM_VERSION,
                start_address=0x08060000,
                size_bytes=SMALL,
                need1=(SYSTEM, 1, SYSTEM_VERSION),
                need2=(BOOT, 0, 1),
            ),
        ]
        place, index = 0x080A0000, 2
    app = build_module(kind, USER, 1, version, start_address=place, size_bytes=0x2000, need1=(SYSTEM, index, app_needs))
    return [*system, app]


class Shelf:
    """A firmware store that holds one set."""

    root = "shelf"

    def __init__(self, modules):
        self.data = {hashlib.sha256(m).hexdigest(): m for m in modules}
        self._entries = [SimpleNamespace(sha256=h, file_name=f"module-{n}.bin") for n, h in enumerate(self.data)]

    def device_os_set(self, _platform, _release):
        return SimpleNamespace(modules=self._entries[:-1])

    def app(self, _platform, _name):
        return self._entries[-1]

    def read(self, sha256):
        return self.data[sha256]


class BoardPeer(SimDevice):
    """A board's end of its session: it lives on while somebody asks the cloud, and vanishes with its power."""

    board = None
    is_connected = False

    def advance(self):
        if self.board is None:
            return
        self.board.advance()
        if self.is_connected and self.board.state.cloud_status != CONNECTED:
            self.is_connected = False
            self.vanish()

    def connect(self, **hello):
        super().connect(**hello)
        self.is_connected = True

    def goodbye(self):
        super().goodbye()
        self.is_connected = False


class World:
    """``member`` "product", "other" (another product) or None; ``sim`` the state of its SIM."""

    def __init__(self, folder, platform="boron", *, member="product", plan="basic", power_control=True, **slot):
        self.plan = plan
        self.folder = folder
        self.kind = hardware(platform)
        self.set = small_set(self.kind)
        self.ours = small_set(self.kind, version=7)[-1]
        """An application that connects only when told to."""
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual", "power_control": power_control},
            slots=[
                {
                    "name": "1",
                    "platform": platform,
                    "semi_automatic_apps": [hashlib.sha256(self.ours).hexdigest()],
                    **slot,
                }
            ],
            factory_modules=lambda _: release_stand_ins(self.kind),
        )
        self.slot = self.bench.slots[0]
        self.host, self.clock = self.slot.host, self.slot.host.clock
        self.board = self.bench.driver.board("1")
        self.device_id = self.board.state.device_id
        self.cloud = SimCloud(self.clock)
        people = self.cloud.population
        self.owner = people.add_account("me@example.com", "password", plan=plan)
        self.products = [people.add_product(name, platform, self.owner) for name in ("Sensors", "Other")]
        self.device = people.make_device(platform, self.device_id)
        self.sessions = []
        """When the board was connected, in UTC of its clock."""
        self._join()
        self.open_stream(since_s=-10)
        if member:
            self.import_into(self.products[member == "other"])
        self.api = self._api(people.make_token(self.owner))
        self.states = DeviceStates(folder / "devices.jsonl")
        self.evidence = ProductEvidence(self.api, self.products[0].id)
        self.shelf = Shelf(self.set)
        self.prior = {}
        self.events = []
        self.runs = 0
        self.tester = self.test_api = None
        self.record = None

    def _api(self, token):
        link = HttpxLink("http://127.0.0.1:1", transport=httpx2.WSGITransport(app=self.cloud.app), clock=self.clock)
        limiter = RateLimiter(MemoryLimitStore(), self.clock, boot="one")
        return CloudApi(link, limiter, token=Secret(token), clock=self.clock, rng=random.Random(1))

    def close(self):
        self.bench.close()
        self.cloud.close()
        self.api.link.close()
        if self.test_api is not None:
            self.test_api.link.close()

    # ---- network -------------------------------------------------------------------------------------------------

    def _join(self):
        peer = BoardPeer(self.cloud, self.device)
        peer.board = self.board
        tell = self.board._radio.on_event

        def on_event(text):
            tell(text)
            if text == "Cloud: connected":
                try:
                    peer.connect(last_reset="pin_reset")
                except NoServiceError:
                    return
                self.sessions.append(self.clock.utc_now())
            elif text == "Cloud: disconnected":
                peer.goodbye()

        self.board._radio.on_event = on_event

    # ---- account ---------------------------------------------------------------------------------------------------

    def post(self, method, path, **body):
        headers = {"Authorization": f"Bearer {self.cloud.population.make_token(self.owner)}"}
        with httpx2.Client(
            transport=httpx2.WSGITransport(app=self.cloud.app), base_url="http://cloud", headers=headers
        ) as http:
            return http.request(method, path, json=body)

    def import_into(self, product):
        """Another tool imports it, which activates its SIM."""
        answer = self.post("POST", f"/v1/products/{product.id}/devices", id=self.device_id)
        self.clock.sleep(5)
        self.cloud.advance()
        return answer

    def remove_from(self, product):
        return self.post("DELETE", f"/v1/products/{product.id}/devices/{self.device_id}")

    def change_sim(self, action):
        for product in self.products:
            path = f"/v1/products/{product.id}/sims/{self.device.iccid}"
            self.post("PUT" if action != "release" else "DELETE", path, action=action)
        self.clock.sleep(5)
        self.cloud.advance()

    @property
    def is_metered(self):
        return self.cloud.ledger.metered(self.device_id)

    # ---- what the stream brought -----------------------------------------------------------------------------------

    def open_stream(self, since_s=0.0):
        """Listen to the product's events from now on (or from some time ago)."""
        self.began = self.clock.utc_now() + timedelta(seconds=since_s)
        self.gaps = []

    def watch(self, device_id):
        history = [e for e in self.cloud.hub.history if e.at_s >= self.began.timestamp()]
        events = tuple((e.name, e.data or "") for e in history if e.coreid == device_id)
        return StreamWatch(self.began, self.clock.utc_now(), tuple(self.gaps), events)

    # ---- station ---------------------------------------------------------------------------------------------------

    def admission(self):
        return Admission(self.api, self.evidence.product, PlanName(self.plan))

    def test_account(self):
        """The account in which the unit was tested, a member of the product's team: the unit is claimed there."""
        if self.tester is None:
            self.tester = self.cloud.population.add_account("tests@example.com", "password")
        self.test_api = self._api(self.cloud.population.make_token(self.tester))
        with self.cloud.session():
            device = self.cloud.store.get(Device, self.device_id)
            device.owner_id = self.tester.id
            self.cloud.store.put(device)
            sim = self.cloud.store.get(Sim, device.iccid)
            sim.status, sim.owner_account = "active", self.tester.id
            self.cloud.store.put(sim)
            product = self.cloud.store.get(Product, self.products[0].id)
            product.team = [*product.team, self.tester.id]
            self.cloud.store.put(product)
        return LineTestAccount(self.test_api)

    def guard(self, strategy=Strategy.C, **options):
        return StationGuard(
            strategy, self.evidence, self.states, self.watch, plan=PLANS[PlanName(self.plan)], **options
        )

    def run(self, guard=None, *, shelf=None, probe=None, on_event=lambda _kind, _step: None, acts=()):
        """One run of the station at the unit, resumed where one did not pass; the unit's record."""
        recipe = Recipe(
            "ship",
            "",
            "dfu",
            {self.kind.name: FirmwareChoice("2.1.0", "app.bin")},
            Limits(),
            "ship.toml",
            "0" * 64,
            guard.strategy if guard else None,
            probe=probe,
            order=tuple(acts),
        )
        context = UnitContext(
            recipe,
            shelf or self.shelf,
            {},
            self.prior,
            lambda: False,
            folder=self.folder,
            **({"guard": guard} if guard else {}),
        )
        start = {
            "recipe": {"name": "ship", "sha256": "0" * 64, "path": "ship.toml"},
            "bench": {"name": "virtual"},
            "slots": ["1"],
            "software": {},
            "operator": None,
        }
        self._keep(EventType.RUN_STARTED if not self.events else EventType.RUN_RESUMED, None, None, start)

        def emit(kind, unit, step, data):
            self._keep(kind, unit, step, data)
            on_event(kind, step)

        self.runs += 1
        try:
            verdict = UnitRun(self.slot, context, emit).run()
        finally:
            record = fold(self.events)
        if verdict is None:
            return None
        units = {u.device_id: u for u in record.units if u.device_id}
        self.record = units.get(self.device_id) or record.units[-1]
        if verdict is Verdict.PASS:
            self.forget_runs()
        else:
            self.prior = units
        return self.record

    def forget_runs(self):
        """The next run gets a folder of its own."""
        self.prior, self.events = {}, []

    def _keep(self, kind, unit, step, data):
        if kind is EventType.STEP_PROGRESS:
            return
        slot = None if kind in (EventType.RUN_STARTED, EventType.RUN_RESUMED) else "1"
        self.events.append(
            new_event(kind, run_id="run", at=self.clock.utc_now(), slot=slot, unit=unit, step=step, data=data)
        )

    # ---- flash by a gang programmer ----------------------------------------------------------------------------------

    def program(self, modules):
        """Put modules where they belong, without anybody's permission."""
        for module in modules:
            install(self.board.internal, self.kind, module)
