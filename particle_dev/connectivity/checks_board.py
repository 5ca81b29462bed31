"""Stages 0 and 1: the conditions before, and the board's start."""

from __future__ import annotations

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.gate import Radio
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.strategies import Act, Runs, Strategy, UnitFacts, require_act
from particle_dev.connectivity.checks_dark import hold_dark
from particle_dev.connectivity.checks_online import disconnect_later
from particle_dev.connectivity.diagnosis import incomplete, missing_text, module_title
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.outcome import StageFailure, StageSkipped
from particle_dev.connectivity.run import ConnectivityRun
from particle_dev.connectivity.stages import Stage
from particle_dev.protocol.messages import CloudStatus

ONLY = "only"
"""Evidence of a stage of which a part was left out: what was done."""


# ---- 0: preconditions -----------------------------------------------------------------------------------------------


def check_preconditions(run: ConnectivityRun) -> None:
    """Raises StageFailure, or ActRefusedError when the strategy does not allow a connection now."""
    if run.plan.strategy is Strategy.C:
        # Before all else: it may be about to connect by itself.
        hold_dark(run)
        if run.plan.asks_preconditions:
            _check_board(run)
        else:
            run.evidence[ONLY] = "held in listening mode; the other conditions were left out"
        return
    modules_ok = _check_board(run)
    record = run.cloud.record()
    run.before = record
    if record is None or record.quarantined or record.denied:
        state = "unknown here" if record is None else "quarantined" if record.quarantined else "denied"
        raise StageFailure(FailureCode.PRE_QUAR, f"{run.board.device_id} is {state}")
    _check_membership(run, record)
    sim_active = _check_sim_record(run, record)
    _mark_development(run, record)
    feed = run.cloud.feed
    run.evidence["stream"] = "alive" if feed is not None and feed.is_alive() else "not proven"
    if feed is None or not feed.is_alive():
        raise StageFailure(FailureCode.EVT_LOST, "the event stream brings no event of our own back")
    require_act(run.plan.strategy, _facts(run, record, modules_ok, sim_active), Act.CONNECT)


def _facts(run: ConnectivityRun, record: DeviceRecord, modules_ok: bool, sim_active: bool) -> UnitFacts:
    in_product = run.cloud.scope.product is not None
    target = record.targeted_firmware_release_version
    is_released = record.development or target in (None, run.plan.options.expected_version)
    return UnitFacts(
        consent=run.permissions.may_connect,
        identified=True,
        in_product=in_product,
        approved=in_product,
        in_test_account=not in_product,
        sim_active=sim_active,
        no_credentials=run.plan.radio is Radio.CELLULAR,
        runs=Runs.FINAL,
        set_is_complete=modules_ok,
        read_back=modules_ok,
        gets_what_the_product_releases=is_released or run.plan.options.mark_development,
        stream_watched=True,
        budget_left=True,
    )


def _check_board(run: ConnectivityRun) -> bool:
    """Its modules, as its own Device OS checks them. In DFU mode there is nothing to ask, and the boot follows."""
    options = run.plan.options
    if run.board.device.mode is UsbMode.DFU:
        run.evidence["mode"] = "dfu"
        return True
    modules = run.board.ask(lambda session: session.module_info()) or ()
    run.evidence["modules"] = [module_title(m) for m in modules]
    run.observed.missing_modules = incomplete(modules)
    if run.observed.missing_modules:
        run.observed.in_safe_mode = True
        raise StageFailure(FailureCode.CLD_SAFE, missing_text(run.observed.missing_modules))
    app = next((m for m in modules if m.function == ModuleFunction.USER_PART and m.store == 0), None)
    if app is not None and app.sha256:
        run.evidence["app_sha256"] = app.sha256.hex()
    wanted = options.expected_app_sha256
    if wanted is not None and (app is None or app.sha256 is None or app.sha256.hex() != wanted.lower()):
        found = app.sha256.hex() if app is not None and app.sha256 else "not told"
        raise StageFailure(FailureCode.PRE_FW, f"the application is {found}, not {wanted}")
    device_os = run.board.ask(lambda session: session.system_version())
    run.evidence["device_os"] = device_os
    if options.expected_device_os is not None and device_os != options.expected_device_os:
        raise StageFailure(FailureCode.PRE_FW, f"Device OS is {device_os}, not {options.expected_device_os}")
    return True


