"""Runs a station: a thread for each of up to 32 slots, every event journaled before it is shown, record and report at
the end."""

from __future__ import annotations

import platform
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import platformdirs

from particle_dev import __version__
from particle_dev.cloud.strategies import Strategy
from particle_dev.device.discovery import device_at
from particle_dev.errors import (
    BenchError,
    FirmwareStoreError,
    JournalError,
    RecordsAwayError,
    RunFinishedError,
    WrongDeviceError,
)
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.arrivals import Arrivals
from particle_dev.station.bench import Bench, Slot
from particle_dev.station.events import EventType, JsonObject, StationEvent, Verdict, new_event, timestamp
from particle_dev.station.fold import fold
from particle_dev.station.guard import WITHOUT_CLOUD, StationGuard
from particle_dev.station.journal import JOURNAL_NAME, Journal
from particle_dev.station.label_scans import LabelScans
from particle_dev.station.lease import Leases
from particle_dev.station.recipe import Recipe
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.report import REPORT_NAME, write_report
from particle_dev.station.run import UnitContext
from particle_dev.station.run_record import RunRecord
from particle_dev.station.slot_health import HealthFile
from particle_dev.station.slot_work import Emit, SlotWork
from particle_dev.station.station_key import StationKey
from particle_dev.station.stopping import StopAtOnce
from particle_dev.station.unit_counts import UnitCounts

MOST_SLOTS = 32
ENDING = "the run ends: no more units are begun; Ctrl-C again stops those in work"
_FEEL_SIGNALS_EVERY_S = 0.5


