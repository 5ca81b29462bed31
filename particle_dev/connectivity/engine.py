"""Runs the stages of a plan in their order, and takes everything back, whatever happens.

Sans I/O of its own: board and cloud come as objects, time from the board's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.budget import Cost
from particle_dev.cloud.evidence import EthernetDetection, radios_of
from particle_dev.cloud.facts import Snapshot
from particle_dev.cloud.gate import Gate, GateCase, cloud_not_asked, evaluate
from particle_dev.cloud.metering import BillingFinding, Evidence, read_counters
from particle_dev.cloud.plans import Plan
from particle_dev.connectivity import checks_board, checks_cloud, checks_end, checks_online, checks_radio
from particle_dev.connectivity.board import Board
from particle_dev.connectivity.checks_wifi import refuse_what_cannot_be_restored
from particle_dev.connectivity.cloud_link import CloudLink
from particle_dev.connectivity.diagnosis import code_of
from particle_dev.connectivity.failures import CATALOGUE, FailureCode
from particle_dev.connectivity.outcome import (
    ConnectivityResult,
    StageEvent,
    StageFailure,
    StageFinished,
    StageProgress,
    StageResult,
    StageSkipped,
    StageStarted,
    StageStatus,
)
from particle_dev.connectivity.plan import ConnectivityPlan
from particle_dev.connectivity.run import ConnectivityRun
from particle_dev.connectivity.stages import SPECS, Stage
from particle_dev.errors import (
    BillingGuardError,
    ConnectivityError,
    ParticleDevError,
    PermissionMissingError,
    StageFailedError,
)
from particle_dev.permissions import NOTHING, Effect, Permissions

Check = Callable[[ConnectivityRun], None]
OnEvent = Callable[[StageEvent], None]
CHECKS: Mapping[Stage, Check] = {
    Stage.PRECONDITIONS: checks_board.check_preconditions,
    Stage.BOOT: checks_board.check_boot,
    Stage.RADIO: checks_radio.check_radio,
    Stage.SIM: checks_radio.check_sim,
    Stage.NETWORK: checks_online.check_network,
    Stage.IP: checks_online.check_ip,
    Stage.CLOUD_SOCKET: checks_online.check_cloud_socket,
    Stage.HANDSHAKE: checks_online.check_handshake,
    Stage.IDENTITY: checks_cloud.check_identity,
    Stage.PUBLISH: checks_cloud.check_publish,
    Stage.SUBSCRIBE: checks_cloud.check_subscribe,
    Stage.FUNCTION: checks_cloud.check_function,
    Stage.VARIABLE: checks_cloud.check_variable,
    Stage.VITALS: checks_cloud.check_vitals,
    Stage.PING: checks_cloud.check_ping,
    Stage.OTA: checks_end.check_ota,
    Stage.GOODBYE: checks_end.check_goodbye,
    Stage.RESTORE: checks_end.check_restore,
}
_REFUSALS = (BillingGuardError, ConnectivityError, PermissionMissingError)
"""Nothing is wrong with the unit: the caller may not do that now."""


def require_permissions(plan: ConnectivityPlan, permissions: Permissions) -> None:
    """Raise PermissionMissingError unless the caller holds what the plan does: ``may_connect`` for strategies A and B;
    ``may_erase`` where Wi-Fi credentials are stored and forgotten again; ``may_update_devices`` for an update over the
    air, and for taking the development mark off again."""
    if plan.connects:
        permissions.require(Effect.CONNECT, f"a connectivity test by strategy {plan.strategy}")
    if plan.connects and plan.options.wifi is not None:
        permissions.require(Effect.ERASE, "forgetting the Wi-Fi network of the test")
    if Stage.OTA in plan.stages:
        permissions.require(Effect.UPDATE, f"sending version {plan.options.ota_version} over the air")
    if plan.connects and plan.options.mark_development:
        permissions.require(Effect.UPDATE, "taking the development mark off again")


class _StoppedError(Exception):
    """A listener wants the test to end."""

    def __init__(self, error: ParticleDevError) -> None:
        super().__init__(str(error))
        self.error = error


class ConnectivityTest:
    """One test of one board. ``cloud`` None: strategy C without a look into the cloud.

    ``billing_plan`` is that of the product's owner, for the verdict. ``run_id`` becomes part of the names of events.
    """

    def __init__(
        self,
        board: Board,
        cloud: CloudLink | None,
        plan: ConnectivityPlan,
        *,
        run_id: str,
        permissions: Permissions = NOTHING,
        billing_plan: Plan | None = None,
        on_event: OnEvent = lambda _event: None,
    ) -> None:
        if plan.connects and cloud is None:
            raise ConnectivityError(
                f"strategy {plan.strategy} needs the cloud", hint="name a product, or an account to test in"
            )
        require_permissions(plan, permissions)
        self.plan = plan
        self._board = board
        self._cloud = cloud
        self._billing_plan = billing_plan
        self._on_event = on_event
        self._stage = Stage.PRECONDITIONS
        self._run = ConnectivityRun(board, cloud, plan, permissions, run_id, self._progress)
        self._results: list[StageResult] = []
        self._start: Snapshot | None = None
        self._evidence: list[Evidence] = []
        self._untold: Exception | None = None
        """What the listener raised while everything was taken back."""

    @property
    def first_connected_at(self) -> datetime | None:
        """When the board was seen online first; None: it was not. Also after the test was cut short."""
        return self._run.first_connected_at

    @property
    def unspent(self) -> Cost:
        """What of the plan's cost was certainly not spent. The bytes of a test that began to connect count as spent:
        nobody counts what a modem repeats."""
        booked, run = self.plan.cost, self._run
        bytes_left = booked.cellular_bytes if run.connecting_since_s is None else 0
        return Cost(max(0, booked.operations - run.spent.operations), bytes_left)

    def run(self) -> ConnectivityResult:
        """All stages, then everything is taken back.

        A stage that fails is a result, no exception. Raises BillingGuardError and PermissionMissingError when the
        strategy does not allow what is to come, ConnectivityError when storing the Wi-Fi network of the test would lose
        one that the board has, KeyboardInterrupt, and what ``on_event`` raises; the board is
        disconnected and everything taken back before.
        """
        try:
            return self._run_all()
        except _StoppedError as stop:
            raise stop.error from None

    def _run_all(self) -> ConnectivityResult:
        refuse_what_cannot_be_restored(self._run)
        self._start = self._snapshot()
        try:
            for stage in self.plan.stages:
                if stage is Stage.RESTORE:
                    continue
                if any(r.status is StageStatus.FAILED for r in self._results):
                    self._results.append(StageResult(stage, StageStatus.NOT_RUN, seen="an earlier stage failed"))
                    continue
                self._carry_out(stage)
            self._note_counters()
        finally:
            self._stage_of_restore()
        if self._untold is not None:
            raise self._untold
        return self._result()

    # ---- inside --------------------------------------------------------------------------------------------------

    def _stage_of_restore(self) -> None:
        self._note_counters()
        self._carry_out(Stage.RESTORE)

    def _carry_out(self, stage: Stage) -> None:
        run, clock = self._run, self._run.clock
        self._stage = stage
        run.begin_stage()
        started_at, at_s = clock.utc_now(), run.now_s()
        self._tell(StageStarted(stage, self.plan.give_up_s(stage)))
        status, failure, seen = StageStatus.PASSED, None, ""
        try:
            CHECKS[stage](run)
        except StageSkipped as skipped:
            status, seen = StageStatus.SKIPPED, str(skipped)
        except StageFailure as found:
            status, failure, seen = StageStatus.FAILED, CATALOGUE[found.code], found.seen
        except _REFUSALS:
            raise
        except ParticleDevError as error:
            status, failure, seen = StageStatus.FAILED, CATALOGUE[self._code_of(error)], error.message
        result = StageResult(
            stage,
            status,
            started_at,
            round(at_s, 3),
            round(run.now_s() - at_s, 3),
            tuple(run.measurements),
            dict(run.evidence),
            failure,
            seen,
        )
        self._results.append(result)
        self._tell(StageFinished(result))

    def _code_of(self, error: ParticleDevError) -> FailureCode:
        """An error that a check did not expect. A board that is not the one any more explains others."""
        try:
            self._run.read_diagnostics()
        except StageFailure as found:
            return found.code
        except ParticleDevError:
            pass
        return code_of(error)

    def _progress(self, activity: str, elapsed_s: float, limit_s: float) -> None:
        self._tell(StageProgress(self._stage, activity, round(elapsed_s, 1), limit_s))

    def _tell(self, event: StageEvent) -> None:
        """What a listener raises ends the test, and is no failure of a stage. The end of it goes on in any case."""
        try:
            self._on_event(event)
        except Exception as error:
            # Also a pipe that nobody reads any more, or a full disk: the board must be taken off the air all the same.
            if self._stage is Stage.RESTORE:
                self._untold = self._untold or error
                return
            if isinstance(error, ParticleDevError):
                raise _StoppedError(error) from error
            raise

    # ---- billing -------------------------------------------------------------------------------------------------

    def _snapshot(self) -> Snapshot | None:
        scope = self._cloud.scope if self._cloud else None
        if scope is None or scope.evidence is None:
            return None
        return scope.evidence.snapshot(self._board.device_id, self._run.clock.utc_now())

    def _note_counters(self) -> None:
        """What the board itself says of its connections, before it is told to disconnect and after."""
        if self._board.device.mode is not UsbMode.NORMAL:
            return
        try:
            counters = self._run.read_diagnostics()
        except (ParticleDevError, StageFailure):
            return
        if counters:
            self._evidence.append(read_counters(counters, self._run.clock.utc_now()))

    def _gate(self) -> Gate:
        run = self._run
        if run.first_connected_at is not None:
            self._evidence.append(
                Evidence(
                    "cloud_status",
                    "the board was online in this connectivity test",
                    "control request 300",
                    run.first_connected_at,
                    run.clock.utc_now(),
                    BillingFinding.ONLINE,
                )
            )
        if self._cloud is None:
            gate = cloud_not_asked("the test names no product")
            online = [e.statement for e in self._evidence if e.finding is BillingFinding.ONLINE]
            return evaluate(self._case(None)) if online else gate
        return evaluate(self._case(self._snapshot()))

    def _case(self, end: Snapshot | None) -> GateCase:
        run = self._run
        since = min((e.since for e in self._evidence), default=None)
        now: datetime = run.clock.utc_now()
        return GateCase(
            powered=((since, now),) if since is not None else (),
            is_off=False,
            evidence=tuple(self._evidence),
            start=self._start,
            end=end,
            radios=radios_of(self._board.device.platform.id, EthernetDetection.UNKNOWN),
            plan=self._billing_plan,
        )

    def _result(self) -> ConnectivityResult:
        run = self._run
        restore = self._results[-1]
        return ConnectivityResult(
            run_id=run.run_id,
            device_id=self._board.device_id,
            platform=self._board.device.platform.name,
            strategy=self.plan.strategy,
            started_at=run.started_at,
            duration_s=round(run.now_s(), 3),
            stages=tuple(self._results),
            gate=self._gate(),
            estimated=self.plan.cost,
            spent=run.spent,
            samples=tuple(run.samples),
            log=tuple((round(m.at_s, 3), f"[{m.category}] {m.level}: {m.text}") for m in self._board.log),
            left=tuple(restore.evidence.get("left", ())),
            first_connected_at=run.first_connected_at,
        )


def error_of(result: ConnectivityResult) -> StageFailedError | None:
    """The failure of a test as an error; None when no stage failed."""
    found = result.failed
    if found is None or found.failure is None:
        return None
    row = found.failure
    return StageFailedError(
        f"{result.device_id}: stage {SPECS[found.stage].title} failed with {row.code}: {row.cause} ({found.seen})",
        stage=found.stage,
        code=row.code,
        seen=found.seen,
        cause=row.cause,
        engineer_hint=row.engineer,
        next_step=row.next_step,
        hint=row.operator,
    )
