"""The procedure of one unit: identify → check → plan → enter_dfu → flash → verify → park. Where the bootloader has to
bring up itself or the SoftDevice, copy comes before flash. A recipe with a cloud reads the unit's record there before
the flash and after the loss of power (cloud_before, gate); strategy A connects the unit in between (connect).

Each step is a method that fills its evidence. What a resumed run must know of earlier attempts comes from the
journal: the evidence of steps that passed, and whether the flash had begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import Billing, judge, read_counters
from particle_dev.cloud.strategies import Strategy
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import POLL_INTERVAL_S, device_at, wait_for_device
from particle_dev.device.model import Device
from particle_dev.device.modes import enter_dfu
from particle_dev.errors import (
    BillingGuardError,
    BillingUnprovenError,
    ChipLockedError,
    DeviceModeError,
    DeviceNotFoundError,
    FirmwareStoreError,
    GuardStateError,
    JournalError,
    ModuleFormatError,
    ParticleDevError,
    PermissionMissingError,
    PlanRefusedError,
    RequestRefusedError,
    StationStoppedError,
    StepTimeoutError,
    TransportError,
    WrongDeviceError,
)
from particle_dev.flash.board_modules import Inventory, ModuleFile, module_title
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.inventory import read_inventory, refuse_protected, refuse_unwritable
from particle_dev.flash.plan import FlashPlan
from particle_dev.flash.progress import BlockWritten, ModuleCompared, SectorErased
from particle_dev.flash.store import FirmwareStore
from particle_dev.protocol.module import parse
from particle_dev.station.bench import Slot
from particle_dev.station.billing import billing_data, evidence_data
from particle_dev.station.cloud_steps import ask_cloud, await_verdict, connect
from particle_dev.station.copies import COPIES, copied_before, copy_modules, plan_unit, prove_copies
from particle_dev.station.events import EventType, JsonObject, Verdict, error_data
from particle_dev.station.gate import gate_data
from particle_dev.station.guard import WITHOUT_CLOUD, StationGuard, UnitGuard
from particle_dev.station.let_go import let_go
from particle_dev.station.module_data import module_data
from particle_dev.station.observations import Observations
from particle_dev.station.probe_steps import ProbeWork, opened_by_probe
from particle_dev.station.recipe import FirmwareChoice, Limits, ProbeChoice, Recipe
from particle_dev.station.run_record import UnitRecord

REFUSALS = (
    PlanRefusedError,
    PermissionMissingError,
    FirmwareStoreError,
    ModuleFormatError,
    BillingGuardError,
    ChipLockedError,
)
"""Errors that, as long as nothing was erased, leave the unit as it came."""
Emit = Callable[[EventType, str | None, str | None, JsonObject], None]
"""Called with (type, Device ID, step, data); raises JournalError when the event cannot be kept."""


@dataclass(frozen=True, slots=True)
class UnitContext:
    """What all units of a run share. ``expected`` maps slots to Device IDs, ``prior`` Device IDs to what earlier
    attempts of this run recorded, ``stopping`` tells that the operator wants to end."""

    recipe: Recipe
    store: FirmwareStore
    expected: Mapping[str, str]
    prior: Mapping[str, UnitRecord]
    stopping: Callable[[], bool]
    guard: StationGuard = WITHOUT_CLOUD
    folder: Path = field(default_factory=Path)
    """Of the run."""


@dataclass(slots=True)
class UnitRun:
    """One attempt at the unit in one slot."""

    slot: Slot
    context: UnitContext
    emit: Emit
    device_id: str | None = None
    modules: list[JsonObject] = field(default_factory=list)
    copies: tuple[ModuleFile, ...] = ()
    erased: bool = False
    observed: Observations = field(init=False)
    guard: UnitGuard = field(init=False)
    parked: JsonObject | None = None
    parked_at: datetime | None = None
    probed_id: str | None = None
    """Device ID that a debug probe has read."""
    _deadline_s: float = 0.0

    def __post_init__(self) -> None:
        self.observed = Observations(self.slot)
        self.guard = UnitGuard(self.context.guard)

    # ---- frame -------------------------------------------------------------------------------------------------

    def run(self) -> Verdict | None:
        """Work on the unit. None: the slot was empty. Errors of the unit become its record; only JournalError, and
        defects of this program, leave this method."""
        if self.slot.power is not None:
            self.observed.off_until = self.now() if device_at(self.slot.host, self.slot.port_path) is None else None
            try:
                self.slot.power.on()
            except TransportError as error:
                # Nothing is known of what is there, and nothing was done to it.
                self._say(EventType.SLOT_EMPTY, {"reason": str(error)})
                return None
        work = self._arrival(self.now())
        if work is None:
            return None
        try:
            work()
            verdict = Verdict.PASS
        except JournalError:
            raise
        except StationStoppedError:
            verdict = Verdict.INTERRUPTED
        except ParticleDevError as error:
            refused = isinstance(error, REFUSALS) and not self.erased
            verdict = Verdict.REFUSED if refused else Verdict.FAIL
        left = None if verdict is Verdict.PASS else let_go(self)
        billing = judge(self.observed.evidence, self.parked_at)
        gate = self.guard.gate(self.observed.evidence, self.now())
        problem = self._last_look(billing, gate, passed=verdict is Verdict.PASS)
        if problem is not None and verdict is Verdict.PASS:
            verdict = Verdict.FAIL
        self._say(
            EventType.UNIT_FINISHED,
            {
                "verdict": str(verdict),
                "billing": billing_data(billing),
                "gate": gate_data(gate),
                "modules": [m for m in self.modules if verdict is Verdict.PASS or m["read_back_sha256"]],
                "parked": self.parked,
                "left": left,
                "error": error_data(problem) if problem else None,
            },
        )
        return verdict

    def _last_look(self, billing: Billing, gate: Gate, *, passed: bool) -> ParticleDevError | None:
        """What stands in the way of a unit of which every step ``passed``, by the verdicts that go into its record."""
        problem: ParticleDevError | None = None
        try:
            if passed:
                self.guard.require_window(billing)
                if self.guard.asks_cloud:
                    self.guard.require_promise(gate)
        except BillingUnprovenError as error:
            problem = error
        try:
            self.guard.remember_start(gate, self.now())
        except GuardStateError as error:
            self.say(f"{self.device_id}: the start of its billing is not kept: {error.message}")
            problem = problem or error
        return problem

    def _arrival(self, since: datetime) -> Callable[[], None] | None:
        """What is to be done with the board that came; None for an empty slot."""
        slot, choice = self.slot, self.context.recipe.probe
        by_probe = choice if slot.probe_id is not None else None
        if by_probe is None or by_probe.blank_only:
            try:
                wait_s = by_probe.wait_s if by_probe else self.limits.identify_s
                device = wait_for_device(slot.host, slot.port_path, wait_s)
            except DeviceNotFoundError as error:
                if by_probe is None:
                    self._say(EventType.SLOT_EMPTY, {"reason": error.message + self._switch_off()})
                    return None
            else:
                self.device_id = device.device_id or None
                self._say(EventType.UNIT_STARTED, {"platform": device.platform.name, "port": slot.port_path})
                return lambda: self._steps(device)
        self._say(EventType.UNIT_STARTED, {"platform": slot.platform, "port": slot.port_path})
        return lambda: self._steps_by_probe(by_probe, since)

    def _switch_off(self) -> str:
        """Should something be in an empty slot after all, it must not run unwatched. Why that failed, if it did."""
        try:
            if self.slot.power is not None:
                self.slot.power.off()
        except TransportError as error:
            return f"; {error}"
        return ""

    @property
    def limits(self) -> Limits:
        """Of the recipe."""
        return self.context.recipe.limits

    def say(self, message: str) -> None:
        """Tell the operator."""
        self._say(EventType.OPERATOR_MESSAGE, {"message": f"slot {self.slot.name}: {message}"})

    def _say(self, kind: EventType, data: JsonObject, step: str | None = None) -> None:
        self.emit(kind, self.device_id, step, data)

    def now(self) -> datetime:
        """UTC in this slot."""
        return self.slot.host.clock.utc_now()

    @contextmanager
    def _step(self, name: str, limit_s: float) -> Iterator[JsonObject]:
        """Journal a step around its work; yields the evidence to fill."""
        clock = self.slot.host.clock
        started_s = clock.monotonic_s()
        self._deadline_s = started_s + limit_s
        known = self.observed.begin_step()
        evidence: JsonObject = {}
        self._say(EventType.STEP_STARTED, {}, name)

        def finish(status: str, error: ParticleDevError | None) -> None:
            evidence["observed"] = [evidence_data(e) for e in self.observed.new_since(known)]
            data = {
                "status": status,
                "duration_s": round(clock.monotonic_s() - started_s, 3),
                "evidence": evidence,
                "error": error_data(error) if error else None,
            }
            self._say(EventType.STEP_FINISHED, data, name)

        try:
            self.check_stop(name, limit_s)
            yield evidence
        except JournalError:
            raise
        except ParticleDevError as error:
            finish("failed", error)
            raise
        finish("passed", None)

    def check_stop(self, step: str, limit_s: float) -> None:
        """Raise StationStoppedError or StepTimeoutError when the step should end."""
        if self.context.stopping():
            raise StationStoppedError(
                "stopped by the operator", hint="leave the board as it is and run again with the same --out"
            )
        if self.slot.host.clock.monotonic_s() > self._deadline_s:
            raise StepTimeoutError(
                f"{step} took longer than {limit_s:.0f} s",
                step=step,
                limit_s=limit_s,
                hint="check the USB cable and hub; the limit stands in the recipe under [limits]",
            )

    # ---- steps -------------------------------------------------------------------------------------------------

    def _steps(self, device: Device) -> None:
        limits = self.limits
        with self._step("identify", limits.identify_s) as evidence:
            firmware = self._identify(device, evidence)
        with self._step("check", limits.check_s) as evidence:
            inventory = self._check(device, evidence)
        with self._step("plan", limits.check_s) as evidence:
            plan = self._plan(inventory, device.mode, firmware, evidence)
        with self._step("enter_dfu", limits.enter_dfu_s) as evidence:
            device = self._enter_dfu(device, evidence)
        if self.guard.asks_cloud:
            with self._step("cloud_before", limits.cloud_s) as evidence:
                ask_cloud(self, plan, evidence, device)
        if self.copies:
            with self._step("copy", limits.flash_s) as evidence:
                device = copy_modules(self, plan, device, evidence)
        with self._step("flash", limits.flash_s) as evidence:
            self._flash(plan, device, evidence)
        with self._step("verify", limits.verify_s) as evidence:
            self._verify(plan, device, evidence)
        if self.guard.strategy is Strategy.A:
            with self._step("connect", limits.connect_s) as evidence:
                device = connect(self, device, evidence)
        with self._step("park", limits.park_s) as evidence:
            self._park(device, evidence)
        if self.guard.asks_cloud:
            with self._step("gate", limits.gate_s) as evidence:
                await_verdict(self, device, evidence)

    def _steps_by_probe(self, choice: ProbeChoice, since: datetime) -> None:
        """The probe's steps, and then those over USB when the recipe says so. The core stands in between."""
        limits, context = self.limits, self.context
        with ExitStack() as opened:
            with self._step("probe", limits.identify_s) as evidence:
                session = opened.enter_context(opened_by_probe(self.slot, choice, context.recipe))
                work = ProbeWork(self, session, choice, since)
                expected = context.expected.get(self.slot.name)
                firmware = work.identify(context.recipe, expected, context.prior, context.folder, evidence)
                self.probed_id = self.device_id
            with self._step("probe_plan", limits.check_s) as evidence:
                work.plan(firmware, context.store, evidence)
            with self._step("probe_flash", limits.flash_s) as evidence:
                work.flash(limits.flash_s, evidence)
            with self._step("probe_park", limits.park_s) as evidence:
                sent_at = self.now()
                work.park(evidence)
                if choice.then_usb:
                    device = self._into_dfu(sent_at)
                else:
                    self._leave("halted", "it stands where the debug probe halted it")
        if choice.then_usb:
            self._steps(device)

    def _into_dfu(self, since: datetime) -> Device:
        """The board that the probe has sent there, as USB sees it. Raises DeviceNotFoundError, DeviceModeError."""
        device = wait_for_device(self.slot.host, self.slot.port_path, self.limits.enter_dfu_s)
        if device.mode is not UsbMode.DFU:
            raise DeviceModeError(
                f"{self.device_id} left DFU mode by itself",
                expected=UsbMode.DFU,
                actual=device.mode,
                hint="somebody reset it; run again",
            )
        self.observed.sent_at = since
        self.observed.in_dfu_since(since)
        return device

    def _identify(self, device: Device, evidence: JsonObject) -> FirmwareChoice:
        """Who is it? Device ID over each link that tells it, serial number, platform."""
        links = {"debug probe": self.probed_id} if self.probed_id else {}
        links["usb serial number"] = device.usb.serial_number
        evidence |= {
            "platform": device.platform.name,
            "port": device.usb.port_path,
            "usb_address": device.usb.address,
            "mode": str(device.mode),
            "device_id_by": links,
        }
        if device.mode is UsbMode.NORMAL:
            with ControlSession(self.slot.host, device) as session:
                evidence["connecting_stopped"] = session.stop_connecting()
                links["control request 20"] = session.device_id()
                evidence["serial_number"] = session.serial_number()
                evidence["device_os"] = session.system_version()
                evidence["mode"] = str(session.device_mode())
        # The unit keeps the name under which its steps began.
        self.device_id = self.probed_id or links.get("control request 20", device.device_id) or None
        for link, actual in links.items():
            if actual != self.device_id:
                raise _wrong_device(self.slot.name, self.device_id or "", actual, link)
        expected = self.context.expected.get(self.slot.name)
        if expected is not None and expected != self.device_id:
            raise _wrong_device(self.slot.name, expected, self.device_id or "", "the bench file")
        self.guard.identified(self.device_id or "", device.platform)
        prior = self.context.prior.get(self.device_id or "")
        if prior is not None:
            self.observed.recall(prior)
        firmware = self.context.recipe.firmware.get(device.platform.name)
        if firmware is None:
            raise PlanRefusedError(
                f"the recipe '{self.context.recipe.name}' has no firmware for {device.platform.display_name}",
                reasons=[f"no [firmware.{device.platform.name}] in {self.context.recipe.path}"],
                hint="add that table to the recipe, or take the board out",
            )
        return firmware

    def _check(self, device: Device, evidence: JsonObject) -> Inventory:
        """What is on it, and has it been online since it booted?"""
        if device.mode is UsbMode.NORMAL:
            with ControlSession(self.slot.host, device) as session:
                self.read_counters(session)
        since = self.now()
        inventory = read_inventory(self.slot.host, device)
        if device.mode is UsbMode.DFU:
            prior = self.context.prior.get(self.device_id or "")
            if prior is not None:
                self.observed.recall_dfu(prior, device, boots_only_dfu=not _starts(inventory))
            # Reading all of its flash takes seconds on a slow bus.
            self.observed.still_held(device, self.observed.sent_at or since)
        evidence |= {
            "read_over": inventory.read_over,
            "modules": [
                {"module": module_title(m.function, m.index), "version": m.version, "valid": m.valid}
                for m in inventory.modules
            ],
        }
        doubtful = self.observed.doubts
        if doubtful and self.guard.strategy is not Strategy.A:
            raise PlanRefusedError(
                f"{self.device_id}: {'; '.join(doubtful)}",
                reasons=doubtful,
                hint="nothing was erased; set the unit aside and look its Device ID up in the cloud",
            )
        return inventory

    def read_counters(self, session: ControlSession) -> None:
        """Take what the running board tells of itself into evidence."""
        try:
            diagnostics = session.diagnostics()
        except RequestRefusedError as error:
            diagnostics = {}
            self.say(error.message)
        counters = read_counters(diagnostics, self.now())
        self.observed.evidence.append(counters)
        if self.guard.asks_cloud:
            self.observed.evidence += self.guard.read_interlocks(session, counters)

    def _plan(self, inventory: Inventory, mode: UsbMode, firmware: FirmwareChoice, evidence: JsonObject) -> FlashPlan:
        """Which modules go where; every file is read and checked now, before anything is erased."""
        platform = inventory.platform
        store = self.context.store
        release = store.device_os_set(platform.name, firmware.device_os)
        chosen = [*release.modules, store.app(platform.name, firmware.app)]
        files = [ModuleFile(parse(store.read(m.sha256)), m.sha256, m.file_name) for m in chosen]
        before = copied_before(self.context.prior.get(self.device_id or ""))
        plan, self.copies = plan_unit(inventory, files, mode, before)
        evidence |= {
            "device_os": firmware.device_os,
            "steps": list(plan.lines()),
            "satisfied": [f.title for f in plan.satisfied],
        }
        if self.copies:
            evidence[COPIES] = [f.sha256 for f in self.copies]
            evidence["steps"].insert(0, f"copies by the bootloader: {', '.join(f.title for f in self.copies)}")
        self.modules = [module_data(w.file, w.address) for w in plan.writes]
        self.modules += [module_data(f, f.module.start_address) for f in self.copies]
        return plan

    def _enter_dfu(self, device: Device, evidence: JsonObject) -> Device:
        """To DFU mode, with the counters of the running boot read last of all."""
        by = "was in DFU mode"
        if device.mode is UsbMode.NORMAL:
            with ControlSession(self.slot.host, device) as session:
                self.read_counters(session)
            since = self.now()
            device, entry = enter_dfu(self.slot.host, device, timeout_s=self.limits.enter_dfu_s)
            by = str(entry)
            self.observed.in_dfu_since(since)
        evidence["attempt"] = {"by": by, "usb_address": device.usb.address}
        with DfuSession(self.slot.host, device) as dfu_session:
            if self.copies:
                # Slots that an earlier attempt armed are our own; the step tells them from others.
                refuse_protected(dfu_session)
            else:
                refuse_unwritable(dfu_session)
        return device

    def _flash(self, plan: FlashPlan, device: Device, evidence: JsonObject) -> None:
        """Erase and write what is not right yet."""
        work = {"right_bytes": 0, "erased_sectors": 0, "written_bytes": 0}
        limit_s = self.limits.flash_s
        with DfuSession(self.slot.host, device) as session:
            for event in flash(plan, session, self.context.store.read):
                if isinstance(event, ModuleCompared):
                    work["right_bytes"] += event.right_bytes
                elif isinstance(event, SectorErased):
                    self.erased = True
                    work["erased_sectors"] += 1
                elif isinstance(event, BlockWritten):
                    work["written_bytes"] += event.size_bytes
                    self.progress("flash", event.file_name, event.done_bytes, event.total_bytes)
                self.check_stop("flash", limit_s)
        evidence["work"] = work
        self.observed.still_held(device)

    def _verify(self, plan: FlashPlan, device: Device, evidence: JsonObject) -> None:
        """Read back every byte."""
        with DfuSession(self.slot.host, device) as session:
            for event in verify(plan, session, self.context.store.read):
                for module in self.modules:
                    if module["file_name"] == event.file_name:
                        module["read_back_sha256"] = event.sha256
                self.progress("verify", event.file_name, event.done_bytes, event.total_bytes)
                self.check_stop("verify", self.limits.verify_s)
        if self.copies:
            prove_copies(self, device)
        evidence |= {"read_over": "DFU read", "size_bytes": plan.size_bytes}
        self.observed.still_held(device)

    def _park(self, device: Device, evidence: JsonObject) -> None:
        """End in DFU mode, without power where the bench can switch it."""
        self.observed.still_held(device)
        self._leave("dfu", "it waits in DFU mode")
        assert self.parked is not None
        evidence |= self.parked

    def _leave(self, mode: str, why: str) -> None:
        """Without power, or for the operator to take it away."""
        parked_at = self.now()
        power = "on_operator_must_unplug"
        if self.slot.power is not None:
            self.slot.power.off()
            self._wait_until_gone()
            power = "off"
        else:
            message = f"slot {self.slot.name}: unplug {self.device_id} now; do not reset it, {why}"
            self._say(EventType.OPERATOR_MESSAGE, {"message": message})
        self.parked, self.parked_at = {"mode": mode, "power": power}, parked_at

    # ---- help --------------------------------------------------------------------------------------------------

    def progress(self, step: str, activity: str, done_bytes: int, total_bytes: int) -> None:
        """Tell how far a step has come."""
        data = {"activity": activity, "done_bytes": done_bytes, "total_bytes": total_bytes}
        self._say(EventType.STEP_PROGRESS, data, step)

    def _wait_until_gone(self) -> None:
        while device_at(self.slot.host, self.slot.port_path) is not None:
            self.check_stop("park", self.limits.park_s)
            self.slot.host.clock.sleep(POLL_INTERVAL_S)


def _starts(inventory: Inventory) -> bool:
    """Whether its bootloader would start a system part."""
    return any(m.valid for m in inventory.modules if (m.function, m.index) == (ModuleFunction.SYSTEM_PART, 1))


def _wrong_device(slot: str, expected: str, actual: str, source: str) -> WrongDeviceError:
    return WrongDeviceError(
        f"slot {slot}: {source} says {actual}, expected {expected}",
        expected=expected,
        actual=actual,
        hint="nothing was erased; check which board is in this slot",
    )
