"""One virtual board at a bench, and the simulated cloud that its bench joins it to: what the guard's tests play in."""

import hashlib
import random
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import httpx2
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.cloud import SimCloud
from particle_harness.cloud.tables import Device, Product, Sim
from particle_harness.factory import build_module, install, release_stand_ins
from particle_harness.wifi import FORMER_OWNERS_NETWORK

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cloud.admission import Admission, LineTestAccount
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.device_state import DeviceEventType, DeviceStates
from particle_dev.cloud.evidence import ProductEvidence
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.cloud.strategies import Strategy
from particle_dev.protocol.module import parse
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench
from particle_dev.station.events import EventType, Verdict, new_event
from particle_dev.station.fold import fold
from particle_dev.station.guard import StationGuard
from particle_dev.station.guard_setup import ProductWatch
from particle_dev.station.recipe import FirmwareChoice, Limits, Recipe
from particle_dev.station.run import UnitContext
from particle_dev.station.unit import UnitRun
from particle_dev.transport.http import HttpxLink
from tests.station.guard_witnesses import ProductStream, StationClock

BOOT, SYSTEM, USER = ModuleFunction.BOOTLOADER, ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART
SYSTEM_VERSION = 2101
SMALL = 0x4000


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


class Killed(BaseException):
    """``kill -9``: nothing of the station's program runs any more."""


class Mortal:
    """Where a station can be killed: at a line of its journal, at a transfer, at the switch of the power."""

    def __init__(self, backend):
        self._backend = backend
        self._left = None
        self.is_dead = False
        backend.ctrl_transfer = self._counted(backend.ctrl_transfer)
        backend.enumerate_devices = self._counted(backend.enumerate_devices)

    def power(self, switch, note_off):
        """The switch, in the hands of the station."""

        def off():
            switch.off()
            note_off()

        return SimpleNamespace(on=self._counted(switch.on), off=self._counted(off))

    @contextmanager
    def lifetime(self, calls):
        """The station lives for so many more lines, transfers and looks at the bus (None: for ever); what is left of
        it then, the operating system cleans up."""
        self._left, self.is_dead = calls, False
        try:
            yield
        except Killed:
            pass
        finally:
            self._left = None
            if self.is_dead:
                self._backend._owners.clear()
                self._backend._kernel_detached.clear()

    @contextmanager
    def others(self):
        """What somebody else does meanwhile kills nobody."""
        left, self._left = self._left, None
        try:
            yield
        finally:
            self._left = left

    def touch(self):
        """Something that it does."""
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            self.die()

    def die(self):
        """Now."""
        self.is_dead = True
        raise Killed

    def _counted(self, call):
        def made(*arguments, **named):
            self.touch()
            return call(*arguments, **named)

        return made


