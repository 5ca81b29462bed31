"""The step of strategy A that tests a unit end to end, instead of only waiting for its connection."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from particle_dev.cloud.device_state import DeviceEventType
from particle_dev.cloud.strategies import Act, Strategy
from particle_dev.connectivity.board import Board
from particle_dev.connectivity.engine import ConnectivityTest, error_of
from particle_dev.connectivity.outcome import ConnectivityVerdict, StageEvent, StageProgress, StageStatus
from particle_dev.connectivity.plan import ConnectivityOptions, make_plan
from particle_dev.connectivity.record import result_data
from particle_dev.connectivity.stages import SPECS
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.model import Device
from particle_dev.errors import ConnectivityError, GuardStateError, ParticleDevError
from particle_dev.station.cloud_steps import back_into_dfu
from particle_dev.station.events import JsonObject, error_data
from particle_dev.station.run import Run

STEP = "connectivity"


def connect_and_test(
    run: Run, device: Device, options: ConnectivityOptions, product_version: int | None, evidence: JsonObject
) -> Device:
    """Boot the application and test the unit's way online; it has said goodbye then. **Starts billing.**

    Raises StageFailedError for the stage that failed, ConnectivityError when something was not proven. Then the unit is
    brought back into DFU mode; if that fails, too, the operator is told, and the error is still the first one.
    """
    try:
        _test(run, device, options, product_version, evidence)
    except BaseException:
        # Why it failed is what people must know; that it did not come back, they are told beside it.
        try:
            back_into_dfu(run, device)
        except ParticleDevError as error:
            evidence["not_back_in_dfu"] = error_data(error)
            run.say(f"{run.device_id} did not come back into DFU mode: {error.message}")
        raise
    run.guard.facts = replace(run.guard.facts, held=False, has_connected=True)
    return wait_for_device(run.slot.host, device.usb.port_path, run.limits.enter_dfu_s)


def _test(
    run: Run, device: Device, options: ConnectivityOptions, product_version: int | None, evidence: JsonObject
) -> None:
    station, limit_s = run.guard.station, run.limits.connectivity_s
    run.guard.require(Act.CONNECT)
    if station.link is None:
        raise ConnectivityError("no cloud is open for the connectivity test", hint="add [cloud] to the recipe")
    expected = options.expected_version if options.expected_version is not None else product_version
    plan = make_plan(device.platform, Strategy.A, replace(options, expected_version=expected))
    booked_at = run.now()
    if station.budget is not None:
        station.budget.spend(plan.cost, booked_at)

    def on_event(event: StageEvent) -> None:
        if not isinstance(event, StageProgress):
            run.log(STEP, event)
        run.check_stop(STEP, limit_s)

    with Board(run.slot.host, device, station.permissions) as board:
        test = ConnectivityTest(
            board,
            station.link(device.device_id),
            plan,
            run_id=device.device_id[-8:],
            permissions=station.permissions,
            billing_plan=station.plan,
            on_event=on_event,
        )
        try:
            result = test.run()
        finally:
            for message in board.log:
                run.log(STEP, f"{message.at_s:.3f} s: {message.category} {message.level} {message.text}")
            if test.first_connected_at is not None:
                statement = "connectivity test, strategy A"
                run.guard.remember(DeviceEventType.CONNECTED, test.first_connected_at, statement=statement)
            if station.budget is not None:
                # What stays booked is too much on paper, and no reason to lose the outcome.
                with suppress(GuardStateError):
                    station.budget.give_back(test.unspent, booked_at)
    evidence |= {
        "stages": {str(r.stage): str(r.status) for r in result.stages},
        "left_out": {str(stage): why for stage, why in plan.left_out.items()},
        "attempt": result_data(result),
    }
    error = error_of(result)
    if error is not None:
        raise error
    if result.verdict is not ConnectivityVerdict.PASS:
        skipped = [f"{SPECS[r.stage].title}: {r.seen}" for r in result.stages if r.status is not StageStatus.PASSED]
        raise ConnectivityError(
            f"{device.device_id}: not proven: {'; '.join(skipped)}",
            hint="leave these stages out in the recipe, connectivity.without, or give what they need",
        )
