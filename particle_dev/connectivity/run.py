"""What the checks of all stages share while a test goes on: board, cloud, what was observed, what to take back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from particle_dev.cloud.budget import NOTHING_SPENT, Cost
from particle_dev.cloud.events import CloudEvent, StreamEnded, StreamGap
from particle_dev.cloud.records import DeviceRecord
from particle_dev.connectivity.board import Board
from particle_dev.connectivity.cloud_link import CloudLink
from particle_dev.connectivity.diagnosis import SAFE_MODE_EVENTS, Observed
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.measurements import Measurement, SignalSample, signal_of
from particle_dev.connectivity.outcome import StageFailure
from particle_dev.connectivity.plan import ConnectivityPlan
from particle_dev.connectivity.stages import Stage
from particle_dev.errors import ParticleDevError
from particle_dev.permissions import Permissions

POLL_S = 0.05
DIAGNOSTICS_S = 0.5
RECORD_S = 5.0
"""Between two looks at the cloud's record: a site shares the limit on requests."""
PROGRESS_S = 1.0
SAMPLE_S = 1.0
ResultT = TypeVar("ResultT")
OnProgress = Callable[[str, float, float], None]
"""Activity, seconds since the stage began, seconds after which it is given up."""


class ConnectivityRun:
    """The state of one test. ``nonce`` gives text that no other test uses."""

    def __init__(
        self,
        board: Board,
        cloud: CloudLink | None,
        plan: ConnectivityPlan,
        permissions: Permissions,
        run_id: str,
        on_progress: OnProgress,
    ) -> None:
        self.board = board
        self._cloud = cloud
        self.plan = plan
        self.permissions = permissions
        self.run_id = run_id
        self.clock = board.clock
        self.started_at: datetime = self.clock.utc_now()
        self._started_s = self.clock.monotonic_s()
        self._on_progress = on_progress
        self.observed = Observed()
        self.events: list[CloudEvent] = []
        self.stream_gaps = 0
        """How often events may have been lost."""
        self.stream_is_down = False
        self.before: DeviceRecord | None = None
        """The cloud's record before the test."""
        self.was_online = False
        """At the start, and not restarted since."""
        self.restarted = False
        self.wanted_disconnects = 0
        """Sessions of this boot that ended because the test changed the network."""
        self.connecting_since_s: float | None = None
        self.first_connected_at: datetime | None = None
        self.has_selftest: bool | None = None
        self.samples: list[SignalSample] = []
        self.measurements: list[Measurement] = []
        self.evidence: dict[str, Any] = {}
        self.spent = NOTHING_SPENT
        self.cleanup: list[tuple[str, Callable[[], None]]] = []
        """What to take back, last one first."""
        self.pause_diagnostics = False
        """While a reset is wanted."""
        self.iccid: str | None = None
        self._next_diagnostics_s = 0.0
        self._next_sample_s = 0.0
        self._next_record_s = 0.0
        self._nonces = 0
        self._stage_s = self._started_s

    # ---- time ----------------------------------------------------------------------------------------------------

    def now_s(self) -> float:
        """Seconds since the test began."""
        return self.clock.monotonic_s() - self._started_s

    def begin_stage(self) -> None:
        """The next stage has values and evidence of its own."""
        self.measurements, self.evidence = [], {}
        self._stage_s = self.clock.monotonic_s()
        self._next_record_s = 0.0

    def elapsed_s(self) -> float:
        """Seconds since the stage began."""
        return self.clock.monotonic_s() - self._stage_s

    # ---- what the checks ask -------------------------------------------------------------------------------------

    @property
    def cloud(self) -> CloudLink:
        """The cloud; only in stages that have one."""
        assert self._cloud is not None
        return self._cloud

    @property
    def has_cloud(self) -> bool:
        """Whether there is a cloud to ask: strategy C may do without."""
        return self._cloud is not None

    def nonce(self) -> str:
        """A text of its own for an event or a call."""
        self._nonces += 1
        return f"{self.run_id}-{self._nonces}"

    def measure(self, name: str, value: float, unit: str) -> None:
        """Note a value; its limit is the plan's."""
        self.measurements.append(Measurement(name, round(value, 3), unit, self.plan.limit_of(name)))

    def spend(self, cost: Cost) -> None:
        """Note what an act has cost."""
        self.spent = self.spent + cost

    def wait(
        self,
        stage: Stage,
        check: Callable[[], ResultT | None],
        why_not: Callable[[], StageFailure],
        *,
        activity: str,
        limit_s: float | None = None,
    ) -> ResultT:
        """What ``check`` gives as soon as it gives something; it is asked again and again.

        Raises the failure of ``why_not`` after the stage's time, or ``limit_s``, counted from now.
        """
        give_up_s = self.plan.give_up_s(stage) if limit_s is None else limit_s
        begun_s = told_s = self.clock.monotonic_s()
        # One number to compare with and to sleep to: of two, rounding may leave a sleep of nothing, for ever.
        end_s = begun_s + give_up_s
        while True:
            self.look()
            found = check()
            if found is not None:
                return found
            now_s = self.clock.monotonic_s()
            if now_s >= end_s:
                raise why_not()
            if now_s - told_s >= PROGRESS_S:
                told_s = now_s
                self._on_progress(activity, now_s - begun_s, give_up_s)
            self.clock.sleep(min(POLL_S, end_s - now_s))

    def look(self) -> None:
        """Take in the board's log, its counters now and then, and the events that have come."""
        self.board.read_log()
        observed = self.observed
        observed.log = list(self.board.log)
        observed.has_log = self.board.has_log
        now_s = self.now_s()
        if now_s >= self._next_diagnostics_s and not self.pause_diagnostics:
            self.read_diagnostics()
        if self._cloud is not None and self._cloud.feed is not None:
            self._take_events(self._cloud)

    def read_diagnostics(self) -> dict[str, int]:
        """The board's counters, now. Raises StageFailure when it was reset."""
        found = self.board.diagnostics()
        now_s = self.now_s()
        self._next_diagnostics_s = now_s + DIAGNOSTICS_S
        if found:
            self.observed.diagnostics = found
            sample = signal_of(found, round(now_s, 2))
            if sample is not None:
                self.observed.strength_dbm = sample.strength_dbm
                if now_s >= self._next_sample_s:
                    self._next_sample_s = now_s + SAMPLE_S
                    self.samples.append(sample)
            if found.get("cloud:stat") == 2:
                self.note_connected()
        return found

    def note_connected(self) -> None:
        """The board is online, and counts from now on at the latest."""
        if self.first_connected_at is None:
            self.first_connected_at = self.clock.utc_now()

    def record_now_and_then(self) -> DeviceRecord | None:
        """The cloud's record, at most every few seconds; None in between, and when it cannot be read."""
        now_s = self.now_s()
        if now_s < self._next_record_s:
            return None
        self._next_record_s = now_s + RECORD_S
        with suppress(ParticleDevError):
            return self.cloud.record()
        return None

    def event(self, name: str, data: str | None = None, since: int = 0) -> CloudEvent | None:
        """An event of the device that has come, from number ``since`` on; ``data`` None: any."""
        found = (e for e in self.events[since:] if e.name == name and (data is None or e.data == data))
        return next(found, None)

    def _take_events(self, cloud: CloudLink) -> None:
        assert cloud.feed is not None
        for item in cloud.feed.poll():
            if isinstance(item, CloudEvent):
                self.events.append(item)
                self.observed.event_names.append((item.name, item.data or ""))
                if item.name in SAFE_MODE_EVENTS:
                    self.observed.in_safe_mode = True
            elif isinstance(item, StreamGap):
                self.stream_gaps += item.until is None or item.lost_here > 0
                self.stream_is_down = item.until is None
            elif isinstance(item, StreamEnded):
                self.stream_gaps += 1
                self.stream_is_down = True

    # ---- what to take back ---------------------------------------------------------------------------------------

    def take_back_later(self, name: str, act: Callable[[], None]) -> None:
        """What the test has set, and how to undo it."""
        self.cleanup.append((name, act))

    def forget(self, name: str) -> None:
        """Nothing of that name is to be undone any more."""
        self.cleanup = [item for item in self.cleanup if item[0] != name]

    def take_back(self) -> list[str]:
        """Undo everything; what could not be undone, with the reason."""
        left = []
        while self.cleanup:
            name, act = self.cleanup.pop()
            try:
                act()
            except ParticleDevError as error:
                left.append(f"{name}: {error.message}")
            except StageFailure as failure:
                left.append(f"{name}: {failure.seen}")
        return left


def failed(code: FailureCode, seen: str) -> Callable[[], StageFailure]:
    """A reason for :meth:`ConnectivityRun.wait` that is known beforehand."""
    return lambda: StageFailure(code, seen)
