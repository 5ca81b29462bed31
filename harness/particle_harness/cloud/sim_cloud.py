"""One simulated cloud: state, clock, network and HTTP application together."""

from __future__ import annotations

import hashlib
import heapq
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from particle_harness.clock import Clock
from particle_harness.cloud.clock import CloudClock
from particle_harness.cloud.faults import CloudFaults
from particle_harness.cloud.hub import Hub
from particle_harness.cloud.ledger import Ledger
from particle_harness.cloud.limits import Limits
from particle_harness.cloud.network import Network
from particle_harness.cloud.population import Population
from particle_harness.cloud.rules import sims as sim_rules
from particle_harness.cloud.sessions import Sessions, event_of
from particle_harness.cloud.store import Store
from particle_harness.cloud.tables import Device, Product, Setting, Sim

if TYPE_CHECKING:
    from particle_harness.cloud.app import App
    from particle_harness.cloud.server import CloudServer


class SimCloud:
    """A cloud of its own. ``path``: keep it in a file, and take it up again from there.

    ``clock``: ``VirtualClock()`` for tests without waiting; boards that join are followed. ``keep_alive_s``: real
    seconds between the empty lines of an event stream. ``retry_after``: refusals say how long to wait.
    ``limits``: false switches rate limits off.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        path: Path | None = None,
        keep_alive_s: float = 9.0,
        retry_after: bool = False,
        limits: bool = True,
        answer_timeout_s: float = 10.0,
    ) -> None:
        self.clock = CloudClock(clock)
        self.keep_alive_s = keep_alive_s
        self.answer_timeout_s = answer_timeout_s
        self.lock = threading.RLock()
        self.store = Store(path)
        self.hub = Hub()
        self.faults = CloudFaults()
        self.hub.tampering = self.faults.tamper
        self.limits = Limits(self.now_s, retry_after=retry_after)
        self.limits.enabled = limits
        self.network = Network(self.new_id)
        self.ledger = Ledger(self.store, self.now_s)
        self.sessions = Sessions(self)
        self.population = Population(self)
        self._due: list[tuple[float, str, str]] = []
        self._carrier_asked: dict[str, float] = {}
        self.link_token = self._kept("link token", secrets.token_hex(20))
        """Lets boards of other processes into the network; nothing else does. Kept with the rest, so that their bench
        files stay right."""
        self._take_up()

    # -- for tests and programs ------------------------------------------------------------------------------------

    @cached_property
    def app(self) -> App:
        """The API as a WSGI application, for ``httpx2.WSGITransport`` and servers."""
        from particle_harness.cloud.app import App  # noqa: PLC0415  # needs the extra `sim`

        return App(self)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> CloudServer:
        """Serve the API over HTTP on threads of its own; a context manager with ``url``."""
        from particle_harness.cloud.server import CloudServer  # noqa: PLC0415  # needs the extra `sim`

        return CloudServer(self, host, port)

    def close(self) -> None:
        """End streams and close the file."""
        self.hub.close_all()
        self.store.close()

    # -- time ------------------------------------------------------------------------------------------------------

    def now_s(self) -> float:
        """POSIX seconds."""
        return self.clock.now_s()

    def today(self) -> str:
        """``2026-01-31``."""
        return datetime.fromtimestamp(self.now_s(), UTC).strftime("%Y-%m-%d")

    def schedule(self, at_s: float, what: str, key: str) -> None:
        """Let something happen later: ``offline`` of a device, ``sim`` of a SIM."""
        heapq.heappush(self._due, (at_s, what, key))

    def settle(self) -> None:
        """Do what has become due. Under the lock."""
        while self._due and self._due[0][0] <= self.now_s():
            at_s, what, key = heapq.heappop(self._due)
            if what == "offline":
                self.sessions.notice_offline(key, at_s)
            else:
                self._settle_sim(key, at_s)

    def advance(self) -> None:
        """Let boards and cloud catch up with their clocks. Never under the lock."""
        self.network.advance()
        with self.session():
            self.settle()

    # -- shared by endpoints and sessions --------------------------------------------------------------------------

    @contextmanager
    def session(self) -> Iterator[None]:
        """Lock and transaction."""
        with self.lock, self.store.transaction():
            yield

    def new_id(self, digits: int = 24) -> str:
        """Hex digits, the same in each run that does the same."""
        with self.lock:
            # Commands get their ids outside of any session.
            serial = self.store.next_serial()
        return hashlib.sha256(f"particle simulated cloud {serial}".encode()).hexdigest()[:digits]

    def emit(self, device: Device, name: str, data: str | None) -> None:
        """Publish an event of, or about, a device."""
        self.hub.publish(event_of(device, name, data, self.now_s()))

    def take_into_product(self, device: Device, product: Product, cause: str) -> None:
        """Make a device a member; its owner's product, or nobody's, loses it."""
        device.product_id = product.id
        device.quarantined_in = device.denied_in = 0
        self.store.put(device)
        self.ledger.added(device, cause)

    def change_sim(self, sim: Sim, action: str) -> bool:
        """Begin to activate, deactivate or release a SIM. False: not possible as it is."""
        change = sim_rules.change_of(action, sim.status, sim.sim_class, deactivated_before=sim.deactivations > 0)
        if change is None:
            return False
        after_s = change.after_s
        if self.faults.for_device("sim_stuck", iccid=sim.iccid):
            after_s = sim_rules.STUCK_S
        sim.last_action, sim.updated_at = action, self.now_s()
        sim.pending_status, sim.pending_until = change.status, self.now_s() + after_s
        self.store.put(sim)
        self.schedule(sim.pending_until, "sim", sim.iccid)
        self.settle()
        return True

    def carrier_asked_at(self, iccid: str, life_s: float) -> float:
        """When the carrier was asked about a SIM: now, unless an answer of at most that age is there or on its way."""
        asked_at_s = self._carrier_asked.get(iccid)
        if asked_at_s is None or self.now_s() - asked_at_s > life_s:
            asked_at_s = self._carrier_asked[iccid] = self.now_s()
        return asked_at_s

    def _settle_sim(self, iccid: str, at_s: float) -> None:
        sim = self.store.get(Sim, iccid)
        if sim is None or not sim.pending_status or sim.pending_until != at_s:
            return
        if sim.pending_status == "active" and sim.status != "active":
            sim.activations += 1
            sim.last_activated_on = at_s
            sim.first_activated_on = sim.first_activated_on or at_s
        elif sim.status == "active" and sim.pending_status != "active":
            sim.deactivations += 1
            self._cut_off(sim, at_s)
        sim.status, sim.pending_status, sim.updated_at = sim.pending_status, "", at_s
        self.store.put(sim)

    def _cut_off(self, sim: Sim, at_s: float) -> None:
        """A SIM that is switched off takes its device's session along, unnoticed at first."""
        device = self.store.get(Device, sim.device_id) if sim.device_id else None
        if device is not None and device.online:
            device.offline_at = at_s + 2 * device.keep_alive_s
            self.store.put(device)
            self.schedule(device.offline_at, "offline", device.id)

    def _kept(self, name: str, new: str) -> str:
        """A setting of the file; ``new`` where it has none."""
        with self.session():
            setting = self.store.get(Setting, name) or Setting(name, new)
            self.store.put(setting)
            return setting.value

    def _take_up(self) -> None:
        for sim in self.store.select(Sim, "pending_status != ''"):
            self.schedule(sim.pending_until, "sim", sim.iccid)
        for device in self.store.select(Device, "online = 1"):
            # Sessions did not survive the server.
            self.sessions.lost(device.id)

    def add_fault(self, table: Mapping[str, Any]) -> None:
        """Let something go wrong; see :mod:`particle_harness.cloud.faults`."""
        self.faults.add(table)