class World:
    """``member`` "product", "other" (another product) or None; ``sim`` the state of its SIM."""

    def __init__(self, folder, platform="boron", *, member="product", plan="basic", power_control=True, **slot):
        self.plan = plan
        self.folder = folder
        self.kind = hardware(platform)
        self.set = small_set(self.kind)
        self.ours = small_set(self.kind, version=7)[-1]
        """An application that connects only when told to."""
        self.cloud = SimCloud(VirtualClock())
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual", "power_control": power_control, "cloud": self.cloud},
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
        slot = self.bench.slots[0]
        self.clock = slot.host.clock
        self.station_clock = StationClock(self.clock)
        self.host = replace(slot.host, clock=self.station_clock)
        self.mortal = Mortal(self.bench.driver.usb_backend)
        self.off_at_s = None
        """When the station switched the power off."""
        power = self.mortal.power(slot.power, self._off) if slot.power else None
        self.slot = replace(slot, host=self.host, power=power)
        self.board = self.bench.driver.board("1")
        self.device_id = self.board.state.device_id
        people = self.cloud.population
        self.owner = people.add_account("me@example.com", "password", plan=plan)
        self.products = [people.add_product(name, platform, self.owner) for name in ("Sensors", "Other")]
        self.device = self.cloud.store.get(Device, self.device_id)
        self.api = self._api(people.make_token(self.owner))
        self.open_stream()
        if member:
            self.import_into(self.products[member == "other"])
        self.states = DeviceStates(folder / "devices.jsonl")
        self.states.add = self._remember
        self.baseline_taken_s = None
        self.folder_began_s = 0.0
        self.evidence = ProductEvidence(self.api, self.products[0].id)
        self.shelf = Shelf(self.set)
        self.prior = {}
        self.events = []
        self.runs = 0
        self.tester = self.test_api = None
        self.record = None

    def _api(self, token):
        link = HttpxLink(
            "http://127.0.0.1:1", transport=httpx2.WSGITransport(app=self.cloud.app), clock=self.host.clock
        )
        limiter = RateLimiter(MemoryLimitStore(), self.host.clock, boot="one")
        return CloudApi(link, limiter, token=Secret(token), clock=self.host.clock, rng=random.Random(1))

    def close(self):
        self.bench.close()
        self.cloud.close()
        self.api.link.close()
        if self.test_api is not None:
            self.test_api.link.close()

    def _off(self):
        self.off_at_s = self.clock.monotonic_s()

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

    @property
    def sessions(self):
        """When the board came online, in seconds of the true clock, by what the cloud published before anybody could
        tamper with it."""
        zero = self.clock.utc_now().timestamp() - self.clock.monotonic_s()
        return [
            event.at_s - zero
            for event in self.cloud.hub.history
            if (event.coreid, event.name, event.data) == (self.device_id, "spark/status", "online")
        ]

    @property
    def sessions_since_baseline(self):
        """Those after the baseline was taken; None: it never was."""
        taken_s = self.baseline_taken_s
        return None if taken_s is None else [at_s for at_s in self.sessions if at_s > taken_s]

    def sessions_in(self, since, until):
        """Those in a window of this folder's runs, as the station's clock tells it. What that clock showed twice, as it
        was set back, counts only from the folder's first run on."""
        began = self.station_clock.shows(self.folder_began_s)
        began_s = self.folder_began_s - max(0.0, (began - since).total_seconds())
        return [at_s for at_s in self.sessions if at_s >= began_s and since <= self.station_clock.shows(at_s) <= until]

    def _remember(self, event):
        if event.type is DeviceEventType.BASELINE and self.baseline_taken_s is None:
            self.baseline_taken_s = self.clock.monotonic_s()
        DeviceStates.add(self.states, event)

    # ---- what the stream brings --------------------------------------------------------------------------------------

    def open_stream(self):
        """Listen to the product's events from now on."""
        self.began = self.station_clock.utc_now()
        self.stream = ProductStream(self.cloud, self.api, self.products[0], self.station_clock)
        self.watch = ProductWatch(self.stream, self.stream, self.station_clock)

    def interrupt_stream(self):
        """The stream breaks and is open again at once: what the reader says of it is a gap."""
        self.stream.cut()
        self.clock.sleep(0.1)
        self.stream.open()

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

    def run(
        self,
        guard=None,
        *,
        shelf=None,
        probe=None,
        on_event=lambda _kind, _step: None,
        acts=(),
        lives=None,
        connectivity=None,
    ):
        """One run of the station at the unit, resumed where one did not pass; the unit's record.

        ``lives``: so many lines, transfers and looks at the bus, and then it is killed; there is no record then."""
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
            connectivity=connectivity,
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
        if not self.events:
            self.folder_began_s = self.clock.monotonic_s()
        self._keep(EventType.RUN_STARTED if not self.events else EventType.RUN_RESUMED, None, None, start)

        def emit(kind, unit, step, data):
            self.mortal.touch()  # The line does not get through,
            self._keep(kind, unit, step, data)
            self.mortal.touch()  # or it is the last one.
            on_event(kind, step)

        self.runs += 1
        self.off_at_s = verdict = None
        with self.mortal.lifetime(lives):
            verdict = UnitRun(self.slot, context, emit).run()
        record = fold(self.events)
        units = {u.device_id: u for u in record.units if u.device_id}
        if self.mortal.is_dead:
            self.prior = units
        if verdict is None:
            return None
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
            new_event(kind, run_id="run", at=self.host.clock.utc_now(), slot=slot, unit=unit, step=step, data=data)
        )

    def make_ready_to_connect(self):
        """Set up, with a network to join: what somebody does who wants it online."""
        self.board.dct.mark_setup_done()
        if not self.board.state.wifi_networks:
            self.board.state.wifi_networks.append(FORMER_OWNERS_NETWORK)

    # ---- flash by a gang programmer ----------------------------------------------------------------------------------

    def program(self, modules):
        """Put modules where they belong, without anybody's permission."""
        for module in modules:
            install(self.board.internal, self.kind, module)

    @staticmethod
    def kind_address(module):
        """Where a module belongs, by its header."""
        return parse(module).start_address
