"""The steps of a unit that ask the cloud: before anything is erased, while it connects (strategy A), and at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.device_state import DeviceEventType
from particle_dev.cloud.facts import SETTLE_S
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.strategies import Act, Strategy
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import POLL_INTERVAL_S, device_at, wait_for_device, wait_for_mode, wait_until_settled
from particle_dev.device.model import Device
from particle_dev.device.modes import enter_dfu
from particle_dev.errors import DeviceError, DeviceModeError, ParticleDevError, PlanRefusedError, TransportError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.station.events import JsonObject, error_data
from particle_dev.station.run import Run
from particle_dev.station.verdict_data import baseline_data

GOODBYE_S = 60.0
"""So long the cloud is given to take a unit for offline that has said goodbye."""
CLOUD_POLL_S = 5.0
"""Between two looks at the cloud's record of a unit that connects."""


def ask_cloud(run: Run, evidence: JsonObject, hold: Callable[[], None]) -> None:
    """What the cloud knows of the unit before anything is erased. ``hold`` raises unless the unit has been held from
    connecting all the while.

    Raises PlanRefusedError when it is billed already, or had power before its events were watched. Strategy B:
    CloudError or TransportError when there is no baseline yet and the record for one cannot be read.
    """
    guard = run.guard
    if Act.TAKE_BASELINE in run.context.recipe.acts:
        guard.require(Act.TAKE_BASELINE)
        baseline = guard.kept_baseline(run.now())
        evidence["baseline"] = baseline_data(baseline)
        claimed = guard.is_claimed_for_tests()
        guard.facts = replace(guard.facts, baseline_taken=baseline is not None, claimed=claimed)
    guard.read_before(run.now(), evidence)
    run.check_stop("cloud_before", run.limits.cloud_s)
    hold()
    guard.facts = replace(guard.facts, held=True, **guard.membership())
    if guard.strategy is Strategy.A:
        return
    gate = guard.gate(run.observed.evidence, run.now())
    if gate.verdict is BillingVerdict.STARTED:
        raise PlanRefusedError(
            f"{run.device_id}: billing has started before it came here ({'; '.join(gate.started_by)})",
            reasons=gate.started_by,
            hint="nothing was erased; set the unit aside",
        )
    guard.require_watched(run.observed.evidence)


def require_flash(run: Run, product_version: int | None) -> None:
    """Last of all before something is erased. Raises ActRefusedError or BudgetError when the strategy does not allow
    what is to come: the flash, and the connection of strategy A after it. ``product_version`` is that of the
    application that the unit is to get."""
    if run.guard.strategy is Strategy.A:
        run.guard.require_record()
    run.guard.require(Act.FLASH_FINAL)
    if Act.CONNECT in run.context.recipe.acts:
        run.guard.require_connection(run.now(), product_version)


def import_unit(run: Run, device: Device, evidence: JsonObject) -> None:
    """Take the unit into the product, from DFU mode or without power, as the recipe's order has it. **Needs may_bill.**
    Strategy A: waits until its SIM is active. Raises ActRefusedError, PermissionMissingError, CloudError,
    TransportError, StepTimeoutError."""
    guard = run.guard
    if guard.left_at is None:
        run.observed.still_held(device)
    record = guard.take_in(run.now())
    evidence |= {"product": record.product_id, "iccid": record.iccid}
    guard.facts = replace(guard.facts, in_product=True, approved=not (record.quarantined or record.denied))
    if Act.CONNECT not in run.context.recipe.acts:
        return
    while True:
        snapshot = guard.read_joined(run.now(), evidence)
        if snapshot.sim is None or snapshot.sim.status == "active":
            return
        run.check_stop("import", run.limits.import_s)
        run.slot.host.clock.sleep(CLOUD_POLL_S)
        run.observed.still_held(device)


def unclaim(run: Run, evidence: JsonObject) -> None:
    """Strategy B: take the unit out of the test account, once it is off. Raises ActRefusedError, CloudError,
    TransportError."""
    evidence["was_claimed"] = run.guard.is_claimed_for_tests()
    run.guard.unclaim()


def connect(run: Run, device: Device, evidence: JsonObject) -> Device:
    """Strategy A: boot the application, wait until the cloud knows of a new connection. **Starts billing.** When that
    fails, the unit is brought back into DFU mode; if that fails, too, the operator is told, and the error is still the
    first one."""
    clock, limit_s = run.slot.host.clock, run.limits.connect_s
    run.guard.require(Act.CONNECT)
    started_s = clock.monotonic_s()
    try:
        with DfuSession(run.slot.host, device, run.guard.station.permissions) as session:
            session.leave()
        device = wait_for_mode(run.slot.host, device, UsbMode.NORMAL, limit_s)
        device = wait_until_settled(run.slot.host, device, limit_s)
        while not run.guard.has_connected():
            run.check_stop("connect", limit_s)
            seen = device_at(run.slot.host, run.slot.port_path)
            if seen is not None and seen.mode is UsbMode.DFU:
                raise DeviceModeError(
                    f"slot {run.slot.name}: {run.device_id} went into DFU mode instead of connecting",
                    expected="normal",
                    hint="its bootloader found nothing to start, or somebody held the MODE button: run it again",
                )
            if seen is not None and _listens(run, seen):
                raise DeviceModeError(
                    f"slot {run.slot.name}: {run.device_id} is in listening mode, where it does not connect",
                    expected="normal",
                    hint="it is not set up: give it what it connects with, and mark its setup as done, before the run "
                    '(virtual boards: `factory = "online"` in the [[slot]])',
                )
            clock.sleep(CLOUD_POLL_S)
        run.guard.remember(DeviceEventType.CONNECTED, run.now(), statement="the cloud's record, strategy A")
        evidence["connected_after_s"] = round(clock.monotonic_s() - started_s, 1)
    except BaseException:
        # Why it did not connect is what people must know; that it did not come back, they are told beside it.
        try:
            back_into_dfu(run, device)
        except ParticleDevError as error:
            evidence["not_back_in_dfu"] = error_data(error)
            run.say(f"{run.device_id} did not come back into DFU mode: {error.message}")
        raise
    run.guard.facts = replace(run.guard.facts, held=False, has_connected=True)
    return device