class Station:
    """One run of a recipe on a bench, kept in ``folder``. A folder with an unfinished run is resumed.

    ``guard`` asks the cloud about each unit; without one the billing verdicts rest on what the station sees. ``keeper``
    keeps the run's record (default: in ``folder``, signed by this user's station); when its server is away,
    ``records_away`` says so after the run, and the folder waits.

    With ``arrivals`` the run is continuous: one unit after the other in each slot, until ``arrivals`` ends or
    ``most_units`` of the run are finished, those of its earlier starts among them. ``health`` keeps how the slots do,
    and which are locked; ``golden`` are Device IDs of units that are known to be good. ``scans`` is where scanned
    labels come in, for recipes that ask for them.

    ``show_past`` gets what the journal of a resumed run holds, once, before anything new happens. ``show`` gets every
    event of this start, in the order of the journal, from several threads but never at the same time. Raises
    JournalError when the folder cannot be written or belongs to a run with another recipe or bench, FirmwareStoreError
    when the store lacks something that the recipe names for any platform.
    """

    def __init__(
        self,
        recipe: Recipe,
        bench: Bench,
        store: FirmwareStore,
        folder: Path,
        show: Callable[[StationEvent], None],
        expected: Mapping[str, str] | None = None,
        operator: str | None = None,
        guard: StationGuard | None = None,
        keeper: RecordKeeper | None = None,
        arrivals: Arrivals | None = None,
        most_units: int | None = None,
        health: HealthFile | None = None,
        golden: frozenset[str] = frozenset(),
        scans: LabelScans | None = None,
        show_past: Callable[[Sequence[StationEvent]], None] | None = None,
    ) -> None:
        self._keeper = keeper or RecordKeeper(StationKey(platformdirs.user_data_path("particle-dev")))
        self.records_away: RecordsAwayError | None = None
        self._guard = guard or replace(WITHOUT_CLOUD, strategy=recipe.strategy or Strategy.C)
        self._recipe = recipe
        self._bench = bench
        self._store = store
        self._folder = folder
        self._show = show
        self._show_past = show_past
        self._expected = expected or {}
        self._operator = operator
        self._arrivals = arrivals
        self._most_units = most_units
        self._counts = UnitCounts()
        self._health = health
        self._golden = golden
        self._scans = scans or LabelScans()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._events: list[StationEvent] = []
        self._run_id = ""
        self._told_problem = False

    def run(self) -> RunRecord:
        """Work on every slot that is not done yet. Ctrl-C stops the units at their next block and is raised again
        after the record is written; a continuous run it ends when the units in work are done, and the second one stops
        them. BenchError: there are no slots, or too many, or another station works on one of them."""
        if not self._bench.slots:
            raise BenchError(
                f"the bench '{self._bench.name}' has no slots", hint="give a bench file with a [[slot]] table per port"
            )
        if len(self._bench.slots) > MOST_SLOTS:
            raise BenchError(
                f"the bench '{self._bench.name}' has {len(self._bench.slots)} slots, a station at most {MOST_SLOTS}",
                hint="make two benches of it, with a station each",
            )
        with (
            Leases(self._bench.slots, f"run in {self._folder}"),
            Journal(self._folder / JOURNAL_NAME) as journal,
        ):
            self._journal = journal
            self._events = list(journal.events)
            prior = fold(self._events) if self._events else None
            if prior is not None:
                self._check_same_run(prior)
                self._take_past()
                if prior.verdict == "pass":
                    return self._finished_before()
                if self._arrivals is None:
                    self._check_same_boards(prior)
            self._check_store()
            self._keeper.begin(self._folder)
            self._run_id = prior.run_id if prior else uuid.uuid4().hex
            self._publish(EventType.RUN_RESUMED if prior else EventType.RUN_STARTED, data=self._start_data())
            passed = {u.device_id: u.slot for u in prior.units if u.verdict is Verdict.PASS} if prior else {}
            interrupt = self._work(passed)
            finished = replace(fold(self._events), finished_at=timestamp(self._bench.host.clock.utc_now()))
            self._publish(
                EventType.RUN_FINISHED,
                data={"verdict": finished.verdict, "report": str(self._folder / REPORT_NAME)},
            )
            record = self._write_records()
            if interrupt is not None:
                raise interrupt
            return record

    def _take_past(self) -> None:
        for event in self._events:
            self._counts.take(event)
        if self._show_past is not None:
            self._show_past(self._events)

    def _work(self, passed: Mapping[str | None, str]) -> KeyboardInterrupt | None:
        """In all slots at once; ``passed``: slots by the units that passed in them before this start."""
        context = UnitContext(
            self._recipe,
            self._store,
            self._expected,
            {},
            self._stopping.is_set,
            self._guard,
            self._folder,
            self._scans,
        )
        works = [
            SlotWork(s, context, self._emitter(s), self._events_until_now, self._run_id, self._health, self._golden)
            for s in self._bench.slots
        ]
        for work in works:
            for event in self._events:
                if event.slot == work.slot.name:
                    work.end.take(event)
            work.count()
        if self._arrivals is None:
            done = set(passed.values())
            return self._work_at_once([w.one_round for w in works if w.slot.name not in done])
        with self._arrivals as arrivals:
            arrivals.seed([device_id for device_id in passed if device_id])
            self._end_when_enough()
            return self._work_at_once([partial(w.continuous, arrivals, self._end_when_enough) for w in works])

    def _work_at_once(self, works: Sequence[Callable[[], object]]) -> KeyboardInterrupt | None:
        """An exception of one thread (the journal is lost, or a defect) stops the others."""
        if not works:
            return None
        with ThreadPoolExecutor(len(works), thread_name_prefix="slot") as pool:
            futures: list[Future[object]] = []
            try:
                for work in works:
                    futures.append(pool.submit(work))
                interrupt = self._until_done(futures)
            except KeyboardInterrupt as error:
                # Neither wait was on: the threads must be told before the pool waits for them.
                interrupt = error
            if interrupt is not None or any(f.done() and f.exception() for f in futures):
                self._stopping.set()
                if self._arrivals is not None:
                    self._arrivals.end()
            for future in futures:
                future.result()
        return interrupt

    def _until_done(self, futures: Sequence[Future[object]]) -> KeyboardInterrupt | None:
        interrupt = self._wait(futures)
        if self._arrivals is not None and interrupt is not None and not isinstance(interrupt, StopAtOnce):
            self._arrivals.end()
            self._publish(EventType.OPERATOR_MESSAGE, data={"message": ENDING, "ask": "run_ending"})
            interrupt = self._wait(futures)
        return interrupt

    def _wait(self, futures: Sequence[Future[object]]) -> KeyboardInterrupt | None:
        try:
            # A signal that another thread received is felt by this one only when it runs again.
            while wait(futures, _FEEL_SIGNALS_EVERY_S, FIRST_EXCEPTION).not_done:
                if any(f.done() and f.exception() for f in futures):
                    break
                self._tell_problem()
        except KeyboardInterrupt as error:
            return error
        return None

    def _tell_problem(self) -> None:
        """While no board can be seen to come, slots would wait for ever and nobody would know why."""
        problem = self._arrivals.problem if self._arrivals is not None else None
        told, self._told_problem = self._told_problem, problem is not None
        if problem is not None and not told:
            message = f"no board can be seen: {problem.message}: {problem.hint}"
            self._publish(EventType.OPERATOR_MESSAGE, data={"message": message, "ask": "no_more_boards"})
        elif problem is None and told:
            message = "boards are seen again"
            self._publish(EventType.OPERATOR_MESSAGE, data={"message": message, "ask": "run_goes_on"})

    def _end_when_enough(self) -> None:
        with self._lock:
            enough = self._most_units is not None and self._counts.finished >= self._most_units
        if enough and self._arrivals is not None:
            self._arrivals.end()

    def _events_until_now(self) -> list[StationEvent]:
        with self._lock:
            return list(self._events)

    def _emitter(self, slot: Slot) -> Emit:
        def emit(kind: EventType, unit: str | None, step: str | None, data: JsonObject) -> StationEvent:
            return self._publish(kind, slot=slot, unit=unit, step=step, data=data)

        return emit

    def _publish(
        self,
        kind: EventType,
        *,
        data: JsonObject,
        slot: Slot | None = None,
        unit: str | None = None,
        step: str | None = None,
    ) -> StationEvent:
        clock = (slot.host if slot else self._bench.host).clock
        event = new_event(
            kind,
            run_id=self._run_id,
            at=clock.utc_now(),
            slot=slot.name if slot else None,
            unit=unit,
            step=step,
            data=data,
        )
        with self._lock:
            event = self._journal.append(event, durable=kind is not EventType.STEP_PROGRESS)
            if kind is not EventType.STEP_PROGRESS:
                self._events.append(event)
                self._counts.take(event)
            self._show(event)
            return event

    def _start_data(self) -> JsonObject:
        return {
            "recipe": {
                "name": self._recipe.name,
                "sha256": self._recipe.sha256,
                "path": self._recipe.path,
                "limits": asdict(self._recipe.limits),
                "release": asdict(self._recipe.release) if self._recipe.release else None,
                "firmware": self._firmware(),
                "strategy": str(self._recipe.strategy or Strategy.C),
            },
            "bench": {"name": self._bench.name},
            "slots": [s.name for s in self._bench.slots],
            "software": {"particle_dev": __version__, "python": platform.python_version(), "os": platform.platform()},
            "operator": self._operator,
            "mode": self._mode,
            "start_by": str(self._arrivals.start_by) if self._arrivals is not None else None,
        }

    @property
    def _mode(self) -> str:
        return "continuous" if self._arrivals is not None else "round"

    def _check_same_run(self, prior: RunRecord) -> None:
        release = asdict(self._recipe.release) if self._recipe.release else None
        same = (prior.recipe["sha256"], prior.recipe.get("release")) == (self._recipe.sha256, release)
        if not same or prior.bench != self._bench.name:
            raise JournalError(
                f"{self._folder} holds a run of '{prior.recipe['name']}' on bench '{prior.bench}', which differs "
                "from this one",
                path=str(self._folder),
                hint="resume it with the same recipe and bench, or give a new --out",
            )
        mode = self._events[0].data.get("mode", "round")
        if mode != self._mode:
            raise JournalError(
                f"{self._folder} holds a {'run of one round' if mode == 'round' else 'continuous run'}",
                path=str(self._folder),
                hint="resume it the way it was begun, with or without --watch, or give a new --out",
            )

    def _finished_before(self) -> RunRecord:
        """A run that ended well: complete its records if it died before them, refuse to be taken for another tray."""
        journal, report = self._folder / JOURNAL_NAME, self._folder / REPORT_NAME
        complete = report.exists() and report.stat().st_mtime_ns >= journal.stat().st_mtime_ns
        record = self._write_records()
        if complete:
            raise RunFinishedError(
                f"the run in {self._folder} is finished: nothing was done, the boards in the slots were not looked at",
                hint="give the next tray a new --out; `particle-dev report` shows this run again",
            )
        return record

    def _firmware(self) -> JsonObject:
        """What the recipe names, by platform, and where the store has it from: the provenance of what is flashed."""
        return {
            name: {
                "device_os": choice.device_os,
                "app": choice.app,
                "modules": [
                    {"sha256": m.sha256, "version": m.version, "file_name": m.file_name, "source": m.source}
                    for m in (
                        *self._store.device_os_set(name, choice.device_os).modules,
                        self._store.app(name, choice.app),
                    )
                ],
            }
            for name, choice in self._recipe.firmware.items()
        }

    def _check_store(self) -> None:
        """Everything that the recipe names must be there before a board is looked at. Whether it is unharmed is found
        when it is read, for the slots that need it."""
        lacking: list[FirmwareStoreError] = []
        for name, choice in self._recipe.firmware.items():
            if choice.restore is not None and not choice.restore.is_file():
                lacking.append(
                    FirmwareStoreError(
                        f"there is no restore file {choice.restore}",
                        path=str(choice.restore),
                        hint="get it from particle-iot/docs src/assets/files/device-restore, or correct the recipe",
                    )
                )
            for find, wanted in ((self._store.device_os_set, choice.device_os), (self._store.app, choice.app)):
                try:
                    find(name, wanted)
                except FirmwareStoreError as error:
                    lacking.append(error)
        if lacking:
            raise FirmwareStoreError(
                f"no board was touched: {'; '.join(dict.fromkeys(error.message for error in lacking))}",
                path=str(self._store.root),
                hint="; ".join(dict.fromkeys(error.hint for error in lacking)),
            )

    def _check_same_boards(self, prior: RunRecord) -> None:
        """A slot whose unit has passed is left alone, so it must not hold another board."""
        passed = {u.slot: u.device_id for u in prior.units if u.verdict is Verdict.PASS}
        for slot in self._bench.slots:
            device = device_at(slot.host, slot.port_path) if slot.name in passed else None
            if device is not None and device.device_id not in ("", passed[slot.name]):
                raise WrongDeviceError(
                    f"slot {slot.name} holds {device.device_id}, the unit that passed there is {passed[slot.name]}",
                    expected=passed[slot.name] or "",
                    actual=device.device_id,
                    hint="a new tray needs a new --out; to resume, put the boards of the unfinished slots back",
                )

    def _write_records(self) -> RunRecord:
        """Database and report, both made anew from the journal."""
        record = fold(self._events)
        self.records_away = self._keeper.keep(self._folder)
        write_report(record, self._folder / REPORT_NAME, self._store.read)
        return record
