"""The work of one slot: a unit with the goes that the recipe allows it, or one unit after the other; what that says of
the slot, and whether it may be used at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from particle_dev.device.discovery import device_at
from particle_dev.device.model import Device
from particle_dev.errors import WrongDeviceError
from particle_dev.station.arrivals import Arrivals, Start
from particle_dev.station.bench import Slot
from particle_dev.station.events import EventType, JsonObject, StationEvent, Verdict
from particle_dev.station.fold import fold
from particle_dev.station.instructions import lock_ask, operator_message
from particle_dev.station.run import UnitContext
from particle_dev.station.run_record import UnitRecord
from particle_dev.station.slot_health import HealthFile, Lock, Outcome, SlotHealth, counted
from particle_dev.station.unit import Emit as UnitEmit
from particle_dev.station.unit import UnitRun

Emit = Callable[[EventType, str | None, str | None, JsonObject], StationEvent]
PAUSE_STEP_S = 0.25


class PriorUnits(Mapping[str, UnitRecord]):
    """What a run recorded of its units by these events, folded once when somebody asks for one of them: a shift has
    many events, and most units are new."""

    def __init__(self, events: Sequence[StationEvent]) -> None:
        self._events = events
        self._ids = dict.fromkeys(event.unit for event in events if event.unit)
        self._units: dict[str | None, UnitRecord] | None = None

    def __getitem__(self, device_id: str) -> UnitRecord:
        if device_id not in self._ids:
            raise KeyError(device_id)
        if self._units is None:
            self._units = {unit.device_id: unit for unit in fold(self._events).units}
        return self._units[device_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(slots=True)
class UnitEnd:
    """How the last go at a unit in a slot ended, as its events told."""

    seq: int = 0
    at: str = ""
    unit: str | None = None
    platform: str | None = None
    verdict: str = ""
    error: JsonObject | None = None
    bytes_per_s: float | None = None
    attempts: int = 0
    is_counted: bool = True

    def take(self, event: StationEvent) -> None:
        """Learn of one event of the slot."""
        match event.type:
            case EventType.UNIT_STARTED:
                if not self.attempts or self.verdict != "retried":
                    self.attempts = 0
                self.attempts += 1
                self.unit, self.platform, self.error, self.bytes_per_s = event.unit, event.data["platform"], None, None
                self.verdict = ""
            case EventType.STEP_FINISHED:
                if event.data["error"]:
                    self.error = event.data["error"]
                elif event.step in ("flash", "probe_flash"):
                    written = event.data["evidence"].get("work", {}).get("written_bytes", 0)
                    duration_s = event.data["duration_s"]
                    self.bytes_per_s = written / duration_s if written and duration_s > 0 else None
            case EventType.UNIT_FINISHED:
                self.seq, self.at, self.verdict = event.seq, event.at, event.data["verdict"]
                self.error = event.data.get("error") or self.error
                self.is_counted = False
            case EventType.UNIT_RETRIED:
                self.verdict, self.is_counted = "retried", True
            case EventType.SLOT_HEALTH:
                self.is_counted = True
        self.unit = event.unit or self.unit


def _ask(other: str | None) -> str:
    return "wrong_board" if other else "check_cable"


@dataclass
class SlotWork:
    """What one thread does. ``publish`` journals an event of this slot and returns it as it was written;
    ``events_until_now`` gives all of the run: at its beginning they are the past of a go at a unit. ``golden``: Device
    IDs of units that are known to be good. Only JournalError, BenchError of a health file, and defects leave its
    methods."""

    slot: Slot
    context: UnitContext
    publish: Emit
    events_until_now: Callable[[], Sequence[StationEvent]]
    run_id: str
    health_file: HealthFile | None = None
    golden: frozenset[str] = frozenset()
    end: UnitEnd = field(default_factory=UnitEnd)

    def one_round(self) -> Verdict | None:
        """The unit that is in the slot now. None: there was none, or the slot is locked."""
        lock = self._lock()
        here = device_at(self.slot.host, self.slot.port_path) if lock else None
        if lock and not (here and here.device_id in self.golden):
            self._emit(
                EventType.SLOT_EMPTY, None, None, {"reason": f"the slot is locked: {lock.reason}", "lock": lock.code}
            )
            return None
        return self._unit(self.context)

    def continuous(self, arrivals: Arrivals, finished: Callable[[], None]) -> None:
        """One unit after the other, until ``arrivals`` ends. ``finished`` is called after each."""
        self._ask_for(None)
        while (start := arrivals.wait(self.slot.name)) is not None:
            if start.by is None:
                self._ask_for(arrivals.left_in(self.slot.name))
                continue
            context = self._allowed(start)
            if context is None:
                arrivals.finished(self.slot.name, passed=False)
                self._ask_for(arrivals.left_in(self.slot.name))
                continue
            verdict = self._unit(context)
            arrivals.finished(self.slot.name, self.end.unit, passed=verdict is Verdict.PASS)
            self._ask_for(arrivals.left_in(self.slot.name))
            if verdict is not None:
                finished()
            if self.context.stopping():
                return

    # ---- one unit ------------------------------------------------------------------------------------------------

    def _unit(self, context: UnitContext) -> Verdict | None:
        policy = context.recipe.retries
        verdict = self._attempt(context, self._emit)
        attempt = 1
        while verdict is Verdict.FAIL and attempt < policy.attempts and not context.stopping():
            error = self.end.error
            if error is None or not policy.allows(str(error["type"])):
                break
            attempt += 1
            data = {"attempt": attempt, "attempts": policy.attempts, "error": error}
            self._emit(EventType.UNIT_RETRIED, self.end.unit, None, data)
            self._pause(policy.pause_s)
            unit = self.end.unit
            again = replace(context, again=unit)
            tried = self._attempt(again, self._emit_again)
            if tried is None:
                self.end.verdict, self.end.is_counted = verdict, False
                break
            verdict = tried
        self.count()
        return verdict

    def _attempt(self, context: UnitContext, emit: UnitEmit) -> Verdict | None:
        return UnitRun(self.slot, replace(context, prior=PriorUnits(self.events_until_now())), emit).run()

    def _pause(self, pause_s: float) -> None:
        """In the slot's time."""
        clock = self.slot.host.clock
        end_s = clock.monotonic_s() + pause_s
        while not self.context.stopping() and (left_s := end_s - clock.monotonic_s()) > 0:
            clock.sleep(min(left_s, PAUSE_STEP_S))

    def _emit_again(self, kind: EventType, unit: str | None, step: str | None, data: JsonObject) -> None:
        if kind is EventType.SLOT_EMPTY:
            # The unit is gone and stays what it was; the slot was not empty.
            other = data.get("other")
            self._say(str(data["reason"]) if other else f"the unit did not come back: {data['reason']}", _ask(other))
        else:
            self._emit(kind, unit, step, data)

    def _emit(self, kind: EventType, unit: str | None, step: str | None, data: JsonObject) -> None:
        event = self.publish(kind, unit, step, data)
        self.end.take(event)

    # ---- whether the slot may be used ------------------------------------------------------------------------------

    def _allowed(self, start: Start) -> UnitContext | None:
        """What the unit is worked on with; None: not in this slot, which the operator was told."""
        device_id = start.expected or (start.device.device_id if start.device else None) or None
        expected = dict(self.context.expected)
        if start.expected:
            configured = expected.get(self.slot.name)
            if configured not in (None, start.expected):
                error = WrongDeviceError(
                    f"the label says {start.expected}, the bench file {configured}",
                    expected=configured or "",
                    actual=start.expected,
                    hint="scan the label of the board that is in this slot",
                )
                self._say(error.message + ": " + error.hint, "wrong_label")
                return None
            expected[self.slot.name] = start.expected
        lock = self._lock()
        if lock is not None:
            if device_id not in self.golden:
                with_what = " or put a golden unit in" if self.golden else ""
                self._say(f"is locked: {lock.reason}; have it checked{with_what}, then unlock it", lock_ask(lock.code))
                return None
            expected[self.slot.name] = str(device_id)
        return replace(self.context, expected=expected)

    def _lock(self) -> Lock | None:
        return self.health_file.read().get(self.slot.name, SlotHealth()).lock if self.health_file else None

    def _ask_for(self, left: Device | None) -> None:
        lock = self._lock()
        what = "removal" if left else "board"
        data: JsonObject = {"for": "unlock" if lock else what, "removal": left is not None}
        data |= {"board": (left.device_id or None) if left else None}
        data |= {"reason": lock.reason if lock else None, "lock": lock.code if lock else None}
        self._emit(EventType.SLOT_WAITING, None, None, data)

    def _say(self, message: str, ask: str = "") -> None:
        self._emit(EventType.OPERATOR_MESSAGE, None, None, operator_message(self.slot.name, message, ask))

    # ---- health ----------------------------------------------------------------------------------------------------

    def count(self) -> None:
        """Let the unit that was finished last count for the slot's health, once; also one whose run was cut short right
        after it."""
        if self.health_file is None or self.end.is_counted:
            return
        end, rules = self.end, self.context.recipe.slot_rules
        outcome = Outcome(end.at, end.unit, end.platform, end.verdict, max(1, end.attempts), end.bytes_per_s)
        before: list[SlotHealth] = []

        def change(health: SlotHealth) -> SlotHealth:
            before.append(health)
            return counted(health, outcome, (self.run_id, end.seq), rules, golden=end.unit in self.golden)

        health = self.health_file.change(self.slot.name, change)
        self._emit(EventType.SLOT_HEALTH, end.unit, None, health.data())
        if health.lock is not None and before[-1].lock != health.lock:
            reason = health.lock.reason
            self._say(
                f"is locked: {reason}; have slot, cable and port checked, then unlock it", lock_ask(health.lock.code)
            )
        if health.lock is None and before[-1].lock is not None:
            self._say(f"is back in use: golden unit {end.unit} passed")
        wear = rules.warn_at_insertions if rules else None
        if wear and before[-1].insertions < wear <= health.insertions:
            self._say(f"has taken {health.insertions} boards: its contacts may be worn", "worn")