def _check_membership(run: ConnectivityRun, record: DeviceRecord) -> None:
    platform_id = run.board.device.platform.id
    run.evidence |= {"product_id": record.product_id, "development": record.development}
    if record.platform_id not in (None, platform_id):
        raise StageFailure(
            FailureCode.PRE_PLAT, f"the cloud has it as platform {record.platform_id}, the board is {platform_id}"
        )
    product = run.cloud.scope.product
    if product is not None and record.product_id != product.id:
        raise StageFailure(FailureCode.CLD_WRONGP, f"it is in product {record.product_id}, not in {product.id}")
    if product is None and record.product_id not in (None, platform_id):
        raise StageFailure(FailureCode.CLD_WRONGP, f"it is in product {record.product_id} already, not in the account")


def _check_sim_record(run: ConnectivityRun, record: DeviceRecord) -> bool:
    """Raises StageFailure unless the SIM of a cellular board is active."""
    if run.plan.radio is not Radio.CELLULAR or not record.iccid:
        return False
    sim = run.cloud.sim(record.iccid)
    if sim is None:
        raise StageFailure(FailureCode.SIM_OWN, f"SIM {record.iccid} is not in this product or account")
    run.evidence["sim_status"] = sim.status
    if sim.status != "active":
        raise StageFailure(FailureCode.SIM_PEND, f"SIM {sim.iccid} is {sim.status}")
    return True


def _mark_development(run: ConnectivityRun, record: DeviceRecord) -> None:
    """Keep the cloud from flashing the unit meanwhile, where that is asked for and not so already."""
    if not run.plan.options.mark_development or record.development or run.cloud.scope.product is None:
        return
    members, device_id = run.cloud.members, run.board.device_id
    members.set_development(device_id, True)
    run.evidence["marked_development"] = True
    run.take_back_later("development mark", lambda: members.set_development(device_id, False, run.permissions))


# ---- 1: boot --------------------------------------------------------------------------------------------------------


def check_boot(run: ConnectivityRun) -> None:
    """A reset, and the right board answers."""
    board, limit_s = run.board, run.plan.give_up_s(Stage.BOOT)
    in_dfu = board.device.mode is UsbMode.DFU
    if in_dfu and not run.plan.connects:
        raise StageSkipped("it is in DFU mode, and strategy C boots nothing that could connect")
    if in_dfu or (run.plan.options.restart and run.plan.connects):
        begun_s = run.clock.monotonic_s()
        # Its application may connect by itself from here on, whatever stages follow.
        disconnect_later(run)
        board.restart(limit_s)
        run.measure("boot_time", run.clock.monotonic_s() - begun_s, "s")
        run.restarted, run.was_online = True, False
        run.connecting_since_s = run.clock.monotonic_s()
    answered = run.wait(
        Stage.BOOT,
        lambda: board.ask(lambda session: session.device_id()),
        lambda: StageFailure(FailureCode.BRD_BOOT, "no control request is answered"),
        activity="waiting for the board",
    )
    if answered != board.device_id:
        raise StageFailure(FailureCode.BRD_SWAP, f"control request 20 says {answered}, not {board.device_id}")
    open_log(run)
    counters = run.read_diagnostics()
    run.evidence |= {"device_id": answered, "log": board.has_log}
    run.was_online = not run.restarted and counters.get("cloud:stat") == CloudStatus.CONNECTED


def open_log(run: ConnectivityRun) -> None:
    """Read the board's log from here on, where it has one."""
    run.board.open_log()
    if run.board.has_log:
        run.take_back_later("log handler", run.board.stop_log)
