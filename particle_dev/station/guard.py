"""The billing guard of a station: what it asks the cloud about each unit, and the verdict that follows.

One :class:`StationGuard` serves all slots; a :class:`UnitGuard` follows one unit through its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from particle_dev.catalog.modules import ModuleFunction, ModuleStore
from particle_dev.catalog.platforms import Platform
from particle_dev.cloud.admission import Admission, LineTestAccount
from particle_dev.cloud.budget import BudgetBook, cost_of_test
from particle_dev.cloud.device_state import DeviceEvent, DeviceEventType, DeviceStates
from particle_dev.cloud.evidence import EthernetDetection, ProductEvidence, radios_of
from particle_dev.cloud.facts import (
    Baseline,
    FactVerdict,
    Snapshot,
    StreamWatch,
    baseline_of,
    began_unwatched,
    stream_fact,
    time_text,
)
from particle_dev.cloud.gate import Gate, GateCase, cloud_not_asked, evaluate, power_hint
from particle_dev.cloud.metering import (
    Billing,
    BillingFinding,
    BillingVerdict,
    Evidence,
    held_listening,
    no_credentials,
    own_application,
)
from particle_dev.cloud.plans import Plan
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.strategies import Act, Runs, Strategy, UnitFacts, passes, require_act
from particle_dev.connectivity.cloud_link import CloudLink
from particle_dev.device.control import ControlSession
from particle_dev.errors import ActRefusedError, BillingUnprovenError, PlanRefusedError, RequestRefusedError
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol.messages_config import Feature
from particle_dev.station.events import JsonObject
from particle_dev.station.verdict_data import fact_data

_READ_AGAIN = "leave it off, and read its record in the cloud again before it is shipped"
WatchUnit = Callable[[str], StreamWatch]
"""Tells what the product's event stream has brought about a device so far."""
OpenLink = Callable[[str], CloudLink]
"""The cloud for the connectivity test of a device, with its events from then on."""


@dataclass(frozen=True, slots=True)
class StationGuard:
    """What all units of a run share. ``watch`` None: no event stream is open. ``budget`` None: not known.

    ``permissions`` are the operator's: strategy A needs ``may_connect``. ``semi_automatic_apps`` are SHA-256 of
    applications that connect only when told to. ``admission`` imports units (needs ``may_bill``), ``test_account`` is
    where units of strategy B were tested; None: the recipe does neither. ``link`` opens the
    cloud for the connectivity test of a device.
    """

    strategy: Strategy
    evidence: ProductEvidence | None
    states: DeviceStates | None
    watch: WatchUnit | None = None
    budget: BudgetBook | None = None
    plan: Plan | None = None
    permissions: Permissions = NOTHING
    semi_automatic_apps: frozenset[str] = frozenset()
    admission: Admission | None = None
    test_account: LineTestAccount | None = None
    link: OpenLink | None = None


WITHOUT_CLOUD = StationGuard(Strategy.C, None, None)