def _listens(run: Run, device: Device) -> bool:
    """Whether its application waits to be set up. One that cannot be asked just now, while it resets, does not."""
    try:
        with ControlSession(run.slot.host, device) as session:
            return session.device_mode().name == "LISTENING"
    except (TransportError, DeviceError):
        return False


def disconnect(run: Run, device: Device, evidence: JsonObject) -> Device:
    """Strategy A: let the unit say goodbye, wait until the cloud takes it for offline, and back into DFU mode. A cloud
    that does not in time is no error yet: the gate asks again."""
    run.guard.require(Act.DISCONNECT)
    clock, started_s = run.slot.host.clock, run.slot.host.clock.monotonic_s()
    device = wait_for_device(run.slot.host, device.usb.port_path, run.limits.enter_dfu_s)
    if device.mode is UsbMode.NORMAL:
        with ControlSession(run.slot.host, device) as session:
            session.disconnect_from_cloud()
        while not run.guard.is_offline() and clock.monotonic_s() - started_s < GOODBYE_S:
            run.check_stop("disconnect", run.limits.cloud_s)
            clock.sleep(POLL_INTERVAL_S)
    device = back_into_dfu(run, device)
    evidence["offline_in_the_cloud"] = run.guard.is_offline()
    run.guard.facts = replace(run.guard.facts, held=True)
    return device


def back_into_dfu(run: Run, device: Device) -> Device:
    """The unit in DFU mode again after its application ran; what it tells of its connections is in evidence."""
    # It may have left the bus meanwhile: an update over the air resets it.
    device = wait_for_device(run.slot.host, device.usb.port_path, run.limits.enter_dfu_s)
    if device.mode is UsbMode.DFU:
        run.observed.in_dfu_since(run.now())
        return device
    with ControlSession(run.slot.host, device) as session:
        run.read_counters(session)
        session.stop_connecting()
    since = run.now()
    device, _ = enter_dfu(run.slot.host, device, timeout_s=run.limits.enter_dfu_s)
    run.observed.in_dfu_since(since)
    return device


def await_power_off(run: Run, device: Device, evidence: JsonObject, step: str, limit_s: float) -> None:
    """Until the unit has left USB, as the operator was told. Raises DeviceModeError when it was reset instead."""
    if run.guard.left_at is not None:
        return
    clock = run.slot.host.clock
    while (seen := device_at(run.slot.host, run.slot.port_path)) is not None:
        run.observed.held_as_seen(seen, device)
        run.check_stop(step, limit_s)
        clock.sleep(POLL_INTERVAL_S)
    _left_usb(run, evidence)
    run.guard.facts = replace(run.guard.facts, has_power=not run.guard.is_off, held=False)


def await_verdict(run: Run, device: Device, evidence: JsonObject) -> None:
    """The verdict, after the unit left USB and the cloud's record has settled. Raises BillingUnprovenError when
    it is not what the strategy promises, DeviceModeError when the unit was reset instead of unplugged. Strategy A:
    ActRefusedError when the cloud does not take it for offline."""
    clock, limit_s = run.slot.host.clock, run.limits.gate_s
    await_power_off(run, device, evidence, "gate", limit_s)
    settled_s = clock.monotonic_s() + SETTLE_S
    while clock.monotonic_s() < settled_s:
        run.check_stop("gate", limit_s)
        clock.sleep(POLL_INTERVAL_S)
        if device_at(run.slot.host, run.slot.port_path) is not None:
            run.guard.left_at, run.guard.is_off = None, False
            raise DeviceModeError(
                f"slot {run.slot.name}: {run.device_id} has power again",
                expected="off",
                hint="it was reset instead of unplugged, or put back: unplug it, and look its Device ID up",
            )
    if run.guard.strategy is Strategy.A:
        run.guard.require(Act.GATE, is_offline=run.guard.is_offline())
    run.guard.read_after(run.now(), evidence)
    gate = run.guard.gate(run.observed.evidence, run.now())
    evidence["verdict"] = str(gate.verdict)
    run.guard.require_promise(gate)


def _left_usb(run: Run, evidence: JsonObject) -> None:
    """It left USB now. Whether that was its power, the bench knows."""
    run.guard.left_at = run.now()
    run.guard.is_off = run.slot.power is not None or run.slot.battery is False
    if run.slot.power is not None:
        evidence["power"] = "cut by the bench"
    elif run.slot.battery is False:
        evidence["power"] = "unplugged from USB; the bench file says that it has no battery"
    else:
        evidence["power"] = "unplugged from USB; the bench file does not say that it has no battery"


def product_version(files: Iterable[ModuleFile]) -> int | None:
    """The product version of the application among the files, None when it has none."""
    for file in files:
        if file.module.function == ModuleFunction.USER_PART and file.module.product is not None:
            return file.module.product.version
    return None
