"""The procedure of one unit: identify → check → plan → enter_dfu → flash → verify → park. Where the bootloader has to
bring up itself or the SoftDevice, copy comes before flash. A recipe with a cloud reads the unit's record there before
the flash and after the loss of power (cloud_before, gate); strategy A connects the unit in between (connect).

Each step is a method that fills its evidence. What a resumed run must know of earlier attempts comes from the
journal: the evidence of steps that passed, and whether the flash had begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import Billing, judge, read_counters
from particle_dev.cloud.strategies import Act, Runs
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import POLL_INTERVAL_S, device_at, wait_for_device
from particle_dev.device.model import Device
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
)
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.plan import FlashPlan
from particle_dev.station import cloud_steps, connectivity_step, label_step, usb_steps
from particle_dev.station.attaching import UnitLogs
from particle_dev.station.bench import Slot
from particle_dev.station.copies import copy_modules
from particle_dev.station.events import EventType, JsonObject, Verdict, error_data
from particle_dev.station.guard import UnitGuard
from particle_dev.station.instructions import operator_message
from particle_dev.station.let_go import let_go
from particle_dev.station.observations import Observations
from particle_dev.station.probe_steps import ProbeWork, ask_over_usb, opened_by_probe
from particle_dev.station.recipe import Limits, ProbeChoice
from particle_dev.station.run import UnitContext
from particle_dev.station.verdict_data import billing_data, evidence_data, gate_data

REFUSALS = (
    PlanRefusedError,
    PermissionMissingError,
    FirmwareStoreError,
    ModuleFormatError,
    BillingGuardError,
    ChipLockedError,
)
"""Errors that, as long as nothing was erased, leave the unit as it came."""
_SLOW = {
    "cloud_before": "check the network, and whether the cloud answers: `particle-dev cloud products`",
    "import": "its SIM is not active yet: `particle-dev cloud sims list --product ID`; some take a day",
    "connect": "check coverage, antenna, SIM, Wi-Fi network: `particle-dev test connectivity` tells which it is",
    "connectivity": "a first registration takes up to 20 minutes; its stages are in the unit's record",
    "disconnect": "check the network, and whether the cloud answers: `particle-dev cloud products`",
    "unclaim": "unplug the unit when the station says so",
    "gate": "unplug the unit when the station says so",
}
"""What to look at when a step takes too long, where it is not USB."""
Emit = Callable[[EventType, str | None, str | None, JsonObject], None]
"""Called with (type, Device ID, step, data); raises JournalError when the event cannot be kept."""


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
    serial_number: str | None = None
    """As the unit told it."""
    _deadline_s: float = 0.0
    _logs: UnitLogs = field(init=False)

    def __post_init__(self) -> None:
        self.observed = Observations(self.slot)
        self._logs = UnitLogs(self.context.folder, self.now)
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
        billing = judge(self.observed.window(), self.parked_at, self.now())
        gate = self.guard.gate(self.observed.window(), self.now())
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
            except TransportError as error:
                # It is there, and nothing was done to it: no reason for the units of other slots to end.
                self._say(EventType.SLOT_EMPTY, {"reason": error.message + self._switch_off()})
                self.say(f"{error.message}: {error.hint}", "probe_taken")
                return None
            else:
                if self.context.again and device.device_id not in ("", self.context.again):
                    self._refuse_another(self.context.again, device.device_id)
                    return None
                self.device_id = device.device_id or None
                self._say(EventType.UNIT_STARTED, {"platform": device.platform.name, "port": slot.port_path})
                return lambda: self._steps(device)
        self._say(EventType.UNIT_STARTED, {"platform": slot.platform, "port": slot.port_path})
        return lambda: self._steps_by_probe(by_probe, since)

    def _refuse_another(self, unit: str, other: str) -> None:
        """The unit was swapped between two goes: it stays what it was, and the newcomer is not this go's."""
        reason = f"{unit} was taken out while it was worked on, and {other} is in its place: {unit} did not pass, "
        reason += f"nothing was done to {other}; take it out, or let it begin as a unit of its own"
        self._say(EventType.SLOT_EMPTY, {"reason": reason + self._switch_off(), "other": other})

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

    def say(self, message: str, ask: str = "") -> None:
        """Tell the operator. ``ask``: the id of the instruction that it is."""
        self._say(EventType.OPERATOR_MESSAGE, operator_message(self.slot.name, message, ask))

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
            self._logs.end(error)
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
        else:
            finish("passed", None)
        finally:
            self._logs.drop()

    def check_stopped(self) -> None:
        """Raise StationStoppedError when the station is to end."""
        if self.context.stopping():
            raise StationStoppedError(
                "stopped by the operator", hint="leave the board as it is and run again with the same --out"
            )

    def check_stop(self, step: str, limit_s: float) -> None:
        """Raise StationStoppedError or StepTimeoutError when the step should end."""
        self.check_stopped()
        if self.slot.host.clock.monotonic_s() > self._deadline_s:
            raise StepTimeoutError(
                f"{step} took longer than {limit_s:.0f} s",
                step=step,
                limit_s=limit_s,
                hint=f"{_SLOW.get(step, 'check the USB cable and hub')}; the limit stands in the recipe under [limits]",
            )

    # ---- steps -------------------------------------------------------------------------------------------------

    def _steps(self, device: Device) -> None:
        limits = self.limits
        with self._step("identify", limits.identify_s) as evidence:
            firmware = usb_steps.identify(self, device, evidence)
        with self._step("check", limits.check_s) as evidence:
            inventory = usb_steps.check(self, device, evidence)
        with self._step("plan", limits.check_s) as evidence:
            label_step.require_content(self)
            plan = usb_steps.plan_modules(self, inventory, device.mode, firmware, evidence)
        with self._step("enter_dfu", limits.enter_dfu_s) as evidence:
            device = usb_steps.into_dfu_mode(self, device, evidence)
        if self.guard.asks_cloud and self.guard.start is None:
            with self._step("cloud_before", limits.cloud_s) as evidence:
                self._ask_cloud(evidence, _files(plan), partial(self.observed.still_held, device))
        # The recipe's order is one that the strategy allows; identify is done.
        for act in self.context.recipe.acts:
            device = self._act(act, plan, device)
        self._label()

    def _label(self) -> None:
        if self.context.recipe.label is not None:
            with self._step(label_step.STEP, self.limits.label_s) as evidence:
                label_step.label(self, evidence)

    def _ask_cloud(self, evidence: JsonObject, files: Iterable[ModuleFile], hold: Callable[[], None]) -> None:
        cloud_steps.ask_cloud(self, evidence, hold)
        if self._comes_first(Act.FLASH_FINAL, Act.IMPORT):
            cloud_steps.require_flash(self, cloud_steps.product_version(files))

    def _comes_first(self, act: Act, other: Act) -> bool:
        acts = self.context.recipe.acts
        return other not in acts or acts.index(act) < acts.index(other)

    def _act(self, act: Act, plan: FlashPlan, device: Device) -> Device:
        """The steps of one act; the unit, as it is on USB afterwards."""
        limits = self.limits
        match act:
            case Act.IMPORT:
                with self._step("import", limits.import_s) as evidence:
                    if self.parked is not None:
                        cloud_steps.await_power_off(self, device, evidence, "import", limits.import_s)
                    cloud_steps.import_unit(self, device, evidence)
                    if not self._comes_first(Act.FLASH_FINAL, Act.IMPORT):
                        cloud_steps.require_flash(self, cloud_steps.product_version(_files(plan)))
            case Act.FLASH_FINAL:
                device = self._flash_final(plan, device)
            case Act.CONNECT:
                device = self._go_online(device, cloud_steps.product_version(_files(plan)))
            case Act.DISCONNECT:
                with self._step("disconnect", limits.cloud_s) as evidence:
                    device = cloud_steps.disconnect(self, device, evidence)
            case Act.POWER_OFF:
                with self._step("park", limits.park_s) as evidence:
                    usb_steps.park(self, device, evidence)
            case Act.UNCLAIM:
                with self._step("unclaim", limits.gate_s) as evidence:
                    cloud_steps.await_power_off(self, device, evidence, "unclaim", limits.gate_s)
                    cloud_steps.unclaim(self, evidence)
            case Act.GATE if self.guard.asks_cloud:
                with self._step("gate", limits.gate_s) as evidence:
                    cloud_steps.await_verdict(self, device, evidence)
        return device

    def _go_online(self, device: Device, version: int | None) -> Device:
        """Its connection in the product, with a test of everything that belongs to it where the recipe has one."""
        options = self.context.recipe.connectivity
        if options is None:
            with self._step("connect", self.limits.connect_s) as evidence:
                return cloud_steps.connect(self, device, evidence)
        with self._step(connectivity_step.STEP, self.limits.connectivity_s) as evidence:
            return connectivity_step.connect_and_test(self, device, options, version, evidence)

    def _flash_final(self, plan: FlashPlan, device: Device) -> Device:
        limits = self.limits
        if self.copies:
            with self._step("copy", limits.flash_s) as evidence:
                device = copy_modules(self, plan, device, evidence)
        with self._step("flash", limits.flash_s) as evidence:
            usb_steps.flash(self, plan, device, evidence)
        with self._step("verify", limits.verify_s) as evidence:
            usb_steps.verify(self, plan, device, evidence)
        self.guard.facts = replace(self.guard.facts, runs=Runs.FINAL, set_is_complete=True, read_back=True)
        return device

    def _steps_by_probe(self, choice: ProbeChoice, since: datetime) -> None:
        """The probe's steps, and then those over USB when the recipe says so. The core stands in between."""
        limits, context = self.limits, self.context
        with ExitStack() as opened:
            with self._step("probe", limits.identify_s) as evidence:
                if choice.under_reset:
                    # The reset clears what it could tell.
                    ask_over_usb(self, choice, since, context.prior)
                session = opened.enter_context(opened_by_probe(self.slot, choice, context.recipe))
                work = ProbeWork(self, session, choice, since)
                expected = context.expected.get(self.slot.name)
                firmware = work.identify(context.recipe, expected, context.prior, context.folder, evidence)
                self.probed_id = self.device_id
                self.guard.identified(self.device_id or "", work.platform)
            with self._step("probe_plan", limits.check_s) as evidence:
                if not choice.then_usb:
                    label_step.require_content(self)
                files = work.plan(firmware, context.store, evidence)
            if self.guard.asks_cloud:
                with self._step("cloud_before", limits.cloud_s) as evidence:
                    self._ask_cloud(evidence, files, work.hold)
            with self._step("probe_flash", limits.flash_s) as evidence:
                work.flash(limits.flash_s, evidence)
            with self._step("probe_park", limits.park_s) as evidence:
                sent_at = self.now()
                work.park(evidence)
                if choice.then_usb:
                    device = self._into_dfu(sent_at)
                    evidence["attempt"] = {"by": "debug probe", "usb_address": device.usb.address}
                else:
                    self.leave("halted", "it stands where the debug probe halted it")
        if choice.then_usb:
            self._steps(device)
        else:
            self._label()

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

    def leave(self, mode: str, why: str) -> None:
        """Without power, or for the operator to take it away."""
        parked_at = self.now()
        power = "on_operator_must_unplug"
        if self.slot.power is not None:
            self.slot.power.off()
            self._wait_until_gone()
            power = "off"
        else:
            self.say(f"unplug {self.device_id} now; do not reset it, {why}", "unplug")
        self.parked, self.parked_at = {"mode": mode, "power": power}, parked_at

    # ---- help --------------------------------------------------------------------------------------------------

    def log(self, step: str, event: object) -> None:
        """Keep an event, or a line of text, in the log of a step, which is attached to the unit."""
        prior = self.context.prior if not self._logs.is_open else {}
        self._logs.take(self.device_id, prior.get(self.device_id or ""), step, event)

    def progress(self, step: str, activity: str, done_bytes: int, total_bytes: int) -> None:
        """Tell how far a step has come."""
        data = {"activity": activity, "done_bytes": done_bytes, "total_bytes": total_bytes}
        self._say(EventType.STEP_PROGRESS, data, step)

    def _wait_until_gone(self) -> None:
        while device_at(self.slot.host, self.slot.port_path) is not None:
            self.check_stop("park", self.limits.park_s)
            self.slot.host.clock.sleep(POLL_INTERVAL_S)


def _files(plan: FlashPlan) -> tuple[ModuleFile, ...]:
    """Everything of the set, whether it is written or there already."""
    return (*(w.file for w in plan.writes), *plan.satisfied)