@dataclass(slots=True)
class UnitGuard:
    """The guard of one unit on its way through the station."""

    station: StationGuard
    device_id: str = ""
    platform: Platform | None = None
    facts: UnitFacts = field(default_factory=UnitFacts)
    ethernet: EthernetDetection = EthernetDetection.UNKNOWN
    start: Snapshot | None = None
    end: Snapshot | None = None
    before: Baseline | None = None
    """What the cloud knew before a connection of strategy A."""
    taken: Baseline | None = None
    """The baseline that this run has taken."""
    left_at: datetime | None = None
    """When it was seen to leave USB."""
    is_off: bool = False
    """That was a loss of power: no battery keeps it on."""
    joined_at: datetime | None = None
    """When this run imported it."""

    @property
    def strategy(self) -> Strategy:
        """The strategy of the recipe."""
        return self.station.strategy

    @property
    def asks_cloud(self) -> bool:
        """Whether there is a cloud to ask."""
        return self.station.evidence is not None

    def identified(self, device_id: str, platform: Platform) -> None:
        """The unit is known."""
        self.device_id, self.platform = device_id, platform
        self.facts = replace(self.facts, identified=True, consent=self.station.permissions.may_connect)
        self.remember(DeviceEventType.IDENTIFIED, None)

    # ---- what the board itself tells -----------------------------------------------------------------------------

    def read_interlocks(self, session: ControlSession, counters: Evidence) -> list[Evidence]:
        """What holds the radios of a running board back, beside its counters, from its boot to their reading."""
        found = []
        if session.device_mode().name == "LISTENING" and (piece := held_listening(counters)) is not None:
            found.append(piece)
        if "wifi" in session.device.platform.features:
            try:
                networks = [network.ssid for network in session.wifi.known_networks()]
            except RequestRefusedError:
                networks = None
            if networks is not None and (piece := no_credentials(networks, counters.since, counters.until)):
                found.append(piece)
        if self.station.semi_automatic_apps and (piece := self._read_application(session, counters)) is not None:
            found.append(piece)
        self._read_ethernet(session)
        return found

    def _read_application(self, session: ControlSession, counters: Evidence) -> Evidence | None:
        """That the application is one of ours. Device OS tells its hash from 5.6.0 on."""
        try:
            modules = session.module_info()
        except RequestRefusedError:
            return None
        apps = [m for m in modules if (m.function, m.store) == (ModuleFunction.USER_PART, ModuleStore.MAIN)]
        if len(apps) != 1 or not all(m.valid for m in modules if m.store == ModuleStore.MAIN) or not apps[0].sha256:
            return None
        known = self.station.semi_automatic_apps
        return own_application(apps[0].sha256.hex(), known, counters.since, counters.until)

    def _read_ethernet(self, session: ControlSession) -> None:
        try:
            detects = session.config.feature(Feature.ETHERNET_DETECTION)
        except RequestRefusedError:
            return
        self.ethernet = EthernetDetection.ON if detects else EthernetDetection.OFF

    # ---- what the cloud tells ------------------------------------------------------------------------------------

    def read_before(self, at: datetime, evidence: JsonObject) -> None:
        """The cloud's record before anything is done to the unit."""
        self.start = self._snapshot(at, evidence)

    def read_after(self, at: datetime, evidence: JsonObject) -> None:
        """The cloud's record at the end."""
        self.end = self._snapshot(at, evidence)

    def _snapshot(self, at: datetime, evidence: JsonObject) -> Snapshot:
        assert self.station.evidence is not None
        snapshot = self.station.evidence.snapshot(self.device_id, at, self._baseline())
        evidence |= {
            "product": self.station.evidence.product.id,
            "member": snapshot.is_member,
            "facts": [fact_data(fact) for fact in snapshot.facts],
            "unread": [*snapshot.unread, *([f"SIM: {snapshot.sim_unread}"] if snapshot.sim_unread else [])],
        }
        if snapshot.is_member:
            self.remember(DeviceEventType.JOINED, at, product=str(self.station.evidence.product.id))
        return snapshot

    def _baseline(self) -> Baseline | None:
        return self.station.states.state(self.device_id).baseline if self.station.states else self.taken

    def record(self) -> DeviceRecord | None:
        """The unit's record as the cloud has it now. Raises CloudError, TransportError."""
        return self.station.evidence.record(self.device_id) if self.station.evidence else None

    # ---- verdict -------------------------------------------------------------------------------------------------

    def gate(self, evidence: Sequence[Evidence], at: datetime) -> Gate:
        """The verdict on the unit's whole life from everything that is known up to now."""
        if self.station.evidence is None:
            return cloud_not_asked("the recipe names no product")
        since = min((e.since for e in evidence), default=None)
        off_at = self.left_at if self.is_off else None
        powered = ((since, off_at or at),) if since is not None else ()
        watch = self.station.watch(self.device_id) if self.station.watch and self.device_id else None
        return evaluate(
            GateCase(
                powered=powered,
                is_off=off_at is not None,
                left_usb=self.left_at is not None,
                evidence=tuple(evidence),
                start=self.start,
                end=self.end,
                radios=radios_of(self.platform.id, self.ethernet) if self.platform else None,
                stream=stream_fact(watch, powered, at) if watch else None,
                plan=self.station.plan,
                joined_at=self.joined_at,
            )
        )

    def require_watched(self, evidence: Sequence[Evidence]) -> None:
        """Raise PlanRefusedError when a member had power before its product's events were watched: the verdict could
        not be what strategies B and C promise, whatever is done now."""
        since = min((e.since for e in evidence), default=None)
        if since is None or self.station.watch is None or self.start is None or not self.start.is_member:
            return
        if not began_unwatched(self.station.watch(self.device_id), since):
            return
        reason = f"C4: it has had power since {since:%H:%M:%S} UTC, before the station watched its product's events"
        raise PlanRefusedError(
            f"{self.device_id}: its billing cannot be proven: {reason}",
            reasons=(reason,),
            hint="nothing was erased; take its power away (`particle-dev power off SLOT --bench FILE`, or unplug it), "
            "run the station again with a new --out, and plug it in only when that has started",
        )

    def require(self, act: Act, **changes: object) -> None:
        """Raise ActRefusedError unless the strategy allows the act now; ``changes`` are facts proven meanwhile."""
        self.facts = replace(self.facts, **changes)  # type: ignore[arg-type]  # names of fields, each with its type
        require_act(self.strategy, self.facts, act)

    def require_promise(self, gate: Gate) -> None:
        """Raise BillingUnprovenError unless the verdict is what the strategy promises."""
        if gate.verdict is BillingVerdict.STARTED and self.strategy is not Strategy.A:
            raise BillingUnprovenError(
                f"billing of {self.device_id} has started: {'; '.join(gate.started_by)}",
                verdict=gate.verdict,
                missing=(),
                started_by=gate.started_by,
                hint="set the unit aside; it counts from now on, unless it is removed and its SIM released",
            )
        if not passes(self.strategy, gate):
            raise BillingUnprovenError(
                f"the billing verdict on {self.device_id} is {gate.verdict}: {'; '.join(gate.missing)}",
                verdict=gate.verdict,
                missing=gate.missing,
                started_by=gate.started_by,
                hint="; ".join(h for h in (_READ_AGAIN, power_hint(gate.missing)) if h),
            )

    def require_window(self, billing: Billing) -> None:
        """Raise BillingUnprovenError unless the time in the station's hands went as the strategy promises."""
        promised = BillingVerdict.STARTED if self.strategy is Strategy.A else BillingVerdict.NOT_STARTED
        if billing.verdict is promised:
            return
        online = tuple(e.statement for e in billing.evidence if e.finding is BillingFinding.ONLINE)
        reasons = online or billing.missing or ("no connection was seen",)
        verdict = str(billing.verdict).replace("_", " ")
        raise BillingUnprovenError(
            f"billing of {self.device_id} in the station's hands is {verdict}: {reasons[0]}",
            verdict=billing.verdict,
            missing=billing.missing,
            started_by=online,
            hint="leave it off, look its Device ID up in the cloud, and run it again",
        )

    # ---- memory --------------------------------------------------------------------------------------------------

    def remember(self, kind: DeviceEventType, at: datetime | None, **details: str | None) -> None:
        """Keep an event of the unit for other runs and stations, if it says something new."""
        states = self.station.states
        if states is None or at is None:
            return
        before = states.state(self.device_id)
        event = DeviceEvent(self.device_id, kind, at, details)
        if before.after(event) != before:
            states.add(event)

    def remember_start(self, gate: Gate, at: datetime) -> None:
        """Keep the first connection, should the gate have seen one."""
        if gate.verdict is BillingVerdict.STARTED:
            self.remember(DeviceEventType.CONNECTED, at, statement="; ".join(gate.started_by))

    # ---- acts in the cloud ---------------------------------------------------------------------------------------

    def take_in(self, at: datetime) -> DeviceRecord:
        """Import the unit. **Needs may_bill.** Raises ActRefusedError, CloudError, TransportError."""
        admission = self.station.admission
        assert admission is not None
        assert self.platform is not None
        self.require(Act.IMPORT, **admission.conditions(self.platform.id))
        record = admission.take_in(self.device_id, self.station.permissions)
        self.joined_at = at
        self.remember(DeviceEventType.JOINED, at, product=str(record.product_id))
        return record

    def is_claimed_for_tests(self) -> bool:
        """Whether it still belongs to the test account. Raises CloudError, TransportError."""
        account = self.station.test_account
        return account is not None and account.record(self.device_id) is not None

    def unclaim(self) -> None:
        """Take it out of the test account; its SIM stays. Raises ActRefusedError, CloudError, TransportError."""
        assert self.station.test_account is not None
        self.require(Act.UNCLAIM)
        self.station.test_account.unclaim(self.device_id)
        self.facts = replace(self.facts, claimed=False, in_test_account=False)

    # ---- strategy A ----------------------------------------------------------------------------------------------

    def membership(self) -> dict[str, Any]:
        """What the first reading says of it, as facts of the planner."""
        fact = self.start.fact("C11") if self.start else None
        is_member = bool(self.start and self.start.is_member)
        return {"in_product": is_member, "approved": bool(fact and fact.verdict is FactVerdict.PASS)}

    def require_record(self) -> None:
        """Raise ActRefusedError when the first reading failed: whether the unit is a member is not known then."""
        start = self.start
        if start is None or start.is_member is not None:
            return
        why = "; ".join(start.unread)
        reason = f"its record in the cloud was not read, so nobody knows whether it is a member ({why})"
        raise ActRefusedError(
            f"strategy {self.strategy} does not allow '{Act.FLASH_FINAL}' now: {reason}",
            strategy=self.strategy,
            act=Act.FLASH_FINAL,
            reasons=(reason,),
            hazards=("H12",),
            hint=start.unread_hint or "run it again when the cloud answers",
        )

    def read_joined(self, at: datetime, evidence: JsonObject) -> Snapshot:
        """The record of a unit that was imported just now, as the first reading of a member."""
        self.start = self._snapshot(at, evidence)
        self.facts = replace(self.facts, **self.membership())
        return self.start

    def is_offline(self) -> bool:
        """Whether the cloud takes it for offline. Raises CloudError, TransportError."""
        record = self.record()
        return record is not None and record.online is False

    def has_connected(self) -> bool:
        """Whether the cloud knows of a connection that it did not know of at the first reading."""
        record = self.record()
        if record is None or record.last_handshake_at is None:
            return False
        before = self.before
        return before is None or time_text(record.last_handshake_at) != before.last_handshake_at

    def require_connection(self, at: datetime, version: int | None) -> None:
        """Before anything is erased: raise ActRefusedError or BudgetError unless the unit may be connected later on.
        ``version`` is the product version of the application that is to be flashed. Books the cost of the test."""
        record = self.record()
        target = record.targeted_firmware_release_version if record else None
        self.before = baseline_of(record, at) if record else None
        start = self.start
        cellular = self.platform is not None and "cellular" in self.platform.features
        self.facts = replace(
            self.facts,
            sim_active=bool(start and start.sim and start.sim.status == "active"),
            no_credentials=cellular,
            runs=Runs.FINAL,
            set_is_complete=True,
            read_back=True,
            gets_what_the_product_releases=record is not None and (record.development or target in (None, version)),
            stream_watched=self.station.watch is not None,
            budget_left=self.station.budget is not None,
        )
        require_act(self.strategy, self.facts, Act.CONNECT)
        if self.station.budget is not None:
            self.station.budget.spend(cost_of_test(connections=2, is_cellular=cellular), at)

    def kept_baseline(self, at: datetime) -> Baseline | None:
        """The baseline of the unit; it is taken now if there was none. None: it is no member, so there is no record.
        Raises CloudError, TransportError."""
        return self._baseline() or self.take_baseline(at)

    def take_baseline(self, at: datetime) -> Baseline | None:
        """Keep what the cloud knows now as the baseline for what comes, unless there is one: the product, or the test
        account. None: the unit is in neither, so there is no record. Raises CloudError, TransportError."""
        record = self.record()
        if record is None and self.station.test_account is not None:
            record = self.station.test_account.record(self.device_id)
        if record is None:
            return None
        found = self.taken = baseline_of(record, at)
        self.remember(
            DeviceEventType.BASELINE, at, last_handshake_at=found.last_handshake_at, last_heard=found.last_heard
        )
        return found
